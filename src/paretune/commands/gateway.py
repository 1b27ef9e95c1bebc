"""``paretune gateway``: the project's language models by OpenAI's protocol, for programs here and elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paretune.gateway.server import Gateway
    from paretune.lm.ledger.ledger import Ledger

__all__ = ["add_arguments", "run"]

#: Where the key of the gateway is found; else it has another one each time.
_KEY = "PARETUNE_GATEWAY_KEY"
#: How often what is known of who asked is written, in seconds.
_FLUSH_S = 2.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: The shortest key, in characters, with which other machines are let in.
_SHORTEST = 16


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of the command."""
    command.add_argument("--port", type=int, default=0, help="where to listen (default: any free port)")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"the address to listen on (default: this machine alone; others need the key in {_KEY})",
    )
    command.add_argument("--name", default="client", help="whom `paretune calls` shows as the one who asked")
    command.add_argument("line", nargs="*", metavar="COMMAND", help="run this with the gateway (after --), then end")


def run(arguments: argparse.Namespace) -> None:
    """Serve until the command ends, or until Ctrl-C or SIGTERM."""
    from paretune.commands.compose import find_root
    from paretune.eventloop import new_loop

    place = Path.cwd()
    with contextlib.chdir(find_root(place)), asyncio.Runner(loop_factory=new_loop) as runner:
        status = runner.run(_serve(arguments, place))
    if status:
        sys.exit(status)


async def _serve(arguments: argparse.Namespace, place: Path) -> int:
    from paretune.gateway.environment import client_environment
    from paretune.gateway.keys import Run
    from paretune.gateway.server import Gateway
    from paretune.lm.ledger.attribution import attributed_to
    from paretune.lm.ledger.budget import Budget
    from paretune.lm.ledger.default import default_ledger
    from paretune.pipeline.programs import ProgramSetup
    from paretune.pipeline.sections.base import read_params, section
    from paretune.pipeline.sections.budget import BudgetParams
    from paretune.pipeline.sections.lm import LmParams

    _check_key(arguments.host)
    params = read_params()
    section(params, "lm", LmParams)
    setup = ProgramSetup({**params, "lm": {**params["lm"], "gateway": None}})  # which is this one
    ledger = default_ledger()
    gateway = Gateway(setup.language_model, setup.models)
    budget = Budget(**section(params, "budget", BudgetParams).model_dump(), ledger=ledger)
    with budget.charging(), attributed_to(search="gateway", trial=arguments.name):
        key = gateway.keys.issue(Run(draws=False), os.environ.get(_KEY))
    address = await _listen(gateway, arguments.host, arguments.port, ledger)
    ended = _stopped_by_signals()
    flushing = asyncio.create_task(_flush(ledger.flush))
    try:
        if arguments.line:
            environment = client_environment(address, key.text, secrets=setup.lm.secrets)
            return await _run_command(arguments.line, {**environment, "OPENAI_MODEL": setup.models[0]}, place)
        print(f"export OPENAI_BASE_URL={address}\nexport OPENAI_API_KEY={key.text}", flush=True)
        print(f"models: {', '.join(setup.models)}", file=sys.stderr, flush=True)
        await ended.wait()
        return 0
    finally:
        flushing.cancel()
        await gateway.close()
        ledger.flush()
        print(f"{ledger.session.paid} calls paid for, {ledger.session.served} served again", file=sys.stderr)


def _check_key(host: str) -> None:
    """Raise UsageError where other machines are let in without a good key."""
    from paretune.errors import UsageError

    if host not in _LOOPBACK and len(os.environ.get(_KEY, "")) < _SHORTEST:
        raise UsageError(
            f"--host {host}: whoever reaches the gateway from another machine needs a key: set {_KEY} to a random text "
            f"of at least {_SHORTEST} characters, here and there"
        )


async def _listen(gateway: Gateway, host: str, port: int, ledger: Ledger) -> str:
    """Start the gateway; its address."""
    from paretune.errors import ConfigError

    try:
        return await gateway.start(port, host, ledger)
    except (OSError, OverflowError) as error:
        place = f"--port {port}" if host in _LOOPBACK else f"--host {host} --port {port}"
        raise ConfigError(f"{place}: the gateway cannot listen there: {error}; name another one") from None


def _stopped_by_signals() -> asyncio.Event:
    """What Ctrl-C and SIGTERM set, in the place of ending this process (a command gets them as well)."""
    ended = asyncio.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run
            asyncio.get_running_loop().add_signal_handler(stop, ended.set)
    return ended


async def _run_command(command: Sequence[str], environment: Mapping[str, str], place: Path) -> int:
    """Run a command to its end; its exit status."""
    from paretune.errors import UsageError

    try:
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=place)
    except OSError as error:
        raise UsageError(f"{command[0]!r} cannot be started: {error.strerror or error}") from None
    return await process.wait()


async def _flush(flush: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(_FLUSH_S)
        flush()

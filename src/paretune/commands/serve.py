"""``paretune serve``: the winner as an HTTP service."""

from __future__ import annotations

import argparse
import ipaddress
import os
import signal
import socket
import sys

from paretune.commands.predict import add_program_arguments, opened_serving
from paretune.errors import ConfigError, UsageError

__all__ = ["add_arguments", "run"]

#: How long the end waits for answers in flight, in seconds.
_DRAIN_S = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_program_arguments(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s; one that others reach needs a token")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    parser.add_argument("--token-env", metavar="NAME", help="the environment variable that holds the token of clients")
    parser.add_argument("--cache", action="store_true", help="keep replies in the ledger, and serve them again from it")
    parser.add_argument(
        "--concurrency", type=int, default=64, metavar="N", help="so many inputs are answered at once (default: 64)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Serve until Ctrl-C or SIGTERM, which wait for the answers in flight."""
    if arguments.concurrency < 1:
        raise UsageError(f"--concurrency must be at least 1 (got {arguments.concurrency})")
    if not 0 <= arguments.port <= 65535:
        raise UsageError(f"--port must be from 0 to 65535 (got {arguments.port})")
    token = _token(arguments.token_env)
    if token is None and not _is_loopback(arguments.host):
        raise UsageError(f"--host {arguments.host} can be reached by others: give clients a token (--token-env NAME)")
    try:
        import uvicorn

        from paretune.serving.app import make_app
    except ImportError as error:
        raise ConfigError(f"paretune serve needs an extra ({error}): pip install 'paretune[serve]'") from None
    with (
        _listening(arguments.host, arguments.port) as listener,
        opened_serving(arguments, ledger=arguments.cache) as serving,
    ):
        app = make_app(serving, token=token, concurrency=arguments.concurrency)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )
        for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises again what ended it, once all is answered
            signal.signal(number, lambda *_: None)
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        print(
            f"serving {serving.program.name} at {address} (/predict, /v1, /openapi.json)", file=sys.stderr, flush=True
        )
        uvicorn.Server(config).run(sockets=[listener])
    print("ended", file=sys.stderr)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that has the port, before the program is loaded. Raises UsageError where it cannot have it."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another --port"
        ) from None


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name)
    if not token or not token.isascii() or token != token.strip():
        raise ConfigError(f"--token-env: {name} must hold a token of plain characters in the environment")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

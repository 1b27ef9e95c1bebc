"""``paretune calls``: what the ledger holds, for people; and as a file, and less of it."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from paretune.commands.calls_text import HEAD, aligned, call_lines, sum_lines, table_row
from paretune.errors import ConfigError, UsageError
from paretune.files import state_root, write_jsonl
from paretune.lm.ledger import queries
from paretune.lm.ledger.default import default_ledger
from paretune.lm.ledger.home import Home
from paretune.lm.ledger.queries import CallFilter, Calls, FileCalls, Order
from paretune.lm.ledger.rescue_file import RescueFile
from paretune.lm.ledger.shared import SharedLedger
from paretune.lm.ledger.shared_calls import SharedCalls
from paretune.terminal import plain

__all__ = ["add_arguments", "ledger_path", "run"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SHOWN = 20
_NO_AGE = -1.0
_LOSS = "this would delete, so that asking again is paid for again:"
_LOSS_HERE = "this would delete the copies here alone; what the team's ledger has is not paid for again:"
_LOSS_OF_ALL = "this would delete for the whole team, so that asking again is paid for again:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "key", nargs="?", type=_name, metavar="KEY", help="the first letters of a call's key: show it in full"
    )
    parser.add_argument("--model", type=_name, help="only models with this in their name")
    parser.add_argument("--search", type=_name, help="only what this search asked (the first letters of its name)")
    parser.add_argument("--trial", type=_name, help="only what this trial asked")
    parser.add_argument("--invalid", action="store_true", help="only replies that did not validate")
    parser.add_argument("--since", type=_duration, metavar="AGE", help="only the last 30m, 12h, 7d, 2w")
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--expensive", action="store_const", dest="order", const="expensive", help="dearest first")
    order.add_argument("--slow", action="store_const", dest="order", const="slow", help="slowest first")
    parser.add_argument("--limit", type=_count, metavar="N", help=f"so many calls (default: {_SHOWN}; --export: all)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--export", type=Path, metavar="FILE.jsonl", help="write the calls to a file, one a line")
    what.add_argument(
        "--prune",
        type=_duration,
        nargs="?",
        const=_NO_AGE,
        metavar="AGE",
        help="delete calls older than this (or all that the other options choose), and give the space back",
    )
    parser.add_argument("--yes", action="store_true", help="with --prune: do delete")
    parser.add_argument(
        "--team",
        action="store_true",
        help="the calls of all who share the ledger in PARETUNE_LEDGER=postgresql://…, not only those used here",
    )


def run(arguments: argparse.Namespace) -> None:
    """Do what the options say; what is asked for goes to stdout."""
    now = time.time()
    which = CallFilter(
        key=arguments.key,
        model=arguments.model,
        search=arguments.search,
        trial=arguments.trial,
        invalid=arguments.invalid,
        since=None if arguments.since is None else now - arguments.since,
        before=None if arguments.prune in (None, _NO_AGE) else now - arguments.prune,
    )
    if arguments.yes and arguments.prune is None:
        raise UsageError("--yes belongs to --prune")
    team = _team()
    if arguments.team and team is None:
        raise UsageError("--team: the ledger is this project's own; PARETUNE_LEDGER=postgresql://… names a team's")
    path = None if arguments.team else ledger_path()
    if arguments.prune is not None:
        _prune(path, team, which, arguments)
        return
    with _opened(path, team) as calls:
        if arguments.export is not None:
            _export(calls.whole(which, arguments.order or "newest", arguments.limit), arguments.export)
        elif arguments.key:
            _print_call(calls, which)
        else:
            _print_table(calls, which, arguments.order or "newest", arguments.limit or _SHOWN)
            if path is not None:
                _print_others(path, team)


def _team() -> Home | None:
    """What is shared, where the environment names a database."""
    ledger = default_ledger()
    return ledger.home if isinstance(ledger, SharedLedger) else None


@contextlib.contextmanager
def _opened(path: Path | None, team: Home | None) -> Iterator[Calls]:
    """The calls in a file, or those of a team where there is none."""
    if path is None and team is not None:
        yield SharedCalls(team)
    elif path is not None:
        with queries.opened(path) as connection:
            yield FileCalls(connection)


def ledger_path() -> Path:
    """The project's ledger: in ``PARETUNE_HOME``, or in the nearest ``.paretune/`` at or above the current folder, up
    to the project's root. Raises ConfigError when there is none."""
    if os.environ.get("PARETUNE_HOME") or os.environ.get("DVC_ROOT"):
        path = state_root() / "ledger.sqlite"
        if path.is_file():
            return path
        raise ConfigError(f"there is no ledger yet: no file {str(path)!r}; the first call of a language model makes it")
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / ".paretune" / "ledger.sqlite"
        if path.is_file():
            return path
        if (folder / "conf" / "config.yaml").is_file():
            break
    raise ConfigError(
        f"there is no ledger yet: no .paretune/ledger.sqlite in {str(here)!r} or above; "
        "the first call of a language model makes it"
    )


def _print_table(calls: Calls, which: CallFilter, order: Order, limit: int) -> None:
    table = [HEAD, *(table_row(row, callers) for row, callers in calls.listed(which, order, limit))]
    shown = len(table) - 1
    if shown:
        print("\n".join(aligned(table, shutil.get_terminal_size((10_000, 24)).columns)))
    print("\n".join(sum_lines(calls.totals(which), shown)))


def _print_others(path: Path, team: Home | None) -> None:
    """Which calls are not in the file."""
    if waiting := RescueFile(path.with_name(f"{path.name}.rescue")).waiting():
        print(f"{waiting} more wait in {path.name}.rescue: the next run takes them in")
    if team is not None:
        print(f"this is what was used here; all that {team.database.name} has: paretune calls --team")


def _print_call(calls: Calls, which: CallFilter) -> None:
    found = list(calls.whole(which, limit=2))
    if len(found) != 1:
        number = "several calls have keys that start" if found else "no call has a key that starts"
        raise UsageError(f"{number} with {which.key!r}: `paretune calls` lists them")
    for line in call_lines(found[0]):
        print(plain(line, lines=True))


def _export(calls: Iterable[Any], target: Path) -> None:
    try:
        count = write_jsonl(target, calls)
    except OSError as error:
        raise ConfigError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    print(f"wrote {count} calls to {target}")


def _prune(path: Path | None, team: Home | None, which: CallFilter, arguments: argparse.Namespace) -> None:
    if arguments.limit or arguments.order:
        raise UsageError("--prune deletes all that it names: it takes no --limit, --expensive or --slow")
    if which == CallFilter():
        raise UsageError("--prune needs an age (--prune 30d) or an option that says which calls (--prune 0d: all)")
    with _opened(path, team) as calls:
        sums = calls.totals(which)
    if not sums:
        print("no such calls: nothing to delete")
    elif not arguments.yes:
        print(_LOSS if team is None else _LOSS_HERE if path is not None else _LOSS_OF_ALL)
        print("\n".join(sum_lines(sums, sum(one.calls for one in sums))))
        print("add --yes to delete")
    elif path is not None:
        before = path.stat().st_size
        count = queries.prune(path, which)
        print(f"deleted {count:,} calls; the ledger takes {_mib(path.stat().st_size)} (before: {_mib(before)})")
    elif team is not None:
        count, name = SharedCalls(team).prune(which), team.database.name
        print(f"deleted {count:,} calls of {name}; each machine keeps what it has used")


def _duration(text: str) -> float:
    """Seconds in ``30m``, ``12h``, ``7d``, ``2w``."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: write 30m, 12h, 7d or 2w")
    return float(found[1]) * _UNITS[found[2]]


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"

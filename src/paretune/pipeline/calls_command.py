"""``paretune calls``: what the ledger holds, for people; and as a file, and less of it."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError, UsageError
from paretune.files import state_root, write_jsonl
from paretune.lm import ledger_queries as queries
from paretune.lm.ledger_queries import Order, Totals, Which
from paretune.lm.rescue import Rescue
from paretune.reporting.numbers import compact

__all__ = ["add_arguments", "ledger_path", "run"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SHOWN = 20
_NO_AGE = -1.0
_HEAD = ("KEY", "TIME", "MODEL", "TOKENS", "COST", "LATENCY", "TRIES", "VALID", "ASKED BY")
_MODEL, _ASKED_BY = _HEAD.index("MODEL"), _HEAD.index("ASKED BY")
#: What a narrow terminal does without, in this order.
_DISPENSABLE = tuple(map(_HEAD.index, ("TRIES", "LATENCY", "TOKENS")))


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


def run(arguments: argparse.Namespace) -> None:
    """Do what the options say; what is asked for goes to stdout."""
    path, now = ledger_path(), time.time()
    which = Which(
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
    if hasattr(sys.stdout, "reconfigure"):  # replies may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if arguments.prune is not None:
            _prune(path, which, arguments)
        elif arguments.export is not None:
            _export(path, which, arguments.export, arguments.order or "newest", arguments.limit)
        elif arguments.key:
            _print_call(path, which)
        else:
            _print_table(path, which, arguments.order or "newest", arguments.limit or _SHOWN)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _print_table(path: Path, which: Which, order: Order, limit: int) -> None:
    with queries.opened(path) as connection:
        found = queries.keys(connection, which, order, limit)
        table = [_HEAD, *_table_rows(connection, found, which)]
        sums = queries.totals(connection, which)
    if found:
        print("\n".join(_aligned(table, shutil.get_terminal_size((10_000, 24)).columns)))
    print("\n".join(_sum_lines(sums, len(found))))
    if waiting := Rescue(path.with_name(f"{path.name}.rescue")).waiting():
        print(f"{waiting} more wait in {path.name}.rescue: the next run takes them in")


def _table_rows(connection: sqlite3.Connection, found: list[str], which: Which) -> Iterator[tuple[str, ...]]:
    for row in queries.calls(connection, found):
        askers = queries.asked_by(connection, row["key"], which)
        valid = "" if not askers else "yes" if all(asker["valid"] for asker in askers) else "no"
        more = f" +{len(askers) - 1}" if len(askers) > 1 else ""
        yield (
            row["key"][:10],
            _time(row["created_at"]),
            row["model"],
            f"{row['prompt_tokens']}+{row['completion_tokens']}",
            _dollars(row["cost_usd"]),
            f"{compact(row['latency_s'])} s",
            str(row["attempts"]),
            valid,
            _asker(askers[0], short=True) + more if askers else "",
        )


def _aligned(table: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lines of equal columns. Where they are too wide, the model's name and who asked are cut, and columns left out."""
    sizes = {place: max(len(_plain(row[place])) for row in table) for place in range(len(_HEAD))}

    def excess(widest: int) -> int:
        """How much too wide the lines are when the two are cut to ``widest``."""
        cut = sum(max(0, sizes[place] - widest) for place in (_MODEL, _ASKED_BY))
        return sum(sizes.values()) + 2 * (len(sizes) - 1) - width - cut

    for place in _DISPENSABLE:
        if excess(12) > 0:
            del sizes[place]
    widest = max((size for size in range(12, 200) if excess(size) <= 0), default=12)
    for place in (_MODEL, _ASKED_BY):
        sizes[place] = min(sizes[place], widest)
    for row in table:
        yield "  ".join(_cut(_plain(row[place]), size).ljust(size) for place, size in sizes.items()).rstrip()


def _sum_lines(sums: list[Totals], shown: int) -> Iterator[str]:
    count = sum(one.calls for one in sums)
    if not count:
        yield "no such calls"
        return
    part = f"{shown} of " if shown < count else ""
    yield f"{part}{_sum(_plain(sums[0].model) if len(sums) == 1 else 'all models', sums)}"
    if len(sums) > 1:
        yield from (f"  {_sum(_plain(one.model), [one])}" for one in sums)


def _sum(name: str, sums: list[Totals]) -> str:
    calls, unpriced = sum(one.calls for one in sums), sum(one.unpriced for one in sums)
    tokens = f"{sum(one.prompt_tokens for one in sums):,}+{sum(one.completion_tokens for one in sums):,} tokens"
    cost = _dollars(math.fsum(one.cost_usd for one in sums)) if unpriced < calls else "cost unknown"
    some = f" ({unpriced:,} of unknown cost)" if 0 < unpriced < calls else ""
    return f"{calls:,} {'call' if calls == 1 else 'calls'}, {tokens}, {cost}{some}: {name}"


def _print_call(path: Path, which: Which) -> None:
    with queries.opened(path) as connection:
        found = queries.keys(connection, which, limit=2)
        if len(found) != 1:
            number = "several calls have keys that start" if found else "no call has a key that starts"
            raise UsageError(f"{number} with {which.key!r}: `paretune calls` lists them")
        call = queries.whole_call(connection, found[0])
    for line in _call_lines(call):
        print(_plain(line, lines=True))


def _call_lines(call: dict[str, Any]) -> Iterator[str]:
    request = dict(call["request"])
    messages = request.pop("messages", [])
    yield f"key         {call['key']}"
    yield f"time        {_time(call['created_at'], zone=True)}"
    yield f"model       {call['model']}"
    for asker in call["asked_by"]:
        state = f"{'valid' if asker['valid'] else 'invalid'}, {'paid for' if asker['paid'] else 'served'}"
        yield f"asked by    {_asker(asker)} ({state})"
    yield f"tokens      {call['prompt_tokens']:,} prompt, {call['completion_tokens']:,} completion"
    price = call["price"]
    rate = f" (at ${price['prompt']} and ${price['completion']} a million tokens)" if price else ""
    yield f"cost        {_dollars(call['cost_usd'])}{rate}"
    yield f"latency     {compact(call['latency_s'])} s"
    yield f"attempts    {call['attempts']}"
    yield f"finish      {call['finish_reason'] or '-'}"
    if call["usage"] is not None:
        yield f"usage       {_json(call['usage'])}"
    yield "settings"
    yield from (f"  {name}: {value if isinstance(value, str) else _json(value)}" for name, value in request.items())
    for role, content in messages:
        yield f"\n--- {role}\n{content}"
    yield f"\n--- reply\n{call['reply']}"


def _export(path: Path, which: Which, target: Path, order: Order, limit: int | None) -> None:
    with queries.opened(path) as connection:
        found = queries.keys(connection, which, order, limit)
        rows: Iterable[Any] = (queries.whole_call(connection, key) for key in found)
        try:
            count = write_jsonl(target, rows)
        except OSError as error:
            raise ConfigError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    print(f"wrote {count} calls to {target}")


def _prune(path: Path, which: Which, arguments: argparse.Namespace) -> None:
    if arguments.limit or arguments.order:
        raise UsageError("--prune deletes all that it names: it takes no --limit, --expensive or --slow")
    if which == Which():
        raise UsageError("--prune needs an age (--prune 30d) or an option that says which calls (--prune 0d: all)")
    with queries.opened(path) as connection:
        sums = queries.totals(connection, which)
    if not sums:
        print("no such calls: nothing to delete")
    elif not arguments.yes:
        print("this would delete, so that asking again is paid for again:")
        print("\n".join(_sum_lines(sums, sum(one.calls for one in sums))))
        print("add --yes to delete")
    else:
        before = path.stat().st_size
        count = queries.prune(path, which)
        print(f"deleted {count:,} calls; the ledger takes {_mib(path.stat().st_size)} (before: {_mib(before)})")


def _asker(asker: dict[str, Any], short: bool = False) -> str:
    search = asker["search"][:8] if short else asker["search"]
    parts = {"search": search, "trial": asker["trial"], "": asker["example"], "by": asker["module"]}
    if short:
        return " ".join(part for part in (search, asker["trial"], asker["example"], asker["module"]) if part)
    return ", ".join(f"{name} {value}".strip() for name, value in parts.items() if value)


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


def _time(seconds: float, zone: bool = False) -> str:
    there = datetime.fromtimestamp(seconds).astimezone()
    return (there if zone else there.replace(tzinfo=None)).isoformat(timespec="seconds")


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"${compact(value)}"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _plain(text: str, lines: bool = False) -> str:
    """Text without what could steer a terminal: replies and data may hold anything."""
    return "".join(
        letter if letter.isprintable() or (lines and letter in "\n\t") else repr(letter)[1:-1] for letter in text
    )


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"

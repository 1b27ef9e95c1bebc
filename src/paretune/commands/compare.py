"""``paretune compare A B``: two trials, or the winners of two revisions, example by example."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from paretune.commands.compose import find_root
from paretune.commands.examples import Tried, answer_text, field_lines, record_text, reward_text, tried
from paretune.commands.finished import Finished, hyperparameters
from paretune.commands.output import add_limit
from paretune.commands.paired import Pairs, paired, winner_rewards
from paretune.commands.text_table import Column, table_lines, width
from paretune.errors import SearchError
from paretune.reporting.sentences import p_text, points
from paretune.terminal import plain

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    for name in ("a", "b"):
        text = "a trial's number, or a revision of Git (or: workspace)"
        parser.add_argument(name, metavar=name.upper(), help=text)
    parser.add_argument("--better", choices=["a", "b"], help="only examples on which this one earned more")
    add_limit(parser, "examples", default=10)
    parser.add_argument("--full", action="store_true", help="whole texts, also long ones")
    parser.add_argument("--json", action="store_true", help="print the difference and all chosen examples as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the difference and the examples on which the two differ."""
    root, names = find_root(Path.cwd()), (arguments.a, arguments.b)
    finished = Finished(root)
    if all(name.isdecimal() and finished.is_trial(name) for name in names):
        _compare_trials(finished, arguments)
    else:
        _compare_revisions(root, arguments)


def _compare_trials(finished: Finished, arguments: argparse.Namespace) -> None:
    a, b = (finished.name_of(name) for name in (arguments.a, arguments.b))
    sides = [{one.number: one for one in tried(finished.record(name), finished.examples)} for name in (a, b)]
    shared = sorted(sides[0].keys() & sides[1].keys())
    if not shared:
        raise SearchError(f"trials {a} and {b} ran no example both: there is nothing to compare")
    both = [(sides[0][number], sides[1][number]) for number in shared]
    found = paired([one.reward for one, _ in both], [two.reward for _, two in both], finished.report.confidence)
    chosen = [pair for pair in both if _chosen(pair[0].reward, pair[1].reward, arguments.better)]
    if arguments.json:
        examples = [
            {"example": one.number, "x": one.input, "y": one.gold, "a": _side(one), "b": _side(other)}
            for one, other in chosen
        ]
        _print_json(a, b, found, examples)
        return
    values = [hyperparameters(finished.row(name)) for name in (a, b)]
    rows = [
        [name, str(values[0][name]), str(values[1][name])] for name in values[0] if values[0][name] != values[1][name]
    ]
    print(*table_lines([Column(""), Column(a, least=12), Column(b, least=12)], rows, width()), sep="\n")
    print(*_verdict(a, b, found, [(one.reward, other.reward) for one, other in both]), sep="\n")
    for one, other in chosen[: arguments.limit]:
        print(f"\nexample {one.number}: {a} {reward_text(one.reward)}, {b} {reward_text(other.reward)}")
        fields = [("input", record_text(one.input)), ("gold", record_text(one.gold))]
        for name, side in ((a, one), (b, other)):
            fields += [(name, answer_text(outcome)) for outcome in side.outcomes]
        print(*field_lines(fields, width(), arguments.full), sep="\n")
    _print_rest(len(chosen), arguments.limit)


def _compare_revisions(root: Path, arguments: argparse.Namespace) -> None:
    """Of the test examples only digests are shown: what is read is soon tuned by."""
    a, b = arguments.a, arguments.b
    there = [winner_rewards(root, revision) for revision in (a, b)]
    shared = [example for example in there[0] if example in there[1]]
    if not shared:
        raise SearchError(f"{a} and {b} share no test example: their winners cannot be compared; keep the test split")
    both = [(there[0][example], there[1][example]) for example in shared]
    found = paired([pair[0] for pair in both], [pair[1] for pair in both])
    chosen = [(name, *pair) for (name, _), pair in zip(shared, both, strict=True) if _chosen(*pair, arguments.better)]
    if arguments.json:
        _print_json(a, b, found, [{"example": name, "a": _number(one), "b": _number(two)} for name, one, two in chosen])
        return
    print(*_verdict(a, b, found, both), sep="\n")
    few = chosen[: arguments.limit]
    rows = [[name, reward_text(one), reward_text(two)] for name, one, two in few]
    columns = [Column("test example"), Column(a, right=True), Column(b, right=True)]
    if rows:
        print("", *table_lines(columns, rows, width()), sep="\n")
    _print_rest(len(chosen), arguments.limit)


def _chosen(one: float, other: float, better: str | None) -> bool:
    """Whether an example is among those asked for: the two differ on it, also in having been scored at all."""
    if better is not None:
        return one > other if better == "a" else other > one
    return one != other and not (math.isnan(one) and math.isnan(other))


def _verdict(a: str, b: str, found: Pairs, both: Sequence[tuple[float, float]]) -> Iterator[str]:
    gain, (a, b) = found.gain, (plain(a), plain(b))
    change = points(gain.value, gain.lo, gain.hi)
    yield f"{a} minus {b}: {change} of reward on {gain.n:,} examples{p_text(gain.p_value)}"
    shown = gain.lo > 0 or gain.hi < 0
    power = f"; a true one of {points(found.detectable, math.nan, math.nan).lstrip('+')} would be in 8 of 10 cases"
    yield f"{'a' if shown else 'no'} difference is shown{'' if math.isnan(found.detectable) else power}"
    more, less = (sum(one > two if first else two > one for one, two in both) for first in (True, False))
    yield f"{a} is better on {more}, {b} on {less}; on {gain.n - more - less} both are equal"


def _print_rest(count: int, limit: int | None) -> None:
    if limit is not None and limit < count:
        print(f"\n{limit} of {count} examples are shown (--limit 0: all)")


def _side(one: Tried) -> dict[str, Any]:
    return {"reward": _number(one.reward), "outcomes": [outcome.row() for outcome in one.outcomes]}


def _print_json(a: str, b: str, found: Pairs, rows: Sequence[Any]) -> None:
    gain = {name: _number(value) for name, value in found.gain._asdict().items()}
    detectable = _number(found.detectable)
    print(json.dumps({"a": a, "b": b, "difference": gain, "detectable": detectable, "examples": rows}, indent=2))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value

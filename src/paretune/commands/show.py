"""``paretune show TRIAL``: one trial in full, and what it made of the validation examples."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from paretune.commands.best import given, value_lines
from paretune.commands.compose import find_root
from paretune.commands.examples import Tried, answer_text, field_lines, record_text, reward_text, tried
from paretune.commands.finished import Finished, hyperparameters
from paretune.commands.output import add_limit
from paretune.commands.replies import Exchange, exchanges
from paretune.commands.text_table import Column, table_lines, width
from paretune.commands.trials import metric_text, place_of
from paretune.metrics.invalid import invalid_line
from paretune.terminal import plain
from paretune.trials.record import TrialRecord
from paretune.wording import compact, metric_words

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("trial", metavar="TRIAL", help="its number, as `paretune trials` lists it")
    parser.add_argument("--wrong", action="store_true", help="only examples with less than the whole reward")
    parser.add_argument("--example", type=int, metavar="N", help="only this one, from 1")
    add_limit(parser, "examples", default=10)
    parser.add_argument("--full", action="store_true", help="whole texts, also long ones")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, with all chosen examples")


def run(arguments: argparse.Namespace) -> None:
    """Print the trial."""
    finished = Finished(find_root(Path.cwd()))
    name = finished.name_of(arguments.trial)
    record = finished.record(name)
    every = tried(record, finished.examples)
    chosen = [one for one in every if (one.wrong or not arguments.wrong) and arguments.example in (None, one.number)]
    if arguments.json:
        rows = [one.row() for one in chosen]
        print(json.dumps({**finished.row(name), "states": _states(record), "examples": rows}, indent=2))
        return
    print(*_head(finished, record), sep="\n")
    if not every:
        print("\nno validation example was run")
        return
    few = chosen[: arguments.limit]
    wrong = sum(one.wrong for one in every)
    shown = "all" if len(few) == len(every) else str(len(few))
    print(f"\n{len(every):,} validation examples, {wrong:,} of them with less than the whole reward; {shown} shown")
    print(*_example_lines(few, _calls(finished, record, few), arguments.full), sep="\n")


def _states(record: TrialRecord) -> list[object]:
    return [replicate.state for replicate in record.replicates]


def _head(finished: Finished, record: TrialRecord) -> Iterator[str]:
    """What the trial is, was worth and took."""
    row = finished.row(record.trial)
    place = place_of(row, finished.winner)
    yield f"trial {record.trial}{f': {place}' if place else ''}"
    if record.error:
        yield plain(record.error)
    if record.dropped is not None:
        yield plain(f"dropped for trial {record.dropped.by}: {record.dropped.why}; {record.dropped.saved} calls saved")
    yield from value_lines(given(hyperparameters(row)))
    metrics = [name for name in row if name.startswith("val_") and f"{name}_lo" in row and row[name] is not None]
    if metrics:
        yield f"\non {record.n:,} validation examples"
        rows = [[f"  {metric_words(name)}", metric_text(row, name)] for name in metrics]
        yield from itertools.islice(table_lines([Column(""), Column("")], rows, width()), 1, None)
    if line := invalid_line(record.outcomes):
        yield f"  {line}"
    cost = "unknown cost" if record.cost_usd is None else f"${compact(record.cost_usd)}"
    counts = (record.prompt_tokens, record.completion_tokens)
    tokens = "unknown tokens" if None in counts else "{:,}+{:,} tokens".format(*counts)
    yield f"  {record.calls:,} calls, {record.retries:,} retries, {tokens}, {cost}"
    for number, replicate in enumerate(record.replicates, start=1):
        for module, state in dict(replicate.state.get("modules") or {}).items():
            if isinstance(state, dict) and state.get("instructions"):
                shots = len(state.get("examples") or ())
                which = f", replicate {number}" if len(record.replicates) > 1 else ""
                yield f"\n{plain(module)}{which}: {shots} examples, and the instructions"
                yield f"  {plain(str(state['instructions']), lines=True)}"


def _calls(finished: Finished, record: TrialRecord, few: Sequence[Tried]) -> dict[tuple[int, int], list[Exchange]]:
    """The calls of the examples shown, by number and replicate; none where the search has kept no replies."""
    wanted = {one.number for one in few}
    found: dict[tuple[int, int], list[Exchange]] = {}
    for replicate in range(len(record.replicates) if finished.replies and wanted else 0):
        assert finished.replies is not None
        run = record.trial if replicate == 0 else f"{record.trial}-{replicate}"
        rows = itertools.islice(exchanges(finished.replies, run), max(wanted))
        found |= {(number, replicate): calls for number, calls in enumerate(rows, start=1) if number in wanted}
    return found


def _example_lines(few: Sequence[Tried], calls: dict[tuple[int, int], list[Exchange]], full: bool) -> Iterator[str]:
    seen: set[int] = set()
    for one in few:
        for call in (each for replicate in range(len(one.outcomes)) for each in calls.get((one.number, replicate), ())):
            if call.number not in seen:
                seen.add(call.number)
                model = plain(f"{call.prompt['module']} to {call.prompt['model']}")
                yield f"\nprompt {len(seen)}: {model}, before each question"
                yield from field_lines([(role, text) for role, text in call.prompt["messages"]], width(), full)
        yield f"\nexample {one.number}: reward {reward_text(one.reward)}"
        fields = [("input", record_text(one.input)), ("gold", record_text(one.gold))]
        for replicate, outcome in enumerate(one.outcomes):
            which = f" {replicate + 1}" if len(one.outcomes) > 1 else ""
            fields.append((f"answer{which}", answer_text(outcome)))
            if outcome.parts:
                parts = ", ".join(f"{name} {compact(part)}" for name, part in outcome.parts.items())
                fields.append((f"parts{which}", parts))
            for call in calls.get((one.number, replicate), ()):
                end = "" if call.finish_reason in (None, "stop") else f" [{call.finish_reason}]"
                fields.append((f"reply{which}", f"{call.reply}{end}"))
        yield from field_lines(fields, width(), full)

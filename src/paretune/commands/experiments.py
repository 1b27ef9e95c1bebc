"""``paretune experiments``: one row an experiment of DVC, with what it changed and what came of it."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from paretune.commands.compose import find_root
from paretune.commands.finished import DETAIL
from paretune.commands.paired import file_at
from paretune.commands.text_table import Column, table_lines, width
from paretune.errors import ConfigError, DataError
from paretune.wording import compact, displayed, with_interval

__all__ = ["add_arguments", "experiments", "run"]

_PARAMS = Path("params.yaml")
_LEFT_OUT = {"conf_digest"}
_MEASURED = [f"{name}{end}" for name in ("reward", "tokens_per_request", "cost") for end in ("", "_lo", "_hi")]
_LAST = 1000  # the rank of columns that go before any that an experiment changed

Experiment = dict[str, Any]
Cell = Callable[[Experiment], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--num", type=int, default=1, metavar="N", help="the experiments of the last N commits (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the experiments as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the table."""
    found = experiments(find_root(Path.cwd()), arguments.num)
    changed = _changed([each["params"] for each in found])
    for each in found:
        each["params"] = {name: each["params"][name] for name in changed if name in each["params"]}
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    table = {column: [str(cell(each)) for each in found] for column, cell in _columns(found, changed)}
    print(*table_lines(list(table), list(zip(*table.values(), strict=True)), width()), sep="\n")


def experiments(root: Path, num: int = 1) -> list[Experiment]:
    """The checkout, its commits and their experiments: name, revision, state (None: finished), params, the winner's
    number and hyperparameters, test metrics with intervals, frontier, trials, calls and dollars of the search.

    Which there are is DVC's answer; what they hold is read from Git, where params.yaml and reports/ are. The checkout
    is left out where it is its commit's. Raises ConfigError where DVC cannot answer.
    """
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        rows = dvc.api.exp_show(str(root), num=num)
    except DvcException as error:
        raise ConfigError(f"DVC cannot list the experiments: {error}") from None
    found = [_experiment(root, row["Experiment"] or row["rev"], row["rev"], row["State"]) for row in rows]
    if len(found) > 1 and all(found[0][name] == found[1][name] for name in ("params", "metrics", "winner")):
        del found[0]
    return found


def _experiment(root: Path, name: str, revision: str, state: str | None) -> Experiment:
    state = None if state == "Success" else state
    params = _sections(root, revision, _PARAMS)
    numbers = {} if state else _sections(root, revision, DETAIL)
    test, search = numbers.get("test", {}), numbers.get("search", {})
    winner = numbers.get("winner")
    return {
        "experiment": name,
        "revision": revision,
        "state": state,
        "params": {key: value for key, value in _leaves(params) if key not in _LEFT_OUT},
        "winner": winner and {name: winner.get(name) for name in ("trial", "hyperparameters")},
        "metrics": {name: test[name] for name in _MEASURED if name in test},
        "frontier_size": search.get("frontier_size"),
        "trials": search.get("trials"),
        "lm_calls": search.get("lm_calls"),
        "cost_usd": search.get("cost_usd"),
    }


def _sections(root: Path, revision: str, path: Path) -> dict[str, Any]:
    """A revision's file of sections, YAML or JSON (which is YAML too, but read faster); empty where there is none."""
    try:
        text = file_at(root, revision, path)
    except ConfigError:
        return {}
    try:
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path} of {revision} cannot be read: {error}") from None
    return found if isinstance(found, dict) else {}


def _leaves(value: Any, place: str = "") -> Iterable[tuple[str, Any]]:
    """The values of nested mappings by their dotted places; a list is one value."""
    if not isinstance(value, Mapping) or (place and not value):
        return [(place, value)]
    return [leaf for key, each in value.items() for leaf in _leaves(each, f"{place}.{key}" if place else str(key))]


def _changed(params: Sequence[Mapping[str, Any]]) -> list[str]:
    """The params of which there are several values."""
    names = dict.fromkeys(name for each in params for name in each)
    return [name for name in names if len({repr(each.get(name)) for each in params}) > 1]


def _short(names: Sequence[str]) -> list[str]:
    """The shortest ends of dotted names that no two of them have in common."""
    ends = [[".".join(name.split(".")[-size:]) for size in range(1, name.count(".") + 2)] for name in names]
    taken = Counter(end for each in ends for end in each)
    return [next((end for end in each if taken[end] == 1), each[-1]) for each in ends]


def _reward(each: Experiment) -> str:
    ends = [each["metrics"].get(f"reward{end}", math.nan) for end in ("", "_lo", "_hi")]
    return "" if math.isnan(ends[0]) else with_interval(*ends)


def _amount(each: Experiment, name: str) -> str:
    """A test metric; empty where there is none, or it is 0."""
    value = each["metrics"].get(name)
    return compact(displayed(name, value)) if value else ""


def _columns(found: Sequence[Experiment], changed: Sequence[str]) -> Iterator[tuple[Column, Cell]]:
    """Each column with what its cells are; a narrow terminal keeps what was changed, and the winner, the longest."""
    yield Column("experiment"), lambda each: each["experiment"]
    if any(each["state"] for each in found):
        yield Column("state"), lambda each: each["state"] or ""
    for place, (name, short) in enumerate(zip(changed, _short(changed), strict=True)):
        yield Column(short, least=8, rank=1 + place), partial(_param, name)
    yield Column("reward", right=True), _reward
    yield Column("tokens", right=True, rank=_LAST + 1), lambda each: _amount(each, "tokens_per_request")
    if any(_amount(each, "cost") for each in found):
        yield Column("$/1,000", right=True, rank=_LAST + 2), lambda each: _amount(each, "cost")
    yield Column("frontier", right=True, rank=_LAST + 3), _frontier
    yield Column("search $", right=True, rank=_LAST + 4), _dollars
    yield Column("winner", least=16, rank=_LAST), _winner


def _param(name: str, each: Experiment) -> Any:
    return each["params"].get(name, "-")


def _frontier(each: Experiment) -> str:
    return "" if each["frontier_size"] is None else f"{each['frontier_size']} of {each['trials']}"


def _dollars(each: Experiment) -> str:
    if each["trials"] is None:
        return ""
    return "?" if each["cost_usd"] is None else compact(each["cost_usd"])


def _winner(each: Experiment) -> str:
    values = {} if each["winner"] is None else each["winner"]["hyperparameters"] or {}
    return ", ".join(value if isinstance(value, str) else f"{name} {value}" for name, value in values.items())

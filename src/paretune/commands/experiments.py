"""``paretune experiments``: one row an experiment of DVC, with what it changed and what came of it."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from paretune.commands.compose import find_root
from paretune.commands.finished import METRICS, TABLE, hyperparameters, trial_rows
from paretune.commands.paired import file_at
from paretune.commands.text_table import Column, table_lines, width
from paretune.errors import ConfigError, DataError
from paretune.wording import compact, with_interval

__all__ = ["add_arguments", "experiments", "run"]

_PARAMS = Path("params.yaml")
_LEFT_OUT = {"conf_digest"}
_MEASURED = ("reward", "tokens_per_request", "cost")

Experiment = dict[str, Any]


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
    columns = [
        Column("experiment"),
        *([Column("state")] if any(each["state"] for each in found) else []),
        *(Column(name, least=8, rank=3 + place) for place, name in enumerate(changed)),
        Column("reward", right=True),
        Column("tokens", right=True, rank=1),
        *([Column("$/1,000", right=True, rank=1)] if any(_measured(each, "cost") for each in found) else []),
        Column("frontier", right=True, rank=2),
        Column("search", right=True, rank=2),
        Column("winner", least=12, rank=1),
    ]
    rows = [_cells(each, [column.name for column in columns], set(changed)) for each in found]
    print(*table_lines(columns, rows, width()), sep="\n")


def experiments(root: Path, num: int = 1) -> list[Experiment]:
    """The checkout, its commits and their experiments: name, revision, state (None: finished), params, the winner's
    number and hyperparameters, test metrics with intervals, frontier, trials, calls and dollars of the search.

    Which there are is DVC's answer; what they hold is read from Git, where params.yaml and reports/ are. The checkout is
    left out where it is its commit's. Raises ConfigError where DVC cannot answer.
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
    params = yaml.safe_load(_text(root, revision, _PARAMS) or "{}")
    state = None if state == "Success" else state
    numbers = json.loads((None if state else _text(root, revision, METRICS)) or "{}")
    test, search = numbers.get("test", {}), numbers.get("search", {})
    winner = numbers.get("winner", {}).get("trial")
    return {
        "experiment": name,
        "revision": revision,
        "state": state,
        "params": {key: value for key, value in _leaves(params) if key not in _LEFT_OUT},
        "winner": None if winner is None else {"trial": winner, "values": _values(root, revision, winner)},
        "metrics": {
            key: value for key, value in test.items() if key.removesuffix("_lo").removesuffix("_hi") in _MEASURED
        },
        "frontier_size": search.get("frontier_size"),
        "trials": search.get("trials"),
        "lm_calls": search.get("lm_calls"),
        "cost_usd": search.get("cost_usd"),
    }


def _text(root: Path, revision: str, path: Path) -> str | None:
    try:
        return file_at(root, revision, path)
    except ConfigError:
        return None


def _values(root: Path, revision: str, trial: int) -> dict[str, Any]:
    """The hyperparameters of a revision's trial; none where its table is missing or of another version."""
    try:
        rows = trial_rows(_text(root, revision, TABLE) or "", f"{TABLE} of {revision}")
    except DataError:
        return {}
    row = next((row for row in rows if int(row["trial"]) == trial), None)
    return {} if row is None else {name: value for name, value in hyperparameters(row).items() if value is not None}


def _leaves(value: Any, place: str = "") -> Iterable[tuple[str, Any]]:
    """The values of nested mappings by their dotted places; a list is one value."""
    if not isinstance(value, Mapping) or (place and not value):
        return [(place, value)]
    return [leaf for key, each in value.items() for leaf in _leaves(each, f"{place}.{key}" if place else str(key))]


def _changed(params: Sequence[Mapping[str, Any]]) -> list[str]:
    """The params of which there are several values."""
    names = dict.fromkeys(name for each in params for name in each)
    return [name for name in names if len({repr(each.get(name)) for each in params}) > 1]


def _measured(each: Experiment, name: str, scale: float = 1.0) -> str:
    """A test metric with its interval; empty where there is none, or it is 0."""
    ends = [each["metrics"].get(f"{name}{end}", math.nan) * scale for end in ("", "_lo", "_hi")]
    return "" if not ends[0] or math.isnan(ends[0]) else with_interval(*ends)


def _cells(each: Experiment, names: Sequence[str], params: set[str]) -> list[str]:
    winner = each["winner"]
    values = {} if winner is None else winner["values"]
    size, cost = each["frontier_size"], each["cost_usd"]
    cells = {
        "experiment": each["experiment"],
        "state": each["state"] or "",
        "reward": _measured(each, "reward"),
        "tokens": _measured(each, "tokens_per_request"),
        "$/1,000": _measured(each, "cost", 1000.0),
        "frontier": "" if size is None else f"{size} of {each['trials']}",
        "search": "" if size is None else "$?" if cost is None else f"${compact(cost)}",
        "winner": ", ".join(f"{name} {value}" for name, value in values.items()),
    }
    return [str(each["params"].get(name, "-")) if name in params else cells[name] for name in names]

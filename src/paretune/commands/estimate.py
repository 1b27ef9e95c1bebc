"""From params.yaml, or Hydra overrides, to what a search and the held-out test would take; nothing is called."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from paretune.commands.compose import compose
from paretune.estimating.earlier_calls import LedgerView
from paretune.estimating.estimate import survey
from paretune.estimating.rehearsal import rehearse
from paretune.estimating.result import Estimate, spending_text
from paretune.estimating.spending import Spending, Tally, added, chosen, spending
from paretune.eventloop import run_maybe_nested
from paretune.files import read_jsonl, write_jsonl
from paretune.pipeline.evaluation import baseline_program
from paretune.pipeline.finished_program import inside
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.rows import open_dataset, validation_rows
from paretune.pipeline.scoring import Records
from paretune.pipeline.sections.base import check_sections, read_params, section
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.evaluate import EvaluateParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.split import SplitParams
from paretune.pipeline.sections.task import TaskParams
from paretune.pipeline.tuners import make_tuner
from paretune.stats.formulas import detectable_difference
from paretune.wording import compact, exact

__all__ = ["report"]

MATERIALIZED = Path("data/materialized")
SPLITS = Path("data/splits")
LOCK = Path("dvc.lock")
#: On what share of the test examples two programs may differ in being right; what a test can show depends on it.
_DIFFERING = (0.1, 0.3)

Split = tuple[Records, Records]


def report(root: Path, overrides: Sequence[str] = (), *, as_json: bool = False) -> str:
    """What the search of ``root/params.yaml`` (or of the configuration that Hydra overrides give) would take, and the
    held-out test after it: lines for people, or JSON."""
    with tempfile.TemporaryDirectory() as scratch, inside(root):
        file = compose(root, overrides, Path(scratch) / "params.yaml") if overrides else "params.yaml"
        estimate, test, n = run_maybe_nested(_estimate(read_params(file), Path(scratch)))
    smallest = [detectable_difference(n, differing) for differing in _DIFFERING]
    if as_json:
        numbers = {name: share.as_json() for name, share in test.items()}
        shows = {"examples": n, "difference": dict(zip(map(str, _DIFFERING), map(exact, smallest), strict=True))}
        return json.dumps({"search": estimate.as_json(), "test": numbers, "test_shows": shows}, indent=2)
    lines = [f"{f'test: {name}':<14} {spending_text(share)}" for name, share in test.items()]
    lines.append(f"{'test: shows':<14} {_shown(smallest)} ({n} examples, power 80 %)")
    return "\n".join([str(estimate), *lines])


def _shown(smallest: Sequence[float]) -> str:
    known = [compact(100 * each) for each in smallest if not math.isnan(each)]
    if not known:
        return "no gain: too few"
    return f"{'' if len(known) == len(smallest) else 'at best '}a gain of {' – '.join(known)} points"


async def _estimate(params: Mapping[str, Any], scratch: Path) -> tuple[Estimate, dict[str, Spending], int]:
    """The search; by program (winner, frontier, baseline) what the held-out test takes; and its number of examples."""
    setup = ProgramSetup(params)
    compare = section(params, "evaluate", EvaluateParams)
    train, val, test = _data(params, setup, scratch)
    await setup.fit_space()
    tuner = make_tuner(params, setup)
    fit = {"epochs": setup.search.epochs, "batch_size": setup.search.batch_size}
    estimate, looked_at = await survey(tuner, {"x": train[0], "y": train[1], "validation_data": val, **fit})
    setup.check_models(tuner.space)
    models = {name: model for one in looked_at for name, model in one.models.items()}
    replicates = setup.search.executions_per_trial
    tested = [added([one.evaluation(len(test[1]))] * replicates) for one in looked_at]
    tallies: dict[str, Tally] = {"winner": chosen(tested)}
    if compare.frontier:  # the winner may be alone on it, or every trial
        most = chosen(tested, max(1, estimate.trials - 1))
        tallies["frontier"] = {name: take * [0, 1] for name, take in most.items()}
    view = LedgerView(setup.language_model(setup.lm.model).ledger)
    if compare.baseline is not None:
        program = await baseline_program(setup, compare.baseline)
        rehearsal = await rehearse(program, {"x": train[0], "y": train[1], **fit}, view, 50)
        trained = rehearsal.training(0, setup.search.epochs) if program.optimizer is not None else {}
        tallies["baseline"] = added([trained, rehearsal.evaluation(len(test[1]))] * replicates)
        models |= rehearsal.models
    return estimate, {name: spending(tally, models, view) for name, tally in tallies.items()}, len(test[1])


def _data(params: Mapping[str, Any], setup: ProgramSetup, scratch: Path) -> tuple[Split, Split, Split]:
    """Training, validation and test examples: those that the stages have left where they are up to date, else made
    as the stages would make them."""
    check_sections(params, {"task": TaskParams, "layout": LayoutParams, "data": DataParams, "split": SplitParams})
    stages = _stages()
    whole, test = (_materialized(params, stages, split, scratch) for split in ("train", "test"))
    parts = [SPLITS / "train.jsonl", SPLITS / "val.jsonl"]
    if whole.parent == scratch or not _up_to_date(stages.get("split", {}), params):
        validating = validation_rows(whole, section(params, "split", SplitParams))
        parts = [scratch / "split_train.jsonl", scratch / "split_val.jsonl"]
        for part, is_val in zip(parts, (False, True), strict=True):
            write_jsonl(part, (row for number, row in enumerate(read_jsonl(whole)) if (number in validating) == is_val))
    train, val = (setup.scoring.read(part) for part in parts)
    return train, val, setup.scoring.read(test)


def _materialized(params: Mapping[str, Any], stages: Mapping[str, Any], split: str, scratch: Path) -> Path:
    if _up_to_date(stages.get(f"materialize@{split}", {}), params):
        return MATERIALIZED / f"{split}.jsonl"
    task, layout = section(params, "task", TaskParams), section(params, "layout", LayoutParams)
    path = scratch / f"{split}.jsonl"
    dataset = open_dataset(task, layout, section(params, "data", DataParams), split)
    write_jsonl(path, ({"x": x.get_json(), "y": y.get_json()} for x, y in dataset))
    return path


def _stages() -> dict[str, Any]:
    """What DVC's lock tells of the stages that have run."""
    try:
        return dict(yaml.safe_load(LOCK.read_text(encoding="utf-8"))["stages"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return {}


def _up_to_date(made: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether a stage's files are those that it made of these params and of the data as it is (its code aside)."""
    files = [*made.get("outs", ()), *(dep for dep in made.get("deps", ()) if not dep["path"].startswith("data/code/"))]
    values = made.get("params", {}).get("params.yaml", {})
    return (
        bool(files)
        and all(_at(params, name) == value for name, value in values.items())
        and all(_md5(Path(file["path"])) == file.get("md5") for file in files)
    )


def _at(params: Any, name: str) -> Any:
    for part in name.split("."):
        params = params.get(part) if isinstance(params, Mapping) else None
    return params


def _md5(path: Path) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()
    return ""

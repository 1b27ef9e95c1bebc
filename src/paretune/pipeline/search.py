"""From params.yaml to a search, and from a finished search to what the later stages read."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paretune
from paretune.errors import SearchError
from paretune.files import digest_files, state_root
from paretune.pipeline.params import check_sections, section
from paretune.pipeline.program import ProgramSetup
from paretune.pipeline.settings import ObjectiveParams, TunerParams
from paretune.stats.pareto import non_dominated
from paretune.tuners.kt import HyperParameters
from paretune.tuners.objective import Objective, parts_of
from paretune.tuners.oracles import space_size
from paretune.tuners.tuner import GridSearch, RandomSearch, Tuner

__all__ = ["best_of", "make_tuner", "space_note"]

TUNERS: dict[str, type[Tuner]] = {"grid": GridSearch, "random": RandomSearch}
#: The sections whose values a search's results depend on.
_IDENTITY = ("task", "layout", "lm", "program", "objective")
#: The packages whose code a search's results depend on.
_CODE = ("callbacks", "calls", "lm", "metrics", "optimizers", "pipeline", "programs", "rewards", "schemas", "tuners")


def make_tuner(params: Mapping[str, Any], setup: ProgramSetup) -> Tuner:
    """The declared tuner; its state is kept below ``state_root()``, one file for each different search."""
    check_sections(params, {"tuner": TunerParams, "objective": ObjectiveParams})
    objective = section(params, "objective", ObjectiveParams)
    search = setup.search
    return TUNERS[section(params, "tuner", TunerParams).name](
        setup.build_program,
        objective=[Objective(part.name, part.direction, part.weight) for part in objective.objectives],
        scale=objective.scale,
        max_trials=search.max_trials,
        seed=search.seed,
        directory=state_root(),
        project_name="searches",
        parallel_trials=search.parallel_trials,
        max_failure_rate=search.max_failure_rate,
        identity={"params": {name: params[name] for name in _IDENTITY}, "code": _code_digest(setup.program.source)},
    )


def space_note(setup: ProgramSetup, tuner: Tuner) -> str | None:
    """A line for a budget that cannot cover a finite declared space; None when it can."""
    declared = HyperParameters()
    setup.declare(declared)
    size, budget = space_size(declared), tuner.oracle.max_trials
    if size is None or budget is None or size <= budget:
        return None
    return f"note: the space has {size} configurations, search.max_trials allows {budget} of them"


def best_of(tuner: Tuner) -> dict[str, Any]:
    """What best.json holds: the winner by the scalar, its trained state, and the frontier's trials.

    Raises SearchError when no trial was completed.
    """
    best = tuner.oracle.get_best_trials(1)
    records = tuner.trial_records()
    if not best:
        raise SearchError(f"no trial was completed; the last one: {records[-1].error if records else 'there is none'}")
    winner = tuner.records[best[0].trial_id]
    objectives = parts_of(tuner.oracle.objective)
    completed = [record for record in records if record.status == "COMPLETED"]
    points = [[record.metrics[part.name] for part in objectives] for record in completed]
    on_frontier = non_dominated(points, [part.direction for part in objectives])  # type: ignore[arg-type]
    return {
        "trial": winner.trial,
        "values": winner.values,
        "metrics": winner.metrics,
        "score": winner.score,
        "objectives": [part.describe() for part in objectives],
        "frontier": [record.trial for record, flag in zip(completed, on_frontier, strict=True) if flag],
        "state": winner.state,
    }


@functools.cache
def _code_digest(builder_source: str) -> str:
    """A digest of the code that a search runs, the user's builder included."""
    package = Path(paretune.__file__).parent
    files = sorted(path for folder in _CODE for path in (package / folder).glob("*.py"))
    return digest_files([*files, *(path for path in [Path(builder_source)] if path.is_file())])

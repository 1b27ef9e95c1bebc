"""What one section of params.yaml must know of another, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paretune.errors import ConfigError
from paretune.pipeline.sections.base import section
from paretune.pipeline.sections.evaluate import EvaluateParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.models import check_models
from paretune.pipeline.sections.objective import ObjectiveParams
from paretune.pipeline.sections.program import ProgramParams, check_names, with_values
from paretune.pipeline.sections.report import ReportParams
from paretune.pipeline.sections.search import SearchParams
from paretune.pipeline.sections.space import check_conditions, ends
from paretune.pipeline.sections.steps import chain
from paretune.pipeline.sections.winner import WinnerParams
from paretune.schemas.faults import did_you_mean
from paretune.trials.constraint import as_constraint

__all__ = ["OPERATIONAL", "check_together"]

#: What is measured beside the reward and the metrics: the names in ``paretune.metrics.measures``, which is not
#: imported, so that a change in a metric does not check params.yaml again, nor read the data.
OPERATIONAL = ("cost", "latency", "tokens_per_request", "failure_rate", "invalid_rate")


def check_together(params: Mapping[str, Any]) -> None:
    """The space, the baseline, the constraints, the winner's rule and the report's axes name what there is. Raises
    ConfigError; the sections are valid."""
    program, baseline = section(params, "program", ProgramParams), section(params, "evaluate", EvaluateParams).baseline
    check_models(params)
    space = section(params, "search", SearchParams).space
    if program.is_own_process:
        check_conditions(space)
        check_names([*space, *(baseline or {})])
        if unknown := [name for name in baseline or {} if name not in space]:
            raise ConfigError(
                f"evaluate.baseline.{unknown[0]}: no hyperparameter of search.space (there are: "
                f"{', '.join(space) or 'none'}){did_you_mean(unknown[0], space)}; null: no baseline"
            )
        _check_names(params)
    elif program.builder is None:
        if {"command", "function"} & program.model_fields_set:
            raise ConfigError("program.command: give the words of a command, or program.function (got null for both)")
        check_conditions(space)
        for name, kind in space.items():
            for value in ends(kind):
                chain(with_values(program, {name: value}, "search.space"))
        for step in chain(with_values(program, baseline or {}, "evaluate.baseline")):
            if fault := step.fault():
                raise ConfigError(f"evaluate.baseline: {fault}")
        _check_names(params)
    elif baseline is not None:
        raise ConfigError("evaluate.baseline: program.builder declares no values to compare with; set it to null")


def _check_names(params: Mapping[str, Any]) -> None:
    """What names a metric names something that is measured. (An axis may be no objective of this search: then it has no
    effect.)"""
    report, layout = section(params, "report", ReportParams), section(params, "layout", LayoutParams)
    objective, winner = section(params, "objective", ObjectiveParams), section(params, "winner", WinnerParams)
    if report.x is not None and report.x == report.y:
        raise ConfigError(f"report.x and report.y: must be two different objectives (got {report.x!r} twice)")
    metrics = layout.declared_metrics
    if any("as" not in metric for metric in metrics):
        return  # its name is its class's own affair
    known = [f"val_{name}" for name in ("reward", *(str(metric["as"]) for metric in metrics), *OPERATIONAL)]
    known += [part.name for part in objective.objectives if part.name not in known]
    per_class = tuple(f"val_{metric['as']}_" for metric in metrics)
    named = {"report.x": report.x, "report.y": report.y, "winner.by": winner.by}
    named |= {f"report.reference.{name}": name for name in report.reference}
    named |= {
        f"objective.constraints.{index}": as_constraint(bound).name for index, bound in enumerate(objective.constraints)
    }
    for place, name in named.items():
        if name is not None and name not in known and not name.startswith(per_class):
            raise ConfigError(
                f"{place}: must be the name of something measured: {', '.join(known)} (got {name!r})"
                f"{did_you_mean(name, known)}"
            )

"""The frontier as data: the rows of reports/pareto.json, which DVC plots and the chart draws."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from paretune.errors import ConfigError
from paretune.reporting.results import Measurement, Result
from paretune.reporting.tables import hyperparameter_names
from paretune.stats import non_dominated
from paretune.trials.goals import Objective
from paretune.wording import axis_title, exact, label_parts

__all__ = ["axes", "brief_options", "labels", "pareto_rows", "shown_frontier", "varying"]


def axes(
    objectives: Sequence[Objective], x: str | None = None, y: str | None = None
) -> list[tuple[Objective, Objective]]:
    """The (x, y) pairs of objectives to draw: at most two, none for a single objective.

    By default x is the first objective to minimise (what it costs), else the last one, and each pair sets it against
    another objective. ``x`` and ``y`` ask for objectives in the first pair; a name that is no objective of this
    search has no effect, so that one configuration of the report serves several searches. ConfigError when x is y.
    """
    named = {objective.name: objective for objective in objectives}
    if x is not None and x == y:
        raise ConfigError(f"report.x and report.y: must be two different objectives (got {x!r} twice)")
    if len(objectives) < 2:
        return []
    free = [objective for objective in objectives if objective.name != y]
    across = named[x] if x in named else next((each for each in free if each.direction == "min"), free[-1])
    others = [objective for objective in objectives if objective.name != across.name]
    others.sort(key=lambda objective: objective.name != y)  # the named one first, the others as declared
    return [(across, other) for other in others[:2]]


def shown_frontier(points: Sequence[Sequence[float]], shown: Sequence[Objective]) -> list[bool]:
    """Which points (t, m) no other beats when only the m objectives shown count."""
    return [bool(flag) for flag in non_dominated(np.asarray(points), [each.direction for each in shown])]


def labels(results: Sequence[Result], brief: Container[str] = (), *, whole: bool = False) -> list[list[str]]:
    """A short readable label for each trial, in parts: the hyperparameters that vary, or the trial's name.

    ``brief`` names hyperparameters (see `brief_options`) of which only the option is given; ``whole`` gives those too
    that have one value.
    """
    names = hyperparameter_names(results) if whole else varying(results)
    return [label_parts(result.record.values, names, brief) or [f"trial {result.record.trial}"] for result in results]


def brief_options(results: Sequence[Result]) -> dict[str, list[str]]:
    """Varying hyperparameters with two to four text options that no other one shares, and these options."""
    options = {
        name: _distinct([result.record.values[name] for result in results if name in result.record.values])
        for name in varying(results)
    }
    texts = {
        name: found
        for name, found in options.items()
        if 2 <= len(found) <= 4 and all(isinstance(each, str) for each in found)
    }
    used = [option for found in texts.values() for option in found]
    return {
        name: sorted(found)
        for name, found in texts.items()
        if not name.endswith("model") and all(used.count(each) == 1 for each in found)
    }


def _distinct(values: Sequence[Any]) -> list[Any]:
    """The different values in order of first appearance; they may be lists."""
    return list({repr(value): value for value in values}.values())


def varying(results: Sequence[Result]) -> list[str]:
    """The hyperparameters of which the trials have several values."""
    names = hyperparameter_names(results)
    return [name for name in names if len({repr(result.record.values.get(name)) for result in results}) > 1]


def pareto_rows(
    results: Sequence[Result], objectives: Sequence[Objective], x: str | None = None, y: str | None = None
) -> list[dict[str, Any]]:
    """One row a completed trial, each with every key, so that DVC can plot them; unknown numbers are None.

    ``x``, ``y`` (with ``_lo``, ``_hi``, ``_title``) are the first pair of `axes`, so that a plot need not be
    configured anew when the objectives change; each objective is there under its own name too, a cost
    then of one example, as ``x`` or ``y`` of 1,000. ``on_frontier``
    counts all objectives (as do ``frontier_probability`` and ``drawn``: solid, hollow, faint), ``on_line`` only the two
    shown; a trial that breaks a constraint is on neither, and its label
    says so. ``x_direction`` says which way the frontier's steps go. A
    single objective is set against the rank (1 is the best).

    No text holds ``</`` or ``<!``, which have a space inside then: DVC puts the rows as they are into a script of its
    page, which ``</script>`` in a hyperparameter would end.
    """
    completed = [result for result in results if result.record.completed]
    pairs = axes(objectives, x, y)
    across, up = pairs[0] if pairs else (Objective("rank", "min"), objectives[0])
    ups = [result.displayed(up.name) for result in completed]
    acrosses = [result.displayed(across.name) for result in completed] if pairs else _ranks(ups, up.direction)
    places = [
        (a.value, b.value) if result.feasible else (math.nan, math.nan)
        for result, a, b in zip(completed, acrosses, ups, strict=True)
    ]
    line = shown_frontier(places, [across, up])
    # Of all hyperparameters: what one experiment did not vary, another one may have
    texts = labels(completed, whole=True)
    rows = []
    for result, label, a, b, on_line in zip(completed, texts, acrosses, ups, line, strict=True):
        parts = label if result.feasible else [*label, "breaks a constraint"]
        row: dict[str, Any] = {"trial": result.record.trial, "label": ", ".join(parts)}
        row |= _cells("x", a) | _cells("y", b)
        row |= {
            "x_title": axis_title(across.name, across.direction),
            "y_title": axis_title(up.name, up.direction),
            "x_direction": across.direction,
        }
        for objective in objectives:
            row |= _cells(objective.name, result.metric(objective.name))
        row |= {
            "on_frontier": result.on_frontier,
            "on_line": on_line,
            "frontier_probability": exact(result.frontier_probability),
            "drawn": result.drawn,
            "is_winner": result.is_winner,
            "score": exact(result.record.score),
        }
        rows.append({_inert(name): _inert(cell) if isinstance(cell, str) else cell for name, cell in row.items()})
    return rows


def _inert(text: str) -> str:
    return text.replace("</", "< /").replace("<!", "< !")


def _cells(name: str, measurement: Measurement) -> dict[str, float | None]:
    return {
        name: exact(measurement.value),
        f"{name}_lo": exact(measurement.lo),
        f"{name}_hi": exact(measurement.hi),
    }


def _ranks(measurements: Sequence[Measurement], direction: str) -> list[Measurement]:
    """1 for the best; ties in the order given; NaN last."""
    sign = -1.0 if direction == "max" else 1.0
    order = np.argsort([sign * each.value for each in measurements], kind="stable")
    ranks = np.empty(len(measurements))
    ranks[order] = np.arange(1, len(measurements) + 1)
    return [Measurement(float(rank)) for rank in ranks]

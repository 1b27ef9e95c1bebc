"""On which axes a search's hypervolume is measured: declared, never taken from its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paretune.errors import ConfigError, UsageError
from paretune.stats import Axis
from paretune.trials.goals import Objective

__all__ = ["AXES", "is_amount", "volume_axes"]

#: What calls may take: US dollars an example, seconds a call, tokens an example. On a log scale: half the price counts
#: the same wherever it is reached. The same for all searches, so that their hypervolumes can be compared.
AXES = {
    "cost": Axis(1.0, 1e-6, log=True),
    "latency": Axis(100.0, 0.01, log=True),
    "tokens_per_request": Axis(100_000.0, 10.0, log=True),
}


def is_amount(name: str) -> bool:
    """Whether a metric is an amount (dollars, seconds, tokens), of which factors count, not differences."""
    axis = AXES.get(name.removeprefix("val_"))
    return axis is not None and axis.log


def volume_axes(objectives: Sequence[Objective], references: Mapping[str, float] | None = None) -> list[Axis]:
    """The axis of each objective, in their order: those of ``AXES``, and 0 to 1 for rewards, metrics and rates.

    ``references`` declares by objective (``val_cost``) what counts nothing, in place of the default. Raise ConfigError
    for one that is no worse than the ideal.
    """
    axes = []
    for objective in objectives:
        larger = objective.direction == "max"
        axis = AXES.get(objective.name.removeprefix("val_"), Axis(0.0, 1.0) if larger else Axis(1.0, 0.0))
        reference = (references or {}).get(objective.name, axis.reference)
        try:
            declared = Axis(reference, axis.ideal, axis.log)
        except UsageError as error:
            raise ConfigError(f"report.reference.{objective.name}: {error}") from None
        if declared.direction != objective.direction:
            raise ConfigError(
                f"report.reference.{objective.name}: must be worse than the ideal, {axis.ideal:g} (got {reference:g})"
            )
        axes.append(declared)
    return axes

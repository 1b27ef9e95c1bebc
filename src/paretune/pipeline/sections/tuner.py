"""Section ``tuner``: which tuner proposes the trials."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from paretune.pipeline.sections.base import Params

__all__ = ["TunerParams"]


#: The options of each tuner, by the names of its constructor's arguments.
TUNER_OPTIONS: dict[str, tuple[str, ...]] = {
    "grid": (),
    "random": (),
    "bayesian": ("num_initial_points", "alpha", "beta"),
    "hyperband": ("max_epochs", "factor", "hyperband_iterations"),
    "pareto": ("sampler", "num_initial_points"),
}


class TunerParams(Params):
    """Section ``tuner``: which oracle proposes the trials, and the options of that one."""

    name: Literal["grid", "random", "bayesian", "hyperband", "pareto"]
    num_initial_points: PositiveInt | None = None
    alpha: PositiveFloat | None = None
    beta: PositiveFloat | None = None
    max_epochs: PositiveInt | None = None
    factor: int | None = Field(default=None, ge=2)
    hyperband_iterations: PositiveInt | None = None
    sampler: Literal["tpe", "nsga2", "gp"] | None = None

    @property
    def options(self) -> dict[str, int | float | str]:
        """The options that are given."""
        return self.model_dump(exclude={"name"}, exclude_none=True)

    @model_validator(mode="after")
    def _of_this_tuner(self) -> TunerParams:
        for name in self.options:
            if name not in TUNER_OPTIONS[self.name]:
                known = ", ".join(TUNER_OPTIONS[self.name]) or "none"
                raise ValueError(f"{name} is no option of the {self.name} tuner (it has: {known})")
        return self

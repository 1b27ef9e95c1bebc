"""Section ``tuner``: which tuner proposes the trials."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import create_model, model_validator

from paretune.pipeline.sections.base import Params
from paretune.tuners import TUNERS

__all__ = ["TunerParams"]


class _Chosen(Params):
    """Section ``tuner``: which oracle proposes the trials, and the options of that one."""

    name: str

    @property
    def options(self) -> dict[str, int | float | str]:
        """The options that are given."""
        return self.model_dump(exclude={"name"}, exclude_none=True)

    @model_validator(mode="after")
    def _of_this_tuner(self) -> _Chosen:
        known = TUNERS[self.name].options
        for name in self.options:
            if name not in known:
                raise ValueError(f"{name} is no option of the {self.name} tuner (it has: {', '.join(known) or 'none'})")
        return self


_OPTIONS = {name: kind for entry in TUNERS.values() for name, kind in entry.options.items()}
_FIELDS: dict[str, Any] = {
    "name": (Literal[tuple(TUNERS)], ...),
    **{name: (kind | None, None) for name, kind in _OPTIONS.items()},
}
TunerParams = create_model("TunerParams", __base__=_Chosen, **_FIELDS)

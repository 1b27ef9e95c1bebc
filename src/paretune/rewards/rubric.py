"""Rubrics: the criteria by which a judge scores an answer, each on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from paretune.errors import UsageError
from paretune.schemas.data_model import SCORES, DataModel, Score
from paretune.schemas.faults import find_faults

__all__ = ["Criterion", "Rubric"]

#: The most steps of a scale: nobody tells more apart.
_MOST_VALUES = 11


class Criterion(BaseModel):
    """One question of a rubric.

    Parameters
    ----------
    name
        A Python name, which the judge's reply and the scores kept with each example use.
    description
        What it asks.
    weight
        How much it counts beside the others; above 0.
    anchors
        What single values of the scale stand for, by value, such as ``{1: "wrong", 5: "fully right"}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    description: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0)
    anchors: dict[float, str] = {}

    @model_validator(mode="after")
    def _a_field(self) -> Self:
        if not self.name.isidentifier() or self.name.startswith("_") or hasattr(DataModel, self.name):
            raise ValueError(
                f"a criterion's name must be a Python name that starts with a letter and is none of a data model's own "
                f"(got {self.name!r})"
            )
        return self


class Rubric(BaseModel):
    """The criteria by which a judge scores; the reward is the weighted mean of their scores, each from 0 to 1.

    Parameters
    ----------
    criteria
        One ``Criterion`` or more, with different names.
    scale
        The lowest and the highest of the whole numbers to choose from, such as ``(1, 5)``, which stand for 0 and 1;
        0.0, 0.1 … 1.0 when None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    scale: tuple[int, int] | None = None

    @classmethod
    def of(cls, declared: Rubric | Mapping[str, Any]) -> Rubric:
        """A rubric, or what a mapping declares. Raises UsageError with every fault in it."""
        try:
            return declared if isinstance(declared, Rubric) else cls.model_validate(declared)
        except ValidationError as error:
            faults = "".join(f"\n  {fault}" for fault in find_faults(error, cls))
            raise UsageError(f"invalid rubric:{faults}") from None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [criterion.name for criterion in self.criteria]
        if len(set(names)) < len(names):
            raise ValueError(f"criteria must have different names (got {', '.join(names)})")
        if self.scale is not None and not 0 < self.scale[1] - self.scale[0] < _MOST_VALUES:
            raise ValueError(
                f"scale must be the lowest and the highest of 2 to {_MOST_VALUES} whole numbers (got {self.scale})"
            )
        for criterion in self.criteria:
            if off := [value for value in criterion.anchors if value not in self.values]:
                raise ValueError(
                    f"the anchors of {criterion.name!r} must be values of the scale, {self.values[0]} to "
                    f"{self.values[-1]} (got {', '.join(f'{value:g}' for value in off)})"
                )
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """The values of the scale, rising."""
        return SCORES if self.scale is None else tuple(range(self.scale[0], self.scale[1] + 1))

    def reply_model(self) -> type[DataModel]:
        """What the judge replies: one value of the scale for each criterion, in their order."""
        kind: Any = Score if self.scale is None else Literal[self.values]
        fields: dict[str, Any] = {criterion.name: (kind, ...) for criterion in self.criteria}
        return create_model("Judgement", __base__=DataModel, **fields)

    def text(self) -> str:
        """The criteria as the judge reads them."""
        lines = [f"Criteria, each scored from {self.values[0]} (worst) to {self.values[-1]} (best):"]
        for criterion in self.criteria:
            anchors = "; ".join(
                f"{value}: {criterion.anchors[value]}" for value in self.values if value in criterion.anchors
            )
            lines.append(f"- {criterion.name}: {criterion.description}" + (f" ({anchors})" if anchors else ""))
        return "\n".join(lines)

    def parts(self, judgement: DataModel) -> dict[str, float]:
        """The score of each criterion, from 0 to 1."""
        low, high = self.values[0], self.values[-1]
        return {criterion.name: (judgement[criterion.name] - low) / (high - low) for criterion in self.criteria}

    def score(self, parts: Mapping[str, float]) -> float:
        """The weighted mean of the criteria's scores."""
        total = math.fsum(criterion.weight for criterion in self.criteria)
        return math.fsum(criterion.weight * parts[criterion.name] for criterion in self.criteria) / total

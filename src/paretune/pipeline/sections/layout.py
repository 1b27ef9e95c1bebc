"""Section ``layout``: the form of the answer, and how it is rewarded and measured."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from paretune.pipeline.sections.base import Params
from paretune.pipeline.sections.task import FieldParams

__all__ = ["LayoutParams"]


class PerLabelParams(Params):
    """One field for each label; ``{label}`` in the description stands for its name."""

    type: Literal["bool", "score"]
    description: str = ""


class OutputParams(Params):
    """What a program answers: ``fields`` or one field a label, and the template of the right answer.

    ``strict_labels``: replies must spell the names of fields and the labels to the letter (see ``schemas.spelling``).
    """

    name: str
    fields: dict[str, FieldParams] | None = None
    per_label: PerLabelParams | None = None
    template: str
    strict_labels: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> OutputParams:
        if bool(self.fields) == bool(self.per_label):
            raise ValueError("give either fields or per_label")
        return self


class LayoutParams(Params):
    """Section ``layout``: the form of the answer, and how it is rewarded and measured.

    ``source`` is the file (or folder) that DVC watches: that of the reward and metrics of one's own.
    """

    name: str
    source: str
    output: OutputParams
    reward: dict[str, Any]
    metrics: tuple[dict[str, Any], ...] = ()

    @property
    def own_code(self) -> dict[str, str]:
        """The declared names that are ``module:name``, by place."""
        waiting = {"layout.reward": self.reward}
        waiting |= {f"layout.metrics.{index}": declared for index, declared in enumerate(self.metrics)}
        names = {}
        while waiting:
            place, declared = waiting.popitem()
            names[f"{place}.name"] = str(declared.get("name"))
            inner = declared.get("rewards")  # those that a reward combines
            for index, each in enumerate(inner if isinstance(inner, list | tuple) else ()):
                if isinstance(each, dict):
                    waiting[f"{place}.rewards.{index}"] = each
        return {place: name for place, name in names.items() if ":" in name}

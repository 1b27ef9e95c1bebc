"""Section ``layout``: the form of the answer, and how it is rewarded and measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import model_validator

from paretune.pipeline.sections.base import Params
from paretune.pipeline.sections.fields import AnswerFieldParams, check_template, default_metrics, default_reward

__all__ = ["LayoutParams"]


class PerLabelParams(Params):
    """One field for each label; ``{label}`` in the description stands for its name."""

    type: Literal["bool", "score"]
    description: str = ""


class OutputParams(Params):
    """What a program answers: ``fields`` or one field a label, and the template of the right answer.

    Without a template each field says itself where a row has its value. ``strict_labels``: replies must spell the names
    of fields and the labels to the letter (see ``schemas.spelling``).
    """

    name: str
    fields: dict[str, AnswerFieldParams] | None = None
    per_label: PerLabelParams | None = None
    template: str | None = None
    strict_labels: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> OutputParams:
        if not self.fields and not self.per_label:
            raise ValueError("no fields; declare them in task.output.fields, or choose another layout")
        if self.fields and self.per_label:
            raise ValueError("give either fields or per_label")
        if self.per_label and self.template is None:
            raise ValueError("per_label needs a template")
        check_template(self.template, self.fields or {})
        return self


class LayoutParams(Params):
    """Section ``layout``: the form of the answer, and how it is rewarded and measured.

    ``source`` is the file (or folder) that DVC watches: that of the reward and metrics of one's own. A reward and
    metrics of null follow from the fields (see ``sections.fields``).
    """

    name: str
    source: str
    output: OutputParams
    reward: dict[str, Any] | None
    metrics: tuple[dict[str, Any], ...] | None = ()

    @model_validator(mode="after")
    def _something_counts(self) -> LayoutParams:
        fields = self.output.fields or {}
        if (self.reward is None or self.metrics is None) and not fields:
            raise ValueError("reward and metrics of null follow from output.fields, and there are none")
        if self.reward is None and not any(field.weight for field in fields.values()):
            raise ValueError(f"no field counts: give one of {', '.join(fields)} a weight above 0")
        return self

    @property
    def declared_reward(self) -> dict[str, Any]:
        """The reward, as declared or as it follows from the fields."""
        return default_reward(self.output.fields or {}) if self.reward is None else self.reward

    @property
    def declared_metrics(self) -> tuple[dict[str, Any], ...]:
        """The metrics, as declared or as they follow from the fields."""
        return default_metrics(self.output.fields or {}) if self.metrics is None else self.metrics

    @property
    def own_code(self) -> dict[str, str]:
        """The declared names that are ``module:name``, by place."""
        names = {f"{place}.name": str(declared.get("name")) for place, declared in self._scorers()}
        return {place: name for place, name in names.items() if ":" in name}

    @property
    def judges(self) -> set[str]:
        """The language models that rewards name."""
        return {str(declared["language_model"]) for _, declared in self._scorers() if "language_model" in declared}

    def _scorers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The declared reward, those that it combines, and the metrics, each with its place."""
        waiting = {f"layout.metrics.{index}": declared for index, declared in enumerate(self.declared_metrics)}
        waiting["layout.reward"] = self.declared_reward
        while waiting:
            place, declared = waiting.popitem()
            yield place, declared
            inner = declared.get("rewards")
            for index, each in enumerate(inner if isinstance(inner, list | tuple) else ()):
                if isinstance(each, dict):
                    waiting[f"{place}.rewards.{index}"] = each

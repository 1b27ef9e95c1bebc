"""Section ``evaluate``: the held-out test."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from paretune.pipeline.sections.base import Params, dotted

__all__ = ["EvaluateParams"]


class EvaluateParams(Params):
    """Section ``evaluate``.

    ``baseline`` gives hyperparameters of the program that the winner is compared with. ``frontier``: whether each trial
    of the frontier is tested as well. ``human`` is the file of scores that people gave to answers (see
    ``pipeline.human_scores``).
    """

    baseline: dict[str, Any] | None = None
    frontier: bool = False
    human: str | None = None

    @field_validator("baseline", mode="before")
    @classmethod
    def _dotted(cls, baseline: Any) -> Any:
        return dotted(baseline) if isinstance(baseline, dict) else baseline

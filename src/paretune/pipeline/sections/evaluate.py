"""Section ``evaluate``: the held-out test."""

from __future__ import annotations

from typing import Any

from paretune.pipeline.sections.base import Params

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

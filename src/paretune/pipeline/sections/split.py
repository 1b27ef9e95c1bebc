"""Section ``split``: how the training data is cut."""

from __future__ import annotations

from pydantic import Field

from paretune.pipeline.sections.base import Params, Seed

__all__ = ["SplitParams"]


class SplitParams(Params):
    """Section ``split``: how the training data is cut into a training and a validation part."""

    validation_split: float = Field(gt=0, lt=1)
    shuffle: bool = False
    stratify: bool = False
    seed: Seed = 0

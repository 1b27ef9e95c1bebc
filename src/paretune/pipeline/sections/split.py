"""Section ``split``: how the training data is cut."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt

from paretune.pipeline.sections.base import Params

__all__ = ["SplitParams"]


class SplitParams(Params):
    """Section ``split``: how the training data is cut into a training and a validation part."""

    validation_split: float = Field(gt=0, lt=1)
    shuffle: bool = False
    stratify: bool = False
    seed: NonNegativeInt = 0

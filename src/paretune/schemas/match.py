"""How a field's value is compared with the right one, said beside its type: ``Annotated[float, Match(…)]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic.fields import FieldInfo

from paretune.errors import UsageError

__all__ = ["Match", "TextRule", "match_of"]

#: ``normalized``: equal but for case, punctuation and articles; ``f1``: the share of words in common, also normalized;
#: ``exact``: to the letter.
TextRule = Literal["normalized", "f1", "exact"]


@dataclass(frozen=True)
class Match:
    """How ``FieldMatch`` and ``FieldF1`` compare a field; what a field's type has no use for has no effect.

    Parameters
    ----------
    text
        For text; see ``TextRule`` and ``schemas.short_text``.
    tolerance, relative
        For numbers: right is what is off by at most ``tolerance``, or by ``relative`` times the right number.
    ordered
        For lists: whether items must stand in the order of the right ones.
    partial
        For lists and records: whether a part of it right is worth something; else all of it must be.
    weight
        How much the field counts beside the others of its record; 0: nothing.

    Of a list, all but ``partial``, ``ordered`` and ``weight`` is said of its items.
    """

    text: TextRule = "normalized"
    tolerance: float = 0.0
    relative: float = 0.0
    ordered: bool = False
    partial: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("tolerance", "relative", "weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"Match: {name} must be a number from 0 (got {getattr(self, name)!r})")


def match_of(info: FieldInfo) -> Match:
    """How a field says that it is compared."""
    return next((item for item in info.metadata if isinstance(item, Match)), Match())

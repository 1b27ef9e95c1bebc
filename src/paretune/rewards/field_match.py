"""FieldMatch: how well the fields of a record agree with the gold record, each by its kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel

from paretune.rewards.reward import MaskedReward, Scored
from paretune.schemas.comparing import Comparison, accepted, check_weights, comparisons_of, matches_in

__all__ = ["FieldMatch"]


class FieldMatch(MaskedReward):
    """The weighted mean over the kept fields of how alike prediction and gold record are, each from 0 to 1.

    How a field is compared follows from its type, and from the ``Match`` that it may be annotated with:

    - text: equal but for case, punctuation and articles (or to the letter, or by the F1 of the words);
    - a number: equal, or within a tolerance;
    - a label, a yes or no, a date and everything else: equal;
    - a list: F1 of the best pairing of its items, in any order or in theirs (labels: as a set);
    - a record: the weighted mean of its fields;
    - what may be None: None is right where the gold value is None, and wrong elsewhere. (No list at all is an empty
      list, no record at all one of Nones.)

    Where gold records have a field ``answer_accepted`` beside ``answer``, its values are right too, and the best one
    counts. The fields' own values are kept with the example.
    """

    def __init__(
        self,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
        name: str = "field_match",
    ) -> None:
        super().__init__(in_mask, out_mask)
        self.name = name
        self._compared: dict[str, tuple[Comparison, float]] = {}

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = super().bind(data_model)
        bound._compared = comparisons_of(data_model, bound._fields)
        check_weights(data_model, bound._compared)
        arguments, keywords = self._arguments
        bound._arguments = arguments, {**keywords, "matches": matches_in(data_model)}
        return bound

    async def __call__(self, y_true: Any, y_pred: Any) -> Scored:
        compared = self._compared or self.bind(type(y_true))._compared
        true, pred = y_true.get_json(), y_pred.get_json()
        parts = {
            name: max(one.alike(gold, pred[name]) for gold in accepted(true, name)) if name in pred else 0.0
            for name, (one, weight) in compared.items()
            if weight
        }
        weights = {name: compared[name][1] for name in parts}
        mean = math.fsum(weights[name] * parts[name] for name in parts) / math.fsum(weights.values())
        return Scored(mean, (), parts if len(parts) > 1 else None)

"""F1Score: how many tokens an answer in open text shares with the gold text."""

from __future__ import annotations

import copy
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from types import NoneType
from typing import Any, Self, get_args

import numpy as np
from pydantic import BaseModel

from paretune.errors import UsageError
from paretune.metrics.metric import Array, Metric, Record, mean
from paretune.schemas.masks import Mask

__all__ = ["F1Score", "tokens"]

#: A sign, unless behind a letter, a digit or a closing bracket; digits with points; an exponent.
_NUMBER = re.compile(r"((?:(?<![^\W_])(?<![)\]])[+-](?=\.?\d))?(?<![^\W_])\.?\d+(?:\.\d+)*(?:e[+-]?\d+)?)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SIGNED_MONEY = re.compile(r"([+-])[$€£¥](?=\.?\d)")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")


class F1Score(Metric):
    """F1 over tokens, counted as often as they occur (a multiset), for fields of open text; the mean over examples.

    For one field F1 = 2 c / (g + p), with g tokens in the gold text, p in the prediction, and c in common: the harmonic
    mean of precision c / p and recall c / g. It is 1.0 where both texts have no token, and 0.0 where one of them has
    none, where the prediction lacks the field, and for an invalid output. An example's score is the mean over its
    fields, the metric is the mean over examples (NaN for none), and as a reward it is the example's score.

    The fields are those of type ``str`` (or ``str | None``, where None is an empty text) that the masks keep; a field
    of another type that ``in_mask`` names is refused. How texts are cut into tokens: see ``tokens``.
    """

    name = "f1_score"
    kind = "share"

    def __init__(
        self,
        name: str | None = None,
        in_mask: Sequence[str] | None = None,
        out_mask: Sequence[str] | None = None,
    ) -> None:
        self.name = type(self).name if name is None else name
        self.mask = Mask.of(in_mask, out_mask)
        self.fields: tuple[str, ...] = ()

    def bind(self, data_model: type[BaseModel]) -> Self:
        bound = copy.copy(self)
        kept = self.mask.fields(data_model)
        bound.fields = tuple(name for name in kept if _is_text(data_model.model_fields[name].annotation))
        others = [name for name in kept if name not in bound.fields]
        if not bound.fields or (self.mask.in_mask is not None and others):
            raise UsageError(
                f"{self.name} compares open text; {', '.join(map(repr, others))} of {data_model.__name__!r} is no str "
                "(for labels use CategoricalF1Score, for yes or no BinaryF1Score, for numbers ExactMatch)"
            )
        return bound

    def statistics(self, y_true: Record, y_pred: Record | None) -> Array:
        """The example's score, and 1."""
        found = {} if y_pred is None else y_pred
        scores = [_f1(y_true[name], found[name]) if name in found else 0.0 for name in self.fields]
        return np.array([sum(scores) / len(scores), 1.0])

    def reduce(self, totals: Array) -> Array:
        return mean(totals)


def tokens(text: str) -> list[str]:
    """The words and numbers of a text, in order.

    - Case does not matter (Unicode case folding), nor do forms of the same character (NFKC: full width, ligatures).
    - A number keeps its sign and its decimal points: ``-3.5``, ``+1``, ``.5``, ``2e-5`` and ``2.0.1`` are one token
      each, so that -3.5 is neither 3.5 nor -35. A sign stands right before the number or its currency sign (``-$5`` is
      -5), and not behind a letter, a digit or a closing bracket (``10-20`` is 10 and 20, ``GPT-4`` gpt and 4). The
      minus sign (U+2212) is a hyphen. Numbers are compared as they are written: 3.50 is not 3.5.
    - Commas between thousands are dropped: ``1,234.5`` is 1234.5. A unit is a token of its own: ``5kg`` is 5 and kg.
    - Apostrophes inside words are dropped (``don't`` is dont). All other punctuation and symbols separate tokens and
      are dropped. No word is left out: articles count.
    - Where a language does not separate words (Chinese, Thai), a run of letters is one token.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = _APOSTROPHE.sub("", text.replace("\N{MINUS SIGN}", "-"))
    text = _SIGNED_MONEY.sub(r"\1", _THOUSANDS.sub("", text))
    parts = _NUMBER.split(text)  # words and numbers in turn
    return [token for index, part in enumerate(parts) for token in ([part] if index % 2 else _words(part))]


def _words(text: str) -> list[str]:
    """Runs of letters, digits and the marks that belong to them; invisible format characters are left out."""
    kinds = [(character, unicodedata.category(character)) for character in text]
    return "".join(character if kind[0] in "LMN" else " " for character, kind in kinds if kind != "Cf").split()


def _f1(true: str | None, pred: str | None) -> float:
    gold, found = Counter(tokens(true or "")), Counter(tokens(pred or ""))
    if not gold and not found:
        return 1.0
    return 2 * (gold & found).total() / (gold.total() + found.total())


def _is_text(annotation: Any) -> bool:
    return annotation is str or set(get_args(annotation)) == {str, NoneType}

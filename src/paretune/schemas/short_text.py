"""Short texts compared as in SQuAD: equal but for case, punctuation and articles, or by the words that they share.

As in SQuAD's own evaluation (Rajpurkar et al. 2016) text is lower-cased, punctuation and the words a, an and the are
dropped, and space does not count. Beyond it, a number keeps its sign and its decimal point, which SQuAD drops: 3.5 is
not 35, nor -3 equal to 3. Characters are compared in Unicode's form NFKC.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

__all__ = ["is_same_text", "normalized", "word_f1"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
#: A point between digits or before the first; a sign before a number, also before that of a currency.
_KEPT = re.compile(r"(?<=\d)\.(?=\d)|(?<![\w.])\.(?=\d)|(?<![\w.)\]])[+-](?=[$€£¥]?\.?\d)")


def normalized(text: str) -> str:
    """A text without what does not count in a short answer; ``-$1,234.50`` is ``-1234.50``."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-")
    kept = {found.start() for found in _KEPT.finditer(text)}
    text = "".join(one for place, one in enumerate(text) if place in kept or not _is_punctuation(one))
    return " ".join(_ARTICLES.sub(" ", text).split())


def is_same_text(true: str, given: str) -> bool:
    """Whether two texts are equal once normalized; texts without a word must be equal as they are."""
    return true == given or (normalized(true) != "" and normalized(true) == normalized(given))


def word_f1(true: str, given: str) -> float:
    """F1 of the words of two normalized texts, counted as often as they occur: 2 c / (g + p), with c in common; texts
    without a word must be equal."""
    gold, found = Counter(normalized(true).split()), Counter(normalized(given).split())
    total = gold.total() + found.total()
    return 2 * (gold & found).total() / total if total else float(true == given)


def _is_punctuation(character: str) -> bool:
    """Also the symbols of ASCII, which Python counts among it: $, +, <, =, >, ^, `, |, ~."""
    kind = unicodedata.category(character)
    return kind[0] == "P" or (kind[0] == "S" and (character.isascii() or kind == "Sc"))

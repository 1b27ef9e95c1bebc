"""Masks: which fields take part, and which masks are refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paretune.errors import UsageError
from paretune.schemas.data_model import DataModel
from paretune.schemas.masks import Mask


class Answer(DataModel):
    thinking: str
    answer: float
    unit: str


@pytest.mark.parametrize(
    ("in_mask", "out_mask", "kept"),
    [
        (None, None, ("thinking", "answer", "unit")),
        (["unit", "answer"], None, ("answer", "unit")),  # in the model's order
        (None, ["thinking"], ("answer", "unit")),
        (["answer", "unit"], ["unit"], ("answer",)),
        (None, [], ("thinking", "answer", "unit")),
    ],
)
def test_the_kept_fields(in_mask: Sequence[str] | None, out_mask: Sequence[str] | None, kept: tuple[str, ...]) -> None:
    """in_mask keeps, out_mask drops, and together both hold."""
    assert Mask.of(in_mask, out_mask).fields(Answer) == kept


@pytest.mark.parametrize(
    ("in_mask", "out_mask"), [(["anwser"], None), (None, ["anwser"]), (["answer", "anwser"], None)]
)
def test_a_name_that_is_no_field_is_refused(in_mask: Sequence[str] | None, out_mask: Sequence[str] | None) -> None:
    """The error names the slip and the fields that there are."""
    with pytest.raises(UsageError, match=r"'anwser'.*thinking, answer, unit"):
        Mask.of(in_mask, out_mask).fields(Answer)


@pytest.mark.parametrize(
    ("in_mask", "out_mask"), [([], None), (["unit"], ["unit"]), (None, ["thinking", "answer", "unit"])]
)
def test_a_mask_that_keeps_nothing_is_refused(in_mask: Sequence[str] | None, out_mask: Sequence[str] | None) -> None:
    """Two empty records would be equal, and every answer right."""
    with pytest.raises(UsageError, match="no field"):
        Mask.of(in_mask, out_mask).fields(Answer)


def test_a_bare_string_is_refused() -> None:
    """A string is a sequence of letters, which is never meant."""
    for in_mask, out_mask in (("answer", None), (None, "answer")):
        with pytest.raises(UsageError, match="list of field names"):
            Mask.of(in_mask, out_mask)


@pytest.mark.parametrize("mask", ["answer", 5, True])
def test_a_mask_is_a_list(mask: object) -> None:
    """Anything else is told where it is given."""
    with pytest.raises(UsageError, match="list of field names"):
        Mask.of(mask, None)  # type: ignore[arg-type]

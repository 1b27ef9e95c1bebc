"""FieldMatch and FieldF1: fields by their kinds, None as a value, lists by their best pairing, several answers."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any, Literal

import pytest

from paretune import DataModel, Field
from paretune.errors import UsageError
from paretune.metrics import FieldF1
from paretune.rewards import FieldMatch, Match


class Item(DataModel):
    what: str
    amount: Annotated[float, Match(tolerance=0.01)]


class Invoice(DataModel):
    vendor: Annotated[str, Match(text="f1")] = "Acme"
    total: Annotated[float, Match(relative=0.1, weight=2)] = 10.0
    day: date = date(2024, 5, 31)
    paid: bool | None = None
    tags: list[Literal["a", "b", "c"]] = Field(default=[])
    items: list[Item] = Field(default=[])


RIGHT = Invoice(tags=["a", "b"], items=[Item(what="desk", amount=5), Item(what="lamp", amount=5)])


def scored(pred: Any, true: Any = RIGHT, **options: Any) -> Any:
    """The reward of a prediction."""
    reward = FieldMatch(**options).bind(type(true))
    return asyncio.run(reward(true, pred))  # type: ignore[arg-type]


def changed(**values: Any) -> Invoice:
    return RIGHT.model_copy(update=values)


@pytest.mark.parametrize(
    ("change", "name", "part"),
    [
        ({"vendor": "the ACME"}, "vendor", 1.0),
        ({"vendor": "Acme Ltd"}, "vendor", 2 / 3),  # acme in common, of 1 + 2 words
        ({"total": 11.0}, "total", 1.0),
        ({"total": 11.01}, "total", 0.0),
        ({"day": date(2024, 6, 1)}, "day", 0.0),
        ({"paid": False}, "paid", 0.0),
        ({"tags": ["b", "a", "a"]}, "tags", 1.0),  # labels are a set
        ({"tags": ["a", "c"]}, "tags", 0.5),
        ({"tags": []}, "tags", 0.0),
        ({"items": RIGHT.items[::-1]}, "items", 1.0),
        ({"items": RIGHT.items[:1]}, "items", 2 / 3),
        ({"items": [Item(what="desk", amount=9), RIGHT.items[1]]}, "items", 0.75),  # half of one item: 2 * 1.5 / 4
        ({"items": [Item(what="Desk.", amount=5.01), RIGHT.items[1]]}, "items", 1.0),
    ],
)
def test_each_field_by_its_kind(change: dict[str, Any], name: str, part: float) -> None:
    """The part of the field, and the weighted mean of all: six fields, of which one counts twice."""
    reward = scored(changed(**change))
    weight = 2 if name == "total" else 1
    assert reward.parts[name] == pytest.approx(part)
    assert reward == pytest.approx(1 - weight * (1 - part) / 7)


class Answer(DataModel):
    numbers: Annotated[list[int], Match(ordered=True)]
    both: Annotated[list[int], Match(partial=False)] = Field(default=[])
    note: Annotated[str | None, Match(weight=0)] = None


def test_order_and_all_or_nothing_where_declared() -> None:
    """[1, 2] for [2, 1] has one item in order; two of three are nothing; a weight of 0 counts nothing."""
    gold = Answer(numbers=[2, 1], both=[1, 2, 3], note="x")
    reward = scored(Answer(numbers=[1, 2], both=[3, 2], note=None), gold)
    assert reward.parts == {"numbers": 0.5, "both": 0.0}
    assert scored(Answer(numbers=[2, 1], both=[3, 2, 1]), gold) == 1.0


@pytest.mark.parametrize(("gold", "pred", "right"), [(1.1, 1.11, True), (1.1, 1.1101, False), (-5, -5.01, True)])
def test_a_tolerance_is_that_of_the_decimals(gold: float, pred: float, right: bool) -> None:
    """1.11 - 1.1 is a little more than 0.01 in binary numbers, and 0.01 all the same."""
    assert scored(Item(what="x", amount=pred), Item(what="x", amount=gold)) == (1.0 if right else 0.5)


class Buyer(DataModel):
    name: str | None = None
    city: str | None = None


class Order(DataModel):
    buyer: Buyer | None = None
    tags: list[str] | None = None


@pytest.mark.parametrize(
    ("pred", "reward"),
    [
        (Order(), 1.0),
        (Order(tags=[]), 1.0),  # no list at all is an empty one
        (Order(buyer=Buyer()), 1.0),  # no record is one of nothing but nulls
        (Order(tags=["x"]), 0.5),
        (Order(buyer=Buyer(name="x")), 0.75),
    ],
)
def test_null_is_a_value(pred: Order, reward: float) -> None:
    """A gold of null wants a reply of null."""
    assert scored(pred, Order()) == reward
    assert (FieldF1()([Order()], [pred]) == 1.0) == (reward == 1.0)


class Gold(DataModel):
    answer: Annotated[str, Match(text="f1")]
    answer_accepted: list[str] = Field(default=[])


class Reply(DataModel):
    answer: Annotated[str, Match(text="f1")]


def test_the_best_of_several_right_answers_counts() -> None:
    """A prediction has no field of that name, and needs none."""
    gold = Gold(answer="Peking", answer_accepted=["Beijing", "city of Beijing"])
    reward = FieldMatch(in_mask=["answer"]).bind(Reply)
    for text, value in (("beijing", 1.0), ("Peking", 1.0), ("the city", 0.5), ("Rome", 0.0)):  # 2 * 1 / (1 + 3)
        assert asyncio.run(reward(gold, Reply(answer=text))) == value  # type: ignore[arg-type]
        assert FieldF1(in_mask=["answer"])([gold], [Reply(answer=text)]) == value


def test_f1_by_hand() -> None:
    """Two examples: of the gold values 2 tags, 2 items, vendor, total and day each (7), and 4 in the second; the first
    reply has all but one tag and a paid too many (7 given, 6 right), the second is invalid: 12 / (7 + 4 + 7)."""
    second = Invoice(tags=["c"])
    first = changed(tags=["a"], paid=True)
    assert FieldF1()([RIGHT, second], [first, None]) == pytest.approx(12 / 18)
    values = FieldF1(average=None)([RIGHT, second], [first, None])
    # vendor, total, day: 2 / 3 (one of two found); paid: 0 of 1 given; tags: 2 / (3 + 1); items: 4 / 4
    assert values == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0.0, 0.5, 1.0])
    assert FieldF1(average="macro")([RIGHT, second], [first, None]) == pytest.approx(sum(values) / 6)


def test_the_identity_of_a_scorer_names_what_the_fields_say() -> None:
    """Another tolerance is another reward, or trials that are scored already would keep their scores."""

    def amount(tolerance: float) -> type[DataModel]:
        class Amount(DataModel):
            amount: Annotated[float, Match(tolerance=tolerance)]

        return Amount

    for scorer in (FieldMatch(), FieldF1()):
        one, same, other = (scorer.bind(amount(tolerance))._arguments for tolerance in (0.1, 0.1, 0.2))
        assert one == same != other


def test_what_cannot_be_compared_is_refused() -> None:
    """No field with a weight, a negative tolerance, an average that is none."""

    class Nothing(DataModel):
        note: Annotated[str, Match(weight=0)]

    with pytest.raises(UsageError, match="give one of note a weight above 0"):
        FieldMatch().bind(Nothing)
    with pytest.raises(UsageError, match="tolerance must be a number from 0"):
        Match(tolerance=-1)
    with pytest.raises(UsageError, match="average must be"):
        FieldF1(average="weighted")  # type: ignore[arg-type]

"""Precision, recall, F1 and accuracy: by hand, at the edges, and against scikit-learn on random inputs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import date
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import create_model
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from paretune.errors import UsageError
from paretune.metrics import (
    BinaryAccuracy,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    CategoricalAccuracy,
    CategoricalF1Score,
    CategoricalPrecision,
    CategoricalRecall,
)
from paretune.metrics.classification import Average
from paretune.rewards.reward import as_reward
from paretune.schemas.data_model import SCORES, DataModel, Field, Score

LABELS = ("sadness", "joy", "love", "anger")
AVERAGES: tuple[Average, ...] = ("micro", "macro", "weighted", None)
IMPOSSIBLE = "no label at all"
#: scikit-learn's function and ours, for one label an example and for one yes or no a class.
QUOTIENTS = [
    (precision_score, CategoricalPrecision, BinaryPrecision),
    (recall_score, CategoricalRecall, BinaryRecall),
    (f1_score, CategoricalF1Score, BinaryF1Score),
]


class Categorical(DataModel):
    label: Literal["sadness", "joy", "love", "anger"]


class Booleans(DataModel):
    sadness: bool
    joy: bool
    love: bool
    anger: bool


class Scores(DataModel):
    sadness: Score
    joy: Score
    love: Score
    anger: Score


class Confidences(DataModel):
    sadness: float
    joy: float


class WithThinking(Categorical):
    thinking: str


def categorical(label: str | None) -> Categorical | None:
    return None if label is None else Categorical(label=label)  # type: ignore[arg-type]


def booleans(positive: list[bool] | None) -> Booleans | None:
    return None if positive is None else Booleans(**dict(zip(LABELS, positive, strict=True)))


def scores(values: list[float] | None) -> Scores | None:
    return None if values is None else Scores(**dict(zip(LABELS, values, strict=True)))


def one_hot(label: str | None) -> list[bool] | None:
    return None if label is None else [label == each for each in LABELS]


average = st.sampled_from(AVERAGES)
quotient = st.sampled_from(QUOTIENTS)
label_pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.none() | st.sampled_from(LABELS)), min_size=1, max_size=30)
flags = st.lists(st.booleans(), min_size=4, max_size=4)
flag_pairs = st.lists(st.tuples(flags, st.none() | flags), min_size=1, max_size=20)
score_pairs = st.lists(
    st.tuples(*[st.lists(st.sampled_from(SCORES), min_size=4, max_size=4)] * 2), min_size=1, max_size=20
)


@given(label_pairs, average, quotient)
@settings(max_examples=100, deadline=None)
def test_one_label_an_example_agrees_with_scikit_learn(
    pairs: list[tuple[str, str | None]], average: Average, quotient: Any
) -> None:
    """An invalid output is a label that is never right: a miss, and no false alarm of any class."""
    true, pred = zip(*pairs, strict=True)
    theirs, ours, _ = quotient
    found = ours(average)([categorical(each) for each in true], [categorical(each) for each in pred])
    wanted = theirs(true, [each or IMPOSSIBLE for each in pred], labels=LABELS, average=average, zero_division=0)
    assert found == pytest.approx(wanted)


@given(flag_pairs, average, quotient)
@settings(max_examples=100, deadline=None)
def test_one_yes_or_no_a_class_agrees_with_scikit_learn(
    pairs: list[tuple[list[bool], list[bool] | None]], average: Average, quotient: Any
) -> None:
    """An invalid output predicts nothing: every gold positive is missed."""
    true, pred = zip(*pairs, strict=True)
    theirs, _, ours = quotient
    found = ours(average)([booleans(each) for each in true], [booleans(each) for each in pred])
    wanted = theirs(
        np.array(true, int), np.array([each or [False] * 4 for each in pred], int), average=average, zero_division=0
    )
    assert found == pytest.approx(wanted)


@given(score_pairs, average, quotient, st.sampled_from([0.0, 0.3, 0.5, 0.95]))
@settings(max_examples=80, deadline=None)
def test_one_score_a_class_agrees_with_scikit_learn(
    pairs: list[tuple[list[float], list[float]]], average: Average, quotient: Any, threshold: float
) -> None:
    """Scores are cut at the threshold, strictly, in the gold and in the predicted record."""
    true, pred = (np.array(each) for each in zip(*pairs, strict=True))
    theirs, _, ours = quotient
    found = ours(average, threshold)([scores(list(each)) for each in true], [scores(list(each)) for each in pred])
    wanted = theirs((true > threshold) * 1, (pred > threshold) * 1, average=average, zero_division=0)
    assert found == pytest.approx(wanted)


@given(label_pairs)
@settings(max_examples=50, deadline=None)
def test_categorical_accuracy_agrees_with_scikit_learn(pairs: list[tuple[str, str | None]]) -> None:
    """In the micro average (and by support) it is plain accuracy; by label, the accuracy on the label's examples."""
    true, pred = zip(*pairs, strict=True)
    arguments = ([categorical(each) for each in true], [categorical(each) for each in pred])
    plain = accuracy_score(true, [each or IMPOSSIBLE for each in pred])
    assert CategoricalAccuracy("micro")(*arguments) == pytest.approx(plain)
    assert CategoricalAccuracy("weighted")(*arguments) == pytest.approx(plain)
    by_label = CategoricalAccuracy()(*arguments)
    for label, found in zip(LABELS, by_label, strict=True):
        own = [(gold, each or IMPOSSIBLE) for gold, each in pairs if gold == label]
        assert found == pytest.approx(accuracy_score(*zip(*own, strict=True)) if own else 0.0)
    assert CategoricalAccuracy("macro")(*arguments) == pytest.approx(sum(by_label) / 4)


@given(flag_pairs)
@settings(max_examples=50, deadline=None)
def test_binary_accuracy_agrees_with_scikit_learn(pairs: list[tuple[list[bool], list[bool] | None]]) -> None:
    """By class and over all decisions; an invalid output has every decision wrong, whatever is right."""
    true, pred = zip(*pairs, strict=True)
    arguments = ([booleans(each) for each in true], [booleans(each) for each in pred])
    gold = np.array(true)
    said = np.array([~np.array(right) if each is None else each for right, each in zip(true, pred, strict=True)])
    by_class = [accuracy_score(gold[:, index], said[:, index]) for index in range(4)]
    assert BinaryAccuracy()(*arguments) == pytest.approx(by_class)
    assert BinaryAccuracy("macro")(*arguments) == pytest.approx(np.mean(by_class))
    assert BinaryAccuracy("micro")(*arguments) == pytest.approx(accuracy_score(gold.ravel(), said.ravel()))
    support = gold.sum(axis=0)
    weighted = float(support @ by_class) / support.sum() if support.any() else 0.0
    assert BinaryAccuracy("weighted")(*arguments) == pytest.approx(weighted)


@given(flags, st.none() | flags, average, quotient)
@settings(max_examples=80, deadline=None)
def test_the_reward_of_one_example(true: list[bool], pred: list[bool] | None, average: Average, quotient: Any) -> None:
    """Whatever the average, one example is scored by its own positives: scikit-learn's "samples"."""
    theirs, _, ours = quotient
    metric = ours(average).bind(Booleans)
    found = metric.reward(dict(zip(LABELS, true, strict=True)), pred and dict(zip(LABELS, pred, strict=True)))
    if pred is None:
        assert found == 0
    else:  # an example is right that has no positives and predicts none; saying nothing else is never right
        nothing = not any(true) and not any(pred)
        assert found == pytest.approx(
            theirs([[*map(int, true)]], [[*map(int, pred)]], average="samples", zero_division=int(nothing))
        )


@pytest.mark.parametrize(
    ("pred", "reward"),
    [([1, 0, 0, 0], 1.0), ([1, 1, 0, 0], 0.75), ([0, 0, 0, 0], 0.75), ([0, 1, 1, 1], 0.0), (None, 0.0)],
)
def test_the_reward_by_binary_accuracy(pred: list[int] | None, reward: float) -> None:
    """The share of an example's own decisions that are right; none of an invalid output."""
    metric = BinaryAccuracy("macro").bind(Booleans)
    gold = dict.fromkeys(LABELS, False) | {"sadness": True}
    assert metric.reward(gold, pred and dict(zip(LABELS, map(bool, pred), strict=True))) == reward


@given(label_pairs)
@settings(max_examples=50, deadline=None)
def test_the_reward_of_one_label(pairs: list[tuple[str, str | None]]) -> None:
    """With one label the reward is 1 for a hit and 0 otherwise, and the mean reward is the accuracy."""
    for kind in (CategoricalPrecision, CategoricalRecall, CategoricalF1Score, CategoricalAccuracy):
        metric = kind("macro").bind(Categorical)
        for true, pred in pairs:
            assert metric.reward({"label": true}, None if pred is None else {"label": pred}) == (true == pred)


def test_by_hand() -> None:
    """Three classes of four appear: sadness is found, joy half found, love never, anger is in no record."""
    true = ["sadness", "joy", "joy", "love"]
    pred = ["sadness", "joy", "sadness", None]
    arguments = ([categorical(each) for each in true], [categorical(each) for each in pred])
    # sadness: tp 1, fp 1, fn 0: 2/3; joy: tp 1, fp 0, fn 1: 2/3; love: fn 1: 0; anger: nothing: 0
    assert CategoricalF1Score()(*arguments) == pytest.approx([2 / 3, 2 / 3, 0, 0])
    assert CategoricalF1Score("macro")(*arguments) == pytest.approx(4 / 3 / 4)
    # by support 1, 2, 1: (2/3 + 2 * 2/3 + 0)/4 = 1/2
    assert CategoricalF1Score("weighted")(*arguments) == pytest.approx(0.5)
    # tp 2, fp 1, fn 2: 4/(4 + 1 + 2)
    assert CategoricalF1Score("micro")(*arguments) == pytest.approx(4 / 7)
    # sadness is right once of twice, joy whenever it is said; two of the three labels given are right
    assert CategoricalPrecision()(*arguments) == pytest.approx([1 / 2, 1, 0, 0])
    assert CategoricalPrecision("micro")(*arguments) == pytest.approx(2 / 3)
    # the one sadness and one of two joys are found; two of four examples are right
    assert CategoricalRecall()(*arguments) == pytest.approx([1, 1 / 2, 0, 0])
    assert CategoricalAccuracy("micro")(*arguments) == pytest.approx(2 / 4)
    assert CategoricalAccuracy("macro")(*arguments) == pytest.approx(1.5 / 4)
    flags = ([booleans(one_hot(each)) for each in true], [booleans(one_hot(each)) for each in pred])
    # right decisions of four: sadness 2, joy 2, love 3, anger 3; the invalid output decides nothing rightly
    assert BinaryAccuracy()(*flags) == pytest.approx([2 / 4, 2 / 4, 3 / 4, 3 / 4])
    # by support 1, 2, 1: (1/2 + 2 * 1/2 + 3/4)/4
    assert BinaryAccuracy("weighted")(*flags) == pytest.approx(2.25 / 4)


def test_the_majority_answer_has_a_low_macro_f1_in_every_layout() -> None:
    """Always "joy" on 70 % joy: accuracy 0.7, but macro-F1 is a fifth, and the same number in all three layouts."""
    true = ["joy"] * 70 + ["sadness"] * 10 + ["love"] * 10 + ["anger"] * 10
    layouts: list[tuple[Any, list[Any], Any]] = [
        (CategoricalF1Score("macro"), [categorical(each) for each in true], categorical("joy")),
        (BinaryF1Score("macro"), [booleans(one_hot(each)) for each in true], booleans(one_hot("joy"))),
        (
            BinaryF1Score("macro"),
            [scores([float(flag) for flag in one_hot(each) or ()]) for each in true],
            scores([0.1, 0.7, 0.5, 0.0]),
        ),
    ]
    for metric, gold, joy in layouts:
        # joy: tp 70, fp 30: 140/170; the three others 0
        assert metric(gold, [joy] * 100) == pytest.approx(140 / 170 / 4)
    accuracy = CategoricalF1Score("micro")([categorical(each) for each in true], [categorical("joy")] * 100)
    assert accuracy == pytest.approx(0.7)


@given(label_pairs, average, quotient)
@settings(max_examples=60, deadline=None)
def test_categorical_and_booleans_layouts_agree(
    pairs: list[tuple[str, str | None]], average: Average, quotient: Any
) -> None:
    """The same answers are worth the same, as one label or as one yes a label."""
    true, pred = zip(*pairs, strict=True)
    _, of_labels, of_flags = quotient
    as_label = of_labels(average)([categorical(each) for each in true], [categorical(each) for each in pred])
    as_flags = of_flags(average)([booleans(one_hot(each)) for each in true], [booleans(one_hot(each)) for each in pred])
    assert as_label == pytest.approx(as_flags)


@pytest.mark.parametrize(("value", "positive"), [(0.5, False), (0.6, True), (0.4, False)])
def test_the_threshold_is_strict(value: float, positive: bool) -> None:
    """A score of exactly the threshold is negative."""
    gold, pred = Confidences(sadness=1, joy=0), Confidences(sadness=value, joy=0.5)
    assert BinaryF1Score(threshold=0.5)([gold], [pred]) == [float(positive), 0.0]


def test_one_value_a_class_in_field_order() -> None:
    """Without an average there is a value for each class, in the order of the fields or of the literal."""
    gold, pred = booleans([True, True, False, False]), booleans([True, False, True, False])
    assert BinaryF1Score()([gold], [pred]) == [1.0, 0.0, 0.0, 0.0]
    assert not BinaryF1Score().scalar and BinaryF1Score("macro").scalar
    assert BinaryF1Score().bind(Booleans).classes == CategoricalF1Score().bind(Categorical).classes == LABELS


def test_masks_choose_the_classes() -> None:
    """A dropped class counts nowhere; the field to score is chosen by name."""
    gold, pred = booleans([True, False, False, True]), booleans([True, False, False, False])
    assert BinaryF1Score("macro", out_mask=["love", "anger"])([gold], [pred]) == 0.5
    assert BinaryF1Score(in_mask=["anger", "sadness"])([gold], [pred]) == [1.0, 0.0]
    thoughtful = WithThinking(label="joy", thinking="?")
    assert CategoricalF1Score("micro", in_mask=["label"])([thoughtful], [thoughtful]) == 1.0


def test_labels_of_an_open_field_are_given() -> None:
    """A str field has no labels of its own; others than those given belong to no class."""

    class Open(DataModel):
        word: str

    gold, pred = [Open(word="a"), Open(word="b")], [Open(word="a"), Open(word="c")]
    assert CategoricalF1Score(labels=["b", "a"])(gold, pred) == [0.0, 1.0]
    with pytest.raises(UsageError, match="labels="):
        CategoricalF1Score().bind(Open)


def test_a_prediction_may_have_more_fields_than_the_gold_record() -> None:
    """Thinking is no part of what is scored."""
    gold, pred = Categorical(label="joy"), WithThinking(label="joy", thinking="hm")
    assert CategoricalF1Score("micro")([gold], [pred]) == 1.0


def test_no_example_has_no_score() -> None:
    """Summed over nothing the score is NaN in every form, never a silent 0; also among other totals at once."""
    for kind, each in [(CategoricalF1Score, each) for each in AVERAGES] + [(CategoricalAccuracy, "micro")]:
        metric = kind(each).bind(Categorical)
        hit = metric.statistics({"label": "joy"}, {"label": "joy"})
        found = metric.reduce(np.stack([np.zeros_like(hit), hit]))
        assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
    with pytest.raises(UsageError):
        CategoricalF1Score()([], [])


def test_as_many_predictions_as_examples() -> None:
    """A missing prediction is an error, not a shorter list."""
    with pytest.raises(UsageError, match="got 2 and 1"):
        CategoricalF1Score()([Categorical(label="joy")] * 2, [None])


@pytest.mark.parametrize(
    ("metric", "model", "reason"),
    [
        (BinaryF1Score("macro"), Categorical, "CategoricalF1Score"),
        (BinaryRecall("macro"), Categorical, "CategoricalRecall"),
        (CategoricalF1Score("macro"), Booleans, "in_mask"),
        (CategoricalAccuracy("micro"), Booleans, "in_mask"),
        (BinaryF1Score("macro", in_mask=["jooy"]), Booleans, "'jooy'"),
        (CategoricalF1Score("macro", out_mask=["label"]), Categorical, "no field"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_at_bind(metric: Any, model: type[DataModel], reason: str) -> None:
    """Before any call is paid for, the error says what to use instead."""
    with pytest.raises(UsageError, match=reason):
        metric.bind(model)


def test_an_unknown_average_is_refused() -> None:
    """A slip in the average is told from the start."""
    with pytest.raises(UsageError, match="'makro'"):
        BinaryF1Score("makro")  # type: ignore[arg-type]


def test_binding_leaves_the_metric_as_it_was() -> None:
    """One metric object serves several programs."""
    metrics = {CategoricalF1Score("macro"): Categorical, BinaryF1Score("macro"): Booleans}
    for metric, model in metrics.items():
        assert metric.bind(model).classes == LABELS
        assert metric.classes == ()


def test_a_metric_as_a_reward_has_no_state() -> None:
    """Each example is scored alone: in any order, and again, the rewards are the same."""
    reward = as_reward(BinaryF1Score("macro")).bind(Booleans)
    rng = np.random.default_rng(0)
    pairs = [(booleans(list(rng.random(4) < 0.5)), booleans(list(rng.random(4) < 0.5))) for _ in range(20)]

    async def run(order: list[int]) -> dict[int, float]:
        return {index: await reward(*pairs[index]) for index in order}

    forwards, backwards = asyncio.run(run(list(range(20)))), asyncio.run(run(list(range(20))[::-1]))
    assert forwards == backwards
    assert len(set(forwards.values())) > 2


def test_each_metric_has_a_name_of_its_own() -> None:
    """Two metrics of one program can be told apart without naming them; a given name goes before."""
    kinds = [kind for _, *both in QUOTIENTS for kind in both] + [BinaryAccuracy, CategoricalAccuracy]
    names = {kind().name for kind in kinds}
    assert len(names) == 8 and {"binary_f1_score", "categorical_recall", "binary_accuracy"} <= names
    assert CategoricalRecall("macro", name="recall").name == "recall" and CategoricalRecall().name != "recall"


class Mood(Enum):
    SADNESS = "sadness"
    JOY = "joy"
    LOVE = "love"
    ANGER = "anger"


class Stars(IntEnum):
    ONE = 1
    TWO = 2


Labels = Literal["sadness", "joy", "love", "anger"]
MANY: list[Any] = [
    list[Labels],
    set[Labels],
    frozenset[Mood],
    tuple[Labels, ...],
    Sequence[Mood],
    list[Mood] | None,
    Annotated[list[Labels], Field(max_length=99)],
]


def of_type(annotation: Any) -> type[DataModel]:
    return create_model("Record", __base__=DataModel, field=(annotation, ...))


label_sets = st.lists(st.sampled_from(LABELS), max_size=6)


@given(
    st.lists(st.tuples(label_sets, st.none() | label_sets), min_size=1, max_size=15),
    st.sampled_from(MANY), average, quotient, st.none() | st.permutations(LABELS),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_several_labels_an_example_agree_with_scikit_learn(
    pairs: list[tuple[list[str], list[str] | None]], annotation: Any, average: Average, quotient: Any, labels: Any
) -> None:
    """A list is the set of its labels, whatever holds them and how often: scikit-learn's multilabel indicators, in the
    order of the labels that are given."""
    theirs, ours, binary = quotient
    model, order = of_type(annotation), labels or LABELS
    true, pred = zip(*pairs, strict=True)
    found = ours(average, labels=labels)(
        [model(field=each) for each in true], [None if each is None else model(field=each) for each in pred]
    )
    matrices = [np.array([[label in (each or ()) for label in order] for each in some], int) for some in (true, pred)]
    assert found == pytest.approx(theirs(*matrices, average=average, zero_division=0))
    flags = [[None if e is None else booleans([label in e for label in LABELS]) for e in some] for some in (true, pred)]
    if labels is None:
        assert found == pytest.approx(binary(average)(*flags))
        accuracy = CategoricalAccuracy(average)(
            [model(field=each) for each in true], [None if each is None else model(field=each) for each in pred]
        )
        assert accuracy == pytest.approx(BinaryAccuracy(average)(*flags))


@given(st.lists(st.tuples(*[st.none() | st.sampled_from(LABELS)] * 2), min_size=1), average, quotient,
       st.sampled_from([Labels | None, Mood | None, Literal["sadness", "joy", "love", "anger", None]]))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_none_is_a_label_like_the_others(pairs: Any, average: Average, quotient: Any, annotation: Any) -> None:
    """As scikit-learn scores them with a further label for it, which the labels that are given may leave out."""
    theirs, ours, _ = quotient
    model = of_type(annotation)
    true, pred = zip(*pairs, strict=True)
    records = [[model(field=each) for each in some] for some in (true, pred)]
    words = [[each or "none" for each in some] for some in (true, pred)]
    wanted = theirs(*words, labels=[*LABELS, "none"], average=average, zero_division=0)
    assert ours(average)(*records) == pytest.approx(wanted)
    wanted = theirs(*words, labels=LABELS, average=average, zero_division=0)
    assert ours(average, labels=LABELS)(*records) == pytest.approx(wanted)


def test_no_list_is_an_empty_one() -> None:
    """Where a list may be None, that means no label, in the gold record and in the prediction."""
    model = of_type(list[Mood] | None)
    metric = CategoricalF1Score("micro")
    assert metric.bind(model).classes == LABELS
    assert metric.bind(model).reward({"field": None}, {"field": []}) == 1.0
    assert metric.bind(model).reward({"field": None}, {"field": ["joy"]}) == 0.0


def test_the_reward_of_several_labels() -> None:
    """One example by its own labels; accuracy is the share of right decisions."""
    model = of_type(list[Labels])
    gold, pred = {"field": ["joy", "love", "joy"]}, {"field": ["love", "anger"]}
    # love is right, anger is not, joy is missed: tp 1, fp 1, fn 1; sadness is rightly not said
    assert CategoricalF1Score("macro").bind(model).reward(gold, pred) == 0.5
    assert CategoricalAccuracy("micro").bind(model).reward(gold, pred) == 2 / 4
    assert CategoricalAccuracy("micro").bind(model).reward(gold, None) == 0.0


@pytest.mark.parametrize(
    ("annotation", "labels", "classes"),
    [
        (Mood, None, LABELS), (Mood, ["joy", Mood.LOVE], ("joy", "love")), (Stars, None, (1, 2)),
        (Stars, [Stars.TWO], (2,)),
        (Literal[True, 1], None, (True, 1)), (bool, [False, True], (False, True)), (list[str], ["b", "a"], ("b", "a")),
        (date, [date(2020, 1, 1), "2021-01-01"], ("2020-01-01", "2021-01-01")), (float, [1], (1,)),
        (Literal["a"] | int | None, ["a", 3, None], ("a", 3, None)), (list[Literal["a"] | None], None, ("a", None)),
    ],
)  # fmt: skip
def test_the_labels_of_a_field(annotation: Any, labels: Any, classes: tuple[Any, ...]) -> None:
    """As JSON has them, in the order that is given; perfect predictions score 1."""
    model = of_type(annotation)
    bound = CategoricalF1Score("macro", labels=labels).bind(model)
    assert bound.classes == classes
    many = "list" in str(annotation)
    gold = [model(field=[each] if many else each) for each in classes]
    assert CategoricalF1Score("macro", labels=labels)(gold, gold) == 1.0


@pytest.mark.parametrize(
    ("annotation", "labels", "reason"),
    [
        (Labels, ["Joy"], "'Joy' is no value of 'field'.*'sadness', 'joy'"),
        (list[Labels], ["joy", "happy"], "'happy'"),
        (Mood, ["JOY"], "'JOY'"), (Stars, ["1"], "'1'"), (Stars, [True], "True"), (int, ["1"], "'1'"), (str, [1], "1"),
        (bool, ["yes"], "'yes'"), (Labels, [None], "None"), (Labels, ["joy", "joy"], "each given once"),
        (Labels, [], "must be some"), (Labels, "joy", "must be a list"), (date, ["soon"], "'soon'"),
        (Annotated[int, Field(ge=1)], [0], "0"), (list[list[Labels]], None, "labels="),
        (tuple[Mood, Mood], None, "labels="),
        (dict[str, Labels], None, "labels="), (Labels | list[Labels], None, "labels="), (bool, None, "labels="),
        (str | None, None, "labels="),
    ],
)  # fmt: skip
def test_labels_that_a_field_cannot_have_are_refused(annotation: Any, labels: Any, reason: str) -> None:
    """They would score 0 in silence; the error says what the field can be."""
    with pytest.raises(UsageError, match=reason):
        CategoricalF1Score("macro", labels=labels).bind(of_type(annotation))


@pytest.mark.parametrize("annotation", [bool | None, Score | None, int, Literal[True, False], list[bool]])
def test_binary_metrics_need_a_decision(annotation: Any) -> None:
    """None is neither yes nor no, and a number of things is no decision."""
    with pytest.raises(UsageError, match="bool, Score or float"):
        BinaryF1Score("macro").bind(of_type(annotation))


def test_records_are_compared() -> None:
    """Bare labels are told; nor is a threshold anything but a number."""
    with pytest.raises(UsageError, match="got a str"):
        CategoricalF1Score("macro")(["joy"], ["joy"])
    for threshold in (None, "0.5", math.nan):
        with pytest.raises(UsageError, match="threshold"):
            BinaryF1Score("macro", threshold)  # type: ignore[arg-type]

"""Cutting examples in two: exact sizes, nothing lost, order kept."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_CEILING, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.datasets import split_indices, split_train_test
from paretune.errors import UsageError

SIZES = st.integers(2, 500)
SHARES = st.integers(1, 999).map(lambda thousandths: thousandths / 1000)


def validation_size(n: int, share: float) -> int:
    """The slow twin: decimal arithmetic on the number as it is written."""
    return int((n * Decimal(str(share))).to_integral_value(ROUND_CEILING))


@given(SIZES, SHARES)
def test_head_and_tail_are_exact(n: int, share: float) -> None:
    """Both parts together are the input in its order, with the sizes of decimal arithmetic."""
    x, y = np.arange(n), np.arange(n) * 2
    if validation_size(n, share) == n:
        with pytest.raises(UsageError, match="neither part may be empty"):
            split_train_test(x, y, share)
        return
    (x_train, y_train), (x_val, y_val) = split_train_test(x, y, validation_split=share)
    assert len(x_val) == validation_size(n, share)
    assert np.array_equal(np.concatenate([x_train, x_val]), x)
    assert np.array_equal(np.concatenate([y_train, y_val]), y)


def test_nine_tenths_of_ten_leave_one() -> None:
    """1 - 0.9 is 0.09999999999999998 in floating point, and ten times that is below one."""
    (train,), (val,) = split_train_test(np.arange(10), validation_split=0.9)
    assert (len(train), len(val)) == (1, 9)


@given(SIZES, SHARES, st.booleans(), st.integers(0, 5), st.data())
def test_indices_are_disjoint_complete_and_ordered(
    n: int, share: float, shuffle: bool, seed: int, data: st.DataObject
) -> None:
    """Every way of choosing gives exact sizes, each position once, ascending in both parts."""
    size = validation_size(n, share)
    if size == n:
        return
    classes = data.draw(st.none() | st.lists(st.integers(0, 3), min_size=n, max_size=n))
    if classes is not None and len(set(classes)) > size:
        with pytest.raises(UsageError, match="cannot stratify"):
            split_indices(n, share, shuffle=shuffle, seed=seed, stratify=classes)
        return
    train, val = split_indices(n, share, shuffle=shuffle, seed=seed, stratify=classes)
    assert len(val) == size
    assert sorted([*train, *val]) == list(range(n))
    assert list(train) == sorted(train)
    assert list(val) == sorted(val)
    if classes is not None:
        given_, chosen = Counter(classes), Counter(classes[i] for i in val)
        assert all(abs(chosen[label] - given_[label] * share) < 1 for label in given_)
    again = split_indices(n, share, shuffle=shuffle, seed=seed, stratify=classes)
    assert np.array_equal(val, again[1])


def test_without_shuffle_the_indices_are_head_and_tail() -> None:
    """The pipeline's plain cut is the library's plain cut."""
    train, val = split_indices(10, 0.3)
    assert (train.tolist(), val.tolist()) == ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9])


def test_seeds_differ() -> None:
    """Another seed chooses other examples, and seed 0 is a seed."""
    parts = {tuple(split_indices(100, 0.2, shuffle=True, seed=seed)[1].tolist()) for seed in (0, 1, 2)}
    assert len(parts) == 3


def test_stratify_by_hand() -> None:
    """6 a, 3 b, 1 c at 0.3: quotas 1.8, 0.9, 0.3 give 2, 1, 0 of three, from the tail of each class."""
    train, val = split_indices(10, 0.3, stratify=list("aaaaaabbbc"))
    assert val.tolist() == [4, 5, 8]
    assert train.tolist() == [0, 1, 2, 3, 6, 7, 9]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_outside_is_refused(share: float) -> None:
    """The rule and the value are both said."""
    with pytest.raises(UsageError, match=r"must be > 0 and < 1 \(got"):
        split_train_test([1, 2, 3], [1, 2, 3], share)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_examples(n: int) -> None:
    """One example cannot be in two parts."""
    with pytest.raises(UsageError, match="neither part may be empty"):
        split_train_test([1] * n, [1] * n)


def test_lengths_must_agree() -> None:
    """x and y belong together, example by example."""
    with pytest.raises(UsageError, match="same length"):
        split_train_test([1, 2, 3], [1, 2])

"""Cut examples into a training and a validation part: exact, and the same each time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from paretune.errors import UsageError

__all__ = ["split_indices", "split_train_test"]

Indices = npt.NDArray[np.int64]


def split_train_test(
    x: npt.NDArray[Any] | Sequence[Any],
    y: npt.NDArray[Any] | Sequence[Any] | None = None,
    validation_split: float = 0.2,
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Cut at one place: ``((x_train, y_train), (x_val, y_val))``, the head and the tail, order kept.

    Of n examples the head gets the whole number of ``n * (1 - validation_split)``, calculated exactly with
    the decimal number as it is written (0.9 of 10 leaves 1), and the tail the rest. Without ``y``:
    ``((x_train,), (x_val,))``. Parts are slices of what was given, shape (n_train,) and (n_val,).

    Raises UsageError when ``x`` and ``y`` differ in length, when ``validation_split`` is not between 0 and 1,
    or when a part would be empty.
    """
    if y is not None and len(x) != len(y):
        raise UsageError(f"x and y must have the same length (got {len(x)} and {len(y)})")
    cut = len(x) - _validation_size(len(x), validation_split)
    columns = (x,) if y is None else (x, y)
    return tuple(column[:cut] for column in columns), tuple(column[cut:] for column in columns)


def split_indices(
    n: int,
    validation_split: float = 0.2,
    *,
    shuffle: bool = False,
    seed: int = 0,
    stratify: Sequence[Hashable] | None = None,
) -> tuple[Indices, Indices]:
    """The positions of both parts, ascending, so that order is kept: ``(train, validation)``, int arrays.

    The sizes are those of ``split_train_test``. Without ``shuffle`` the validation part is the tail, with it
    a random choice by ``seed``. ``stratify`` gives a class for each of the n examples: each class then puts
    its share into the validation part, its exact quota rounded down or up (largest remainders first, ties to
    the class seen first), from its own tail or by its own random choice.

    Raises UsageError like ``split_train_test``, and when there are more classes than validation examples.
    """
    size = _validation_size(n, validation_split)
    rng = np.random.default_rng(seed)
    if stratify is None:
        members, sizes = [np.arange(n)], [size]
    else:
        if len(stratify) != n:
            raise UsageError(f"stratify must have one class an example (got {len(stratify)} for {n} examples)")
        classes: dict[Hashable, list[int]] = {}
        for position, label in enumerate(stratify):
            classes.setdefault(label, []).append(position)
        if len(classes) > size:
            raise UsageError(
                f"cannot stratify {len(classes)} classes into {size} validation examples; "
                "use more examples, a larger validation_split, or stratify=false"
            )
        members = [np.asarray(positions) for positions in classes.values()]
        sizes = _quotas([len(positions) for positions in members], Fraction(str(validation_split)), size)
    chosen = [
        rng.permutation(positions)[:count] if shuffle else positions[len(positions) - count :]
        for positions, count in zip(members, sizes, strict=True)
    ]
    is_validation = np.zeros(n, dtype=bool)
    is_validation[np.concatenate(chosen)] = True
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)


def _validation_size(n: int, validation_split: float) -> int:
    """How many of n examples validate; exact, because 1 - 0.9 in floating point is a little below 0.1."""
    if not 0 < validation_split < 1:
        raise UsageError(f"validation_split must be > 0 and < 1 (got {validation_split!r})")
    train = int(n * (1 - Fraction(str(validation_split))))
    if not 0 < train < n:
        raise UsageError(
            f"validation_split={validation_split!r} of {n} examples leaves {train} to train and "
            f"{n - train} to validate; neither part may be empty"
        )
    return n - train


def _quotas(sizes: Sequence[int], share: Fraction, total: int) -> list[int]:
    """Whole numbers that add up to ``total``, each the floor or the ceiling of ``size * share``."""
    exact = [size * share for size in sizes]
    counts = [int(quota) for quota in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts

"""What every dataset is: something that gives data models, one example at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from paretune.errors import DataError
from paretune.schemas.data_model import DataModel

__all__ = ["Dataset"]


class Dataset(ABC):
    """Base class: write ``__iter__`` and get ``materialize`` with it.

    Iterating yields one tuple an example, ``(x, y)`` or ``(x,)``, and starts afresh each time.
    """

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[DataModel, ...]]:
        """Yield ``(x, y)`` or ``(x,)``."""

    def materialize(self) -> tuple[npt.NDArray[Any], ...]:
        """All examples: ``(x, y)`` or ``(x,)``, numpy object arrays of data models, shape (n,) each.

        Raises DataError when there is no example at all.
        """
        columns = tuple(zip(*self, strict=True))
        if not columns:
            raise DataError(f"{self!r} has no rows")
        return tuple(_object_array(column) for column in columns)


def _object_array(items: Sequence[Any]) -> npt.NDArray[Any]:
    """A numpy array of shape (n,) that holds the items themselves, whatever they are."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array

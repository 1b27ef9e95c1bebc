"""Section ``data``: where the examples come from."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveInt

from paretune.pipeline.sections.base import Params, Seed

__all__ = ["DataParams"]


class SourceParams(Params):
    """One split of the data: the file that DVC watches, the split's name in it, how many rows to skip, and how many to
    take then.

    ``delimiter`` is that of a CSV file, where it is not the comma (in a .tsv file: the tab).
    """

    source: str
    split: str = "train"
    limit: PositiveInt | None = None
    skip: NonNegativeInt = 0
    delimiter: str | None = None


class DataParams(Params):
    """Section ``data``. Without ``path`` each split is read from the file named as its source."""

    name: str
    path: str | None = None
    config: str | None = None
    revision: str | None = None
    splits: dict[str, SourceParams]
    shuffle: bool = False
    seed: Seed = 0

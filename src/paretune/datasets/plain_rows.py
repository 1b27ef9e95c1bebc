"""The rows of local files as they are, without templates: for tables that are no examples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from paretune.datasets.local import find_files, open_files
from paretune.datasets.rows import Row
from paretune.datasets.sources import parquet_rows

__all__ = ["plain_rows"]


def plain_rows(path: str | Path, *, delimiter: str | None = None) -> Iterator[Row]:
    """The rows of a file of any kind that is read (or of the files of a folder), in order.

    A cell of a text table or a workbook is its text; an empty one is None, as a missing value is elsewhere. Raises
    DataError for what cannot be read.
    """
    found = find_files(str(path), "train")
    options = {} if delimiter is None else {"delimiter": delimiter}
    with tempfile.TemporaryDirectory(prefix="paretune-") as folder:
        rows = open_files(found, Path(folder), options)
        if rows is None:
            yield from parquet_rows(found.files)
        elif found.kind in ("csv", "xlsx"):
            for row in rows:
                yield {name: cell if cell != "" else None for name, cell in row.items()}
        else:
            yield from rows

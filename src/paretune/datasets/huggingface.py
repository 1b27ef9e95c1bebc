"""Datasets from the Hugging Face hub and from local files, through templates."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paretune.datasets.dataset import Dataset
from paretune.datasets.local import builder_options, find_files, is_local, named_files, open_files
from paretune.datasets.rows import FileRows
from paretune.datasets.sources import hub_errors, open_rows, parquet_files
from paretune.datasets.templates import RowTemplate
from paretune.errors import UsageError
from paretune.schemas.data_model import DataModel

__all__ = ["HuggingFaceDataset", "load_split", "read_rows"]

Row = Mapping[str, Any]

_SHUFFLE_BUFFER = 10_000  # rows, where a stream cannot be shuffled as a whole
_LOCAL_BUILDERS = ("csv", "json", "parquet", "text", "arrow")


@contextmanager
def _opened_rows(path: str, name: str | None = None, split: str = "train", **options: Any) -> Iterator[Any]:
    """The rows of local files, or Hugging Face's dataset, within the block; ``options`` as ``load_dataset`` has them.

    Raises DataError for what cannot be found or opened.
    """
    found = None
    label = f"{path}[{split}]"
    own = {key: value for key, value in options.items() if key not in ("streaming", "revision")}
    with ExitStack() as stack:
        is_builder = path in _LOCAL_BUILDERS and not os.path.exists(path)
        if is_builder and (found := named_files(path, split, own.get("data_files"))):
            del own["data_files"], options["data_files"]
        elif not is_builder and is_local(path):
            found = find_files(path, split)
        if is_builder or found:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paretune-")))
            if found and (rows := open_files(found, folder, own)) is not None:
                yield rows
                return
            if found:
                path = found.kind
                files = parquet_files(found.files) if path == "parquet" else found.files
                options = {**builder_options(found, files, folder, split), **options}
            options = {"cache_dir": str(folder), **options}  # leave nothing behind in the home folder
        yield open_rows(path, name, split, label, options)


def read_rows(path: str | Path, split: str = "train", delimiter: str | None = None) -> Iterator[Row]:
    """The rows of a local file or folder as they are, by column, in order; ``split`` is the sheet of a workbook.

    Raises DataError where they cannot be read, and where there are none.
    """
    options = {} if delimiter is None else {"delimiter": delimiter}
    with _opened_rows(str(path), split=split, **options) as rows:
        if isinstance(rows, FileRows):
            yield from rows
        else:
            with hub_errors(f"{path}[{split}]"):
                yield from rows


class HuggingFaceDataset(Dataset):
    """The rows of one split, each rendered through templates into data models.

    Args:
        path: a dataset on the hub (``"dair-ai/emotion"``), a local file or folder (.json, .jsonl, .ndjson, .csv, .tsv,
            also with .gz or .xz; .parquet; .xlsx with ``paretune[xlsx]``), or a builder's name (``"json"``, …)
            together with ``data_files``. The name of a file that exists is never a pattern. Every cell of a CSV file
            or a workbook is text; templates convert it (``| int``, ``| float``, ``| bool``).
        name, split, revision: as in Hugging Face's ``load_dataset``. A single local file is the split
            ``"train"``; in a workbook a split is the sheet of that name, or the first one for ``"train"``.
        streaming: read rows on demand, not through an Arrow file on disk. Memory is bounded either way.
        input_data_model, input_template: the data model of ``x``, and the template that renders its JSON.
        output_data_model, output_template: the same for ``y``; without them the dataset yields ``(x,)``.
        limit: take the first so many rows (after shuffling, and after those that are skipped).
        skip: leave out the first so many rows (after shuffling), such as those that another split has taken.
        repeat: yield each row so many times in succession.
        shuffle, seed: permute the rows. The permutation is of the whole split, except for a stream, which is
            shuffled in a window of 10,000 rows. Rows keep their original numbers in errors.
        batch_size: how many examples a training batch has, where ``fit`` is not told; iterating is row by row.
        variables: further names for the templates, such as ``labels``; they hide columns of the same name.
        load_dataset_kwargs: the ``delimiter`` of CSV files; anything else that ``load_dataset`` takes, whose reader
            (which guesses the types of CSV cells) then reads them.

    Raises UsageError for arguments that do not fit together and DataError for a template that does not
    compile; while iterating, DataError for a dataset, a split or a row that cannot be read or does not fit.
    """

    def __init__(
        self,
        path: str | Path,
        name: str | None = None,
        split: str = "train",
        revision: str | None = None,
        streaming: bool = True,
        *,
        input_data_model: type[DataModel],
        input_template: str,
        output_data_model: type[DataModel] | None = None,
        output_template: str | None = None,
        limit: int | None = None,
        skip: int = 0,
        repeat: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        batch_size: int | None = None,
        variables: Mapping[str, Any] | None = None,
        **load_dataset_kwargs: Any,
    ) -> None:
        if (output_data_model is None) != (output_template is None):
            raise UsageError("output_data_model and output_template belong together: give both or neither")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch_size must be >= 1 (got {batch_size!r})")
        if (limit is not None and limit < 1) or repeat < 1:
            raise UsageError(f"limit and repeat must be >= 1 (got limit={limit!r}, repeat={repeat!r})")
        if skip < 0:
            raise UsageError(f"skip must be >= 0 (got {skip!r})")
        self._path, self._name, self._split, self._revision = str(path), name, split, revision
        self._streaming, self._options = streaming, dict(load_dataset_kwargs)
        self._skip, self._end = skip, None if limit is None else skip + limit
        self._repeat, self._shuffle, self._seed = repeat, shuffle, seed
        self.batch_size = batch_size
        self._label = f"{self._path}[{split}]"

        def template(kind: str, text: str, model: type[DataModel]) -> RowTemplate:
            return RowTemplate(text, model, kind=kind, dataset=self._label, variables=variables)

        self._templates = [template("input", input_template, input_data_model)]
        if output_data_model is not None and output_template is not None:
            self._templates.append(template("output", output_template, output_data_model))

    def __repr__(self) -> str:
        return f"dataset {self._label!r}"

    def __iter__(self) -> Iterator[tuple[DataModel, ...]]:
        """Yield ``(x, y)`` or ``(x,)``, row by row."""
        options = {**self._options, "streaming": self._streaming, "revision": self._revision}
        with _opened_rows(self._path, self._name, self._split, **options) as rows:
            numbered = self._numbered(rows)
            for number, row in itertools.islice(numbered, self._skip, self._end):
                for _ in range(self._repeat):
                    yield tuple(template.render(row, number) for template in self._templates)

    def _numbered(self, rows: Any) -> Iterator[tuple[int, Row]]:
        """``(row number, row)`` in the order asked for."""
        if isinstance(rows, FileRows):
            yield from self._ordered(rows)
            return
        with hub_errors(self._label):
            yield from self._ordered(rows) if hasattr(rows, "__len__") else self._windowed(rows)

    def _ordered(self, rows: Any) -> Iterator[tuple[int, Row]]:
        if not self._shuffle:
            return enumerate(rows)
        order = np.random.default_rng(self._seed).permutation(len(rows))
        return ((int(number), rows[int(number)]) for number in order)

    def _windowed(self, rows: Iterable[Row]) -> Iterator[tuple[int, Row]]:
        """A stream, each row swapped for a random one of the window before it is given."""
        if not self._shuffle:
            yield from enumerate(rows)
            return
        rng = np.random.default_rng(self._seed)
        window: list[tuple[int, Row]] = []
        for item in enumerate(rows):
            if len(window) < _SHUFFLE_BUFFER:
                window.append(item)
            else:
                place = int(rng.integers(_SHUFFLE_BUFFER))
                item, window[place] = window[place], item
                yield item
        for place in rng.permutation(len(window)):
            yield window[place]


def load_split(
    path: str | Path,
    name: str | None = None,
    split: str = "train",
    revision: str | None = None,
    **options: Any,
) -> tuple[npt.NDArray[Any], ...]:
    """One split in memory: ``(x, y)``, or ``(x,)`` without an output template.

    Takes the arguments of HuggingFaceDataset, with ``streaming=False``; returns numpy object arrays of data
    models, shape (n,) each. Raises UsageError and DataError as HuggingFaceDataset does.
    """
    options.setdefault("streaming", False)
    return HuggingFaceDataset(path, name, split, revision, **options).materialize()

"""Rows from Hugging Face ``datasets``: opened quietly, without telemetry, with short errors."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.datasets.rows import place_of, twice
from paretune.errors import DataError
from paretune.wording import shortened

__all__ = ["hub_errors", "open_rows", "parquet_files", "parquet_rows"]

_SPLIT_ERROR = re.compile(r"(?:Unknown|Bad) split:? \"?(?P<asked>[^\".]+)\"?\..*\[(?P<known>.*)\]", re.DOTALL)


def open_rows(path: str, name: str | None, split: str, label: str, options: Mapping[str, Any]) -> Any:
    """Hugging Face's ``Dataset`` (or ``IterableDataset`` when streaming); ``label`` names it in errors.

    Local builders (``"csv"``, ``"parquet"``, …) attempt no network call: the only one that ``load_dataset``
    would make for them is its download counter, which is off.
    """
    with _quiet(), hub_errors(label):
        import datasets as hf

        return hf.load_dataset(path, name, split=split, **options)


def parquet_files(files: Sequence[Path]) -> list[Path]:
    """Those of some Parquet files that have rows.

    Raises DataError for a file that is none, for columns of one name, and when no file has a row.
    """
    from pyarrow import ArrowException, parquet

    filled = []
    for file in files:
        try:
            with file.open("rb") as handle, parquet.ParquetFile(handle) as table:  # the name may look like an address
                names, count = table.schema_arrow.names, table.metadata.num_rows
        except (ArrowException, OSError) as error:
            raise DataError(f"{place_of(file)} cannot be read as Parquet: {_first_line(error)}") from error
        if same := twice(names):
            raise DataError(f"{place_of(file)}: columns must have different names (more than once: {same})")
        if count:
            filled.append(file)
    if not filled:
        raise DataError(f"{', '.join(map(place_of, files))} has no rows")
    return filled


def parquet_rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The rows of some Parquet files, in order, with few of them in memory. Raises DataError as ``parquet_files``."""
    from pyarrow import parquet

    for file in parquet_files(files):
        with file.open("rb") as handle, parquet.ParquetFile(handle) as table:
            for batch in table.iter_batches():
                yield from batch.to_pylist()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """While a dataset is opened: no progress bars, no download counter, no telemetry, no log beside the error."""
    import datasets as hf
    from huggingface_hub import constants

    bars = not hf.are_progress_bars_disabled()
    before = hf.config.HF_UPDATE_DOWNLOAD_COUNTS, constants.HF_HUB_DISABLE_TELEMETRY
    verbosity = hf.logging.get_verbosity()
    hf.disable_progress_bars()
    hf.logging.set_verbosity(hf.logging.CRITICAL)
    hf.config.HF_UPDATE_DOWNLOAD_COUNTS, constants.HF_HUB_DISABLE_TELEMETRY = False, True
    try:
        yield
    finally:
        hf.config.HF_UPDATE_DOWNLOAD_COUNTS, constants.HF_HUB_DISABLE_TELEMETRY = before
        hf.logging.set_verbosity(verbosity)
        if bars:
            hf.enable_progress_bars()


@contextlib.contextmanager
def hub_errors(label: str) -> Iterator[None]:
    """Turn what can go wrong while rows are opened or read into a DataError about the dataset ``label``."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from httpx import HTTPError

    try:
        yield
    except (DatasetNotFoundError, FileNotFoundError) as error:
        raise DataError(
            f"dataset {label!r} was not found: {_first_line(error)}\n"
            "  check its name; a private or gated dataset needs HF_TOKEN; a local file must exist"
        ) from error
    except (ConnectionError, HTTPError) as error:
        raise DataError(
            f"dataset {label!r} cannot be reached: {_first_line(error)}\n"
            "  it is not in Hugging Face's cache either; connect to the network once, or use local files "
            "(in the pipeline: data=files)"
        ) from error
    except (DatasetsError, OSError, RuntimeError, ValueError) as error:
        if match := _SPLIT_ERROR.search(str(error)):
            known = match["known"].replace("'", "").replace('"', "")
            raise DataError(f"dataset {label!r} has no split {match['asked']!r} (it has: {known})") from error
        cause = error.__cause__ or error
        raise DataError(f"dataset {label!r} cannot be read: {_first_line(cause)}") from error


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return shortened(text, 300)

"""Local data files: which there are behind a path, and what reads them. A name is a name, never a pattern."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

from paretune.datasets.json_rows import JsonRows
from paretune.datasets.rows import PACKED, FileRows
from paretune.datasets.table_rows import CsvRows
from paretune.datasets.workbook import WorkbookRows
from paretune.errors import DataError, UsageError

__all__ = ["LocalFiles", "builder_options", "find_files", "is_local", "named_files", "open_files"]

_KINDS = {
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
_PACKABLE = (".json", ".jsonl", ".csv", ".tsv", ".ndjson")
_KNOWN = f"{', '.join(_KINDS)}; all but the last two also with .gz or .xz"
_SPLIT_NAMES = ("train", "test", "validation", "val", "dev")


class LocalFiles(NamedTuple):
    """Files with one ending (in small letters), in order, and the split that they are part of or that is in them."""

    ending: str
    files: list[Path]
    split: str

    @property
    def kind(self) -> str:
        """``"json"``, ``"csv"``, ``"parquet"`` or ``"xlsx"``."""
        return _KINDS[_unpacked(self.ending)]

    @property
    def delimiter(self) -> str:
        """What stands between the cells of a CSV file, where nothing else is given."""
        return "\t" if self.ending.startswith(".tsv") else ","


def _ending(file: Path) -> str:
    """``.csv`` of ``A.CSV``, ``.csv.gz`` of ``a.csv.gz``; of an unknown kind the last ending."""
    last, before = file.suffix.lower(), Path(file.stem).suffix.lower()
    return before + last if last in PACKED and before in _PACKABLE else last


def _unpacked(ending: str) -> str:
    """``.csv`` of ``.csv.gz``; any other ending as it is."""
    first, _, last = ending.rpartition(".")
    return first if first in _PACKABLE and f".{last}" in PACKED else ending


def _is_known(ending: str) -> bool:
    return _unpacked(ending) in _KINDS


def is_local(path: str) -> bool:
    """Whether a path means local files: it exists, or it could not be a name on the hub."""
    if os.path.exists(path):
        return True
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or _is_known(_ending(Path(path)))
    return looks_local and "://" not in path


def find_files(path: str, split: str) -> LocalFiles:
    """The files behind a local path: the file itself, or those of a folder.

    In a folder whose files are named after splits (``train.jsonl``, ``emotion_test.csv``), those of
    ``split``; in any other folder all files, which then are the split ``"train"``, as a single file is. A workbook's
    splits are its sheets, which are not looked at here. Raises DataError for a missing file or folder, an unknown
    ending, a split that is not there, or files of several kinds.
    """
    place = Path(path if os.path.exists(path) else os.path.expanduser(path))
    if os.path.isdir(place):
        files = sorted(item for item in place.iterdir() if _is_data(item))
        if not files:
            raise DataError(f"no data files in the folder {path!r} (known endings: {_KNOWN})")
    elif not os.path.isfile(place):
        raise DataError(f"data file not found: {path!r} (looked in {str(Path.cwd())!r})")
    elif not _is_known(_ending(place)):
        raise DataError(f"data file {path!r}: unknown ending {place.suffix!r} (known: {_KNOWN})")
    else:
        files = [place]
    names = {name for item in files for name in _splits_named(item)} if os.path.isdir(place) else set()
    if names:
        files = [item for item in files if split in _splits_named(item)]
    endings = {_ending(item) for item in files}
    if not files or (not names and split != "train" and endings != {".xlsx"}):
        known = ", ".join(sorted(names)) or "train: a file, or a folder whose files name no split, is that one"
        raise DataError(f"{path!r} has no split {split!r} (it has {known})")
    if len(endings) > 1:
        mixed = ", ".join(sorted(endings))
        raise DataError(f"the folder {path!r} mixes {mixed} files; keep one kind, or name one file")
    return LocalFiles(endings.pop(), files, "train" if names else split)


def _is_data(item: Path) -> bool:
    """Whether an item of a folder is a data file, and not a hidden one or the lock of an open workbook."""
    return not item.name.startswith((".", "~$")) and _is_known(_ending(item)) and item.is_file()


def _splits_named(file: Path) -> list[str]:
    words = re.split(r"[-_.]", file.name.lower())[:-1]
    return [name for name in _SPLIT_NAMES if name in words]


def named_files(builder: str, split: str, data_files: Any) -> LocalFiles | None:
    """The local files that ``data_files`` of a builder names; None where Hugging Face must find them.

    A name of a file that exists is that file; any other may be a pattern, as Hugging Face has it.
    """
    if isinstance(data_files, Mapping):
        data_files = data_files.get(split)
    elif split != "train":
        return None
    names = [data_files] if isinstance(data_files, str | Path) else data_files
    if not isinstance(names, list | tuple):
        return None
    found = [[str(name)] if os.path.isfile(name) else sorted(glob(str(name), recursive=True)) for name in names]
    files = [Path(file) for each in found for file in each]
    endings = {_ending(file) for file in files}
    if not all(found) or len(endings) != 1 or not all(map(_is_known, endings)):
        return None
    local = LocalFiles(endings.pop(), files, "train")
    return local if local.kind == builder else None


def open_files(found: LocalFiles, folder: Path, options: Mapping[str, Any]) -> FileRows | None:
    """The rows of files that are read here; None for those that Hugging Face reads: Parquet, and other ``options``.

    ``folder`` is a temporary one. The only option is the ``delimiter`` (or ``sep``) of CSV files.
    """
    delimiters = {name: options[name] for name in ("delimiter", "sep") if name in options}
    if delimiters and found.kind != "csv":
        raise UsageError(f"only CSV files have a delimiter, not {found.ending} files (got {delimiters})")
    if found.kind == "csv" and len(delimiters) == len(options):
        delimiter = next(iter(delimiters.values()), None)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise UsageError(f"a delimiter is one character, and no quote or line break (got {delimiter!r})")
        return CsvRows(found.files, folder, delimiter or found.delimiter, default=delimiter is None)
    if found.kind == "json" and not options:
        return JsonRows(found.files, folder)
    return WorkbookRows(found.files, folder, found.split) if found.kind == "xlsx" else None


def builder_options(found: LocalFiles, files: Sequence[Path], folder: Path, split: str) -> dict[str, Any]:
    """How Hugging Face's builder is to read files: by links whose names nobody takes for a pattern or an address."""
    links = [folder / f"{number}{found.ending}" for number, _ in enumerate(files)]
    for link, file in zip(links, files, strict=True):
        try:
            link.symlink_to(file.resolve())
        except OSError:  # Windows lets few people make links
            shutil.copyfile(file, link)
    as_text = {"keep_default_na": False, "sep": found.delimiter} if found.kind == "csv" else {}
    return {"data_files": {split: [str(link) for link in links]}, **as_text}

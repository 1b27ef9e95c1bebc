"""Files that survive a kill: a file is either the old one or the new one, never half of each."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from paretune.errors import ConfigError, DataError

__all__ = [
    "canonical_json",
    "digest",
    "digest_files",
    "open_atomic",
    "read_json",
    "read_jsonl",
    "state_root",
    "write_json",
    "write_jsonl",
]


@contextlib.contextmanager
def open_atomic(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for writing that replaces ``path`` only when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="\n") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON; NaN and infinity are refused, because JSON has no such numbers."""
    with open_atomic(path) as handle:
        json.dump(value, handle, indent=2, ensure_ascii=False, allow_nan=False)
        handle.write("\n")


def read_json(path: str | Path) -> Any:
    """Read one JSON value; a missing or broken file is a DataError that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"file not found: {str(path)!r}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is not valid JSON: {error}") from None


def write_jsonl(path: str | Path, rows: Iterable[Any]) -> int:
    """Write one JSON value a line, as the rows arrive; return how many there were."""
    count = 0
    with open_atomic(path) as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[Any]:
    """Yield one JSON value a line; an error names the file and the line (counted from 1)."""
    if not Path(path).exists():
        raise DataError(f"file not found: {str(path)!r}")
    with open(path, encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{str(path)!r}, line {number}: not valid JSON: {error}") from None


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, so that equal content has equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_files(paths: Iterable[Path]) -> str:
    """SHA-256 (hex) over the contents of files, in the order given."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()


def state_root() -> Path:
    """Where the ledger and the search states live: ``.paretune/`` of the project.

    ``PARETUNE_HOME`` names another folder. Under DVC it belongs to the repository, also when a stage runs in one
    of DVC's temporary experiment folders (``DVC_ROOT`` then names the parent), so that all experiments share it.
    Raises ConfigError where something else has its name.
    """
    home = os.environ.get("PARETUNE_HOME")
    root = Path(home) if home else Path(os.environ.get("DVC_ROOT") or ".") / ".paretune"
    if os.path.lexists(root) and not root.is_dir():
        cure = "let PARETUNE_HOME name a folder" if home else "move it away, or name a folder in PARETUNE_HOME"
        raise ConfigError(f"{str(root)!r} is no folder, but the ledger and the searches are kept in it; {cure}")
    return root

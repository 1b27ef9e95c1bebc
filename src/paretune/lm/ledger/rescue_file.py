"""The rescue file: where replies that were paid for go when the ledger itself cannot take them.

Its space is reserved beforehand, so that it can be written to when the disk is full. It holds rows as lines of JSON;
what is not used is zero bytes. All processes of a project share it, under a lock of the operating system.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

__all__ = ["RescueFile"]

SIZE = 1 << 20


class RescueFile:
    """Rows that wait to be taken into the ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Reserve the file's space, where it has none yet. Raises OSError when there is no room for it."""
        with self._opened() as handle:
            if os.fstat(handle).st_size < SIZE:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(handle, 0, SIZE)
                else:
                    _write(handle, bytes(SIZE - len(_used(handle))), len(_used(handle)))

    def keep(self, row: Sequence[Any]) -> None:
        """Add a row (JSON values). Raises OSError when not even this file has room for it."""
        with self._opened() as handle:
            start = len(_used(handle))
            try:  # on a line of its own, whatever a kill in the midst of writing may have left before it
                _write(handle, f"\n{json.dumps(row)}\n".encode(), start)
                os.fsync(handle)
            except OSError:
                _write(handle, bytes(os.fstat(handle).st_size - start), start)
                raise

    def take(self, store: Callable[[list[list[Any]]], object]) -> None:
        """Hand all rows to ``store``, and forget them once it returns: when it raises, they stay."""
        if not self.waiting():
            return
        with self._opened() as handle:
            used = _used(handle)
            if used:
                store(_rows(used))
                _write(handle, bytes(len(used)), 0)
                os.ftruncate(handle, SIZE)
                os.fsync(handle)

    def waiting(self) -> int:
        """How many rows there are; the file is not touched."""
        try:
            with open(self.path, "rb") as handle:
                return len(_rows(_used(handle.fileno())))
        except OSError:
            return 0

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if sys.platform != "win32":
                fcntl.flock(handle, fcntl.LOCK_EX)  # given up when the file is closed
            yield handle
        finally:
            os.close(handle)


def _used(handle: int) -> bytes:
    """The bytes before the first zero."""
    os.lseek(handle, 0, os.SEEK_SET)
    used = b""
    while b"\0" not in used and (part := os.read(handle, 1 << 16)):
        used += part
    return used.split(b"\0", 1)[0]


def _rows(used: bytes) -> list[list[Any]]:
    """The rows that are whole: of one that a kill cut off, nothing was ever reported as kept."""
    rows = []
    for line in used.splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def _write(handle: int, content: bytes, start: int) -> None:
    os.lseek(handle, start, os.SEEK_SET)
    while content:
        content = content[os.write(handle, content) :]

"""Requests and replies in little space: each is kept as what it adds to an earlier one, its frame.

Most requests of a search begin alike (instructions, examples) and end alike (a schema). A frame is a request with its
answer, kept whole and once. Of a request that begins like one, the ledger keeps how many bytes they share, and the rest
deflated with the frame as its dictionary; of an answer the same without a shared beginning. Nothing is lost: what is
unpacked has the bytes of what was packed.
"""

from __future__ import annotations

import functools
import sqlite3
import zlib
from collections import deque
from typing import NamedTuple

__all__ = ["Packed", "Packer", "inflated", "unpacked"]

#: A frame is made when a request shares so many bytes more with a recent one than with any frame.
_WORTH = 256
#: So many frames and requests are looked through, and so many bytes of each are held in memory.
_LOOKED_AT, _HELD = 64, 8 << 20
#: How far back deflate can refer.
_WINDOW = 1 << 15


class Packed(NamedTuple):
    """A request and its answer: the number of their frame (None: none), and how many bytes the request shares."""

    frame: int | None
    shared: int
    request: bytes
    answer: bytes


class _Frame(NamedTuple):
    request: bytes
    answer: bytes
    number: int | None = None


class _Latest:
    """The latest frames or requests, as many as are looked through."""

    def __init__(self) -> None:
        self._held: deque[_Frame] = deque()
        self._size = 0

    def add(self, frame: _Frame) -> None:
        self._held.append(frame)
        self._size += len(frame.request)
        while len(self._held) > _LOOKED_AT or (self._size > _HELD and len(self._held) > 1):
            self._size -= len(self._held.popleft().request)

    def most_alike(self, request: bytes) -> tuple[_Frame | None, int]:
        """The one that begins most like a request (of several the latest), and the number of equal bytes."""
        found, most = None, -1
        for frame in reversed(self._held):
            if request.startswith(frame.request[: most + 1]) and (equal := _equal(request, frame.request)) > most:
                found, most = frame, equal
        return found, max(0, most)


class Packer:
    """Packs requests one after the other for one connection; several processes may each have their own."""

    def __init__(self) -> None:
        #: The names that are certainly in the table of names.
        self.names: set[str] = set()
        self._frames: _Latest | None = None
        self._requests = _Latest()

    def pack(self, connection: sqlite3.Connection, request: str, answer: str) -> Packed:
        """A request and its answer, packed. Where it pays they become a frame, which is stored at once."""
        asked, answered = request.encode(), answer.encode()
        if self._frames is None:
            self._frames = _stored(connection)
        frame, shared = self._frames.most_alike(asked)
        again = self._requests.most_alike(asked)[1]
        if again > shared + max(_WORTH, shared // 4):
            statement = "INSERT INTO frames (request, answer) VALUES (?, ?)"
            number = connection.execute(statement, (_deflated(asked), _deflated(answered))).lastrowid
            frame, shared = _Frame(asked, answered, number), len(asked)
            self._frames.add(frame)
        self._requests.add(_Frame(asked, b""))
        if frame is None:
            return Packed(None, 0, _deflated(asked), _deflated(answered))
        rest = _deflated(asked[shared:], frame.request)
        return Packed(frame.number, shared, rest, _deflated(answered, frame.answer))


def unpacked(content: bytes, shared: int, frame: bytes | None) -> str:
    """The text of a packed request or answer; ``frame`` is that of its frame, deflated."""
    known = b"" if frame is None else inflated(frame)
    return (known[:shared] + _inflated(content, known)).decode()


@functools.lru_cache(maxsize=_LOOKED_AT)
def inflated(content: bytes) -> bytes:
    """The request or the answer of a frame."""
    return _inflated(content)


def _stored(connection: sqlite3.Connection) -> _Latest:
    frames = _Latest()
    found = connection.execute("SELECT request, answer, id FROM frames ORDER BY id DESC LIMIT ?", (_LOOKED_AT,))
    for request, answer, number in reversed(found.fetchall()):
        frames.add(_Frame(_inflated(request), _inflated(answer), number))
    return frames


def _equal(one: bytes, other: bytes) -> int:
    """With how many equal bytes two texts begin."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _deflated(content: bytes, known: bytes = b"") -> bytes:
    known = known[-_WINDOW:]
    bits = min(15, max(9, (len(known) + len(content) + 262).bit_length()))  # small tables are quicker to set up
    packer = zlib.compressobj(6, zlib.DEFLATED, -bits, 6, zdict=known)
    return packer.compress(content) + packer.flush()


def _inflated(content: bytes, known: bytes = b"") -> bytes:
    return zlib.decompressobj(-15, zdict=known[-_WINDOW:]).decompress(content)

"""The body of a server's reply: of a limited size and depth, whatever the server sends."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterable

__all__ = ["ACCEPTED", "MAX_BYTES", "UnreadableError", "read_body"]

#: The longest body that is read, packed or unpacked: a thousand times the usual one.
MAX_BYTES = 32 << 20
#: The kinds of packing that a request allows for, as its header Accept-Encoding names them.
ACCEPTED = "gzip, deflate"
_TOO_LONG = f"it is longer than {MAX_BYTES >> 20} MiB"
#: Levels of JSON that are kept, more than any reply or account has: Python's own reading of it ends at some hundred.
_DEPTH = 100
_TEXT_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[\[\]{}]', re.DOTALL)


class UnreadableError(Exception):
    """A body that is too long, or packed in a way that is not known or broken."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"the server's reply is no completion ({reason})")


async def read_body(parts: AsyncIterable[bytes], packing: str | None) -> bytes:
    """A whole body, unpacked, in which null stands for what JSON nests too deeply; ``packing`` is the header
    Content-Encoding.

    Raises UnreadableError before the body, or what it unpacks to, takes more than MAX_BYTES.
    """
    read, size = [], 0
    async for part in parts:
        read.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise UnreadableError(_TOO_LONG)
    packed, kind = b"".join(read), (packing or "identity").strip().lower()
    return _shallow(packed if kind in ("identity", "") or not packed else _unpacked(packed, kind))


def _unpacked(packed: bytes, kind: str) -> bytes:
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise UnreadableError(f"its Content-Encoding is {kind[:40]!r}")
    is_raw = kind == "deflate" and packed[0] & 0xF != 8  # some servers leave out the header of zlib
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS if is_raw else zlib.MAX_WBITS | 32)
    try:
        content = unpacking.decompress(packed, MAX_BYTES)
    except zlib.error as error:
        raise UnreadableError(error) from None
    if unpacking.unconsumed_tail:
        raise UnreadableError(_TOO_LONG)
    if not unpacking.eof:
        raise UnreadableError("the end of what was packed is missing")
    return content


def _shallow(content: bytes) -> bytes:
    """JSON with null in the place of each list and object below _DEPTH levels, in linear time; what never ends there is
    left as it is, and no JSON."""
    if content.count(b"[") + content.count(b"{") <= _DEPTH:
        return content
    kept, begin, depth = [], 0, 0
    for found in _TEXT_OR_BRACKET.finditer(content):
        if found[0] in (b"[", b"{"):
            depth += 1
            if depth == _DEPTH + 1:
                kept += [content[begin : found.start()], b"null"]
                begin = len(content)
        elif found[0] in (b"]", b"}"):
            if depth == _DEPTH + 1:
                begin = found.end()
            depth -= 1
    return b"".join([*kept, content[begin:]])

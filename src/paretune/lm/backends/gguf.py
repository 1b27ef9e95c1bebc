"""What a GGUF file says about itself, as far as it decides how much memory a model takes.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["context_bytes", "is_gguf"]

_MAGIC = b"GGUF"
#: struct's letters for the numbered value types; 8 is a string, 9 an array.
_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_BYTES = 2  # keys and values are kept as 16-bit numbers


def is_gguf(path: Path) -> bool:
    """Whether a file begins as a GGUF file does."""
    with open(path, "rb") as handle:
        return handle.read(len(_MAGIC)) == _MAGIC


def context_bytes(path: Path, tokens: int) -> int:
    """The memory of the keys and values of so many tokens of context; 0 where the file does not say enough."""
    try:
        with open(path, "rb") as handle:
            told = {name.partition(".")[2]: value for name, value in _description(handle)}
        layers, heads = told["block_count"], told["attention.head_count"]
        of_values = told.get("attention.head_count_kv", heads)
        heads_in_all = sum(of_values) if isinstance(of_values, list) else layers * of_values
        width = told["embedding_length"] // (max(heads) if isinstance(heads, list) else heads)
        each = told.get("attention.key_length", width) + told.get("attention.value_length", width)
        return int(tokens * heads_in_all * each * _BYTES)
    except (struct.error, KeyError, TypeError, ValueError, ArithmeticError, MemoryError, OverflowError):
        return 0


def _description(handle: BinaryIO) -> Iterator[tuple[str, Any]]:
    """The key-value pairs up to the tokenizer's, which are long and come last."""
    handle.seek(len(_MAGIC))
    _, _, count = _read(handle, "IQQ")
    for _ in range(count):
        name = _value(handle, _STRING)
        if name.startswith("tokenizer."):
            return
        (kind,) = _read(handle, "I")
        yield name, _value(handle, kind)


def _value(handle: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        (length,) = _read(handle, "Q")
        return handle.read(length).decode("utf-8", "replace")
    if kind == _ARRAY:
        item, count = _read(handle, "IQ")
        return [_value(handle, item) for _ in range(count)]
    (number,) = _read(handle, _NUMBERS[kind])
    return number


def _read(handle: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{form}", handle.read(struct.calcsize(f"<{form}")))

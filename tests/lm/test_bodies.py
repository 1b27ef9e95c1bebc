"""Bodies of replies: of a limited depth, and otherwise as they came."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from paretune.eventloop import run_maybe_nested
from paretune.lm.backends.bodies import read_body

#: As deep as is kept: in a body, and in the words of its documentation.
DEPTH = 100
TEXTS = st.text(max_size=4) | st.sampled_from(["[", "]}", '"', "\\", '\\"[', "{", "\\\\"])
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def read(content: bytes, size: int = 7) -> bytes:
    """A body that comes in parts of so many bytes."""

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    return run_maybe_nested(read_body(parts(), None))


def cut(value: Any, levels: int) -> Any:
    """The slow twin: null in the place of lists and objects below so many levels."""
    if isinstance(value, list):
        return [cut(item, levels - 1) for item in value] if levels else None
    if isinstance(value, dict):
        return {name: cut(item, levels - 1) for name, item in value.items()} if levels else None
    return value


@given(VALUES, VALUES, st.integers(0, DEPTH + 5), st.sampled_from(["[]", "{}"]))
def test_what_is_nested_too_deeply_is_null(inner: Any, beside: Any, levels: int, kind: str) -> None:
    """Exactly that, whatever brackets and quotes stand in texts; what is beside it stays."""
    value = inner
    for _ in range(levels):
        value = [beside, value] if kind == "[]" else {"a": value, "[": beside}
    assert json.loads(read(json.dumps(value, ensure_ascii=False).encode(), 64)) == cut(value, DEPTH)


@given(st.binary(max_size=300))
def test_what_is_shallow_stays_as_it_is(content: bytes) -> None:
    """Byte for byte, JSON or not."""
    assert read(content) == content


@given(st.text(alphabet='[]{}"\\,:a1', max_size=400))
def test_what_is_no_json_does_not_become_any(text: str) -> None:
    """Deep brackets of any kind raise nothing; an opening that never ends is no JSON afterwards."""
    read(text.encode())
    broken = read(('{"a":' * (DEPTH + 50) + text.replace("}", "")).encode())
    try:
        json.loads(broken)
    except ValueError:
        return
    raise AssertionError(broken)

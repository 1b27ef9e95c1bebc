"""What a GGUF file says about the memory that its context takes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretune.lm.backends.gguf import context_bytes, is_gguf
from paretune.lm.backends.local_models import find_gguf


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(pairs: dict[str, Any]) -> bytes:
    """A file's beginning: strings, 32-bit numbers, and arrays of such numbers."""
    body = b"".join(text(name) + value_of(value) for name, value in pairs.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body


def value_of(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 4, len(value)) + struct.pack(f"<{len(value)}I", *value)
    return struct.pack("<II", 4, value)


PLAIN = {"general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 64}
PLAIN |= {"llama.attention.head_count": 8}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 2 * 8 * (8 + 8) * 2),  # layers x heads x (key + value of 64 / 8 numbers) x 2 bytes
        ({"llama.attention.head_count_kv": 2}, 2 * 2 * (8 + 8) * 2),
        ({"llama.attention.head_count_kv": [2, 0]}, 2 * (8 + 8) * 2),
        ({"llama.attention.key_length": 16}, 2 * 8 * (16 + 8) * 2),
        ({"tokenizer.ggml.model": "gpt2", "llama.attention.head_count_kv": 2}, 2 * 8 * (8 + 8) * 2),
    ],
)
def test_the_bytes_of_a_token(tmp_path: Path, more: dict[str, Any], expected: int) -> None:
    """By layers, heads and their widths; the long description of the tokenizer is not read."""
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(PLAIN | more))
    assert is_gguf(path)
    assert context_bytes(path, 1) == expected
    assert context_bytes(path, 1000) == 1000 * expected


def test_the_built_in_model() -> None:
    """SmolLM2-135M: 30 layers with 3 heads of 64 + 64 numbers."""
    assert context_bytes(find_gguf("local/smollm2-135m-instruct"), 2048) == 2048 * 30 * 3 * 128 * 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.integers(0, len(gguf(PLAIN)) - 1).map(lambda n: gguf(PLAIN)[:n])))
def test_a_broken_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    """Half a file, and bytes of any kind: whether it can be loaded is for llama.cpp to say."""
    path = tmp_path / "m.gguf"
    path.write_bytes(content if content[:4] == b"GGUF" else b"GGUF" + content)
    assert context_bytes(path, 1) == 0

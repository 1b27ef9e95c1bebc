"""YAML files: plain values, or one line that says where and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import ConfigError
from paretune.pipeline.sections.base import read_params
from paretune.pipeline.sections.yaml_file import load_yaml

LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "more than 200,000 values; aliases"),
        ("a: &a [*a]\n", "nested too deeply; an alias"),
        ("a: &a {b: *a}\n", "nested too deeply; an alias"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("a: 1\nb: 2\na: 3\n", r"line 3: not valid YAML: the key 'a' twice"),
        ("a: {b: 1, b: 2}\n", r"line 1: not valid YAML: the key 'b' twice"),
        ("a:\n\tb: 1\n", r"line 2: not valid YAML: found character"),
        ("a: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
        ("a: " + "0x" + "f" * 5000, "a: an integer of more than 3,000 digits"),
        ("a: [1, .nan]\n", r"a\.1: must be a finite number \(got nan\)"),
        ("a: -.inf\n", r"a: must be a finite number \(got -inf\)"),
        ("a: !!binary aGk=\n", "binary is no kind of value here"),
        ("a: !!set {b, c}\n", "set is no kind of value here"),
        ("a: !!timestamp 2024-01-01\n", "timestamp is no kind of value here"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("a: {1: b}\n", r"a: a key must be text \(got 1\): put it in quotes"),
        ("a: {on: b}\n", r"a: a key must be text \(got True\)"),
        ("? [a]\n: b\n", "not valid YAML"),
        ('a: "\\ud800"\n', "a: half of a pair of surrogates"),
        ("a: \x07\n", "not valid YAML"),
        ("a: *b\n", "undefined alias"),
    ],
)
def test_what_is_no_plain_value_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    """Soon, in one line that begins with the file."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    """Latin-1, a folder, and a file that holds a list."""
    path = tmp_path / "params.yaml"
    path.write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"params.yaml, line 2: not UTF-8 text \(byte 0xe9\); save it as UTF-8"):
        read_params(path)
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="holds no sections"):
        read_params(path)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_params(tmp_path)


def test_aliases_merge_keys_and_dates(tmp_path: Path) -> None:
    """What is repeated or merged is taken; a date is text, as it is for Hydra."""
    path = tmp_path / "params.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd: 2024-01-01\n")
    plain = {"x": 1, "y": 2}
    assert read_params(path) == {"a": plain, "b": plain, "c": {"x": 1, "y": 3}, "d": "2024-01-01"}


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), _PLAIN, max_size=5))
def test_any_plain_value_survives(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    """What YAML writes is read back as it was."""
    path = tmp_path_factory.getbasetemp() / "plain.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8", newline="")
    assert load_yaml(path) == value


@given(st.text(alphabet="ab01:-[]{},&*!?|>'\"%@`#\n\t .~é\ud7ff", max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """No exception but ConfigError."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_yaml(path)
    except ConfigError as error:
        assert "\n" not in str(error)

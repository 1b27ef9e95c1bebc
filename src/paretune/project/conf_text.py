"""The YAML of a project's conf/: written so that Hydra reads back exactly the values that were meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["edited", "yaml_text"]

_PLAIN = re.compile(r"[^\W\d_].*(?<! )")


class _Dumper(yaml.SafeDumper):
    """Texts that could be read as anything else, here or in OmegaConf, stand in quotes."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) and yaml.safe_load(value) == value and value.lower() not in ("nan", "inf")
    style = None if plain else "'" if '"' in value and value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(value: Mapping[str, Any], comment: str) -> str:
    """A file of conf/ below a comment. What looks like an interpolation of OmegaConf in a text stays as it is."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + yaml.dump(_escaped(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class Interpolation(str):
    """A text whose ``${…}`` OmegaConf is to resolve."""


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_escaped(name): _escaped(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    if isinstance(value, Interpolation):
        return str(value)
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", value) if isinstance(value, str) else value


def edited(text: str, values: Mapping[str, str]) -> str:
    """YAML text with other values: ``{"split.stratify": "true"}``; comments, order and everything else stay.

    A name is that of a key, or, in a list of single keys such as Hydra's ``defaults``, of the list and the key. Raises
    KeyError for one that does not stand there on a line of its own.
    """
    lines = text.split("\n")
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        start = lines.index(f"{section}:") + 1 if f"{section}:" in lines else None
        inside = range(start or 0, len(lines)) if start is not None else ()
        pattern = re.compile(rf"(?P<before>  (- )?{re.escape(key)}: )(?P<value>\S+)(?P<after>(\s.*)?)")
        for place in inside:
            if lines[place] and not lines[place].startswith((" ", "#")):
                raise KeyError(name)
            if found := pattern.fullmatch(lines[place]):
                lines[place] = f"{found['before']}{value}{found['after']}"
                break
        else:
            raise KeyError(name)
    return "\n".join(lines)

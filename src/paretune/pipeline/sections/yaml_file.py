"""YAML as plain values: what JSON could hold, each key once, and no file that is small but never ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from paretune.errors import ConfigError
from paretune.schemas.faults import shown

__all__ = ["load_yaml"]

#: Aliases may repeat a value so often that a file of ten lines is larger than any memory.
_MOST_VALUES = 200_000
_DEEPEST = 50


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice; a date is text, as it is for Hydra; bytes and sets are no values."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"the key {shown(key.value)} twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refuse(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    raise yaml.MarkedYAMLError(problem=f"{node.tag} is no kind of value here", problem_mark=node.start_mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind in ("binary", "omap", "pairs", "set", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _refuse)


def load_yaml(path: str | Path) -> Any:
    """The file's value: null, booleans, finite numbers, text, and lists and mappings (with text as keys) of these.

    Raises FileNotFoundError where there is no such file, and ConfigError with file and line (or place) for anything
    else that is wrong with it.
    """
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise ConfigError(f"{path}, line {number}: not UTF-8 text (byte 0x{byte:02x}); save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}{line}: not valid YAML: {problem}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    except (ValueError, ArithmeticError, LookupError) as error:  # a number that Python cannot read
        raise ConfigError(f"{path}: not valid YAML: {str(error).partition(';')[0]}") from None
    _check(path, value)
    return value


def _check(path: str | Path, value: Any) -> None:
    """Walk the value as it would be written out, a limited number of steps."""
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    seen = 0
    while waiting:
        place, one = waiting.pop()
        seen += 1
        fault = None
        if seen > _MOST_VALUES:
            raise ConfigError(f"{path}: more than {_MOST_VALUES:,} values; aliases (*name) that repeat each other?")
        if len(place) > _DEEPEST:
            fault = "nested too deeply; an alias (*name) inside of what it names?"
        elif isinstance(one, dict):
            if odd := [key for key in one if not isinstance(key, str)]:
                fault = f"a key must be text (got {shown(odd[0])}): put it in quotes"
            waiting += [((*place, key), item) for key, item in one.items()]
        elif isinstance(one, list):
            waiting += [((*place, number), item) for number, item in enumerate(one)]
        elif isinstance(one, float) and not math.isfinite(one):
            fault = f"must be a finite number (got {one})"
        elif isinstance(one, int) and one.bit_length() > 10_000:  # Python writes no more than 4,300 digits
            fault = "an integer of more than 3,000 digits"
        elif isinstance(one, str) and not _is_unicode(one):
            fault = "half of a pair of surrogates, which is no text"
        if fault:
            raise ConfigError(f"{path}: {'.'.join(map(str, place[:8]))[:200]}: {fault}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

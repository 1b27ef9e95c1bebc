"""Params and overrides as a user, or nobody, would write them: the real ones with random mutations."""

from __future__ import annotations

import datetime
import errno
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from mutations import at, changed, changes_of, places

from paretune.commands.compose import compose
from paretune.errors import ParetuneError
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.sections.base import check_sections, read_params
from paretune.pipeline.sections.together import check_together
from paretune.pipeline.tuners import make_tuner
from paretune.stages.check_params import SECTIONS

__all__ = ["composed_and_judged", "judged", "mutations", "overrides"]

_TEXTS = [
    "", "null", "???", "${search.seed}", "${nosuch:}", "a, b: c=d", "é", "{{ 10**5000 }}", "{{ text|truncate(1) }}",
    "\x1b[31m", "\u202e", "x" * 5000, "val_reward", "val_reward >= 0.5", "local/smollm2-135m-instruct", "gpt-5-mini",
    "http://[::1/v1", "localhost:8000/v1", "http://h/v1/chat/completions", "http://u:pw@h/v1", "ftp://h", "os:system",
    "..:a", "a.:b", "nosuch:f", ".env",
    "ExactMatch", "choice", "range", "category", "joy", "../../etc/passwd", "/dev/null", "a\0b", "'", '"', "[", "\\",
]  # fmt: skip
_NUMBERS = [
    0, 1, -1, 2, 10, 0.5, 1.5, -0.0, 1e-300, 1e308, -1e308, 5e-324, 10**9, 10**12, 10**20, 2**31, 2**53 + 1, 2**63,
    10**400, float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_TEXTS),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
)


def _values(params: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Any value, also another part of the same params, or an object that only YAML can make."""
    parts = [at(params, place) for place in places(params)]
    yaml_only = [datetime.date(2024, 1, 1), b"bytes", {1, 2}, {1: 2}, {None: 1}]
    names = st.sampled_from(["kind", "values", "when", "name", "min", "max", "step", "nosuch", "model", "few_shot"])
    return st.recursive(
        st.one_of(_SCALARS, st.sampled_from(parts), st.sampled_from(yaml_only)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.one_of(names, st.text(max_size=4)), inner, max_size=4)
        ),
        max_leaves=6,
    )


def mutations(params: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """``params`` with one to three values replaced, removed or added."""
    changes = changes_of(list(places(params)), _values(params))
    return changes.map(lambda some: changed(params, some))


def overrides(root: Path) -> st.SearchStrategy[list[str]]:
    """One to three Hydra overrides: mostly keys that a file of conf/ has, with the choice of that file before them, and
    with values of all kinds: as its grammar has them, quoted and not."""
    params = read_params(root / "params.yaml")
    choices = {f"{file.parent.name}={file.stem}": read_params(file) for file in sorted(root.glob("conf/*/*.yaml"))}
    alone = _override(params, "")
    files = st.sampled_from([choice for choice in choices if choices[choice]])
    chosen = files.flatmap(lambda choice: st.tuples(st.just(choice), _override(choices[choice], choice)))
    return st.one_of(
        st.tuples(alone),
        chosen,
        st.tuples(files, alone),
        st.tuples(chosen, alone).map(lambda both: (*both[0], both[1])),
    ).map(list)


def _override(known: dict[str, Any], choice: str) -> st.SearchStrategy[str]:
    group = choice.partition("=")[0]
    prefix = f"{group}." if group and group != "experiment" else ""
    names = [prefix + ".".join(place) for place in places(known) if all(isinstance(key, str) for key in place)]
    keys = st.sampled_from(names)
    groups = st.sampled_from(["tuner", "lm", "task", "layout", "data", "objective", "search", "experiment", "program"])
    key = _mostly(keys, groups | st.text(max_size=8) | keys.map(lambda text: text[:-1]) | keys.map("{}@here".format))
    sign = _mostly(st.just(""), st.sampled_from(["+", "++", "~", "-"]))
    plain = st.one_of(st.integers(-3, 300), st.booleans(), st.floats(0, 2), st.just("null"), keys).map(str)
    value = plain | _SCALARS.map(str) | _SCALARS.map(repr) | _values(known).map(str) | st.text(max_size=12)
    equals = _mostly(st.just("="), st.sampled_from(["", "==", ":"]))
    return st.builds(lambda *parts: "".join(parts), sign, key, equals, value | _grammatical(keys))


def _grammatical(keys: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Values as Hydra's grammar has them: quoted, lists, mappings, functions, sweeps and interpolations."""
    word = st.sampled_from(
        ["joy", "val_reward", "a.b", "a/b", "${search.seed}", "${oc.env:HOME}", "$x", "a\\,b", "null"]
    )
    number = st.one_of(st.integers(), st.floats()).map(str) | st.sampled_from(
        ["1_000", "0x1F", "1e400", "-inf", ".5", "1."]
    )
    quoted = st.text(max_size=8).map(lambda text: '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"')))
    functions = st.sampled_from(
        ["choice", "range", "interval", "glob", "sort", "shuffle", "tag", "int", "str", "nosuch"]
    )
    return st.recursive(
        word | number | quoted | keys.map("${{{}}}".format),
        lambda inner: (
            st.lists(inner, max_size=4).map(lambda parts: f"[{','.join(parts)}]")
            | st.dictionaries(word | quoted, inner, max_size=3).map(
                lambda parts: "{" + ",".join(f"{name}: {part}" for name, part in parts.items()) + "}"
            )
            | st.tuples(functions, st.lists(inner, max_size=3)).map(lambda one: f"{one[0]}({','.join(one[1])})")
            | st.lists(inner, min_size=2, max_size=3).map(",".join)
        ),
        max_leaves=6,
    )


def _mostly(usual: st.SearchStrategy[str], odd: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.integers(0, 9).flatmap(lambda number: usual if number else odd)


def composed_and_judged(given: list[str], root: Path, output: Path) -> str:
    """``refused by compose``, or what ``judged`` says of what these overrides compose to."""
    try:
        params = read_params(compose(root, given, output))
    except ParetuneError as error:
        _is_short(error)
        return "refused by compose"
    except OSError as error:  # run_stage tells these
        if error.errno != errno.ENAMETOOLONG:
            raise
        return "refused by compose"
    return judged(params)


def judged(params: dict[str, Any]) -> str:
    """``refused by the checks``, ``refused when built``, or ``built``; any other error is raised."""
    try:
        check_sections(params, SECTIONS)
        check_together(params)
    except ParetuneError as error:
        _is_short(error)
        return "refused by the checks"
    try:
        setup = ProgramSetup(params)
        make_tuner(params, setup)
    except ParetuneError as error:
        _is_short(error)
        return "refused when built"
    return "built"


def _is_short(error: ParetuneError) -> None:
    text = str(error)
    assert 0 < len(text) < 20_000 and text.count("\n") < 200, f"no error to read: {text[:300]}"

"""params.yaml: every fault in plain words, all at once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, PositiveInt

from paretune.errors import ConfigError
from paretune.pipeline.sections.base import Params, check_sections, read_params, section
from paretune.pipeline.sections.budget import BudgetParams
from paretune.pipeline.sections.lm import LmParams
from paretune.pipeline.sections.objective import ObjectiveParams
from paretune.pipeline.sections.report import ReportParams
from paretune.pipeline.sections.search import SearchParams


class Inner(Params):
    count: int = 1
    names: tuple[str, ...] = ()


class Cut(Params):
    share: float = Field(gt=0, lt=1)
    mode: Literal["head", "tail"] = "head"
    shuffle: bool = False
    limit: PositiveInt | None = None
    inner: Inner = Inner()
    parts: dict[str, Inner] = Field(default_factory=dict)
    text: str = "a"


def faults(**values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        section({"cut": {"share": 0.5, **values}}, "cut", Cut)
    first, *lines = str(caught.value).splitlines()
    assert first == "invalid values in params.yaml:"
    return lines


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"share": 1.5}, "  cut.share: must be > 0 and < 1 (got 1.5)"),
        ({"share": "half"}, "  cut.share: must be a number (got 'half')"),
        ({"share": None}, "  cut.share: must be a number (got None)"),
        ({"mode": "middle"}, "  cut.mode: must be 'head' or 'tail' (got 'middle')"),
        ({"shuffle": "perhaps"}, "  cut.shuffle: must be true or false (got 'perhaps')"),
        ({"limit": 0}, "  cut.limit: must be > 0 (got 0)"),
        ({"limit": 2.5}, "  cut.limit: must be a whole number (got 2.5)"),
        ({"text": 3}, "  cut.text: must be text (got 3)"),
        ({"inner": 3}, "  cut.inner: must be a mapping (got 3)"),
        ({"inner": {"names": 3}}, "  cut.inner.names: must be a list (got 3)"),
        (
            {"inner": {"cuont": 3}},
            "  cut.inner.cuont: unknown key (known: count, names); did you mean 'count'?",
        ),
        ({"parts": {"count": {"x": 1}}}, "  cut.parts.count.x: unknown key (known: count, names)"),
        ({"share": "???"}, "  cut.share: must be given (it is still ???)"),
    ],
)
def test_each_kind_of_fault(values: dict[str, Any], line: str) -> None:
    """The place, the rule and the value, in one line."""
    assert faults(**values) == [line]


@pytest.mark.parametrize(
    ("space", "lines"),
    [
        (
            {"kind": "int", "min": 0, "max": 2, "values": [1]},
            ["search.space.a.values: unknown key (known: when, kind, min, max, step, sampling)"],
        ),
        (
            {"kind": "choice", "vlaues": [1]},
            [
                "search.space.a.values: missing",
                "search.space.a.vlaues: unknown key (known: when, kind, values); did you mean 'values'?",
            ],
        ),
        (
            {"kind": "choice", "values": [1, None]},
            ["search.space.a.values.1: must be true or false or a whole number or a number or text (got None)"],
        ),
        (
            {"kind": "boolean", "when": {"b": [None]}},
            ["search.space.a.when.b.0: must be true or false or a whole number or a number or text (got None)"],
        ),
    ],
)
def test_a_union_is_one_fault_at_a_place_of_the_file(space: dict[str, Any], lines: list[str]) -> None:
    """The members that pydantic tries are neither named in the place nor listed one by one."""
    with pytest.raises(ConfigError) as caught:
        section({"search": {"space": {"a": space}}}, "search", SearchParams)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == lines


@pytest.mark.parametrize(
    ("name", "model", "values"),
    [
        ("report", ReportParams, {"confidence": 1e-300}),
        ("report", ReportParams, {"confidence": 1 - 1e-12}),
        ("report", ReportParams, {"resamples": 10**12}),
        ("report", ReportParams, {"seed": 2**32}),
        ("search", SearchParams, {"parallel_trials": 10**9}),
        ("search", SearchParams, {"max_trials": 10**9}),
        ("search", SearchParams, {"epochs": 10**9}),
        ("search", SearchParams, {"batch_size": 10**12}),
        ("search", SearchParams, {"space": {"a": {"kind": "choice", "values": [10**20]}}}),
        ("search", SearchParams, {"space": {"a": {"kind": "float", "min": -1e308, "max": 1e308}}}),
        ("search", SearchParams, {"space": {"a": {"kind": "float", "min": 0, "max": 1, "step": 1e-300}}}),
        ("lm", LmParams, {"model": "a", "price": {"prompt": 1e308, "completion": 0}}),
        ("lm", LmParams, {"model": "a", "price": {"prompt": math.inf, "completion": 0}}),
        ("lm", LmParams, {"model": "a", "timeout_s": 1e308}),
        ("lm", LmParams, {"model": "a", "concurrency": 10**12}),
        ("budget", BudgetParams, {"usd": 1e308}),
        ("budget", BudgetParams, {"tokens": 10**20}),
        ("objective", ObjectiveParams, {"objectives": [{"name": "a", "direction": "max", "unit": 1e308}]}),
        ("objective", ObjectiveParams, {"objectives": [{"name": "a", "direction": "max", "unit": 5e-324}]}),
    ],
)
def test_absurd_numbers_are_refused(name: str, model: type[Params], values: dict[str, Any]) -> None:
    """Nothing that passes overflows a sum, a timer or the memory."""
    with pytest.raises(ConfigError, match=rf"invalid values in params.yaml:\n  {name}\..*\(got"):
        section({name: values}, name, model)


def test_missing_key_and_missing_section() -> None:
    """What is not there is named, with what was perhaps meant."""
    with pytest.raises(ConfigError, match=r"\n  cut.share: missing$"):
        section({"cut": {}}, "cut", Cut)
    with pytest.raises(ConfigError, match=r"\n  cut: missing section; did you mean 'cuts'\?$"):
        section({"cuts": {}}, "cut", Cut)


def test_all_faults_of_all_sections_at_once() -> None:
    """One run shows everything that is to be mended."""
    params = {"cut": {"share": 2, "limit": -1}, "inner": {"count": "x"}}
    with pytest.raises(ConfigError) as caught:
        check_sections(params, {"cut": Cut, "inner": Inner, "gone": Inner})
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "cut.share",
        "cut.limit",
        "inner.count",
        "gone",
    ]


def test_a_good_section_is_frozen() -> None:
    """A stage cannot change its configuration."""
    cut = section({"cut": {"share": 0.25}}, "cut", Cut)
    assert cut.share == 0.25
    with pytest.raises(ValueError, match="frozen"):
        cut.share = 0.5


def test_reading(tmp_path: Path) -> None:
    """A missing, a broken and an empty file each name the file; broken YAML also the line."""
    path = tmp_path / "params.yaml"
    with pytest.raises(ConfigError, match=r"params.yaml not found; run `paretune compose`"):
        read_params(path)
    path.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(ConfigError, match=r"params.yaml, line 3: not valid YAML"):
        read_params(path)
    path.write_text("")
    with pytest.raises(ConfigError, match="holds no sections"):
        read_params(path)
    path.write_text("a: {b: 1}\n")
    assert read_params(path) == {"a": {"b": 1}}

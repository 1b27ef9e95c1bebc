"""Whatever stands in params.yaml or in an override: it is built, or refused in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from odd_params import composed_and_judged, judged, mutations, overrides

from paretune.pipeline.sections.base import read_params

ROOT = Path(__file__).resolve().parent.parent.parent
PARAMS = read_params(ROOT / "params.yaml")
CHECKS = list(HealthCheck)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built keeps its state here."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))


@given(mutations(PARAMS))
@settings(max_examples=300, deadline=None, suppress_health_check=CHECKS)
def test_any_params_are_built_or_refused(params: dict[str, Any]) -> None:
    """No exception but the declared ones, from the checks or from what passes them."""
    assert judged(params) in ("refused by the checks", "refused when built", "built")


@given(overrides(ROOT))
@example(["tuner=null"])
@example(["=1"])
@example(["~search"])
@example(["search.space={}"])
@example(["search.seed=" + "9" * 5000])
@example(["search.seed=" + "[" * 500 + "]" * 500])
@example(["search.space.few_shot.values=[100000000000000000000]"])
@example(["x" * 5000 + "=1"])
@settings(max_examples=30, deadline=None, suppress_health_check=CHECKS)
def test_any_overrides_are_built_or_refused(tmp_path: Path, given: list[str]) -> None:
    """Through Hydra, then as above."""
    assert composed_and_judged(given, ROOT, tmp_path / "params.yaml")

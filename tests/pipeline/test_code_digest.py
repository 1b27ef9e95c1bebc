"""A stage runs again when code that it can reach changes: its digest covers that code, and no more."""

from __future__ import annotations

import ast
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from paretune.import_closure import closure
from paretune.stages.check_params import STAGES

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
DEFINITIONS = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
#: Packages whose public names are loaded lazily, by whoever asks for them: inside the project nobody may.
LAZY = ("paretune", "paretune.rewards", "paretune.tuners")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package as it is installed: in a folder beside others."""
    shutil.copytree(SRC / "paretune", tmp_path / "paretune", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "paretune"


def digests(package: Path) -> dict[str, str]:
    """The digest of each stage, computed by that very package."""
    code = (
        "from paretune.pipeline.code_digest import code_digest\n"
        f"for stage in {STAGES!r}: print(stage, code_digest(stage))"
    )
    environment = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("datasets/local.py", {"materialize", "split", "search", "evaluate"}),
        ("metrics/classification.py", {"search", "evaluate", "report"}),
        ("lm/backends/litellm.py", {"search", "evaluate"}),
        ("pipeline/looks.py", {"evaluate"}),
        ("reporting/charts.py", {"report"}),
        ("reporting/html/app/style.css", {"report"}),
        ("errors.py", set(STAGES)),
        ("commands/trials.py", set()),
    ],
)
def test_a_change_reruns_the_stages_that_reach_it(file: str, stages: set[str], package: Path) -> None:
    """A module of the package, or a file that a package carries, is part of the digests of those that use it."""
    before = digests(package)
    with (package / file).open("a") as handle:
        handle.write("\n")
    after = digests(package)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == stages


def test_other_places_line_ends_and_neighbours_change_nothing(package: Path, tmp_path: Path) -> None:
    """The same package has the same digests wherever it is installed, also beside packages that it imports."""
    before = digests(package)
    for file in (package / "errors.py", package / "reporting/html/app/style.css"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "neighbour.py").write_text("x = 1\n")
    shutil.copytree(package, tmp_path / "elsewhere" / "paretune")
    assert digests(package) == before == digests(tmp_path / "elsewhere" / "paretune")


def test_neighbours_of_an_installed_package_are_not_its_code() -> None:
    """What else is installed beside the package is not followed."""
    site = Path(yaml.__file__).resolve().parent.parent
    assert all(file.is_relative_to(SRC / "paretune") for file in closure(["paretune.stages.search"]))
    assert closure(["yaml"], [site]) != set() == closure(["yaml"])


@pytest.mark.parametrize("stage", DEFINITIONS)
def test_each_stage_depends_on_its_digest(stage: str) -> None:
    """Each later stage depends on its own file; the first one runs each time and writes them all."""
    definition = DEFINITIONS[stage].get("do", DEFINITIONS[stage])
    digest = [name for name in definition.get("deps", []) if name.startswith("data/code/")]
    assert digest == ([] if definition.get("always_changed") else [f"data/code/{stage}"])
    assert set(DEFINITIONS) == {"check_params", *STAGES}


def test_imports_can_be_followed() -> None:
    """Imports name modules in full; a name that a package loads late is imported from its own module."""
    for file in (SRC / "paretune").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                where = f"{file}:{node.lineno}"
                assert node.level == 0, f"{where}: relative import; write the full name"
                for alias in node.names:
                    is_module = closure([f"{node.module}.{alias.name}"]) != set()
                    late = node.module in LAZY and alias.name in importlib.import_module(node.module).__all__
                    assert not late or is_module, f"{where}: import {alias.name} from its module"


def test_only_the_search_side_reaches_language_models() -> None:
    """A change in how language models are called does not reread the data; a change in a chart searches nothing."""
    for stage, package in [("materialize", "lm"), ("split", "lm"), ("search", "reporting"), ("report", "lm")]:
        reached = closure([f"paretune.stages.{stage}"])
        assert not any(file.is_relative_to(SRC / "paretune" / package) for file in reached)

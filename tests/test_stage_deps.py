"""DVC does not follow imports: the `deps` of each stage must cover the code that it can reach, and no more."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
import yaml

from paretune.import_closure import closure

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
DEFINITIONS = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
#: Packages whose public names are loaded lazily, by whoever asks for them: inside the project nobody may.
LAZY = ("paretune", "paretune.rewards", "paretune.tuners")
STAGES = [name for name in DEFINITIONS if (SRC / f"paretune/stages/{name}.py").is_file()]


def deps(stage: str) -> list[Path]:
    """The paths that a stage depends on, without those that come from params.yaml."""
    definition = DEFINITIONS[stage]
    names = definition.get("do", definition)["deps"]
    return [ROOT / name for name in names if "${" not in name]


def covers(dep: Path, file: Path) -> bool:
    """Whether a dep is the file itself or a folder above it."""
    return dep == file or dep in file.parents


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_code_that_a_stage_reaches(stage: str) -> None:
    """Each reachable module is in a dep, and no dep below src/ holds any other module."""
    reached = closure([f"paretune.stages.{stage}"])
    listed = {
        file for dep in deps(stage) if SRC in dep.parents for file in (dep.rglob("*.py") if dep.is_dir() else [dep])
    }
    assert sorted(str(file.relative_to(ROOT)) for file in reached - listed) == [], "missing"
    assert sorted(str(file.relative_to(ROOT)) for file in listed - reached) == [], "superfluous"


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


@pytest.mark.parametrize("stage", DEFINITIONS)
def test_each_dep_exists(stage: str) -> None:
    """A dep is a file of the repository or an output of another stage."""
    outputs = [
        ROOT / (out if isinstance(out, str) else next(iter(out))).replace("${key}", key)
        for definition in DEFINITIONS.values()
        for out in definition.get("do", definition)["outs"]
        for key in ("train", "test")
    ]
    assert [str(dep) for dep in deps(stage) if not dep.exists() and dep not in outputs] == []


def test_only_the_search_side_reaches_language_models() -> None:
    """A change in how language models are called does not reread the data; a change in a chart searches nothing."""
    for stage, package in [("materialize", "lm"), ("split", "lm"), ("search", "reporting"), ("report", "lm")]:
        assert not any(covers(SRC / "paretune" / package, dep) for dep in deps(stage))

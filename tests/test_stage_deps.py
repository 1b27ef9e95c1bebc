"""DVC does not follow imports: the `deps` of each stage must cover the code that it can reach, and no more."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
DEFINITIONS = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
#: Packages whose public names are loaded lazily, by whoever asks for them: inside the project nobody may.
LAZY = ("paretune", "paretune.rewards")
STAGES = [name for name in DEFINITIONS if (SRC / f"paretune/stages/{name}.py").is_file()]


def deps(stage: str) -> list[Path]:
    """The paths that a stage depends on, without those that come from params.yaml."""
    definition = DEFINITIONS[stage]
    names = definition.get("do", definition)["deps"]
    return [ROOT / name for name in names if "${" not in name]


def find(module: str) -> Path | None:
    """The file of a module of this project, by its full name."""
    path = SRC.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def imported(node: ast.AST, file: Path) -> Iterator[str]:
    """Full names of the paretune modules that a piece of code imports, at any depth, but not only for type checkers."""
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{file}:{node.lineno}: relative import; write the full name"
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            # Lazily loaded names cannot be followed from here.
            assert node.module not in LAZY or find(name), f"{file}:{node.lineno}: import {alias.name} from its module"
            yield name if find(name) else str(node.module)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and file not in map(find, LAZY):
        yield node.value  # the full name of a module as a string: a lazy import
    for child in children:
        yield from imported(child, file)


def closure(module: str) -> set[Path]:
    """The files that importing a module can reach within the project, packages' ``__init__`` included."""
    reached: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = find(name) if name.partition(".")[0] == "paretune" else None
        if file and file not in reached:
            reached.add(file)
            waiting += imported(ast.parse(file.read_text(encoding="utf-8")), file)
            parts = name.split(".")
            waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
    return reached


def covers(dep: Path, file: Path) -> bool:
    """Whether a dep is the file itself or a folder above it."""
    return dep == file or dep in file.parents


@pytest.mark.parametrize("stage", STAGES)
def test_deps_cover_the_code_that_a_stage_reaches(stage: str) -> None:
    """Each reachable module is in a dep, and each dep below src/ holds at least one reachable module."""
    reached = closure(f"paretune.stages.{stage}")
    listed = [dep for dep in deps(stage) if SRC in dep.parents]
    missing = {file for file in reached if not any(covers(dep, file) for dep in listed)}
    superfluous = {dep for dep in listed if not any(covers(dep, file) for file in reached)}
    assert sorted(str(file.relative_to(ROOT)) for file in missing) == []
    assert sorted(str(dep.relative_to(ROOT)) for dep in superfluous) == []


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

"""What is heavy is imported when it is used: no stage waits for a library that it does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import paretune

HEAVY = ("litellm", "openai", "xllamacpp", "keras", "tensorflow", "jax", "torch", "datasets", "pandas")
STAGES = sorted(
    f"paretune.stages.{path.stem}" for path in Path(paretune.__file__).parent.glob("stages/*.py") if path.stem[0] != "_"
)
SEARCHING = ("paretune.stages.evaluate", "paretune.stages.search")


def fresh(code: str, *first_on_path: Path) -> Any:
    """What a new process prints as JSON, with warnings as errors and nothing else on its terminal."""
    path = os.pathsep.join([*map(str, first_on_path), *(name for name in sys.path if name)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import json, sys\n{code}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def heavy_after(*modules: str) -> set[str]:
    """The heavy libraries that are there once ``modules`` are imported."""
    imports = "".join(f"import {name}\n" for name in modules)
    return set(fresh(f"{imports}print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"))


def test_most_commands_import_nothing_heavy() -> None:
    """The command line and all stages that do not search leave every heavy library alone."""
    quiet = [name for name in STAGES if name not in SEARCHING]
    assert len(quiet) == 4
    assert (
        heavy_after(*quiet, "paretune.commands.main", "paretune.lm.backends.local", "paretune.lm.backends.litellm")
        == set()
    )


def test_the_searching_stages_import_what_keras_tuner_wants() -> None:
    """Keras-Tuner brings the stand-in for Keras, and pandas by way of scikit-learn; the rest waits for a call."""
    assert heavy_after(*SEARCHING) <= {"keras", "pandas"}


def test_the_package_alone_imports_next_to_nothing() -> None:
    """`import paretune` reads its own two files; names come when they are used."""
    code = (
        "before = set(sys.modules)\nimport paretune\n"
        "print(json.dumps([name for name in set(sys.modules) - before if name.startswith('paretune')]))"
    )
    assert set(fresh(code)) == {"paretune", "paretune.lazy"}


def test_keras_is_never_imported(tmp_path: Path) -> None:
    """The oracles work on the stand-in, also where a Keras is installed; no tensor library comes along."""
    package = tmp_path / "keras"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('the real Keras was imported')")
    code = (
        "import paretune.tuners.keras_api, paretune.tuners.oracles.grid\n"
        "loaded = [name for name in ('tensorflow', 'jax', 'torch') if name in sys.modules]\n"
        "print(json.dumps([sys.modules['keras'].__doc__, getattr(sys.modules['keras'], '__file__', None), loaded]))"
    )
    doc, file, loaded = fresh(code, tmp_path)
    assert "stand-in" in doc
    assert (file, loaded) == (None, [])


def test_a_keras_that_is_loaded_is_left_alone(tmp_path: Path) -> None:
    """disable_keras_backend() never takes the real Keras away from a program that uses it."""
    package = tmp_path / "keras"
    package.mkdir()
    (package / "__init__.py").write_text("mine = True")
    code = (
        "import keras\nfrom paretune import disable_keras_backend\n"
        "disable_keras_backend()\ndisable_keras_backend()\nprint(json.dumps(sys.modules['keras'].mine))"
    )
    assert fresh(code, tmp_path) is True

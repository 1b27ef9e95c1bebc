"""What is heavy is imported when it is used: no stage waits for a library that it does not need."""

from __future__ import annotations

from pathlib import Path

import pytest
from fresh import fresh

import paretune
from paretune.tuners import TUNERS

HEAVY = ("litellm", "openai", "xllamacpp", "keras", "tensorflow", "jax", "torch", "datasets", "pandas")
HEAVY += ("sklearn", "scipy", "grpc", "google.protobuf", "optuna", "moocore")
STAGES = sorted(
    f"paretune.stages.{path.stem}" for path in Path(paretune.__file__).parent.glob("stages/*.py") if path.stem[0] != "_"
)
SEARCHING = ("paretune.stages.evaluate", "paretune.stages.search")


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


@pytest.mark.parametrize("name", ["grid", "random", "hyperband", "pareto"])
def test_the_searching_stages_import_nothing_but_the_stand_in(name: str) -> None:
    """Keras-Tuner brings the stand-in for Keras and nothing else; the rest waits for a call."""
    assert heavy_after(*SEARCHING, f"paretune.tuners.oracles.{TUNERS[name].module}") == {"keras"}


def test_the_gaussian_process_is_for_those_who_fit_one() -> None:
    """Scikit-learn and SciPy come with the Bayesian oracle."""
    assert heavy_after("paretune.tuners.oracles.bayesian") >= {"keras", "sklearn", "scipy"}


@pytest.mark.parametrize("kind", ["GridSearch", "RandomSearch", "Hyperband"])
def test_a_whole_search_loads_nothing_more(tmp_path: Path, kind: str) -> None:
    """Estimate, search and results of a tuner that fits nothing, from the first trial to the last."""
    code = f"""
import paretune
class Text(paretune.DataModel):
    text: str
async def build_program(hp):
    model = paretune.ScriptedLanguageModel(lambda request: '{{"text": "a"}}', name=hp.Choice("model", ["a", "b"]))
    inputs = paretune.Input(data_model=Text)
    program = paretune.Program(inputs, await paretune.Generator(data_model=Text, language_model=model)(inputs))
    program.compile(reward=paretune.rewards.ExactMatch())
    return program
x = [Text(text="a")] * 2
options = {{"max_epochs": 1}} if {kind!r} == "Hyperband" else {{}}
tuner = paretune.tuners.{kind}(build_program, "val_reward", directory={str(tmp_path)!r}, verbose=False, **options)
calls = paretune.estimate(tuner, x, x, validation_data=(x, x)).calls.low
tuner.search(x, x, validation_data=(x, x))
print(json.dumps([calls, len(tuner.trial_records()), [name for name in {HEAVY} if name in sys.modules]]))
"""
    calls, trials, heavy = fresh(code, cwd=tmp_path)
    assert calls == 2 * trials > 0
    assert heavy == ["keras"]


def test_the_table_of_tuners_loads_none() -> None:
    """Who checks params.yaml reads the tuners' names and options without any of what they propose with."""
    code = "import paretune.tuners\nnames = list(paretune.tuners.TUNERS)\n"
    loaded = fresh(f"{code}print(json.dumps([names, [name for name in sys.modules if name in {{*{HEAVY}, 'numpy'}}]]))")
    assert loaded == [list(TUNERS), []]


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

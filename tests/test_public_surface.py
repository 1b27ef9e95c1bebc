"""What ``import paretune`` offers, and that it costs nothing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import paretune

NAMES = {
    "paretune": [
        "Budget",
        "CallOptions",
        "ChainOfThought",
        "DataModel",
        "Dataset",
        "Estimate",
        "Evaluation",
        "Field",
        "Generator",
        "History",
        "HuggingFaceDataset",
        "Input",
        "LanguageModel",
        "Ledger",
        "Module",
        "Price",
        "Program",
        "Recording",
        "Reply",
        "Request",
        "Score",
        "ScriptedLanguageModel",
        "Spent",
        "TrialRecord",
        "callbacks",
        "clear_session",
        "datasets",
        "disable_keras_backend",
        "errors",
        "estimate",
        "metrics",
        "optimizers",
        "report",
        "rewards",
        "run_maybe_nested",
        "stats",
        "tuners",
        "watch",
    ],
    "paretune.callbacks": ["CSVLogger", "Callback", "EarlyStopping", "ProgramCheckpoint"],
    "paretune.errors": [
        "ParetuneError",
        "ConfigError",
        "DataError",
        "UsageError",
        "SearchError",
        "LanguageModelError",
        "FatalError",
        "BudgetError",
        "TransientError",
        "RefusedInputError",
        "InvalidOutputError",
        "NotRecordedError",
        "JudgementError",
    ],
    "paretune.metrics": [
        "BinaryAccuracy",
        "BinaryF1Score",
        "BinaryPrecision",
        "BinaryRecall",
        "CategoricalAccuracy",
        "CategoricalF1Score",
        "CategoricalPrecision",
        "CategoricalRecall",
        "F1Score",
        "FieldF1",
        "MeanMetricWrapper",
        "Measure",
        "Metric",
        "Outcome",
    ],
    "paretune.optimizers": ["GEPA", "OPRO", "Observation", "Optimizer", "RandomFewShot"],
    "paretune.rewards": [
        "Criterion",
        "ExactMatch",
        "FieldMatch",
        "LMAsJudge",
        "Match",
        "Reward",
        "RewardFunctionWrapper",
        "Rubric",
        "Scored",
        "Weighted",
    ],
    "paretune.stats": [
        "Agreement",
        "Axis",
        "BayesianBootstrap",
        "BestSet",
        "Bootstrap",
        "Corrected",
        "CorrectedMean",
        "Difference",
        "Hypervolume",
        "Interval",
        "Measure",
        "PseudoExamples",
        "Settled",
        "VarianceSplit",
        "agreement",
        "agresti_min",
        "best_set",
        "bias",
        "confidence_at",
        "corrected_mean",
        "corrected_score",
        "detectable_difference",
        "difference",
        "effective_n",
        "examples_needed",
        "frontier_probability",
        "fronts",
        "holm",
        "hypervolume",
        "hypervolume_of",
        "intervals_of",
        "mcnemar",
        "newcombe",
        "non_dominated",
        "paired_scores",
        "percentile_interval",
        "plus_delta",
        "quantile_interval",
        "rounded",
        "scaled_volume",
        "settled",
        "variance_split",
        "weighted_values",
        "wilson",
    ],
    "paretune.tuners": [
        "BayesianOptimization",
        "GridSearch",
        "HyperParameters",
        "Hyperband",
        "Objective",
        "ParetoSearch",
        "RandomSearch",
        "Tuner",
    ],
}


@pytest.mark.parametrize("package", NAMES)
def test_public_names(package):
    """The names that scripts rely on are there, each resolves, and dir() lists them."""
    module = importlib.import_module(package)
    assert list(module.__all__) == NAMES[package]
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_resolved_names_are_what_they_say():
    """A name leads to the object of that name, a package to the package."""
    for name in paretune.__all__:
        value = getattr(paretune, name)
        assert name in ("Field", "Score") or value.__name__ in (name, f"paretune.{name}")


@pytest.mark.parametrize("package", ["paretune", "paretune.rewards", "paretune.tuners"])
def test_unknown_names(package):
    """A name that is not public raises AttributeError, so that hasattr and import errors work."""
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'Nonsense'"):
        module.Nonsense  # noqa: B018
    assert not hasattr(module, "nonsense")


def run_python(code: str) -> str:
    """The output of some code in a fresh interpreter."""
    source = str(Path(paretune.__file__).parent.parent)
    program = f"import sys; sys.path.insert(0, {source!r})\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_import_is_light():
    """``import paretune`` loads no other library, and hardly anything of its own."""
    loaded = json.loads(
        run_python(
            "import json, importlib, typing; before = set(sys.modules)\n"
            "import paretune; print(json.dumps(sorted(set(sys.modules) - before)))"
        )
    )
    assert set(loaded) <= {"__future__", "paretune", "paretune.lazy"}


def test_names_listed_before_they_are_loaded():
    """dir() tells every public name, and telling it loads nothing."""
    listed, loaded = json.loads(
        run_python("import json, paretune; print(json.dumps([dir(paretune), 'pydantic' in sys.modules]))")
    )
    assert set(NAMES["paretune"]) <= set(listed) and not loaded


def test_building_a_program_loads_no_heavy_library():
    """A program without a search needs neither Keras-Tuner nor litellm nor Hugging Face datasets nor pandas."""
    loaded = run_python(
        "import paretune\n"
        "for name in ('Program', 'Generator', 'DataModel', 'LanguageModel', 'ScriptedLanguageModel'):\n"
        "    getattr(paretune, name)\n"
        "print(*sys.modules)"
    ).split()
    assert not {"keras", "keras_tuner", "litellm", "datasets", "pandas", "scipy", "sklearn"} & set(loaded)
    assert "pydantic" in loaded


def test_disable_keras_backend_any_number_of_times():
    """The stand-in for Keras may be asked for before and after the tuners, again and again."""
    assert (
        run_python(
            "import paretune\n"
            "paretune.disable_keras_backend(); first = sys.modules['keras']; paretune.disable_keras_backend()\n"
            "paretune.tuners.GridSearch; paretune.disable_keras_backend()\n"
            "print(sys.modules['keras'] is first)"
        )
        == "True\n"
    )


def test_real_keras_is_left_alone():
    """Where Keras is imported already, nothing is put in its place."""
    assert (
        run_python(
            "import types; real = sys.modules['keras'] = types.ModuleType('keras')\n"
            "import paretune; paretune.disable_keras_backend(); print(sys.modules['keras'] is real)"
        )
        == "True\n"
    )

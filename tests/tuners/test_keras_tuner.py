"""Keras-Tuner as others find it, who use it beside us: whole, whoever imports it first."""

from __future__ import annotations

from pathlib import Path

import pytest
from fresh import fresh

QUIET = "import paretune, warnings\nwarnings.simplefilter('ignore')\nparetune.disable_keras_backend()"
OURS = "from paretune.tuners import GridSearch, keras_api"
THEIRS, STAR = "import keras_tuner", "from keras_tuner import *"
ALL_OF_IT = """
import pandas
hp = keras_tuner.HyperParameters()
hp.Float("x", 0, 1)
oracle = keras_tuner.oracles.BayesianOptimizationOracle(
    objective=keras_tuner.Objective("val_reward", "max"), max_trials=4, num_initial_points=2, hyperparameters=hp
)
oracle._set_project_dir("oracle", "one")
oracle.verbose = 0
for _ in range(4):
    trial = oracle.create_trial("tuner0")
    oracle.update_trial(trial.trial_id, {"val_reward": trial.hyperparameters.values["x"]})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
print(json.dumps([
    keras_tuner.HyperParameters is keras_api.HyperParameters,
    keras_tuner.engine.oracle.Oracle is keras_api.Oracle is keras_tuner.src.engine.oracle.Oracle,
    "SklearnTuner" in vars(keras_tuner) and "RandomSearch" in vars(keras_tuner.tuners),
    keras_tuner.HyperParameters.from_proto(hp.to_proto()).space[0].name,
    pandas.DataFrame({"a": [1]}).shape,
    len(oracle.trials),
    hasattr(keras_tuner, "nothing"),
]))
"""


@pytest.mark.parametrize("imports", [[THEIRS, OURS], [OURS, THEIRS], [OURS, STAR, THEIRS]])
def test_it_has_all_its_parts(tmp_path: Path, imports: list[str]) -> None:
    """Imported before us or after, it has one set of classes, its Bayesian oracle with the real scikit-learn, its
    protocol buffers."""
    assert fresh("\n".join([QUIET, *imports, ALL_OF_IT]), cwd=tmp_path) == [True, True, True, "x", [1, 1], 4, False]


def test_threads_that_want_a_name_at_once() -> None:
    """All of them get it, whoever comes first."""
    code = f"""
import threading
{QUIET}
{OURS}
{THEIRS}
names, found = ["RandomSearch", "Tuner", "tuners", "oracles", "SklearnTuner", "__version__"] * 4, []
barrier = threading.Barrier(len(names))
def look(name):
    barrier.wait()
    found.append(getattr(keras_tuner, name) is not None)
threads = [threading.Thread(target=look, args=(name,)) for name in names]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(json.dumps([len(found), all(found)]))
"""
    assert fresh(code) == [24, True]

"""The task with DSPy and Optuna: a study (in SQLite, resumable) over the grid; DSPy's cache keeps replies."""

import json
import sys
from pathlib import Path
from typing import Any, Literal

import dspy
import optuna

task, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])


class Wind(dspy.Signature):
    """The task."""

    text: str = dspy.InputField()
    label: Literal["north", "east", "south", "west"] = dspy.OutputField()


def right(example: Any, prediction: Any, trace: Any = None) -> bool:
    """Exact match."""
    return bool(example.label == prediction.label)


rows = [dspy.Example(**row).with_inputs("text") for row in task["rows"]]
evaluate = dspy.Evaluate(devset=rows, metric=right, num_threads=task["in_flight"], display_progress=False)


def objective(trial: optuna.Trial) -> float:
    """The accuracy, in percent, of one configuration."""
    lm = dspy.LM(
        f"openai/{trial.suggest_categorical('model', task['models'])}",
        api_base=task["api_base"],
        api_key="none",
        temperature=trial.suggest_categorical("temperature", task["temperatures"]),
    )
    with dspy.context(lm=lm):
        return float(evaluate(dspy.Predict(Wind.with_instructions(task["instructions"]))).score)


optuna.logging.set_verbosity(optuna.logging.WARNING)
space = {"model": task["models"], "temperature": task["temperatures"]}
(folder / "results").mkdir(exist_ok=True)
study = optuna.create_study(
    storage=f"sqlite:///{folder}/results/study.db",
    study_name="study",
    load_if_exists=True,
    direction="maximize",
    sampler=optuna.samplers.GridSampler(space, seed=0),
)
study.optimize(objective)  # the sampler ends it
found = {
    f"{trial.params['model']} {trial.params['temperature']}": trial.value / 100
    for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
}
print(json.dumps(found))

"""The task with paretune: a grid search; its ledger keeps every reply."""

import json
import sys
from pathlib import Path
from typing import Any, Literal

import paretune
from paretune.lm.ledger.ledger import Ledger

task, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
ledger = Ledger(folder / "store" / "ledger.sqlite")


class Report(paretune.DataModel):
    """The input."""

    text: str


class Wind(paretune.DataModel):
    """The output."""

    label: Literal["north", "east", "south", "west"]


async def build_program(hp: Any) -> paretune.Program:
    """One configuration."""
    model = paretune.LanguageModel(
        f"openai/{hp.Choice('model', task['models'])}",
        api_base=task["api_base"],
        concurrency=task["in_flight"],
        ledger=ledger,
        price={"prompt": 1, "completion": 1},
    )
    inputs = paretune.Input(data_model=Report)
    generator = paretune.Generator(
        data_model=Wind,
        language_model=model,
        temperature=hp.Choice("temperature", task["temperatures"]),
        instructions=task["instructions"],
    )
    program = paretune.Program(inputs=inputs, outputs=await generator(inputs))
    program.compile(reward=paretune.rewards.ExactMatch())
    return program


x = [Report(text=row["text"]) for row in task["rows"]]
y = [Wind(label=row["label"]) for row in task["rows"]]
tuner = paretune.tuners.GridSearch(
    build_program, "val_reward", directory=folder / "results", parallel_trials=4, verbose=False
)
tuner.search(x, y, validation_data=(x, y))  # nothing is trained, so only the validation asks
found = {
    f"{trial.hyperparameters.values['model']} {trial.hyperparameters.values['temperature']}": trial.score
    for trial in tuner.oracle.get_best_trials(1_000)
}
print(json.dumps(found))

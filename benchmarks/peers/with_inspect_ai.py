"""The task with inspect_ai: an eval set (resumable) of one task a temperature on all models; replies are cached."""

import json
import sys
from pathlib import Path

from inspect_ai import Task, eval_set
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import exact
from inspect_ai.solver import generate, system_message

task, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
samples = [Sample(input=row["text"], target=row["label"]) for row in task["rows"]]
tasks = [
    Task(
        name=f"temperature_{int(temperature * 100)}",
        dataset=MemoryDataset(samples),
        solver=[system_message(task["instructions"]), generate(cache=True)],
        scorer=exact(),
        config=GenerateConfig(temperature=temperature),
    )
    for temperature in task["temperatures"]
]
own = {"base_url": task["api_base"], "api_key": "none"}  # a server that is like OpenAI
models = [get_model(f"openai-api/loopback/{name}", **own) for name in task["models"]]
_, logs = eval_set(
    tasks,
    log_dir=str(folder / "results"),
    model=models,
    max_connections=task["in_flight"] // len(models),  # it is a limit for each model
    max_samples=task["in_flight"],
    max_tasks=4,
    display="none",
)


def name(log: EvalLog) -> str:
    """The configuration of a log."""
    return f"{log.eval.model.rpartition('/')[2]} {int(log.eval.task.rpartition('_')[2]) / 100}"


print(json.dumps({name(log): log.results.scores[0].metrics["mean"].value for log in logs}))

"""Compare language models on several objectives at once: which one names the emotion of a short text best?

Some emotions are rare. The reward (is the whole answer right?) hardly notices a model that never finds them; macro-F1,
the mean over the six emotions, does. The search asks for both, visits each model with each number of few-shot examples,
runs each of these three times with different seeds, and prints a table of what there is to choose from.

    python examples/multi_objective_lm_selection.py
    python examples/multi_objective_lm_selection.py --data dair-ai/emotion --scores \
        --models gemini/gemini-2.5-flash-lite gemini/gemini-2.5-flash

The defaults need no key and no network: a tiny local model, and a sample of texts that comes with the project.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import create_model

import paretune
from paretune.datasets import load_split, split_train_test
from paretune.errors import ParetuneError
from paretune.stats import non_dominated

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
EMOTIONS = ("sadness", "joy", "love", "anger", "fear", "surprise")
METRICS = {"reward": "val_reward", "f1": "val_binary_f1_score"}


class Tweet(paretune.DataModel):
    """What is classified."""

    text: str = paretune.Field(description="A short text")


#: One field for each emotion: yes or no, or how sure the model is. Data files give 1 or 0, which fits both.
Emotion: Any = create_model(
    "Emotion",
    __base__=paretune.DataModel,
    **{name: (bool, paretune.Field(description=f"True if {name} is the main emotion")) for name in EMOTIONS},
)
EmotionScores: Any = create_model(
    "EmotionScores",
    __base__=paretune.DataModel,
    **{name: (paretune.Score, paretune.Field(description=f"Confidence in {name}")) for name in EMOTIONS},
)
INPUT = '{"text": {{ text | tojson }}}'
OUTPUT = """{% for name in emotions -%}
    {{ "{" if loop.first else ", " }}"{{ name }}": {{ (loop.index0 == label) | int }}
{%- endfor %}}"""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", nargs="+", default=["local/smollm2-135m-instruct"], help="litellm's names, or local/…"
    )
    parser.add_argument("--api-base", help="address of an OpenAI-compatible server that has all the models")
    parser.add_argument("--concurrency", type=int, default=4, help="calls in flight at once, for each model")
    parser.add_argument("--examples", type=int, nargs="+", default=[0, 3], help="numbers of few-shot examples to try")
    parser.add_argument("--replicates", type=int, default=3, help="runs of each configuration, with different seeds")
    parser.add_argument("--scores", action="store_true", help="ask for confidences instead of yes or no")
    parser.add_argument("--data", default=str(SAMPLE), help="a folder with a train and a test file, or dair-ai/emotion")
    parser.add_argument("--limit", type=int, default=40, help="texts for the search; a half to train, a half to choose")
    parser.add_argument("--test-limit", type=int, default=40, help="texts for the final test")
    parser.add_argument("--work", default=".paretune/examples", help="folder for the record of the search")
    parser.add_argument("--overwrite", action="store_true", help="search anew instead of going on")
    return parser.parse_args(argv)


def load_texts(data: str, split: str, limit: int, answer: Any) -> tuple[Any, ...]:
    return load_split(
        data,
        split=split,
        input_data_model=Tweet,
        input_template=INPUT,
        output_data_model=answer,
        output_template=OUTPUT,
        variables={"emotions": EMOTIONS},
        limit=limit,
    )


def hypermodel(
    models: dict[str, paretune.LanguageModel], examples: Sequence[int], answer: Any
) -> Callable[[Any], Awaitable[paretune.Program]]:
    """The function that turns a model's name and a number of examples into a program."""
    f1 = paretune.metrics.BinaryF1Score(average="macro", threshold=0.5)
    # A confidence of 0.9 is no exact match of 1.0, but above the threshold it is right.
    reward = f1 if answer is EmotionScores else paretune.rewards.ExactMatch()

    async def build_program(hp: paretune.tuners.HyperParameters) -> paretune.Program:
        model = models[hp.Choice("model", list(models))]
        shown = hp.Choice("examples", list(examples))
        inputs = paretune.Input(data_model=Tweet)
        outputs = await paretune.Generator(answer, model, temperature=0.0, max_tokens=128)(inputs)
        program = paretune.Program(inputs=inputs, outputs=outputs, name="classifier")
        few_shot = paretune.optimizers.RandomFewShot(shown, shown) if shown else None
        program.compile(reward=reward, metrics=[f1], optimizer=few_shot)
        return program

    return build_program


def print_table(trials: Sequence[paretune.TrialRecord]) -> None:
    """One line a trial: the means over its replicates, and the reward of each; a star where no other trial is as good
    in both means and better in one."""
    rows = [[trial.metrics[metric] for metric in METRICS.values()] for trial in trials]
    best = non_dominated(np.array(rows), ["max"] * len(METRICS))
    width = max(len(trial.values["model"]) for trial in trials)
    print(f"\ntrial  {'model':{width}}  examples  reward     f1    rewards of the replicates")
    for trial, (reward, f1), on_frontier in zip(trials, rows, best, strict=True):
        model, shown = trial.values["model"], trial.values["examples"]
        each = " ".join(f"{replicate.metrics['val_reward']:.3f}" for replicate in trial.replicates)
        star = "*" if on_frontier else " "
        print(f"{trial.trial:5}  {model:{width}}  {shown:8}  {reward:6.3f}  {f1:5.3f} {star}  {each}")


async def score_winner(tuner: paretune.tuners.Tuner, x: Any, y: Any) -> dict[str, float]:
    """The best trial's program, rebuilt from its hyperparameters and with the few-shot examples that it had found."""
    (program,) = await tuner.get_best_programs(1)
    return await program.evaluate(x=x, y=y)


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(argv)
    answer = EmotionScores if options.scores else Emotion
    train, validation = split_train_test(
        *load_texts(options.data, "train", options.limit, answer), validation_split=0.5
    )
    test = load_texts(options.data, "test", options.test_limit, answer)

    server = {"api_base": options.api_base, "concurrency": options.concurrency}
    models = {name: paretune.LanguageModel(name, **server) for name in options.models}
    tuner = paretune.tuners.GridSearch(
        hypermodel(models, options.examples, answer),
        objective=[paretune.tuners.Objective(metric, direction="max") for metric in METRICS.values()],
        directory=options.work,
        project_name="multi_objective_lm_selection",
        executions_per_trial=options.replicates,
        overwrite=options.overwrite,
    )
    tuner.search(x=train[0], y=train[1], validation_data=validation, epochs=1, batch_size=4)

    print()
    tuner.results_summary(num_trials=3)
    ranked = tuner.oracle.get_best_trials(num_trials=len(tuner.oracle.trials))
    print_table([record for record in tuner.trial_records() if record.completed])
    tested = paretune.run_maybe_nested(score_winner(tuner, *test))
    print(f"\ntrial {ranked[0].trial_id} has the best sum of both. On {len(test[0])} texts that the search never saw:")
    print(f"reward {tested['reward']:.3f}, f1 {tested['binary_f1_score']:.3f}")


if __name__ == "__main__":
    try:
        main()
    except ParetuneError as error:
        sys.exit(f"error: {error}")

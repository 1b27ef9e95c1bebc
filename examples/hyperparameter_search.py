"""Search the hyperparameters of a program that solves word problems.

Should the model think before it answers? At which temperature, with how much reasoning? A random search tries some
combinations, keeps the one with the best validation reward, and scores it once on problems that the search never saw.

    python examples/hyperparameter_search.py
    python examples/hyperparameter_search.py --model gemini/gemini-2.5-flash --data openai/gsm8k --limit 200

The defaults need no key and no network: 36 problems that lie beside this file, and a local model so tiny that it solves
hardly any. It shows how a search goes, not how well models reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import paretune
from paretune.datasets import gsm8k, load_split, split_train_test
from paretune.errors import ParetuneError

HERE = Path(__file__).resolve().parent


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="local/smollm2-135m-instruct", help="a name of litellm's, or local/…")
    parser.add_argument("--api-base", help="address of an OpenAI-compatible server, for a model openai/…")
    parser.add_argument("--concurrency", type=int, default=4, help="calls in flight at once")
    parser.add_argument("--data", default=str(HERE / "maths.jsonl"), help="a file, or openai/gsm8k on the hub")
    parser.add_argument("--limit", type=int, default=36, help="problems to use, of which a third is the test")
    parser.add_argument("--trials", type=int, default=4, help="combinations to try")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", default=".paretune/examples", help="folder for the record of the search")
    parser.add_argument("--overwrite", action="store_true", help="search anew instead of going on")
    return parser.parse_args(argv)


def load_problems(data: str, limit: int) -> tuple[Any, Any, Any]:
    """Problems and answers to train on, to choose by, and to test with; no problem is in two of them."""
    x, y = load_split(
        data,
        name=None if Path(data).exists() else "main",
        input_data_model=gsm8k.get_input_data_model(),
        input_template='{"question": {{ question | tojson }}}',
        output_data_model=gsm8k.get_output_data_model(),
        output_template='{"answer": {{ answer | gsm8k_answer | tojson }}}',
        limit=limit,
    )
    search, test = split_train_test(x, y, validation_split=1 / 3)
    train, validation = split_train_test(*search, validation_split=0.5)
    return train, validation, test


def hypermodel(model: paretune.LanguageModel) -> Callable[[Any], Awaitable[paretune.Program]]:
    """The function that turns a choice of hyperparameters into a program."""

    async def build_program(hp: paretune.tuners.HyperParameters) -> paretune.Program:
        options: dict[str, Any] = {
            "language_model": model,
            "temperature": hp.Float("temperature", 0.0, 1.0, step=0.25, default=0.0),
            "max_tokens": 512,
        }
        if model.capabilities["reasoning_effort"]:  # other models have no such dial
            options["reasoning_effort"] = hp.Choice("reasoning_effort", ["minimal", "low", "medium"], default="low")
        answer = gsm8k.get_output_data_model()
        if hp.Boolean("chain_of_thought"):
            solve = paretune.ChainOfThought(answer, max_thinking=300, **options)
        else:
            solve = paretune.Generator(answer, **options)

        inputs = paretune.Input(data_model=gsm8k.get_input_data_model())
        program = paretune.Program(inputs=inputs, outputs=await solve(inputs), name="solver")
        program.compile(
            reward=paretune.rewards.ExactMatch(in_mask=["answer"]),
            optimizer=paretune.optimizers.RandomFewShot(nb_max_examples=3),
        )
        return program

    return build_program


async def score_winner(tuner: paretune.tuners.Tuner, x: Any, y: Any) -> dict[str, float]:
    """The best trial's program, rebuilt from its hyperparameters and with the few-shot examples that it had found."""
    (program,) = await tuner.get_best_programs(1)
    return await program.evaluate(x=x, y=y)


def main(argv: Sequence[str] | None = None) -> None:
    options = arguments(argv)
    train, validation, test = load_problems(options.data, options.limit)
    print(f"{len(train[0])} problems to train on, {len(validation[0])} to choose by, {len(test[0])} to test with")

    model = paretune.LanguageModel(options.model, api_base=options.api_base, concurrency=options.concurrency)
    tuner = paretune.tuners.RandomSearch(
        hypermodel(model),
        objective=paretune.tuners.Objective("val_reward", direction="max"),
        max_trials=options.trials,
        seed=options.seed,
        directory=options.work,
        project_name="hyperparameter_search",
        overwrite=options.overwrite,
    )
    tuner.search(x=train[0], y=train[1], validation_data=validation, epochs=options.epochs, batch_size=4)

    print()
    tuner.results_summary(num_trials=3)
    best = tuner.get_best_hyperparameters(num_trials=1)[0]
    print("\nthe best hyperparameters:")
    for name, value in best.values.items():
        print(f"    {name} = {value}")

    chosen_by = tuner.oracle.get_best_trials(num_trials=1)[0].score
    tested = paretune.run_maybe_nested(score_winner(tuner, *test))
    print(f"\nvalidation reward {chosen_by:.3f}: it was chosen for being the highest, so expect less elsewhere")
    print(f"test reward       {tested['reward']:.3f}: on {len(test[0])} problems that the search never saw")


if __name__ == "__main__":
    try:
        main()
    except ParetuneError as error:
        sys.exit(f"error: {error}")

"""Searches in the shape of the published guides, under the name that they import, from the data to the tested winner.

The models are reached by name and address, through the real client, on a loopback server that computes its replies.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from openai_server import Answer, Asked, OpenAIServer, chat, openai_server

import paretune as synalinks

TESTS = Path(__file__).parent

EMOTIONS = ["sadness", "joy", "love", "anger", "fear", "surprise"]


def reply(asked: Asked) -> Answer:
    """Sums are right where the reply may think first; ``careful`` reads the emotion off the text, others say joy."""
    schema = asked.body["response_format"]["json_schema"]["schema"]["properties"]
    record = json.loads(re.findall(r"\{[^{}]*\}", asked.body["messages"][-1]["content"])[-1])
    if "question" in record:
        total = sum(map(int, re.findall(r"\d+", record["question"])))
        answer = {"thinking": "add them", "answer": total} if "thinking" in schema else {"answer": total + 1}
        return chat(json.dumps(answer))
    careful = asked.body["model"] == "careful"
    found = record["text"].split()[0] if careful else "joy"
    usage = {"prompt_tokens": 70 if careful else 7, "completion_tokens": 3, "total_tokens": 73 if careful else 10}
    if "label" in schema:
        return chat(json.dumps({"label": found}), usage=usage)
    confident, not_so = (0.9, 0.2) if schema["joy"]["type"] == "number" else (True, False)
    return chat(json.dumps({name: confident if name == found else not_so for name in EMOTIONS}), usage=usage)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server of OpenAI's protocol that knows the models tiny, careful and lazy."""
    with openai_server() as running:
        running.answer = reply
        yield running


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# --- One objective: how should a program solve word problems? --------------------------------------------------------


def write_problems(folder: Path) -> Path:
    """Twelve problems for the search and four for the test, in gsm8k's columns."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, numbers in {"train": range(12), "test": range(50, 54)}.items():
        rows = [{"question": f"What is {n} + 2?", "answer": f"{n} + 2 = {n + 2}\n#### {n + 2}"} for n in numbers]
        write_rows(folder / f"{split}.jsonl", rows)
    return folder


def search_for_a_solver(api_base: str, problems: str, folder: str) -> dict[str, Any]:
    """Temperature, reasoning effort, and whether to think: a random search, and the winner on the test split."""
    synalinks.disable_keras_backend()
    gsm8k = synalinks.datasets.gsm8k
    language_model = synalinks.LanguageModel(model="openai/tiny", api_base=api_base)
    (x, y), (x_test, y_test) = gsm8k.load_data(problems)
    (x_train, y_train), (x_val, y_val) = synalinks.datasets.split_train_test(x, y, validation_split=1 / 3)

    async def build_program(hp: Any) -> synalinks.Program:
        thinks = hp.Boolean("use_chain_of_thought", default=True)
        shared = {"language_model": language_model, "temperature": hp.Float("temperature", 0.0, 1.0, default=0.0)}
        effort = hp.Choice("reasoning_effort", ["minimal", "low", "medium"], default="low")

        synalinks.clear_session()

        inputs = synalinks.Input(data_model=gsm8k.get_input_data_model())
        if thinks:
            module = synalinks.ChainOfThought(
                data_model=gsm8k.get_output_data_model(), reasoning_effort=effort, **shared
            )
        else:
            module = synalinks.Generator(data_model=gsm8k.get_output_data_model(), **shared)
        program = synalinks.Program(inputs=inputs, outputs=await module(inputs), name="solver")
        program.compile(
            reward=synalinks.rewards.ExactMatch(in_mask=["answer"]),
            optimizer=synalinks.optimizers.RandomFewShot(),
        )
        return program

    tuner = synalinks.tuners.RandomSearch(
        build_program,
        objective=synalinks.tuners.Objective("val_reward", direction="max"),
        max_trials=4,
        seed=1234,
        directory=folder,
        project_name="solver",
        overwrite=True,
    )
    synalinks.disable_keras_backend()
    tuner.search(x=x_train, y=y_train, validation_data=(x_val, y_val), epochs=1, batch_size=4)
    tuner.results_summary(num_trials=3)
    best_hp = tuner.get_best_hyperparameters(num_trials=1)[0]
    best_trial = tuner.oracle.get_best_trials(num_trials=1)[0]

    async def final() -> Any:
        program = await build_program(best_hp)
        return await program.evaluate(x=x_test, y=y_test, batch_size=4, verbose=0)

    return {
        "trials": {trial.trial_id: dict(trial.hyperparameters.values) for trial in tuner.oracle.trials.values()},
        "scores": {trial.trial_id: trial.score for trial in tuner.oracle.get_best_trials(num_trials=10)},
        "best": best_trial.trial_id,
        "best_values": dict(best_hp.values),
        "best_reward": best_trial.metrics.get_best_value("val_reward"),
        "test": dict(synalinks.run_maybe_nested(final())),
    }


def check_solver(found: dict[str, Any], asked: list[Asked]) -> None:
    """The trials that let the model think win outright, and nothing is asked that need not be."""
    assert list(found["trials"]) == ["0001", "0002", "0003", "0004"]
    thinks = {number: values["use_chain_of_thought"] for number, values in found["trials"].items()}
    assert set(thinks.values()) == {True, False}
    assert found["scores"] == {number: float(right) for number, right in thinks.items()}
    assert found["best"] == next(number for number, right in thinks.items() if right)
    assert found["best_values"] == found["trials"][found["best"]]
    assert found["best_reward"] == 1.0 and found["test"]["reward"] == 1.0
    assert len(asked) == 4 * (8 + 4) + 4
    assert not any("reasoning_effort" in one.body for one in asked)  # of this model nobody knows that it reasons
    assert {one.body["temperature"] for one in asked} == {values["temperature"] for values in found["trials"].values()}


@pytest.mark.filterwarnings("ignore:openai/tiny takes no reasoning_effort:UserWarning")
@pytest.mark.parametrize("where", ["plain", "loop"])
def test_hyperparameter_search(server: OpenAIServer, tmp_path: Path, capsys: Any, where: str) -> None:
    """The search of the first guide runs to its end, from plain code and inside a running event loop (a notebook)."""
    arguments = (server.api_base, str(write_problems(tmp_path / "problems")), str(tmp_path / "search"))

    async def notebook() -> dict[str, Any]:
        return search_for_a_solver(*arguments)

    found = asyncio.run(notebook()) if where == "loop" else search_for_a_solver(*arguments)
    check_solver(found, server.asked)
    printed = capsys.readouterr().out
    assert "3 best of 4 trials" in printed and "use_chain_of_thought=True" in printed


@pytest.mark.slow
def test_hyperparameter_search_as_a_script(server: OpenAIServer, tmp_path: Path) -> None:
    """In a process of its own the same search gives the same trials; the one warning is about the useless effort."""
    arguments = (server.api_base, str(write_problems(tmp_path / "problems")), str(tmp_path / "search"))
    folders = [str(TESTS), str(TESTS / "helpers"), str(Path(synalinks.__file__).parent.parent)]
    script = (
        f"import sys; sys.path[:0] = {folders}\n"
        "import json, test_guides\n"
        f"found = test_guides.search_for_a_solver(*{arguments})\n"
        "print(json.dumps(found))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    check_solver(json.loads(ran.stdout.splitlines()[-1]), server.asked)
    assert "reasoning_effort" in ran.stderr and "Traceback" not in ran.stderr


def test_overwrite_forgets_and_its_absence_resumes(server: OpenAIServer, tmp_path: Path) -> None:
    """The same search again asks the server nothing more: replies are kept even where the record is overwritten."""
    arguments = (server.api_base, str(write_problems(tmp_path / "problems")), str(tmp_path / "search"))
    with pytest.warns(UserWarning, match="takes no reasoning_effort"):
        first = search_for_a_solver(*arguments)
    calls = len(server.asked)
    with pytest.warns(UserWarning, match="takes no reasoning_effort"):
        second = search_for_a_solver(*arguments)
    assert (second["trials"], second["scores"], second["best"]) == (first["trials"], first["scores"], first["best"])
    assert len(server.asked) == calls


# --- Several objectives: which model names emotions best? ------------------------------------------------------------


class Tweet(synalinks.DataModel):
    """A short text."""

    text: str = synalinks.Field(description="The text")


class Emotion(synalinks.DataModel):
    """Yes or no for each emotion."""

    sadness: bool = synalinks.Field(description="Is it sad?")
    joy: bool = synalinks.Field(description="Is it joyful?")
    love: bool = synalinks.Field(description="Is it loving?")
    anger: bool = synalinks.Field(description="Is it angry?")
    fear: bool = synalinks.Field(description="Is it fearful?")
    surprise: bool = synalinks.Field(description="Is it surprised?")


class EmotionScore(synalinks.DataModel):
    """How sure, for each emotion."""

    sadness: synalinks.Score = synalinks.Field(description="How sad?")
    joy: synalinks.Score = synalinks.Field(description="How joyful?")
    love: synalinks.Score = synalinks.Field(description="How loving?")
    anger: synalinks.Score = synalinks.Field(description="How angry?")
    fear: synalinks.Score = synalinks.Field(description="How fearful?")
    surprise: synalinks.Score = synalinks.Field(description="How surprised?")


class EmotionLabel(synalinks.DataModel):
    """Exactly one emotion."""

    label: Literal["sadness", "joy", "love", "anger", "fear", "surprise"] = synalinks.Field(description="Which?")


def fields_template(cell: str) -> str:
    """An output template with one field for each emotion."""
    fields = ", ".join(f'"{name}": {{{{ {cell.format(i=i)} }}}}' for i, name in enumerate(EMOTIONS))
    return "{" + fields + "}"


#: For each layout: the data model, its template, its reward, its metric, and the name of the objective.
LAYOUTS: dict[str, Any] = {
    "booleans": (
        Emotion,
        fields_template("(label == {i}) | tojson"),
        lambda: synalinks.rewards.ExactMatch(),
        lambda: synalinks.metrics.BinaryF1Score(average="macro"),
        "val_binary_f1_score",
    ),
    "scores": (
        EmotionScore,
        fields_template("1.0 if label == {i} else 0.0"),
        lambda: synalinks.metrics.BinaryF1Score(average="macro", threshold=0.5),
        lambda: synalinks.metrics.BinaryF1Score(average="macro", threshold=0.5),
        "val_binary_f1_score",
    ),
    "categorical": (
        EmotionLabel,
        '{"label": {{ ' + json.dumps(EMOTIONS) + "[label] | tojson }}}",
        lambda: synalinks.rewards.ExactMatch(),
        lambda: synalinks.metrics.CategoricalF1Score(average="macro"),
        "val_categorical_f1_score",
    ),
}


def write_tweets(folder: Path) -> Path:
    """Twelve texts whose last four (the validation) are joy, joy, sadness, love; and a test of love and fear."""
    folder.mkdir()
    train = ["joy", "fear", "joy", "sadness", "joy", "anger", "surprise", "joy", "joy", "joy", "sadness", "love"]
    for split, labels in {"train": train, "test": ["love", "fear"]}.items():
        rows = [{"text": f'{name} in "{split}" {i}', "label": EMOTIONS.index(name)} for i, name in enumerate(labels)]
        write_rows(folder / f"{split}.jsonl", rows)
    return folder


def select_a_model(
    api_base: str, tweets: Path, folder: Path, layout: str, third: Any = None
) -> tuple[Any, dict[str, float]]:
    """Each model once, with two objectives or three; the tuner, and the rebuilt winner on the test split."""
    synalinks.disable_keras_backend()
    candidates = ["openai/lazy", "openai/careful"]
    answer, template, reward, metric, second = LAYOUTS[layout]

    def load(split: str, limit: int) -> Any:
        return synalinks.datasets.load_split(
            path=str(tweets),
            split=split,
            input_data_model=Tweet,
            input_template='{"text": {{ text | tojson }}}',
            output_data_model=answer,
            output_template=template,
            limit=limit,
        )

    (x, y) = load("train", 12)
    (x_train, y_train), (x_val, y_val) = synalinks.datasets.split_train_test(x, y, validation_split=1 / 3)
    (x_test, y_test) = load("test", 2)

    async def build_program(hp: Any) -> synalinks.Program:
        model = hp.Choice("model", candidates)
        synalinks.clear_session()
        inputs = synalinks.Input(data_model=Tweet)
        outputs = await synalinks.Generator(
            data_model=answer, language_model=synalinks.LanguageModel(model=model, api_base=api_base)
        )(inputs)
        program = synalinks.Program(inputs=inputs, outputs=outputs, name="classifier")
        program.compile(reward=reward(), metrics=[metric()], optimizer=synalinks.optimizers.RandomFewShot())
        return program

    tuner = synalinks.tuners.GridSearch(
        build_program,
        objective=[
            synalinks.tuners.Objective("val_reward", direction="max"),
            synalinks.tuners.Objective(second, direction="max"),
            *([third] if third else []),
        ],
        max_trials=len(candidates),
        directory=str(folder),
        project_name="selection",
        overwrite=True,
    )
    tuner.search(x=x_train, y=y_train, validation_data=(x_val, y_val), epochs=1, batch_size=4)

    async def final() -> Any:
        program = await build_program(tuner.get_best_hyperparameters(num_trials=1)[0])
        return await program.evaluate(x=x_test, y=y_test, batch_size=4, verbose=0)

    return tuner, synalinks.run_maybe_nested(final())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_multi_objective_selection(server: OpenAIServer, tmp_path: Path, layout: str) -> None:
    """The grid of the second guide visits each model once, and every number stays readable on its trial."""
    tuner, tested = select_a_model(server.api_base, write_tweets(tmp_path / "tweets"), tmp_path / "search", layout)
    second = LAYOUTS[layout][4]
    table = {
        trial.hyperparameters.get("model"): [trial.metrics.get_best_value(name) for name in ("val_reward", second)]
        for trial in tuner.oracle.get_best_trials(num_trials=2)
    }
    # Validation: joy, joy, sadness, love. `lazy` says joy: 2 of 4 right; F1 of joy 2*2/(2*2+2) = 2/3, of the rest 0,
    # so macro 2/3/6. `careful` is right: F1 1 for three emotions, 0 for the three that do not occur, so macro 3/6.
    assert list(table) == ["openai/careful", "openai/lazy"]
    assert table["openai/careful"] == pytest.approx([1.0, 3 / 6])
    assert table["openai/lazy"] == pytest.approx([2 / 4, 2 / 3 / 6])

    best = tuner.oracle.get_best_trials(num_trials=1)[0]
    assert best.score == pytest.approx(-(1.0 + 3 / 6))  # the sum of what is maximised, negated
    assert best.trial_id == "0002" and best.status == "COMPLETED"
    assert tested["reward"] == 1.0 and tested[second.removeprefix("val_")] == pytest.approx(2 / 6)

    asked = [one.body["model"] for one in server.asked]
    assert (asked.count("lazy"), asked.count("careful")) == (8 + 4, 8 + 4 + 2)


def test_a_third_objective_to_minimise(server: OpenAIServer, tmp_path: Path) -> None:
    """Directions mix: with tokens to save, at 0.02 a token, the frugal model overtakes the right one."""
    tokens = synalinks.tuners.Objective("val_tokens_per_request", direction="min", unit=50)
    tweets = write_tweets(tmp_path / "tweets")
    tuner, _ = select_a_model(server.api_base, tweets, tmp_path / "search", "booleans", third=tokens)
    scores = {
        trial.hyperparameters.get("model"): (trial.score, trial.metrics.get_best_value("val_tokens_per_request"))
        for trial in tuner.oracle.get_best_trials(num_trials=2)
    }
    # Scores (see above for the first two numbers): 0.02 * 10 - 2/4 - 1/9, and 0.02 * 73 - 1 - 1/2.
    assert list(scores) == ["openai/lazy", "openai/careful"]
    assert scores["openai/lazy"] == pytest.approx((0.2 - 1 / 2 - 1 / 9, 10))
    assert scores["openai/careful"] == pytest.approx((1.46 - 1 - 1 / 2, 73))


def test_selection_inside_a_running_loop(server: OpenAIServer, tmp_path: Path) -> None:
    """In a notebook the same calls, without an await, give the same winner."""

    async def notebook() -> Any:
        return select_a_model(server.api_base, write_tweets(tmp_path / "tweets"), tmp_path / "search", "booleans")

    tuner, tested = asyncio.run(notebook())
    assert tuner.get_best_hyperparameters(num_trials=1)[0].get("model") == "openai/careful"
    assert tested["reward"] == 1.0


def test_inputs_only_dataset(tmp_path: Path) -> None:
    """Without an output template a split is a tuple of one array."""
    (x,) = synalinks.datasets.load_split(
        path=str(write_tweets(tmp_path / "tweets")),
        split="test",
        input_data_model=Tweet,
        input_template='{"text": {{ text | tojson }}}',
    )
    assert [record.text for record in x] == ['love in "test" 0', 'fear in "test" 1']


def test_a_dataset_of_ones_own_can_be_materialized() -> None:
    """A subclass that only iterates gives arrays, as the guides' own datasets do."""

    class Numbers(synalinks.Dataset):
        def __iter__(self) -> Iterator[tuple[synalinks.DataModel, ...]]:
            return iter([(Tweet(text="a"), EmotionLabel(label="joy")), (Tweet(text="b"), EmotionLabel(label="fear"))])

    x, y = Numbers().materialize()
    assert x.shape == y.shape == (2,) and y[1].label == "fear"


def test_default_metric_names() -> None:
    """The names by which objectives find the metrics."""
    assert synalinks.metrics.BinaryF1Score(average="macro").name == "binary_f1_score"
    assert synalinks.metrics.CategoricalF1Score(average="macro").name == "categorical_f1_score"


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 5), (3, 4)])
def test_calls_that_arrive_at_the_server(server: OpenAIServer, epochs: int, batch_size: int) -> None:
    """fit takes epochs * (N_train + N_val) calls and evaluate N, whatever the batch size."""
    server.answer = chat('{"label": "joy"}')

    async def run() -> tuple[int, int]:
        inputs = synalinks.Input(data_model=Tweet)
        lm = synalinks.LanguageModel("openai/tiny", api_base=server.api_base)
        program = synalinks.Program(
            inputs=inputs, outputs=await synalinks.Generator(data_model=EmotionLabel, language_model=lm)(inputs)
        )
        program.compile(optimizer=synalinks.optimizers.RandomFewShot())
        x, y = [Tweet(text=f"{number}") for number in range(19)], [EmotionLabel(label="joy")] * 19
        options = {"batch_size": batch_size, "verbose": 0}
        await program.fit(x[:9], y[:9], validation_data=(x[9:13], y[9:13]), epochs=epochs, **options)
        trained = len(server.asked)
        await program.evaluate(x[13:], y[13:], **options)
        return trained, len(server.asked) - trained

    assert synalinks.run_maybe_nested(run()) == (epochs * (9 + 4), 6)

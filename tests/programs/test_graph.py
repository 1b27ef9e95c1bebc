"""Modules, the graph that they form, and programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

import pytest
from pydantic import field_validator, model_validator
from tweets import Feeling, Tweet, always_right, asked, reply, tweets

from paretune import (
    ChainOfThought,
    DataModel,
    Field,
    Generator,
    Input,
    LanguageModel,
    Module,
    Program,
    ScriptedLanguageModel,
    clear_session,
    run_maybe_nested,
)
from paretune.errors import DataError, TransientError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.prompting.trace import tracing

MakeModel = Callable[..., LanguageModel]


@pytest.fixture
def model(tmp_path) -> MakeModel:
    """Makes scripted language models with a ledger of this test's own."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    clear_session()
    return lambda script=always_right, **options: ScriptedLanguageModel(script, ledger=ledger, **options)


class Shout(Module):
    """A module of a user: the text in capitals, or nothing for an empty text."""

    async def call(self, inputs: Tweet) -> Tweet | None:
        return Tweet(text=inputs.text.upper()) if inputs.text else None

    def output_models(self, *inputs: type[DataModel]) -> tuple[type[DataModel], type[DataModel]]:
        return Tweet, Tweet


def test_generator_runs_on_a_record(model):
    """Called with a record, a generator asks the model and gives a record of its data model."""
    generator = Generator(data_model=Feeling, language_model=model())
    assert run_maybe_nested(generator(Tweet(text="tweet 4"))) == Feeling(label="joy")


def test_generator_runs_in_a_program(model):
    """Called with a symbol, a generator becomes a node that the program runs."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        return Program(inputs=inputs, outputs=await Generator(data_model=Feeling, language_model=model())(inputs))

    program = run_maybe_nested(build())
    assert run_maybe_nested(program(Tweet(text="tweet 3"))) == Feeling(label="fear")
    assert run_maybe_nested(program.predict(tweets(4)[0])) == tweets(4)[1]


def test_chain_of_thought_thinks_first(model):
    """The field thinking stands first in the schema and in the output; the gold records need none."""
    lm = model()
    module = ChainOfThought(data_model=Feeling, language_model=lm)
    symbol = run_maybe_nested(module(Input(data_model=Tweet)))
    output = run_maybe_nested(module(Tweet(text="tweet 4")))
    assert list(output.get_json().items()) == [("thinking", "I know"), ("label", "joy")]
    assert list(lm.backend.calls[0].schema["properties"]) == ["thinking", "label"]
    assert symbol.gold_model is Feeling


def test_chain_of_thought_adds_thinking_once(model):
    """A data model that has thinking already is taken as it is, and the plain generator asks for no thinking."""

    class Reasoned(DataModel):
        label: str
        thinking: str

    assert ChainOfThought(data_model=Reasoned, language_model=model()).data_model is Reasoned
    assert "thinking" not in Generator(data_model=Feeling, language_model=model()).data_model.model_fields


def test_invalid_output_passes_on(model):
    """What does not validate is None, and the modules after it neither run nor fail."""
    lm = model(lambda request: reply("anger"))

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        first = await Generator(data_model=Feeling, language_model=lm)(inputs)
        return Program(inputs=inputs, outputs=await Generator(data_model=Feeling, language_model=lm)(first))

    program = run_maybe_nested(build())
    assert run_maybe_nested(program(Tweet(text="tweet 1"))) is None
    assert len(lm.backend.calls) == 1


def test_user_module(model):
    """A subclass of Module takes part in a program, before a generator and with its own invalid outputs."""
    lm = model(lambda request: reply("joy" if asked(request)["text"].isupper() else "fear"))

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        loud = await Shout()(inputs)
        return Program(inputs=inputs, outputs=await Generator(data_model=Feeling, language_model=lm)(loud))

    program = run_maybe_nested(build())
    assert [module.name for module in program.modules] == ["shout", "generator"]
    assert run_maybe_nested(program.predict([Tweet(text="hey"), Tweet(text="")])) == [Feeling(label="joy"), None]


def test_module_used_twice(model):
    """One module at two places of a program is one module: it is listed once, and asked twice."""

    def script(request: Request) -> str:
        return json.dumps({"text": asked(request)["text"] + "!"})

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        again = Generator(data_model=Tweet, language_model=model(script))
        return Program(inputs=inputs, outputs=await again(await again(inputs)))

    program = run_maybe_nested(build())
    assert run_maybe_nested(program(Tweet(text="hey"))) == Tweet(text="hey!!")
    assert [module.name for module in program.modules] == ["generator"]


def test_program_inside_a_program(model):
    """A program is a module: what training may change inside it is seen from outside."""
    lm = model()

    async def build() -> Program:
        inner_inputs = Input(data_model=Tweet)
        inner = Program(
            inputs=inner_inputs, outputs=await Generator(data_model=Feeling, language_model=lm)(inner_inputs)
        )
        inputs = Input(data_model=Tweet)
        return Program(inputs=inputs, outputs=await inner(await Shout()(inputs)), name="outer")

    program = run_maybe_nested(build())
    assert [generator.name for generator in program.generators] == ["generator"]
    assert run_maybe_nested(program(Tweet(text="tweet 2"))) == Feeling(label="joy")


def test_clear_session_resets_names(model):
    """Automatic names count up within a session, and start anew after clear_session()."""

    def names() -> list[str]:
        modules = [Generator(data_model=Feeling, language_model=model()) for _ in range(2)]
        return [module.name for module in (*modules, ChainOfThought(data_model=Feeling, language_model=model()))]

    first = names()
    clear_session()
    assert first == names() == ["generator", "generator_1", "chain_of_thought"]


@pytest.mark.parametrize("options", [{}, {"data_model": Feeling}, {"language_model": "openai/gpt-4o"}])
def test_generator_needs_a_data_model_and_a_language_model(options: dict[str, Any]):
    """Without either there is a clear error at once."""
    with pytest.raises(UsageError, match="needs data_model=… and language_model=…"):
        Generator(**options)


@pytest.mark.parametrize("instructions", [5, b"Name it.", ["Name it."]])
def test_instructions_are_a_text(model, instructions: Any):
    """Others are refused with their value when the module is made, and not by the first prompt."""
    with pytest.raises(UsageError, match=r"generator: instructions must be a text \(got "):
        Generator(Feeling, model(), instructions=instructions, name="generator")


def test_graph_errors(model):
    """An Input of another program, outputs without inputs, mixed calls and equal names are refused when built."""

    async def check() -> None:
        mine, other = Input(data_model=Tweet), Input(data_model=Tweet)
        generator = Generator(data_model=Feeling, language_model=model())
        outputs = await generator(mine)
        with pytest.raises(UsageError, match="Input that is not the program's own"):
            Program(inputs=other, outputs=outputs)
        with pytest.raises(UsageError, match="needs inputs="):
            Program(inputs=mine, outputs=Feeling(label="joy"))  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="takes one input"):
            await generator(mine, outputs)
        with pytest.raises(UsageError, match="cannot be mixed"):
            await generator(mine, Tweet(text="a"))
        with pytest.raises(UsageError, match="needs a DataModel class"):
            Input(data_model=dict)  # type: ignore[arg-type]
        twin = Generator(data_model=Feeling, language_model=model(), name=generator.name)
        with pytest.raises(UsageError, match="two modules of the program are called 'generator'"):
            Program(inputs=mine, outputs=await twin(outputs))

    run_maybe_nested(check())


def test_uncompiled_program_cannot_be_scored(model):
    """fit and evaluate need compile() first, predict does not."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        return Program(inputs=inputs, outputs=await Generator(data_model=Feeling, language_model=model())(inputs))

    program = run_maybe_nested(build())
    for run in (program.fit, program.evaluate):
        with pytest.raises(UsageError, match="call compile"):
            run_maybe_nested(run(*tweets(2)))


def test_state_round_trip(model, tmp_path):
    """A saved state makes another program of the same form the same; one with other modules refuses it."""

    async def build(name: str, instructions: str | None) -> Program:
        inputs = Input(data_model=Tweet)
        generator = Generator(data_model=Feeling, language_model=model(), instructions=instructions, name=name)
        return Program(inputs=inputs, outputs=await generator(inputs))

    trained = run_maybe_nested(build("a", "Be quick."))
    trained.generators[0].examples = ({"input": {"text": "é"}, "output": {"label": "joy"}},)
    trained.save_state(tmp_path / "state.json")
    fresh = run_maybe_nested(build("a", None))
    fresh.load_state_file(tmp_path / "state.json")
    assert fresh.get_state() == trained.get_state()
    assert fresh.generators[0].instructions == "Be quick."
    with pytest.raises(DataError, match=r"\['a'\].*\['b'\]"):
        run_maybe_nested(build("b", None)).load_state_file(tmp_path / "state.json")


def forked(lm: LanguageModel, names: tuple[str, ...]) -> Program:
    """One generator for each name, all of them on the same input, and a combination of what they say."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        parts = [await Generator(data_model=Feeling, language_model=lm, instructions=n, name=n)(inputs) for n in names]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return Program(inputs=inputs, outputs=total)

    return run_maybe_nested(build())


@pytest.mark.parametrize("last", [0, 1, 2])
def test_branches_run_at_the_same_time(model, last):
    """Independent modules wait for no other; their calls are traced in the order of the graph, whichever is last."""
    names = ("a", "b", "c")
    arrived: list[str] = []

    async def script(request: Request) -> str:
        name = request.messages[0][1]
        arrived.append(name)
        for _ in range(1000):  # until all have arrived, and the others have gone
            if len(arrived) >= (5 if name == names[last] else 3):
                break
            await asyncio.sleep(0)
        arrived.append(name)
        return reply("joy" if name == "b" else "fear")

    program = forked(model(script), names)

    async def run() -> tuple[Any, list[Any]]:
        with tracing() as calls:
            return await program(Tweet(text="hey")), calls

    output, calls = run_maybe_nested(run())
    assert output.get_json() == {"label": "fear", "label_1": "joy", "label_2": "fear"}
    assert arrived[:3] == list(names) and arrived[-1] == names[last]
    assert [call.module for call in calls] == list(names)


def test_a_branch_that_fails(model):
    """The calls of the other branches are counted all the same, and the first branch's error is the one told."""

    def script(request: Request) -> str:
        name = request.messages[0][1]
        if name != "b":
            raise TransientError(f"503 from {name}")
        return reply("joy")

    program = forked(model(script, max_attempts=1), ("a", "b", "c"))
    program.compile()
    gold = program.gold_model(label="joy", label_1="joy", label_2="joy")
    (outcome,) = run_maybe_nested(program.evaluation([Tweet(text="hey")], [gold])).outcomes
    assert outcome.status == "failed" and outcome.calls == 1 and "503 from a" in (outcome.error or "")


class Polite(DataModel):
    """A data model of a user, with a validator for each mode, and a method."""

    label: str = Field(description="In one word")
    strength: int = 1

    @field_validator("label")
    @classmethod
    def one_word(cls, value: str) -> str:
        if " " in value:
            raise ValueError("one word only")
        return value.lower()

    @model_validator(mode="after")
    def not_too_strong(self) -> Self:
        if self.label == "anger" and self.strength > 5:
            raise ValueError("calm down")
        return self

    def loud(self) -> str:
        return self.label.upper()


@pytest.mark.parametrize(
    ("record", "label"),
    [
        ({"label": "JOY", "strength": 9}, "joy"),
        ({"label": "joy and fear", "strength": 1}, None),
        ({"label": "Anger", "strength": 9}, None),
    ],
)
def test_chain_of_thought_keeps_validators(model, record, label):
    """What the data model refuses or changes, and what it can do, is the same with thinking before it."""
    lm = model(lambda request: json.dumps({"thinking": "hm", **record}))
    module = ChainOfThought(data_model=Polite, language_model=lm)
    output = run_maybe_nested(module(Tweet(text="tweet 4")))
    assert (output and output.label) == label
    if label:
        assert isinstance(output, Polite) and output.loud() == label.upper()
        assert list(output.get_json()) == ["thinking", "label", "strength"]
    (call,) = lm.backend.calls
    assert call.schema_name == "Polite" and list(call.schema["properties"]) == ["thinking", "label", "strength"]

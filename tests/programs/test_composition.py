"""Programs of several inputs and outputs, combined records, and modules of a user's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, create_model, field_validator, model_validator
from tweets import Feeling, Tweet, always_right, asked, reply, truth, tweets

from paretune import (
    ChainOfThought,
    DataModel,
    Field,
    Generator,
    Input,
    LanguageModel,
    Module,
    Program,
    Score,
    ScriptedLanguageModel,
    clear_session,
    run_maybe_nested,
)
from paretune.errors import UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.optimizers import RandomFewShot
from paretune.schemas.data_model import combined_model
from paretune.trials.goals import as_goals
from paretune.tuners.checks import check_objectives

MakeModel = Callable[..., LanguageModel]


class Context(DataModel):
    text: str
    certainty: Score = Field(description="How sure")


class Careful(Module):
    """A module of a user: asks for a feeling, and asks again where the first answer was joy."""

    def __init__(self, language_model: LanguageModel, name: str | None = None) -> None:
        super().__init__(name)
        self.parts = {"first": Generator(Feeling, language_model)}
        self.checks = [Generator(Feeling, language_model, instructions="Look again.")]

    async def call(self, inputs: Tweet) -> Feeling | None:
        first = await self.parts["first"](inputs)
        if first is None or first.label == "fear":
            return first
        return await self.checks[0](inputs)


@pytest.fixture
def model(tmp_path) -> MakeModel:
    """Makes scripted language models with a ledger of this test's own."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    clear_session()
    return lambda script=always_right, **options: ScriptedLanguageModel(script, ledger=ledger, **options)


def test_records_are_added():
    """The sum has the fields of both, and a name that is taken gets the first free number."""
    total = Tweet(text="a") + Context(text="b", certainty=0.3) + Tweet(text="c")
    assert total.get_json() == {"text": "a", "text_1": "b", "certainty": 0.3, "text_2": "c"}
    assert type(total).model_fields["certainty"].description == "How sure"
    assert type(total).get_schema()["properties"]["certainty"] == Context.get_schema()["properties"]["certainty"]
    assert type(Tweet(text="x") + Tweet(text="y")) is type(Tweet(text="p") + Tweet(text="q"))
    with pytest.raises(TypeError):
        Tweet(text="a") + None


NAMES = st.lists(st.sampled_from(["a", "b", "a_1", "a_2", "b_1"]), unique=True, min_size=1)


@given(NAMES, NAMES)
def test_no_field_is_lost_when_models_are_combined(left, right):
    """Whatever the names, every field of both models is in the combined one, the left ones under their own names."""
    models = [create_model("M", __base__=DataModel, **dict.fromkeys(names, (int, ...))) for names in (left, right)]
    records = [
        model(**{name: 10 * place + index for index, name in enumerate(names)})
        for place, (model, names) in enumerate(zip(models, (left, right), strict=True))
    ]
    values = list((records[0] + records[1]).get_json().items())
    assert values[: len(left)] == list(records[0].get_json().items())
    assert [value for _, value in values[len(left) :]] == list(records[1].get_json().values())
    assert len(combined_model(*models).model_fields) == len(left) + len(right)


class Trimmed(DataModel):
    """A data model with validators that change and refuse, one of them for every field."""

    text: str
    size: int = 0

    @field_validator("*", mode="before")
    @classmethod
    def check(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value

    @model_validator(mode="after")
    def whole(self) -> Self:
        if self.size > len(self.text):
            raise ValueError("size is larger than the text is long")
        return self


class Marked(DataModel):
    """Another one, whose validator has the same name, and does not do the same twice."""

    text: str

    @field_validator("text")
    @classmethod
    def check(cls, value: str) -> str:
        return value + "!"


@pytest.mark.parametrize("order", [1, -1])
def test_combined_models_keep_validators(order):
    """Both parts are validated as they would be alone, also under other names, by field and as a whole."""
    left, right = [Trimmed, Marked][::order]
    combined = combined_model(left, right)
    trimmed, marked = ("text", "text_1")[::order]
    record = combined(**{trimmed: " a b ", "size": 3, marked: " c "})
    assert record.get_json() == {trimmed: "a b", "size": 3, marked: " c !"}
    assert combined(**{trimmed: "a", marked: "b"}).size == 0  # a default is one still
    for wrong in ({trimmed: "a", "size": 2, marked: ""}, {trimmed: "a", "size": 0}, {**record.get_json(), "more": 1}):
        with pytest.raises(ValidationError):
            combined(**wrong)
    thrice = combined_model(combined, Marked)
    with pytest.raises(ValidationError, match="larger than the text"):
        thrice(**{trimmed: "a", "size": 2, marked: "", "text_2": ""})


def test_added_records_are_not_validated_again():
    """They are valid already: a validator that changes its value has done so once."""
    total = Marked(text="a") + Trimmed(text=" b ", size=1) + Marked(text="c")
    assert total.get_json() == {"text": "a!", "text_1": "b", "size": 1, "text_2": "c!"}
    assert combined_model(Tweet, Context)(text="a", text_1="b", certainty=0.5) == Tweet(text="a") + Context(
        text="b", certainty=0.5
    )


def test_added_symbols(model):
    """Two answers to one question become one record, with the gold fields under the same names."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        one = await ChainOfThought(data_model=Feeling, language_model=model())(inputs)
        other = await Generator(data_model=Feeling, language_model=model(lambda request: reply("joy")))(inputs)
        return Program(inputs=inputs, outputs=one + other)

    program = run_maybe_nested(build())
    output = run_maybe_nested(program(Tweet(text="tweet 3")))
    assert output.get_json() == {"thinking": "I know", "label": "fear", "label_1": "joy"}
    assert list(program.gold_model.model_fields) == ["label", "label_1"]
    program.compile()
    gold = [program.gold_model(label="fear", label_1="joy"), program.gold_model(label="joy", label_1="fear")]
    values = run_maybe_nested(program.evaluate([Tweet(text="tweet 3"), Tweet(text="tweet 4")], gold, verbose=0))
    assert values["reward"] == 0.5


def test_gold_names_follow_the_predicted_ones(model):
    """A field that only the prediction clashes on has its new name in the gold record as well."""

    class Thought(DataModel):
        thinking: str

    async def build() -> Any:
        inputs = Input(data_model=Tweet)
        one = await ChainOfThought(data_model=Feeling, language_model=model())(inputs)
        return one + await Generator(data_model=Thought, language_model=model())(inputs)

    total = run_maybe_nested(build())
    assert list(total.data_model.model_fields) == ["thinking", "label", "thinking_1"]
    assert list(total.gold_model.model_fields) == ["label", "thinking_1"]


def test_invalid_parts_make_an_invalid_sum(model):
    """Where one of two added outputs is invalid, so is the sum."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        good = await Generator(data_model=Feeling, language_model=model())(inputs)
        return Program(inputs, good + await Generator(Feeling, model(lambda request: "?", name="mute"))(inputs))

    assert run_maybe_nested(run_maybe_nested(build())(Tweet(text="tweet 1"))) is None


def two_by_two(lm: LanguageModel, **options: Any) -> Program:
    """A program of two inputs and two outputs: a feeling for both together, and one for the second alone."""

    async def build() -> Program:
        first, second = Input(data_model=Tweet), Input(data_model=Tweet)
        both = await Generator(data_model=Feeling, language_model=lm)(first + second)
        alone = await Generator(data_model=Feeling, language_model=lm)(second)
        return Program(inputs=[first, second], outputs=[both, alone], **options)

    return run_maybe_nested(build())


def script_of_both(request: Request) -> str:
    """Rightly by the first text; nothing valid for the second text "tweet 9" alone."""
    record = asked(request)
    return "?" if record == {"text": "tweet 9"} else reply(truth(record["text"]))


def test_several_inputs_and_outputs(model):
    """Records go in as a list, outputs come out as a list; many are columns; the first output is scored."""
    program = two_by_two(model(script_of_both))
    assert run_maybe_nested(program([Tweet(text="tweet 1"), Tweet(text="tweet 2")])) == [
        Feeling(label="fear"),
        Feeling(label="joy"),
    ]
    x = [tweets(4)[0], tweets(4, start=7)[0]]
    first, second = run_maybe_nested(program.predict(x))
    assert first == tweets(4)[1]
    assert second == [Feeling(label="fear"), Feeling(label="joy"), None, Feeling(label="joy")]
    program.compile()
    assert run_maybe_nested(program.evaluate(x, tweets(4)[1], verbose=0))["reward"] == 1.0


def test_training_with_several_inputs(model):
    """Splits take whole rows, and the generator of one input alone is shown gold examples of that input."""
    lm = model()

    async def build() -> Program:
        unused, second = Input(data_model=Tweet), Input(data_model=Tweet)
        label = await Generator(data_model=Feeling, language_model=lm)(second)
        return Program([unused, second], [label, await Generator(data_model=Feeling, language_model=lm)(unused)])

    program = run_maybe_nested(build())
    program.compile(optimizer=RandomFewShot(1, 1))
    x, (second, gold) = tweets(6)[0], tweets(6, start=20)
    history = run_maybe_nested(program.fit([x, second], gold, validation_split=0.5, verbose=0))
    assert len(history.validation[0].outcomes) == 3 and history.history["val_reward"] == [1.0]
    (shown,) = program.generators[0].examples
    assert shown["input"]["text"] in {record.text for record in second[:3]}


@pytest.mark.parametrize("x", [tweets(2)[0], [tweets(2)[0]], [tweets(2)[0], tweets(3)[0]], [*[tweets(2)[0]] * 3]])
def test_wrong_columns_are_refused(model, x):
    """x must have one column for each input, all equally long: an error before any call."""
    program = two_by_two(model())
    program.compile()
    with pytest.raises(UsageError, match="x must be a list of 2 equally long"):
        run_maybe_nested(program.evaluate(x, tweets(2)[1]))


def test_gold_for_each_output_is_refused(model):
    """Only the first output is scored, and the error tells how several can be."""
    program = two_by_two(model())
    program.compile()
    x, y = tweets(2)
    with pytest.raises(UsageError, match=r"outputs=a \+ b"):
        run_maybe_nested(program.evaluate([x, x], [y, y]))


def test_program_of_several_outputs_inside_another(model):
    """Called with symbols, it gives one symbol for each output, and runs once for all of them."""
    lm = model(lambda request: reply("joy" if "text_1" in asked(request) else "fear"))
    inner = two_by_two(lm, name="inner")

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        both, alone = await inner([inputs, inputs])
        return Program(inputs, both + alone)

    program = run_maybe_nested(build())
    output = run_maybe_nested(program(Tweet(text="tweet 5")))
    assert output.get_json() == {"label": "joy", "label_1": "fear"} and len(lm.backend.calls) == 2


def user_program(lm: LanguageModel) -> Program:
    """A program whose only module is the user's."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        return Program(inputs=inputs, outputs=await Careful(lm)(inputs))

    return run_maybe_nested(build())


def test_generators_inside_a_user_module(model):
    """They are found in lists and dicts, trained, and their state is saved and taken over."""
    program = user_program(model())
    assert [module.name for module in program.generators] == ["generator", "generator_1"]
    program.compile(optimizer=RandomFewShot(1, 1))
    run_maybe_nested(program.fit(*tweets(8), epochs=2, batch_size=2, verbose=0))
    learned = program.optimizer.get_state()["learned"]
    assert len(learned["generator"]) == 8 and len(learned["generator_1"]) == 4  # only joy is looked at again
    program.generators[1].examples = (learned["generator_1"]["2"],)
    state = json.loads(json.dumps(program.get_state()))
    clear_session()
    fresh = user_program(model())
    fresh.load_state(state)
    assert [module.examples for module in fresh.generators] == [module.examples for module in program.generators]


def test_prices_of_generators_inside_a_user_module(model):
    """With cost as an objective, a model without a known price is found inside a module as well."""
    program = user_program(model())
    program.compile()
    with pytest.raises(UsageError, match="the price of 'scripted/scripted' is unknown"):
        check_objectives(as_goals("val_cost"), program, True)
    clear_session()
    program = user_program(model(price=Price(1.0, 2.0)))
    program.compile()
    check_objectives(as_goals("val_cost"), program, True)


def test_training_flag(model):
    """``call(self, inputs, training)`` hears whether the example is one to learn from."""
    heard = []

    class Listening(Module):
        async def call(self, inputs: Tweet, training: bool = False) -> Tweet | None:
            heard.append((inputs.text, training))
            return inputs

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        return Program(inputs, await Generator(Feeling, model())(await Listening()(inputs)))

    program = run_maybe_nested(build())
    program.compile(optimizer=RandomFewShot())
    run_maybe_nested(program.fit(*tweets(3), validation_data=tweets(2, start=10), verbose=0))
    assert sorted(heard) == [(f"tweet {n}", n < 10) for n in (0, 1, 10, 11, 2)]
    run_maybe_nested(program.modules[0](Tweet(text="by hand"), training=True))
    assert heard[-1] == ("by hand", True)


def test_user_module_errors():
    """A module that does not say what it returns, or forgets its base class, is told so when it is used."""

    class Silent(Module):
        async def call(self, inputs: Tweet):
            return inputs

    class Forgetful(Module):
        def __init__(self) -> None:
            pass

        async def call(self, inputs: Tweet) -> Tweet:
            return inputs

    for kind, message in ((Silent, "must say which data model"), (Forgetful, r"call super\(\).__init__")):
        with pytest.raises(UsageError, match=message):
            run_maybe_nested(kind()(Input(data_model=Tweet)))


def test_summary(model):
    """Every module, those inside others too, with its model, its form and its data models."""
    program = user_program(model(name="tiny"))
    lines: list[str] = []
    program.summary(print_fn=lines.append)
    text = "\n".join(lines)
    for part in ("careful (Careful)", "  generator_1 (Generator)", "scripted/tiny", "auto", "Tweet(text)", "Feeling"):
        assert part in text

"""Programs as files: what comes back, what must be given, and what never goes in."""

from __future__ import annotations

import enum
import json
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, StrictInt, StringConstraints, create_model, field_validator
from pydantic_core import core_schema
from tweets import Feeling, Tweet, always_right, tweets

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
from paretune.errors import DataError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.optimizers import RandomFewShot
from paretune.programs.saved_models import is_rebuildable, model_from_schema, schema_of
from paretune.schemas.text_form import cue


class Shout(Module):
    """A module of a user with settings and a generator of its own."""

    def __init__(self, language_model: LanguageModel, mark: str = "!", **more: Any) -> None:
        super().__init__(more.pop("name", None))
        self.mark, self.more = mark, more
        self.inner = Generator(Feeling, language_model)

    async def call(self, inputs: Tweet) -> Tweet | None:
        return Tweet(text=inputs.text.upper() + self.mark)


class Join(Module):
    """A module of a user that takes a list of records."""

    async def call(self, inputs: list[Tweet]) -> Tweet | None:
        return Tweet(text=" ".join(record.text for record in inputs))


class Detail(BaseModel):
    """A part of a record."""

    kind: Literal["a", 1, True]
    weight: float = 0.5


class Rich(DataModel):
    """Every kind of field."""

    name: str = Field(description="The name", min_length=2, pattern="^[a-z]+$")
    count: int = Field(ge=0, lt=10)
    score: Score = Field(description="How sure")
    maybe: str | None = None
    flags: list[bool]
    parts: dict[str, Detail]
    many: list[Score] = Field(max_length=3)
    either: int | str


@pytest.fixture
def lm(tmp_path) -> LanguageModel:
    """A scripted language model with a ledger of this test's own."""
    clear_session()
    return ScriptedLanguageModel(always_right, ledger=Ledger(tmp_path / "ledger.sqlite"))


def everything(lm: LanguageModel) -> Program:
    """A user's module, a module used twice, a program inside, two inputs, two outputs and a sum."""

    async def build() -> Program:
        inner_input = Input(data_model=Tweet)
        thought = ChainOfThought(Feeling, lm, max_thinking=9, temperature=0.2, structured_output="prompt")
        inner = Program(inner_input, await thought(inner_input), name="inner")
        first, second = Input(data_model=Tweet), Input(data_model=Tweet)
        shout = Shout(lm, mark=" 4", volume=[1, 2])
        again = Generator(Feeling, lm)
        a, b = await again(first), await again(await shout(second))
        return Program([first, second], [a + b, await inner(first)], name="whole")

    return run_maybe_nested(build())


def asked(program: Program, lm: LanguageModel) -> list[Any]:
    """What a program asks its model for two records."""
    lm.backend.calls.clear()
    lm.ledger = Ledger(Path(lm.ledger.path).with_name(f"{program.name}-{id(program)}.sqlite"))
    run_maybe_nested(program.predict([[Tweet(text="tweet 1")], [Tweet(text="tweet 2")]]))
    return list(lm.backend.calls)


def test_saved_program_asks_the_same(lm, tmp_path):
    """A program that was loaded has the same modules and state, and sends the same bytes."""
    program = everything(lm)
    for generator in program.generators:
        generator.instructions = f"I am {generator.name}."
    program.generators[0].examples = ({"input": {"text": "é"}, "output": {"label": "joy"}},)
    program.save(tmp_path / "program.json")
    Generator(Feeling, lm)  # automatic names have moved on
    loaded = Program.load(tmp_path / "program.json", custom_objects={"Shout": Shout, lm.model: lm})
    assert loaded.get_state() == program.get_state()
    assert [module.name for module in loaded.generators] == [module.name for module in program.generators]
    assert loaded.gold_model.get_schema() == program.gold_model.get_schema()
    texts: list[str] = []
    for each in (program, loaded):
        each.summary(print_fn=texts.append)
    assert texts[0] == texts[1]
    assert asked(loaded, lm) == asked(program, lm) != []
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "program.json").read_bytes()


def test_missing_objects_are_named(lm, tmp_path):
    """What is not in the file must be given, and the error says what and how; nothing is imported by name."""
    everything(lm).save(tmp_path / "program.json")
    with pytest.raises(DataError, match=r"custom_objects=\{'scripted/scripted'"):
        Program.load(tmp_path / "program.json")
    with pytest.raises(DataError, match="module class 'Shout'"):
        Program.load(tmp_path / "program.json", custom_objects={lm.model: lm})
    with pytest.raises(DataError, match="module class 'Shout'"):
        Program.load(tmp_path / "program.json", custom_objects={lm.model: lm, "Shout": print})


def simple(lm: LanguageModel, data_model: type[DataModel] = Feeling) -> Program:
    """A program of one generator."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        return Program(inputs, await Generator(data_model, lm)(inputs))

    return run_maybe_nested(build())


def test_module_called_with_a_list(lm, tmp_path):
    """It is called with a list again after loading."""

    async def build() -> Program:
        inputs = [Input(data_model=Tweet), Input(data_model=Tweet)]
        return Program(inputs, await Join()(inputs))

    run_maybe_nested(build()).save(tmp_path / "program.json")
    loaded = Program.load(tmp_path / "program.json", custom_objects={"Join": Join})
    assert run_maybe_nested(loaded([Tweet(text="a"), Tweet(text="b")])) == Tweet(text="a b")


def test_language_model_comes_back_without_keys(tmp_path):
    """Name, address, limits and price are kept; user, password and query of the address are not."""
    model = LanguageModel(
        "openai/tiny",
        api_base="http://user:hunter2@127.0.0.1:9/v1?key=sesame#token",
        api_key_env="MY_KEY",
        concurrency=3,
        price={"prompt": 1.0, "completion": 2.0},
    )
    simple(model).save(tmp_path / "program.json")
    text = (tmp_path / "program.json").read_text()
    assert not any(secret in text for secret in ("hunter2", "user", "sesame", 'token"'))
    loaded = Program.load(tmp_path / "program.json").generators[0].language_model
    assert loaded.arguments == {**model.arguments, "api_base": "http://127.0.0.1:9/v1"}


def test_training_goes_on_from_a_saved_program(lm, tmp_path):
    """After compile(), the file's state lets the optimizer go on where it was."""

    def compiled(program: Program) -> Program:
        program.compile(optimizer=RandomFewShot(seed=2))
        return program

    x, y = tweets(8)
    whole, begun = compiled(simple(lm)), None
    run_maybe_nested(whole.fit(x, y, epochs=2, batch_size=2, verbose=0))
    clear_session()
    begun = compiled(simple(lm))
    begun.load_state(begun.get_state() | {"optimizer": None})
    run_maybe_nested(begun.fit(x, y, epochs=1, batch_size=2, verbose=0))
    begun.save(tmp_path / "program.json")
    loaded = Program.load(tmp_path / "program.json", custom_objects={lm.model: lm})
    assert loaded.generators[0].examples == begun.generators[0].examples != ()
    compiled(loaded).load_state_file(tmp_path / "program.json")
    run_maybe_nested(loaded.fit(x, y, epochs=2, initial_epoch=1, batch_size=2, verbose=0))
    assert loaded.get_state()["optimizer"] == whole.get_state()["optimizer"]


class Checked(DataModel):
    label: str

    @field_validator("label")
    @classmethod
    def lower(cls, value: str) -> str:
        return value.lower()


def test_data_model_with_code_must_be_given(lm, tmp_path):
    """A validator is code: the class itself is needed, and one with other fields is refused."""
    simple(lm, Checked).save(tmp_path / "program.json")
    with pytest.raises(DataError, match=r"custom_objects=\{'Checked'"):
        Program.load(tmp_path / "program.json", custom_objects={lm.model: lm})
    given_class = {lm.model: lm, "Checked": Checked}
    assert Program.load(tmp_path / "program.json", custom_objects=given_class).gold_model is Checked
    other = create_model("Checked", __base__=DataModel, other=(int, ...))
    with pytest.raises(DataError, match="another data model 'Checked'"):
        Program.load(tmp_path / "program.json", custom_objects={**given_class, "Checked": other})


def test_two_data_models_of_one_name(lm, tmp_path):
    """Classes that share a name stay apart."""
    twin = create_model("Tweet", __base__=DataModel, number=(int, ...))
    simple(lm, twin).save(tmp_path / "program.json")
    loaded = Program.load(tmp_path / "program.json", custom_objects={lm.model: lm})
    assert list(loaded.inputs[0].data_model.model_fields) == ["text"]
    assert list(loaded.gold_model.model_fields) == ["number"]


def test_modules_that_json_cannot_describe(lm, tmp_path):
    """A function among a module's arguments, and a class with the name of one of ours, are refused when saved."""

    class Apply(Module):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function = function

        async def call(self, inputs: Tweet) -> Tweet | None:
            return inputs

    class ChainOfThought(Apply):
        pass

    async def build(module: Module) -> Program:
        inputs = Input(data_model=Tweet)
        return Program(inputs, await module(inputs))

    for module, message in ((Apply(len), "argument 'function'"), (ChainOfThought(1), "the name of one of paretune's")):
        with pytest.raises(UsageError, match=message):
            run_maybe_nested(build(module)).save(tmp_path / "program.json")
    assert not (tmp_path / "program.json").exists()


@pytest.mark.parametrize(
    "content", ['{"modules": {}}', "[]", "nothing", '{"format": "paretune.program", "version": 9}']
)
def test_other_files_are_refused(tmp_path, content):
    """A state, other JSON, no JSON, and a later form are told apart from a program."""
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(DataError):
        Program.load(tmp_path / "file.json")


def test_rich_data_model_is_built_again():
    """A class built from the schema has the same schema and takes and refuses the same records."""
    rebuilt = model_from_schema(json.loads(json.dumps(schema_of(Rich))))
    assert is_rebuildable(Rich)
    assert rebuilt.get_schema() == Rich.get_schema()
    good = {
        "name": "ab",
        "count": 3,
        "score": 0.3,
        "flags": [True],
        "parts": {"x": {"kind": "a"}},
        "many": [1],
        "either": "z",
    }
    assert rebuilt(**good).get_json() == Rich(**good).get_json()
    for change in ({"name": "A"}, {"count": 10}, {"score": 0.35}, {"many": [0.1] * 4}, {"more": 1}, {"flags": None}):
        for model in (Rich, rebuilt):
            with pytest.raises(ValueError):
                model(**{**good, **change})


class Colour(enum.Enum):
    RED = "red"


def even(value: int) -> int:
    assert value % 2 == 0
    return value


@pytest.mark.parametrize(
    "annotation",
    [
        time,
        Colour,
        Any,
        tuple[int, str],
        Annotated[int, AfterValidator(even)],
        list[Annotated[int, AfterValidator(even)]],
    ],
)
def test_what_a_schema_does_not_tell(annotation):
    """Types and checks that the schema cannot give back make a class that must be given."""
    model = create_model("Odd", __base__=DataModel, field=(annotation, ...))
    assert not is_rebuildable(model)


ANNOTATIONS = st.recursive(
    st.sampled_from([str, int, float, bool, Score, Literal["a", "b"], Literal[1, 2]]),
    lambda inner: st.one_of(
        inner.map(lambda t: list[t]), inner.map(lambda t: t | None), inner.map(lambda t: dict[str, t])
    ),
    max_leaves=3,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["one", "two", "three"]), ANNOTATIONS, min_size=1))
def test_plain_data_models_come_back(fields):
    """Whatever the plain types, the schema of the rebuilt class is the same, keys in the same order."""
    model = create_model("Some", __base__=DataModel, **{name: (kind, ...) for name, kind in fields.items()})
    assert is_rebuildable(model)
    rebuilt = model_from_schema(schema_of(model))
    assert json.dumps(rebuilt.get_schema()) == json.dumps(model.get_schema())


class Titled(DataModel):
    """What the built-in layouts make, and more."""

    label: Literal["joy", "fear"] = Field(title="Emotion", examples=["joy"])
    final_answer: int = Field(title="Final Answer", ge=0)
    part: Detail = Detail(kind="a", weight=2)
    parts: list[Detail] = Field([Detail(kind=1)], json_schema_extra={"hint": "as many as you like"}, max_length=3)
    note: str | None = Field(None, deprecated=True)


def test_titles_come_back(lm, tmp_path):
    """A title is what prompts in lines call a field: the loaded program asks with the same words, and defaults are
    records again."""

    async def build() -> Program:
        inputs = Input(data_model=Tweet)
        return Program(inputs, await Generator(Titled, lm, structured_output="prompt")(inputs))

    run_maybe_nested(build()).save(tmp_path / "program.json")
    model = Program.load(tmp_path / "program.json", custom_objects={lm.model: lm}).gold_model
    assert model is not Titled and model.get_schema() == Titled.get_schema()
    assert [cue(model, name) for name in model.model_fields] == [cue(Titled, name) for name in Titled.model_fields]
    assert cue(model, "final_answer") == "Final Answer:" and cue(model, "label") == "Emotion:"
    record, same = model(label="joy", final_answer=1), Titled(label="joy", final_answer=1)
    assert record.get_json() == same.get_json() and record.part.weight == 2.0
    assert model.model_fields["label"].examples == ["joy"]


class Own(str):
    """A type of the user's own that says that it is text."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (int, Field(strict=True)), (StrictInt, Field()), (float, Field(allow_inf_nan=True)), (str, Field(exclude=True)),
        (Annotated[str, StringConstraints(strip_whitespace=True)], Field()), (list[StrictInt], Field()), (Own, Field()),
        (str, Field(json_schema_extra={"maxLength": 3})), (str, Field(json_schema_extra=lambda schema: None)),
        (list[Annotated[str, Field(strict=True)]], Field()),
    ],
)  # fmt: skip
def test_what_the_schema_does_not_tell_of_a_field(annotation, field):
    """A setting that would be lost in silence makes a class that must be given."""
    assert not is_rebuildable(create_model("Odd", __base__=DataModel, field=(annotation, field)))


@pytest.mark.parametrize("config", [{"strict": True}, {"title": "Other"}, {"str_strip_whitespace": True}])
def test_what_the_schema_does_not_tell_of_a_class(config):
    """The settings of a class, its own and those of one inside."""
    own = create_model("Own", __base__=DataModel, field=(str, ...), __cls_kwargs__=config)
    inner = create_model("Inner", __config__=config, field=(str, ...))
    outer = create_model("Outer", __base__=DataModel, field=(inner, ...))
    assert not is_rebuildable(own) and not is_rebuildable(outer)


json_values = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
settings_of_fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["One", "Two", "One two", "x"]) | st.text(min_size=1, max_size=9),
        "description": st.text(min_size=1, max_size=9),
        "examples": st.lists(json_values, min_size=1, max_size=2),
        "json_schema_extra": st.dictionaries(st.sampled_from(["hint", "order"]), json_values, min_size=1),
        "default": st.none() | st.integers(-3, 3) | st.text(max_size=3),
    },
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["one", "two", "one_two", "x"]), st.tuples(ANNOTATIONS, settings_of_fields), min_size=1
    ),
    st.data(),
)
def test_settings_of_fields_come_back(fields, data):
    """Titles, descriptions, examples, notes of the user's own and defaults: the rebuilt class has them all."""
    made = {}
    for name, (kind, said) in fields.items():
        limits = {"ge": 1, "lt": 4} if kind is int else {"max_length": 3} if kind is str else {}
        made[name] = (kind, Field(**said, **(limits if data.draw(st.booleans()) else {})))
    model = create_model("Some", __base__=DataModel, __doc__="Some.", **made)
    assert is_rebuildable(model)
    rebuilt = model_from_schema(json.loads(json.dumps(schema_of(model))))
    assert rebuilt.get_schema() == model.get_schema() and schema_of(rebuilt) == schema_of(model)
    assert [cue(rebuilt, name) for name in rebuilt.model_fields] == [cue(model, name) for name in model.model_fields]
    for name, info in model.model_fields.items():
        theirs = rebuilt.model_fields[name]
        assert (theirs.title, theirs.description, theirs.examples) == (info.title, info.description, info.examples)
        assert theirs.json_schema_extra == info.json_schema_extra and theirs.is_required() == info.is_required()

"""What a request holds: prompts, and the parameters that are sent."""

from __future__ import annotations

import json
import warnings
from typing import Any, Literal

import pytest
from ledger_rows import stored
from tweets import Feeling, Tweet, always_right, reply, shown

from paretune import ChainOfThought, DataModel, Field, Generator, Score, ScriptedLanguageModel, run_maybe_nested
from paretune.lm.backends.scripted import ScriptedBackend
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request

EXAMPLE = {"input": {"text": 'it\'s "fine" – é'}, "output": {"label": "fear"}}


class OtherBackend(ScriptedBackend):
    """A model with other capabilities."""

    mode = "prompt"

    def capabilities(self) -> dict[str, Any]:
        return {"structured_output": self.mode, "reasoning_effort": False, "grammar": False}


def request_of(tmp_path, *, record: DataModel | None = None, data_model: type[DataModel] = Feeling, **options: Any):
    """The one request that a generator with these options sends."""
    effort = options.pop("supports_effort", False)
    kind = options.pop("kind", Generator)
    script = options.pop("script", always_right)
    model = ScriptedLanguageModel(script, ledger=Ledger(tmp_path / "ledger.sqlite"), reasoning_effort=effort)
    generator = kind(data_model=data_model, language_model=model, **options)
    run_maybe_nested(generator(record or Tweet(text="tweet 2")))
    (request,) = model.backend.calls
    return request


def test_parts_of_a_prompt_in_their_order(tmp_path):
    """Instructions, then examples as JSON in the system message; the input last, as JSON."""
    request = request_of(tmp_path, instructions="Name the feeling.", examples=[EXAMPLE, EXAMPLE])
    line = '{"input": {"text": "it\'s \\"fine\\" – é"}, "output": {"label": "fear"}}'
    assert request.messages == (
        ("system", f"Name the feeling.\n\nExamples:\n{line}\n{line}"),
        ("user", '{"text": "tweet 2"}'),
    )
    assert shown(request) == [EXAMPLE, EXAMPLE]


def test_values_are_json(tmp_path):
    """Booleans and None are written as in JSON, never as in Python."""

    class Flags(DataModel):
        text: str
        sure: bool
        source: str | None

    example = {"input": {"text": "a", "sure": False, "source": None}, "output": {"label": "joy"}}
    request = request_of(
        tmp_path,
        record=Flags(text="b", sure=True, source=None),
        examples=[example],
        script=lambda request: reply("joy"),
    )
    text = "\n".join(content for _, content in request.messages)
    assert '"sure": true, "source": null' in text and '"sure": false, "source": null' in text
    assert "True" not in text and "None" not in text


def test_equal_content_has_equal_bytes(tmp_path):
    """Two generators of the same content ask the same question, so the second is served by the ledger."""
    first = request_of(tmp_path / "a", examples=[EXAMPLE])
    again = request_of(tmp_path / "b", examples=json.loads(json.dumps([EXAMPLE])))
    assert first == again


def test_keys_of_examples_stand_in_field_order(tmp_path):
    """An example that was stored with its keys in another order is written the same."""
    thought = {"thinking": "hm", "label": "fear"}
    backwards = {"output": dict(reversed(thought.items())), "input": EXAMPLE["input"]}
    first = request_of(tmp_path / "a", kind=ChainOfThought, examples=[{**EXAMPLE, "output": thought}])
    assert request_of(tmp_path / "b", kind=ChainOfThought, examples=[backwards]) == first
    assert '{"thinking": "hm", "label": "fear"}' in first.messages[0][1]


def test_default_instructions_name_the_fields(tmp_path):
    """Without instructions a plain sentence tells the fields and their descriptions."""
    assert request_of(tmp_path).messages[0][1] == "Given text, answer with: label (The feeling)."


def test_parameters_that_are_none_are_not_sent(tmp_path):
    """The question as it is stored holds no parameter that was not set."""
    model = ScriptedLanguageModel(always_right, ledger=Ledger(tmp_path / "ledger.sqlite"))
    run_maybe_nested(Generator(data_model=Feeling, language_model=model)(Tweet(text="tweet 2")))
    (call,) = stored(model.ledger.path).values()
    assert not {"temperature", "max_tokens", "reasoning_effort", "stop"} & set(call["request"])
    request = request_of(tmp_path / "set", temperature=0.0, max_tokens=9, supports_effort=True, reasoning_effort="low")
    assert (request.options.temperature, request.options.max_tokens, request.options.reasoning_effort) == (
        0.0,
        9,
        "low",
    )


def test_reasoning_effort_where_unsupported(tmp_path):
    """One warning for any number of calls, and the parameter is not sent."""
    model = ScriptedLanguageModel(always_right, ledger=Ledger(tmp_path / "ledger.sqlite"))
    generator = Generator(data_model=Feeling, language_model=model, reasoning_effort="low")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(3):
            run_maybe_nested(generator(Tweet(text=f"tweet {number}")))
    assert ["'low' has no effect" in str(warning.message) for warning in caught] == [True]
    assert [request.options.reasoning_effort for request in model.backend.calls] == [None] * 3


@pytest.mark.parametrize(("mode", "schema_in_prompt"), [("prompt", True), ("native", False), ("tool", False)])
def test_automatic_structured_output(tmp_path, monkeypatch, mode, schema_in_prompt):
    """``auto`` takes what the model offers; without any support the schema stands in the prompt."""
    monkeypatch.setattr(OtherBackend, "mode", mode)
    model = ScriptedLanguageModel(always_right, ledger=Ledger(tmp_path / "ledger.sqlite"))
    model.backend = OtherBackend(always_right)
    output = run_maybe_nested(Generator(data_model=Feeling, language_model=model)(Tweet(text="tweet 2")))
    (request,) = model.backend.calls
    assert request.structured_output == mode and output == Feeling(label="joy")
    assert ('"enum": ["joy", "fear"]' in request.messages[0][1]) is schema_in_prompt


class Titled(DataModel):
    """An output whose fields have titles."""

    label: Literal["joy", "fear"] = Field(title="Emotion")
    sure: bool


def test_completion_is_one_document(tmp_path):
    """The text to continue holds instructions, examples and input, and ends with the cue of the first output field."""
    request = request_of(
        tmp_path,
        data_model=Titled,
        structured_output="completion",
        instructions="Feelings of tweets.",
        examples=[{"input": {"text": "boo"}, "output": {"label": "fear", "sure": True}}],
        script=lambda request: " joy\nSure: no",
    )
    assert request.messages == (
        ("prompt", "Feelings of tweets.\n\nText: boo\nEmotion: fear\nSure: yes\n\nText: tweet 2\nEmotion:"),
    )
    assert request.options.stop == ("\n\n",) and request.schema is None and request.grammar is not None


def test_text_in_a_chat(tmp_path):
    """The text form tells the lines to reply with, and ends with the first cue."""
    request = request_of(tmp_path, structured_output="text", instructions="Go.", script=lambda request: "joy")
    assert request.messages == (
        ("system", "Go.\n\nReply in this form:\nLabel: <joy | fear>"),
        ("user", "Text: tweet 2\nLabel:"),
    )


def test_kinds_in_words(tmp_path):
    """Each line tells in words what to write: the labels, the description, or what kind of value a field holds."""

    class Report(DataModel):
        label: Literal["a", "b"]
        name: str
        pages: int
        weight: float
        certainty: Score
        sure: bool
        city: str = Field(description="Where it happened")

    lines = "a\nName: x\nPages: 1\nWeight: 1.5\nCertainty: 0.5\nSure: yes\nCity: y"
    request = request_of(tmp_path, structured_output="text", data_model=Report, script=lambda request: lines)
    assert request.messages[0][1].partition("Reply in this form:\n")[2].splitlines() == [
        "Label: <a | b>",
        "Name: <text>",
        "Pages: <whole number>",
        "Weight: <number>",
        "Certainty: <a score from 0.0 to 1.0, in steps of 0.1>",
        "Sure: <yes or no>",
        "City: <Where it happened>",
    ]


@pytest.mark.parametrize(("form", "answer"), [("text", "joy"), ("completion", " joy"), ("native", reply("joy"))])
def test_replies_are_read_in_the_form_asked_for(tmp_path, form, answer):
    """Each form is read back into the record."""
    model = ScriptedLanguageModel(lambda request: answer, ledger=Ledger(tmp_path / "ledger.sqlite"))
    generator = Generator(data_model=Feeling, language_model=model, structured_output=form)
    assert run_maybe_nested(generator(Tweet(text="tweet 2"))) == Feeling(label="joy")


@pytest.mark.parametrize("grammar", [True, False])
def test_length_of_thinking(tmp_path, monkeypatch, grammar):
    """The limit of thinking is sent to servers that constrain replies, and to no provider, which would refuse it."""
    request = {}

    def script(asked: Request) -> str:
        request["schema"] = asked.schema
        return reply("joy", thinking="short")

    model = ScriptedLanguageModel(script, ledger=Ledger(tmp_path / "ledger.sqlite"))
    if not grammar:
        model.backend = OtherBackend(script)
    module = ChainOfThought(data_model=Feeling, language_model=model, max_thinking=50)
    run_maybe_nested(module(Tweet(text="tweet 2")))
    assert request["schema"]["properties"]["thinking"].get("maxLength") == (50 if grammar else None)

"""Chain of thought on models that reason by themselves: they are not asked to think twice, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ledger_rows import format_1, stored
from openai_server import OpenAIServer, chat
from tweets import Feeling, Tweet, always_right, reply, shown, tweets

from paretune import ChainOfThought, Generator, Input, LanguageModel, Program, ScriptedLanguageModel, run_maybe_nested
from paretune.commands.main import main
from paretune.files import canonical_json
from paretune.lm.backends.choose import backend_for
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.ledger.queries import CallFilter, ids, opened, whole_call
from paretune.lm.ledger.tables import CALLS
from paretune.lm.settings import Settings
from paretune.optimizers import RandomFewShot
from paretune.prompting.generate import reasons_by_itself


def asked_and_got(model: LanguageModel, kind: type[Generator] = ChainOfThought, **options: Any) -> Any:
    return run_maybe_nested(kind(data_model=Feeling, language_model=model, **options)(Tweet(text="tweet 2")))


def test_a_model_that_reasons_is_asked_as_by_a_generator(ledger: Ledger) -> None:
    """The request is the same, so that the ledger serves it, and ``thinking`` is what the model thought."""
    model = ScriptedLanguageModel(lambda _: reply("joy"), reasoning="Glad.", ledger=ledger)
    plain = asked_and_got(model, Generator)
    thought = asked_and_got(model)
    assert len(model.backend.calls) == 1  # type: ignore[attr-defined]
    assert plain.get_json() == {"label": "joy"}
    assert list(thought.get_json().items()) == [("thinking", "Glad."), ("label", "joy")]
    assert isinstance(thought, Feeling)


def test_the_thinking_of_other_models_is_their_own(ledger: Ledger) -> None:
    """Where it is asked for, what the reply says stands."""
    model = ScriptedLanguageModel(always_right, ledger=ledger)
    assert asked_and_got(model).get_json() == {"thinking": "I know", "label": "joy"}


def test_a_continued_text_is_asked_for_its_thinking(ledger: Ledger) -> None:
    """In the form ``completion`` no model reasons apart."""
    model = ScriptedLanguageModel(lambda _: " Hm.\nLabel: joy", reasoning="never", ledger=ledger)
    got = asked_and_got(model, structured_output="completion")
    assert got.get_json() == {"thinking": "Hm.", "label": "joy"}


@pytest.mark.parametrize(
    ("message", "thinking"),
    [
        ({"content": reply("joy"), "reasoning_content": "Glad."}, "Glad."),
        ({"content": reply("joy"), "reasoning": "Glad."}, "Glad."),
        ({"content": f"<think>\nGlad.\n</think>\n{reply('joy')}"}, "Glad."),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Glad."}]},
                    {"type": "text", "text": reply("joy")},
                ]
            },
            "Glad.",
        ),
        ({"content": reply("joy"), "reasoning_content": None}, ""),
        ({"content": reply("joy"), "reasoning_content": ["odd"], "reasoning": {"odd": 1}}, ""),
        ({"content": reply("joy")}, ""),
        ({"content": reply("joy"), "reasoning": "half \ud800"}, "half \ufffd"),
    ],
)
def test_where_servers_put_it(server: OpenAIServer, ledger: Ledger, message: dict[str, Any], thinking: str) -> None:
    """The reasoning is read wherever it stands, kept in the ledger, and served from there; without one it is empty."""
    server.answer = chat(**message)
    for _ in range(2):
        model = LanguageModel("openai/m", api_base=server.api_base, reasons=True, ledger=ledger)
        assert asked_and_got(model).get_json() == {"thinking": thinking, "label": "joy"}
        ledger.close()
    assert len(server.asked) == 1
    assert list(server.last.body["response_format"]["json_schema"]["schema"]["properties"]) == ["label"]


def test_calls_show_the_reasoning(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``paretune calls KEY`` prints what a model thought, without the key that it repeats."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    monkeypatch.setenv("MY_KEY", "sk-test-0123456789")
    server.answer = chat(reply("joy"), reasoning="My key is sk-test-0123456789.")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = LanguageModel("openai/m", api_base=server.api_base, api_key_env="MY_KEY", reasons=True, ledger=ledger)
    asked_and_got(model)
    ledger.close()
    with opened(ledger.path) as connection:
        (call,) = (whole_call(connection, one) for one in ids(connection, CallFilter()))
    key = call["key"]
    assert call["reasoning"] == "My key is ***."
    main(["calls", key])
    assert "--- reasoning\nMy key is ***.\n" in capsys.readouterr().out


def test_who_reasons_by_itself() -> None:
    """litellm's list and the effort decide, unless the user says it; a server's own model is taken for one that does
    not."""

    def reasons(model: str, effort: str | None = None, **options: Any) -> bool:
        return reasons_by_itself(LanguageModel(model, **options), effort)

    assert [reasons("openai/o3"), reasons("gpt-5-mini"), reasons("gemini/gemini-2.5-flash")] == [True] * 3
    assert [reasons("gpt-5.1"), reasons("claude-opus-4-5"), reasons("gpt-4o-mini", "high")] == [False] * 3
    assert [reasons("gpt-5.1", "low"), reasons("claude-opus-4-5", "low"), reasons("gpt-5.1", "none")] == [
        True,
        True,
        False,
    ]
    own = {"api_base": "http://127.0.0.1:1/v1"}
    assert not reasons("openai/mine", **own) and not reasons("openai/mine", "high", **own)
    assert reasons("openai/mine", **own, reasons=True) and not reasons("openai/o3", "high", reasons=False)


def test_what_the_option_is_part_of(ledger: Ledger) -> None:
    """It makes another search and comes back with a saved program; the keys of requests do not hold it."""
    own = {"api_base": "http://127.0.0.1:1/v1", "ledger": ledger}
    plain, reasoning = LanguageModel("openai/m", **own), LanguageModel("openai/m", **own, reasons=True)
    assert plain.identity == backend_for("openai/m", Settings(api_base=own["api_base"])).identity()
    assert reasoning.identity == {**plain.identity, "reasons": True}
    assert reasoning.arguments is not None and LanguageModel(**reasoning.arguments).reasons is True


def test_examples_show_no_reasoning(ledger: Ledger) -> None:
    """What the model thinks by itself is not put into the prompts of later examples: it is asked for none."""
    model = ScriptedLanguageModel(lambda request: always_right(request), reasoning="secret thought", ledger=ledger)

    async def train() -> None:
        inputs = Input(data_model=Tweet)
        program = Program(inputs, await ChainOfThought(data_model=Feeling, language_model=model)(inputs))
        program.compile(optimizer=RandomFewShot(2, 2))
        x, y = tweets(8)
        await program.fit(x, y, epochs=2, batch_size=4, verbose=0)

    run_maybe_nested(train())
    calls = model.backend.calls  # type: ignore[attr-defined]
    assert len(calls) == 16 and all(len(shown(call)) == 2 for call in calls)
    assert "thinking" not in json.dumps([call.messages for call in calls])


def test_a_ledger_of_before(server: OpenAIServer, ledger: Ledger, tmp_path: Path) -> None:
    """A file whose calls have no reasoning is read as it is, is taken over when it is written to, and takes in what an
    older paretune has rescued."""
    model = LanguageModel("openai/m", api_base=server.api_base, ledger=ledger)
    server.answer = chat(reply("joy"))
    asked_and_got(model, Generator)
    ledger.close()
    ((key, call),) = stored(ledger.path).items()
    texts = {name: canonical_json(call[name]) for name in ("request", "usage", "price")}
    old = tuple((call | texts)[name] for name in CALLS.split(", ")[:-1])
    ledger.path.unlink()
    format_1(ledger.path, [old], None, reasoning=False)
    rescued = json.dumps(["rescued", *old[1:]]).encode()
    (tmp_path / "ledger.sqlite.rescue").write_bytes(rescued + b"\n" + bytes(100))
    assert stored(ledger.path) == {key: {**call, "reasoning": None, "asked_by": []}}
    assert asked_and_got(model, Generator).label == "joy"
    taken = ledger.get("rescued")
    assert taken is not None and (taken.text, taken.reasoning) == (reply("joy"), None)
    assert len(server.asked) == 1
    server.answer = chat(reply("joy"), reasoning="Glad.")
    reasoning = LanguageModel("openai/other", api_base=server.api_base, ledger=ledger, reasons=True)
    assert asked_and_got(reasoning).thinking == "Glad."

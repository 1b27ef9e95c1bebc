"""The space of a search has what its models can do, and where a builder declares one, that of the builder alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai_server as fake
import pytest
from openai_server import OpenAIServer, openai_server
from project_copy import copy_project

from paretune.commands.compose import compose
from paretune.commands.estimate import report
from paretune.errors import ConfigError
from paretune.files import read_jsonl
from paretune.stages import evaluate, materialize, search, split

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
SMALL = ["data.splits.train.limit=8", "data.splits.test.limit=3", "lm=openai_compatible", "lm.model=openai/m"]
BUILDER = """
from paretune import DataModel, Generator, Input, Program, ScriptedLanguageModel

class Tweet(DataModel):
    text: str

class Emotion(DataModel):
    label: str

model = ScriptedLanguageModel(lambda request: '{"label": "joy"}', name="joyful")

def build_program(hp):
    return _build(hp.Choice("temperature", [0.0, 0.5]))

async def _build(temperature):
    inputs = Input(Tweet)
    program = Program(inputs, await Generator(Emotion, model, temperature=temperature)(inputs))
    program.compile()
    return program
"""


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """It says that all is joy, in the form that it is asked for."""
    with openai_server() as running:
        running.answer = lambda asked: (
            fake.text(" joy") if "prompt" in asked.body else fake.chat('{"thinking": "yes", "label": "joy"}')
        )
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this project's configuration and sample data, as the current folder."""
    root = tmp_path / "project"
    copy_project(root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    return root


def run(project: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> list[dict[str, Any]]:
    """The values of the trials that the stages up to the search give."""
    compose(project, overrides)
    for part in ("train", "test"):
        monkeypatch.setattr(sys, "argv", ["materialize", part])
        materialize.main()
    split.main()
    search.main()
    return [row["values"] for row in read_jsonl("data/search/trials.jsonl")]


def test_a_chat_only_server(
    server: OpenAIServer, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default search leaves out the form that the server has not, says so once in a line, and is the search of
    what is left."""
    server.absent = (TEXT,)
    overrides = [*SMALL, f"lm.api_base={server.api_base}"]
    said = "note: structured_output 'completion' is left out of the space: openai/m at "
    estimate = json.loads(report(project, overrides, as_json=True))
    assert (estimate["search"]["trials"], server.asked) == (4, [])
    assert [line.startswith(said) for line in capsys.readouterr().err.splitlines()] == [True]
    trials = run(project, monkeypatch, *overrides)
    assert [trial["structured_output"] for trial in trials] == ["native"] * 4
    assert capsys.readouterr().err.count(said) == 1
    assert {asked.path for asked in server.asked} == {CHAT}
    evaluate.main()
    before = len(server.asked)
    only = run(project, monkeypatch, *overrides, "search.space.structured_output.values=[native]")
    assert only == trials and len(server.asked) == before


def test_what_exists_only_under_what_is_left_out(
    server: OpenAIServer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hyperparameter under a form that is left out is left out with it, and so is what exists under that one."""
    server.absent = (TEXT,)
    (project / "conf" / "search" / "mine.yaml").write_text("""
space:
  structured_output: {kind: choice, values: [completion, native]}
  few_shot: {kind: choice, values: [0, 2], when: {structured_output: completion}}
  stratify: {kind: boolean, when: {few_shot: 2}}
  temperature: {kind: choice, values: [0.0, 0.5], when: {structured_output: [completion, native]}}
""")
    trials = run(project, monkeypatch, *SMALL, f"lm.api_base={server.api_base}", "search=mine")
    assert trials == [{"structured_output": "native", "temperature": value} for value in (0.0, 0.5)]


def test_models_that_differ(server: OpenAIServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that only some models have is tried with those: the others' trials are rejected and ask nothing."""
    with openai_server() as other:
        other.absent, other.answer = (TEXT,), server.answer
        (project / "conf" / "search" / "mine.yaml").write_text("""
space:
  model: {kind: choice, values: [openai/m, openai/chats]}
  structured_output: {kind: choice, values: [completion, native]}
""")
        lm = project / "conf" / "lm" / "openai_compatible.yaml"
        own = f"models: {{openai/chats: {{api_base: '{other.api_base}'}}}}"
        lm.write_text(lm.read_text().replace("models: {}", own))
        trials = run(project, monkeypatch, *SMALL, f"lm.api_base={server.api_base}", "search=mine")
        rows = read_jsonl("data/search/trials.jsonl")
        failed = [row["values"] for row in rows if row["status"] == "FAILED"]
        assert len(trials) == 4 and failed == [{"model": "openai/chats", "structured_output": "completion"}]
        assert {asked.path for asked in other.asked} == {CHAT}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("program.structured_output=completion", r"search\.space: structured_output cannot be 'completion'"),
        ("search.space.structured_output.values=[completion]", r"search\.space\.structured_output: structured_output"),
    ],
)
def test_no_form_is_left(server: OpenAIServer, project: Path, change: str, said: str) -> None:
    """It is refused with the cure before a call."""
    server.absent = (TEXT,)
    overrides = [*SMALL, f"lm.api_base={server.api_base}", change]
    if change.startswith("program"):
        overrides.append("~search.space.structured_output")
    with pytest.raises(ConfigError, match=rf"{said}.*continues no text .*; set it to native, prompt or text"):
        report(project, overrides)
    assert server.asked == []


def test_the_space_of_a_builder(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the builder's alone, whatever search.space says, and a line tells so."""
    (project / "two_temperatures.py").write_text(BUILDER)
    own = ["program.builder=two_temperatures:build_program", "program.source=two_temperatures.py"]
    own += ["evaluate.baseline=null"]
    own += [*SMALL[:2], "objective=reward"]
    estimate = json.loads(report(project, own, as_json=True))
    note = "note: search.space is not used: the space is that of program.builder\n"
    assert (estimate["search"]["space"], capsys.readouterr().err) == (2, note)
    assert run(project, monkeypatch, *own) == [{"temperature": 0.0}, {"temperature": 0.5}]
    assert capsys.readouterr().err.count(note) == 1
    assert run(project, monkeypatch, *own, "~search.space") == [{"temperature": 0.0}, {"temperature": 0.5}]
    assert note not in capsys.readouterr().err

"""The examples: each runs from its data to its last line, with a model that stands in for the real one."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import paretune
from paretune.datasets.gsm8k import parse_answer
from paretune.files import read_jsonl

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> ModuleType:
    """An example as a module, not run."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def last_record(request: Any) -> dict[str, Any]:
    """The record that a request asks about."""
    found: dict[str, Any] = json.loads(re.findall(r"\{[^{}]*\}", request.messages[-1][1])[-1])
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Puts a scripted model in the place of every model, and counts the calls by the model's name."""
    calls: Counter[str] = Counter()
    solutions = {row["question"]: parse_answer(row["answer"]) for row in read_jsonl(EXAMPLES / "maths.jsonl")}
    emotions = {
        row["text"]: row["label"]
        for split in ("train", "test")
        for row in read_jsonl(EXAMPLES.parent / "data" / "sample" / f"{split}.jsonl")
    }

    def make(name: str, **settings: Any) -> paretune.LanguageModel:
        def answer(request: Any) -> str:
            calls[name] += 1
            record, fields = last_record(request), request.schema["properties"]
            if "question" in record:
                reasons = "thinking" in fields or request.options.reasoning_effort in ("low", "medium")
                thinking = {"thinking": ""} if "thinking" in fields else {}
                return json.dumps({**thinking, "answer": solutions[record["question"]] + (not reasons)})
            chosen = emotions[record["text"]] if "good" in name else 1
            yes, no = (0.8, 0.1) if "enum" in fields["joy"] else (True, False)
            return json.dumps({field: yes if i == chosen else no for i, field in enumerate(fields)})

        return paretune.ScriptedLanguageModel(answer, name=name, reasoning_effort="reasoner" in name)

    monkeypatch.setattr(paretune, "LanguageModel", make)
    return calls


def test_hyperparameter_search(asked: Counter[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reasoning is the only way to the right answer here: the search finds it, and it holds on the test."""
    options = ["--model", "reasoner", "--work", str(tmp_path), "--limit", "18", "--trials", "4"]
    script = example("hyperparameter_search")
    script.main(options)
    printed = capsys.readouterr().out
    assert "6 problems to train on, 6 to choose by, 6 to test with" in printed
    assert "chain_of_thought = " in printed and re.search("reasoning_effort = (low|medium)", printed)
    assert re.findall(r"(validation|test) reward +([\d.]+):", printed) == [("validation", "1.000"), ("test", "1.000")]
    paid = asked["reasoner"]
    assert paid == 4 * (6 + 6) + 6
    script.main(options)
    assert asked["reasoner"] == paid  # resumed: nothing is asked again


def test_the_dial_of_reasoning_is_for_models_that_have_it(asked: Counter[str], tmp_path: Path, capsys: Any) -> None:
    """A model that does not reason is not searched over reasoning efforts."""
    example("hyperparameter_search").main(
        ["--model", "plain", "--work", str(tmp_path), "--limit", "6", "--trials", "1"]
    )
    printed = capsys.readouterr().out
    assert "temperature = " in printed and "reasoning_effort" not in printed


@pytest.mark.parametrize("layout", [[], ["--scores"]], ids=["booleans", "scores"])
def test_multi_objective_lm_selection(asked: Counter[str], tmp_path: Path, capsys: Any, layout: list[str]) -> None:
    """Each model with each number of examples is one line with its three replicates; the better model alone is on the
    frontier, and wins."""
    options = ["--models", "lazy", "good", "--work", str(tmp_path), "--limit", "24", "--test-limit", "10", *layout]
    example("multi_objective_lm_selection").main(options)
    printed = capsys.readouterr().out
    table = re.findall(r"^(\d{4}) +(\w+) +(\d) +([\d.]+) +([\d.]+) ([ *])  ([\d. ]+)$", printed, re.MULTILINE)
    assert [row[:3] for row in table] == [
        ("0001", "lazy", "0"),
        ("0002", "lazy", "3"),
        ("0003", "good", "0"),
        ("0004", "good", "3"),
    ]
    assert [row[5] == "*" for row in table] == [False, False, True, True]
    for row in table:
        each = [float(reward) for reward in row[6].split()]
        assert len(each) == 3 and float(row[3]) == pytest.approx(sum(each) / 3, abs=1e-3)
    assert all(row[3] == "1.000" for row in table[2:]) and all(float(row[3]) < 0.6 for row in table[:2])
    assert all(float(row[4]) < 1 / 6 for row in table[:2])  # joy alone: at most 1 of 6 classes
    assert "trial 0003" in printed and re.search(r"reward 1\.000, f1 [\d.]+", printed)
    assert asked == {"lazy": 3 * (12 + 24), "good": 3 * (12 + 24) + 10}


@pytest.mark.parametrize("name", ["hyperparameter_search", "multi_objective_lm_selection"])
def test_a_mistake_is_told_without_a_traceback(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data file that is not there: one line that says so."""
    monkeypatch.setattr(sys, "argv", [name, "--data", "nowhere.jsonl"])
    with pytest.raises(SystemExit, match=r"^error: .*'nowhere\.jsonl'"):
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_the_problems_are_what_they_should_be() -> None:
    """Different problems in gsm8k's columns, with answers of all kinds; the working is right and ends in the answer."""
    rows = list(read_jsonl(EXAMPLES / "maths.jsonl"))
    assert len(rows) >= 24 and len({row["question"] for row in rows}) == len(rows)
    answers = []
    for row in rows:
        assert list(row) == ["question", "answer"] and row["question"].endswith("?")
        answers.append(parse_answer(row["answer"]))
        working = row["answer"].partition("\n####")[0]
        sums = re.findall(r"(-?[\d.]+(?: [-+*/] [\d.]+)+) = (-?[\d.]*\d)", working)
        for terms, result in sums:
            assert eval(terms) == pytest.approx(float(result)), working
        last = re.findall(r"-?\d+(?:\.\d+)?", working)[-1]
        assert float(last) == answers[-1] or f"{answers[-1]:g} are" in working, working
    assert any(value < 0 for value in answers) and any(value % 1 for value in answers)
    assert any("," in row["answer"].rpartition("####")[2] for row in rows)
    assert len(set(answers)) >= 24

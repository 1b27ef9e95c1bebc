"""What `paretune estimate` says of a project, and what its stages then do."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from project_copy import copy_project

from paretune.commands.compose import compose
from paretune.commands.estimate import report
from paretune.errors import ConfigError
from paretune.files import read_jsonl
from paretune.stages import materialize, search, split

#: A hypermodel of the project's own, around a model that always says the same.
BUILDER = """
from typing import Literal
from paretune import DataModel, Field, Generator, Input, Program, ScriptedLanguageModel
from paretune.optimizers import RandomFewShot

LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")

class Tweet(DataModel):
    text: str

class Emotion(DataModel):
    label: Literal[LABELS]

model = ScriptedLanguageModel(lambda request: '{"label": "joy"}', name="joyful", latency_s=0.001)

async def build_program(hp):
    k = hp.Choice("k", [0, 2])
    hp.Boolean("same")
    inputs = Input(Tweet)
    program = Program(inputs, await Generator(Emotion, model)(inputs))
    program.compile(optimizer=RandomFewShot(k, k) if k else None)
    return program
"""
OWN = ["program.builder=joyful:build_program", "program.source=joyful.py", "~search.space", "evaluate.baseline=null"]
SMALL = ["data.splits.train.limit=20", "data.splits.test.limit=5"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this project's configuration and sample data, as the current folder."""
    root = tmp_path / "project"
    copy_project(root)
    (root / "joyful.py").write_text(BUILDER)
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return root


def numbers(root: Path, *overrides: str) -> dict[str, Any]:
    """The estimate as JSON."""
    found: dict[str, Any] = json.loads(report(root, overrides, as_json=True))
    return found


def files(root: Path) -> dict[str, bytes]:
    """Everything in a folder."""
    paths = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_the_declared_search(project: Path, own_state: Path) -> None:
    """Trials, calls and the held-out test of this project, by hand; nothing is written and no client loaded."""
    before = files(project)
    found = numbers(project, *SMALL, "search.max_trials=3")
    # 20 rows, of which 0.7 validate: 6 and 14. The grid begins with completion, no thoughts: 0 examples, then 6.
    trials = [14, 6 + 14, 14]
    assert found["search"]["calls"] == {"low": sum(trials), "high": sum(trials)}
    assert (found["search"]["trials"], found["search"]["finished"], found["search"]["space"]) == (3, 0, 8)
    assert found["test"]["winner"]["calls"] == found["test"]["baseline"]["calls"] == {"low": 5, "high": 5}
    assert found["search"]["usd"] == {"low": 0, "high": 0}
    assert files(project) == before and not own_state.exists()
    trained = numbers(project, *SMALL, "evaluate.baseline.few_shot=6")
    assert trained["test"]["baseline"]["calls"]["low"] == 6 + 5


def test_it_is_what_the_stages_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search that runs makes the calls that were estimated; a larger one then counts what is left."""
    overrides = [*OWN, *SMALL, "search.epochs=2", "search.executions_per_trial=2", "search.max_trials=3"]
    overrides += ["objective=reward"]
    first = numbers(project, *overrides)
    compose(project, overrides)
    for part in ("train", "test"):
        monkeypatch.setattr(sys, "argv", ["materialize", part])
        materialize.main()
    split.main()
    sys.path.insert(0, str(project))
    search.main()
    calls = [row["calls"] for row in read_jsonl("data/search/trials.jsonl")]
    assert first["search"]["calls"] == {"low": sum(calls), "high": sum(calls)}
    assert numbers(project)["search"]["finished"] == 3 and numbers(project)["search"]["calls"]["high"] == 0
    more = numbers(project, *overrides[:-2], "objective=reward", "search.max_trials=4")["search"]
    assert more["finished"] == 3 and more["calls"]["low"] == 2 * 2 * (6 + 14)
    other = numbers(project, *overrides, "split.validation_split=0.5")["search"]
    assert other["finished"] == 0 and other["calls"]["low"] == 2 * 2 * (10 + 10 + (10 + 10))


def test_files_of_the_stages_are_taken_when_they_are_up_to_date(project: Path) -> None:
    """DVC's lock tells whether data/ was made of this configuration; else the rows are made anew."""
    rows = [{"x": {"text": "a"}, "y": {"label": "joy"}}] * 4
    text = "".join(json.dumps(row) + "\n" for row in rows)
    made = project / "data/materialized/train.jsonl"
    made.parent.mkdir()
    made.write_text(text)
    params = yaml.safe_load((project / "params.yaml").read_text())
    assert numbers(project)["search"]["calls"]["low"] > 100
    out = {"path": "data/materialized/train.jsonl", "md5": hashlib.md5(text.encode()).hexdigest()}
    known = {"data.seed": params["data"]["seed"], "data.splits.train": params["data"]["splits"]["train"]}
    lock = {"stages": {"materialize@train": {"outs": [out], "params": {"params.yaml": known}}}}
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert numbers(project)["search"]["calls"]["low"] == 4 * 3 + 4 * (1 + 3)
    assert numbers(project, "data.seed=5")["search"]["calls"]["low"] > 100
    made.write_text(text + text)
    assert numbers(project)["search"]["calls"]["low"] > 100


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.max_trails=3", "max_trails"),
        ("tuner=gird", "gird"),
        ("+search.space.few_shots={kind: choice, values: [1]}", "few_shots"),
        ("data.splits.train.source=nowhere.jsonl", "nowhere"),
        ("evaluate.baseline.few_shot=-1", "few_shot"),
    ],
)
def test_mistakes(project: Path, override: str, message: str) -> None:
    """What is wrong is told as the stages would, in few lines."""
    with pytest.raises(ConfigError if "source" not in override else Exception, match=message) as caught:
        report(project, [override])
    assert str(caught.value).count("\n") <= 3

"""Tasks of one's own, from a file in conf/task/ and files of rows to the reports."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai_server import Asked, OpenAIServer, chat, text
from project_copy import copy_project

from paretune.commands.compose import compose
from paretune.errors import ConfigError
from paretune.files import read_jsonl
from paretune.stages import check_params, evaluate, materialize, report, search, split

INVOICES = {
    "defaults": [{"override /layout@_global_.layout": "fields"}, {"override /data@_global_.data": "files"}],
    "name": "invoices",
    "instructions": "Take the fields from the invoice.",
    "input": {"fields": {"text": {"type": "str"}}},
    "output": {
        "fields": {
            "vendor": {"type": "str", "column": "Sold by", "accepted": True, "separator": "|"},
            "total": {"type": "float", "column": "Total (EUR)", "tolerance": 0.01, "weight": 2},
            "paid": {"type": "bool", "optional": True},
            "items": {"type": "record", "list": True, "fields": {"what": {"type": "str"}, "amount": {"type": "int"}}},
        }
    },
}
TOPICS = {
    "defaults": [{"override /layout@_global_.layout": "labels"}, {"override /data@_global_.data": "files"}],
    "name": "topics",
    "instructions": "Name the topics.",
    "input": {"fields": {"text": {"type": "str"}}},
    "labels": ["economy", "sport"],
    "labels_optional": True,
    "answer": "Topics",
    "target": "row | where_true(labels)",
}
SMALL = ["lm=openai_compatible", "lm.model=openai/m", "tuner=grid", "report.resamples=100", "evaluate.baseline=null"]
SMALL += ["~search.space.chain_of_thought", "search.space.few_shot.values=[0]", "split.validation_split=0.75"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this project's configuration, with the two tasks, as the current folder."""
    copy_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    for task in (INVOICES, TOPICS):
        (tmp_path / f"project/conf/task/{task['name']}.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
    return tmp_path / "project"


def run(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], *overrides: str) -> dict[str, Any]:
    """All stages on a table of rows; the test numbers."""
    for name in ("train", "test"):
        with open(f"{name}.csv", "w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    sources = [f"data.splits.{name}.source={name}.csv" for name in ("train", "test")]
    compose(Path.cwd(), [*SMALL, *sources, *overrides])
    monkeypatch.setattr(sys, "argv", ["paretune"])
    check_params.main()
    for name in ("train", "test"):
        monkeypatch.setattr(sys, "argv", ["paretune", name])
        materialize.main()
    for stage in (split, search, evaluate, report):
        stage.main()
    return dict(json.loads(Path("reports/metrics.json").read_text())["test"])


def test_extraction(
    project: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reward and a metric a field follow from the declaration; no request has the right answers; nulls are told."""
    rows = [
        {"text": str(n), "Sold by": "Acme|Acme Ltd", "Total (EUR)": f"{n}.00", "paid": "yes" if n % 2 else "",
         "items": json.dumps([{"what": "desk", "amount": n}])}
        for n in range(1, 9)
    ]  # fmt: skip

    def answered(asked: Asked) -> Any:
        n = int(json.loads(asked.body["messages"][-1]["content"])["text"])
        items = [{"what": "Desk", "amount": n}, {"what": "lamp", "amount": 1}]
        return chat(json.dumps({"vendor": "acme ltd.", "total": n + 0.01, "items": items}))  # paid is left out

    server.answer = answered
    objectives = "objective.objectives=[{name: val_reward, direction: max}, {name: val_f1_items, direction: max}]"
    found = run(monkeypatch, rows, "task=invoices", f"lm.api_base={server.api_base}", objectives)
    # vendor 1, total 1 (twice), items 2 * 1 / (1 + 2), paid right where it is null, which is half of the rows
    assert found["reward"] == pytest.approx((1 + 2 + 2 / 3 + 0.5) / 5)
    # of 8 vendors, totals and items each and 4 times paid, all but paid is right; 8 items too many
    assert found["f1"] == pytest.approx(2 * 24 / (28 + 32))
    assert (found["f1_vendor"], found["f1_total"], found["f1_paid"]) == (1, 1, 0)
    assert found["f1_items"] == pytest.approx(2 / 3)
    told = capsys.readouterr().err
    assert "null: paid 4" in told
    assert "structured_output 'completion' is left out of the space: field 'items' of 'Answer' has no text form" in told
    assert "accepted" not in json.dumps([asked.body for asked in server.asked])
    (first, *_) = read_jsonl(Path("data/evaluation/predictions.jsonl"))
    assert first["y"]["vendor_accepted"] == ["Acme Ltd"]
    assert first["parts"] == {"vendor": 1.0, "total": 1.0, "paid": 0.0, "items": pytest.approx(2 / 3)}


def test_several_labels(
    project: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list in JSON or in a line of text, from 0/1 columns; macro F1 over the labels."""
    rows = [{"text": str(n), "economy": n % 2, "sport": int(n > 4)} for n in range(1, 9)]

    def answered(asked: Asked) -> Any:
        if "prompt" in asked.body:
            return text(" Economy, sport.")
        return chat(json.dumps({"labels": ["economy"]}))

    server.answer = answered
    found = run(monkeypatch, rows, "task=topics", f"lm.api_base={server.api_base}", "objective=reward_f1")
    assert "8 rows (economy 4, sport 4)" in capsys.readouterr().err
    # both, of rows with both (2), one (4) and none (2): 1, 2 / 3 and 0; economy and sport each 2 * 4 / (8 + 4)
    assert found["reward"] == pytest.approx((2 * 1 + 4 * 2 / 3) / 8)
    assert found["f1"] == pytest.approx(2 / 3)


def test_a_field_that_no_row_has(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An optional field is null where a row has no such column; where none has it, its name is perhaps misspelt."""
    Path("rows.jsonl").write_text('{"text": "x", "answer": "y"}\n' * 2)
    fields = {"answer": {"type": "str"}, "note": {"type": "str", "optional": True, "column": "notes"}}
    Path("conf/task/notes.yaml").write_text(yaml.safe_dump({**INVOICES, "output": {"fields": fields}}))
    sources = [f"data.splits.{name}.source=rows.jsonl" for name in ("train", "test")]
    compose(project, ["task=notes", *sources])
    monkeypatch.setattr(sys, "argv", ["paretune", "train"])
    materialize.main()
    assert "note: 'note' is null in every row" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "layout", "message"),
    [
        (
            "invoices",
            "labels",
            "'task.answer' not found; the layout takes it from the task: declare it there, or choose",
        ),
        ("topics", "fields", "layout.output: no fields; declare them in task.output.fields, or choose another layout"),
    ],
)
def test_a_layout_that_the_task_is_not_for(
    project: Path, monkeypatch: pytest.MonkeyPatch, task: str, layout: str, message: str
) -> None:
    """The error names what is missing, and the other way out."""
    sources = [f"data.splits.{name}.source=conf" for name in ("train", "test")]
    monkeypatch.setattr(sys, "argv", ["paretune"])
    with pytest.raises(ConfigError, match=message):
        compose(project, [f"task={task}", f"layout={layout}", *sources])
        check_params.main()

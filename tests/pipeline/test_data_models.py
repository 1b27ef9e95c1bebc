"""Field declarations become data models, and the two data stages write what they should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune.errors import ConfigError, DataError
from paretune.pipeline.data_models import input_model, output_model
from paretune.pipeline.rows import as_labels, gold_labels, open_dataset
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import TaskParams
from paretune.schemas.data_model import field_labels, is_score
from paretune.schemas.parsing import parse_json

ROOT = Path(__file__).parents[2]
PER_LABEL = (
    "{% set gold = labels[label] %}{ {%- for name in labels %}{{ name | tojson }}: {{ VALUE }}"
    "{% if not loop.last %}, {% endif %}{% endfor -%} }"
)
OUTPUTS: dict[str, dict[str, Any]] = {
    "categorical": {
        "name": "Answer",
        "fields": {"label": {"type": "category", "description": "The label"}},
        "template": '{"label": {{ labels[label] | tojson }}}',
    },
    "booleans": {
        "name": "Answer",
        "per_label": {"type": "bool", "description": "True if {label}"},
        "template": PER_LABEL.replace("VALUE", "(name == gold) | tojson"),
    },
    "scores": {
        "name": "Answer",
        "per_label": {"type": "score", "description": "Confidence in {label}"},
        "template": PER_LABEL.replace("VALUE", "1.0 if name == gold else 0.0"),
    },
}


def task(**changes: Any) -> TaskParams:
    values = {
        "name": "mood",
        "instructions": "Name the mood.",
        "input": {
            "name": "Tweet",
            "fields": {"text": {"type": "str", "description": "A text"}},
            "template": '{"text": {{ text | tojson }}}',
        },
        "labels": ["sad", "glad"],
        "target": "labels[label]",
    }
    return TaskParams.model_validate(values | changes)


def layout(output: dict[str, Any]) -> LayoutParams:
    return LayoutParams.model_validate(
        {"name": "x", "source": "x.yaml", "output": output, "reward": {"name": "ExactMatch"}}
    )


def data(source: Path) -> DataParams:
    return DataParams.model_validate({"name": "files", "splits": {"train": {"source": str(source)}}})


def test_input_model_has_the_declared_fields() -> None:
    """Name, type and description come from the declaration."""
    model = input_model(task())
    assert model.__name__ == "Tweet"
    assert model.get_schema()["properties"] == {"text": {"type": "string", "description": "A text"}}


def test_category_takes_the_labels_or_its_own_values() -> None:
    """The labels keep their order."""
    declared = {**OUTPUTS["categorical"], "fields": {"label": {"type": "category", "values": ["b", "a"]}}}
    assert field_labels(output_model(task(), layout(OUTPUTS["categorical"])), "label") == ("sad", "glad")
    assert field_labels(output_model(task(), layout(declared)), "label") == ("b", "a")


def test_per_label_makes_one_field_a_label() -> None:
    """Each description names its label, and a score is a Score."""
    model = output_model(task(), layout(OUTPUTS["scores"]))
    assert list(model.model_fields) == ["sad", "glad"]
    assert model.get_schema()["properties"]["glad"]["description"] == "Confidence in glad"
    assert is_score(model, "sad")


@pytest.mark.parametrize("name", OUTPUTS)
def test_each_layout_holds_the_same_gold_label(tmp_path: Path, name: str) -> None:
    """Whatever the layout, the right answer of a row is the same label."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n')
    dataset = open_dataset(task(), layout(OUTPUTS[name]), data(path), "train")
    assert [list(gold_labels(y)) for _, y in dataset] == [["glad"], ["sad"]]


LABELS = ["joy", "Anger"]
CONF = Path(__file__).parents[2] / "conf/layout"


def gold(tmp_path: Path, name: str, label: Any, optional: bool = False, target: str = "label") -> list[str]:
    """The labels that a layout of conf/ finds in a row."""
    declared = yaml.safe_load((CONF / f"{name}.yaml").read_text())["output"]
    template = declared["template"].replace("${task.target}", target)
    declared["template"] = template.replace("${oc.select:task.labels_optional,false}", str(optional))
    for field in declared.get("fields", {}).values():
        field.pop("title")
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "a", "label": label}) + "\n")
    ((_, y),) = open_dataset(task(labels=LABELS, target=target), layout(declared), data(path), "train")
    return list(gold_labels(y))


@pytest.mark.parametrize("name", ["booleans", "scores", "categorical"])
@pytest.mark.parametrize(
    ("label", "hint"),
    [
        ("Joy", "'joy'"),
        ("jooy", "'joy'"),
        (" joy", "'joy'"),
        ("anger", "'Anger'"),
        (1, ""),
        (True, ""),
        ("sadness", ""),
        (None, ""),
        ("", ""),
    ],
)
def test_a_label_that_is_none_is_refused_by_every_layout(tmp_path: Path, name: str, label: Any, hint: str) -> None:
    """A slip, another case, a number or nothing is no label, and never "none of them"."""
    with pytest.raises(DataError, match=r"row 0 \(counted from 0\), output template") as caught:
        gold(tmp_path, name, label)
    assert repr(label) in str(caught.value)
    if name != "categorical":
        assert f"did you mean {hint}?" in str(caught.value) or not hint


@pytest.mark.parametrize("name", ["booleans", "scores"])
def test_one_label_several_or_none_on_purpose(tmp_path: Path, name: str) -> None:
    """A row has one label, a list of them, or with labels_optional none; each in a list is checked as well."""
    assert gold(tmp_path, name, "Anger") == ["Anger"]
    assert gold(tmp_path, name, ["Anger", "joy"]) == ["joy", "Anger"]
    assert gold(tmp_path, name, "joy;Anger", target="label.split(';')") == ["joy", "Anger"]
    assert gold(tmp_path, name, "joy; Anger", target="label.split(';') | map('trim')") == ["joy", "Anger"]
    for nothing in (None, "", []):
        assert gold(tmp_path, name, nothing, optional=True) == []
        with pytest.raises(DataError, match=r"no label .* set task.labels_optional to true"):
            gold(tmp_path, name, nothing)
    for wrong in ("Joy", ["joy", "angry"], {"joy": 1}):
        with pytest.raises(DataError, match="is none of the labels joy, Anger"):
            gold(tmp_path, name, wrong, optional=True)


def test_a_column_called_labels(tmp_path: Path) -> None:
    """It is hidden by the task's labels, all of which a row must not get in silence."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "labels": ["joy"]}\n')
    declared = yaml.safe_load((CONF / "booleans.yaml").read_text())["output"]
    for target, expected in (("labels", None), ("row.labels", ["joy"])):
        text = declared["template"].replace("${task.target}", target)
        output = {**declared, "template": text.replace("${oc.select:task.labels_optional,false}", "False")}
        dataset = open_dataset(task(labels=LABELS), layout(output), data(path), "train")
        if expected is None:
            with pytest.raises(DataError, match=r"the column of this name is `row.labels`"):
                list(dataset)
        else:
            assert [list(gold_labels(y)) for _, y in dataset] == [expected]


def test_a_number_that_a_label_is_the_text_of() -> None:
    """1 is not '1', and the cure is said."""
    with pytest.raises(
        DataError, match=r"1 is none of the labels 1, 2; a label is text: did you mean '1' \(`\| string"
    ):
        as_labels(1, labels=["1", "2"])


def test_labels_numbered_by_text(tmp_path: Path) -> None:
    """In a table the number of a label is text: the conversion that is missing is named."""
    (tmp_path / "rows.csv").write_text("text,label\na,1\n")
    with pytest.raises(DataError, match=r"no place '1' in a list: .* write `\| int` after it"):
        list(open_dataset(task(), layout(OUTPUTS["categorical"]), data(tmp_path / "rows.csv"), "train"))


def test_the_delimiter_of_a_split(tmp_path: Path) -> None:
    """A file with another delimiter is refused with the key to set, and read when it is set."""
    path = tmp_path / "rows.csv"
    path.write_text("text;label\na, b;1\n")
    output = {**OUTPUTS["categorical"], "template": '{"label": {{ labels[label | int] | tojson }}}'}
    with pytest.raises(DataError, match=r"perhaps ';' \(in the pipeline: data.splits.….delimiter\)"):
        list(open_dataset(task(), layout(output), data(path), "train"))
    source = {"source": str(path), "delimiter": ";"}
    params = DataParams.model_validate({"name": "files", "splits": {"train": source}})
    ((x, y),) = open_dataset(task(), layout(output), params, "train")
    assert (x.get_json(), y.get_json()) == ({"text": "a, b"}, {"label": "glad"})


@pytest.mark.parametrize(
    ("labels", "output", "reason"),
    [
        (["sad", "very glad"], OUTPUTS["booleans"], "got 'very glad'"),
        (["sad", "copy"], OUTPUTS["booleans"], "'copy' is taken"),
        (["sad", "sad"], OUTPUTS["booleans"], "given twice: 'sad'"),
        ([], OUTPUTS["booleans"], "declare task.labels"),
        ([], OUTPUTS["categorical"], "declare task.labels"),
        (["a"], {**OUTPUTS["categorical"], "name": "my answer"}, "got 'my answer'"),
    ],
)
def test_names_that_cannot_be(labels: list[str], output: dict[str, Any], reason: str) -> None:
    """A label that cannot be a field is refused, with the place to mend."""
    with pytest.raises(ConfigError, match=reason):
        output_model(task(labels=labels), layout(output))


def test_an_unknown_split_names_the_known_ones(tmp_path: Path) -> None:
    """A slip in the command line of a stage is told from a fault in the data."""
    with pytest.raises(ConfigError, match=r"no 'trian' \(it has: train\); did you mean 'train'\?"):
        open_dataset(task(), layout(OUTPUTS["categorical"]), data(tmp_path), "trian")


def test_a_source_that_is_not_there_is_never_sought_on_the_hub(tmp_path: Path) -> None:
    """A slip in a file's name is told at once, with the key to mend."""
    with pytest.raises(DataError, match=r"data.splits.train.source: no such file: .*rows.txt"):
        open_dataset(task(), layout(OUTPUTS["categorical"]), data(tmp_path / "rows.txt"), "train")


def run(stage: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"paretune.stages.{stage}", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src"), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_stages_write_rows_and_parts(tmp_path: Path) -> None:
    """materialize writes every row through the templates; split cuts them by class, order kept."""
    rows = [{"text": f"ü {i}", "label": int(i >= 6)} for i in range(10)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    params = {
        "task": task().model_dump(mode="json", by_alias=True),
        "layout": layout(OUTPUTS["categorical"]).model_dump(mode="json", by_alias=True),
        "data": data(Path("rows.jsonl")).model_dump(mode="json"),
        "split": {"validation_split": 0.5, "stratify": True},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    done = run("materialize", "train", folder=tmp_path)
    assert done.stderr == "data/materialized/train.jsonl: 10 rows (sad 6, glad 4)\n"
    written = read(tmp_path / "data/materialized/train.jsonl")
    assert written[9] == {"x": {"text": "ü 9"}, "y": {"label": "glad"}}
    done = run("split", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "data/splits/train.jsonl") == [written[i] for i in (0, 1, 2, 6, 7)]
    assert read(tmp_path / "data/splits/val.jsonl") == [written[i] for i in (3, 4, 5, 8, 9)]

    params["split"] = {"validation_split": 1.5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    done = run("split", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: invalid values in params.yaml:\n  split.validation_split: must be > 0 and < 1 (got 1.5)\n"
    )


def test_strict_labels() -> None:
    """One word in the layout makes replies be read to the letter."""
    for strict in (False, True):
        params = LayoutParams.model_validate(
            {
                "name": "l",
                "source": "conf",
                "output": {**OUTPUTS["categorical"], "strict_labels": strict},
                "reward": {"name": "ExactMatch"},
            }
        )
        assert (parse_json('{"Label": "SAD"}', output_model(task(), params)) is None) == strict

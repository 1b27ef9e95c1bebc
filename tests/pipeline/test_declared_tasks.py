"""Tasks that conf declares by their fields: from cells to right answers, and what a reply is worth beside them."""

from __future__ import annotations

import asyncio
import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import ConfigError, DataError
from paretune.files import canonical_json
from paretune.metrics import FieldF1
from paretune.pipeline.data_models import output_model
from paretune.pipeline.rows import open_dataset
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.base import check_sections, section
from paretune.pipeline.sections.data import DataParams
from paretune.pipeline.sections.layout import LayoutParams
from paretune.pipeline.sections.task import TaskParams
from paretune.programs.saved_models import is_rebuildable, model_from_schema, schema_of
from paretune.schemas.data_model import DataModel
from paretune.schemas.match import match_of
from paretune.schemas.parsing import parse_json
from paretune.schemas.text_form import cue

TASK = {"name": "t", "instructions": "Take the fields.", "input": {"fields": {"text": {"type": "str"}}}}


def params(fields: dict[str, Any], **layout: Any) -> dict[str, Any]:
    """The sections of a task with these fields, as ``layout=fields`` composes them."""
    declared = {"name": "fields", "source": "x", "output": {"name": "Answer", "fields": fields}, "reward": None}
    return {"task": {**TASK, "output": {"fields": fields}}, "layout": {**declared, "metrics": None, **layout}}


def gold(fields: dict[str, Any], rows: list[dict[str, Any]], ending: str = "jsonl") -> list[DataModel]:
    """The right answers of rows that a file has."""
    sections = params(fields)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows.{ending}"
        if ending == "csv":
            with path.open("w", newline="") as handle:
                writer = csv.DictWriter(handle, ["text", *rows[0]])
                writer.writeheader()
                writer.writerows({"text": "x", **row} for row in rows)
        else:
            path.write_text("".join(json.dumps({"text": "x", **row}) + "\n" for row in rows))
        data = DataParams.model_validate({"name": "files", "splits": {"train": {"source": str(path)}}})
        task, layout = section(sections, "task", TaskParams), section(sections, "layout", LayoutParams)
        return [y for _, y in open_dataset(task, layout, data, "train")]


WORDS = ("desk", "lamp", "paper", "chair")
#: A type's values, of which no two are alike for any rule of comparison.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.sampled_from(WORDS),
    "int": st.integers(-5, 5).map(lambda number: 100 * number),
    "float": st.integers(-5, 5).map(lambda number: 100 * number + 0.5),
    "bool": st.booleans(),
    "score": st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    "category": st.sampled_from(["a", "b", "c"]),
    "date": st.dates().map(lambda day: day.isoformat()),
    "datetime": st.datetimes().map(lambda instant: instant.isoformat()),
}
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "str": {"match": st.sampled_from(["normalized", "f1", "exact"])},
    "int": {"tolerance": st.sampled_from([0, 1]), "relative": st.sampled_from([0, 0.001])},
    "float": {"tolerance": st.sampled_from([0, 0.01])},
}


@st.composite
def declarations(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """A field of any type, with any of the options that the type has."""
    kind = draw(st.sampled_from([*VALUES, *(["record"] if depth else [])]))
    field: dict[str, Any] = {"type": kind}
    for name in ("optional", "list"):
        if draw(st.booleans()):
            field[name] = True
    options = dict(OPTIONS.get(kind, {}))
    if kind == "category":
        field["values"] = ["a", "b", "c"]
    if kind == "record":
        field["fields"] = draw(field_maps(depth - 1))
    if field.get("list"):
        options |= {"ordered": st.booleans(), "max_items": st.integers(1, 5)}
    if field.get("list") or kind == "record":
        options["partial"] = st.booleans()
    for name, values in options.items():
        if draw(st.booleans()):
            field[name] = draw(values)
    return {**field, "weight": draw(st.sampled_from([0.5, 1, 3]))}


def field_maps(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(["one", "two", "three"]), declarations(depth), min_size=1)


def values_of(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The values that a field can have, without those that count as another."""
    if field["type"] == "record":
        plain: st.SearchStrategy[Any] = st.fixed_dictionaries({k: values_of(v) for k, v in field["fields"].items()})
        plain = plain.filter(_says_something)
    else:
        plain = VALUES[field["type"]]
    if field.get("list"):
        plain = st.lists(plain, min_size=1, max_size=3, unique_by=canonical_json)
        if not field.get("ordered") or field["type"] == "category":
            plain = plain.map(lambda items: sorted(items, key=canonical_json))
    return st.none() | plain if field.get("optional") else plain


def _says_something(value: Any) -> bool:
    """No null, and no record of nothing but nulls, which counts as one."""
    return any(map(_says_something, value.values())) if isinstance(value, dict) else value is not None


@st.composite
def tasks(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], str, Any]:
    """Fields, a row, the name of one field, and another value that the row could have there."""
    fields = draw(field_maps(2))
    row = {name: draw(values_of(field)) for name, field in fields.items()}
    name = draw(st.sampled_from(sorted(fields)))
    other = draw(values_of(fields[name]).filter(lambda value: canonical_json(value) != canonical_json(row[name])))
    return fields, row, name, other


def scores(scoring: Scoring, y_true: DataModel, y_pred: DataModel) -> list[float]:
    """The reward, and F1 of the fields."""
    metrics = [metric for metric in scoring.metrics if metric.name == "f1" and isinstance(metric, FieldF1)]
    return [asyncio.run(_reward(scoring, y_true, y_pred)), *(metric([y_true], [y_pred]) for metric in metrics)]


async def _reward(scoring: Scoring, y_true: DataModel, y_pred: DataModel) -> float:
    return float(await scoring.reward(y_true, y_pred))


def cell(value: Any) -> str:
    """How a table has a value."""
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


@settings(max_examples=40, deadline=None)
@given(tasks())
def test_any_declared_task_scores_right_and_wrong_replies(
    task: tuple[dict[str, Any], dict[str, Any], str, Any],
) -> None:
    """Rows become the same right answers from lines of JSON and from a table; the right reply earns 1 and F1 1, and one
    with another value in one field earns less."""
    fields, row, name, other = task
    scoring = Scoring(params(fields))
    (right,) = gold(fields, [row])
    (same,) = gold(fields, [{key: cell(value) for key, value in row.items()}], "csv")
    assert right.get_json() == same.get_json()

    reply = parse_json(json.dumps(right.get_json()), scoring.output_model)
    assert reply is not None
    assert set(scores(scoring, right, reply)) == {1.0}
    (wrong,) = gold(fields, [{**row, name: other}])
    reply = parse_json(json.dumps(wrong.get_json()), scoring.output_model)
    assert reply is not None
    assert all(score < 1 for score in scores(scoring, right, reply))


@settings(max_examples=40, deadline=None)
@given(tasks())
def test_what_a_reply_leaves_out_is_null_where_it_may_be(task: tuple[dict[str, Any], dict[str, Any], str, Any]) -> None:
    """A reply without an optional field is the reply with null; without another field it is invalid."""
    fields, row, name, _ = task
    scoring = Scoring(params(fields))
    (right,) = gold(fields, [row])
    reply = {key: value for key, value in right.get_json().items() if key != name}
    read = parse_json(json.dumps(reply), scoring.output_model)
    assert (read is not None) == bool(fields[name].get("optional"))
    if read is not None:
        assert read.get_json() == right.get_json() | {name: None}


NUMBER = {"total": {"type": "float"}}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ({"type": "float"}, "12,50", r"field 'a': '12,50' is not a number, .*`from: … \| replace\(',', '.'\)` reads"),
        ({"type": "int"}, "7.5", "field 'a': '7.5' is not a whole number"),
        ({"type": "int"}, "", "field 'a': nothing in it .*set optional to true"),
        ({"type": "bool"}, "perhaps", "field 'a': 'perhaps' is not one of true, yes"),
        ({"type": "str"}, 7, r"field 'a': 7 is no text; .* `from: … \| string`"),
        ({"type": "str"}, None, "field 'a': nothing in it"),
        (
            {"type": "category", "values": ["EUR", "USD"]},
            "Eur",
            "field 'a': 'Eur' is none of EUR, USD; did you mean 'EUR'",
        ),
        (
            {"type": "date"},
            "31.05.2024",
            r"'31.05.2024' is not written as 2024-05-31; else say its format, such as '%d",
        ),
        ({"type": "date", "format": "%d.%m.%Y"}, "2024-05-31", "'2024-05-31' is not written as '%d.%m.%Y'"),
        ({"type": "date"}, 20240531, "20240531 is no date"),
        ({"type": "str", "list": True}, "x; y", "field 'a': 'x; y' is no list; .*separator"),
        ({"type": "int", "list": True, "separator": ";"}, "1; two", r"field 'a\.1': 'two' is not a whole number"),
        ({"type": "record", "fields": NUMBER}, "x", "field 'a': 'x' is no record; in a table write it as JSON"),
        ({"type": "record", "fields": NUMBER}, {"totl": 1}, r"field 'a\.total': no column 'total' .* mean 'totl'"),
        ({"type": "str", "column": "b"}, "x", r"field 'a': no column 'b' \(columns: text, a\)"),
        ({"type": "str", "from": "c"}, "x", "'c' is undefined"),
        ({"type": "str", "accepted": True}, [], r"field 'a': no accepted answer \(got \[\]\)"),
        ({"type": "category", "list": True, "columns": ["x"]}, "1", "no column 'x'"),
    ],
)
def test_a_cell_that_does_not_fit(field: dict[str, Any], value: Any, message: str) -> None:
    """The error names the row, the field, the value and the cure."""
    with pytest.raises(DataError, match=rf"row 0 \(counted from 0\), output template: .*{message}"):
        gold({"a": field}, [{"a": value}])


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ({"type": "date", "format": "%d.%m.%Y"}, "31.05.2024", "2024-05-31"),
        ({"type": "date"}, "2024-05-31T00:00:00", "2024-05-31"),
        ({"type": "datetime"}, "2024-05-31 14:00", "2024-05-31T14:00:00"),
        ({"type": "bool"}, "YES", True),
        ({"type": "float"}, " 1e3 ", 1000.0),
        ({"type": "str", "list": True, "separator": ";"}, "x; y;", ["x", "y"]),
        ({"type": "str", "list": True}, "['x', 'y']", ["x", "y"]),  # as pandas writes a list into a table
        ({"type": "str", "list": True}, "", []),
        ({"type": "record", "fields": NUMBER}, "{'total': 1}", {"total": 1.0}),
        ({"type": "str", "from": "a | upper"}, "x", "X"),
        ({"type": "str", "optional": True}, " ", None),
        ({"type": "str", "optional": True, "column": "nowhere"}, "x", None),
        ({"type": "category", "list": True, "columns": {"yes": "a"}}, "1", ["yes"]),
        ({"type": "str"}, "007", "007"),
    ],
)
def test_a_cell_becomes_what_its_field_says(field: dict[str, Any], value: Any, expected: Any) -> None:
    """Text of a table too, in the forms that people write."""
    (y,) = gold({"a": field}, [{"a": value}])
    assert y.get_json()["a"] == expected


@pytest.mark.parametrize("value", [["Peking", "Beijing"], '["Peking", "Beijing"]', "Peking | Beijing"])
def test_several_accepted_answers(value: Any) -> None:
    """The first one is the answer that examples show; any of them earns the reward."""
    fields = {"a": {"type": "str", "accepted": True, "separator": "|"}}
    (y,) = gold(fields, [{"a": value}])
    assert y.get_json() == {"a": "Peking", "a_accepted": ["Beijing"]}
    scoring = Scoring(params(fields))
    assert "a_accepted" not in scoring.output_model.model_fields
    assert scores(scoring, y, scoring.output_model(a="beijing")) == [1.0, 1.0]  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"type": "str", "tolerance": 1}, "only a number has tolerance"),
        ({"type": "int", "match": "f1"}, "only text .type str. has match"),
        ({"type": "str", "ordered": True}, "only a list has ordered"),
        ({"type": "str", "values": ["x"]}, "only a category has values"),
        ({"type": "record"}, "a record has fields"),
        ({"type": "str", "separator": ";"}, "only a list, or several accepted answers"),
        ({"type": "str", "list": True, "columns": ["x"]}, "only a category has columns"),
        ({"type": "str", "column": "x", "from": "y"}, "give one of column, columns and from"),
        ({"type": "str", "accepted": True, "optional": True}, "accepted is for fields of one value"),
        ({"type": "record", "fields": {"b": {"type": "str", "from": "x"}}}, "only a field of the row itself has from"),
        ({"type": "record", "fields": {"b": {"type": "str", "weight": 0}}}, "give one of b a weight above 0"),
        ({"type": "float", "tolerance": -1}, "must be >= 0"),
        ({"type": "strng"}, "must be 'str', 'int'"),
        ({"type": "str", "tolerence": 1}, "unknown key .*did you mean 'tolerance'"),
    ],
)
def test_a_declaration_that_cannot_be(field: dict[str, Any], message: str) -> None:
    """Told once, where the task says it, and not again where the layout takes it over."""
    sections = params({"a": field})
    with pytest.raises(ConfigError, match=message) as caught:
        check_sections(sections, {"task": TaskParams, "layout": LayoutParams})
    assert "task.output.fields.a" in str(caught.value) and "layout" not in str(caught.value)


def test_a_layout_needs_fields_and_something_that_counts() -> None:
    """What follows from the fields needs some."""
    with pytest.raises(ConfigError, match=r"no fields; declare them in task.output.fields, or choose another layout"):
        check_sections({"layout": params({})["layout"]}, {"layout": LayoutParams})
    with pytest.raises(ConfigError, match="no field counts: give one of a a weight above 0"):
        check_sections(params({"a": {"type": "str", "weight": 0}}), {"layout": LayoutParams})


def test_reward_and_metrics_follow_from_the_fields() -> None:
    """Fields with a reward of their own are combined with the others by weight; each field has a metric by its kind."""
    judge = {"name": "LMAsJudge", "language_model": "openai/judge"}
    fields = {
        "total": {"type": "float", "weight": 2},
        "kind": {"type": "category", "values": ["a", "b"]},
        "note": {"type": "str", "weight": 3, "reward": judge},
    }
    layout = section(params(fields), "layout", LayoutParams)
    assert layout.declared_reward == {
        "name": "Weighted",
        "rewards": [
            {"name": "FieldMatch", "in_mask": ["total", "kind"], "as": "fields"},
            {**judge, "in_mask": ["note"], "as": "note"},
        ],
        "weights": [3, 3],
    }
    assert layout.judges == {"openai/judge"}
    assert [(metric["as"], metric["name"]) for metric in layout.declared_metrics] == [
        ("f1", "FieldF1"),
        ("f1_total", "FieldF1"),
        ("f1_kind", "CategoricalF1Score"),
        ("f1_note", "F1Score"),
    ]
    alone = section(params({"kind": fields["kind"]}), "layout", LayoutParams)
    assert alone.declared_metrics == (
        {"name": "CategoricalF1Score", "average": "macro", "in_mask": ["kind"], "as": "f1"},
    )
    own = section(params({"note": fields["note"]}, metrics=[]), "layout", LayoutParams)
    assert (own.declared_reward, own.declared_metrics) == ({**judge, "as": "note"}, ())


@settings(max_examples=60, deadline=None)
@given(field_maps(2), st.booleans(), st.data())
def test_every_declared_answer_is_built_again_from_a_program_file(
    fields: dict[str, Any], strict: bool, data: st.DataObject
) -> None:
    """The class from the file asks, reads, compares and is written as the declared one; no class is handed over."""
    sections = params(fields)
    layout = section(sections, "layout", LayoutParams)
    layout = layout.model_copy(update={"output": layout.output.model_copy(update={"strict_labels": strict})})
    declared = output_model(section(sections, "task", TaskParams), layout)
    assert is_rebuildable(declared)
    rebuilt = model_from_schema(json.loads(json.dumps(schema_of(declared))))
    assert (rebuilt.get_schema(), rebuilt.strict_labels) == (declared.get_schema(), strict)
    assert [match_of(info) for info in rebuilt.model_fields.values()] == [
        match_of(info) for info in declared.model_fields.values()
    ]
    row = {name: data.draw(values_of(field)) for name, field in fields.items()}
    first, second = declared.model_validate(row), rebuilt.model_validate(row)
    assert first.get_json() == second.get_json()
    assert schema_of(rebuilt) == schema_of(declared)
    assert [cue(rebuilt, name) for name in fields] == [cue(declared, name) for name in fields]

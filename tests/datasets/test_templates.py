"""Templates: what goes in as text comes out as the same text, and every fault names its place."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.datasets.templates import RowTemplate, add_filter
from paretune.errors import DataError
from paretune.schemas.data_model import DataModel, Field


class Text(DataModel):
    text: str


class Anything(DataModel):
    value: Any


class Label(DataModel):
    label: Literal["sad", "glad"]


class Half(DataModel):
    share: float = Field(gt=0, lt=1)


def render(template: str, row: dict[str, Any], model: type[DataModel] = Text, **variables: Any) -> DataModel:
    return RowTemplate(template, model, kind="input", dataset="tweets", variables=variables).render(row, 7)


def error_of(template: str, row: dict[str, Any], model: type[DataModel] = Text, **variables: Any) -> str:
    with pytest.raises(DataError) as caught:
        render(template, row, model, **variables)
    return str(caught.value)


@given(st.text())
def test_any_text_survives(text: str) -> None:
    """Quotes, HTML, control and line-separator characters reach the data model unchanged."""
    assert render('{"text": {{ text | tojson }}}', {"text": text}).get_json() == {"text": text}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(_JSON)
def test_any_json_value_survives(value: Any) -> None:
    """Numbers, booleans, None, lists and mappings keep their value and their type."""
    result = render('{"value": {{ value | tojson }}}', {"value": value}, Anything).get_json()["value"]
    assert result == value
    assert type(result) is type(value)


def test_tojson_escapes_nothing_for_html() -> None:
    """The rendered bytes are plain JSON, so that prompts and files hold the text itself."""
    template = RowTemplate("{{ text | tojson }}", Text, kind="input", dataset="tweets")
    with pytest.raises(DataError, match="rendered: \"<a href='x'>é & ü</a>\""):
        template.render({"text": "<a href='x'>é & ü</a>"}, 0)


def test_an_undefined_name_is_named_with_what_there_is() -> None:
    """A misspelt column names the dataset, the row, the template, a suggestion and the columns."""
    message = error_of('{"text": {{ txt | tojson }}}', {"text": "a", "label": 1}, labels=["x"])
    assert "dataset 'tweets', row 7 (counted from 0), input template" in message
    assert "'txt' is undefined; did you mean 'text'?" in message
    assert "columns: text, label; variables: labels" in message


@pytest.mark.parametrize("template", ["{{ [missing] | tojson }}", "{{ row.missing }}", "{{ missing | length }}"])
def test_an_undefined_name_never_renders(template: str) -> None:
    """Undefined is an error wherever it stands, also inside a list or a filter."""
    assert "missing" in error_of(template, {"text": "a"})


def test_text_without_tojson_shows_what_was_rendered() -> None:
    """A quote that breaks the JSON gives the rendered text and the cure."""
    message = error_of('{"text": "{{ text }}"}', {"text": 'say "hi"'})
    assert "not JSON" in message
    assert "tojson" in message
    assert 'rendered: {"text": "say "hi""}' in message


def test_long_rendered_text_is_shortened() -> None:
    """An error stays readable when the row is a whole book."""
    message = error_of('{"txt": {{ text | tojson }}}', {"text": "a" * 10_000})
    assert len(message) < 700
    assert "characters)" in message


def test_wrong_fields_are_all_named() -> None:
    """A missing and an unknown field are both said, each with its name."""
    message = error_of('{"txt": {{ text | tojson }}}', {"text": "a"})
    assert "text: missing" in message
    assert "txt: unknown field (known: text); did you mean 'text'?" in message


def test_a_value_outside_the_labels_names_field_and_choices() -> None:
    """A category says what it may be and what it was."""
    message = error_of('{"label": {{ label | tojson }}}', {"label": "happy"}, Label)
    assert "label: must be 'sad' or 'glad' (got 'happy')" in message


def test_both_bounds_are_said() -> None:
    """A number out of range names the whole range."""
    assert "share: must be > 0 and < 1 (got 1.5)" in error_of('{"share": 1.5}', {}, Half)


def test_variables_hide_a_column_that_row_still_has() -> None:
    """A declared name wins over a column of the same name, whatever the dataset brings."""
    template = '{"text": {{ (labels[0] ~ row.labels) | tojson }}}'
    assert render(template, {"labels": "column"}, labels=["declared "]).get_json() == {"text": "declared column"}


def test_a_column_whose_name_is_no_identifier() -> None:
    """``row`` reaches a column with a space in its name."""
    assert render('{"text": {{ row["my text"] | tojson }}}', {"my text": "a"}).get_json() == {"text": "a"}


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_number_out_of_range_is_no_label(label: int) -> None:
    """Minus one means unknown in many datasets; it must not become the last label."""
    assert "row 7" in error_of(
        '{"label": {{ labels[label] | tojson }}}', {"label": label}, Label, labels=["sad", "glad"]
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, b"bytes", object()])
def test_tojson_refuses_what_json_has_not(value: Any) -> None:
    """NaN, infinity and foreign objects are errors of the row, not text that looks like JSON."""
    assert "row 7" in error_of('{"value": {{ value | tojson }}}', {"value": value}, Anything)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_python_only_numbers_are_not_json(constant: str) -> None:
    """A constant that Python's parser would accept is refused like any other fault."""
    assert "not a JSON number" in error_of(f'{{"value": {constant}}}', {}, Anything)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ (text | attr('__class__')).__mro__ }}",
        "{{ tojson.__globals__ }}",
        "{{ row.__init__.__globals__ }}",
        "{{ '{0.__class__.__mro__}'.format(text) }}",
        "{{ labels.append(1) }}",
        "{% include 'x' %}",
        "{% for i in range(10**9) %}{% endfor %}",
    ],
)
def test_the_sandbox_holds(template: str) -> None:
    """A template reaches no Python internals, changes nothing, reads no files and does not run for ever."""
    assert "row 7" in error_of(template, {"text": "a"}, labels=["x"])


@pytest.mark.parametrize("template", ["{{ text", "{% for %}", "{{ text | nofilter }}"])
def test_a_template_that_does_not_compile(template: str) -> None:
    """A syntax error is found before any row is read, and names the template and its line."""
    with pytest.raises(DataError, match="dataset 'tweets', input template, line 1"):
        RowTemplate(template, Text, kind="input", dataset="tweets")


def test_an_expression_that_fails_shows_the_row() -> None:
    """An error inside an expression is an error of the row, with the values that caused it."""
    message = error_of('{"text": {{ text // 0 }}}', {"text": 3})
    assert "ZeroDivisionError" in message
    assert "row: {'text': 3}" in message


def test_a_filter_that_a_dataset_adds() -> None:
    """Every template knows it from then on, and its own errors get their place in the dataset."""

    def hours(text: str) -> int:
        if not text.endswith("h"):
            raise DataError(f"not a number of hours: {text!r}")
        return int(text[:-1])

    with pytest.raises(DataError, match="No filter named 'hours'"):
        render('{"value": {{ time | hours }}}', {"time": "3h"}, Anything)
    add_filter("hours", hours)
    assert render('{"value": {{ time | hours }}}', {"time": "3h"}, Anything) == Anything(value=3)
    message = error_of('{"value": {{ time | hours }}}', {"time": "3 min"}, Anything)
    assert "row 7" in message and "not a number of hours: '3 min'" in message


def test_a_gold_answer_without_a_number_names_the_row() -> None:
    """The gsm8k filter's own error gets its place in the dataset."""
    message = error_of('{"value": {{ answer | gsm8k_answer }}}', {"answer": "no mark"}, Anything)
    assert "row 7" in message
    assert "'####'" in message

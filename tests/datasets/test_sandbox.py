"""Templates: each ends soon, small, and with an error that names its place."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.datasets import sandbox
from paretune.datasets.templates import RowTemplate
from paretune.errors import DataError
from paretune.schemas.data_model import DataModel


class Anything(DataModel):
    value: Any


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def error_of(template: str, row: dict[str, Any] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        RowTemplate(template, Anything, kind="input", dataset="tweets").render(row or {"text": "a b"}, 7)
    message = str(caught.value)
    assert message.startswith("dataset 'tweets', ") and len(message) < 1000
    return message


DOUBLINGS = {
    "text": "{% set x = 'ab' %}" + "{% set x = x ~ x %}" * 40,
    "list": "{% set x = [1] %}" + "{% set x = x + x %}" * 40,
    "nested list": "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40,
    "nested tuple": "{% set x = (1,) %}" + "{% set x = (x, x) %}" * 40,
    "nested mapping": "{% set x = {} %}" + "{% set x = {'a': x, 'b': x} %}" * 40,
    "namespace": "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "macro": "{% macro m(n) %}ab{{ m(n - 1) if n }}{{ m(n - 1) if n }}{% endmacro %}{{ m(60) }}",
    "block": "{% set x %}{% for i in range(100000) %}" + "z" * 10_000 + "{% endfor %}{% endset %}",
}


@pytest.mark.parametrize("template", DOUBLINGS.values(), ids=DOUBLINGS)
def test_what_doubles_ends(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values made of others, again and again, are counted as often as they would be written."""
    monkeypatch.setattr(sandbox, "ALLOWANCE", 1_000_000)
    assert "the template makes more than 1,000,000 characters" in error_of(template)


@pytest.mark.parametrize(
    "expression",
    [
        "'x' * 10**10",
        "'x' * 10000000000",
        "[1] * 10**10",
        "'%1000000000d' % 1",
        "'%*d' % (10**10, 1)",
        "'%.1000000000f' % 1.5",
        "'%1000000000d' | format(1)",
        "'{:>10000000000}'.format(1)",
        "'{:>{w}}'.format(1, w=10**10)",
        "'{a:10000000000}'.format_map({'a': 1})",
        "'x' | center(10000000000)",
        "'x'.ljust(10000000000)",
        "'x'.zfill(10000000000)",
        "'\t'.expandtabs(10**10)",
        "(1).to_bytes(10**10, 'big')",
        "[1] | batch(10000000000, 'x') | list",
        "[1] | slice(10000000000) | list",
        "('\n' * 100000) | indent(100000)",
        "('x' * 100000) | replace('x', 'y' * 100000)",
        "('x' * 100000).replace('x', 'y' * 100000)",
        "('x' * 100000).translate({120: 'y' * 100000})",
        "('a ' * 100000) | wordwrap(1, wrapstring='x' * 100000)",
        "range(100000) | join('x' * 100000)",
        "('x' * 100000).join(range(100000) | map('string') | list)",
        "range(100000) | map('center', 100000) | join",
    ],
)
def test_one_large_step_is_refused_before_it_is_made(expression: str) -> None:
    """Widths, repetitions, separators: nothing is allocated first, neither when rendering nor when compiling."""
    tracemalloc.start()
    try:
        message = error_of(f"{{{{ {expression} }}}}")
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert "the template makes more than" in message


@pytest.mark.parametrize(
    "expression",
    ["10**5000", "10**(10**10)", "(10**4000) * (10**4000)", "1 | round(10000000, 'ceil')", "'9' * 5000 | int"],
)
def test_no_integer_is_too_long_to_be_written(expression: str) -> None:
    """Python writes no integer of more than 4,300 digits; none is made, and none is read."""
    assert any(word in error_of(f"{{{{ {expression} }}}}") for word in ("4,300 digits", "400 decimals", "4300 digits"))


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) if false %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{{ range(100000) | sum }}{% endfor %}",
        "{% for a in range(100000) %}{% if range(100000) | max %}{% endif %}{% endfor %}",
        "{% macro m(n) %}{{ m(n - 1) if n }}{{ m(n - 1) if n }}{% endmacro %}{{ m(100) }}",
    ],
)
def test_what_takes_long_is_stopped(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is looked at by every operation and in every round of a loop."""
    monkeypatch.setattr(sandbox, "SECONDS", 0.2)
    started = time.monotonic()
    assert "the template takes more than 0.2 s" in error_of(template)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 200 + "1" + ")" * 200 + " }}",
        "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
        "{{ " + "-" * 10_000 + "1 }}",
        "{{ text" + " | upper" * 2_000 + " }}",
        "{% if 1 %}" * 150 + "{% endif %}" * 150,
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{{ deep }}",
        "{{ deep | tojson }}",
        "{{ '%s' % deep }}",
        '{"value": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_what_is_nested_too_deeply_says_so(template: str) -> None:
    """In the template, in the row or in what was rendered."""
    assert "nested too deeply" in error_of(template, {"text": "a", "deep": nested(100_000)})


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ text | truncate(1) }}", "AssertionError: expected length >= 3, got 1"),
        ("{{ cycler() }}", "RuntimeError: at least one item has to be provided"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{{ text | random }}", "No filter named 'random'"),
        ("{{ text.encode('utf-16').decode('ascii') }}", "UnicodeDecodeError"),
        ("{% extends 'a' %}", "no loader"),
        ('{"value": 1e999}', "'1e999' is too large for a number"),
    ],
)
def test_whatever_a_template_raises_is_an_error_of_its_row(template: str, reason: str) -> None:
    """No exception of Jinja or of Python's own passes through."""
    assert reason in error_of(template)


ORDINARY = [
    "{% set prompt %}Q: {{ text }}\nA: {{ n }}{% endset %}{{ prompt | tojson }}",
    "{% for w in text.split() %}{{ loop.index }}/{{ loop.length }} {{ w | upper }}{{ ',' if loop.first }}{% endfor %}",
    "{% for a, b in [(1, text), (n, 'x')] %}{{ a }}{{ b }}{% endfor %}",
    "{% macro m(a, b=2) %}<{{ a }}{{ b }}>{% endmacro %}{{ m(n) }}{% macro c() %}({{ caller() }}){% endmacro %}"
    "{% call c() %}{{ text }}{% endcall %}",
    "{{ [n, n + 1] | map('string') | join('-') }} {{ items | batch(2) | list }} {{ items | sum }} {{ items[1:] }}",
    "{{ '%05.1f|%s' % (n, text) }} {{ '{:>8}|{a}'.format(n, a=text) }} {{ text | center(20) | replace('a', 'bb') }}",
    "{{ {'a': n, 'b': [text]} }} {{ text ~ n ~ none }} {{ n * 2 ** 3 % 5 }} {{ 'ab' * 3 }} {{ text | default('z') }}",
    "{{ items | selectattr(0) | list if nothing is defined else 'undefined' }} {{ 'a' in text }} {{ n == 3 }}",
    "{% for i in items recursive %}{{ i }}{{ loop([]) }}{% endfor %}{% filter upper %}{{ text }}{% endfilter %}",
    "{% set n = namespace(sum=0) %}{% for i in items %}{% set n.sum = n.sum + i %}{% endfor %}{{ n.sum }}",
]


@given(text=st.text(max_size=20), n=st.integers(), items=st.lists(st.integers(), max_size=5))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("template", ORDINARY)
def test_ordinary_templates_render_as_in_jinja(template: str, text: str, n: int, items: list[int]) -> None:
    """What is counted does not change what is rendered."""
    row = {"text": text, "n": n, "items": items}
    ours = sandbox.RowEnvironment()
    plain = jinja2.Environment(undefined=jinja2.StrictUndefined)
    plain.filters["tojson"] = ours.filters["tojson"]
    assert ours.render(ours.template(template), row) == plain.from_string(template).render(row)


DEEP = nested(2_000)
_WORDS = (
    "text n items deep 0 1 -1 10**9 'x' [] {} () , . | ~ + - * ** / // % == in not and or if else ( ) [ ] : range dict "
    "center indent batch join map tojson format list sum sort round namespace cycler joiner 'a'*9 {% %} {{ }} for set "
    "endfor endset macro endmacro call m( i loop"
)


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=15).map(" ".join))
@settings(max_examples=200, deadline=None)
def test_any_template_renders_or_is_refused(inside: str) -> None:
    """Random rows of Jinja's words: a data model or a DataError."""
    for template in (f"{{{{ {inside} }}}}", f"{{% {inside}", inside):
        row = {"text": "a b", "n": 3, "items": [1, 2], "deep": DEEP}
        try:
            RowTemplate(template, Anything, kind="input", dataset="tweets").render(row, 0)
        except DataError as error:
            assert str(error).startswith("dataset 'tweets', ")

"""The Jinja of rows: a sandbox in which no template takes more than its share of time and memory.

Every value is charged to the row's allowance when it is born, by its characters and items, and what may grow by a
product (a width, a repetition, a separator) before it is made. So each operation is small, and the clock, which every
operation looks at, stops the sum of them.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Template, nodes, pass_context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from paretune.errors import DataError

__all__ = ["RowEnvironment"]

#: What one row's template may make, in characters, all intermediate results together; an item counts as ten.
ALLOWANCE = 20_000_000
_ITEM = 10
SECONDS = 5.0
#: Python itself writes no longer integer as text: 4,300 digits.
_INTEGER_BITS = 14_000
#: What may be made in one step before its size is known.
_STEP = 100_000_000
#: Filters and methods whose result can be a multiple of what they are given.
_GROWING = frozenset(
    (
        *("batch", "center", "expandtabs", "indent", "join", "ljust", "replace", "rjust"),
        *("slice", "to_bytes", "translate", "wordwrap", "xmlattr", "zfill"),
    )
)
_FORMATS = frozenset({"format", "format_map"})
#: Random without a seed, so that no two runs have the same rows; and a regular expression that takes quadratic time.
_REMOVED = ("random", "urlize")


class _Allowance(threading.local):
    """What is left for the row that this thread renders."""

    left = 0
    until = 0.0

    def renew(self) -> None:
        self.left, self.until = ALLOWANCE, time.monotonic() + SECONDS

    def charge(self, value: Any) -> Any:
        """Charge for a value; return it. Lists are walked, so that one that holds another twice counts it twice."""
        if time.monotonic() > self.until:
            raise DataError(f"the template takes more than {SECONDS:g} s for one row; make its loops shorter")
        if isinstance(value, str):
            self._take(1 + len(value))
            return value
        if isinstance(value, Iterator):
            return map(self.charge, value)
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str | bytes):
                self._take(1 + len(one))
                continue
            self._take(_ITEM)
            if isinstance(one, Mapping):
                waiting += one.keys()
                waiting += one.values()
            elif isinstance(one, list | tuple | set | frozenset):
                waiting += one
            elif isinstance(one, int) and one.bit_length() > _INTEGER_BITS:
                raise DataError("the template makes an integer of more than 4,300 digits")
        return value

    def _take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            _too_large(ALLOWANCE)


_allowance = _Allowance()


class RowEnvironment(ImmutableSandboxedEnvironment):
    """Strict, sandboxed, and with an allowance a row; ``template`` and ``render`` are the way in."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, finalize=_allowance.charge)
        del self.globals["lipsum"]
        kept = {name: function for name, function in self.filters.items() if name not in _REMOVED}
        self.filters = {name: _guarded(name, function) for name, function in kept.items()}
        self.filters |= {"_charge": _charge, "_concatenate": _concatenate}

    def template(self, text: str) -> Template:
        """``text`` compiled. Raises Jinja's errors, and whatever Python raises for a text that it cannot compile."""
        _allowance.renew()
        return self.from_string(_Charging().visit(self.parse(text)))

    def render(self, template: Template, variables: Mapping[str, Any]) -> str:
        """The text of one row. Raises DataError where the allowance is spent, and whatever the template raises."""
        _allowance.renew()
        return template.render(variables)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """One of the operators whose result may be larger than both sides."""
        if operator == "%" and isinstance(left, str | bytes):
            _check_format(left, right if isinstance(right, tuple) else (right,))
        elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _INTEGER_BITS:
                raise DataError(f"the template makes an integer of more than 4,300 digits ({operator})")
        elif operator == "*":
            _check_growth((left, right))
        return _allowance.charge(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A function, a method or a macro."""
        _check(getattr(__obj, "__name__", ""), (getattr(__obj, "__self__", None), *args, *kwargs.values()))
        return _allowance.charge(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """``str.format``, whose wrapper hides the text that it formats from ``call``."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            _check_format(value.__self__, (*args, *kwargs.values()))
            return wrapped(*args, **kwargs)

        return checked


class _Charging(NodeTransformer):
    """Makes a template charge for what it repeats: the text in loops and macros, lists and texts made of others."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        return self._charged_body(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._charged_body(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._charged_body(node)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._charged_value(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        return self._charged_value(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._charged_value(node) if node.ctx == "load" else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filter(_filter(nodes.List(node.nodes), "_charge"), "_concatenate", node.lineno)

    def _charged_body(self, node: Any) -> nodes.Node:
        text = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filter(nodes.Const("x" * text), "_charge", node.lineno)))
        return node  # type: ignore[no-any-return]

    def _charged_value(self, node: nodes.Node) -> nodes.Node:
        repeats = node.find(nodes.Name) is not None
        self.generic_visit(node)
        return _filter(node, "_charge", node.lineno) if repeats else node


def _filter(node: nodes.Node, name: str, line: int | None = None) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=line)


@pass_context  # so that Jinja does not compute it beforehand
def _charge(context: Any, value: Any) -> Any:
    return _allowance.charge(value)


def _concatenate(parts: Iterable[Any]) -> str:
    return "".join(map(str, parts))


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)  # with the marks by which Jinja knows which functions take its context
    def guarded(*args: Any, **kwargs: Any) -> Any:
        _check(name, (*args, *kwargs.values()))
        return _allowance.charge(function(*args, **kwargs))

    return guarded


def _check(name: str, arguments: tuple[Any, ...]) -> None:
    if name in _GROWING:
        _check_growth(arguments)
    elif name == "round" and any(isinstance(one, int) and abs(one) > 400 for one in arguments[1:]):
        raise DataError("round takes at most 400 decimals")  # it makes 10 to the power of them; floats have fewer
    elif name in _FORMATS:
        text, *rest = [one for one in arguments if one is not None] or [""]
        _check_format(text, rest)


def _check_growth(arguments: Iterable[Any]) -> None:
    """A result may be as large as the product of what it is made of: texts, lists, widths and counts."""
    product = 1
    for one in arguments:
        product *= max(1, abs(one) if isinstance(one, int) else _size(one))
        if product > _STEP:
            _too_large(_STEP)


def _check_format(text: Any, arguments: Iterable[Any]) -> None:
    """A field is as wide as the number in the format says, or as an argument says (``*``, nested braces) or is."""
    text = str(text)
    widths = [int(digits[:12]) for digits in re.findall(r"\d+", text)]
    if "*" in text or re.search(r"\{[^{}]*\{", text):
        widths += [abs(one) for one in arguments if isinstance(one, int)]
    fields = text.count("%") + text.count("{")
    if fields * (max(widths, default=0) + sum(map(_size, arguments))) > _STEP:
        _too_large(_STEP)


def _size(value: Any) -> int:
    """Characters of all texts in a value, and their number."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_size(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return sum(1 + _size(one) for one in value)
    return len(value) if isinstance(value, range) else 1


def _too_large(limit: int) -> NoReturn:
    raise DataError(
        f"the template makes more than {limit:,} characters or items of one row (a loop, a width, a count?)"
    )

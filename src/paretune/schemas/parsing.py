"""Reading a reply: from the text of a language model to a validated record, or None."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from paretune.schemas.spelling import respelt

__all__ = ["ends_in_thought", "parse_json", "without_thoughts"]

Model = TypeVar("Model", bound=BaseModel)

_OPEN = r"<(?:think|thinking|thought|reasoning)>|\[THINK\]"
_CLOSE = _OPEN.replace("<(", "</(").replace(r"\[", r"\[/")
_TAG = re.compile(rf"(?P<open>{_OPEN})|(?P<close>{_CLOSE})", re.IGNORECASE)
_TAG_OR_OBJECT = re.compile(rf"{_TAG.pattern}|\{{", re.IGNORECASE)
_ESCAPE = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')
#: Characters that are first looked at for an object, and of the longest word of JSON or escape that a cut may split.
_SHORT, _LONGEST_WORD = 512, 12
_THOUGHT = re.compile(rf"^[^\S\n]*(?:{_OPEN}).*?(?:{_CLOSE}|\Z)", re.IGNORECASE | re.MULTILINE | re.DOTALL)


def parse_json(text: str, model: type[Model]) -> Model | None:
    """The record in a reply that should be JSON; None when there is none that validates.

    Code fences and prose around the object are tolerated, and names, labels and numbers may be spelt as
    ``schemas.spelling`` says; a line break in a text may be one, and a backslash that begins no escape (LaTeX) stands
    for itself. What stands inside of a thought (``<think> … </think>``, or one that is never ended) is no answer. When
    several objects validate, the last one counts: models that think aloud put their final answer last. NaN and infinity
    are not JSON and do not validate. Half a character (one surrogate of a pair) becomes a question mark: no file could
    hold it.
    """
    found = _last_record(text, model)
    if found is None and "\\" in text:
        return _last_record(_ESCAPE.sub(_escaped, text), model)
    return found


def _last_record(text: str, model: type[Model]) -> Model | None:
    found: Model | None = None
    for value in _objects(text):
        found = None if value is None else _validated(value, model) or found
    return found


def _escaped(found: re.Match[str]) -> str:
    """A backslash as JSON has it: one that begins no escape is written twice."""
    return found[0] if found[1] else r"\\"


def ends_in_thought(text: str) -> bool:
    """Whether the last thought in a reply is never ended."""
    tags = [tag.lastgroup for tag in _TAG.finditer(text)]
    return tags[-1:] == ["open"]


def without_thoughts(text: str) -> str:
    """A reply in lines without its thoughts: those that begin on a line of their own, or whose begin stood in the
    prompt. One that is never ended goes on to the end of the reply."""
    first = _TAG.search(text)
    if first and first.lastgroup == "close":
        text = text[first.end() :]
    return _THOUGHT.sub("", text)


def _validated(value: Any, model: type[Model]) -> Model | None:
    with contextlib.suppress(ValidationError):
        return model.model_validate(value)
    with contextlib.suppress(ValidationError, RecursionError):
        reading = value if getattr(model, "strict_labels", False) else respelt(value, model)
        return model.model_validate_json(json.dumps(reading))  # by which a date is text in strict models, too
    return None


def _objects(text: str) -> Iterator[Any]:
    """Every outermost JSON object outside of thoughts, in order; None where all before turns out to be a thought."""
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_finite)
    place = 0
    while found := _TAG_OR_OBJECT.search(text, place):
        place = found.end()
        if found["close"]:
            yield None
        elif found["open"]:
            ended = re.compile(_CLOSE, re.IGNORECASE).search(text, place)
            if ended is None:
                return
            place = ended.end()
        else:
            try:
                value, place = _decoded(decoder, text, found.start())
            except RecursionError:  # nested deeper than any answer, and so is what follows
                return
            except ValueError:
                continue
            yield _writable(value)


def _decoded(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int]:
    """The object that starts at a place, and where it ends. Raises ValueError where none does.

    It is looked for in a short part of the text, then in longer ones: most of thousands of braces are none, and an
    error costs as much as the text before it is long.
    """
    size = _SHORT
    while True:
        part = text[start : start + size]
        try:
            value, length = decoder.raw_decode(part)
        except json.JSONDecodeError as error:
            cut = error.pos > len(part) - _LONGEST_WORD or error.msg.startswith("Unterminated")
            if not cut or start + size >= len(text):
                raise
            size *= 4
        else:
            return value, start + length


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _writable(value: Any) -> Any:
    """The value without lone surrogates, which JSON can spell and UTF-8 cannot."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_writable(item) for item in value]
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    return value

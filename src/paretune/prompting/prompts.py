"""From instructions, examples and an input to the messages of a request.

Prompts are short and the same bytes for the same content; instructions and examples come first, so that servers can
reuse the prefix, and the input comes last.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from paretune.lm.types import StructuredOutput
from paretune.schemas.data_model import DataModel
from paretune.schemas.text_form import FieldKind, cue, field_kind, grammar, render_text

__all__ = ["Example", "PromptWriter"]

#: ``{"input": {...}, "output": {...}}``
Example = Mapping[str, Any]

_YES_OR_NO = "yes or no"
#: Other fields have no text form (see ``schemas.text_form``).
_KINDS: dict[Any, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    date: "date, as 2024-05-31",
    datetime: "date and time, as 2024-05-31T14:00:00",
}


@dataclass(frozen=True)
class PromptWriter:
    """Writes the prompts of one generator."""

    input_model: type[DataModel]
    output_model: type[DataModel]
    structured_output: StructuredOutput

    @property
    def in_text(self) -> bool:
        """Whether records are written as ``Name: value`` lines instead of JSON."""
        return self.structured_output in ("text", "completion")

    @functools.cached_property
    def grammar(self) -> str | None:
        """The grammar of replies in text form (also a check that the output has one)."""
        continued = self.structured_output == "completion"
        return grammar(self.output_model, continued=continued) if self.in_text else None

    def stop(self) -> tuple[str, ...]:
        """Where a continued text ends: at the blank line before the next example."""
        return ("\n\n",) if self.structured_output == "completion" else ()

    def prefix(self, instructions: str, examples: Sequence[Example]) -> str:
        """Everything before the input: the instructions, what to reply, and the examples."""
        parts = [instructions.strip()]
        if self.structured_output == "text":
            parts.append("Reply in this form:\n" + self._form())
        if self.structured_output == "prompt":
            schema = json.dumps(self.output_model.get_schema(), ensure_ascii=False)
            parts.append(f"Reply with one JSON object that fits this JSON schema, and nothing else:\n{schema}")
        if examples and self.in_text:
            parts += [self._text_example(example) for example in examples]
        elif examples:
            lines = (json.dumps(self._in_field_order(example), ensure_ascii=False) for example in examples)
            parts.append("Examples:\n" + "\n".join(lines))
        return "\n\n".join(part for part in parts if part)

    def messages(self, prefix: str, record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """The messages of a request for one input record (plain JSON values)."""
        if not self.in_text:
            question = json.dumps(dict(record), ensure_ascii=False)
        else:
            question = render_text(record, self.input_model)
            question += "\n" + cue(self.output_model, next(iter(self.output_model.model_fields)))
        if self.structured_output == "completion":
            return (("prompt", f"{prefix}\n\n{question}" if prefix else question),)
        return (("system", prefix), ("user", question))

    def _form(self) -> str:
        """The fields to reply with, one a line: the literal's values, or the description, or what kind of value."""
        lines = []
        for name, info in self.output_model.model_fields.items():
            kind = field_kind(self.output_model, name)
            if kind.labels is not None and not kind.is_score:
                value = " | ".join(map(str, kind.labels))
            else:
                value = _YES_OR_NO if kind.type is bool else info.description or _in_words(kind)
            several = " (several: separated by ;)" if kind.many else ""
            lines.append(f"{cue(self.output_model, name)} <{value}{several}{' or none' if kind.may_be_none else ''}>")
        return "\n".join(lines)

    def _in_field_order(self, example: Example) -> dict[str, Any]:
        """An example whose keys stand as in the data models, whichever way it was stored."""
        order = {"input": list(self.input_model.model_fields), "output": list(self.output_model.model_fields)}
        return {
            part: {name: example[part][name] for name in sorted(example[part], key=_rank(names))}
            for part, names in order.items()
        }

    def _text_example(self, example: Example) -> str:
        question = render_text(example["input"], self.input_model)
        return question + "\n" + render_text(example["output"], self.output_model, reply=True)


def _in_words(kind: FieldKind) -> str:
    """What a field without a description holds."""
    return "a score from 0.0 to 1.0, in steps of 0.1" if kind.is_score else _KINDS.get(kind.type, "value")


def _rank(names: Sequence[str]) -> Callable[[str], tuple[int, str]]:
    """A sort key by the place in ``names``; what is not in it comes last."""
    return lambda name: (names.index(name) if name in names else len(names), name)

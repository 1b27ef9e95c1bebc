"""The task that a new project declares: what is asked, of which columns, and what the right answers are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretune.project.columns import Column, shown
from paretune.project.fields import field_names, input_field, of_row, output_field
from paretune.project.proposal import Proposal

__all__ = ["Declaration", "declare", "readable"]

#: With more classes a validation part of the few rows of `experiment=fast` could not hold each of them.
_MOST_STRATA = 10
#: The option of ``conf/layout/`` for each kind of answer.
_LAYOUTS = {"single": "categorical", "multi": "labels", "number": "fields", "text": "fields", "extract": "fields"}


@dataclass(frozen=True)
class Declaration:
    """Section ``task``, the option of ``conf/layout/``, and whether the validation part keeps the shares of classes."""

    task: dict[str, Any]
    layout: str
    stratify: bool


def declare(
    name: str,
    proposal: Proposal,
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str] = (),
    instructions: str | None = None,
) -> Declaration:
    """What is asked, as values of conf/; ``rows`` are all rows, ``labels`` those of a task that chooses among some."""
    fields = field_names(column.name for column in proposal.inputs)
    task: dict[str, Any] = {
        "name": name,
        "instructions": instructions or _instructions(proposal),
        "input": {
            "fields": {
                field: input_field(column, field) | _description(column, field)
                for column, field in zip(proposal.inputs, fields.values(), strict=True)
            }
        },
    }
    if proposal.kind in ("single", "multi"):
        task["labels"] = list(labels)
        if proposal.kind == "multi":
            task["labels_optional"] = True
        task["answer"] = "Labels" if len(proposal.targets) > 1 else _capital(readable(proposal.targets[0].name))
        task["target"] = _target(proposal)
    else:
        task["labels"] = []  # DVC wants every parameter to be there that a stage depends on
        task["output"] = {"fields": _outputs(proposal, rows)}
    stratify = proposal.kind == "single" and len(labels) <= _MOST_STRATA
    return Declaration(task, _LAYOUTS[proposal.kind], stratify)


def readable(name: str) -> str:
    """A column's name in words: ``ticketBody_text`` as ``ticket body text``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", name)
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words) or "value"


def _description(column: Column, field: str) -> dict[str, str]:
    """The column's name in words, where the field's does not say as much."""
    words = readable(column.name)
    return {} if words == field.replace("_", " ") else {"description": _capital(words)}


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _outputs(proposal: Proposal, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = field_names(column.name for column in proposal.targets)
    texts = [" ".join(shown(row[column.name]) for column in proposal.inputs).casefold() for row in rows]
    found = {}
    for column, field in zip(proposal.targets, names.values(), strict=True):
        values = [row[column.name] for row in rows]
        if proposal.kind == "number":
            declared: dict[str, Any] = {"type": "int" if column.kind == "whole number" else "float"}
        elif proposal.kind == "text":
            declared = {"type": "str", "match": "normalized"}
            if column.kind == "list":
                declared["accepted"], field = True, "answer"
        else:
            declared = output_field(column, field, values, texts)
        if column.name != field:
            declared["column"] = column.name
        found[field] = declared | _description(column, field)
    return found


def _instructions(proposal: Proposal) -> str:
    """What the model is told, as long as nobody has said it better."""
    inputs = _listed(readable(column.name) for column in proposal.inputs)
    targets = _listed(readable(column.name) for column in proposal.targets)
    if proposal.kind == "text" and proposal.targets[0].kind == "list":
        targets = "answer"
    return {
        "single": f"Choose the {targets} that fits the {inputs} best.",
        "multi": f"Name all labels that fit the {inputs}; there may be several, or none.",
        "number": f"Give the {targets} for the {inputs}, as a number.",
        "text": f"Give the {targets} for the {inputs}, as short as possible.",
        "extract": f"Read the {inputs} and give the {targets}; null for what is not there.",
    }[proposal.kind]


def _target(proposal: Proposal) -> str:
    """The Jinja expression of a row's label or labels."""
    if len(proposal.targets) > 1:
        return "row | where_true(labels)"
    (column,) = proposal.targets
    value = of_row(column.name)
    if proposal.separator:
        return f"{value} | split('{proposal.separator}')"
    return value if column.kind in ("text", "list", "date") else f"{value} if {value} is string else {value} | tojson"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

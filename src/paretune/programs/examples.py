"""The examples that a program is run on: one row of input records each, and the gold record of its first output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paretune.errors import UsageError
from paretune.schemas.data_model import DataModel, as_record

if TYPE_CHECKING:
    from paretune.programs.program import Program

__all__ = ["Examples", "Row", "as_arrays", "as_rows", "examples_of", "with_arrays"]

#: One input record for each input of the program.
Row = tuple[DataModel, ...]


@dataclass(frozen=True)
class Examples:
    """Rows of input records and their gold records, equally many and at least one."""

    rows: list[Row]
    gold: list[DataModel]

    @classmethod
    def of(cls, program: Program, x: Sequence[Any], y: Sequence[Any]) -> Examples:
        """The examples in the arguments of ``fit`` and ``evaluate``; raises UsageError when they do not fit."""
        rows, gold = as_rows(program, x), list(y)
        if gold and isinstance(gold[0], list | tuple):
            raise UsageError(
                f"y must be a sequence of records, the gold records of the first output (got a {type(gold[0]).__name__}"
                " in it); to score several outputs, combine them: outputs=a + b"
            )
        if len(rows) != len(gold) or not rows:
            raise UsageError(f"x and y must be equally many, and some (got {len(rows)} and {len(gold)})")
        return cls(rows, _records("y", gold, program.gold_model))

    def __len__(self) -> int:
        return len(self.rows)

    def split(self, validation_split: float) -> tuple[Examples, Examples]:
        """The first examples, to train on, and the last share of them (at least one), to validate on."""
        cut = len(self) - max(1, round(len(self) * validation_split))
        if not 0 < validation_split < 1 or cut < 1:
            raise UsageError(f"validation_split must leave examples on both sides (got {validation_split})")
        return Examples(self.rows[:cut], self.gold[:cut]), Examples(self.rows[cut:], self.gold[cut:])


def as_arrays(x: Any, y: Any = None) -> tuple[Any, Any]:
    """The ``x`` and ``y`` of ``fit`` and ``evaluate``: a dataset in the place of ``x`` (what has ``materialize()``)
    brings its own ``y``. Raises UsageError when there is no ``y``, or one too many."""
    if not hasattr(x, "materialize"):
        if y is None:
            raise UsageError("y, the gold records, is missing: give x and y, or a dataset that has both as x")
        return x, y
    if y is not None:
        raise UsageError(f"{x!r} has gold records of its own: give no y beside it")
    columns = x.materialize()
    if len(columns) != 2:
        raise UsageError(f"{x!r} has no gold records: give it an output_data_model and an output_template")
    return columns[0], columns[1]


def with_arrays(fit: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``fit`` with arrays in the place of datasets; one of these tells the batch size that is not
    given."""
    x, y = as_arrays(fit["x"], fit.get("y"))
    given = fit.get("validation_data")
    own = {"validation_data": as_arrays(given)} if hasattr(given, "materialize") else {}
    if fit.get("batch_size") is None and (size := getattr(fit["x"], "batch_size", None)) is not None:
        own["batch_size"] = size
    return {**fit, "x": x, "y": y, **own}


def examples_of(program: Program, fit: Mapping[str, Any]) -> tuple[Examples, Examples | None]:
    """The training and the validation examples in the arguments of ``fit`` (arrays: see ``with_arrays``)."""
    examples = Examples.of(program, fit["x"], fit["y"])
    if fit.get("validation_data") is not None:
        return examples, Examples.of(program, *fit["validation_data"])
    share = fit.get("validation_split")
    return examples.split(share) if share else (examples, None)


def as_rows(program: Program, x: Sequence[Any]) -> list[Row]:
    """One tuple of input records an example: ``x`` is a sequence of records or, where the program has several inputs,
    a list of one such sequence for each."""
    wanted = len(program.inputs)
    columns = [x] if wanted == 1 else list(x)
    lengths = {len(column) if hasattr(column, "__len__") else -1 for column in columns}
    if len(columns) != wanted or len(lengths) != 1 or -1 in lengths:
        raise UsageError(
            f"{program.name} has {wanted} inputs: x must be a list of {wanted} equally long sequences of records"
        )
    pairs = zip(columns, program.inputs, strict=True)
    return list(zip(*(_records("x", column, symbol.data_model) for column, symbol in pairs), strict=True))


def _records(name: str, values: Sequence[Any], model: type[DataModel]) -> list[DataModel]:
    """Every value as a record (mappings that validate are taken). Raises UsageError, which names the first misfit."""
    records = [as_record(value, model, f"{name}[{place}]") for place, value in enumerate(values)]
    if None in records:
        raise UsageError(f"{name}[{records.index(None)}] must be a record of {model.__name__!r} (got None)")
    return records

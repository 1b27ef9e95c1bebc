"""What ``paretune init`` finds in a file, proposes, and asks where it cannot tell."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.commands.text_table import Column as TextColumn
from paretune.commands.text_table import table_lines, width
from paretune.datasets.huggingface import read_rows
from paretune.errors import DataError, UsageError
from paretune.project.columns import Column, measured, shown, tidy_rows
from paretune.project.declaration import Declaration, declare
from paretune.project.proposal import KINDS, Proposal, input_columns, kind_of_targets, named, target_candidates
from paretune.project.rows import LEAST_ROWS, cut, labels_of, prepared, shuffled, spell_alike
from paretune.stats.formulas import detectable_difference
from paretune.terminal import plain
from paretune.wording import compact, shortened

__all__ = ["Dialog"]

Row = dict[str, Any]
_DELIMITERS = (";", "\t", "|")
#: On what share of the test examples two programs may differ in being right; what a test can show depends on it.
_DIFFERING = (0.1, 0.3)
_SHOWN_LABELS = 12


class Dialog:
    """From the options of the command to what the project declares and its rows; asks only where ``asking``."""

    def __init__(self, options: argparse.Namespace, asking: bool) -> None:
        self._options, self._asking = options, asking

    def agreed(self, name: str) -> tuple[Declaration, dict[str, list[Row]]]:
        """What is asked, and the rows of both splits. Raises UsageError, DataError."""
        options = self._options
        if options.data is None:
            if not self._asking:
                raise UsageError("which file holds the examples? name it: --data rows.csv")
            options.data = Path(self._ask("file of examples", ""))
        rows = self._read(options.data)
        tests = [] if options.test is None else self._read(options.test)
        columns = measured(rows)
        _tell_columns(options.data, columns)
        proposal = self._proposal(columns)
        self._check_test(tests, proposal)
        kept, labels = self._kept(rows, tests, proposal)
        instructions = options.instructions
        declaration = declare(name, proposal, [*rows, *tests], labels, instructions)
        if self._asking and instructions is None:
            said = self._ask("instructions to the model", declaration.task["instructions"])
            declaration = declare(name, proposal, [*rows, *tests], labels, said)
        splits = self._splits(kept, proposal)
        _tell_difference(len(splits["test"]))
        if self._asking and self._ask("make the project?", "yes").lower() not in ("y", "yes"):
            raise UsageError("nothing was made")
        return declaration, splits

    def _read(self, path: Path) -> list[Row]:
        """All rows of a file, tidied; the delimiter of a .csv file is found where it is a usual one."""
        given: str | None = self._options.delimiter
        if not path.is_file():
            raise DataError(f"no such file: {str(path)!r}")
        try:
            return tidy_rows(list(read_rows(path, self._options.sheet, given)), str(path))
        except DataError:
            if given is not None or ".csv" not in path.name.lower():
                raise
            for delimiter in _DELIMITERS:
                try:
                    rows = list(read_rows(path, "train", delimiter))
                except DataError:
                    continue
                if len(rows[0]) > 1:
                    return tidy_rows(rows, str(path))
            raise

    def _proposal(self, columns: Sequence[Column]) -> Proposal:
        options = self._options
        named_inputs = named(options.input or (), columns, "--input")
        targets = named(options.target or (), columns, "--target") or self._target(
            [column for column in columns if column not in named_inputs]
        )
        if both := [column.name for column in targets if column in named_inputs]:
            raise UsageError(f"{', '.join(map(repr, both))}: the right answer cannot be an input as well")
        if empty := [column.name for column in targets if not column.counts]:
            raise DataError(f"{', '.join(map(repr, empty))}: no row has a right answer")
        kind, separator = kind_of_targets(targets)
        kind, separator = self._kind(targets, kind, separator)
        inputs = named_inputs or input_columns(columns, targets)
        proposal = Proposal(kind, inputs, targets, separator)
        left_out = [column.name for column in columns if column not in (*inputs, *targets)]
        _tell("task", f"{KINDS[kind]}: {_names(targets)}, from {_names(inputs)}")
        if left_out:
            _tell("", f"not used: {plain(', '.join(left_out))} (--input names the columns to use)")
        return proposal

    def _target(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        found = target_candidates(columns)
        if len(found) == 1:
            return (found[0],)
        names = [column.name for column in found or columns]
        if not self._asking:
            raise UsageError(
                f"which column holds the right answer? name it (several: typed fields): --target COL\n"
                f"  perhaps one of: {', '.join(names)}"
            )
        said = self._ask("the right answer is in column (several with commas)", names[0] if names else "")
        return named([part.strip() for part in said.split(",")] if said not in names else [said], columns, "--target")

    def _kind(self, targets: Sequence[Column], kind: str, separator: str | None) -> tuple[str, str | None]:
        """The kind that was asked for, where it fits the columns, else the one proposed."""
        wanted = self._options.kind
        if wanted is None and self._asking:
            wanted = self._ask(f"kind of answer ({', '.join(KINDS)})", kind)
            if wanted not in KINDS:
                raise UsageError(f"kind of answer: must be one of {', '.join(KINDS)} (got {wanted!r})")
        if wanted in (None, kind):
            return kind, separator
        (first, *others) = targets
        if others and wanted != "extract":
            raise UsageError(f"--kind {wanted} is of one column, not of {len(targets)} ({_names(targets)})")
        if wanted == "number" and first.kind not in ("number", "whole number"):
            raise DataError(f"{first.name!r}: not all values are numbers (it has {', '.join(first.examples)})")
        if wanted == "multi" and first.kind != "list" and not others and separator is None:
            raise DataError(
                f"{first.name!r}: no lists, and no separator of labels is seen (it has {', '.join(first.examples)})"
            )
        if wanted == "single" and (first.kind in ("list", "record") or len(first.counts) > max(2, first.filled / 2)):
            raise DataError(
                f"{first.name!r}: {len(first.counts)} different values in {first.filled} rows are no labels to choose "
                f"among; try --kind text"
            )
        return wanted, separator if wanted == "multi" else None

    def _check_test(self, tests: Sequence[Row], proposal: Proposal) -> None:
        """Both files have the columns that are used."""
        if tests and (lost := [one.name for one in (*proposal.inputs, *proposal.targets) if one.name not in tests[0]]):
            raise DataError(f"{str(self._options.test)!r} has no column {', '.join(map(repr, lost))}")

    def _kept(
        self, rows: Sequence[Row], tests: Sequence[Row], proposal: Proposal
    ) -> tuple[dict[str, list[Row]], list[str]]:
        """The rows that are used, by file, and the labels, the most frequent first."""
        kept: dict[str, list[Row]] = {}
        if proposal.kind == "single":
            for note in spell_alike([*rows, *tests], proposal.targets[0].name):
                _tell("rows", plain(note))
        for split, part in (("train", rows), ("test", tests)):
            done = prepared(part, proposal)
            kept[split] = done.rows
            for note in done.notes:
                _tell("rows", plain(note))
        kept["train"] = self._without_tested(kept["train"], kept["test"], proposal)
        if len(kept["train"]) < LEAST_ROWS:
            raise DataError(
                f"{str(self._options.data)!r}: {LEAST_ROWS} rows with a right answer are needed at least, to take "
                f"examples from, to choose by, and to test (there are {len(kept['train'])})"
            )
        if proposal.kind not in ("single", "multi"):
            return kept, []
        counts = labels_of(kept["train"], proposal)
        unknown = labels_of(kept["test"], proposal).keys() - counts.keys() if kept["test"] else set()
        _tell_labels(counts)
        if unknown:
            _tell("", f"warning: in the test alone: {plain(', '.join(sorted(unknown)))}")
        return kept, [*counts, *sorted(unknown)]

    def _without_tested(self, rows: Sequence[Row], tests: Sequence[Row], proposal: Proposal) -> list[Row]:
        """The rows that are not in the test as well."""
        names = [one.name for one in (*proposal.inputs, *proposal.targets)]
        tested = {shown([row[name] for name in names]) for row in tests}
        left = [row for row in rows if shown([row[name] for name in names]) not in tested]
        if both := len(rows) - len(left):
            where = f"{self._options.data} are in {self._options.test}"
            _tell("rows", f"{both} rows of {where} as well: used in the test alone")
        return left

    def _splits(self, kept: Mapping[str, list[Row]], proposal: Proposal) -> dict[str, list[Row]]:
        options = self._options
        if kept["test"]:
            splits = {split: shuffled(rows, options.seed) for split, rows in kept.items()}
            how = f"all of {options.test}"
        else:
            names = [column.name for column in proposal.targets]
            classes = [
                shown([row[name] for name in names]) if proposal.kind == "single" else "" for row in kept["train"]
            ]
            train, test, stratified = cut(kept["train"], classes, options.test_share, options.seed)
            splits = {"train": train, "test": test}
            same = " with the share of each label kept," if stratified and proposal.kind == "single" else ""
            how = f"drawn once,{same} seed {options.seed}"
        _tell(
            "split", f"{len(splits['train']):,} rows to search with, {len(splits['test']):,} to test the winner ({how})"
        )
        return splits

    def _ask(self, question: str, proposed: str) -> str:
        said = input(f"{question}{f' [{proposed}]' if proposed else ''}: ").strip()
        return said or proposed


def _tell(what: str, text: str) -> None:
    print(f"{what:<11} {text}")


def _names(columns: Sequence[Column]) -> str:
    return plain(", ".join(column.name for column in columns))


def _tell_columns(path: Path, columns: Sequence[Column]) -> None:
    _tell("file", f"{path}: {columns[0].rows:,} rows")
    heads = [TextColumn("column", least=12), TextColumn("holds"), TextColumn("different", right=True)]
    heads += [TextColumn("missing", right=True), TextColumn("most often", least=20)]
    cells = [
        [one.name, one.kind, f"{len(one.counts):,}", f"{one.missing:,}", " · ".join(one.examples)] for one in columns
    ]
    print(*(f"  {line}" for line in table_lines(heads, cells, min(width(), 160) - 2)), sep="\n")


def _tell_labels(counts: Counter[str]) -> None:
    most = counts.most_common(_SHOWN_LABELS)
    rest = f", and {len(counts) - len(most)} more" if len(counts) > len(most) else ""
    _tell("labels", plain(", ".join(f"{shortened(label)} {count}" for label, count in most)) + rest)
    if rare := [label for label, count in counts.items() if count < 4]:
        _tell("", f"warning: fewer than 4 rows: {plain(shortened(', '.join(rare)))}; little can be learnt about them")


def _tell_difference(n: int) -> None:
    """What so many test examples can show, as ``paretune estimate`` has it."""
    known = [
        compact(100 * each)
        for each in (detectable_difference(n, share) for share in _DIFFERING)
        if not math.isnan(each)
    ]
    shows = f"a gain of {' – '.join(known)} points" if known else "no gain of one configuration over another: too few"
    _tell("", f"{n} test rows show {shows} (power 80 %)")

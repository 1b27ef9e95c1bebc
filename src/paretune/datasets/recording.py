"""A file of questions and recorded replies, for models ``recorded/NAME``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paretune.datasets.conversions import as_float
from paretune.datasets.plain_rows import plain_rows
from paretune.datasets.rows import Row
from paretune.errors import ConfigError, DataError
from paretune.lm.backends.recorded import PREFIX, Recorded
from paretune.schemas.faults import did_you_mean
from paretune.wording import shortened

__all__ = ["Recording"]

_MODEL = "{model}"


class Recording:
    """The replies of several models, read from a table in one of three forms.

    * One row a question, and a column a model: ``reply="answer_{model}"``. The models are all those for which there is
      such a column, or those that ``models`` lists (needed for ``reply="{model}"``).
    * One row a question, and a column that holds the replies by model: ``reply="replies"``.
    * One row a reply: ``model`` names the column that says whose it is, ``reply`` that of the reply.

    Parameters
    ----------
    source
        A file of any kind that is read (see ``HuggingFaceDataset``), or a folder of such files.
    key
        The column that replies are looked up by: the question, or an id.
    field
        The field of the program's input that holds the same; None: the only one.
    prompt_tokens, completion_tokens, cost_usd, latency_s
        What a call took, as columns like that of the replies; None: not recorded, and so not known.
    tokens_per_character
        Where tokens are not recorded: estimate them so, 0.25 for English; None: they stay unknown.
    delimiter
        Of a CSV file.

    Rows of one key are replies of one question, drawn by its replicates in this order. A cell without a reply is one
    that was not recorded. Raises DataError for a file that cannot be read or a number that is none, ConfigError for a
    column that is not there.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        key: str = "question",
        field: str | None = None,
        reply: str = "replies",
        model: str | None = None,
        models: Sequence[str] | None = None,
        prompt_tokens: str | None = None,
        completion_tokens: str | None = None,
        cost_usd: str | None = None,
        latency_s: str | None = None,
        tokens_per_character: float | None = None,
        delimiter: str | None = None,
    ) -> None:
        self.source, self.field = str(source), field
        self._key, self._reply, self._model = key, reply, model
        self._tokens = (prompt_tokens, completion_tokens)
        self._cost_usd, self._latency_s, self._per_character = cost_usd, latency_s, tokens_per_character
        self._replies: dict[str, dict[str, list[Recorded]]] = {}
        only = None if models is None else set(models)
        for number, row in enumerate(plain_rows(source, delimiter=delimiter), start=1):
            self._check_columns(row)
            for name in self._models_of(row, number, models):
                if only is None or name in only:
                    self._add(row, name, number)
        if models is not None and (absent := [name for name in models if name not in self._replies]):
            raise ConfigError(f"{self.source!r} has no reply of the models {', '.join(map(repr, absent))}")
        if not self._replies:
            raise ConfigError(f"{self.source!r} holds no replies in {reply!r}")

    @property
    def models(self) -> list[str]:
        """The names of the models, in the order of the file."""
        return list(self._replies)

    @property
    def repeated(self) -> int:
        """How many keys have several replies of one model."""
        return len({key for found in self._replies.values() for key, replies in found.items() if len(replies) > 1})

    @property
    def lacking(self) -> dict[str, int]:
        """By model, to how many of the file's keys it has no reply; those that have one to each are left out."""
        keys = {key for found in self._replies.values() for key in found}
        counts = {name: len(keys) - len(found) for name, found in self._replies.items()}
        return {name: count for name, count in counts.items() if count}

    def of(self, model: str) -> Mapping[str, Sequence[Recorded]]:
        """The replies of a model by their keys. Raises ConfigError where there is none of that name."""
        if model not in self._replies:
            known = ", ".join(f"{PREFIX}{name}" for name in self._replies)
            hint = did_you_mean(model, self._replies)
            raise ConfigError(f"{self.source!r} has no replies of {PREFIX}{model}{hint} (it has: {known})")
        return self._replies[model]

    def _check_columns(self, row: Row) -> None:
        wanted = [self._key, *([self._model] if self._model else []), *([] if _MODEL in self._reply else [self._reply])]
        for column in wanted:
            if column not in row:
                raise ConfigError(
                    f"{self.source!r} has no column {column!r} (it has: {', '.join(map(repr, row))})"
                    f"{did_you_mean(column, row)}"
                )

    def _models_of(self, row: Row, number: int, models: Sequence[str] | None) -> Iterable[str]:
        if self._model is not None:
            return [] if row[self._model] is None else [str(row[self._model])]
        if _MODEL in self._reply:
            if models is None and self._reply == _MODEL:
                raise ConfigError("a column for each model needs their names: give recording.models")
            pattern = re.compile("(.+)".join(map(re.escape, self._reply.split(_MODEL))))
            return models or [found[1] for name in row if (found := pattern.fullmatch(name))]
        replies = row[self._reply]
        if replies is not None and not isinstance(replies, Mapping):
            raise DataError(
                f"{self.source!r}, row {number}: {self._reply!r} must hold the replies by model (got "
                f"{shortened(repr(replies))}); where each row is one reply, recording.model names the column of its "
                "model; where each model has a column: reply: 'answer_{model}'"
            )
        return replies or ()

    def _add(self, row: Row, model: str, number: int) -> None:
        reply, key = self._cell(row, self._reply, model), row[self._key]
        if reply is None or key is None:
            return
        text = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
        prompt, completion = (
            self._number(row, column, model, number)
            if column or not self._per_character
            else len(part) * self._per_character
            for column, part in zip(self._tokens, (str(key), text), strict=True)
        )
        took = [self._number(row, column, model, number) for column in (self._cost_usd, self._latency_s)]
        found = Recorded(text, _whole(prompt), _whole(completion), *took)
        self._replies.setdefault(model, {}).setdefault(str(key).strip(), []).append(found)

    def _cell(self, row: Row, column: str, model: str) -> Any:
        """What a row says of a model: in a cell of its own, or in one that has the values of all models."""
        value = row.get(column.replace(_MODEL, model))
        if isinstance(value, Mapping) and self._model is None and _MODEL not in column:
            return value.get(model)
        return value

    def _number(self, row: Row, column: str | None, model: str, number: int) -> float | None:
        value = None if column is None else self._cell(row, column, model)
        if value is None:
            return None
        try:
            found = as_float(value)
            if not 0 <= found < float("inf"):
                raise ValueError(f"{found} is no amount: at least 0")
        except ValueError as error:
            raise DataError(f"{self.source!r}, row {number}, {column!r} of {model!r}: {error}") from None
        return found


def _whole(tokens: float | None) -> int | None:
    return None if tokens is None else round(tokens)

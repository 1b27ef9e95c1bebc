"""Looking into a ledger that a team shares, as ``queries`` does into a file: the calls of all machines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, LiteralString

from paretune.errors import ConfigError
from paretune.lm.ledger.home import Home
from paretune.lm.ledger.postgres import GRANT, Rows
from paretune.lm.ledger.queries import CallFilter, Order, Totals
from paretune.lm.ledger.tables import known_amounts

__all__ = ["SharedCalls"]

_ORDERS: dict[Order, LiteralString] = {
    "newest": "created_at DESC",
    "expensive": "cost_usd DESC NULLS LAST",
    "slow": "latency_s DESC",
}
_ROWS: LiteralString = (
    "SELECT key, model, request, answer, prompt_tokens, completion_tokens, latency_s, cost_usd, attempts,"
    " extract(epoch FROM created_at)::float8 FROM paretune_replies WHERE key = ANY(%(keys)s)"
)
_ASKED = ("search", "trial", "example", "module", "replicate", "valid", "paid", "at")
#: So many calls are read at once.
_BATCH = 200


class SharedCalls:
    """The calls of all who share a database."""

    def __init__(self, home: Home) -> None:
        self._database = home.database
        #: The JSON text of a remembered fact, by its key.
        self.fact = home.fact

    def listed(self, which: CallFilter, order: Order, limit: int) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
        """See ``queries.Calls``."""
        return ((call, call["asked_by"]) for call in self._calls(which, order, limit, _asked(which)))

    def whole(self, which: CallFilter, order: Order = "newest", limit: int | None = None) -> Iterator[dict[str, Any]]:
        """See ``queries.Calls``."""
        return self._calls(which, order, limit)

    def totals(self, which: CallFilter) -> list[Totals]:
        """See ``queries.Calls``."""
        statement: LiteralString = (
            "SELECT model, count(*), sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint,"
            " coalesce(sum(cost_usd), 0), count(*) - count(cost_usd) FROM paretune_replies"
            f" WHERE {_condition(which)} GROUP BY model ORDER BY model"
        )
        return [Totals(*row) for row in self._database.run(statement, **vars(which))]

    def size(self) -> tuple[int, int]:
        """How many replies there are, and how many bytes the tables take."""
        statement: LiteralString = (
            "SELECT (SELECT count(*) FROM paretune_replies), sum(pg_total_relation_size(oid))::bigint FROM pg_class"
            " WHERE relname LIKE 'paretune\\_%%' AND relkind = 'r'"
        )
        count, size = self._database.run(statement)[0]
        return count, size

    def check_rights(self) -> None:
        """Raise ConfigError where this user may only look at a table."""
        statement: LiteralString = (
            "SELECT current_user, string_agg(relname, ', ') FROM pg_class WHERE relname LIKE 'paretune\\_%%'"
            " AND relkind = 'r' AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')"
            " AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))"
        )
        user, tables = self._database.run(statement)[0]
        if tables:
            raise ConfigError(
                f"the ledger in PostgreSQL at {self._database.name}: {user} may not change {tables}; {GRANT} TO {user}"
            )

    def among(self, keys: Sequence[str]) -> set[str]:
        """Which of the keys have replies."""
        statement: LiteralString = "SELECT key FROM paretune_replies WHERE key = ANY(%(keys)s)"
        return {key for (key,) in self._database.run(statement, keys=list(keys))}

    def answered_by_trial(self, search: str) -> dict[str, int]:
        """By trial, how many of the calls that a search has noted have replies."""
        statement: LiteralString = (
            "SELECT trial, count(DISTINCT key) FROM paretune_notes JOIN paretune_replies USING (key)"
            " WHERE search = %(search)s GROUP BY trial"
        )
        return dict(self._database.run(statement, search=search))

    def sample(self, model: str, count: int) -> Rows:
        """Requests of a model, each with the tokens of prompt and completion, and the seconds, that it took."""
        statement: LiteralString = (
            "SELECT request, prompt_tokens, completion_tokens, latency_s FROM paretune_replies WHERE model = %(model)s"
            " ORDER BY key LIMIT %(count)s"
        )
        return self._database.run(statement, model=model, count=count)

    def prune(self, which: CallFilter) -> int:
        """Delete the calls that are meant, and who asked for them; how many they were."""
        statement: LiteralString = (
            f"WITH gone AS (DELETE FROM paretune_replies WHERE {_condition(which)} RETURNING key),"
            " notes AS (DELETE FROM paretune_notes WHERE key IN (SELECT key FROM gone)) SELECT count(*) FROM gone"
        )
        return int(self._database.run(statement, **vars(which))[0][0])

    def _calls(
        self, which: CallFilter, order: Order, limit: int | None, asked: LiteralString = "true"
    ) -> Iterator[dict[str, Any]]:
        statement: LiteralString = (
            f"SELECT key FROM paretune_replies WHERE {_condition(which)} ORDER BY {_ORDERS[order]}, key"
            " LIMIT %(limit)s::bigint"
        )
        keys = [str(key) for (key,) in self._database.run(statement, limit=limit, **vars(which))]
        for begin in range(0, len(keys), _BATCH):
            batch = keys[begin : begin + _BATCH]
            found = {row[0]: row for row in self._database.run(_ROWS, keys=batch)}
            callers = self._callers(batch, which, asked)
            for key in batch:
                if key in found:  # else it was deleted just now
                    yield _call(found[key], callers[key])

    def _callers(
        self, keys: Sequence[str], which: CallFilter, asked: LiteralString
    ) -> Mapping[str, list[dict[str, Any]]]:
        statement: LiteralString = (
            "SELECT key, search, trial, example, module, replicate, valid, paid, extract(epoch FROM at)::float8"
            f" FROM paretune_notes WHERE key = ANY(%(keys)s) AND {asked} ORDER BY at, search, trial, example, module"
        )
        callers = defaultdict(list)
        for key, *values in self._database.run(statement, **{**vars(which), "keys": list(keys)}):
            callers[key].append(dict(zip(_ASKED, values, strict=True)))
        return callers


def _condition(which: CallFilter) -> LiteralString:
    """Which replies are meant, with the fields of ``which`` as values."""
    parts: list[LiteralString] = ["true"]
    if which.key is not None:
        parts.append("starts_with(key, %(key)s)")
    if which.model is not None:
        parts.append("strpos(model, %(model)s) > 0")
    if which.since is not None:
        parts.append("created_at >= to_timestamp(%(since)s)")
    if which.before is not None:
        parts.append("created_at < to_timestamp(%(before)s)")
    if (asked := _asked(which)) != "true":
        parts.append(f"key IN (SELECT key FROM paretune_notes WHERE {asked})")
    return " AND ".join(parts)


def _asked(which: CallFilter) -> LiteralString:
    """Which notes are meant."""
    parts: list[LiteralString] = []
    if which.search is not None:
        parts.append("starts_with(search, %(search)s)")
    if which.trial is not None:
        parts.append("trial <> '' AND ltrim(trial, '0') = ltrim(%(trial)s, '0')")
    if which.invalid:
        parts.append("NOT valid")
    return " AND ".join(parts) or "true"


def _call(row: Sequence[Any], callers: list[dict[str, Any]]) -> dict[str, Any]:
    """A call as ``queries.whole_call`` gives it."""
    key, model, request, answer, prompt, completion, latency, cost, attempts, created_at = row
    reply, finish, usage, price, reasoning = answer
    prompt, completion, latency = known_amounts(usage, (prompt, completion, latency))
    return {
        "key": key,
        "model": model,
        "request": json.loads(request),
        "reply": reply,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "finish_reason": finish,
        "usage": None if usage is None else json.loads(usage),
        "price": None if price is None else json.loads(price),
        "cost_usd": cost,
        "latency_s": latency,
        "attempts": attempts,
        "created_at": created_at,
        "reasoning": reasoning,
        "asked_by": callers,
    }

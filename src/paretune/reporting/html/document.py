"""From the trials of a search to the text of report.html."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from paretune.reporting.html.blocks import ExampleData, example_blocks, matrix, packed, prompt_block, texts_within
from paretune.reporting.html.page import joined, page_parts
from paretune.reporting.results import Result
from paretune.trials.record import TrialRecord
from paretune.trials.winner import Best

__all__ = ["page_text"]


def page_text(
    facts: dict[str, Any],
    found: Sequence[Result],
    best: Best,
    data: ExampleData,
    max_mb: float,
    live: str | None = None,
) -> str:
    """The page. Prompts and replies of the winner, of the frontier, of those that may be the best, and of the others by
    their score are in it until it has ``max_mb`` megabytes; rewards and answers of all trials always. ``live`` is what
    stands where a page that is drawn again and again tells how the search goes."""
    records = [result.record for result in found if result.record.replicates]
    order, table, budget = _priority(records, best), matrix(records, data), int(max_mb * 1e6)
    fixed = len(joined()) + sum(map(len, map(packed, (facts, table, prompt_block(data, order)))))
    texts = texts_within(budget - fixed, order, records, data)
    while True:
        kept = {"kept": data.replies is not None, "trials": texts, "max_mb": max_mb}
        text = "".join(page_parts(facts | {"texts": kept}, _blocks(table, records, data, texts), live))
        if not texts or len(text.encode()) <= budget:  # what was estimated from a sample may be a little too much
            return text
        texts = texts[: int(0.97 * len(texts))]


def _blocks(
    table: dict[str, Any], records: Sequence[TrialRecord], data: ExampleData, texts: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    yield "matrix", table
    yield "prompts", prompt_block(data, texts)
    for place, block in example_blocks(records, data, texts):
        yield f"example-{place}", block


def _priority(records: Sequence[TrialRecord], best: Best) -> list[str]:
    scored = [record for record in records if record.completed]
    by_score = [scored[place].trial for place in best.goals.order([record.metrics for record in scored])]
    others = [record.trial for record in records if not record.completed]
    return list(dict.fromkeys([best.trial, *best.frontier, *best.confidence_set, *by_score, *others]))

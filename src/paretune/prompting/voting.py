"""Several samples of one question, and the answer that most of them give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import TypeVar

from paretune.eventloop import all_ended
from paretune.files import canonical_json
from paretune.prompting.trace import Call, add_call, tracing
from paretune.schemas.data_model import DataModel

__all__ = ["most_common"]

Output = TypeVar("Output", bound=DataModel)


async def most_common(
    ask: Callable[[int], Awaitable[Output | None]], samples: int, fields: Collection[str]
) -> Output | None:
    """Draw so many samples at once, by ``ask(draw)``, and choose one with the most common values of ``fields``.

    Self-consistency (Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models", ICLR 2023,
    arXiv:2203.11171), with one vote for each valid sample: an invalid one (None) has no vote, and None is the result
    where all are invalid. Of equally common answers the one that came first in the order of the draws is chosen, and of
    the samples that give it the first one.

    The calls stand in the trace in the order of the draws; those of the other samples are not ``chosen``.
    """
    traces: dict[int, list[Call]] = {}

    async def sample(draw: int) -> Output | None:
        with tracing() as traces[draw]:
            return await ask(draw)

    chosen = None
    try:
        records = await all_ended([sample(draw) for draw in range(samples)])
        votes = {draw: _vote(record, fields) for draw, record in enumerate(records) if record is not None}
        if votes:
            ((most, _),) = Counter(votes.values()).most_common(1)  # the first of equals
            chosen = next(draw for draw, vote in votes.items() if vote == most)
    finally:
        for draw, calls in sorted(traces.items()):
            for call in calls:
                add_call(call if draw == chosen else replace(call, chosen=False))
    return None if chosen is None else records[chosen]


def _vote(record: DataModel, fields: Collection[str]) -> str:
    return canonical_json({name: value for name, value in record.get_json().items() if name in fields})

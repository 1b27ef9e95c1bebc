"""Running examples through a program, as concurrently as the language models allow, reduced in input order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from paretune.errors import (
    InvalidOutputError,
    JudgementError,
    NotRecordedError,
    RefusedInputError,
    TransientError,
)
from paretune.eventloop import in_thread, map_ordered
from paretune.lm.ledger.attribution import attributed_to, current_caller
from paretune.lm.types import REFUSAL
from paretune.metrics.measures import measures_of
from paretune.metrics.outcome import InvalidKind, Outcome, total
from paretune.programs.examples import Examples, Row, as_rows
from paretune.prompting.trace import Call, Sample, tracing
from paretune.rewards.reward import Scored, checked_reward
from paretune.schemas.data_model import DataModel
from paretune.schemas.parsing import ends_in_thought
from paretune.stats.measure import Measure

if TYPE_CHECKING:
    from paretune.programs.program import Program

Kept = TypeVar("Kept")

#: So many examples are begun at a time at least: a module of one's own may call language models that nobody knows of.
_AT_LEAST = 256

__all__ = ["Evaluation", "Ran", "evaluate", "evaluation_of", "predict", "run_all", "why_invalid"]

#: How providers say that a reply ended at a limit of tokens, and that a filter held it back.
_LIMITED = ("length", "max_tokens", "model_length")
_FILTERED = ("content_filter", "content_filtered", "safety")


@dataclass(frozen=True)
class Evaluation:
    """A program's outcomes on examples, in their order, and the measures taken of them."""

    outcomes: tuple[Outcome, ...]
    measures: tuple[Measure, ...]

    @property
    def values(self) -> dict[str, float]:
        """Each measure's value by name."""
        return {measure.name: measure.value for measure in self.measures}


@dataclass(frozen=True)
class Ran:
    """What became of an example, and the calls of the program itself (those of the reward are in the outcome only)."""

    outcome: Outcome
    calls: tuple[Call, ...]


async def evaluate(program: Program, examples: Examples, sample: Sample) -> Evaluation:
    """Run and score every example; one program run each, no barrier anywhere."""
    outcomes = await _run(program, examples, range(len(examples)), sample, lambda ran: ran.outcome)
    return await in_thread(lambda: evaluation_of(program, outcomes, examples.gold))


async def predict(program: Program, x: Sequence[Any]) -> list[Any]:
    """Run every input; the output records in input order, None where there is no valid one. For a program with several
    outputs: one such list for each."""
    width = len(program.outputs)

    async def one(row: Row) -> Any:
        try:
            return await program(*row)
        except (RefusedInputError, InvalidOutputError):
            return None

    outputs = await map_ordered(one, as_rows(program, x), _at_once(program))
    if width == 1:
        return outputs
    return [[None if output is None else output[place] for output in outputs] for place in range(width)]


async def run_all(program: Program, examples: Examples, indices: Sequence[int], sample: Sample) -> list[Ran]:
    """Run and score some of the examples; the results in the order of ``indices``."""
    return await _run(program, examples, indices, sample, lambda ran: ran)


async def _run(
    program: Program, examples: Examples, indices: Sequence[int], sample: Sample, kept: Callable[[Ran], Kept]
) -> list[Kept]:
    """The same; only what is ``kept`` of each is held in memory."""
    checked = False
    part = "train" if sample.training else current_caller().example or "val"

    async def one(index: int) -> Kept:
        nonlocal checked
        gold = examples.gold[index]
        with attributed_to(example=f"{part}/{index}"):
            ran = await _run_example(program, examples.rows[index], gold, sample)
        if ran.outcome.output is not None and not checked:
            checked = True
            for metric in program.metrics:  # a mistake in one shows now, not when everything is paid for
                metric.statistics(gold.get_json(), ran.outcome.output)
        return kept(ran)

    for model in program.language_models:  # else a thousand examples would wait for it, and go on at once
        await model.learn()
    return await map_ordered(one, indices, _at_once(program))


def _at_once(program: Program) -> int:
    """How many examples are begun at a time: so many that the language models always have the next call waiting, and
    decide themselves what runs at once. What an example holds in memory is bounded by it."""
    return max(_AT_LEAST, 2 * sum(model.concurrency for model in set(program.language_models)))


def evaluation_of(program: Program, outcomes: Sequence[Outcome], y: Sequence[DataModel]) -> Evaluation:
    """The measures of some outcomes, given their gold records."""
    gold = [record.get_json() for record in y]
    return Evaluation(tuple(outcomes), tuple(measures_of(outcomes, gold, program.metrics)))


async def _run_example(program: Program, row: Row, y: DataModel, sample: Sample) -> Ran:
    """Run and score one example. An infrastructure failure is a value; fatal errors and bugs are raised."""
    with tracing(sample) as calls:
        reward: Scored | None = Scored(0.0)
        failure: str | None = None
        kind: InvalidKind | None = None
        own_calls: int | None = None
        try:
            output = await program(*row)
            if isinstance(output, list):  # the first output is the one that is scored
                output = output[0]
            own_calls = len(calls)
            if output is not None:
                reward = Scored.of(checked_reward(await program.reward(y, output), program.reward.name))
            else:
                kind, failure = why_invalid(calls)
            status = "invalid" if output is None else "ok"
        except RefusedInputError as error:
            output, status, failure = None, "invalid", str(error)
            kind = "filtered" if error.filtered else "refused"
        except InvalidOutputError as error:
            output, status, failure = None, "invalid", str(error)
            kind, _ = why_invalid(calls)
        except (TransientError, NotRecordedError, JudgementError) as error:
            output, reward, status, failure = None, None, "failed", str(error)
    replies = [call.reply for call in calls]
    outcome = Outcome(
        status=status,  # type: ignore[arg-type]
        output=None if output is None else output.get_json(),
        reward=None if reward is None else float(reward),
        calls=len(calls),
        prompt_tokens=total(reply.prompt_tokens for reply in replies),
        completion_tokens=total(reply.completion_tokens for reply in replies),
        cost_usd=total(reply.cost_usd for reply in replies),
        latency_s=total((reply.latency_s for reply in replies), digits=4),
        error=failure,
        retries=sum(max(0, call.reply.attempts - 1) for call in calls),
        kind=kind,
        judgements=() if reward is None else reward.judgements,
        parts=None if reward is None else reward.parts,
    )
    return Ran(outcome, tuple(calls[:own_calls]))


def why_invalid(calls: Sequence[Call]) -> tuple[InvalidKind, str | None]:
    """Why a program gave no record, by the last reply that did not validate; with the text of a refusal."""
    reply = next((call.reply for call in reversed(calls) if call.output is None), None)
    if reply is None:  # a module of the user's own gave none
        return "malformed", None
    reason = (reply.finish_reason or "").lower()
    if reason == REFUSAL:
        return "refused", reply.text or None
    if reason in _FILTERED:
        return "filtered", None
    if reason in _LIMITED or ends_in_thought(reply.text):
        return "cut_off", None
    return ("malformed" if reply.text.strip() else "empty"), None

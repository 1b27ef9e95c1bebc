"""Training and scoring: examples are run as concurrently as the language models allow, and reduced in input order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from paretune.errors import RefusedInputError, TransientError, UsageError
from paretune.eventloop import map_ordered
from paretune.metrics.measure import Measure, measures_of
from paretune.metrics.outcome import Outcome
from paretune.optimizers.base import Observation
from paretune.programs.trace import Call, tracing
from paretune.schemas.data_model import DataModel

if TYPE_CHECKING:
    from paretune.programs.program import Program

__all__ = ["Evaluation", "History", "evaluate", "predict", "train"]


@dataclass(frozen=True)
class Evaluation:
    """A program's outcomes on examples, in their order, and the measures taken of them."""

    outcomes: tuple[Outcome, ...]
    measures: tuple[Measure, ...]

    @property
    def values(self) -> dict[str, float]:
        """Each measure's value by name."""
        return {measure.name: measure.value for measure in self.measures}


@dataclass
class History:
    """What ``fit`` returns: by epoch, the measures (``val_`` for those on validation examples) and, beside Keras's
    fields, each epoch's evaluations and the program's state at its end."""

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    training: list[Evaluation | None] = field(default_factory=list)
    validation: list[Evaluation | None] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Ran:
    outcome: Outcome
    calls: tuple[Call, ...]


async def evaluate(
    program: Program, x: Sequence[DataModel], y: Sequence[DataModel], *, replicate: int = 0
) -> Evaluation:
    """Run and score every example; len(x) program runs, no barrier anywhere."""
    _check_pairs(program, x, y)
    ran = await _run_all(program, list(zip(x, y, strict=True)), replicate)
    return _evaluation(program, [item.outcome for item in ran], y)


async def predict(program: Program, x: Sequence[DataModel]) -> list[Any]:
    """Run every input; the output records in input order, None where there is no valid one."""

    async def one(record: DataModel) -> Any:
        try:
            return await program(record)
        except RefusedInputError:
            return None

    return await map_ordered(one, list(x))


async def train(
    program: Program,
    x: Sequence[DataModel],
    y: Sequence[DataModel],
    *,
    epochs: int,
    batch_size: int,
    validation_data: tuple[Sequence[DataModel], Sequence[DataModel]] | None,
    validation_split: float,
    shuffle: bool,
    initial_epoch: int,
    callbacks: Sequence[Any],
    verbose: Any,
    replicate: int,
) -> History:
    """Train a compiled program.

    Each epoch runs every training example once, batch by batch, each batch under the candidate that the optimizer
    proposed before it; then installs the best candidate and validates it. So a program with one generator makes
    ``epochs * (N_train + N_val)`` calls. Without an optimizer there is nothing to train: only the validation is run.
    Without validation data there are no ``val_`` measures.
    """
    _check_pairs(program, x, y)
    if epochs < 1 or batch_size < 1:
        raise UsageError(f"epochs and batch_size must be at least 1 (got {epochs} and {batch_size})")
    x, y = list(x), list(y)
    if validation_data is None and validation_split:
        cut = len(x) - max(1, round(len(x) * validation_split))
        if not 0 < validation_split < 1 or cut < 1:
            raise UsageError(f"validation_split must leave examples on both sides (got {validation_split})")
        validation_data = (x[cut:], y[cut:])
        x, y = x[:cut], y[:cut]
    history = History()
    optimizer = program.optimizer
    if optimizer is not None:
        optimizer.begin(_gold_examples(program, x, y), replicate)
    for epoch in range(initial_epoch, epochs):
        logs: dict[str, float] = {}
        training = None
        if optimizer is not None:
            order = np.random.default_rng([optimizer.seed, replicate, epoch]).permutation(len(x))
            training = await _train_epoch(
                program, x, y, [int(i) for i in order] if shuffle else range(len(x)), batch_size, replicate
            )
            logs |= training.values
        validation = None
        if validation_data is not None:
            validation = await evaluate(program, *validation_data, replicate=replicate)
            logs |= {f"val_{name}": value for name, value in validation.values.items()}
        history.epoch.append(epoch)
        for name, value in logs.items():
            history.history.setdefault(name, []).append(value)
        history.training.append(training)
        history.validation.append(validation)
        history.states.append(program.get_state())
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
    return history


async def _train_epoch(
    program: Program,
    x: Sequence[DataModel],
    y: Sequence[DataModel],
    order: Sequence[int],
    batch_size: int,
    replicate: int,
) -> Evaluation:
    optimizer = program.optimizer
    assert optimizer is not None
    outcomes: dict[int, Outcome] = {}
    for start in range(0, len(order), batch_size):
        batch = list(order[start : start + batch_size])
        optimizer.propose(program.generators, batch)
        ran = await _run_all(program, [(x[i], y[i]) for i in batch], replicate)
        outcomes.update(zip(batch, (item.outcome for item in ran), strict=True))
        optimizer.observe([_observation(program, i, item) for i, item in zip(batch, ran, strict=True)])
    optimizer.end_epoch(program.generators)
    return _evaluation(program, [outcomes[i] for i in range(len(x))], y)


async def _run_all(program: Program, pairs: Sequence[tuple[DataModel, DataModel]], replicate: int) -> list[_Ran]:
    async def one(pair: tuple[DataModel, DataModel]) -> _Ran:
        return await _run_example(program, *pair, replicate)

    return await map_ordered(one, pairs)


async def _run_example(program: Program, x: DataModel, y: DataModel, replicate: int) -> _Ran:
    """Run and score one example. An infrastructure failure is a value; fatal errors and bugs are raised."""
    with tracing(replicate) as calls:
        reward: float | None = 0.0
        failure: str | None = None
        try:
            output = await program(x)
            if output is not None:
                reward = await program.reward(y, output)
            status = "invalid" if output is None else "ok"
        except RefusedInputError:
            output, status = None, "invalid"
        except TransientError as error:
            output, reward, status, failure = None, None, "failed", str(error)
    costs = [call.reply.cost_usd for call in calls]
    outcome = Outcome(
        status=status,  # type: ignore[arg-type]
        output=None if output is None else output.get_json(),
        reward=reward,
        calls=len(calls),
        prompt_tokens=sum(call.reply.prompt_tokens for call in calls),
        completion_tokens=sum(call.reply.completion_tokens for call in calls),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        latency_s=round(sum(call.reply.latency_s for call in calls), 4),
        error=failure,
    )
    return _Ran(outcome, tuple(calls))


def _observation(program: Program, index: int, ran: _Ran) -> Observation:
    replies = {
        call.module: {"input": call.inputs, "output": call.output} for call in ran.calls if call.output is not None
    }
    return Observation(index, ran.outcome.reward, replies)


def _gold_examples(program: Program, x: Sequence[DataModel], y: Sequence[DataModel]) -> dict[str, list[dict[str, Any]]]:
    """For the generator between the program's input and output: the training examples themselves."""
    node = program.outputs.node
    if node is None or node.inputs != (program.inputs,):
        return {}
    return {
        node.module.name: [
            {"input": record.get_json(), "output": gold.get_json()} for record, gold in zip(x, y, strict=True)
        ]
    }


def _evaluation(program: Program, outcomes: Sequence[Outcome], y: Sequence[DataModel]) -> Evaluation:
    gold = [record.get_json() for record in y]
    return Evaluation(tuple(outcomes), tuple(measures_of(outcomes, gold, program.metrics)))


def _check_pairs(program: Program, x: Sequence[DataModel], y: Sequence[DataModel]) -> None:
    if len(x) != len(y) or not len(x):
        raise UsageError(f"x and y must be equally many, and some (got {len(x)} and {len(y)})")
    for name, records, model in (("x", x, program.inputs.data_model), ("y", y, program.gold_model)):
        missing = set(model.model_fields) - set(type(records[0]).model_fields)
        if missing:
            raise UsageError(
                f"{name} holds {type(records[0]).__name__!r} records without {sorted(missing)} of {model.__name__!r}"
            )

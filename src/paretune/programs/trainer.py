"""Training: epochs and batches, the optimizer's candidates, and what callbacks hear of it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from paretune.callbacks.callback import CallbackList
from paretune.callbacks.progress import ProgressDisplay
from paretune.errors import UsageError
from paretune.eventloop import in_thread
from paretune.lm.types import Reply
from paretune.metrics.measures import measures_of
from paretune.metrics.outcome import Outcome
from paretune.optimizers.optimizer import EARNED, Observation
from paretune.programs.examples import Examples
from paretune.programs.generator import Generator
from paretune.programs.module import inner_modules
from paretune.programs.running import Evaluation, Ran, evaluate, evaluation_of, run_all
from paretune.prompting.trace import Call, Sample, tracing
from paretune.schemas.data_model import DataModel

if TYPE_CHECKING:
    from paretune.programs.program import Program

__all__ = ["Evaluation", "FitOptions", "History", "Verbose", "train"]

#: 0: nothing is printed, 1 or "auto": a live line on a terminal and a line an epoch, 2: a line an epoch.
Verbose = Literal["auto", 0, 1, 2]


@dataclass(frozen=True)
class FitOptions:
    """The arguments of ``Program.fit`` beside the examples. Raises UsageError for those that cannot work."""

    epochs: int
    batch_size: int
    shuffle: bool
    initial_epoch: int
    callbacks: Sequence[Any]
    verbose: Verbose
    replicate: int

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise UsageError(f"epochs and batch_size must be at least 1 (got {self.epochs} and {self.batch_size})")
        if self.initial_epoch < 0 or self.replicate < 0:
            raise UsageError(
                f"initial_epoch and replicate must be at least 0 (got {self.initial_epoch} and {self.replicate})"
            )
        if self.verbose not in ("auto", 0, 1, 2):
            raise UsageError(f"verbose must be 0, 1, 2 or 'auto' (got {self.verbose!r})")


@dataclass
class History:
    """What ``fit`` returns: by epoch, the measures (``val_`` for those on validation examples) and, beside Keras's
    fields, each epoch's evaluations, the replies that the optimizer's proposals took, and the program's state at its
    end."""

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    training: list[Evaluation | None] = field(default_factory=list)
    validation: list[Evaluation | None] = field(default_factory=list)
    proposals: list[tuple[Reply, ...]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)


async def train(program: Program, examples: Examples, validation: Examples | None, options: FitOptions) -> History:
    """Train a compiled program.

    Each epoch has as many runs as there are training examples (each runs once, where the optimizer does not choose
    otherwise), batch by batch, each batch under the candidate that the optimizer
    proposed before it; then installs the best candidate and validates it. Each epoch draws replies of its own, also for
    a question that an earlier epoch asked, and so does a judge. So a program with one generator makes
    ``epochs * (N_train + N_val)`` calls, and those of the optimizer's proposals. Without an optimizer there is nothing
    to train: only the validation is run. Without validation data there are no ``val_`` measures.

    A callback that sets ``program.stop_training`` ends the training after the running batch and the epoch's validation.
    """
    display = None
    callbacks = list(options.callbacks)
    if options.verbose:
        display = ProgressDisplay(live=options.verbose != 2 and sys.stderr.isatty())
        callbacks.append(display)
    heard = CallbackList(callbacks, program, _params(program, examples, validation, options))
    history = History()
    program.stop_training = False
    try:
        await heard.call("on_train_begin", {})
        if program.optimizer is not None:
            program.optimizer.begin(_gold_examples(program, examples), options.replicate)
        for epoch in range(options.initial_epoch, options.epochs):
            await _run_epoch(program, epoch, examples, validation, options, heard, history)
            if program.stop_training:
                break
        await heard.call("on_train_end", {name: series[-1] for name, series in history.history.items()})
    finally:
        if display is not None:
            display.stop()
    return history


async def _run_epoch(
    program: Program,
    epoch: int,
    examples: Examples,
    validation: Examples | None,
    options: FitOptions,
    callbacks: CallbackList,
    history: History,
) -> None:
    """One epoch of training and validation, added to the history."""
    await callbacks.call("on_epoch_begin", epoch, {})
    logs: dict[str, float] = {}
    trained = validated = None
    proposing: list[Call] = []
    if program.optimizer is not None:
        with tracing(Sample(options.replicate, epoch)) as proposing:  # each example has a trace of its own
            trained = await _train_epoch(program, epoch, examples, options, callbacks)
        logs |= trained.values
    if validation is not None:
        validated = await evaluate(program, validation, Sample(options.replicate, epoch))
        logs |= {f"val_{name}": value for name, value in validated.values.items()}
    history.epoch.append(epoch)
    for name, value in logs.items():
        history.history.setdefault(name, []).append(value)
    history.training.append(trained)
    history.validation.append(validated)
    history.proposals.append(tuple(call.reply for call in proposing))
    history.states.append(program.get_state())
    await callbacks.call("on_epoch_end", epoch, logs)


async def _train_epoch(
    program: Program, epoch: int, examples: Examples, options: FitOptions, callbacks: CallbackList
) -> Evaluation:
    optimizer = program.optimizer
    assert optimizer is not None
    order = np.arange(len(examples))
    if options.shuffle:
        order = np.random.default_rng([optimizer.seed, options.replicate, epoch]).permutation(len(examples))
    outcomes: list[tuple[int, Outcome]] = []
    drafts = _drafts(program)
    number = 0
    while len(outcomes) < len(order):
        batch = [int(index) for index in order[len(outcomes) : len(outcomes) + options.batch_size]]
        await callbacks.call("on_train_batch_begin", number, {})
        batch = list(await optimizer.next_batch(program.generators, batch, len(order)))
        ran = await run_all(program, examples, batch, Sample(options.replicate, epoch, training=True))
        outcomes += zip(batch, (item.outcome for item in ran), strict=True)
        seen = zip(batch, ran, strict=True)
        optimizer.observe([_observation(index, examples.gold[index], item, drafts) for index, item in seen])
        if callbacks.callbacks:
            gold = [examples.gold[index] for index in batch]
            logs = evaluation_of(program, [item.outcome for item in ran], gold).values
            await callbacks.call("on_train_batch_end", number, logs)
        number += 1
        if program.stop_training:
            break
    optimizer.end_epoch(program.generators)
    outcomes.sort(key=lambda one: one[0])
    gold = [examples.gold[index] for index, _ in outcomes]
    return await in_thread(lambda: evaluation_of(program, [outcome for _, outcome in outcomes], gold))


def _params(program: Program, examples: Examples, validation: Examples | None, options: FitOptions) -> dict[str, Any]:
    """What callbacks are told at the start: also which measures there will be, and which way is better."""
    measures = {measure.name: measure.direction for measure in measures_of([], [], program.metrics)}
    metrics = dict(measures) if program.optimizer is not None else {}
    if validation is not None:
        metrics |= {f"val_{name}": direction for name, direction in measures.items()}
    steps = -(-len(examples) // options.batch_size) if program.optimizer is not None else 0
    return {"epochs": options.epochs, "steps": steps, "verbose": options.verbose, "metrics": metrics}


def _observation(index: int, gold: DataModel, ran: Ran, drafts: Collection[str]) -> Observation:
    """What the optimizer hears of an example. Where the reward was earned although a draft was not right, that reply is
    left out: it is nothing to learn from."""
    replies = {
        call.module: {"input": call.inputs, "output": call.output}
        for call in ran.calls
        if call.chosen and call.output is not None
    }
    if ran.outcome.reward is not None and ran.outcome.reward >= EARNED:
        right = gold.get_json()
        for name in set(drafts) & set(replies):
            if any(value != right.get(field, value) for field, value in replies[name]["output"].items()):
                del replies[name]
    return Observation(index, ran.outcome.reward, replies)


def _answering(program: Program) -> list[Generator]:
    """The generators that give records of the program's own output: they are meant to give the right answer, also where
    others go on from it."""
    return [generator for generator in program.generators if generator.gold_model is program.gold_model]


def _drafts(program: Program) -> list[str]:
    """The names of those that others go on from."""
    node = program.outputs[0].node
    final = [] if node is None else [node.module, *inner_modules(node.module)]
    return [generator.name for generator in _answering(program) if generator not in final]


def _gold_examples(program: Program, examples: Examples) -> dict[str, list[dict[str, Any]]]:
    """For each generator that answers to one of the program's inputs alone: the training examples themselves."""
    found, answering = {}, _answering(program)
    fields = program.gold_model.model_fields  # gold records may say more, such as further right answers
    outputs = [{name: value for name, value in gold.get_json().items() if name in fields} for gold in examples.gold]
    for node in program.graph.nodes:
        if node.module in answering and len(node.inputs) == 1 and node.inputs[0] in program.inputs:
            place = program.inputs.index(node.inputs[0])
            found[node.module.name] = [
                {"input": row[place].get_json(), "output": output}
                for row, output in zip(examples.rows, outputs, strict=True)
            ]
    return found

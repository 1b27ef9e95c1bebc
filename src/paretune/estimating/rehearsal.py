"""What a program would ask of its language models: its prompts are written, and nobody is called."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paretune.errors import JudgementError, RefusedInputError
from paretune.estimating.earlier_calls import LedgerView
from paretune.estimating.recording import RecordingModel
from paretune.estimating.sizes import placeholder_record, prompt_tokens, reply_tokens
from paretune.estimating.spending import Tally, added
from paretune.lm.language_model import LanguageModel
from paretune.optimizers.gepa import GEPA
from paretune.optimizers.opro import OPRO
from paretune.programs.examples import Examples
from paretune.programs.generator import Generator
from paretune.programs.module import Module, Symbol, inner_modules
from paretune.programs.program import Program
from paretune.prompting.trace import Sample, tracing
from paretune.rewards.judge import LMAsJudge
from paretune.rewards.reward import Reward
from paretune.rewards.weighted import Weighted
from paretune.schemas.data_model import DataModel
from paretune.tuners.run_trial import example_counts

__all__ = ["Rehearsal", "rehearse"]

#: The input records of an example, and its gold record.
_Row = tuple[tuple[Any, ...], DataModel]
#: From the least to the most.
_Tokens = tuple[float, float]
#: What is guessed of calls whose prompts cannot be written beforehand: an optimizer's, those of a reward of one's own
#: and, one an example, those of another process.
_GUESS: tuple[_Tokens, _Tokens] = (20, 4000), (20, 1000)


@dataclass(frozen=True)
class _Question:
    """What is asked of a model, so many times in each run of an example, and the tokens of a call."""

    model: LanguageModel
    prompt: _Tokens
    completion: _Tokens
    times: int = 1

    def take(self, rounds: int, at_once: int) -> Tally:
        """What so many runs take, as many at once as the model and the program allow."""
        turn = 1 / max(1, min(self.model.concurrency, at_once))
        one = np.array([(1, 1), self.prompt, self.completion, (turn, turn)]) * rounds * self.times
        return {"": one, self.model.model: one} if rounds else {}


@dataclass(frozen=True)
class Rehearsal:
    """What one configuration asks in each run of an example, and in each proposal of its optimizer."""

    program: Program
    fit: Mapping[str, Any]
    questions: tuple[_Question, ...]
    proposing: _Question | None

    @property
    def models(self) -> dict[str, LanguageModel]:
        """The language models by name."""
        asked = [*self.questions, *([self.proposing] if self.proposing else [])]
        return {question.model.model: question.model for question in asked}

    def training(self, initial_epoch: int, epochs: int, parallel: int = 1, n_val: int | None = None) -> Tally:
        """What a training from ``initial_epoch`` up to ``epochs`` takes, its validation (on ``n_val`` examples; None:
        on all) included, when every reply is valid (some calls follow valid replies only)."""
        optimizer, batch_size = self.program.optimizer, self.fit.get("batch_size") or 32
        n_train, every = example_counts(self.fit)
        n_train, n_val = 0 if optimizer is None else n_train, every if n_val is None else n_val
        tallies = []
        for question in self.questions:
            for count, at_once in ((n_train, batch_size), (n_val, n_val)):
                tallies.append(question.take(count * (epochs - initial_epoch), at_once * parallel))
        if optimizer is not None and self.proposing is not None:
            generators = self.program.generators
            until, before = (
                optimizer.planned_calls(generators, n_train, batch_size, end) for end in (epochs, initial_epoch)
            )
            proposed = self.proposing.take(until - before, parallel)
            least = 1 if optimizer.plans_exactly else 0
            tallies.append({name: taken * np.array([least, 1]) for name, taken in proposed.items()})
        return added(tallies)

    def evaluation(self, examples: int) -> Tally:
        """What running so many examples takes."""
        return added(question.take(examples, examples) for question in self.questions)

    async def keys(self, view: LedgerView, replicates: int, epochs: range) -> list[str]:
        """The keys of the questions that a trial is known to ask: a program without an optimizer asks its validation as
        it is; none for other programs, and none where the ledger has no call of any of its models."""
        validation = self.fit.get("validation_data")
        if self.program.optimizer is not None or not validation or not any(map(view.experience, self.models)):
            return []
        rows, found = _rows(self.program, *validation), []
        for sample in (Sample(replicate, epoch) for replicate in range(replicates) for epoch in epochs):
            recorders = await _recorded(self.program, rows, view, sample)
            found += [one.key for recorder in recorders.values() for one in recorder.requests]
        return found


async def rehearse(program: Program, fit: Mapping[str, Any], view: LedgerView, rows: int) -> Rehearsal:
    """Write the prompts of a compiled program for an even sample of ``rows`` examples, and judge what they would take.

    No module of yours is run: what such a one would pass on is made up from its data model.
    """
    every = _rows(program, fit["x"], fit["y"])
    lengths = sorted(_evenly(every[: example_counts(fit)[0]], 100), key=lambda row: len(repr(row)))
    if fit.get("validation_data"):
        every += _rows(program, *fit["validation_data"])
    sample = _evenly(every, rows)
    optimizer: Any = program.optimizer
    shows = optimizer.few_shot if isinstance(optimizer, (GEPA, OPRO)) else optimizer
    numbers = getattr(shows, "numbers", None)
    fewest, most = (_shown(numbers, lengths, end) for end in (0, 1))
    less = await _recorded(program, sample, view, Sample(), fewest)
    more = less if most is None else await _recorded(program, sample, view, Sample(), most, thoughts=True)
    longer = 1000 if isinstance(optimizer, (GEPA, OPRO)) else 0  # proposed instructions are longer than one's own
    times = Counter(generator for generator, _ in _generator_inputs(program, *sample[0]))
    questions = []
    for generator, recorder in less.items():
        asked = generator.asked_of(recorder)
        replies = [placeholder_record(asked, gold) for _, gold in sample]
        recorders, model = (recorder, more[generator]), generator.language_model
        calls = times[generator] * generator.samples
        questions.append(_question(model, recorders, view, asked, replies, calls, longer))
    others = [module for module in inner_modules(program) if not isinstance(module, Generator)]
    questions += [_Question(module.called_models[0], *_GUESS) for module in others if module.called_models]
    questions += await _judging(program.reward, sample, view)
    proposing = None
    if optimizer is not None and program.generators:
        proposing = _Question((*optimizer.language_models, program.generators[0].language_model)[0], *_GUESS)
    return Rehearsal(program, fit, tuple(questions), proposing)


def _question(
    model: LanguageModel,
    recorders: tuple[RecordingModel, RecordingModel],
    view: LedgerView,
    data_model: type[DataModel],
    replies: Sequence[DataModel],
    times: int = 1,
    longer: int = 0,
) -> _Question:
    """From those who recorded the shortest and the longest requests to a model, and right replies to them."""
    less, more = ([one.request for one in recorder.requests] for recorder in recorders)
    if not less:  # no text that could be sent: it takes nothing
        return _Question(model, (0, 0), (0, 0), times)
    known = view.experience(model.model)
    (low, high), (_, highest) = prompt_tokens(less, known), prompt_tokens(more or less, known, longer)
    reasons = view.capabilities(model)["reasoning_effort"] or bool(model.reasons)
    completion = reply_tokens(less[0], data_model, replies, known, reasons)
    return _Question(model, (low, max(high, highest)), completion, times)


def _rows(program: Program, x: Sequence[Any], y: Sequence[Any]) -> list[_Row]:
    examples = Examples.of(program, x, y)
    return list(zip(examples.rows, examples.gold, strict=True))


def _evenly(rows: Sequence[_Row], count: int) -> list[_Row]:
    if count >= len(rows):
        return list(rows)
    return [rows[(2 * place + 1) * len(rows) // (2 * count)] for place in range(count)]


def _shown(
    numbers: Callable[[str], tuple[int, int]] | None, rows: Sequence[_Row], end: int
) -> Callable[[str], list[_Row]] | None:
    """By a module's name, rows in place of the least (``end`` 0) or the most (1) examples that it shows."""
    return None if numbers is None else lambda module: _evenly(rows, numbers(module)[end])


async def _recorded(
    program: Program,
    rows: Iterable[_Row],
    view: LedgerView,
    sample: Sample,
    shown: Callable[[str], Sequence[_Row]] | None = None,
    thoughts: bool = False,
) -> dict[Generator, RecordingModel]:
    """By generator, who recorded what it would ask for some rows, with the rows ``shown`` as its examples (None: its
    own); ``thoughts``: what a reply has beside the gold record stands in these too."""
    copies: dict[Generator, Generator] = {}
    recorders: dict[Generator, RecordingModel] = {}
    with warnings.catch_warnings(), tracing(sample):
        warnings.simplefilter("ignore")  # the search itself will say it
        for inputs, gold in rows:
            for generator, record in _generator_inputs(program, inputs, gold):
                if generator not in copies:
                    copies[generator] = copy.copy(generator)
                    copies[generator].language_model = recorders[generator] = _recorder(generator.language_model, view)
                    if shown is not None:
                        form = generator.asked_of(recorders[generator]) if thoughts else generator.gold_model
                        copies[generator].examples = tuple(_examples(program, generator, shown(generator.name), form))
                with contextlib.suppress(RefusedInputError):
                    await Generator.call(copies[generator], record)
    return recorders


def _recorder(model: LanguageModel, view: LedgerView) -> RecordingModel:
    return RecordingModel(model, view.capabilities(model))


def _examples(
    program: Program, wanted: Generator, rows: Sequence[_Row], model: type[DataModel]
) -> Iterator[dict[str, Any]]:
    for inputs, gold in rows:
        record = next(record for generator, record in _generator_inputs(program, inputs, gold) if generator is wanted)
        yield {"input": record.get_json(), "output": placeholder_record(model, gold).get_json()}


def _generator_inputs(
    program: Program, inputs: Sequence[Any], gold: DataModel
) -> Iterator[tuple[Generator, DataModel]]:
    """Which generators a run of an example asks, one after the other, and what each one is given."""
    given = dict(zip(program.inputs, inputs, strict=False))

    def value(symbol: Symbol) -> DataModel:
        if symbol not in given:
            given[symbol] = placeholder_record(symbol.data_model, gold)
        return given[symbol]  # type: ignore[no-any-return]

    def inside(module: Module, records: list[DataModel]) -> Iterator[tuple[Generator, DataModel]]:
        if isinstance(module, Generator):
            yield module, records[0]
        elif isinstance(module, Program):
            yield from _generator_inputs(module, records, gold)
        else:
            for inner in module.submodules:
                yield from inside(inner, records)

    for node in program.graph.nodes:
        yield from inside(node.module, [value(symbol) for symbol in node.inputs])


async def _judging(reward: Reward, rows: list[_Row], view: LedgerView) -> list[_Question]:
    if isinstance(reward, Weighted):
        return [question for part in reward.rewards for question in await _judging(part, rows, view)]
    if not isinstance(reward, LMAsJudge):
        models = reward.language_models
        return [_Question(models[i % len(models)], *_GUESS) for i in range(reward.calls_per_example) if models]
    judge = copy.copy(reward)
    judge.language_model = recorder = _recorder(reward.language_model, view)
    judge.judgements = 1
    for _, gold in rows:
        with contextlib.suppress(JudgementError), tracing():  # no reply, no score
            await judge(gold, gold)
    replies = [placeholder_record(reward.reply_model, gold) for _, gold in rows]
    recorders = (recorder, recorder)
    return [_question(reward.language_model, recorders, view, reward.reply_model, replies, reward.judgements)]

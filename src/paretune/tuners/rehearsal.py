"""What a program would ask of its language models: its prompts are written, and nobody is called."""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretune.calls.trace import Sample, tracing
from paretune.errors import JudgementError, RefusedInputError
from paretune.lm.language_model import LanguageModel
from paretune.lm.rehearsal import Asked, LedgerView, Listener
from paretune.optimizers.opro import OPRO
from paretune.optimizers.proposals import Experience as Tried
from paretune.optimizers.proposals import ask_for_instructions
from paretune.programs.examples import Examples
from paretune.programs.generator import Generator
from paretune.programs.module import Symbol, inner_modules
from paretune.programs.program import Program
from paretune.rewards.judge import LMAsJudge
from paretune.schemas.data_model import DataModel
from paretune.tuners.run_trial import example_counts
from paretune.tuners.sizes import generated_tokens, made_up, prompt_tokens, reply_tokens
from paretune.tuners.tally import Range, Take, Tally, added

__all__ = ["Rehearsal", "rehearse"]


@dataclass(frozen=True)
class _Question:
    """One question that each run of an example asks: of whom, and the tokens of a call."""

    model: LanguageModel
    prompt: Range
    completion: Range

    def take(self, calls: int, at_once: int) -> Tally:
        """So many calls of it, as many at once as the model and the program allow."""
        turns = calls / max(1, min(self.model.concurrency, at_once))
        one = Take(Range.exactly(calls), self.prompt.times(calls), self.completion.times(calls), Range.exactly(turns))
        return {"": one, self.model.model: one} if calls else {}


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

    def training(self, initial_epoch: int, epochs: int, parallel: int = 1) -> Tally:
        """What a training from ``initial_epoch`` up to ``epochs`` takes, its validation included, when every reply is
        valid (some calls follow valid replies only)."""
        n_train, n_val = example_counts(self.fit)
        optimizer = self.program.optimizer
        n_train = n_train if optimizer is not None else 0
        batch_size = self.fit.get("batch_size") or 32
        tallies = []
        for question in self.questions:
            tallies.append(question.take(n_train * (epochs - initial_epoch), batch_size * parallel))
            tallies.append(question.take(n_val * (epochs - initial_epoch), n_val * parallel))
        if optimizer is not None and self.proposing is not None:
            batches = math.ceil(n_train / batch_size)
            until, before = (
                optimizer.planned_calls(self.program.generators, batches * end) for end in (epochs, initial_epoch)
            )
            tallies.append(self.proposing.take(until - before, parallel))
        return added(tallies)

    def evaluation(self, examples: int) -> Tally:
        """What running so many examples takes."""
        return added(question.take(examples, examples) for question in self.questions)

    async def held(self, view: LedgerView, replicates: int, epochs: range) -> int:
        """How many of the trial's calls the ledger has replies for already, at least: a program without an optimizer is
        known to ask its validation as it is."""
        validation = self.fit.get("validation_data")
        if self.program.optimizer is not None or not validation:
            return 0
        if not any(view.experience(name) for name in self.models):
            return 0
        rows = _rows(self.program, *validation)
        found = 0
        for replicate in range(replicates):
            for epoch in epochs:
                heard = await _heard(self.program, rows, view, Sample(replicate, epoch))
                found += view.holds(one.key for asked in heard.values() for one in asked)
        return found


async def rehearse(program: Program, fit: Mapping[str, Any], view: LedgerView, rows: int) -> Rehearsal:
    """Write the prompts of a compiled program for an even sample of ``rows`` examples, and judge what they would take.

    No module of yours is run: what such a one would pass on is made up from its data model.
    """
    every = _rows(program, fit["x"], fit["y"])
    if fit.get("validation_data"):
        every += _rows(program, *fit["validation_data"])
    sample = _evenly(every, rows)
    questions = await _generators(program, sample, every[: example_counts(fit)[0]], view)
    questions += await _judge(program, sample, view)
    return Rehearsal(program, fit, tuple(questions), await _proposals(program, sample, view))


#: The input records of an example, and its gold record.
_Row = tuple[tuple[Any, ...], Any]


def _rows(program: Program, x: Sequence[Any], y: Sequence[Any]) -> list[_Row]:
    examples = Examples.of(program, x, y)
    return list(zip(examples.rows, examples.gold, strict=True))


def _evenly(rows: Sequence[Any], count: int) -> list[Any]:
    if count >= len(rows):
        return list(rows)
    return [rows[(2 * place + 1) * len(rows) // (2 * count)] for place in range(count)]


async def _generators(program: Program, rows: list[_Row], train: list[_Row], view: LedgerView) -> list[_Question]:
    low, high = _shown(program)
    fewest = await _heard(program, rows, view, Sample(), _evenly(train, low) if low is not None else None)
    most = await _heard(program, rows, view, Sample(), _evenly(train, high) if high is not None else None)
    longer = 1000 if isinstance(program.optimizer, OPRO) else 0  # proposed instructions are longer than one's own
    questions = []
    for generator in program.generators:
        model = generator.language_model
        experience = view.experience(model.model)
        least = Range.mean(prompt_tokens(one.request, experience) for one in fewest.get(generator, ()))
        largest = Range.mean(prompt_tokens(one.request, experience, longer) for one in most.get(generator, ()))
        completion = Range(1, 1000)
        if asked := fewest.get(generator):
            replies = [made_up(generator.data_model, gold) for _, gold in rows]
            reasons = Listener(model, view).capabilities["reasoning_effort"]
            completion = generated_tokens(asked[0].request, generator.data_model, replies, experience, reasons)
        questions.append(_Question(model, Range(least.low, max(least.high, largest.high)), completion))
    return questions


def _shown(program: Program) -> tuple[int | None, int | None]:
    """The fewest and the most examples that an optimizer shows; None where it leaves the program's own."""
    optimizer: Any = program.optimizer
    if isinstance(optimizer, OPRO):
        optimizer = optimizer.few_shot
    return getattr(optimizer, "nb_min_examples", None), getattr(optimizer, "nb_max_examples", None)


async def _heard(
    program: Program, rows: Iterable[_Row], view: LedgerView, sample: Sample, shown: Sequence[_Row] | None = None
) -> dict[Generator, list[Asked]]:
    """By generator, what it would ask for some rows, with the rows ``shown`` as its examples (None: its own)."""
    heard: dict[Generator, tuple[Generator, Listener]] = {}
    with warnings.catch_warnings(), tracing(sample):
        warnings.simplefilter("ignore")  # the search itself will say it
        for inputs, gold in rows:
            for generator, record in _asking(program, inputs, gold):
                if generator not in heard:
                    heard[generator] = _listening(generator, view)
                    if shown is not None:
                        heard[generator][0].examples = tuple(_examples(program, generator, shown))
                with contextlib.suppress(RefusedInputError):  # no text that could be sent: it takes nothing
                    await Generator.call(heard[generator][0], record)
    return {generator: listener.asked for generator, (_, listener) in heard.items()}


def _listening(generator: Generator, view: LedgerView) -> tuple[Generator, Listener]:
    """A copy of a generator that asks nobody."""
    listener, copied = Listener(generator.language_model, view), copy.copy(generator)
    copied.language_model = listener
    return copied, listener


def _examples(program: Program, wanted: Generator, rows: Sequence[_Row]) -> Iterator[dict[str, Any]]:
    for inputs, gold in rows:
        for generator, record in _asking(program, inputs, gold):
            if generator is wanted:
                yield {"input": record.get_json(), "output": made_up(wanted.gold_model, gold).get_json()}
                break


def _asking(program: Program, inputs: Sequence[Any], gold: DataModel) -> Iterator[tuple[Generator, DataModel]]:
    """Which generators an example goes through, and what each one is given."""
    given = dict(zip(program.inputs, inputs, strict=True))

    def value(symbol: Symbol) -> DataModel:
        if symbol not in given:
            given[symbol] = made_up(symbol.data_model, gold)
        return given[symbol]  # type: ignore[no-any-return]

    for node in program.graph.nodes:
        records = [value(symbol) for symbol in node.inputs]
        if isinstance(node.module, Generator):
            yield node.module, records[0]
        elif isinstance(node.module, Program):
            yield from _asking(node.module, records, gold)
        else:
            inner = (module for module in inner_modules(node.module) if isinstance(module, Generator))
            yield from ((module, records[0]) for module in inner)


async def _judge(program: Program, rows: list[_Row], view: LedgerView) -> list[_Question]:
    reward = program.reward
    if not isinstance(reward, LMAsJudge):  # nobody knows what another reward asks
        models = reward.language_models
        guess = Range(20, 1000)
        return [_Question(models[i % len(models)], guess, guess) for i in range(reward.calls_per_example) if models]
    listening = copy.copy(reward)
    listening.language_model = listener = Listener(reward.language_model, view)
    for _, gold in rows:
        with contextlib.suppress(JudgementError), tracing():  # a listener gives no score
            await listening(gold, gold)
    experience = view.experience(reward.language_model.model)
    asked = [one.request for one in listener.asked]
    reasons = listener.capabilities["reasoning_effort"]
    completion = reply_tokens(asked[0], 5, 10, experience, reasons)
    return [_Question(reward.language_model, Range.mean(prompt_tokens(one, experience) for one in asked), completion)]


async def _proposals(program: Program, rows: list[_Row], view: LedgerView) -> _Question | None:
    optimizer = program.optimizer
    if optimizer is None or not program.generators:
        return None
    first = program.generators[0]
    model = (*optimizer.language_models, first.language_model)[0]
    if not isinstance(optimizer, OPRO):
        return _Question(model, Range(20, 4000), Range(20, 1000))
    examples = [next(_examples(program, first, [row]), {}) for row in rows]
    own = {"instructions": first.instructions or "", "reward": 0.0, "examples": 0}
    asked = []
    for tried, shown, wrong in ((1, 0, 0), (optimizer.k_best, optimizer.nb_examples, optimizer.nb_mistakes)):
        listener = Listener(model, view)
        experience = Tried(tried=[own] * tried, examples=examples[:shown], mistakes=examples[:wrong])
        options = {"temperature": optimizer.temperature, "max_tokens": optimizer.max_tokens}
        await ask_for_instructions(listener, experience, variant=0, **options)  # type: ignore[arg-type]
        asked += [one.request for one in listener.asked]
    known = view.experience(model.model)
    low, high = (prompt_tokens(one, known) for one in asked)
    completion = reply_tokens(asked[0], 20, None, known, listener.capabilities["reasoning_effort"])
    return _Question(model, Range(low.low, high.high), completion)

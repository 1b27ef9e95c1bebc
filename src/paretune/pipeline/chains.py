"""From the steps of section ``program`` to the modules of a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paretune.errors import ConfigError
from paretune.lm.language_model import LanguageModel
from paretune.optimizers.gepa import GEPA
from paretune.optimizers.opro import OPRO
from paretune.optimizers.optimizer import Optimizer
from paretune.optimizers.random_few_shot import RandomFewShot
from paretune.pipeline.data_models import step_model
from paretune.pipeline.scoring import Scoring
from paretune.pipeline.sections.program import ProgramParams
from paretune.pipeline.sections.steps import INPUT, Step
from paretune.programs.generator import ChainOfThought, Generator, default_instructions
from paretune.programs.module import Input, Symbol
from paretune.programs.program import Program
from paretune.programs.select import Select
from paretune.schemas.data_model import DataModel

__all__ = ["chained", "optimizer_of", "output_of"]

_CHECK = (
    'The input also holds a draft of the answer, under names that begin with "{}". Repeat what is right in the draft, '
    "and correct what is wrong."
)


async def chained(
    steps: Sequence[Step], program: ProgramParams, scoring: Scoring, language_model: Callable[[Step], LanguageModel]
) -> Program:
    """The program of some steps, not yet compiled."""
    inputs = Input(scoring.input_model)
    results = {INPUT: inputs}
    for step in steps:
        gives = output_of(step, program, scoring)
        sees = await _seen(step, {name: results[name] for name in step.sees}, gives)
        settings = step.settings
        options: dict[str, Any] = {
            "instructions": _instructions(step, scoring.task.instructions, sees.data_model, gives),
            "structured_output": settings.structured_output,
            "samples": settings.samples,
            "name": step.name,
            **settings.options,
        }
        module: Generator
        if settings.chain_of_thought:
            module = ChainOfThought(gives, language_model(step), max_thinking=settings.max_thinking, **options)
        else:
            module = Generator(gives, language_model(step), **options)
        results[step.name or ""] = last = await module(sees)
    return Program(inputs, last, name=scoring.task.name)


def output_of(step: Step, program: ProgramParams, scoring: Scoring) -> type[DataModel]:
    """The data model of what a step gives."""
    if step.fields_of is None:
        return scoring.output_model
    return step_model(scoring.task, step.fields_of, program.steps[step.fields_of].fields or {})


def optimizer_of(steps: Sequence[Step], program: ProgramParams, seed: int) -> Optimizer | None:
    """What trains the program: examples for each step that shows some, and instructions, for which the steps take
    turns."""
    optimizer: Optimizer | None = None
    shared: dict[str, Any] = {"sampling": program.sampling, "stratify": program.stratify, "seed": seed}
    if any(step.settings.few_shot for step in steps):
        if steps[0].name is None:
            optimizer = RandomFewShot(program.few_shot, program.few_shot, **shared)
        else:
            optimizer = RandomFewShot(nb_examples={str(step.name): step.settings.few_shot for step in steps}, **shared)
    if program.instruction_search == "none":
        return optimizer
    searches: dict[str, type[OPRO | GEPA]] = {"opro": OPRO, "gepa": GEPA}
    return searches[program.instruction_search](few_shot=optimizer, seed=seed)


async def _seen(step: Step, given: Mapping[str, Symbol], gives: type[DataModel]) -> Symbol:
    """What a step sees, in one record: without the thinking of others, and a field that is called like another one, or
    like one that the step itself gives, after the step that it comes from."""
    if [*given] == [INPUT]:
        return given[INPUT]
    names = Counter(name for symbol in given.values() for name in symbol.gold_model.model_fields)
    names.update(list(gives.model_fields))
    fields = [
        (place, name, source if names[name] > 1 and source != INPUT else "")
        for place, (source, symbol) in enumerate(given.items())
        for name in symbol.gold_model.model_fields
    ]
    called = Counter(f"{before}_{name}" if before else name for _, name, before in fields)
    if twice := [name for name, count in called.items() if count > 1]:
        raise ConfigError(f"{step.place}: would see two fields {twice[0]!r}; rename one, or the step it is of")
    seen: Symbol = await Select(fields, name=f"{step.name}.{INPUT}")(*given.values())
    return seen


def _instructions(step: Step, task: str, sees: type[DataModel], gives: type[DataModel]) -> str | None:
    """The instructions of a step: its own; else the task's, or a sentence made of the fields that it declares, and that
    it is to check a draft."""
    if step.settings.instructions is not None:
        return step.settings.instructions
    if step.draft is None:
        return task if step.fields_of is None else None
    usual = task if step.fields_of is None else default_instructions(sees, gives)
    return f"{usual}\n\n{_CHECK.format(step.draft)}".strip()

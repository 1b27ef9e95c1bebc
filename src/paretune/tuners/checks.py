"""What is refused before a search makes its first call: of a tuner's class, of a program, of the arguments of fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

from paretune.errors import UsageError
from paretune.lm.language_model import LanguageModel
from paretune.metrics.measures import measures_of
from paretune.programs.program import Program
from paretune.trials.goals import Goals

__all__ = ["check_fit", "check_hooks", "check_objectives", "directions_of", "validates"]

#: What Keras-Tuner calls of a tuner's subclass, and nobody calls here.
_HOOKS = (
    *("run_trial", "load_model", "save_model"),
    *(f"on_{what}_{when}" for what in ("search", "trial", "epoch", "batch") for when in ("begin", "end")),
)


def check_hooks(tuner: type) -> None:
    """Refuse a subclass with a method that Keras-Tuner would call, and that would never be called here."""
    if own := [name for name in _HOOKS if hasattr(tuner, name)]:
        raise UsageError(
            f"{tuner.__name__}.{own[0]}() would never be called: what a trial builds belongs in build_program(hp), "
            "what happens in its training in search(…, callbacks=[…])"
        )


def directions_of(program: Program) -> dict[str, str]:
    """Which way is better of each measure that a program reports, by name without ``val_``."""
    return {measure.name: measure.direction for measure in measures_of([], [], program.metrics)}


def check_objectives(goals: Goals, program: Program, has_validation: bool, by: str | None = None) -> None:
    """Refuse, before the first call, an objective, a constraint or a rule's second goal that no trial can report."""
    reported = directions_of(program)
    per_class = {metric.name: metric.classes for metric in program.metrics if not metric.scalar}
    prefix = "val_" if has_validation else ""
    known = sorted(f"{prefix}{name}" for name in reported)
    wanted = [("objective", part.name) for part in goals.objectives]
    wanted += [("constraint", constraint.name) for constraint in goals.constraints]
    wanted += [] if by is None else [("winner.by", by)]
    for what, name in wanted:
        plain = name.removeprefix("val_")
        if plain in per_class:
            one = f"{name}_{per_class[plain][0]}"
            raise UsageError(f"{what} {name!r} has one value per class: choose average='macro', or one such as {one!r}")
        if name == f"val_{plain}" and plain in reported and not has_validation:
            raise UsageError(f"{what} {name!r} needs validation data: give validation_data=… or validation_split=…")
        if name == plain and plain in reported and program.optimizer is None:
            raise UsageError(f"{what} {name!r} is of the training examples, which run with an optimizer only")
        if name not in known and not (name == plain and plain in reported):
            raise UsageError(f"{what} {name!r} is reported by no metric (there are: {', '.join(known)})")
        if plain == "cost":
            _check_prices(what, name, program)
        for model in _asked(program):
            unmeasured: Callable[[], Mapping[str, str]] = getattr(model.backend, "unmeasured", dict)  # it need not know
            if reason := unmeasured().get(plain):
                raise UsageError(
                    f"{what} {name!r} cannot be told: {reason}; leave it out, or say what has it (lm.recording)"
                )


def _check_prices(what: str, name: str, program: Program) -> None:
    for model in _asked(program):
        if model.price() is None:
            fault = model.name_fault()
            raise UsageError(
                f"{what} {name!r}: the price of {model.model!r} is unknown{f' ({fault})' if fault else ''}; "
                "give one (price: {prompt: …, completion: …} in US dollars per million tokens)"
            )


def _asked(program: Program) -> list[LanguageModel]:
    """The language models of a program, and their fallbacks."""
    models = program.language_models
    return [*models, *(other for one in models for other in one.fallbacks)]


def validates(fit: Mapping[str, Any]) -> bool:
    """Whether these arguments of ``fit`` have validation examples."""
    return fit.get("validation_data") is not None or bool(fit.get("validation_split"))


def check_fit(program: Program, fit: Mapping[str, Any]) -> None:
    """Refuse arguments that a program's ``fit`` would refuse, or that train nothing."""
    known = [name for name in inspect.signature(program.fit).parameters if name != "replicate"]
    if unknown := [name for name in fit if name not in known]:
        raise UsageError(f"search() takes the arguments of Program.fit, not {unknown} (there are: {', '.join(known)})")
    given = fit.get("validation_data")
    if given is not None and not (isinstance(given, list | tuple) and len(given) == 2):
        raise UsageError("validation_data must be a pair (x, y) of inputs and gold records")
    epochs = {name: fit.get(name, usual) for name, usual in (("epochs", 1), ("initial_epoch", 0))}
    for name, value in epochs.items():
        if not isinstance(value, Integral):
            raise UsageError(f"{name} must be a whole number (got {value!r})")
    if not 0 <= epochs["initial_epoch"] < epochs["epochs"]:
        raise UsageError(
            f"epochs must be at least 1, and initial_epoch below it (got {epochs['epochs']}, {epochs['initial_epoch']})"
        )

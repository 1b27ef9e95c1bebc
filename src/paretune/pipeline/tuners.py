"""From params.yaml to a search."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.files import digest, digest_files, state_root
from paretune.import_closure import closure
from paretune.lm.backends.gateway import GatewayBackend
from paretune.lm.ledger.budget import Budget
from paretune.pipeline.command_files import process_files
from paretune.pipeline.own_code import own_files
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.sections.base import check_sections, section
from paretune.pipeline.sections.budget import BudgetParams
from paretune.pipeline.sections.objective import ObjectiveParams
from paretune.pipeline.sections.tuner import TunerParams
from paretune.pipeline.sections.winner import WinnerParams
from paretune.trials.goals import Objective
from paretune.trials.rules import Rule
from paretune.tuners import TUNERS
from paretune.tuners.tuner import Tuner

__all__ = ["code_digest", "make_tuner", "replying", "search_data"]

#: The examples of a search.
TRAIN, VALIDATION = Path("data/splits/train.jsonl"), Path("data/splits/val.jsonl")
#: The sections whose values decide what a trial's replies are.
_IDENTITY = ("task", "layout", "program")
#: The settings of language models that decide what a reply is; the others decide when it comes and what it costs.
_LM_IDENTITY = ("model", "api_base", "fallbacks")


def make_tuner(params: Mapping[str, Any], setup: ProgramSetup) -> Tuner:
    """The declared tuner; its state is kept below ``state_root()``, one file for each different search."""
    check_sections(
        params, {"budget": BudgetParams, "tuner": TunerParams, "objective": ObjectiveParams, "winner": WinnerParams}
    )
    objective = section(params, "objective", ObjectiveParams)
    search = setup.search
    chosen = section(params, "tuner", TunerParams)
    budget = Budget(**section(params, "budget", BudgetParams).model_dump())
    _check_budget(budget.declared(), setup)
    entry = TUNERS[chosen.name]
    module = importlib.import_module(f"paretune.tuners.oracles.{entry.module}")
    tuner: Callable[..., Tuner] = getattr(module, entry.class_name)
    return tuner(
        setup.build_program,
        objective=[Objective(**part.model_dump()) for part in objective.objectives],
        constraints=objective.constraints,
        rule=_declared_rule(params),
        seed=search.seed,
        directory=state_root(),
        project_name="searches",
        parallel_trials=search.parallel_trials,
        executions_per_trial=search.executions_per_trial,
        max_failure_rate=search.max_failure_rate,
        max_retries_per_trial=search.max_retries_per_trial,
        racing=search.racing,
        protect=search.protect,
        budget=budget,
        identity=_identity(params, setup),
        **chosen.options,
        **({} if entry.plans_epochs else {"max_trials": search.max_trials}),
    )


def _check_budget(budget: dict[str, Any] | None, setup: ProgramSetup) -> None:
    """Refuse caps that would not hold: a gateway makes calls under its own."""
    backend = setup.language_model(setup.lm.model).backend if budget is not None else None
    if isinstance(backend, GatewayBackend) and (its := backend.facts["budget"]) != budget:
        there = "has none" if its is None else f"has {its}"
        raise ConfigError(
            f"budget: {budget} is declared here, but the gateway at {backend.address}, which makes the calls, {there}: "
            "start it with the same budget, or declare none here"
        )


def search_data(setup: ProgramSetup) -> dict[str, Any]:
    """The arguments of a tuner's ``search``: the examples to train and to validate on, and for how long."""
    x, y = setup.scoring.read(TRAIN)
    length = {"epochs": setup.search.epochs, "batch_size": setup.search.batch_size}
    return {"x": x, "y": y, "validation_data": setup.scoring.read(VALIDATION), **length}


def _declared_rule(params: Mapping[str, Any]) -> Rule:
    """How the winner is chosen."""
    winner = section(params, "winner", WinnerParams)
    return Rule(winner.rule, winner.epsilon, winner.by, winner.allow_broken)


def _identity(params: Mapping[str, Any], setup: ProgramSetup) -> dict[str, Any]:
    program, own = setup.program, list(setup.scoring.layout.own_code.values())
    files = process_files(program) if program.is_own_process else set()
    if program.builder is not None:
        own, files = [*own, program.builder], {path for path in [Path.cwd() / program.source] if path.is_file()}
    return {"params": replying(params), "code": code_digest(own, files)}


def replying(params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of params.yaml that decide what a program of given hyperparameters replies."""

    def deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {name: settings[name] for name in _LM_IDENTITY if name in settings}

    models = {name: deciding(settings) for name, settings in params["lm"].get("models", {}).items()}
    sections = {name: params[name] for name in _IDENTITY}
    sections["program"] = {name: value for name, value in params["program"].items() if name != "workers"}
    sections["layout"] = {name: value for name, value in params["layout"].items() if name != "metrics"}
    return {**sections, "lm": deciding(params["lm"]), "models": models}


def code_digest(own: Iterable[str] = (), more: Collection[Path] = ()) -> str:
    """A digest of the code that a search runs: all that this module reaches; what each ``module:name`` of the user's
    own reaches in the project's folder and its src/; and some files ``more``. It is the same wherever they are."""
    files = {*closure([__name__]), *own_files(own), *more}
    return digest(sorted(digest_files([file]) for file in files))

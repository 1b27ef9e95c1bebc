"""The declared program: what its hyperparameters make of it."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune import run_maybe_nested
from paretune.errors import ConfigError
from paretune.lm.backends.local_memory import loaded_models
from paretune.lm.language_model import LanguageModel
from paretune.lm.options import CallOptions
from paretune.optimizers import GEPA, OPRO, RandomFewShot
from paretune.pipeline.programs import ProgramSetup
from paretune.pipeline.sections.together import check_together
from paretune.tuners.building import build
from paretune.tuners.keras_api import HyperParameters

PARAMS = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"few_shot": 0}, (type(None), type(None))),
        ({"few_shot": 2}, (RandomFewShot, type(None))),
        ({"few_shot": 0, "instruction_search": "opro"}, (OPRO, type(None))),
        ({"few_shot": 0, "instruction_search": "gepa"}, (GEPA, type(None))),
        ({"few_shot": 2, "instruction_search": "opro"}, (OPRO, RandomFewShot)),
        ({"few_shot": 2, "instruction_search": "gepa"}, (GEPA, RandomFewShot)),
    ],
)
def test_what_is_trained(values: dict[str, Any], expected: tuple[type, type]) -> None:
    """Examples and instructions are searched where their hyperparameters say so, alone or together."""
    program = run_maybe_nested(ProgramSetup(PARAMS).declared_program(values))
    assert (type(program.optimizer), type(getattr(program.optimizer, "few_shot", None))) == expected
    few_shot = getattr(program.optimizer, "few_shot", program.optimizer)
    assert getattr(few_shot, "nb_max_examples", 0) == values["few_shot"]


@pytest.mark.parametrize(("declared", "limit"), [(2.5, 2_500_000_000), (None, None)])
def test_the_memory_of_local_models(monkeypatch: pytest.MonkeyPatch, declared: float | None, limit: int | None) -> None:
    """Gigabytes in the configuration; nothing said is nothing limited but by the machine."""
    monkeypatch.setattr(loaded_models, "limit", 1)
    ProgramSetup({**PARAMS, "lm": {**PARAMS["lm"], "memory_gb": declared}})
    assert loaded_models.limit == limit


def test_call_options_are_hyperparameters() -> None:
    """Also those of one provider, under names of their own; what cannot be sent is refused with its place."""
    params = copy.deepcopy(PARAMS)
    params["search"]["space"] = {
        "top_p": {"kind": "float", "min": 0.1, "max": 1.0},
        "stop": {"kind": "choice", "values": ["#", "##"]},
        "extra": {"top_k": {"kind": "choice", "values": [5, 20]}},
    }
    params["program"]["extra"] = {"min_p": 0.1}
    setup = ProgramSetup(params)
    hyperparameters = HyperParameters()
    hyperparameters.values = {"top_p": 0.5, "stop": "##", "extra.top_k": 20}
    (generator,) = run_maybe_nested(build(setup.build_program, hyperparameters)).generators
    sent = CallOptions(temperature=0, max_tokens=256, top_p=0.5, stop=("##",), extra={"min_p": 0.1, "top_k": 20})
    assert generator.options == sent
    params["search"]["space"] = {"extra.api_key": {"kind": "choice", "values": ["a"]}}
    with pytest.raises(ConfigError, match=r"extra: .*api_key_env instead of 'api_key'$"):
        ProgramSetup(params)


BUILDER = """
import paretune

JUDGE = paretune.LanguageModel("openai/judge")


class Text(paretune.DataModel):
    text: str


class Label(paretune.DataModel):
    label: str


async def build_program(hp):
    inputs = paretune.Input(data_model=Text)
    model = hp.Choice("model", ["openai/a", "openai/b"])
    made = paretune.LanguageModel(model, timeout_s=7) if hp.Boolean("object", default=True) else model
    outputs = await paretune.Generator(data_model=Label, language_model=made)(inputs)
    program = paretune.Program(inputs=inputs, outputs=outputs)
    program.compile(reward=paretune.rewards.ExactMatch())
    return program
"""
ADDRESS = "http://127.0.0.1:9/v1"
PRICES = {"prompt": 1.0, "completion": 2.0, "cached": 0.5}
MODELS = {
    "openai/b": {"price": PRICES, "concurrency": 3, "fallbacks": ["openai/a"]},
    "openai/a": {"fallbacks": ["openai/b"], "timeout_s": 5},
    "openai/judge": {"api_base": ADDRESS + "/judge"},
}


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Params with a program of one's own, whose models are on a server, one of them with settings of its own."""
    (tmp_path / "own_builder.py").write_text(BUILDER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_builder", raising=False)
    params = copy.deepcopy(PARAMS)
    params["program"] |= {"builder": "own_builder:build_program", "source": "own_builder.py"}
    params["search"]["space"] = {}
    params["evaluate"]["baseline"] = None
    params["lm"] |= {"model": "openai/a", "api_base": ADDRESS, "max_attempts": 2, "models": MODELS}
    return params


@pytest.mark.parametrize("as_object", [True, False])
def test_a_builders_models_are_reached_as_declared(builder: dict[str, Any], as_object: bool) -> None:
    """By their names, made as objects or by the generator; what the builder itself says goes before."""
    setup = ProgramSetup(builder)
    hyperparameters = HyperParameters()
    hyperparameters.values = {"model": "openai/b", "object": as_object}
    (model,) = run_maybe_nested(build(setup.build_program, hyperparameters)).language_models
    assert model.arguments is not None and model.pricing == {**PRICES} == model.arguments["price"]
    reached = [model.arguments[name] for name in ("api_base", "concurrency", "max_attempts", "timeout_s")]
    assert reached == [ADDRESS, 3, 2, 7 if as_object else PARAMS["lm"]["timeout_s"]]
    (fallback,) = model.fallbacks
    assert (fallback.model, fallback.fallbacks, fallback.arguments["timeout_s"]) == ("openai/a", [], 5)  # type: ignore[index]
    judge = sys.modules["own_builder"].JUDGE
    assert judge.arguments["api_base"] == ADDRESS + "/judge"
    assert LanguageModel("openai/b", api_base=ADDRESS).max_attempts == 5  # outside of the builder nothing is declared


def test_models_that_a_builder_does_not_make(builder: dict[str, Any]) -> None:
    """Settings of a name that no program uses are refused once the programs are known, with the name that was meant;
    each value of a choice counts as used."""
    builder["lm"]["models"] = {**MODELS, "openai/jugde": {"concurrency": 1}}
    setup, space = ProgramSetup(builder), HyperParameters()
    space.Choice("style", ["short", "long"])
    run_maybe_nested(build(setup.build_program, space))
    used = r"\(it uses: openai/a, openai/b, openai/judge\); did you mean 'openai/judge'"
    with pytest.raises(ConfigError, match=rf"no model 'openai/jugde'.* {used}"):
        setup.check_models(space)
    del builder["lm"]["models"]["openai/jugde"]
    setup.check_models(space)


@pytest.mark.parametrize("place", ["lm.model", "lm.fallbacks", "space", "baseline", "program.model", "other"])
def test_models_that_nobody_uses(place: str) -> None:
    """Of the declared program all models are known beforehand: lm.models may name these, and is checked at once."""
    params = copy.deepcopy(PARAMS)
    params["lm"]["models"] = {"openai/mine": {"concurrency": 2}}
    if place.startswith("lm."):
        params["lm"][place[3:]] = "openai/mine" if place == "lm.model" else ["openai/mine"]
    elif place == "space":
        params["search"]["space"]["model"] = {
            "kind": "choice",
            "values": ["local/smollm2-135m-instruct", "openai/mine"],
        }
    elif place == "baseline":
        params["evaluate"]["baseline"] = {"model": "openai/mine"}
    elif place == "program.model":
        params["program"]["model"] = "openai/mine"
    if place == "other":
        params["lm"]["model"] = "openai/mines"
        with pytest.raises(ConfigError, match=r"lm.models: the search uses no model 'openai/mine'.* did you mean"):
            check_together(params)
    else:
        check_together(params)

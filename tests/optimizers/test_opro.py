"""OPRO: instructions that a language model proposes, and what becomes of them."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from odd_numbers import Number, Parity, numbers

from paretune import Generator, Input, Program, ScriptedLanguageModel, clear_session, run_maybe_nested
from paretune.errors import FatalError, RefusedInputError, TransientError, UsageError
from paretune.lm.language_model import LanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.optimizers import OPRO, RandomFewShot
from paretune.tuners import GridSearch
from paretune.tuners.run_trial import planned_calls

ORIGINAL = "care 0"


def is_proposal(request: Request) -> bool:
    """Whether instructions are asked for, and not an answer."""
    return list(request.schema["properties"]) == ["instructions"]


def shown(request: Request) -> dict[str, Any]:
    """What a question for instructions shows."""
    return json.loads(request.messages[-1][1])


def dice(*parts: Any) -> float:
    """A number in [0, 1), always the same for the same parts."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 2**32


def quality(instructions: str) -> float:
    """How often the model is right under the instructions ``care k``: 0.2 for 0, up to 0.9 for 10."""
    return 0.2 + 0.07 * int(instructions.split()[1])


def answer(request: Request) -> str:
    """An answer that is right as often as the instructions deserve."""
    care = re.match(r"care \d+", request.messages[0][1])[0]
    number = shown(request)["n"]
    right = dice(number, care) < quality(care)
    return json.dumps({"parity": "odd" if (number % 2 == 1) is right else "even"})


def propose(request: Request) -> str:
    """A step up or down, or far away, from the best instructions shown."""
    best = int(shown(request)["tried"][-1]["instructions"].split()[1])
    step = int(dice(request.messages, request.replicate) * 8) - 3
    return json.dumps({"instructions": f"care {min(10, max(0, best + step))}"})


def scripted(proposer: Callable[[Request], str] = propose) -> Callable[[Request], str]:
    """The script of a model that answers, and proposes by ``proposer``."""
    return lambda request: proposer(request) if is_proposal(request) else answer(request)


@pytest.fixture
def make(tmp_path) -> Callable[..., Program]:
    """Makes compiled programs of one generator, or of a chain of them."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def program(
        optimizer: Any, proposer: Callable[[Request], str] = propose, links: int = 1, **options: Any
    ) -> Program:
        clear_session()
        model = ScriptedLanguageModel(scripted(proposer), **{"ledger": ledger, "max_attempts": 1, **options})

        async def build() -> Program:
            symbol = inputs = Input(data_model=Number)
            for link in range(links):
                output = Parity if link == links - 1 else Number
                symbol = await Generator(data_model=output, language_model=model, instructions=ORIGINAL)(symbol)
            return Program(inputs=inputs, outputs=symbol)

        built = run_maybe_nested(build())
        built.compile(optimizer=optimizer)
        return built

    return program


def asked(program: Program) -> list[Request]:
    """The requests for instructions that reached the model."""
    return [call for call in program.generators[0].language_model.backend.calls if is_proposal(call)]


def fit(program: Program, n: int = 24, **options: Any) -> Any:
    """Train on n numbers, six a batch, and validate on four."""
    options = {"validation_data": numbers(4, start=100), "batch_size": 6, **options}
    return run_maybe_nested(program.fit(*numbers(n), **options))


def test_finds_better_instructions(make):
    """Over a few epochs the installed instructions are far better than the first ones, and better for most seeds."""
    found = []
    for seed in range(8):
        program = make(OPRO(seed=seed))
        history = fit(program, 40, epochs=4, batch_size=8)
        assert history.states[-1]["modules"]["generator"]["instructions"] == program.generators[0].instructions
        found.append(quality(program.generators[0].instructions))
    assert statistics.fmean(found) > quality(ORIGINAL) + 0.4
    assert sum(value > quality(ORIGINAL) + 0.1 for value in found) >= 7


@pytest.mark.parametrize("few_shot", [None, RandomFewShot(1, 2, seed=1)])
@pytest.mark.parametrize(("n", "epochs", "batch_size", "every"), [(24, 1, 6, 2), (11, 3, 4, 1), (9, 2, 100, 3)])
def test_calls_are_those_planned(make, few_shot, n, epochs, batch_size, every):
    """The plan counts the examples' calls and one for each proposal, before the first call is made."""
    program = make(OPRO(few_shot=few_shot, every=every))
    planned = planned_calls(program, n, 4, epochs, batch_size)
    history = fit(program, n, epochs=epochs, batch_size=batch_size)
    ran = [outcome for part in (*history.training, *history.validation) for outcome in part.outcomes]
    proposals = sum(len(replies) for replies in history.proposals)
    assert sum(outcome.calls for outcome in ran) == epochs * (n + 4)
    assert sum(outcome.calls for outcome in ran) + proposals == planned
    # Proposals before batches 2, 2 + every, … of all epochs; no question is asked twice, so the ledger serves none.
    batches = -(-n // batch_size) * epochs
    assert proposals == len(range(1, batches, every)) == len(asked(program))


def test_plan_of_a_resumed_training(make):
    """A training that goes on from a state makes as many proposals as it plans: its first batch is not the first."""
    begun = make(OPRO(every=1))
    fit(begun, epochs=1)
    resumed = make(OPRO(every=1))
    resumed.load_state(begun.get_state())
    planned = planned_calls(resumed, 24, 4, 2, 6)
    history = fit(resumed, epochs=3, initial_epoch=1)
    assert planned == 2 * (24 + 4) + sum(len(replies) for replies in history.proposals) == 2 * (24 + 4) + 8


def test_trial_totals_hold_the_proposals(make, tmp_path):
    """Calls, tokens and costs of a trial are those of everything that the model was asked, proposals included."""
    programs = []

    def build_program(hp: Any) -> Program:
        hp.Fixed("nothing", 1)
        programs.append(make(OPRO(every=1), price=Price(1e6, 2e6)))
        return programs[-1]

    tuner = GridSearch(build_program, directory=tmp_path, verbose=False)
    x, y = numbers(24)
    tuner.search(x=x, y=y, validation_data=numbers(4, start=100), batch_size=6)
    (record,) = tuner.trial_records()
    requests = programs[-1].generators[0].language_model.backend.calls
    assert record.calls == len(requests) == tuner.session.paid == 24 + 4 + 3
    assert record.prompt_tokens == sum(len(text.split()) for request in requests for _, text in request.messages)
    assert record.cost_usd == pytest.approx(record.prompt_tokens + 2 * record.completion_tokens)
    assert record.cost_usd == pytest.approx(tuner.session.spent_usd)
    assert record.state["modules"]["generator"]["instructions"] == programs[-1].generators[0].instructions


def test_a_stored_state_goes_on_exactly(make):
    """Two epochs, the state through JSON with its keys in any order, and two more are the same as four epochs."""

    def optimizer() -> OPRO:
        return OPRO(few_shot=RandomFewShot(1, 2, seed=5), every=1, seed=3)

    whole, begun, resumed = make(optimizer()), make(optimizer()), make(optimizer())
    four = fit(whole, epochs=4)
    fit(begun, epochs=2)
    resumed.load_state(json.loads(json.dumps(begun.get_state(), sort_keys=True)))
    two = fit(resumed, epochs=4, initial_epoch=2)
    assert two.history["val_reward"] == four.history["val_reward"][2:]
    assert resumed.get_state() == whole.get_state() != begun.get_state()
    with pytest.raises(UsageError):
        OPRO().load_state(optimizer().get_state())


def test_order_of_replies_does_not_matter(make, tmp_path):
    """At any concurrency, in whatever order replies come back, the training is the same."""
    states = []
    for concurrency in (1, 4, 32):
        program = make(
            OPRO(few_shot=RandomFewShot(seed=2), every=1, seed=7),
            ledger=Ledger(tmp_path / f"{concurrency}.sqlite"),
            concurrency=concurrency,
            latency_s=0.0005,
            jitter=True,
        )
        fit(program, epochs=3, batch_size=5)
        states.append(program.get_state())
    assert states[0] == states[1] == states[2]
    assert len(states[0]["optimizer"]["candidates"]) > 2


def failing(error: Exception) -> Callable[[Request], str]:
    """A proposer that raises."""

    def proposer(request: Request) -> str:
        raise error

    return proposer


@pytest.mark.parametrize(
    "proposer",
    [
        lambda request: "I would rather not.",
        lambda request: "{}",
        lambda request: json.dumps({"instructions": " \n"}),
        lambda request: json.dumps({"instructions": f" {ORIGINAL.replace(' ', '  ')}\n"}),
        lambda request: json.dumps({"instructions": "care 10 " * 1000}),
        failing(TransientError("503")),
        failing(RefusedInputError("content filter")),
    ],
    ids=["prose", "no field", "empty", "known", "endless", "no reply", "refused"],
)
def test_useless_proposals_are_dropped(make, proposer):
    """Each is asked for once and changes nothing: all examples run under the instructions that were there."""
    program = make(OPRO(every=1), proposer)
    history = fit(program, epochs=2)
    assert program.generators[0].instructions == ORIGINAL
    assert len(program.optimizer.get_state()["candidates"]) == 1
    assert len(asked(program)) == 7  # of eight batches all but the first
    assert len({request.replicate for request in asked(program)}) == 7
    plain = make(RandomFewShot(0, 0))
    assert fit(plain, epochs=2).history["reward"] == history.history["reward"]


def test_worse_proposals_are_not_kept(make):
    """Instructions that earn less are tried, and then left again."""
    program = make(OPRO(every=1), lambda request: json.dumps({"instructions": f"care 0 {request.replicate}"}))
    program.generators[0].instructions = "care 10"
    fit(program, epochs=3)
    assert len(program.optimizer.get_state()["candidates"]) > 5
    assert program.generators[0].instructions == "care 10"


@pytest.mark.parametrize("seed", range(3))
def test_batches_between_run_under_the_better_ones(make, seed):
    """Where nothing new is proposed, most examples run under the instructions that earn more, but not at once all."""
    program = make(OPRO(seed=seed), lambda request: json.dumps({"instructions": "care 6"}))
    fit(program, epochs=6)
    original, better = program.optimizer.get_state()["candidates"]
    assert better["n"] > 2 * original["n"] > 2 * 6
    assert original["n"] + better["n"] == 6 * 24


@pytest.mark.parametrize("error", [FatalError("bad key"), ZeroDivisionError("a bug")])
def test_fatal_errors_stop_the_training(make, error):
    """What no further call can cure, and bugs, come out as themselves; nothing more is asked."""
    program = make(OPRO(), failing(error))
    with pytest.raises(type(error)) as raised:
        fit(program)
    assert raised.value is error
    assert len(program.generators[0].language_model.backend.calls) == 6 + 1


def test_what_the_question_shows(make):
    """The instructions tried, best last, with their rewards; examples and mistakes from outside the coming batch."""
    program = make(OPRO(every=1, nb_examples=3, nb_mistakes=2, k_best=3, seed=1))
    fit(program, epochs=3, shuffle=False)
    calls = program.generators[0].language_model.backend.calls
    earned: list[bool] = []
    step = 0
    for before, request in enumerate(calls):
        if not is_proposal(request):
            earned.append(dice(shown(request)["n"], ORIGINAL) < quality(ORIGINAL))
            continue
        step += 1
        question = shown(request)
        assert (request.options.temperature, request.messages[0][0]) == (1.0, "system")
        assert 1 <= len(question["tried"]) <= 3
        best = question["tried"][-1]["instructions"]
        if before == 6:
            assert question["tried"] == [
                {"instructions": ORIGINAL, "reward": pytest.approx(sum(earned) / 6, abs=1e-3), "examples": 6}
            ]
        coming = range(6 * (step % 4), 6 * (step % 4) + 6)
        assert len(question["examples"]) == 3 and len(question["mistakes"]) <= 2
        for example in question["examples"]:
            assert example["output"] == {"parity": "odd" if example["input"]["n"] % 2 else "even"}
            assert example["input"]["n"] < 24 and example["input"]["n"] not in coming
        for mistake in question["mistakes"]:
            number = mistake["input"]["n"]
            assert dice(number, best) >= quality(best) and number not in coming
            assert mistake["right_output"] == {"parity": "odd" if number % 2 else "even"} != mistake["output"]
    assert any(shown(request)["mistakes"] for request in asked(program))


def test_modules_take_turns(make):
    """In a chain one module's instructions change at a time; inner mistakes have no known right output."""
    optimizer = OPRO(every=1, seed=2)

    def proposer(request: Request) -> str:
        return json.dumps({"instructions": f"care 1{len(asked(program))}"})

    program = make(optimizer, proposer, links=2)
    program.generators[0].language_model.backend.script = lambda request: (
        proposer(request)
        if is_proposal(request)
        else json.dumps({"n": shown(request)["n"]} if "n" in request.schema["properties"] else {"parity": "odd"})
    )
    planned = planned_calls(program, 24, 4, 1, 6)
    history = fit(program)
    candidates = optimizer.get_state()["candidates"]
    changed = [
        [name for name, text in candidate["instructions"].items() if text != ORIGINAL] for candidate in candidates[:3]
    ]
    assert changed[0] == [] and changed[1] == ["generator"] and "generator_1" in changed[2]
    assert planned == 2 * (24 + 4) + 3 == 2 * (24 + 4) + len(history.proposals[0])
    mistakes = [mistake for request in asked(program) for mistake in shown(request)["mistakes"]]
    assert mistakes and all(set(mistake) == {"input", "output"} for mistake in mistakes)


def test_examples_are_searched_beside(make, tmp_path):
    """With few_shot both are searched: the examples as that optimizer does alone, the instructions as ever."""
    program = make(OPRO(few_shot=RandomFewShot(2, 2, seed=4), every=1, seed=4))
    fit(program, epochs=3)
    alone = make(RandomFewShot(2, 2, seed=4), ledger=Ledger(tmp_path / "other.sqlite"))
    fit(alone, epochs=1)
    first, second = (one.generators[0].language_model.backend.calls[0].messages for one in (program, alone))
    assert first == second and "Examples:" in first[0][1]
    population = program.get_state()["optimizer"]["few_shot"]["population"]
    installed = [example["input"]["n"] for example in program.generators[0].examples]
    assert installed == population[0]["choice"]["generator"] and len(installed) == 2
    assert program.generators[0].instructions != ORIGINAL


def test_a_model_of_its_own(make, tmp_path):
    """Proposals may come from another model, which a search counts and tells from others."""
    teacher = ScriptedLanguageModel(propose, name="teacher", ledger=Ledger(tmp_path / "teacher.sqlite"))
    programs: list[Program] = []

    def search(language_model: LanguageModel) -> GridSearch:
        def build_program(hp: Any) -> Program:
            hp.Fixed("nothing", 1)
            programs.append(make(OPRO(language_model)))
            return programs[-1]

        tuner = GridSearch(build_program, directory=tmp_path, verbose=False)
        x, y = numbers(24)
        tuner.search(x=x, y=y, validation_data=numbers(4, start=100), batch_size=6)
        return tuner

    tuner = search(teacher)
    assert len(teacher.backend.calls) == 2 and asked(programs[-1]) == []
    assert tuner.session.paid == tuner.trial_records()[0].calls == 24 + 4 + 2
    other = ScriptedLanguageModel(propose, name="other", ledger=teacher.ledger)
    assert search(other).resumed == 0 and search(teacher).resumed == 1


@pytest.mark.parametrize("options", [{"k_best": 0}, {"every": 0}, {"nb_examples": -1}, {"nb_mistakes": -1}])
def test_impossible_options_are_refused(options):
    """Options that cannot work are errors at once."""
    with pytest.raises(UsageError):
        OPRO(**options)

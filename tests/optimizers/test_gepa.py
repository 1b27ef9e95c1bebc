"""GEPA: instructions improved by reflection, with the library gepa."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest
from odd_numbers import numbers
from test_opro import ORIGINAL, asked, fit, is_proposal, make, quality, shown  # noqa: F401

from paretune import run_maybe_nested
from paretune.errors import FatalError, TransientError, UsageError
from paretune.optimizers import RandomFewShot
from paretune.tuners.run_trial import planned_calls

pytest.importorskip("gepa", reason="needs the extra gepa")

from paretune.optimizers import GEPA  # noqa: E402


def train(program: Any, epochs: int = 2, **options: Any) -> Any:
    """Train on 40 numbers, eight a batch."""
    return fit(program, 40, batch_size=8, epochs=epochs, **options)


def test_finds_better_instructions(make):  # noqa: F811
    """Over a few epochs the installed instructions become better for most seeds, and never worse."""
    found = []
    for seed in range(6):
        program = make(GEPA(seed=seed))
        train(program, 4)
        found.append(quality(program.generators[0].instructions))
    assert statistics.mean(found) > quality(ORIGINAL) + 0.2


@pytest.mark.parametrize("few_shot", [None, RandomFewShot(1, 2, seed=5)])
def test_an_epoch_has_as_many_runs_as_training_examples(make, few_shot):  # noqa: F811
    """Whatever GEPA chooses to run, an epoch has N runs, and its proposals stay below what was planned."""
    program = make(GEPA(few_shot=few_shot, seed=1))
    planned = planned_calls(program, 40, 4, 2, 8)
    history = train(program)
    assert [len(part.outcomes) for part in history.training] == [40, 40]
    proposals = sum(len(part) for part in history.proposals)
    assert 0 < proposals == len(asked(program)) <= planned - 2 * (40 + 4)


def test_reflects_on_training_examples_only(make):  # noqa: F811
    """A question shows a minibatch of training examples, with their rewards, and no validation example."""
    program = make(GEPA(minibatch=4))
    train(program)
    for request in asked(program):
        seen = shown(request)
        records = seen["examples"] + seen["mistakes"]
        assert len(records) == 4 and len(seen["mistakes"]) > 0
        assert all(record["input"]["n"] < 100 and "right_output" in record for record in records)


@pytest.mark.parametrize("few_shot", [False, True])
def test_goes_on_from_a_state_of_json(make, few_shot):  # noqa: F811
    """An epoch in a new program, from the first epoch's state, is what it would have been in the old one."""

    def optimizer() -> GEPA:
        return GEPA(few_shot=RandomFewShot(1, 2, seed=5) if few_shot else None, seed=3)

    whole = make(optimizer())
    history = train(whole, 2)
    resumed = make(optimizer())
    resumed.set_state(json.loads(json.dumps(history.states[0])))
    again = train(resumed, 2, initial_epoch=1)
    assert json.dumps(again.states[-1]) == json.dumps(history.states[-1])
    assert not resumed.generators[0].language_model.backend.calls, "everything is in the ledger"


def test_killed_search_goes_on_from_the_ledger(make):  # noqa: F811
    """A training that failed half way pays, when it runs again, for the calls that it had not reached."""
    whole = make(GEPA(seed=2))
    states = train(whole).states
    again = make(GEPA(seed=2))
    assert train(again).states == states
    assert not again.generators[0].language_model.backend.calls


def test_takes_turns_with_several_modules(make):  # noqa: F811
    """Each module of a program gets proposals."""
    program = make(GEPA(seed=1), links=1)
    train(program)
    assert {call.schema["properties"].keys() >= {"instructions"} for call in asked(program)} == {True}


def test_fatal_errors_end_it_as_themselves(make):  # noqa: F811
    """What ends a search while GEPA reflects is raised, and not logged away by the library."""

    def proposer(request: Any) -> str:
        raise FatalError("the key is wrong")

    with pytest.raises(FatalError, match="the key is wrong"):
        train(make(GEPA(), proposer))


def test_useless_proposals_change_nothing(make):  # noqa: F811
    """Proposals that fail or repeat are dropped, and the instructions stay."""

    def failing(request: Any) -> str:
        raise TransientError("busy")

    for proposer in (failing, lambda request: json.dumps({"instructions": ORIGINAL})):
        program = make(GEPA(), proposer)
        history = train(program, 1)
        assert program.generators[0].instructions == ORIGINAL
        assert len(history.training[0].outcomes) == 40


def test_one_training_example_is_enough(make):  # noqa: F811
    """The smallest training set is both minibatch and front."""
    program = make(GEPA())
    history = run_maybe_nested(program.fit(*numbers(1), batch_size=1, epochs=3))
    assert [len(part.outcomes) for part in history.training] == [1, 1, 1]


def test_nothing_is_printed(make, capfd):  # noqa: F811
    """The library's progress stays silent."""
    train(make(GEPA()), 1, verbose=0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{"minibatch": 0}, {"pareto_share": 0}, {"pareto_share": 1.0}])
def test_options_that_cannot_work(options):
    """Are refused with their values."""
    with pytest.raises(UsageError, match="GEPA needs"):
        GEPA(**options)


def test_a_state_of_another_training(make):  # noqa: F811
    """A state that does not fit the training examples is refused, with a cure."""
    program = make(GEPA(seed=3))
    history = train(program, 1)
    other = make(GEPA(seed=3))
    other.set_state(history.states[0])
    with pytest.raises(UsageError, match="train anew"):
        fit(other, 24, batch_size=8, epochs=2, initial_epoch=1)

"""What a tuner tells of a search before it begins."""

from __future__ import annotations

import pytest
from odd_numbers import fit_arguments, mostly_right
from short_searches import SHORT, short_search

from paretune import ScriptedLanguageModel, run_maybe_nested
from paretune.errors import UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.tuners import RandomSearch


@pytest.fixture
def model(tmp_path):
    """A scripted model with a ledger of its own."""
    return ScriptedLanguageModel(mostly_right, ledger=Ledger(tmp_path / "ledger.sqlite"))


@pytest.mark.parametrize("kind", SHORT)
def test_the_plan_is_what_the_search_does(tmp_path, model, kind):
    """The number of trials, the first one's point and program, how long it is trained, and the record where the
    finished ones are found afterwards; making a plan calls nobody and begins no record."""
    tuner, fit = short_search(kind, tmp_path, model), fit_arguments(epochs=2)
    plan = run_maybe_nested(tuner.plan(**fit))
    values = plan.oracle.propose(plan.oracle.next_number())
    program = run_maybe_nested(plan.build(values))
    assert program.compiled and program.language_models == [model]
    assert plan.ledgers == [model.ledger] and not model.backend.calls
    assert not plan.record.exists() and plan.finished() == {}
    tuner.search(**fit)
    first, *_ = records = tuner.trial_records()
    assert len(records) == plan.total and first.values == values
    assert {number: found.metrics for number, found in plan.finished().items()} == {
        number: record.metrics for number, record in tuner.records.items()
    }
    own = tuner.oracle.continues
    assert ("epochs" in plan.fit) != own
    assert plan.epochs(values) == (0, values["tuner/epochs"] if own else 2)


def test_a_plan_to_overwrite_knows_no_finished_trial(tmp_path, model):
    """What the search discards first is not there for whoever looks ahead, but it is not discarded yet."""
    short_search("GridSearch", tmp_path, model).search(**fit_arguments())
    again = short_search("GridSearch", tmp_path, model, overwrite=True)
    plan = run_maybe_nested(again.plan(**fit_arguments()))
    assert plan.finished() == {} and plan.record.exists()


def test_a_plan_refuses_what_the_search_refuses(tmp_path, model):
    """Before a call is made: arguments that fit() has not, and a space without an end."""
    with pytest.raises(UsageError, match=r"takes the arguments of Program\.fit"):
        run_maybe_nested(short_search("GridSearch", tmp_path, model).plan(**fit_arguments(epoch=2)))
    endless = RandomSearch(lambda hp: _with_a_range(hp, tmp_path, model), "val_reward", None, directory=tmp_path)
    with pytest.raises(UsageError, match="the space has no end"):
        run_maybe_nested(endless.plan(**fit_arguments()))


def _with_a_range(hp, folder, model):
    hp.Float("any", 0, 1)
    return short_search("GridSearch", folder, model).build_program(hp)

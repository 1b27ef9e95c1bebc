"""GEPA: instructions improved by reflection, with the library gepa."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import signal
import statistics
import subprocess
import sys
from typing import Any

import pytest
import test_opro
from odd_numbers import numbers

from paretune import run_maybe_nested
from paretune.callbacks import Callback
from paretune.errors import FatalError, TransientError, UsageError
from paretune.optimizers import OPRO, RandomFewShot
from paretune.tuners.run_trial import planned_calls

pytest.importorskip("gepa", reason="needs the extra gepa")

from paretune.optimizers import GEPA

make = test_opro.make


def train(program: Any, epochs: int = 2, **options: Any) -> Any:
    """Train on 40 numbers, eight a batch."""
    return test_opro.fit(program, 40, batch_size=8, epochs=epochs, **options)


def test_finds_better_instructions(make):
    """Over a few epochs the installed instructions become better for most seeds, and never worse."""
    found = []
    for seed in range(6):
        program = make(GEPA(seed=seed))
        train(program, 4)
        found.append(test_opro.quality(program.generators[0].instructions))
    assert statistics.mean(found) > test_opro.quality(test_opro.ORIGINAL) + 0.2


@pytest.mark.parametrize("few_shot", [None, RandomFewShot(1, 2, seed=5)])
def test_an_epoch_has_as_many_runs_as_training_examples(make, few_shot):
    """Whatever GEPA chooses to run, an epoch has N runs, and its proposals stay below what was planned."""
    program = make(GEPA(few_shot=few_shot, seed=1))
    planned = planned_calls(program, 40, 4, 2, 8)
    history = train(program)
    assert [len(part.outcomes) for part in history.training] == [40, 40]
    proposals = sum(len(part) for part in history.proposals)
    assert 0 < proposals == len(test_opro.asked(program)) <= planned - 2 * (40 + 4)


@pytest.mark.parametrize("minibatch", [1, 3, 10])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 13])
def test_proposals_of_few_examples_stay_below_the_plan(make, n, minibatch):
    """A minibatch has no more examples than there are, and then proposals are more frequent."""
    program = make(GEPA(minibatch=minibatch), lambda request: json.dumps({"instructions": test_opro.ORIGINAL}))
    planned = program.optimizer.planned_calls(program.generators, n, 4, 5)
    run_maybe_nested(program.fit(*numbers(n), batch_size=4, epochs=5, verbose=0))
    assert len(test_opro.asked(program)) <= planned


def test_reflects_on_training_examples_only(make):
    """A question shows a minibatch of training examples, with their rewards, and no validation example."""
    program = make(GEPA(minibatch=4))
    train(program)
    for request in test_opro.asked(program):
        seen = test_opro.shown(request)
        records = seen["examples"] + seen["mistakes"]
        assert len(records) == 4 and len(seen["mistakes"]) > 0
        assert all(record["input"]["n"] < 100 and "right_output" in record for record in records)


def test_almost_right_is_a_mistake(make):
    """A reward that is 1.0 only when it is rounded is shown among the mistakes."""
    program = make(GEPA())
    program.compile(optimizer=GEPA(), reward=lambda y_true, y_pred: 0.9996)
    train(program, 1)
    seen = [test_opro.shown(request) for request in test_opro.asked(program)]
    assert seen and all(not each["examples"] and len(each["mistakes"]) == 3 for each in seen)


@pytest.mark.parametrize(("few_shot", "links"), [(False, 1), (True, 1), (False, 12)])
def test_goes_on_from_a_state_of_json(make, few_shot, links):
    """An epoch in a new program, from the first epoch's state, is what it would have been in the old one."""

    def optimizer() -> GEPA:
        return GEPA(few_shot=RandomFewShot(1, 2, seed=5) if few_shot else None, seed=3)

    whole = make(optimizer(), links=links)
    history = train(whole, 2)
    resumed = make(optimizer(), links=links)
    resumed.load_state(json.loads(json.dumps(history.states[0], sort_keys=True)))
    again = train(resumed, 2, initial_epoch=1)
    assert again.states == history.states[1:]
    assert not resumed.generators[0].language_model.backend.calls, "everything is in the ledger"


class CopiedOptimizer(Callback):
    """Goes on with a copy of the optimizer after each epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.program.optimizer = pickle.loads(pickle.dumps(copy.deepcopy(self.program.optimizer)))


def test_goes_on_as_a_copy(make):
    """A deep copy, and one from another process, goes on where the optimizer was."""
    whole, copied = make(GEPA(seed=3)), make(GEPA(seed=3))
    optimizer, states = copied.optimizer, train(whole, 3).states
    assert train(copied, 3, callbacks=[CopiedOptimizer()]).states == states
    assert copied.optimizer is not optimizer


KILLED = """
import json, os, signal, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
import test_gepa, test_opro
calls = []
def proposer(request):
    calls.append(request)
    if len(calls) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return test_opro.propose(request)
program = test_opro.make._get_wrapped_function()(Path(sys.argv[2]))(test_gepa.GEPA(seed=2), proposer)
history = test_gepa.train(program, verbose=0)
print(json.dumps([len(program.generators[0].language_model.backend.calls), history.states]))
"""


def test_killed_training_goes_on_from_the_ledger(tmp_path):
    """After kill -9 a training pays only for what it had not reached, and ends as if it had not been killed."""

    def run(ledger: str, kill_at: int) -> subprocess.CompletedProcess[str]:
        (tmp_path / ledger).mkdir(exist_ok=True)
        arguments = [json.dumps(sys.path), str(tmp_path / ledger), str(kill_at)]
        return subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)

    calls, states = json.loads(run("whole", 0).stdout)
    assert run("killed", 4).returncode == -signal.SIGKILL
    left, resumed = json.loads(run("killed", 0).stdout)
    assert resumed == states and 0 < left < calls
    assert json.loads(run("killed", 0).stdout) == [0, states]


def test_takes_turns_with_several_modules(make):
    """Each module of a chain gets proposals, one after the other from a parent."""

    def proposer(request: Any) -> str:
        return json.dumps({"instructions": test_opro.shown(request)["tried"][0]["instructions"] + " and more"})

    program = make(GEPA(seed=1), proposer, links=2)
    program.generators[1].instructions = "care 1"
    train(program, 2)
    tried = [test_opro.shown(request)["tried"][0]["instructions"] for request in test_opro.asked(program)]
    assert tried == ["care 0", "care 1"] * (len(tried) // 2) and tried


def test_fatal_errors_end_it_as_themselves(make):
    """What ends a search while GEPA reflects is raised, and not logged away by the library."""

    def proposer(request: Any) -> str:
        raise FatalError("the key is wrong")

    with pytest.raises(FatalError, match="the key is wrong"):
        train(make(GEPA(), proposer))


def test_useless_proposals_change_nothing(make):
    """Proposals that fail or repeat are dropped, and the instructions stay."""

    def failing(request: Any) -> str:
        raise TransientError("busy")

    for proposer in (failing, lambda request: json.dumps({"instructions": test_opro.ORIGINAL})):
        program = make(GEPA(), proposer)
        history = train(program, 1)
        assert program.generators[0].instructions == test_opro.ORIGINAL
        assert len(history.training[0].outcomes) == 40


def test_one_training_example_is_enough(make):
    """The smallest training set is both minibatch and front."""
    program = make(GEPA())
    history = run_maybe_nested(program.fit(*numbers(1), batch_size=1, epochs=3))
    assert [len(part.outcomes) for part in history.training] == [1, 1, 1]


def test_nothing_is_printed(make, capfd):
    """The library's progress stays silent."""
    train(make(GEPA()), 1, verbose=0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{"minibatch": 0}, {"pareto_share": 0}, {"pareto_share": 1.0}])
def test_options_that_cannot_work(options):
    """Are refused with their values."""
    with pytest.raises(UsageError, match="GEPA needs"):
        GEPA(**options)


def test_a_state_of_another_training(make):
    """A state that does not fit the training examples, the seed or the modules is refused, with a cure."""
    states = train(make(GEPA(seed=3), links=2), 1).states
    for seed, links, n in ((3, 2, 24), (4, 2, 40), (3, 1, 40)):
        other = make(GEPA(seed=seed), links=links)
        other.optimizer.load_state(states[0]["optimizer"])
        with pytest.raises(UsageError, match="train anew"):
            test_opro.fit(other, n, batch_size=8, epochs=2, initial_epoch=1)


@pytest.mark.parametrize("kind", [GEPA, OPRO, RandomFewShot])
def test_a_state_of_another_optimizer(kind):
    """Is refused by its parts, and not with a KeyError."""
    for other in {GEPA, OPRO, RandomFewShot} - {kind}:
        with pytest.raises(UsageError, match=f"another optimizer than {kind.__name__}"):
            kind().load_state(other().get_state())


def test_works_in_no_other_optimizer(make):
    """As it chooses what runs, it cannot be the few_shot of another optimizer; nothing is paid before it says so."""
    for outer in (GEPA, OPRO):
        program = make(outer(few_shot=GEPA()))
        with pytest.raises(UsageError, match="cannot be the few_shot"):
            train(program, 1)
        assert not program.generators[0].language_model.backend.calls


def test_work_grows_with_the_examples_only(make):
    """Four times the examples are four times the optimizer's work, proposals that never help included."""

    def proposer(request: Any) -> str:
        return json.dumps({"instructions": f"{test_opro.ORIGINAL} {request.replicate}"})

    def work(rows: int) -> int:
        calls = 0

        def count(frame: Any, event: str, _: Any) -> None:
            nonlocal calls
            calls += event == "call" and "gepa" in frame.f_globals.get("__name__", "")

        program = make(GEPA(seed=1), proposer)
        sys.setprofile(count)
        try:
            asyncio.run(program.fit(*numbers(rows), batch_size=8, epochs=1, verbose=0))
        finally:
            sys.setprofile(None)
        return calls

    assert 0 < work(240) < 5 * work(60)


def test_the_extra_is_missing(monkeypatch):
    """Without the library, or with another version of it, the optimizer says at once what to install."""
    for module in ("gepa.core.state", "gepa.gepa_utils"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(UsageError, match=r"pip install 'paretune\[gepa\]'"):
                GEPA()

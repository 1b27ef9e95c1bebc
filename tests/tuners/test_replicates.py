"""Replicates of a trial: what is recorded of them, and what the report makes of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_numbers import Parity, asked, fit_arguments, make_builder, mostly_right, numbers, rows

from paretune import ScriptedLanguageModel, run_maybe_nested
from paretune.errors import TransientError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.metrics import CategoricalF1Score
from paretune.metrics.measures import measures_of
from paretune.pipeline.scoring import measures_of_trial
from paretune.stats import Bootstrap
from paretune.tuners import GridSearch
from paretune.tuners.tuner import Tuner

Search = Callable[..., Tuner]


@pytest.fixture
def search(tmp_path) -> Search:
    """Searches a grid of two points, three replicates each; all searches share a ledger."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def run(script: Any = mostly_right, folder: Path = tmp_path, **options: Any) -> Tuner:
        model = ScriptedLanguageModel(script, ledger=ledger, max_attempts=1, price=Price(1.0, 1.0))
        options = {"objective": "val_reward", "executions_per_trial": 3, "verbose": False, **options}
        tuner = GridSearch(make_builder(model, [0.5]), directory=folder, **options)
        tuner.model = model
        tuner.search(**fit_arguments())
        return tuner

    return run


def better_each_time(request: Request) -> str:
    """In validation, replicate r is right on 2 + r of the four numbers 100 … 103; in training always."""
    right = asked(request) < 102 + request.replicate
    thinking = {"thinking": "well"} if "thinking" in request.schema["properties"] else {}
    return json.dumps({**thinking, "parity": "odd" if (asked(request) % 2 == 1) is right else "even"})


def test_means_and_standard_errors_by_hand(search, capsys):
    """Rewards 0.5, 0.75 and 1: their mean is 0.75, their deviation 0.25, so its standard error 0.25 / sqrt(3)."""
    tuner = search(better_each_time)
    for record in tuner.trial_records():
        assert [one.metrics["val_reward"] for one in record.replicates] == [0.5, 0.75, 1.0]
        assert record.metrics["val_reward"] == 0.75 and record.score == 0.75
        assert record.standard_errors["val_reward"] == pytest.approx(0.25 / math.sqrt(3))
        assert record.best_replicate == 2 and record.n == 4
    tuner.results_summary()
    assert "reward 0.75 ±0.14" in capsys.readouterr().out


def test_each_replicate_asks_and_draws_anew(search):
    """Three times the calls, none of them shared; each replicate has examples and a state of its own."""
    tuner = search()
    asked_by = Counter(call.replicate for call in tuner.model.backend.calls)
    assert asked_by == {0: 20, 1: 20, 2: 20} and tuner.session.paid == 60
    for record in tuner.trial_records():
        assert record.calls == 30
        assert len({json.dumps(one.state) for one in record.replicates}) == 3
        costs = [example.cost_usd for one in record.replicates for example in one.examples]
        assert len(costs) == 3 * 4 and record.cost_usd > sum(costs)  # the training's calls are counted as well


def test_the_winner_has_the_state_of_its_best_replicate(search):
    """A rebuilt program is the best of the replicates, the earlier of equals."""
    tuner = search()
    for trial in tuner.oracle.get_best_trials(2):
        record = tuner.records[trial.trial_id]
        rewards = [one.metrics["val_reward"] for one in record.replicates]
        assert record.best_replicate == rewards.index(max(rewards))
    best = tuner.records[tuner.oracle.get_best_trials(1)[0].trial_id]
    (program,) = run_maybe_nested(tuner.get_best_programs())
    assert best.state == best.replicates[best.best_replicate].state
    assert program.get_state()["modules"] == best.state["modules"]


def test_one_replicate_is_the_first_of_several(search, tmp_path):
    """A search without replicates has a record of its own, and its replies are those of replicate 0."""
    several = search()
    alone = search(executions_per_trial=1)
    assert alone.resumed == 0 and alone.session.paid == 0
    assert [row["replicates"][0] for row in rows(several)] == [row["replicates"][0] for row in rows(alone)]
    assert [record.standard_errors for record in alone.trial_records()] == [{}, {}]


def test_resumed_with_replicates(search, tmp_path):
    """A search whose second trial was not recorded goes on to the same records, out of the ledger."""
    expected = rows(search())
    (path,) = (tmp_path / "search").glob("*.jsonl")
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"\n") + 9])
    again = search()
    assert again.resumed == 1 and again.session.paid == 0 and rows(again) == expected
    assert search().resumed == 2


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failing_replicate_fails_the_trial(search, failing):
    """One replicate with too many failures, and the trial has no score; later replicates are not paid for."""

    def script(request: Request) -> str:
        if request.replicate == failing and request.options.temperature == 0.5 and asked(request) in (100, 101):
            raise TransientError("503")
        return mostly_right(request)

    tuner = search(script)
    for record in tuner.trial_records():
        assert record.status == "FAILED" and record.score is None and "50% of the examples" in record.error
        assert len(record.replicates) == failing + 1
    assert max(call.replicate for call in tuner.model.backend.calls) == failing
    assert tuner.oracle.get_best_trials(2) == []


@pytest.mark.parametrize(("retries", "status"), [(0, "FAILED"), (1, "FAILED"), (2, "COMPLETED"), (5, "COMPLETED")])
def test_a_failed_trial_is_run_again_at_once(search, retries, status):
    """max_retries_per_trial: so often; the replies that it had are not paid for again."""
    attempts: Counter[Any] = Counter()

    def script(request: Request) -> str:
        key = (request.replicate, "thinking" in request.schema["properties"])
        if asked(request) == 100 and attempts[key] < 2:
            attempts[key] += 1
            raise TransientError("503")
        return mostly_right(request)

    tuner = search(script, executions_per_trial=1, max_retries_per_trial=retries)
    assert [record.status for record in tuner.trial_records()] == [status] * 2
    assert len(tuner.model.backend.calls) == 2 * (9 + min(retries, 2) + 1)


def slow_bootstrap(replicates: list[list[dict[str, Any]]], gold: list[Parity], name: str, counts: Any) -> list[float]:
    """For each resample: take the examples, compute the metric of each replicate on them, and average."""
    metric = CategoricalF1Score(average="macro", name="f1").bind(Parity)
    found = []
    for count in counts:
        taken = [index for index, times in enumerate(count) for _ in range(times)]
        values = []
        for examples in replicates:
            measures = measures_of([examples[i] for i in taken], [gold[i].get_json() for i in taken], [metric])
            values.append(next(measure.value for measure in measures if measure.name == name))
        found.append(sum(values) / len(values))
    return found


@pytest.mark.parametrize("name", ["reward", "f1", "tokens_per_request"])
def test_bootstrap_takes_an_example_with_all_its_replicates(search, name):
    """The report's number is the mean over the replicates, over n examples, and its resamples are those of a loop."""
    tuner = search()
    _, gold = numbers(4, start=100)
    metric = CategoricalF1Score(average="macro", name="f1").bind(Parity)
    for record in tuner.trial_records():
        measures = measures_of_trial(record, gold, [metric])
        (measure,) = [measure for measure in measures if measure.name == name]
        assert measure.value == pytest.approx(record.metrics[f"val_{name}"])
        assert len(measure.statistics) == record.n == 4
        bootstrap = Bootstrap(4, resamples=30, seed=1)
        counts = np.concatenate(list(bootstrap.blocks()))
        slow = slow_bootstrap([one.examples for one in record.replicates], gold, name, counts)
        assert next(bootstrap.values([measure])) == pytest.approx(slow)

"""Searches whose trials race: who is dropped, by what, and that it is the same at any speed and after any kill."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_numbers import asked, digest_of, fit_arguments, make_builder, mostly_right, numbers, rows
from short_searches import SHORT, Searching, calls_in, records_in, run

from paretune import ScriptedLanguageModel, run_maybe_nested
from paretune.errors import BudgetError, TransientError, UsageError
from paretune.lm.ledger.budget import Budget
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.reporting.metrics_json import search_summary
from paretune.reporting.results import results
from paretune.reporting.tables import trial_table
from paretune.stats.racing import looks
from paretune.trials.choice import choose
from paretune.trials.frontier import frontier
from paretune.trials.record import TrialRecord, race_savings
from paretune.trials.rules import Rule
from paretune.trials.store import read_trials, write_trials
from paretune.tuners import GridSearch, Objective, RandomSearch
from paretune.tuners.tuner import Tuner

N = 100


def search(folder: Path, kind: Any = GridSearch, script: Any = mostly_right, n: int = N, **options: Any) -> Tuner:
    """A finished search over six points, with a ledger in the folder."""
    fit = {name: options.pop(name) for name in ("epochs", "callbacks", "validation_split") if name in options}
    model = ScriptedLanguageModel(script, ledger=Ledger(folder / "ledger.sqlite"), concurrency=16, max_attempts=1)
    tuner = kind(make_builder(model), **{"directory": folder, "racing": "sound", "verbose": False, **options})
    tuner.model = model
    tuner.search(**fit_arguments(validation_data=numbers(n, start=100), **fit))
    return tuner


def always_right(request: Request) -> str:
    """The right answer."""
    thinking = {"thinking": "well"} if "thinking" in request.schema["properties"] else {}
    return json.dumps({**thinking, "parity": "odd" if asked(request) % 2 else "even"})


def whole(record: TrialRecord) -> dict[str, Any]:
    """A record without what depends on the clock."""
    return {name: value for name, value in record.row().items() if "latency" not in name and name != "score"}


@pytest.mark.parametrize(("kind", "racing"), [*((kind, "fast") for kind in SHORT), ("GridSearch", "sound")])
def test_a_race_does_not_depend_on_speed(tmp_path, kind, racing):
    """The same trials are dropped after the same examples at any number of calls and, where no proposal needs results,
    of trials at once."""
    found = []
    free = kind in ("GridSearch", "RandomSearch", "Hyperband")
    for concurrency, trials in [(4, 2), (16, 2), *([(16, 1), (7, 6)] if free else [])]:
        folder = tmp_path / f"{concurrency}-{trials}"
        folder.mkdir()
        tuner = run(kind, folder, concurrency, racing, parallel_trials=trials)
        found.append(json.dumps(rows(tuner)))
        assert len(calls_in(folder)) == sum(record.calls for record in tuner.trial_records())
    assert any(record.dropped for record in tuner.trial_records())
    assert len(set(found)) == 1


@pytest.mark.parametrize("options", [{}, {"epochs": 3}, {"executions_per_trial": 2}, {"parallel_trials": 6}])
def test_who_is_not_dropped_is_as_without_a_race(tmp_path, options):
    """A trial that is not dropped has the record of a search without racing, and so has the winner; a dropped one has
    the outcomes of the first examples of the shared order, and the metrics of these."""
    full, raced = search(tmp_path, racing="none", **options), search(tmp_path, **options)
    assert raced.session.paid == 0, "a race asks nothing else"
    order = np.random.default_rng(0).permutation(N).tolist()
    statuses = [record.status for record in raced.trial_records()]
    assert statuses.count("DROPPED") >= 3 and statuses.count("COMPLETED") >= 1
    for one, other in zip(full.trial_records(), raced.trial_records(), strict=True):
        if (dropped := other.dropped) is None:
            assert whole(one) == whole(other)
            continue
        assert len(dropped.examples) in looks(N) and list(dropped.examples) == sorted(order[: len(dropped.examples)])
        assert other.n == len(dropped.examples) and one.calls == other.calls + dropped.saved
        for replicate in other.replicates:
            rewards = [outcome.reward for outcome in replicate.examples]
            assert replicate.metrics["val_reward"] == pytest.approx(np.mean(rewards))
        if len(one.replicates[0].state) and not options.get("epochs"):
            picked = [one.replicates[0].examples[place] for place in dropped.examples]
            assert [each.output for each in picked] == [each.output for each in other.replicates[0].examples]
    assert raced.get_best_hyperparameters()[0].values == full.get_best_hyperparameters()[0].values
    assert run_maybe_nested(raced.get_best_programs(9))  # those that are whole, rebuilt
    assert len(raced.oracle.get_best_trials(9)) == statuses.count("COMPLETED")


def test_what_is_dropped_wins_nothing(tmp_path, capsys):
    """A dropped trial is no winner and on no frontier and keeps nobody off it, whatever its metrics; the table, the
    summary and the search's last words tell of it."""
    tuner = search(tmp_path, verbose=True, objective=[Objective("val_reward"), Objective("val_tokens_per_request")])
    goals, records = tuner.oracle.goals, tuner.trial_records()
    dropped = [record for record in records if record.dropped]
    for record in dropped:
        record.metrics.update({"val_reward": 1.0, "val_tokens_per_request": 1.0})
    flags = frontier(records, goals)
    assert any(flags) and not any(flag for record, flag in zip(records, flags, strict=True) if record.dropped)
    assert choose(records, goals, Rule()).record.dropped is None
    savings = race_savings(records)
    assert savings == {"dropped": len(dropped), "calls_saved": sum(N - record.n for record in dropped)}
    summary = search_summary(records, goals)
    assert {name: summary[name] for name in savings} == savings and summary["failed"] == 0
    assert summary["completed"] + summary["dropped"] == summary["trials"] == 6
    table = trial_table(results(records, {}, goals, choose(records, goals, Rule()).record.trial))
    assert table["dropped_by"].notna().sum() == len(dropped) == (table["n"] < N).sum()
    write_trials(tmp_path / "trials.jsonl", records)
    assert read_trials(tmp_path / "trials.jsonl") == records
    told = capsys.readouterr().err
    by = int(dropped[0].dropped.by)
    assert f"dropped after {dropped[0].n} examples (trial {by}: e-value" in told
    assert f"racing dropped {len(dropped)} of 6 trials and saved {savings['calls_saved']} of 636 calls" in told


def test_rows_of_other_searches_are_as_ever(tmp_path):
    """Without racing, no row, no table and no summary has anything of it."""
    records, goals = (tuner := search(tmp_path, racing="none")).trial_records(), tuner.oracle.goals
    assert not any("dropped" in record.row() for record in records)
    assert not {"dropped", "calls_saved"} & search_summary(records, goals).keys()
    assert not [name for name in trial_table(results(records, {}, goals, "0001")).columns if "dropped" in name]


def test_a_finished_race_is_known(tmp_path):
    """A second search finds every trial; a race among more trials is another one, that asks hardly anything anew."""
    first = search(tmp_path, RandomSearch, max_trials=5)
    again = search(tmp_path, RandomSearch, max_trials=5)
    assert again.resumed == 5 and again.session.paid == again.session.served == 0 and rows(again) == rows(first)
    more = search(tmp_path, RandomSearch, max_trials=6)
    assert more.resumed == 0 and more.session.paid <= N + 6
    assert rows(more) == rows(search(tmp_path / "new", RandomSearch, max_trials=6))


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_half_written_record_is_raced_again(tmp_path, share):
    """Whatever part of a record is left, the race is repeated out of the ledger, to the same end."""
    expected = rows(search(tmp_path))
    (path,) = (tmp_path / "search").glob("*.jsonl")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    again = search(tmp_path)
    assert again.session.paid == 0 and rows(again) == expected
    assert search(tmp_path).session.served == 0


@pytest.mark.parametrize("kind", ["GridSearch", "BayesianOptimization", "Hyperband"])
def test_killed_races(tmp_path, kind):
    """Killed three times at random moments, a race ends as if nothing had happened."""
    (tmp_path / "whole").mkdir()
    expected, calls = rows(run(kind, tmp_path / "whole", racing="sound")), set(calls_in(tmp_path / "whole"))
    (tmp_path / "killed").mkdir()
    with Searching("sound") as searching:
        killed = searching.killed_at_random(kind, tmp_path / "killed", len(calls), 3, random.Random(5))
    assert killed and records_in(tmp_path / "killed") == expected and set(calls_in(tmp_path / "killed")) == calls


def test_failed_examples_are_not_shared(tmp_path):
    """What one trial could not be scored on counts for no pair of it; who fails too often leaves the race, at once."""

    def script(request: Request) -> str:
        hot = request.options.temperature == 1.0
        if (asked(request) >= 100 and asked(request) % 30 == 0) or (
            hot and asked(request) >= 100 and asked(request) % 3 == 0
        ):
            raise TransientError("503")
        return always_right(request) if hot else mostly_right(request)

    raced = search(tmp_path / "raced", script=script, max_consecutive_failed_trials=9)
    full = search(tmp_path / "full", script=script, racing="none", max_consecutive_failed_trials=9)
    for one, other in zip(full.trial_records(), raced.trial_records(), strict=True):
        assert (one.status == "FAILED") == (other.status == "FAILED")
        assert not other.failed or other.n < N
    assert (
        choose(raced.trial_records(), raced.oracle.goals, Rule()).record.values
        == choose(full.trial_records(), full.oracle.goals, Rule()).record.values
    )
    again = search(tmp_path / "raced", max_consecutive_failed_trials=9)
    assert not any(record.failed for record in again.trial_records())


def test_a_failed_trial_is_run_again_at_once(tmp_path):
    """max_retries_per_trial: the replies that it had are not paid for again."""
    failing = {"left": 30}

    def script(request: Request) -> str:
        first = not request.options.temperature and "thinking" not in request.schema["properties"]
        if first and asked(request) >= 100 and asked(request) % 4 == 0 and failing["left"]:
            failing["left"] -= 1
            raise TransientError("503")
        return mostly_right(request)

    tuner = search(tmp_path, script=script, max_retries_per_trial=5)
    assert failing["left"] < 19 and not any(record.failed for record in tuner.trial_records())
    assert tuner.session.paid == sum(record.calls for record in tuner.trial_records())
    failing["left"] = 30
    assert search(tmp_path / "once", script=script).trial_records()[0].failed


def test_a_race_stopped_by_its_budget_goes_on(tmp_path):
    """Too little for any trial to end: an error, and with more the same end."""
    expected = rows(search(tmp_path / "whole"))
    with pytest.raises(BudgetError):
        search(tmp_path, budget=Budget(calls=100, ledger=Ledger(tmp_path / "ledger.sqlite")))
    tuner = search(tmp_path, budget=Budget(calls=1000, ledger=Ledger(tmp_path / "ledger.sqlite")))
    assert rows(tuner) == expected and tuner.session.paid < 1000 - 100


def test_the_frontier_is_protected(tmp_path):
    """Trials that think take more tokens: those that do not are dropped only by one that does not, either."""
    goals = [Objective("val_reward"), Objective("val_tokens_per_request")]
    full = search(tmp_path, racing="none", objective=goals)
    raced = search(tmp_path, racing="sound", protect="frontier", objective=goals)
    records = {record.trial: record for record in raced.trial_records()}
    dropped = [record for record in records.values() if record.dropped]
    assert dropped
    for record in dropped:
        rival = records[record.dropped.by]
        assert rival.metrics["val_tokens_per_request"] < record.metrics["val_tokens_per_request"]
    kept = [
        record.trial
        for record, flag in zip(full.trial_records(), frontier(full.trial_records(), full.oracle.goals), strict=True)
        if flag
    ]
    assert all(records[trial].completed for trial in kept)


def test_a_constraint_protects_whom_it_keeps(tmp_path):
    """A trial that keeps a bound on tokens is not dropped by a better one that breaks it."""

    def script(request: Request) -> str:
        thinks = "thinking" in request.schema["properties"]
        right = thinks or int(digest_of(request)[:4], 16) / 65536 < 0.6
        parity = "odd" if (asked(request) % 2 == 1) is right else "even"
        return json.dumps({**({"thinking": "so " * 40} if thinks else {}), "parity": parity})

    free = search(tmp_path, script=script)
    bound = search(tmp_path, script=script, constraints=["val_tokens_per_request <= 60"])
    assert all(record.dropped for record in free.trial_records() if not record.values["thinks"])
    assert not any(record.dropped for record in bound.trial_records() if not record.values["thinks"])
    assert bound.get_best_hyperparameters()[0].values["thinks"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"racing": "quick"}, "racing must be one of 'none', 'auto', 'sound', 'fast' (got 'quick')"),
        ({"protect": "all"}, "protect must be one of 'winner', 'frontier' (got 'all')"),
        ({"margin": -0.1}, "from 0 to below 1 (got -0.1)"),
        ({"objective": "val_f1"}, "racing compares val_reward, which is no objective (there are: val_f1)"),
        ({"objective": "reward"}, "no objective (there are: reward)"),
        ({"constraints": ["val_f1 >= 0.5"]}, "racing cannot compare 'val_f1' example by example: leave it out, or do"),
        ({"callbacks": [object()]}, "callbacks see no val_"),
    ],
)
def test_races_that_cannot_be(tmp_path, options, words):
    """Refused before a call is made, with the cure."""
    with pytest.raises(UsageError) as error:
        search(tmp_path, **options)
    assert words in str(error.value) and not (tmp_path / "search").exists()


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"objective": "val_f1"}, "racing compares val_reward, which is no objective (there are: val_f1): add it"),
        (
            {"objective": [Objective("val_f1"), Objective("val_reward")]},
            "racing compares val_reward, and the winner is chosen by val_f1: make val_reward the first objective",
        ),
        ({"constraints": ["val_f1 >= 0.1"]}, "racing cannot compare 'val_f1' example by example: leave it out"),
    ],
)
def test_no_race_where_nothing_can_be_compared(tmp_path, capsys, options, note):
    """Left to the search, trials run to their ends then, and a note says why."""
    tuner = search(tmp_path, racing="auto", verbose=True, **options)
    assert f"note: no race: {note}\n" in capsys.readouterr().err
    assert all(record.completed for record in tuner.trial_records())


def test_a_race_by_itself_is_a_sound_one(tmp_path):
    """Where trials can be compared, the same are dropped, at the same examples."""
    assert rows(search(tmp_path / "auto", racing="auto")) == rows(search(tmp_path / "sound", racing="sound"))


def test_the_frontier_of_what_can_be_compared(tmp_path, capsys):
    """An F1 score cannot: a note says so, and the race is that without it."""
    objectives = [Objective("val_reward"), Objective("val_tokens_per_request")]
    alone = search(tmp_path / "alone", protect="frontier", objective=objectives)
    beside = search(tmp_path / "beside", protect="frontier", objective=[*objectives, Objective("val_f1")], verbose=True)
    assert "racing compares no val_f1: a trial that is better in nothing else may be dropped" in capsys.readouterr().err
    dropped = [[record.dropped for record in tuner.trial_records()] for tuner in (alone, beside)]
    assert dropped[0] == dropped[1] and any(dropped[0])


def test_the_first_examples_of_each_trial_are_told(tmp_path, capsys):
    """Long before a trial ends; a finished search does not tell them again."""
    for expected in (len(search(tmp_path, verbose=True).trial_records()), 0):
        if not expected:
            search(tmp_path, verbose=True)
        lines = [line for line in capsys.readouterr().err.splitlines() if "on the first 20 of" in line]
        assert len(lines) == expected and all(re.search(r"^trial \d+/\d+  .*  reward [01]", line) for line in lines)


def test_validation_split_races_too(tmp_path):
    """The last share of the examples is the same with and without a race; without any there is no race."""
    x, y = numbers(120)
    found = []
    for racing in ("none", "sound"):
        model = ScriptedLanguageModel(mostly_right, ledger=Ledger(tmp_path / "ledger.sqlite"))
        tuner = GridSearch(make_builder(model), directory=tmp_path, racing=racing, verbose=False)
        tuner.search(x, y, validation_split=0.9, batch_size=6)
        found.append(tuner)
    assert found[1].session.paid == 0 and any(record.dropped for record in found[1].trial_records())
    with pytest.raises(UsageError, match="needs validation data"):
        found[1].search(x, y, batch_size=6)


def test_a_space_that_ends_before_its_size_is_known(tmp_path):
    """Between two neighbouring floats hardly anything can be drawn: those trials that there are race each other."""
    model = ScriptedLanguageModel(mostly_right, ledger=Ledger(tmp_path / "ledger.sqlite"), concurrency=16)
    build = make_builder(model, [0.0])

    async def build_program(hp: Any) -> Any:
        hp.Float("x", 1.0, float(np.nextafter(1.0, 2.0)))
        hp.Boolean("thinks")
        return await build(hp)

    tuner = RandomSearch(
        build_program, max_trials=5, directory=tmp_path, racing="sound", verbose=False, parallel_trials=3
    )
    tuner.search(**fit_arguments(validation_data=numbers(40, start=100)))
    assert 1 <= len(tuner.records) <= 4 and all(record.completed for record in tuner.trial_records())


@pytest.mark.parametrize(
    ("options", "margin", "noted"),
    [
        ({"rule": Rule(epsilon=0.1)}, 0.1, False),
        ({"rule": "epsilon", "margin": 0.0}, 0.0, False),
        ({"rule": "best_score"}, 0.0, True),
        ({"rule": "knee"}, 0.0, True),
        ({"rule": "knee", "protect": "frontier"}, 0.0, False),
    ],
)
def test_the_race_and_the_rule(tmp_path, capsys, options, margin, noted):
    """What the rule may choose is within the race's margin; where that is not known, a note says so."""
    objectives = [Objective("val_reward"), Objective("val_tokens_per_request")]
    tuner = search(tmp_path, verbose=True, objective=objectives, **options)
    assert tuner.race_rule.margin == margin
    assert ("may prefer a trial that it drops" in capsys.readouterr().err) is noted


def test_the_first_objective_and_the_race(tmp_path, capsys):
    """Where the winner is chosen by another metric than the one that trials race on, a note says so."""
    search(tmp_path, verbose=True, objective=[Objective("val_f1", "max"), Objective("val_reward")], rule="epsilon")
    assert "racing protects the best reward, and the winner is chosen by val_f1" in capsys.readouterr().err


def test_few_examples_are_no_race(tmp_path, capsys):
    """With one look at the end nobody would be dropped: trials end one by one, as without a race."""
    tuner = search(tmp_path, racing="auto", n=20, verbose=True)
    assert all(record.completed for record in tuner.trial_records())
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trial ")]
    assert len(lines) == len(tuner.records) and not any("on the first" in line for line in lines)

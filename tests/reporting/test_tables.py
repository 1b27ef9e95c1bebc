"""trials.csv and pareto.json: their columns, keys and values."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_trials import F1, REWARD, TOKENS, TRIALS, failed, goals, has_nan, measures_of, numbers, resolved, trial

from paretune.errors import ConfigError, DataError
from paretune.metrics.outcome import Outcome
from paretune.reporting.frontier_rows import axes, brief_options, labels, pareto_rows
from paretune.reporting.results import results
from paretune.reporting.tables import trial_table
from paretune.stats import quantile_interval, wilson
from paretune.trials.goals import Objective
from paretune.trials.record import ReplicateRecord

MARKUP = st.lists(st.sampled_from(["<", "/", "!", "--", "script", ">", "a", "<!--", "</script>"]), max_size=8).map(
    "".join
)


def test_the_columns_of_the_table() -> None:
    """Exactly the documented columns, in their order."""
    assert list(trial_table(resolved()).columns) == [
        "trial", "status", "few_shot", "structured_output", "temperature",
        "val_reward", "val_reward_lo", "val_reward_hi", "val_f1", "val_f1_lo", "val_f1_hi",
        "val_tokens_per_request", "val_tokens_per_request_lo", "val_tokens_per_request_hi",
        "replicates", "n", "calls", "retries", "prompt_tokens", "completion_tokens",
        "cost_usd", "latency_s", "score", "feasible", "on_frontier",
        "frontier_probability",
    ]  # fmt: skip


def test_the_cells_of_the_table() -> None:
    """A row holds the recorded value, its Wilson interval, and its place: (0.35, 165) loses to (0.375, 150)."""
    table = trial_table(resolved()).set_index("trial")
    row = table.loc["0002"]
    assert row["val_reward"] == 28 / 80
    assert (row["val_reward_lo"], row["val_reward_hi"]) == pytest.approx(wilson(28, 80), abs=1e-9)
    assert row["val_tokens_per_request_lo"] < 165 < row["val_tokens_per_request_hi"]
    assert table["on_frontier"].tolist() == [True, False, True, True, False, True, False, True]


def test_seconds_are_told_by_their_quantiles() -> None:
    """Of 100 examples that take .01 to 1 s; a failed one has no part, and two replicates leave the ends open."""
    seconds = [Outcome("ok", None, 1.0, 1, 1, 1, 0.0, place / 100) for place in range(1, 101)]
    examples = (*seconds, Outcome("failed", None, None, 1, 0, 0, 0.0, 99.0))
    record = replace(TRIALS[0], replicates=(ReplicateRecord({}, 0, {}, examples),))
    (one,) = results([record], {}, goals(REWARD), "0001")
    assert one.metric("val_latency_median") == (0.505, *quantile_interval(np.arange(1, 101) / 100, 0.5))
    assert one.metric("val_latency_p95") == pytest.approx((0.9505, 0.9, 1.0))
    (two,) = results([replace(record, replicates=record.replicates * 2)], {}, goals(REWARD), "0001")
    assert two.metric("val_latency_p95").value > 0.94 and math.isnan(two.metric("val_latency_p95").lo)


def test_a_dear_trial_is_not_on_the_frontier() -> None:
    """With at most 400 tokens allowed, the two best trials are no part of it, and keep nobody off it."""
    table = trial_table(resolved(constraints=["val_tokens_per_request <= 400"])).set_index("trial")
    assert table["feasible"].tolist() == [True] * 6 + [False] * 2
    assert table["on_frontier"].tolist() == [True, False, True, True, False, True, False, False]


def test_a_failed_trial_keeps_its_row() -> None:
    """What it has is there, what it has not is an empty cell, and counts stay whole numbers."""
    text = trial_table(resolved([*TRIALS, failed()])).to_csv(index=False)
    row = pandas.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).iloc[-1]
    assert (row["trial"], row["status"], row["few_shot"], row["calls"]) == ("0009", "FAILED", "16", "12")
    assert (row["n"], row["val_reward"], row["score"], row["on_frontier"]) == ("80", "", "", "False")
    assert text.splitlines()[1].startswith("0001,COMPLETED,0,False,0.0,0.375,")


def test_a_hyperparameter_called_like_a_column_is_renamed() -> None:
    """A hyperparameter ``n`` does not overwrite the number of examples."""
    table = trial_table(resolved([trial("0001", {"n": 5}, 40, 100)]))
    assert (table["hp_n"][0], table["n"][0]) == (5, 80)


def test_trials_on_different_examples_are_refused() -> None:
    """Paired resamples need the same examples in every trial."""
    with pytest.raises(DataError, match=r"\[40, 80\]"):
        results(TRIALS[:2], {"0001": numbers(20, 9, 40), "0002": numbers(20, 9, 80)}, goals(REWARD), "0001")


def test_every_pareto_row_has_every_key_and_no_reserved_one() -> None:
    """DVC takes the columns from the first row and reserves four names; JSON has no NaN."""
    bare = trial("0010", {"few_shot": 1}, 10, 400)
    del bare.metrics["val_tokens_per_request"]
    records = [*TRIALS, failed(), bare]
    found = results(records, measures_of(TRIALS), goals(REWARD, TOKENS), "0006")
    rows = pareto_rows(found, [REWARD, TOKENS])
    assert [row["trial"] for row in rows] == [f"{number:04d}" for number in (*range(1, 9), 10)]
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}
    assert not {"rev", "filename", "field", "step"} & set(rows[0])
    assert not has_nan(rows)
    assert (rows[-1]["x"], rows[-1]["y_lo"], rows[-1]["on_frontier"]) == (None, None, False)


def test_pareto_rows_tell_label_winner_and_both_frontiers() -> None:
    """With F1 and reward shown, only the best is on the line, although tokens keep others on the frontier."""
    objectives = [REWARD, F1, TOKENS]
    rows = pareto_rows(resolved(objectives=objectives), objectives, "val_f1", "val_reward")
    assert [row["label"] for row in rows][4:6] == [
        "few shot 4, no structured output, temperature 0",
        "few shot 4, structured output, temperature 0",
    ]
    assert [row["trial"] for row in rows if row["is_winner"]] == ["0006"]
    assert [row["trial"] for row in rows if row["on_line"]] == ["0008"]
    assert sum(row["on_frontier"] for row in rows) == 5
    assert (rows[0]["x"], rows[0]["y"]) == (rows[0]["val_f1"], rows[0]["val_reward"])


@given(st.dictionaries(MARKUP, MARKUP, min_size=1), MARKUP)
@settings(deadline=None, max_examples=50)
def test_no_text_ends_the_script_that_dvc_puts_it_in(values: dict[str, str], metric: str) -> None:
    """Neither a hyperparameter's name or value nor a metric's name, which DVC's page has within a script."""
    objectives = [REWARD, Objective(f"val_{metric}", "min")]
    found = resolved([trial("0001", values, 40, 100), trial("0002", {}, 41, 100)], objectives=objectives)
    text = json.dumps(pareto_rows(found, objectives))
    assert "</" not in text and "<!" not in text
    plain = {"few_shot": 4, "note": "a < b"}
    (row, _) = pareto_rows(resolved([trial("0001", plain, 40, 100), trial("0002", {}, 41, 100)]), [REWARD, TOKENS])
    assert row["label"] == "few shot 4, a < b note"


def test_one_objective_is_set_against_its_rank() -> None:
    """The best trial has rank 1, and it alone is on the line."""
    rows = pareto_rows(resolved(objectives=[REWARD]), [REWARD])
    assert [row["x"] for row in rows] == [7, 8, 6, 4, 5, 2, 3, 1]
    assert [row["trial"] for row in rows if row["on_line"]] == ["0008"]


def test_which_objectives_are_drawn() -> None:
    """What is minimised goes across, in two panels at most; wishes are followed where they can be."""
    assert axes([REWARD]) == []
    assert axes([REWARD, TOKENS]) == [(TOKENS, REWARD)]
    assert axes([REWARD, F1]) == [(F1, REWARD)]
    assert axes([REWARD, F1, TOKENS]) == [(TOKENS, REWARD), (TOKENS, F1)]
    assert axes([REWARD, F1, TOKENS], y="val_f1") == [(TOKENS, F1), (TOKENS, REWARD)]
    assert axes([REWARD, F1, TOKENS], x="val_reward") == [(REWARD, F1), (REWARD, TOKENS)]
    assert axes([REWARD, TOKENS], y="val_tokens_per_request") == [(REWARD, TOKENS)]
    assert axes([REWARD, F1], x="val_tokens_per_request") == [(F1, REWARD)]
    with pytest.raises(ConfigError, match="two different"):
        axes([REWARD, TOKENS], "val_reward", "val_reward")


def test_a_search_without_the_objective_has_an_empty_frontier() -> None:
    """A metric that no trial recorded keeps every trial off the frontier instead of failing."""
    assert not any(result.on_frontier for result in resolved(objectives=[REWARD, Objective("val_x", "min")]))


def test_options_that_explain_themselves_stand_alone() -> None:
    """A text option that belongs to one hyperparameter needs no name in the picture; a shared one does."""
    values = [{"output": "text", "form": "a"}, {"output": "native", "form": "b"}]
    found = resolved([trial(f"000{number}", each, 40, 100) for number, each in enumerate(values)])
    assert brief_options(found) == {"output": ["native", "text"], "form": ["a", "b"]}
    assert labels(found, brief_options(found)) == [["text", "a"], ["native", "b"]]
    assert labels(found) == [["text output", "a form"], ["native output", "b form"]]
    shared = resolved([trial("0001", {"a": "x", "b": "y"}, 1, 9), trial("0002", {"a": "y", "b": "z"}, 1, 9)])
    assert brief_options(shared) == {}

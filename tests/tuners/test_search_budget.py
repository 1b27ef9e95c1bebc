"""A search under a hard cap: it ends with what it has, and goes on when the cap is raised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from odd_numbers import fit_arguments, make_builder, mostly_right, rows

from paretune import Budget, ScriptedLanguageModel
from paretune.errors import BudgetError, TransientError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Price, Request
from paretune.tuners import GridSearch
from paretune.tuners.tuner import Tuner

#: 2 x 3 points, each 6 training and 4 validation examples.
CALLS = 6 * (6 + 4)


def search(folder: Path, script: Any = mostly_right, parallel_trials: int = 1, **caps: Any) -> tuple[Tuner, Any]:
    """A grid search in a folder under a budget, and the model that it called."""
    ledger = Ledger(folder / "ledger.sqlite")
    options: dict[str, Any] = {"ledger": ledger, "latency_s": 0.002, "jitter": True, "concurrency": 8}
    model = ScriptedLanguageModel(script, **options, price=Price(1.0, 1.0), max_attempts=3)

    async def pause(_: float) -> None:
        """No time between attempts."""

    model.pause = pause
    tuner = GridSearch(
        make_builder(model),
        "val_reward",
        directory=folder,
        parallel_trials=parallel_trials,
        verbose=False,
        budget=Budget(ledger=ledger, **caps),
    )
    return tuner, model


@pytest.mark.parametrize("parallel_trials", [1, 3])
def test_the_cap_stops_and_a_higher_one_goes_on(tmp_path, parallel_trials):
    """No call beyond the cap, the finished trials are kept; with a higher cap no call is made twice."""
    whole, _ = search(tmp_path / "whole", parallel_trials=parallel_trials)
    whole.search(**fit_arguments())
    assert whole.stopped is None
    capped, model = search(tmp_path, parallel_trials=parallel_trials, calls=35)
    capped.search(**fit_arguments())
    assert len(model.backend.calls) == 35 == capped.session.paid
    assert "budget.calls" in capped.stopped
    assert 1 <= len(capped.trial_records()) < 6
    assert rows(capped) == [row for row in rows(whole) if row["trial"] in capped.records]
    assert capped.get_best_hyperparameters()
    more, model = search(tmp_path, parallel_trials=parallel_trials, calls=CALLS)
    more.search(**fit_arguments())
    assert more.stopped is None and len(model.backend.calls) == CALLS - 35
    assert rows(more) == rows(whole)


def test_a_cap_that_no_trial_fits_in(tmp_path):
    """With no trial finished there is nothing to end with: the error is raised, and names the cure."""
    tuner, model = search(tmp_path, calls=7)
    with pytest.raises(BudgetError, match=r"budget\.calls"):
        tuner.search(**fit_arguments())
    assert len(model.backend.calls) == 7


def test_retries_count(tmp_path):
    """Every attempt is a call of the budget, also one that failed."""
    seen: set[Request] = set()

    def fails_once(request: Request) -> str:
        if request not in seen:
            seen.add(request)
            raise TransientError("not now")
        return mostly_right(request)

    tuner, model = search(tmp_path, fails_once, calls=2 * CALLS)
    tuner.search(**fit_arguments())
    assert tuner.stopped is None and len(model.backend.calls) == 2 * CALLS
    assert sum(record.retries for record in tuner.trial_records()) == CALLS
    assert tuner.budget.spent().calls == 2 * CALLS


def test_served_replies_are_free(tmp_path):
    """A search that the ledger serves spends nothing, so that it ends under a cap that is spent."""
    first, _ = search(tmp_path, calls=CALLS)
    first.search(**fit_arguments())
    again, model = search(tmp_path, calls=CALLS)
    again.overwrite = True
    again.search(**fit_arguments())
    assert again.stopped is None and not model.backend.calls and rows(again) == rows(first)

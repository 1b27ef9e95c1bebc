"""What holds for each tuner: its trials do not depend on speed."""

from __future__ import annotations

import json

import pytest
from odd_numbers import fit_arguments, mostly_right, rows
from short_searches import SHORT, short_search

from paretune import ScriptedLanguageModel
from paretune.lm.ledger.ledger import Ledger
from paretune.tuners import TUNERS

#: These use no result before it is certain to be there, so the number of trials at once is no part of the search.
FREE = ("GridSearch", "RandomSearch", "Hyperband")


@pytest.mark.parametrize("kind", SHORT)
def test_concurrency_changes_nothing(tmp_path, kind):
    """The records are the same at any number of calls at once, in whatever order they return; for tuners that do not
    propose from results as they come, at any number of trials at once as well."""
    found = []
    for concurrency, trials in [(1, 2), (4, 2), (32, 2), *([(4, 1), (32, 3)] if kind in FREE else [])]:
        folder = tmp_path / f"{concurrency}-{trials}"
        model = ScriptedLanguageModel(
            mostly_right,
            ledger=Ledger(folder / "ledger.sqlite"),
            concurrency=concurrency,
            latency_s=0.0005,
            jitter=True,
        )
        search = short_search(kind, folder, model, parallel_trials=trials)
        search.search(**fit_arguments())
        assert model.backend.peak <= concurrency
        found.append((json.dumps(rows(search)), search.get_best_hyperparameters()[0].values))
    assert len(found[0][0]) > 100 and all(one == found[0] for one in found)


def test_no_tuner_is_forgotten():
    """What holds for each tuner is tried with each tuner of the table."""
    assert {entry.class_name for entry in TUNERS.values()} == set(SHORT)

"""Callbacks in a search: each trial has its own, and their settings are part of what the search is."""

from __future__ import annotations

import threading

import pytest
from odd_numbers import fit_arguments, make_builder, mostly_right

from paretune import ScriptedLanguageModel
from paretune.callbacks import Callback, CSVLogger, EarlyStopping, ProgramCheckpoint
from paretune.callbacks.callback import file_of_trial
from paretune.errors import UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.tuners import GridSearch


class Once(Callback):
    """Ends a training after one epoch, and would notice a second training."""

    def __init__(self) -> None:
        self.trainings = 0

    def on_train_begin(self, logs=None) -> None:
        self.trainings += 1
        assert self.trainings == 1

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.program.stop_training = True


@pytest.fixture
def search(tmp_path):
    """Runs a grid search with callbacks; returns the tuner."""

    def run(*callbacks: Callback, **options: object) -> GridSearch:
        lm = ScriptedLanguageModel(mostly_right, ledger=Ledger(tmp_path / "ledger.sqlite"))
        tuner = GridSearch(make_builder(lm), "val_reward", directory=tmp_path, verbose=False, **options)
        tuner.search(**{**fit_arguments(), "epochs": 3, "callbacks": list(callbacks)})
        return tuner

    return run


def test_each_trial_has_callbacks_of_its_own(search):
    """Trials that run side by side do not share what a callback remembers, and a stopped one is recorded."""
    callback = Once()
    tuner = search(callback, parallel_trials=3)
    records = tuner.trial_records()
    assert callback.trainings == 0 and len(records) == 6
    assert {record.status for record in records} == {"COMPLETED"}
    assert {record.replicates[0].epoch for record in records} == {0}


def test_trials_keep_each_others_files(search, tmp_path):
    """Each trial and each replicate writes files of its own, by its number."""
    search(
        CSVLogger(tmp_path / "logs" / "log.csv"),
        ProgramCheckpoint(tmp_path / "{trial}" / "best.json", save_best_only=True),
        parallel_trials=3,
        executions_per_trial=2,
    )
    names = [f"{trial:04d}{replicate}" for trial in range(1, 7) for replicate in ("", "-1")]
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == sorted(f"log-{name}.csv" for name in names)
    assert all(len(path.read_text().splitlines()) == 4 for path in (tmp_path / "logs").iterdir())
    assert all((tmp_path / name / "best.json").exists() for name in names)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("log.csv", "log-0001.csv"),
        ("log", "log-0001"),
        ("a.b/v1.5-{epoch}", "a.b/v1.5-{epoch}-0001"),
        ("{epoch:02d}-{val_reward:.2f}.json", "{epoch:02d}-{val_reward:.2f}-0001.json"),
        ("{epoch:02d}-{val_reward:.2f}", "{epoch:02d}-{val_reward:.2f}-0001"),
        ("{trial}/log.csv", "0001/log.csv"),
    ],
)
def test_names_of_files(name, file):
    """The trial stands before the suffix, where there is one, and never inside of what is filled in later."""
    assert file_of_trial(name, "0001") == file


def test_a_callback_that_cannot_be_copied(search):
    """It is named, with the reason."""
    callback = Once()
    callback.lock = threading.Lock()
    with pytest.raises(UsageError, match=r"Once object.* cannot be copied.*lock"):
        search(callback)


def test_settings_of_callbacks_belong_to_the_search(search):
    """The same callbacks go on with the record; another patience starts one of its own."""
    assert search(EarlyStopping(patience=1)).resumed == 0
    assert search(EarlyStopping(patience=1)).resumed == 6
    assert search(EarlyStopping(patience=2)).resumed == 0

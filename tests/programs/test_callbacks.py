"""Callbacks: when they are called, what they hear, and what they can do."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tweets import Feeling, Tweet, asked, reply, truth, tweets

from paretune import Generator, Input, Program, ScriptedLanguageModel, clear_session, run_maybe_nested
from paretune.callbacks import Callback, CSVLogger, EarlyStopping, ProgramCheckpoint
from paretune.errors import DataError, UsageError
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.optimizers import Optimizer

Fit = Callable[..., Any]


class Schedule(Optimizer):
    """Installs instructions that say how many of the ten validation tweets are to be answered rightly."""

    def __init__(self, right: Sequence[int]) -> None:
        self.right, self.epoch = list(right), 0

    def begin(self, gold: Any, replicate: int = 0) -> None: ...

    async def propose(self, modules: Any, batch: Any) -> None: ...

    def observe(self, observations: Any) -> None: ...

    def end_epoch(self, modules: Any) -> None:
        modules[0].instructions = str(self.right[self.epoch])
        self.epoch += 1

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]


def script(request: Request) -> str:
    """Right on as many validation tweets (numbers from 100) as the instructions say."""
    text = asked(request)["text"]
    number, right = int(text.split()[-1]), request.messages[0][1]
    wrong = right.isdigit() and number - 100 >= int(right)
    return reply({"joy": "fear", "fear": "joy"}[truth(text)] if wrong else truth(text))


@pytest.fixture
def program(tmp_path) -> Callable[[Sequence[int]], Program]:
    """Makes a compiled program whose validation rewards are tenths, one an epoch."""

    def make(right: Sequence[int]) -> Program:
        clear_session()

        async def build() -> Program:
            inputs = Input(data_model=Tweet)
            lm = ScriptedLanguageModel(script, ledger=Ledger(tmp_path / "ledger.sqlite"))
            return Program(inputs, await Generator(Feeling, lm)(inputs))

        built = run_maybe_nested(build())
        built.compile(optimizer=Schedule(right))
        return built

    return make


def fit(program: Program, callbacks: Sequence[Any], **options: Any) -> Any:
    """Train on five tweets, validate on ten."""
    options = {"verbose": 0, "validation_data": tweets(10, start=100), "batch_size": 2, **options}
    return run_maybe_nested(program.fit(*tweets(5), callbacks=callbacks, **options))


class Recorder(Callback):
    """Notes what it hears; ``on_epoch_end`` is async."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.logs: list[dict[str, float]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.heard.append(("train_begin", self.params["steps"]))

    def on_train_end(self, logs: Any = None) -> None:
        self.heard.append(("train_end", logs["val_reward"]))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.heard.append(("epoch_begin", epoch))

    async def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.heard.append(("epoch_end", epoch))
        self.logs.append(dict(logs))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.heard.append(("batch_begin", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard.append(("batch_end", (batch, logs["reward"])))


def test_order_of_calls(program):
    """Training, epochs and batches begin and end in order, and the logs are what the history says."""
    recorder = Recorder()
    trained = program([3, 4])
    history = fit(trained, [recorder], epochs=2)
    batches = [(kind, value) for b in range(3) for kind, value in (("batch_begin", b), ("batch_end", (b, 1.0)))]
    assert recorder.heard == [
        ("train_begin", 3),
        ("epoch_begin", 0),
        *batches,
        ("epoch_end", 0),
        ("epoch_begin", 1),
        *batches,
        ("epoch_end", 1),
        ("train_end", 0.4),
    ]
    assert recorder.program is trained
    assert {name: [logs[name] for logs in recorder.logs] for name in recorder.logs[0]} == history.history
    assert set(recorder.params["metrics"]) == set(history.history)


@pytest.mark.parametrize(
    ("options", "rewards", "epochs"),
    [
        ({}, [3, 5, 5, 9], 3),  # patience 0: the first epoch without improvement ends it
        ({"patience": 1}, [3, 5, 5, 9], 3),
        ({"patience": 2}, [3, 5, 5, 9], 4),
        ({"patience": 2}, [5, 3, 4, 9], 3),
        ({"min_delta": 0.15}, [3, 4, 9], 2),
        ({"min_delta": 0.15}, [3, 5, 4], 3),
        ({"baseline": 0.6}, [3, 9], 1),
        ({"baseline": 0.2}, [3, 9], 2),
        ({"start_from_epoch": 2}, [9, 1, 2, 3], 4),
        ({"mode": "min"}, [9, 5, 6, 1], 3),
        ({"monitor": "val_failure_rate", "patience": 2}, [1, 2, 3, 4], 3),
        ({"monitor": "val_tokens_per_request", "patience": 9}, [1, 2], 2),
    ],
)
def test_early_stopping(program, options, rewards, epochs):
    """The training ends after so many epochs, and still returns their history."""
    history = fit(program(rewards), [EarlyStopping(**options)], epochs=len(rewards))
    assert history.epoch == list(range(epochs))
    assert history.history["val_reward"] == [right / 10 for right in rewards[:epochs]]


@pytest.mark.parametrize("name", ["restore_best_variables", "restore_best_weights"])
def test_best_state_is_restored(program, name):
    """At the end the program is as it was after its best epoch, by either name of the option."""
    trained = program([3, 8, 5, 4])
    stopping = EarlyStopping(patience=2, **{name: True})
    history = fit(trained, [stopping], epochs=4)
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, 3)
    assert trained.generators[0].instructions == "8" and trained.get_state() == history.states[1]
    kept = program([3, 8, 5, 4])
    fit(kept, [EarlyStopping(patience=2)], epochs=4)
    assert kept.generators[0].instructions == "4"


def test_a_measure_that_nobody_knows_is_no_improvement(program):
    """The cost of a model without a price is NaN: the training ends, and no epoch was the best."""
    stopping = EarlyStopping(monitor="val_cost", patience=1, restore_best_variables=True)
    assert fit(program([3, 8, 5]), [stopping], epochs=3).epoch == [0]
    assert stopping.best_epoch is None


def test_one_early_stopping_for_two_trainings(program):
    """A callback starts anew with each training."""
    stopping = EarlyStopping()
    assert fit(program([9, 1]), [stopping], epochs=2).epoch == [0, 1]
    assert len(fit(program([2, 3, 4]), [stopping], epochs=3).epoch) == 3


def test_stopping_within_an_epoch(program):
    """A callback may end the training after a batch; what was run is scored and validated."""

    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.program.stop_training = True

    history = fit(program([3, 4]), [Stop()], epochs=2)
    assert history.epoch == [0] and len(history.training[0].outcomes) == 2
    assert history.history["val_reward"] == [0.3]


def test_stop_is_forgotten_by_the_next_training(program):
    """A program whose training was stopped can be trained on."""
    trained = program([5, 4, 3, 2])
    assert len(fit(trained, [EarlyStopping()], epochs=3).epoch) == 2
    assert len(fit(trained, [], epochs=2).epoch) == 2


@pytest.mark.parametrize(
    "callback",
    [
        EarlyStopping(monitor="val_rewrad"),
        ProgramCheckpoint("x.json", monitor="accuracy", save_best_only=True),
        ProgramCheckpoint("{val_rewrad}.json"),
        ProgramCheckpoint("{val_reward.json"),
    ],
)
def test_unknown_measures_are_refused_before_any_call(program, callback):
    """A monitor or a file name that no epoch can report is an error at once."""
    trained = program([1])
    with pytest.raises(UsageError, match=r"is reported by no epoch|which no epoch reports|cannot be filled in"):
        fit(trained, [callback])
    assert trained.generators[0].language_model.backend.calls == []


def test_wrong_arguments_are_refused(program):
    """An unknown mode, a callback that stands alone, an unknown verbosity, an epoch before the first."""
    with pytest.raises(UsageError, match="mode must be"):
        EarlyStopping(mode="up")
    for options in ({"callbacks": EarlyStopping()}, {"callbacks": [], "verbose": 3}):
        with pytest.raises(UsageError, match=r"must be a list|verbose must be"):
            fit(program([1]), **options)
    with pytest.raises(UsageError, match="initial_epoch"):
        fit(program([1]), [], initial_epoch=-1)


def test_checkpoint_of_each_epoch(program, tmp_path):
    """One file an epoch, named by the epoch (from 1) and its measures."""
    checkpoint = ProgramCheckpoint(tmp_path / "{epoch:02d}-{val_reward:.1f}.json", save_variables_only=True)
    history = fit(program([3, 5]), [checkpoint], epochs=2)
    assert json.loads((tmp_path / "01-0.3.json").read_text()) == history.states[0]
    assert json.loads((tmp_path / "02-0.5.json").read_text()) == history.states[1]


@pytest.mark.parametrize(("threshold", "saved"), [(None, "8"), (0.5, "8"), (0.8, None)])
def test_checkpoint_of_the_best(program, tmp_path, threshold, saved):
    """The file holds the whole program of the best epoch; nothing where the threshold was not beaten."""
    path = tmp_path / "best.json"
    lm = program([]).generators[0].language_model
    fit(program([3, 8, 5]), [ProgramCheckpoint(path, save_best_only=True, initial_value_threshold=threshold)], epochs=3)
    assert path.exists() == (saved is not None)
    if saved:
        loaded = Program.load(path, custom_objects={lm.model: lm})
        assert loaded.generators[0].instructions == saved


def test_csv_logger(program, tmp_path):
    """One line an epoch with every measure; appending goes on in the file, and only under the same columns."""
    path = tmp_path / "logs" / "history.tsv"
    history = fit(program([3, 5]), [CSVLogger(path, separator="\t")], epochs=2).history
    fit(program([7]), [CSVLogger(path, separator="\t", append=True)], initial_epoch=0)
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [row["epoch"] for row in rows] == ["0", "1", "0"]
    assert [float(row["val_reward"]) for row in rows] == [0.3, 0.5, 0.7]
    assert set(rows[0]) == {"epoch", *history}
    with pytest.raises(DataError, match="other columns"):
        fit(program([7]), [CSVLogger(path, separator="\t", append=True)], validation_data=None)
    fit(program([9]), [CSVLogger(path)])
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 2), ("auto", 2), (2, 2)])
def test_progress(program, capsys, verbose, lines):
    """Away from a terminal, one line an epoch on stderr, and nothing on stdout."""
    fit(program([3, 5]), [], epochs=2, verbose=verbose)
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == lines


def test_batch_size_and_callbacks_may_be_none(program):
    """As in Keras, None stands for the default."""
    assert fit(program([3]), None, batch_size=None).epoch == [0]


def test_initial_epoch_past_the_end(program):
    """There is nothing left to train."""
    assert fit(program([]), [], epochs=2, initial_epoch=2).epoch == []


def test_validation_data_is_checked_before_any_call(program):
    """Unfit validation data is an error before the first epoch is paid for."""
    trained = program([3])
    with pytest.raises(UsageError, match="equally many"):
        fit(trained, [], validation_data=(tweets(3)[0], tweets(2)[1]))
    assert trained.generators[0].language_model.backend.calls == []

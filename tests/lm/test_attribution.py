"""Who asks: each call in the ledger can be traced to its search, trial, example and module."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Literal

import pytest
from helpers import ledger_rows

import paretune
from paretune.eventloop import run_maybe_nested
from paretune.lm.ledger.attribution import Caller, attributed_to, current_caller
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Reply, Request


class Text(paretune.DataModel):
    """The input."""

    text: str


class Mood(paretune.DataModel):
    """The output."""

    mood: Literal["joy", "anger"]


X = [Text(text=f"text {number}") for number in range(3)]
Y = [Mood(mood="joy")] * 3


def notes(ledger: Ledger, columns: str) -> list[tuple[Any, ...]]:
    """What the file says about who asked, once the ledger is closed."""
    ledger.close()
    return ledger_rows.notes(ledger.path, columns)


def answer(request: Request) -> str:
    return "no idea" if "text 2" in request.messages[-1][1] else '{"mood": "joy"}'


def make(ledger: Ledger, optimizer: Any = None) -> paretune.Program:
    async def build() -> paretune.Program:
        model = paretune.ScriptedLanguageModel(answer, ledger=ledger)
        inputs = paretune.Input(data_model=Text)
        outputs = await paretune.Generator(data_model=Mood, language_model=model, name="guess")(inputs)
        program = paretune.Program(inputs=inputs, outputs=outputs)
        program.compile(reward=paretune.rewards.ExactMatch(), optimizer=optimizer)
        return program

    return run_maybe_nested(build())


def test_inner_parts_join_the_outer_ones() -> None:
    """What an inner block does not say is as outside of it, and after it all is as before."""
    with attributed_to(search="s", trial="1"):
        with attributed_to(trial="2", example="val/3") as asker:
            assert asker == current_caller() == Caller("s", "2", "val/3")
        assert current_caller() == Caller("s", "1")
    assert current_caller() == Caller()


def test_tasks_side_by_side_each_have_their_own() -> None:
    """Who asks in one task is not seen by another, and what stood outside is seen by both."""
    seen: dict[str, Caller] = {}

    async def one(name: str) -> None:
        with attributed_to(example=name):
            await asyncio.sleep(0)
            seen[name] = current_caller()

    async def both() -> None:
        with attributed_to(trial="7"):
            await asyncio.gather(one("a"), one("b"))

    asyncio.run(both())
    assert seen == {"a": Caller(None, "7", "a"), "b": Caller(None, "7", "b")}


def test_training_notes_which_example_asked(tmp_path: Path) -> None:
    """Training and validation examples are told apart by part and index; replies that do not validate are marked."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    program = make(ledger, paretune.optimizers.RandomFewShot(nb_min_examples=1, nb_max_examples=1))

    async def fit() -> None:
        with attributed_to(search="s", trial="0007"):
            await program.fit(X, Y, validation_data=(X[1:], Y[1:]), epochs=1, batch_size=3, verbose=0)

    run_maybe_nested(fit())
    assert notes(ledger, "search, trial, example, module, valid") == [
        ("s", "0007", "train/0", "guess", 1),
        ("s", "0007", "train/1", "guess", 1),
        ("s", "0007", "train/2", "guess", 0),
        ("s", "0007", "val/0", "guess", 1),
        ("s", "0007", "val/1", "guess", 0),
    ]


def test_whoever_evaluates_names_the_part(tmp_path: Path) -> None:
    """A part that is named outside stands before the index; each note leads to its call."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    program = make(ledger)

    async def evaluate() -> None:
        with attributed_to(example="test"):
            await program.evaluate(X, Y, verbose=0)

    run_maybe_nested(evaluate())
    assert [row[0] for row in notes(ledger, "example")] == ["test/0", "test/1", "test/2"]
    assert {key for (key,) in notes(ledger, "key")} == set(ledger_rows.stored(ledger.path))


def test_a_repetition_adds_no_note_and_stays_paid(tmp_path: Path) -> None:
    """A replay from the ledger leaves the notes as they were: the first asker paid."""
    path = tmp_path / "ledger.sqlite"
    for _ in range(3):
        ledger = Ledger(path)
        run_maybe_nested(make(ledger).evaluate(X, Y, verbose=0))
        assert [row[:2] for row in notes(ledger, "example, paid, at")] == [("val/0", 1), ("val/1", 1), ("val/2", 1)]


def test_flush_writes_what_waits(tmp_path: Path) -> None:
    """After flush another connection sees the notes, and many notes are written without it."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    reply = ledger.put("k", "m", {}, Reply("x", 1, 1, None, 0.0, 1))
    other = sqlite3.connect(ledger.path)
    ledger.note(reply, "one", valid=True)
    assert other.execute("SELECT COUNT(*) FROM notes").fetchone() == (0,)
    ledger.flush()
    assert other.execute("SELECT COUNT(*) FROM notes").fetchone() == (1,)
    for number in range(5000):
        ledger.note(reply, f"module {number}", valid=True)
    assert other.execute("SELECT COUNT(*) FROM notes").fetchone()[0] > 4000
    other.close()
    assert len(notes(ledger, "module")) == 5001


def test_notes_that_cannot_be_written_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note is worth less than the run: while another process holds the file, notes are dropped."""
    monkeypatch.setattr("paretune.lm.ledger.file.LOCK_TIMEOUT_S", 0.01)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    reply = ledger.put("k", "m", {}, Reply("x", 1, 1, None, 0.0, 1))
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger.note(reply, "lost", valid=True)
    ledger.flush()
    other.close()
    ledger.note(reply, "kept", valid=True)
    assert notes(ledger, "module") == [("kept",)]

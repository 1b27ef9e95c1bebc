"""What was asked and answered, from the ledger to the file that a report is drawn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from odd_numbers import asked, fit_arguments, mostly_right, numbers
from short_searches import short_search

from paretune import ScriptedLanguageModel
from paretune.callbacks import Callback
from paretune.errors import DataError
from paretune.lm.ledger import queries
from paretune.lm.ledger.ledger import Ledger
from paretune.lm.types import Request
from paretune.trials.replies import Asked, ReplyRows, read_replies, reply_rows, write_replies
from paretune.tuners.replies import asked_by_example, split_messages
from paretune.tuners.tuner import Tuner


def better_in_the_second_epoch(request: Request) -> str:
    """All right in the second epoch, else now and then."""
    if request.epoch != 1:
        return mostly_right(request)
    thinking = {"thinking": "2nd"} if "thinking" in (request.schema or {}).get("properties", {}) else {}
    return json.dumps({**thinking, "parity": "odd" if asked(request) % 2 else "even"})


def searched(folder: Path, kind: str = "GridSearch", **options: Any) -> tuple[Tuner, Ledger]:
    """A finished search, and its ledger; ``fit`` among the options are further arguments of the search."""
    ledger, fit = Ledger(folder / "ledger.sqlite"), options.pop("fit", {})
    tuner = short_search(kind, folder, ScriptedLanguageModel(better_in_the_second_epoch, ledger=ledger), **options)
    tuner.search(**fit_arguments(**fit))
    return tuner, ledger


def asked_of(tuner: Tuner, ledger: Ledger, n: int = 4) -> list[list[Asked]]:
    """What the search asked for each validation example."""
    return list(asked_by_example(tuner.search_name or "", tuner.trial_records(), [ledger.path], n))


@pytest.mark.parametrize("options", [{}, {"executions_per_trial": 2}])
def test_every_run_of_every_example_is_there(tmp_path: Path, options: dict[str, Any]) -> None:
    """One call a trial, replicate and example, whose reply is what the record's output was parsed from."""
    tuner, ledger = searched(tmp_path, **options)
    found = asked_of(tuner, ledger)
    for place, calls in enumerate(found):
        by_run = {call.run: call for call in calls}
        for record in tuner.trial_records():
            for replicate, one in enumerate(record.replicates):
                call = by_run.pop(record.trial if replicate == 0 else f"{record.trial}-{replicate}")
                assert json.loads(call.reply) == one.examples[place].output
                assert json.loads(call.question[1]) == {"n": 100 + place} and call.question[0] == "user"
                assert call.prompt.request["temperature"] == record.values["temperature"]
                assert "messages" not in call.prompt.request and "endpoint" not in call.prompt.request
        assert by_run == {}


@pytest.mark.parametrize("kind", ["GridSearch", "Hyperband"])
def test_the_replies_are_those_of_the_best_epoch(tmp_path: Path, kind: str) -> None:
    """Where each epoch asks anew, the replies that are shown are those that were scored."""
    tuner, ledger = searched(tmp_path, kind, fit={"epochs": 3})
    records = {record.trial: record for record in tuner.trial_records()}
    epochs = {record.replicates[0].epoch for record in records.values()}
    assert 1 in epochs, "not all are of the first epoch"
    for place, calls in enumerate(asked_of(tuner, ledger)):
        assert {call.run for call in calls} == set(records)
        for call in calls:
            assert json.loads(call.reply) == records[call.run].replicates[0].examples[place].output


def test_a_finished_trial_has_its_notes_on_disk(tmp_path: Path) -> None:
    """Who asked is written before the trial counts as finished, so that a kill takes nothing from the file."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    seen: list[set[str]] = []

    class Look(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            if ledger.path.exists():
                with queries.opened(ledger.path) as connection:
                    search = tuner.planned.record.stem if tuner.planned else ""
                    seen.append({call.trial for call in queries.questions(connection, search, "val")})

    model = ScriptedLanguageModel(mostly_right, ledger=ledger)
    tuner = short_search("GridSearch", tmp_path, model, parallel_trials=1)
    tuner.search(**fit_arguments(callbacks=[Look()]))
    assert seen[-1] == {record.trial for record in tuner.trial_records()[:-1]}


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """Each text stands once, and every call is put together again; the file is the same for the same search."""
    tuner, ledger = searched(tmp_path)
    found = asked_of(tuner, ledger)
    write_replies(tmp_path / "replies.jsonl", found)
    prompts: list[Any] = []
    for calls, row in zip(found, read_replies(tmp_path / "replies.jsonl"), strict=True):
        prompts += row.prompts
        assert len({json.dumps(each) for each in row.questions}) == len(row.questions)
        back = [
            (run, prompts[prompt]["messages"], tuple(row.questions[question]), row.replies[reply][0])
            for run, asked in row.calls.items()
            for prompt, question, reply in asked
        ]
        assert back == [(call.run, call.prompt.messages, call.question, call.reply) for call in calls]
    assert len({json.dumps(each, sort_keys=True) for each in prompts}) == len(prompts)
    again, other = searched(tmp_path / "again")
    assert list(reply_rows(asked_of(again, other))) == list(reply_rows(found))


def test_what_a_ledger_no_longer_has_is_left_out(tmp_path: Path) -> None:
    """A pruned ledger makes a shorter file, not an error, and so does one of nothing; a missing file is one."""
    tuner, ledger = searched(tmp_path)
    ledger.close()
    queries.prune(ledger.path, queries.CallFilter(trial="1"))
    runs = [{call.run for call in calls} for calls in asked_of(tuner, ledger)]
    assert len(runs) == 4 and all("0001" not in each for each in runs)
    assert list(asked_by_example("other", tuner.trial_records(), [ledger.path], 3)) == [[], [], []]
    assert list(asked_by_example("other", [], [], 2)) == [[], []]
    assert list(ReplyRows([])) == []
    with pytest.raises(DataError, match="file not found"):
        list(read_replies(tmp_path / "none.jsonl"))


def test_a_text_to_be_continued_is_cut_before_its_question() -> None:
    """Of one long prompt the last paragraph is the question; both parts together are what was sent."""
    assert split_messages([["prompt", "Do it.\n\nText: a\nLabel:"]]) == (
        [["prompt", "Do it.\n\n"]],
        ("", "Text: a\nLabel:"),
    )
    assert split_messages([["prompt", "Text: a"]]) == ([["prompt", ""]], ("", "Text: a"))
    assert split_messages([["system", "s"], ["user", "u\n\nv"]]) == ([["system", "s"]], ("user", "u\n\nv"))


def test_a_dropped_trial_was_asked_what_it_ran(tmp_path: Path) -> None:
    """In a race each reply stands at the example that it was for, also where the trial did not run them all."""
    tuner, ledger = searched(tmp_path, racing="fast", fit={"validation_data": numbers(100, start=100)})
    dropped = [record for record in tuner.trial_records() if record.dropped is not None]
    found = asked_of(tuner, ledger, 100)
    assert dropped
    for record in dropped:
        assert record.dropped is not None
        outcomes = dict(zip(record.dropped.examples, record.replicates[0].examples, strict=True))
        for place, calls in enumerate(found):
            replies = [json.loads(call.reply) for call in calls if call.run == record.trial]
            assert replies == ([outcomes[place].output] if place in outcomes else [])

"""A small finished project on disk, written by the library's own writers: no language model, no search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from paretune.files import write_json, write_jsonl
from paretune.metrics.outcome import Outcome
from paretune.pipeline.scoring import Scoring, measures_of_trial
from paretune.programs.running import Evaluation
from paretune.reporting.metrics_json import compared, detail_json
from paretune.stages import report
from paretune.trials.goals import Goals, Objective
from paretune.trials.record import Dropped, ReplicateRecord, TrialRecord
from paretune.trials.rules import Rule
from paretune.trials.store import write_trials
from paretune.trials.winner import Best

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
GOALS = Goals((Objective("val_reward", "max"), Objective("val_tokens_per_request", "min")))
#: What nobody should type into a terminal, a spreadsheet or a page.
ODD = "\x1b[31m</script>| `code` @you \u202eleft 😀\nsecond line " + "long " * 2000
FORMULA = "=cmd|'/C calc'!A0"
N = 20
TEXTS = [ODD, *(f"text {number}" for number in range(2, N + 1))]
#: Trial, hyperparameters, how many of the 20 examples are right, tokens a request.
TRIALS = [
    ("0001", {"few_shot": 0, "model": "openai/small"}, 10, 50),
    ("0002", {"few_shot": 6, "model": "openai/small"}, 16, 200),
    ("0003", {"few_shot": 6, "model": FORMULA}, 8, 100),
]


def outcome(right: bool, tokens: int, number: int) -> Outcome:
    """An answer; every wrong one of the last five is cut off."""
    if not right and number >= N - 5:
        return Outcome("invalid", None, 0.0, 1, tokens, 2, 1e-5, 0.5, kind="cut_off")
    return Outcome("ok", {"label": "joy" if right else "fear"}, float(right), 1, tokens, 2, 1e-5, 0.5)


def trial(name: str, values: Mapping[str, Any], right: int, tokens: int, scoring: Scoring) -> TrialRecord:
    """A completed trial; its first examples are right."""
    examples = tuple(outcome(number < right, tokens, number) for number in range(N))
    state = {"modules": {"generator": {"instructions": "Say\x07 what it is.", "examples": [{}] * values["few_shot"]}}}
    record = TrialRecord(name, "COMPLETED", dict(values), replicates=(ReplicateRecord({}, 0, state, examples),))
    gold = [scoring.output_model.model_validate({"label": "joy"})] * N
    metrics = {f"val_{each.name}": each.value for each in measures_of_trial(record, gold, scoring.metrics)}
    replicate = ReplicateRecord(metrics, 0, state, examples)
    return TrialRecord(
        name, "COMPLETED", dict(values), metrics=metrics, calls=N, prompt_tokens=N * tokens, completion_tokens=N * 2,
        cost_usd=2e-4, latency_s=0.5, n=N, replicates=(replicate,), score=GOALS.score(metrics),
    )  # fmt: skip


def ended(scoring: Scoring) -> list[TrialRecord]:
    """A trial that a race has dropped after the examples 3, 5 and 7 (from 0), and one that failed."""
    examples = tuple(outcome(False, 90, number) for number in (3, 5, 7))
    dropped = Dropped("0002", "0002 is better", (3, 5, 7), 17)
    return [
        TrialRecord(
            "0004", "DROPPED", {"few_shot": 0, "model": "-1+1"}, calls=3, n=3, dropped=dropped,
            replicates=(ReplicateRecord({}, 0, {"modules": {}}, examples),),
        ),
        TrialRecord("0005", "FAILED", {"few_shot": 2, "model": "openai/broken"}, error="no\x1b reply", n=N),
    ]  # fmt: skip


def write_project(root: Path, params: Mapping[str, Any] = PARAMS) -> None:
    """The project below ``root``, with what the stage report writes; the current folder must be ``root``."""
    (root / "conf").mkdir(parents=True)
    (root / "conf/config.yaml").write_text("a: 1\n")
    objectives = [{"name": each.name, "direction": each.direction} for each in GOALS.objectives]
    params = {**params, "objective": {"objectives": objectives}, "report": {"resamples": 200, "reference": {}}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    rows = [{"x": {"text": text}, "y": {"label": "joy"}} for text in TEXTS]
    for part in ("train", "val"):
        write_jsonl(root / f"data/splits/{part}.jsonl", rows)
    scoring = Scoring(params)
    records = [*(trial(*each, scoring) for each in TRIALS), *ended(scoring)]
    write_search(root, records, scoring)
    report.main()


def write_search(root: Path, records: Sequence[TrialRecord], scoring: Scoring) -> None:
    """What the stages search and evaluate write of these trials; the test examples are the validation examples."""
    write_trials(root / "data/search/trials.jsonl", records)
    write_jsonl(root / "data/search/replies.jsonl", [])
    _, gold = scoring.read(root / "data/splits/val.jsonl")
    measures = {one.trial: measures_of_trial(one, gold, scoring.metrics) for one in records if one.completed}
    best = Best.of(records, GOALS, Rule(), measures=measures)
    best.write(root / "data/search/best.json")
    named = {one.trial: Evaluation(one.outcomes, tuple(measures[one.trial])) for one in records if one.completed}
    tested, baseline = {best.trial: named[best.trial]}, named["0001"]
    numbers = detail_json(
        winner=best, tested=tested, looks=2, records=records, measures=measures, baseline=baseline, resamples=200
    )
    write_json(root / "reports/detail.json", numbers)
    write_json(root / "reports/metrics.json", compared(numbers))
    rewards = [{"example": f"e{n}", "winner": one.reward} for n, one in enumerate(named[best.trial].outcomes)]
    write_jsonl(root / "reports/test_rewards.jsonl", rewards)


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str]:
    """The exit code of a command and what it printed."""
    from paretune.commands.main import main

    code = 0
    try:
        main(list(command))
    except SystemExit as end:
        code = int(str(end.code))
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def parsed(capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    """The JSON that a command printed."""
    code, text = printed(capsys, *command, "--json")
    assert code == 0, text
    return json.loads(text)

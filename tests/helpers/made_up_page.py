"""Made-up searches with examples, prompts and replies, for report.html."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paretune.metrics.measures import mean_of_replicates, measures_of
from paretune.metrics.outcome import Outcome
from paretune.reporting.html.blocks import ExampleData
from paretune.reporting.report import report
from paretune.stats import Measure
from paretune.trials.goals import as_goals
from paretune.trials.record import Dropped, ReplicateRecord, TrialRecord, finite
from paretune.trials.replies import Asked, Prompt, ReplyRows, reply_rows
from paretune.trials.rules import Rule
from paretune.trials.winner import Best

LABELS = ("anger", "fear", "joy", "love", "sadness", "surprise")
GOALS = as_goals(["val_reward", "val_tokens_per_request"])
WORDS = "the a of so then that we they know find see thus since where it is was each number text".split()  # noqa: SIM905
#: What test and baseline gave, as in detail.json.
NUMBERS = {
    "test": {"reward": 0.655, "reward_lo": 0.587, "reward_hi": 0.717, "n": 200, "failures": 0, "looks": 1},
    "val": {"reward": 0.7, "corrected": 0.68, "corrected_lo": 0.6, "corrected_hi": 0.76, "n": 140, "failures": 0},
    "optimism": {"reward": 0.045, "reward_lo": -0.05, "reward_hi": 0.14},
    "baseline": {"reward": 0.195, "reward_lo": 0.15, "reward_hi": 0.26, "n": 200, "failures": 0},
    "gain": {"reward": 0.46, "reward_lo": 0.376, "reward_hi": 0.535, "p_mcnemar": 1e-9, "n": 200},
    "frontier_0004": {"reward": 0.61, "reward_lo": 0.54, "reward_hi": 0.67, "n": 200, "failures": 0},
    "gain_0004": {"reward": 0.41, "reward_lo": 0.33, "reward_hi": 0.5, "n": 200},
    "judge": {"judgements": 3.0, "labelled": 40, "agreement": 0.9, "agreement_lo": 0.77, "agreement_hi": 0.96},
    "majority": {"reward": 0.3},
    "search": {"cost_usd": 1.25},
}


@dataclass(frozen=True)
class Search:
    """A finished search: its trials, their measures, the winner, and the examples."""

    records: Sequence[TrialRecord]
    measures: dict[str, list[Measure]]
    best: Best
    data: ExampleData

    def write(self, folder: Path, **options: Any) -> Path:
        """Write the reports; return the page."""
        options = {"examples": self.data, "numbers": NUMBERS, "title": "emotion", "resamples": 200} | options
        return report(self.records, self.measures, self.best, folder, **options)[-1]


def made_up(
    trials: int = 6, n: int = 40, *, replicates: int = 1, words: int = 0, texts: Sequence[str] = (), seed: int = 0
) -> Search:
    """A search whose trials are right as often as their hyperparameters suggest. With ``words`` each reply has so many
    of thought; ``texts`` stand in for the first inputs, and in the replies to them."""
    rng = np.random.default_rng(seed)
    y = [{"label": LABELS[rng.integers(len(LABELS))]} for _ in range(n)]
    x = [{"text": texts[i] if i < len(texts) else f"Text {i}: {_prose(rng, 8)}."} for i in range(n)]
    thoughts = [_prose(rng, words) for _ in range(n)]
    records = [_trial(rng, number, x, y, replicates) for number in range(1, trials + 1)]
    measures = {
        record.trial: mean_of_replicates([measures_of(one.examples, y, []) for one in record.replicates])
        for record in records
    }
    rows = list(reply_rows(_asked(rng, records, x, thoughts, texts)))
    best = Best.of(records, GOALS, Rule("best_score"), measures=measures)
    return Search(records, measures, best, ExampleData(x, y, ReplyRows(rows)))


def with_a_dropped_trial(search: Search) -> Search:
    """The same, its last trial dropped by a race after three of the examples."""
    last, ran = search.records[-1], (1, 4, 7)
    (whole,) = last.replicates
    part = replace(whole, examples=tuple(whole.examples[place] for place in ran))
    dropped = Dropped(by="0001", why="reward 0.3 lower", examples=ran, saved=37)
    record = replace(last, status="DROPPED", n=3, replicates=(part,), score=None, dropped=dropped)
    measures = {trial: found for trial, found in search.measures.items() if trial != last.trial}
    return replace(search, records=[*search.records[:-1], record], measures=measures)


def _trial(rng: np.random.Generator, number: int, x: Sequence[Any], y: Sequence[Any], replicates: int) -> TrialRecord:
    few, temperature, model = int(rng.choice([0, 2, 4, 8])), round(float(rng.uniform(0, 1)), 2), f"m-{number % 4}"
    skill = min(0.95, 0.35 + 0.05 * few + 0.1 * (number % 4) - 0.1 * temperature)
    found = tuple(
        ReplicateRecord(
            {}, 0, {"modules": {"generator": {}}},
            tuple(_outcome(rng, i, gold["label"], skill, 60 + 30 * few) for i, gold in enumerate(y)),
        )
        for _ in range(replicates)
    )  # fmt: skip
    measured = mean_of_replicates([measures_of(one.examples, y, []) for one in found])
    metrics = finite({f"val_{measure.name}": measure.value for measure in measured})
    outcomes = [outcome for one in found for outcome in one.examples]
    return TrialRecord(
        f"{number:04d}", "COMPLETED", {"model": model, "few_shot": few, "temperature": temperature}, metrics,
        calls=len(outcomes), prompt_tokens=sum(each.prompt_tokens for each in outcomes),
        completion_tokens=sum(each.completion_tokens for each in outcomes), cost_usd=0.01 * number, latency_s=0.2,
        n=len(y), replicates=found, score=GOALS.score(metrics),
    )  # fmt: skip


def _outcome(rng: np.random.Generator, place: int, gold: str, skill: float, tokens: int) -> Outcome:
    if rng.random() < 0.02:
        return Outcome("invalid", None, 0.0, 1, tokens, 256, 1e-4, 0.2, None, 0, "cut_off")
    if rng.random() < 0.01:
        return Outcome("failed", None, None, 1, 0, 0, 0.0, 0.2, "the server did not answer")
    label = gold if rng.random() < skill else LABELS[(place + int(rng.integers(3))) % len(LABELS)]
    return Outcome("ok", {"label": label}, float(label == gold), 1, tokens + place % 7, 20, 1e-4, 0.2)


def _asked(
    rng: np.random.Generator, records: Sequence[TrialRecord], x: Sequence[Any], thoughts: Sequence[str],
    texts: Sequence[str],
) -> Iterator[list[Asked]]:  # fmt: skip
    prompts = {
        record.trial: Prompt(
            "generator", record.values["model"], [["system", f"Which emotion? Shots: {record.values['few_shot']}"]],
            {"temperature": record.values["temperature"]},
        )
        for record in records
    }  # fmt: skip
    for place, given in enumerate(x):
        found = []
        for record in records:
            for replicate, one in enumerate(record.replicates):
                outcome = one.examples[place]
                thought = _changed(rng, thoughts[place])
                label = "" if outcome.output is None else outcome.output["label"]
                own = texts[place] if place < len(texts) else ""
                run = record.trial if replicate == 0 else f"{record.trial}-{replicate}"
                reply = f"{thought} {own} {label}".strip()
                found.append(Asked(run, prompts[record.trial], ("user", given["text"]), reply, "stop"))
        yield found


def _prose(rng: np.random.Generator, count: int) -> str:
    return " ".join(WORDS[place] for place in rng.integers(len(WORDS), size=count))


def _changed(rng: np.random.Generator, text: str) -> str:
    """A text of which a quarter of the words are others."""
    words = text.split()
    for place in np.flatnonzero(rng.random(len(words)) < 0.25):
        words[place] = WORDS[int(rng.integers(len(WORDS)))]
    return " ".join(words)

"""What grows with the number of trials grows no faster: counted in steps, comparisons and bytes, not timed."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paretune
from paretune.lm.ledger.ledger import Ledger
from paretune.metrics.metric import mean
from paretune.reporting import placement
from paretune.reporting.placement import Box, place
from paretune.stats import selection
from paretune.stats.measure import Measure
from paretune.stats.resampling import BayesianBootstrap, Bootstrap
from paretune.stats.selection import best_set, corrected_score
from paretune.trials.choice import doubt
from paretune.trials.goals import as_goals
from paretune.trials.record import TrialRecord


class Text(paretune.DataModel):
    """The input."""

    text: str


class Mood(paretune.DataModel):
    """The output."""

    mood: str


def searched(folder: Path, trials: int) -> bytes:
    """The record of a grid of so many trials with two examples."""
    model = paretune.ScriptedLanguageModel(lambda request: '{"mood": "joy"}', ledger=Ledger(folder / "ledger.sqlite"))

    async def build_program(hp: Any) -> paretune.Program:
        inputs = paretune.Input(data_model=Text)
        temperature = hp.Float("temperature", 0.0, 1.0, step=1 / trials)
        generator = paretune.Generator(data_model=Mood, language_model=model, temperature=temperature)
        program = paretune.Program(inputs=inputs, outputs=await generator(inputs))
        program.compile()
        return program

    tuner = paretune.tuners.GridSearch(
        build_program, ["val_reward", "val_latency"], max_trials=trials, directory=folder, verbose=False
    )
    x, y = [Text(text="a"), Text(text="b")], [Mood(mood="joy"), Mood(mood="joy")]
    tuner.search(x, y, validation_data=(x, y))
    (record,) = (folder / "search").glob("*.jsonl")
    return record.read_bytes()


def test_the_end_of_a_trial_looks_at_the_last_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four times as many trials, four times as many looks at records, and lines as long as before."""
    looks = [0]

    def failed(self: TrialRecord) -> bool:
        looks[0] += 1
        return self.status == "FAILED"

    monkeypatch.setattr(TrialRecord, "failed", property(failed))
    counts, sizes = [], []
    for trials in (20, 80):
        looks[0] = 0
        lines = searched(tmp_path / str(trials), trials).splitlines()
        assert len(lines) == trials
        counts.append(looks[0])
        sizes.append(sum(map(len, lines)) / trials)
    assert counts[1] <= 4.5 * counts[0]
    assert sizes[1] <= 1.1 * sizes[0]


POINTS = st.lists(st.tuples(st.floats(0, 400), st.floats(0, 300)), min_size=1, max_size=12)
BOXES = st.lists(
    st.builds(
        lambda x, y, width, height: Box(x, y, x + width, y + height),
        *(st.floats(-20, 420), st.floats(-20, 320), st.floats(0, 90), st.floats(0, 90)),
    ),
    max_size=15,
)


@settings(max_examples=60, deadline=None)
@given(points=POINTS, solid=BOXES, light=BOXES)
def test_labels_are_where_all_comparisons_put_them(
    points: list[tuple[float, float]], solid: list[Box], light: list[Box]
) -> None:
    """To compare with what is near gives the places that comparing with everything gives."""
    arguments: dict[str, Any] = {"solid": solid, "light": light, "font_size": 13.0}
    texts = [[f"label {number}"] for number in range(len(points))]
    near = place(points, texts, Box(0, 0, 400, 300), **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "_SQUARE", 1e6)  # one square each side of zero
        assert place(points, texts, Box(0, 0, 400, 300), **arguments) == near


def test_labels_are_compared_with_what_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight times the points, eight times the panel: no more than ten times the comparisons."""
    counts, overlap = [], Box.overlap

    def counted(one: Box, other: Box) -> float:
        counts[-1] += 1
        return overlap(one, other)

    monkeypatch.setattr(Box, "overlap", counted)
    for size in (100, 800):
        counts.append(0)
        rng = np.random.default_rng(0)
        points = [(float(x), float(y)) for x, y in rng.uniform(0, 1, (size, 2)) * (size * 20, 400)]
        markers = [Box(x - 7, y - 7, x + 7, y + 7) for x, y in points]
        texts = [["a label"]] * size
        place(points, texts, Box(0, 0, size * 20, 400), solid=markers, light=markers, font_size=13.0)
    assert counts[1] <= 10 * counts[0]


def made_up(trials: int, n: int) -> list[Measure]:
    """The rewards of trials that are right more or less often."""
    rng = np.random.default_rng(1)
    answers = rng.random((trials, n)) < rng.uniform(0.4, 0.8, (trials, 1))
    return [Measure("reward", "max", np.stack([row, np.ones(n)], 1).astype(float), mean, "share") for row in answers]


def test_the_set_of_the_best_is_that_of_all_pairs() -> None:
    """The same as from the covariances of all pairs of trials at once."""
    measures, bootstrap = made_up(150, 40), BayesianBootstrap(40, resamples=400)
    found = best_set(measures, bootstrap)
    draws = np.stack(list(bootstrap.values(measures)), axis=1)
    spread = np.cov(draws, rowvar=False)
    variances = np.diag(spread)
    errors = np.sqrt(np.maximum(variances[:, None] + variances - 2 * spread, 0.0) + 42.0**-2)
    scores = np.array([measure.value for measure in measures])
    noise = draws - draws.mean(axis=0)
    largest = ((noise.max(axis=1)[:, None] - noise) / errors[noise.argmax(axis=1)]).max(axis=1)
    assert found.critical == pytest.approx(np.quantile(largest, 0.95))
    assert found.z == pytest.approx(((scores.max() - scores) / errors[scores == scores.max()]).min(axis=0))
    assert found.kept.any() and not found.kept.all()


def test_the_set_of_the_best_holds_no_pairs_in_memory() -> None:
    """For 3,000 trials all pairs would be 72 MB; the draws are 2.4."""
    measures, bootstrap = made_up(3_000, 20), BayesianBootstrap(20, resamples=100)
    tracemalloc.start()
    best_set(measures, bootstrap)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def test_a_corrected_score_may_be_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few values are held at a time, the score is the same, and no more are held."""
    measures, held = made_up(30, 25), []

    def choose(weights: Any) -> Any:
        held.append(len(weights))
        return np.stack([weights @ measure.statistics[:, 0] for measure in measures], 1).argmax(axis=1)

    whole = corrected_score(measures, choose, Bootstrap(25, resamples=200))
    assert max(held) == 200
    monkeypatch.setattr(selection, "_CELLS", 900)
    held.clear()
    assert corrected_score(measures, choose, Bootstrap(25, resamples=200)) == pytest.approx(whole)
    assert max(held) == 30


def test_a_sentence_stays_one() -> None:
    """Of thousands of trials that may be the best it names some, and says how many there are besides."""
    record = TrialRecord("0001", "COMPLETED", {}, {"val_reward": 0.5})
    records = [replace(record, trial=f"{number:04d}") for number in range(1, 3_001)]
    text = doubt([one.trial for one in records[:-1]], records, as_goals("val_reward"))
    assert text.startswith("By reward the trials 1, 2, 3, ") and ", 25 and 2,974 more cannot be told apart" in text
    assert len(text) < 250

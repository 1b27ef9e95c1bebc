"""The picture: where things are placed, what the specification holds, and that the same input gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_trials import F1, REWARD, TOKENS, TRIALS, WINNER, failed, goals, measures_of, resolved, trial

from paretune.errors import ConfigError, DataError
from paretune.reporting.charts import chart, to_png
from paretune.reporting.frontier_rows import pareto_rows
from paretune.reporting.placement import Box, Scale, place, text_width
from paretune.reporting.report import report
from paretune.reporting.results import results
from paretune.trials.goals import Objective
from paretune.trials.rules import Rule
from paretune.trials.winner import Best

TEMPLATE = Path(__file__).parents[2] / ".dvc" / "plots" / "pareto.json"
GOALS = goals(REWARD, TOKENS)
BEST = Best.of(TRIALS, GOALS, Rule())


def svg_of(spec: dict[str, Any]) -> str:
    """A picture whose texts can be read."""
    return str(vl_convert.vegalite_to_svg(spec, vl_version="5.21", allowed_base_urls=[]))


@given(st.floats(-50, 50), st.floats(0.01, 100), st.booleans(), st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_a_scale_and_its_inverse(low: float, span: float, flipped: bool, share: float) -> None:
    """A value's pixel leads back to the value, on linear and logarithmic scales."""
    scale = Scale.around([low, low + span], 400, flipped=flipped)
    value = low + share * span
    assert 0 <= scale.pixel(value) <= 400
    assert scale.value(scale.pixel(value)) == pytest.approx(value, abs=1e-6)


def test_scales_suit_their_values() -> None:
    """Amounts of three orders of magnitude need a logarithm; what is never negative gets no room below zero."""
    assert Scale.around([1e-5, 1e-2], 400, spread=True).log
    assert not Scale.around([1e-5, 1e-2], 400).log
    assert not Scale.around([0, 1e-2], 400, spread=True).log
    assert Scale.around([0, 1, float("nan")], 400).low == 0
    assert Scale.around([5, 5], 400).low < 5 < Scale.around([5, 5], 400).high
    assert Scale.around([], 400).low < Scale.around([], 400).high


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200)), min_size=1, max_size=9))
@settings(deadline=None, max_examples=40)
def test_labels_never_cover_markers_or_each_other(points: list[tuple[int, int]]) -> None:
    """Whatever the crowd, a placed label is inside the panel and clear of all markers and labels."""
    markers = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    texts = [["few shot 4,", "structured"]] * len(points)
    placed = place(points, texts, Box(0, 0, 300, 200), solid=markers, light=[], font_size=12)
    width, taken = max(text_width(line, 12) for line in texts[0]), list(markers)
    for label in placed:
        if label:
            left = label.x - {"left": 0, "center": width / 2, "right": width}[label.align]
            box = Box(left, label.y - 14.4, left + width, label.y + 14.4)
            assert min(box.left, box.top) >= 0 and box.right <= 300 and box.bottom <= 200
            assert all(box.overlap(other) < 1e-6 for other in taken)
            taken.append(box)


def marks(spec: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for panel in spec["hconcat"]:
        yield from (layer for layer in panel["layer"] if layer["mark"]["type"] == kind)


def test_one_panel_for_two_objectives() -> None:
    """The line goes through the frontier in order, and the title, the reference and the winner are there."""
    spec = chart(resolved([*TRIALS, failed()]), [REWARD, TOKENS], references={"val_reward": 0.3})
    assert spec["title"]["text"] == "5 of 8 configurations are on the Pareto frontier"
    assert "n = 80" in spec["title"]["subtitle"][0] and "1 failed trial" in spec["title"]["subtitle"][0]
    (line,) = marks(spec, "line")
    assert line["mark"]["interpolate"] == "step-after"
    assert [point["x"] for point in line["data"]["values"]] == [150, 230, 240, 335, 515]
    (symbols,) = marks(spec, "point")
    roles = [row["role"] for row in symbols["data"]["values"]]
    assert roles == ["not on it"] * 3 + ["on the frontier"] * 4 + ["winner"]
    texts = [row["text"] for layer in marks(spec, "text") for row in layer["data"]["values"]]
    assert "always the most common answer: 0.3" in texts
    assert ["few shot 8,", "structured output"] in texts or ["few shot 8, structured output"] in texts


def test_two_panels_for_three_objectives_and_a_ranking_for_one() -> None:
    """Reward and F1 each against tokens; a single objective is ranked, the best on top."""
    three = [REWARD, F1, TOKENS]
    panels = chart(resolved(objectives=three), three)["hconcat"]
    titles = [panel["layer"][-1]["encoding"]["y"]["axis"]["title"] for panel in panels]
    assert titles == ["reward (higher is better)", "F1 (higher is better)"]
    spec = chart(resolved(objectives=[REWARD]), [REWARD], references={"val_reward": 0.3})
    (symbols,) = marks(spec, "point")
    best = max(symbols["data"]["values"], key=lambda row: row["x"])
    assert (best["y"], best["x"]) == ("1", 0.7)


@pytest.mark.parametrize("objectives", [[REWARD], [REWARD, TOKENS], [REWARD, F1, TOKENS]])
def test_the_same_search_gives_the_same_picture(objectives: list[Any]) -> None:
    """Two renderings are equal byte for byte and about as wide as a README at twice its resolution."""
    spec = chart(resolved(objectives=objectives), objectives, references={"val_reward": 0.3})
    png = to_png(spec)
    assert len(to_png(spec, scale=1.0)) < len(png)
    assert png == to_png(chart(resolved(objectives=objectives), objectives, references={"val_reward": 0.3}))
    assert png.startswith(b"\x89PNG")
    assert 1300 <= int.from_bytes(png[16:20], "big") <= 1900


def test_rewards_have_a_linear_axis_and_costs_are_of_a_thousand() -> None:
    """However small the majority answer is; amounts that differ by a factor of 30 have a logarithmic axis."""
    cost = Objective("val_cost", "min")
    values = [(20, 1e-5), (54, 4e-4)]
    records = [trial(f"000{n}", {"few_shot": n}, right, 100) for n, (right, _) in enumerate(values)]
    for record, (_, dollars) in zip(records, values, strict=True):
        record.metrics["val_cost"] = dollars
    found = results(records, {}, goals(REWARD, cost), "0001")
    panel = chart(found, [REWARD, cost], references={"val_reward": 0.003})["hconcat"][0]
    (symbols,) = [layer for layer in panel["layer"] if layer["mark"]["type"] == "point"]
    assert symbols["encoding"]["y"]["scale"].get("type") is None
    x = symbols["encoding"]["x"]
    assert x["scale"]["type"] == "log" and x["axis"]["title"] == "cost per 1,000 examples (USD, lower is better)"
    assert sorted(row["x"] for row in symbols["data"]["values"]) == pytest.approx([0.01, 0.4])
    rows = pareto_rows(found, [REWARD, cost])
    assert [(row["x"], row["val_cost"]) for row in rows] == [(pytest.approx(0.01), 1e-5), (pytest.approx(0.4), 4e-4)]


def test_a_search_of_one_trial_or_without_intervals_can_be_drawn() -> None:
    """No frontier to speak of and no bars, but a picture; without any completed trial there is a clear error."""
    alone = results([trial("0001", {}, 40, 100)], {}, GOALS, "0001")
    assert "trial 0001" in svg_of(chart(alone, [REWARD, TOKENS]))
    with pytest.raises(DataError, match="no trial was completed"):
        chart(results([failed()], {}, goals(REWARD), WINNER), [REWARD])


def test_a_report_writes_its_files_alike_each_time(tmp_path: Path) -> None:
    """Two runs leave the same four files with the same bytes, and nothing else."""
    axes = {"x": "val_tokens_per_request", "y": "val_reward"}
    records = [*TRIALS, failed()]
    for folder in ("a", "b"):
        report(records, measures_of(records), BEST, tmp_path / folder, resamples=200, **axes)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["pareto.json", "pareto.png", "report.md", "trials.csv"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(json.loads((tmp_path / "a" / "pareto.json").read_text(encoding="utf-8"))) == 8


def test_a_report_refuses_an_axis_that_is_no_metric(tmp_path: Path) -> None:
    """A misspelt axis is an error that lists what there is; a metric that is no objective has no effect."""
    with pytest.raises(ConfigError, match=r"report\.x: .*'val_tokns'"):
        report(TRIALS, measures_of(TRIALS), BEST, tmp_path, x="val_tokns")
    report(TRIALS, measures_of(TRIALS), BEST, tmp_path, y="val_f1", resamples=50)


def test_a_trial_that_breaks_a_constraint_is_shown_as_such() -> None:
    """It is neither on the frontier nor on the line, and has a look of its own; without one the legend has none."""
    found = resolved(constraints=["val_tokens_per_request <= 400"])
    spec = json.dumps(chart(found, [REWARD, TOKENS]))
    assert spec.count('"role": "breaks a constraint"') == 2 * 3 and "breaks a constraint" not in json.dumps(
        chart(resolved(), [REWARD, TOKENS])
    )
    rows = {row["trial"]: row for row in pareto_rows(found, [REWARD, TOKENS])}
    assert not any(rows[trial][flag] for trial in ("0007", "0008") for flag in ("on_frontier", "on_line"))


def test_no_trial_keeps_the_constraints() -> None:
    """The title says so, where nothing can be on the frontier."""
    spec = chart(resolved(constraints=["val_tokens_per_request <= 1"]), [REWARD, TOKENS])
    assert spec["title"]["text"] == "None of 8 configurations keeps the constraints"


def filled(template: Any, values: dict[str, Any]) -> Any:
    """Put values in the place of DVC's anchors, as DVC does."""
    if isinstance(template, dict):
        return {key: filled(each, values) for key, each in template.items()}
    if isinstance(template, list):
        return [filled(each, values) for each in template]
    return values.get(template, template) if isinstance(template, str) else template


def test_dvc_can_draw_the_rows_with_the_template() -> None:
    """The template's fields are keys of the rows, no anchor is left over, and two revisions make a picture."""
    template = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    rows = [row | {"rev": rev} for rev in ("main", "workspace") for row in pareto_rows(resolved(), [REWARD, TOKENS])]
    color = {"field": "rev", "scale": {"domain": ["main", "workspace"], "range": ["#945dd6", "#13adc7"]}}
    anchors = {"DATA": rows, "X": "x", "Y": "y", "TITLE": "Pareto frontier", "COLOR": color}
    spec = filled(template, {f"<DVC_METRIC_{name}>": value for name, value in anchors.items()})
    text = json.dumps({key: value for key, value in spec.items() if key != "data"})
    assert "<DVC_" not in text
    fields, computed = ({part.split('"')[0] for part in text.split(f'"{key}": "')[1:]} for key in ("field", "as"))
    assert fields <= set(rows[0]) | computed
    svg = svg_of(spec)
    assert "tokens per request (lower is better)" in svg and "workspace" in svg
    winner = "reward 0.675 (0.566 to 0.768), tokens per request 335: few shot 4, structured output, temperature 0"
    assert all(svg.count(f">{rev}: {winner}<") == 1 for rev in ("main", "workspace"))
    alone = filled(template, {f"<DVC_METRIC_{name}>": value for name, value in (anchors | {"DATA": rows[:8]}).items()})
    frontier = [row for row in rows[:8] if row["on_frontier"]]
    texts = svg_of(alone)
    assert f">winner: {winner}<" in texts and all(f": {row['label']}<" in texts for row in frontier)

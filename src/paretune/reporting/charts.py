"""The picture of a search: configurations with 2-D error bars and their frontier, as Vega-Lite, PNG and SVG.

Everything is computed before it is drawn: the specification holds plain numbers and explicit domains, so that it
renders to the same bytes on every machine (vl-convert brings its own JavaScript engine and the font that is named).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paretune.errors import DataError
from paretune.reporting.frontier_panel import frontier_panel
from paretune.reporting.frontier_rows import axes, brief_options, labels
from paretune.reporting.marks import INK, MUTED
from paretune.reporting.ranking_panel import ranking_panel
from paretune.reporting.results import Result
from paretune.trials.goals import Objective
from paretune.wording import metric_words, percent, words

__all__ = ["chart", "to_png"]

_FONT = "Liberation Sans"  # inside vl-convert: no system font is needed
_VERSION = "5.21"
_WIDTH = 900  # pixels, the width of a README
_COLUMNS = 135  # characters of a subtitle in it


def chart(
    results: Sequence[Result],
    objectives: Sequence[Objective],
    *,
    x: str | None = None,
    y: str | None = None,
    confidence: float = 0.95,
    references: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The Vega-Lite specification of a search, about 900 pixels wide.

    One objective: a ranked dot plot. Two: one panel. Three or more: two panels side by side that share their x axis
    (see `axes` for the choice). ``references`` maps objective names to the value of always answering the most common
    training output; ``notes`` are sentences below the title. Raise DataError when no trial was completed.
    """
    completed = [result for result in results if result.record.completed]
    if not completed:
        raise DataError("no trial was completed: there is nothing to draw")
    marks = references or {}
    pairs = axes(objectives, x, y)
    shown = [result for result in results if not result.record.failed] if pairs else completed
    brief = brief_options(shown) if pairs else {}
    texts = labels(shown, brief)
    if not pairs:
        panels = [ranking_panel(shown, texts, objectives[0], width=500, reference=marks.get(objectives[0].name))]
    else:
        width = (_WIDTH - 84 * len(pairs)) // len(pairs)
        height = 430 if len(pairs) == 1 else 360
        panels = [
            frontier_panel(shown, texts, pair, width=width, height=height, reference=marks.get(pair[1].name))
            for pair in pairs
        ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": _title(completed, len(shown), objectives),
            "subtitle": [*_subtitle(results, len(pairs), confidence, brief), *_wrapped(notes)],
        },
        "hconcat": panels,
        "spacing": 34,
        "resolve": {"scale": {"stroke": "shared", "fill": "shared", "shape": "shared", "size": "shared"}},
        "background": "white",
        "padding": {"left": 12, "top": 14, "right": 16, "bottom": 12},
        "config": _config(),
    }


def to_png(spec: Mapping[str, Any], scale: float = 2.0) -> bytes:
    """The specification as PNG; ``scale`` 2 is sharp on a high-resolution screen. No browser, no network."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(dict(spec), vl_version=_VERSION, scale=scale, allowed_base_urls=[]))


def _title(completed: Sequence[Result], shown: int, objectives: Sequence[Objective]) -> str:
    if len(objectives) == 1:
        return f"{_capital(metric_words(objectives[0].name))} of {_configurations(shown)}, the best first"
    if not any(result.feasible for result in completed):
        return f"None of {_configurations(shown)} keeps the constraints"
    best = sum(result.on_frontier for result in completed)
    return f"{best} of {_configurations(shown)} {'is' if best == 1 else 'are'} on the Pareto frontier"


def _subtitle(
    results: Sequence[Result], panels: int, confidence: float, brief: Mapping[str, Sequence[str]]
) -> list[str]:
    n = _range(result.record.n for result in results if result.record.completed)
    first = f"Bars: {percent(confidence)} intervals on the validation split, n = {n}."
    dropped = [result.record.n for result in results if result.record.dropped is not None]
    if dropped and panels:
        first += f" What was dropped ran {_range(dropped)}, and has none."
    hidden = {"dropped": 0 if panels else len(dropped), "failed": sum(result.record.failed for result in results)}
    if count := sum(hidden.values()):
        kinds = " and ".join(f"{number} {kind}" for kind, number in hidden.items() if number)
        first += f" Not shown: {kinds} {'trial' if count == 1 else 'trials'}."
    if not panels:
        return [first]
    second = "The line joins the configurations that no other beats"
    second += " on the two axes of a panel." if panels > 1 else "."
    for name, options in brief.items():
        second += f" {_capital(words(name))}: {' or '.join(options)}."
    return [first, second]


def _range(sizes: Iterable[int]) -> str:
    known = set(sizes)
    return " to ".join(f"{size:,}" for size in sorted({min(known), max(known)}))


def _wrapped(notes: Sequence[str]) -> list[str]:
    """Sentences in lines as wide as the picture."""
    return textwrap.wrap(" ".join(notes), _COLUMNS)


def _configurations(count: int) -> str:
    return f"{count} configuration{'' if count == 1 else 's'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _config() -> dict[str, Any]:
    return {
        "font": _FONT,
        "title": {
            "anchor": "start",
            "fontSize": 20,
            "fontWeight": "bold",
            "color": INK,
            "subtitleFontSize": 13.5,
            "subtitleColor": MUTED,
            "subtitlePadding": 6,
            "subtitleLineHeight": 18,
            "offset": 14,
        },
        "axis": {
            "labelFontSize": 13,
            "titleFontSize": 14,
            "titleFontWeight": "normal",
            "titleColor": INK,
            "titlePadding": 10,
            "labelColor": MUTED,
            "gridColor": "#eeeeee",
            "domainColor": "#bbbbbb",
            "tickColor": "#bbbbbb",
            "labelPadding": 5,
        },
        "view": {"stroke": None},
        "legend": {"labelFontSize": 13.5, "labelColor": INK, "symbolStrokeWidth": 1.6, "symbolOpacity": 1},
    }

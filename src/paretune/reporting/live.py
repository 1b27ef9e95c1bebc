"""The page and the summary of a search that is not finished: drawn again and again, before there is a test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretune.files import open_atomic
from paretune.reporting.html.blocks import ExampleData, packed
from paretune.reporting.html.document import page_text
from paretune.reporting.html.facts import facts
from paretune.reporting.html.page import waiting_page
from paretune.reporting.markdown import escaped
from paretune.reporting.results import results
from paretune.reporting.summary_md import summary
from paretune.stats import Measure
from paretune.trials.record import TrialRecord
from paretune.trials.winner import Best
from paretune.tuners.status import Status
from paretune.wording import compact, label_parts

__all__ = ["LiveReport", "progress_of"]

#: Stands in the page where it tells how the search goes.
_MARK = "@live@"
#: The page is opened again after so many seconds; it loads at once, so that it has at most so many megabytes.
_AGAIN_S, _MAX_MB = 5, 5.0


class LiveReport:
    """report.html and report.md of a running search in a ``folder``. What takes long is done again only where a trial
    was finished; ``options`` are those of ``report``."""

    def __init__(self, folder: str | Path, title: str, **options: Any) -> None:
        self.folder, self.title = Path(folder), title
        self._options = {**options, "max_mb": min(options.get("max_mb", _MAX_MB), _MAX_MB)}
        self._known: list[TrialRecord] = []
        self._page, self._summary = "", ""

    def draw(
        self,
        status: Status,
        running: bool,
        records: Sequence[TrialRecord],
        measures: Mapping[str, Sequence[Measure]],
        examples: Callable[[], ExampleData],
    ) -> Path:
        """Write both files; return the page's path. ``records`` are the trials that have ended, ``measures`` those of
        the completed ones on the validation examples; ``examples`` is called where there is a new record."""
        sentences = progress_of(status, running, records)
        every = _AGAIN_S if running else None
        path = self.folder / "report.html"
        if not measures:
            page, text = waiting_page(self.title, sentences, every), ""
        else:
            if list(map(id, records)) != list(map(id, self._known)):  # equal records are long to compare
                self._page, self._summary = self._drawn(status, records, measures, examples)
                self._known = list(records)
            live = {"sentences": sentences, "every": every, "at": round(time.time())}
            page, text = self._page.replace(f">{_MARK}<", f">{packed(live)}<", 1), self._summary
        head, *rest = map(escaped, sentences)
        with open_atomic(path) as handle:
            handle.write(page)
        with open_atomic(self.folder / "report.md") as handle:
            handle.write("\n\n".join(filter(None, [f"### {head}", *rest, text])))
        return path

    def _drawn(
        self,
        status: Status,
        records: Sequence[TrialRecord],
        measures: Mapping[str, Sequence[Measure]],
        examples: Callable[[], ExampleData],
    ) -> tuple[str, str]:
        options = dict(self._options)
        max_mb, axes = options.pop("max_mb"), {name: options.pop(name, None) for name in ("x", "y", "references")}
        rule = replace(status.rule, allow_broken=True)  # until one keeps the constraints
        best = Best.of(records, status.goals, rule, stopped=status.stopped, measures=measures)
        records = [replace(one, score=status.goals.score(one.metrics)) if one.completed else one for one in records]
        found = results(records, measures, best.goals, best.trial, **options)
        confidence = options.get("confidence", 0.95)
        page = facts(found, measures, best, title=self.title, confidence=confidence, **axes)
        return page_text(page, found, best, examples(), max_mb, _MARK), summary(found, best)


def progress_of(status: Status, running: bool, records: Sequence[TrialRecord]) -> list[str]:
    """How a search goes, in sentences; the first one says whether it runs. The last tells that there is no test yet."""
    ended = sum(not record.failed for record in records)
    count = f"{ended} of {status.total} trials {'is' if ended == 1 else 'are'} finished"
    if running:
        first = f"The search is running: {count}."
    elif ended >= status.total:
        first = f"The search has finished, all {status.total} trials."
    else:
        first = f"The search has stopped, {count}: {status.stopped or 'its process has ended'}; it goes on from here."
    sentences = [first]
    ended_since = {record.trial for record in records}
    under_way = {number: values for number, values in status.running.items() if number not in ended_since}
    if running and under_way:
        every = [*(record.values for record in records), *under_way.values()]
        varied = [name for name in {key: None for values in every for key in values} if _varies(name, every)]
        named = (_named(number, values, varied) for number, values in under_way.items())
        sentences.append(f"Running: {'; '.join(named)}.")
    dropped = [record.dropped.saved for record in records if record.dropped is not None]
    failed = sum(record.failed for record in records)
    if dropped:
        sentences.append(f"Dropped by the race: {len(dropped)}, which saved {sum(dropped):,} calls.")
    if failed:
        sentences.append(f"Failed: {failed}.")
    minutes, seconds = divmod(round(status.at - status.began), 60)
    unknown = any(record.cost_usd is None for record in records)
    price = "at a price that is not known" if unknown else f"for ${compact(status.spent_usd)}"
    sentences.append(
        f"Of {status.answered:,} calls answered in {minutes}:{seconds:02d} minutes {status.paid:,} were paid, {price}."
    )
    return [*sentences, "There is no test result yet: the held-out examples are looked at once, after the search."]


def _varies(name: str, every: Sequence[Mapping[str, Any]]) -> bool:
    return not name.startswith("tuner/") and len({repr(values.get(name)) for values in every}) > 1


def _named(number: str, values: Mapping[str, Any], names: Sequence[str]) -> str:
    parts = label_parts(values, names)
    return f"trial {int(number)} ({', '.join(parts)})" if parts else f"trial {int(number)}"

"""The gate for CI: this checkout's winner against that of another revision, on the same test examples."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paretune.commands.paired import WORKSPACE, file_at, paired, revision_name, winner_rewards
from paretune.errors import ConfigError, DataError, SearchError
from paretune.reporting.markdown import code, escaped, table
from paretune.reporting.sentences import points
from paretune.stats.intervals import Difference
from paretune.wording import compact

__all__ = ["Check", "check"]

METRICS = Path("reports/metrics.json")
#: Beside the reward, what is told of both winners; it decides nothing.
_TOLD = ("f1", "cost", "tokens_per_request", "invalid_rate")


@dataclass(frozen=True)
class Check:
    """The reward of this checkout's winner minus that of the revision's, ``gain``, paired; ``tolerance``: a loss of so
    much is accepted. ``detectable``: the loss beyond the tolerance that these examples show in 8 of 10 cases (NaN:
    none). ``metrics`` has for each name the value there and the value here; ``unchanged``: no example and no metric has
    another one."""

    against: str
    gain: Difference
    tolerance: float
    detectable: float
    metrics: Mapping[str, tuple[float | None, float | None]]
    unpaired: int
    unchanged: bool = False

    @property
    def regressed(self) -> bool:
        """Whether a loss of more than the tolerance is shown."""
        return self.gain.hi < -self.tolerance

    @property
    def excluded(self) -> bool:
        """Whether a loss of more than the tolerance is excluded, or nothing has changed."""
        return self.unchanged or self.gain.lo >= -self.tolerance

    def verdict(self) -> str:
        """One sentence with numbers."""
        if self.unchanged:
            return f"nothing has changed against {self.against}, on {self.gain.n} test examples"
        loss = f"a loss of more than {_points(self.tolerance)}" if self.tolerance else "a loss"
        shown = "is shown" if self.regressed else "is excluded" if self.excluded else "is neither shown nor excluded"
        change = f"reward {points(self.gain.value, self.gain.lo, self.gain.hi)}"
        return f"{loss} {shown}: {change} against {self.against}, on {self.gain.n} shared test examples"

    def power(self) -> str:
        """What these examples could show."""
        if math.isnan(self.detectable):
            return f"{self.gain.n} examples are too few to show any loss in 8 of 10 cases"
        more = "beyond that " if self.tolerance else ""
        return f"a true loss {more}of {_points(self.detectable)} would be shown in 8 of 10 cases"

    def lines(self) -> list[str]:
        """For the terminal."""
        changes = (f"  {name}: {_value(there)} -> {_value(here)}" for name, (there, here) in self.metrics.items())
        return [self.verdict(), f"  {self.power()}", *self._notes("  "), *changes]

    def markdown(self) -> str:
        """For a pull request."""
        mark = "❌" if self.regressed else "✅" if self.excluded else "⚠️"
        rows = [[escaped(name), _value(there), _value(here)] for name, (there, here) in self.metrics.items()]
        verdict = escaped(self.verdict())
        text = [
            f"### {mark} {verdict[0].upper()}{verdict[1:]}",
            "",
            *table(["", code(self.against), "this checkout"], rows),
            "",
            f"{self.power()[0].upper()}{self.power()[1:]}.",
        ]
        return "\n".join([*text, *self._notes("")]) + "\n"

    def _notes(self, indent: str) -> list[str]:
        if not self.unpaired:
            return []
        return [f"{indent}{self.unpaired} examples of one test split alone are left out: the splits differ"]


def check(root: Path, against: str, tolerance: float) -> Check:
    """Compare the winners by the files in ``reports/``, which Git keeps; no language model is called.

    Raises ConfigError for a revision without such files and SearchError for one without a common test example.
    """
    if not 0 <= tolerance < 1:
        raise ConfigError(f"--tolerance is a loss of reward, from 0 to below 1 (got {tolerance})")
    there, here = winner_rewards(root, against), winner_rewards(root, WORKSPACE)
    common = sorted(here.keys() & there.keys())
    if not common:
        raise SearchError(
            f"no test example is shared with {against}: the winners cannot be compared; keep the test split"
        )
    pairs = [[rewards[example] for example in common] for rewards in (here, there)]
    gain, detectable = paired(pairs[0], pairs[1])
    if not gain.n:
        raise SearchError(f"no test example is scored both here and at {against}: the winners cannot be compared")
    before, after = (_tested(root, revision) for revision in (against, WORKSPACE))
    told = {name: (before.get(name), after.get(name)) for name in ("reward", *_TOLD) if name in {**before, **after}}
    return Check(
        against=against,
        gain=gain,
        tolerance=tolerance,
        detectable=detectable,
        metrics=told,
        unpaired=len(here.keys() ^ there.keys()),
        unchanged=here.keys() == there.keys()
        and np.array_equal(np.array(pairs[0]), np.array(pairs[1]), equal_nan=True)
        and before == after,
    )


def _tested(root: Path, revision: str) -> dict[str, float]:
    """What metrics.json has of the test, but how often that was looked at, and the intervals that depend on it."""
    try:
        numbers = json.loads(file_at(root, revision, METRICS))["test"]
        left_out = ("_lo", "_hi", "looks")
        return {name: float(value) for name, value in numbers.items() if not name.endswith(left_out)}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise DataError(f"{METRICS} of {revision_name(revision)}: no numbers of a test; run dvc repro") from None


def _points(share: float) -> str:
    return f"{compact(100 * share)} points"


def _value(value: float | None) -> str:
    return "-" if value is None else compact(value)

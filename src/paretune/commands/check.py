"""The gate for CI: this checkout's winner against that of another revision, on the same test examples."""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paretune.errors import ConfigError, DataError, SearchError
from paretune.stats.formulas import detectable_difference
from paretune.stats.intervals import Difference, difference
from paretune.stats.measure import Array, Measure
from paretune.stats.resampling import Bootstrap
from paretune.wording import compact

__all__ = ["Check", "check"]

REWARDS = Path("reports/test_rewards.jsonl")
METRICS = Path("reports/metrics.json")
#: Beside the reward, what is told of both winners; it decides nothing.
_TOLD = ("f1", "cost", "tokens_per_request", "invalid_rate")
#: On what share of the examples two programs differ, at least, where it is asked what these could show.
_DIFFERING = 0.1


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
        change = f"reward {_signed(self.gain.value)} points ({_signed(self.gain.lo)} to {_signed(self.gain.hi)})"
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
        table = [f"| | {self.against} | this checkout |", "|---|---|---|"]
        table += [f"| {name} | {_value(there)} | {_value(here)} |" for name, (there, here) in self.metrics.items()]
        verdict = self.verdict()
        text = [
            f"### {mark} {verdict[0].upper()}{verdict[1:]}",
            "",
            *table,
            "",
            f"{self.power()[0].upper()}{self.power()[1:]}.",
        ]
        return "\n".join([*text, *self._notes("")]) + "\n"

    def _notes(self, indent: str) -> list[str]:
        if not self.unpaired:
            return []
        return [f"{indent}{self.unpaired} examples of one test split alone are left out: the splits differ"]


def check(root: Path, against: str = "HEAD", tolerance: float = 0.0, confidence: float = 0.95) -> Check:
    """Compare the winners by the files in ``reports/``, which Git keeps; no language model is called.

    Raises ConfigError for a revision without such files and SearchError for one without a common test example.
    """
    if not 0 <= tolerance < 1:
        raise ConfigError(f"--tolerance is a loss of reward, from 0 to below 1 (got {tolerance})")
    there, before = _rewards(_at(root, against, REWARDS), against), _tested(_at(root, against, METRICS), against)
    here, after = _rewards(_here(root, REWARDS)), _tested(_here(root, METRICS))
    common = sorted(here.keys() & there.keys())
    if not common:
        raise SearchError(
            f"no test example is shared with {against}: the winners cannot be compared; keep the test split"
        )
    pairs = np.array([[rewards[example] for example in common] for rewards in (here, there)])
    one, other = map(_measure, pairs)
    gain = difference(one, other, Bootstrap(len(common)), confidence)
    if not gain.n:
        raise SearchError(f"no test example is scored both here and at {against}: the winners cannot be compared")
    both = one.scored & other.scored
    differing = float(np.mean(one.example_values[both] != other.example_values[both]))
    told = {name: (before.get(name), after.get(name)) for name in ("reward", *_TOLD) if name in {**before, **after}}
    return Check(
        against=against,
        gain=gain,
        tolerance=tolerance,
        detectable=detectable_difference(gain.n, max(differing, _DIFFERING), confidence=confidence),
        metrics=told,
        unpaired=len(here.keys() ^ there.keys()),
        unchanged=here.keys() == there.keys()
        and np.array_equal(pairs[0], pairs[1], equal_nan=True)
        and before == after,
    )


def _rewards(text: str, revision: str = "this checkout") -> dict[tuple[str, int], float]:
    """The winner's reward by example; of an example that is there several times, each by its turn."""
    found: dict[tuple[str, int], float] = {}
    turns: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            name, reward = str(row["example"]), math.nan if row["winner"] is None else float(row["winner"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise DataError(f"{REWARDS} of {revision}, line {number}: no reward of an example; run dvc repro") from None
        found[name, turns[name]] = reward
        turns[name] += 1
    return found


def _tested(text: str, revision: str = "this checkout") -> dict[str, float]:
    """What metrics.json has of the test, but how often that was looked at, and the intervals that depend on it."""
    try:
        numbers = {name: float(value) for name, value in json.loads(text)["test"].items()}
        return {name: value for name, value in numbers.items() if not name.endswith(("_lo", "_hi", "looks"))}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise DataError(f"{METRICS} of {revision}: no numbers of a test; run dvc repro") from None


def _here(root: Path, path: Path) -> str:
    try:
        return (root / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; run dvc repro") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8; run dvc repro") from None


def _measure(rewards: Array) -> Measure:
    scored = ~np.isnan(rewards)
    statistics = np.stack([np.nan_to_num(rewards), scored.astype(np.float64)], axis=1)
    return Measure("reward", "max", statistics, lambda totals: totals[..., 0] / totals[..., 1], "share")


def _at(root: Path, revision: str, path: Path) -> str:
    """A file as Git has it at a revision."""
    command = ["git", "show", "--end-of-options", f"{revision}:./{path.as_posix()}"]
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode or not revision:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "git show failed"
        raise ConfigError(
            f"{path} cannot be read at {revision!r} ({reason}); commit reports/, or name a revision that has it: "
            "--against REV"
        )
    return done.stdout


def _points(share: float) -> str:
    return f"{compact(100 * share)} points"


def _signed(share: float) -> str:
    return "?" if math.isnan(share) else f"{'-' if share < 0 else '+'}{compact(abs(100 * share))}"


def _value(value: float | None) -> str:
    return "-" if value is None else compact(value)

"""Two sets of rewards of the same examples, in pairs; and those of a revision's winner on the test examples."""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paretune.errors import ConfigError, DataError
from paretune.stats.formulas import detectable_difference
from paretune.stats.intervals import Difference, difference
from paretune.stats.measure import Measure
from paretune.stats.resampling import Bootstrap

__all__ = ["REWARDS", "WORKSPACE", "Pairs", "file_at", "paired", "revision_name", "winner_rewards"]

REWARDS = Path("reports/test_rewards.jsonl")
#: The files as they are, committed or not: as DVC calls them.
WORKSPACE = "workspace"

#: On what share of the examples two programs differ, at least, where it is asked what these could show.
_DIFFERING = 0.1


class Pairs(NamedTuple):
    """``gain``: the first rewards minus the second ones, in pairs; ``detectable``: the true difference that these
    examples show in 8 of 10 cases."""

    gain: Difference
    detectable: float


def paired(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Pairs:
    """Compare the rewards of the same examples in the same order; NaN where one was not scored."""
    one, other = _measure(first), _measure(second)
    gain = difference(one, other, Bootstrap(len(first)), confidence)
    if not gain.n:
        return Pairs(gain, math.nan)
    both = one.scored & other.scored
    differing = float(np.mean(one.example_values[both] != other.example_values[both]))
    return Pairs(gain, detectable_difference(gain.n, max(differing, _DIFFERING), confidence=confidence))


def winner_rewards(root: Path, revision: str) -> dict[tuple[str, int], float]:
    """The winner's reward on each test example, by the example's digest; of one that is there several times, each by
    its turn. Raises ConfigError where the revision has none, DataError for a file of anything else."""
    found: dict[tuple[str, int], float] = {}
    turns: Counter[str] = Counter()
    for number, line in enumerate(file_at(root, revision, REWARDS).splitlines(), start=1):
        try:
            row = json.loads(line)
            name, reward = str(row["example"]), math.nan if row["winner"] is None else float(row["winner"])
        except (KeyError, TypeError, ValueError, RecursionError):
            place = f"{REWARDS} of {revision_name(revision)}, line {number}"
            raise DataError(f"{place}: no reward of an example; run dvc repro") from None
        found[name, turns[name]] = reward
        turns[name] += 1
    return found


def revision_name(revision: str) -> str:
    """How errors call a revision."""
    return "this checkout" if revision == WORKSPACE else revision


def file_at(root: Path, revision: str, path: Path) -> str:
    """A file as Git has it at a revision, or as it is. Raises ConfigError where it is not there."""
    if revision == WORKSPACE:
        if not (root / path).is_file():
            raise ConfigError(f"{path} is missing; run dvc repro")
        try:
            return (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path} is no text in UTF-8; run dvc repro") from None
    command = ["git", "show", "--end-of-options", f"{revision}:./{path.as_posix()}"]
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode or not revision:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "git show failed"
        raise ConfigError(
            f"{path} cannot be read at {revision!r} ({reason}); commit reports/, or name a revision that has it"
        )
    return done.stdout


def _measure(rewards: Sequence[float]) -> Measure:
    scored = ~np.isnan(rewards)
    statistics = np.stack([np.nan_to_num(rewards), scored.astype(np.float64)], axis=1)
    return Measure("reward", "max", statistics, lambda totals: totals[..., 0] / totals[..., 1], "share")

"""Two sets of rewards of the same examples, in pairs; and those of a revision's winner on the test examples."""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paretune.errors import ConfigError, DataError
from paretune.stats.formulas import detectable_difference
from paretune.stats.intervals import Difference, difference
from paretune.stats.measure import Measure
from paretune.stats.resampling import Bootstrap

__all__ = ["REWARDS", "WORKSPACE", "Pairs", "file_at", "paired", "winner_rewards"]

REWARDS = Path("reports/test_rewards.jsonl")
#: The files as they are, committed or not: as DVC calls them.
WORKSPACE = "workspace"


class Pairs(NamedTuple):
    """``gain``: the first rewards minus the second ones, in pairs; ``detectable``: the true difference that these
    examples show in 8 of 10 cases."""

    gain: Difference
    detectable: float


def paired(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Pairs:
    """Compare the rewards of the same examples in the same order; NaN where one was not scored."""
    one, other = _measure(first), _measure(second)
    gain = difference(one, other, Bootstrap(len(first)), confidence)
    differing = float(np.mean(one.statistics[:, 0] != other.statistics[:, 0]))
    least = 1 / gain.n if gain.n else 1.0
    return Pairs(gain, detectable_difference(gain.n, max(differing, least), confidence=confidence))


def winner_rewards(root: Path, revision: str) -> dict[tuple[str, int], float]:
    """The winner's reward on each test example, by the example's digest; of one that is there several times, each by
    its turn. Raises ConfigError where the revision has none."""
    text = file_at(root, revision, REWARDS)
    try:
        return _by_example(map(json.loads, text.splitlines()))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{REWARDS} of {revision} holds no rewards ({error}); run dvc repro") from None


def file_at(root: Path, revision: str, path: Path) -> str:
    """A file as Git has it at a revision, or as it is. Raises ConfigError where it is not there."""
    if revision == WORKSPACE:
        if not (root / path).is_file():
            raise ConfigError(f"{path} is missing; run dvc repro")
        return (root / path).read_text(encoding="utf-8")
    command = ["git", "show", "--end-of-options", f"{revision}:./{path.as_posix()}"]
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "git show failed"
        raise ConfigError(f"{path} cannot be read at {revision!r} ({reason}); name a revision that has it")
    return done.stdout


def _by_example(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    turns: Counter[str] = Counter()
    for row in rows:
        found[row["example"], turns[row["example"]]] = math.nan if row["winner"] is None else float(row["winner"])
        turns[row["example"]] += 1
    return found


def _measure(rewards: Sequence[float]) -> Measure:
    scored = ~np.isnan(rewards)
    statistics = np.stack([np.nan_to_num(rewards), scored.astype(np.float64)], axis=1)
    return Measure("reward", "max", statistics, lambda totals: totals[..., 0] / totals[..., 1], "share")

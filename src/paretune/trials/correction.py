"""The winner's score on the examples that chose it, corrected for having been chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from paretune.stats.measure import Array, Measure
from paretune.stats.resampling import Bootstrap, weighted_values
from paretune.stats.selection import Corrected, corrected_score
from paretune.trials.choice import example_rewards
from paretune.trials.goals import Goals
from paretune.trials.record import TrialRecord
from paretune.trials.rules import Rule, Standings, pick, second_goals

__all__ = ["corrected_reward"]


def corrected_reward(
    records: Sequence[TrialRecord],
    measures: Mapping[str, Sequence[Measure]],
    goals: Goals,
    rule: Rule,
    bootstrap: Bootstrap,
    confidence: float = 0.95,
) -> Corrected | None:
    """The winner's reward as on examples that had no part in choosing it (see ``corrected_score``).

    ``records`` are the trials among which the winner was chosen, ``measures`` theirs on the validation examples, by
    trial. None where the choice cannot be repeated by them: a metric of the rule is not among them.
    """
    named = [{f"val_{measure.name}": measure for measure in measures[record.trial]} for record in records]
    needed = {goal.name for goal in goals.objectives} | {bound.name for bound in goals.constraints}
    measured = set.intersection(*map(set, named)) if named else set()
    needed |= {goal.name for goal in second_goals(rule, goals, measured)}
    if not records or not all(needed <= each.keys() for each in named):
        return None
    rewards = example_rewards(records, rule)
    names = sorted(needed)

    def choose(weights: Array) -> NDArray[np.intp]:
        flat = weighted_values([each[name] for each in named for name in names], weights)
        cube = flat.reshape(len(weights), len(named), len(names))
        metrics = {name: cube[:, :, place] for place, name in enumerate(names)}
        return pick(rule, goals, Standings(metrics, rewards, weights)).winners

    return corrected_score([each["val_reward"] for each in named], choose, bootstrap, confidence)

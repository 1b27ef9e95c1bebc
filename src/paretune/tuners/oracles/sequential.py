"""An oracle whose proposals depend on results."""

from __future__ import annotations

from typing import Any

from paretune.tuners.keras_api import Trial, TrialStatus
from paretune.tuners.oracles.base import ReplayableOracle, trial_id

__all__ = ["SequentialOracle"]


class SequentialOracle(ReplayableOracle):
    """Proposals from results, in a fixed schedule.

    Trial n is proposed from the results of the trials 0 … n - slots, no more and no fewer, whichever of the others have
    ended as well; so the same seed gives the same trials at any speed. It can start as soon as those have ended: no
    trial waits for a whole batch of others.
    """

    def cohort(self, number: int) -> range:
        return range(number, number + 1)

    def rivals(self, number: int) -> list[str]:
        return [trial.trial_id for trial in self.visible(number)[0]]

    def ready(self, number: int) -> bool:
        return all(earlier in self._ended for earlier in range(number - self.slots, -1, -1))

    def settings(self) -> dict[str, Any]:
        return {"slots": self.slots, **self.judging()}

    def visible(self, number: int) -> tuple[list[Trial], list[Trial]]:
        """The completed trials that the proposal of trial ``number`` may use, and those whose results it must not."""
        trials = [self.trials[trial_id(earlier)] for earlier in range(number)]
        seen = max(0, number - self.slots + 1)
        return [trial for trial in trials[:seen] if trial.status == TrialStatus.COMPLETED], trials[seen:]

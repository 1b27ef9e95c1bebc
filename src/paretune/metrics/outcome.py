"""What became of one example: its output, its reward, and what it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["InvalidKind", "Outcome", "too_many_failures", "total"]

Status = Literal["ok", "invalid", "failed"]
#: Why there is no valid record: the reply ended before one did (``cut_off``: a limit of tokens, or a thought without an
#: end); the model refused, or the provider refused the input (``refused``) or held back the reply (``filtered``); there
#: is no text (``empty``); there is some, but no record that validates (``malformed``).
InvalidKind = Literal["cut_off", "refused", "filtered", "empty", "malformed"]

_SOMETIMES = ("kind", "judgements", "parts")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a program on one example.

    ``invalid``: a reply came that does not validate; it counts as a wrong answer (reward 0). ``kind`` says why not, and
    ``error`` holds the text of a refusal. ``failed``: no reply could be had, or the judge gave no score; ``error`` says
    why, and the example is not scored (reward None). ``latency_s``
    is the sum over the example's calls, as first measured; ``cost_usd`` is None where a price is unknown, tokens and
    seconds where a recording has none; ``retries``
    counts the attempts at these calls that failed. The calls of the reward (a judge's) are among them.

    ``judgements`` are the scores that the reward is the mean of, where a judge was asked several times; ``parts`` are
    those of a rubric's criteria or of combined rewards, by name.
    """

    status: Status
    output: dict[str, Any] | None
    reward: float | None
    calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    latency_s: float | None
    error: str | None = None
    retries: int = 0
    kind: InvalidKind | None = None
    judgements: tuple[float, ...] = ()
    parts: Mapping[str, float] | None = None

    def row(self) -> dict[str, Any]:
        """This outcome as a JSON row; ``kind``, ``judgements`` and ``parts`` stand where there are some alone."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) or name not in _SOMETIMES}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Outcome:
        """An outcome from a row that may have more columns, or be of before retries were counted and kinds told."""
        known = {"retries": 0, **dict.fromkeys(_SOMETIMES), **row}
        known["judgements"] = tuple(known["judgements"] or ())
        return cls(**{name: known[name] for name in cls.__slots__})


def total(amounts: Iterable[float | None], digits: int | None = None) -> Any:
    """The sum of amounts; None where one is not known."""
    found = list(amounts)
    return None if None in found else sum(found) if digits is None else round(sum(found), digits)  # type: ignore[arg-type]


def too_many_failures(outcomes: Sequence[Outcome], allowed: float) -> str | None:
    """Why these outcomes cannot be scored: a larger share of them failed than ``allowed``; None when they can."""
    errors = [outcome.error for outcome in outcomes if outcome.status == "failed"]
    if not outcomes or len(errors) / len(outcomes) <= allowed:
        return None
    reason = f"; the last: {errors[-1]}" if errors[-1] else ""
    return f"{len(errors) / len(outcomes):.0%} of the examples could not be scored (at most {allowed:.0%} may){reason}"

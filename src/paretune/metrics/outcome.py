"""What became of one example: its output, its reward, and what it took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Outcome"]

Status = Literal["ok", "invalid", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a program on one example.

    ``invalid``: a reply came that does not validate; it counts as a wrong answer (reward 0). ``failed``: no reply could
    be had; the example is not scored (reward None). ``latency_s`` is the sum over the example's calls, as first
    measured; ``cost_usd`` is None where a price is unknown.
    """

    status: Status
    output: dict[str, Any] | None
    reward: float | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    latency_s: float

    def row(self) -> dict[str, Any]:
        """This outcome as a JSON row."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Outcome:
        """An outcome from a row that may have more columns."""
        return cls(**{name: row[name] for name in cls.__slots__})

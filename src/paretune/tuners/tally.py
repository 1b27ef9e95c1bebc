"""Adding up what calls would take, with what is not known as ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["NOTHING", "Range", "Take", "Tally", "added", "chosen"]


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is known to lie between two."""

    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Range:
        """A number that is known."""
        return cls(value, value)

    @classmethod
    def mean(cls, ranges: Iterable[Range]) -> Range:
        """The mean of some (0 of none)."""
        listed = list(ranges)
        n = max(1, len(listed))
        return cls(sum(one.low for one in listed) / n, sum(one.high for one in listed) / n)

    @property
    def exact(self) -> bool:
        """Whether the number is known."""
        return self.low == self.high

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Range:
        """This, so many times (a factor of at least 0)."""
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Take:
    """What some calls take; ``turns`` is how often a call's latency passes, with others at the same time."""

    calls: Range
    prompt_tokens: Range
    completion_tokens: Range
    turns: Range

    def __add__(self, other: Take) -> Take:
        return Take(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def times(self, factor: float) -> Take:
        """This, so many times."""
        return Take(*(getattr(self, name).times(factor) for name in self.__slots__))


NOTHING = Take(*[Range(0, 0)] * 4)

#: What is taken of each language model, by name; under "" that of all together.
Tally = Mapping[str, Take]


def added(tallies: Iterable[Tally]) -> dict[str, Take]:
    """The sum of some tallies."""
    total: dict[str, Take] = {}
    for tally in tallies:
        for name, take in tally.items():
            total[name] = total[name] + take if name in total else take
    return total


def chosen(tallies: Iterable[Tally], count: int = 1) -> dict[str, Take]:
    """What is taken when ``count`` of the tallies come true, nobody knows which; where there are not so many, some come
    true again."""
    listed = list(tallies)
    names = sorted({name for tally in listed for name in tally})
    return {name: _some([tally.get(name, NOTHING) for tally in listed], count) for name in names}


def _some(takes: Sequence[Take], count: int) -> Take:
    def some(ranges: Sequence[Range]) -> Range:
        lows, highs = sorted(one.low for one in ranges), sorted((one.high for one in ranges), reverse=True)
        if count > len(ranges):
            return Range(lows[0], highs[0]).times(count)
        return Range(sum(lows[:count]), sum(highs[:count]))

    return Take(*(some([getattr(take, name) for take in takes]) for name in Take.__slots__))

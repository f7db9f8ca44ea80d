"""When calls of one key began, as long as that matters: for a span.

What is asked of both kinds is how many calls began within the last span.  A call counts from its start until it is
exactly a span old.

- ``EachStart`` keeps each of them: for rates of up to 128 calls.
- ``GroupedStarts`` keeps those of one 32nd of the span together, and lets them go when the last of them is a span old.
  So it never counts too few, and some of them up to 1/32 of the span too long.

Each change is one step, so that an exception may strike anywhere.  A clock that goes back takes the starts that lie
ahead of it along: these count as begun now.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Protocol

from memo._rate.rate import Rate

__all__ = ("EXACT", "EachStart", "GroupedStarts", "Starts", "starts_of")

EXACT = 128
"""Most calls of a rate of which each start is kept."""
_GROUPS = 32


class Starts(Protocol):
    """The starts of one key."""

    def live(self, now: float) -> int:
        """How many began within the last span; lets go of the others."""
        ...

    def add(self, now: float) -> None:
        """Note one more, which begins now; called after ``live()``, at the same time."""

    def ends(self) -> Iterable[tuple[float, int]]:
        """When how many of them count no more, soonest first."""
        ...


class EachStart:
    """Each start of one key: 8 bytes for each, and some 80."""

    __slots__ = ("_span_s", "_times")

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._times = array("d")

    def live(self, now: float) -> int:
        times, span_s = self._times, self._span_s
        if times and times[-1] > now:  # the clock went back
            times = self._times = array("d", [min(time, now) for time in times])
        gone = 0
        for time in times:
            if time + span_s > now:
                break
            gone += 1
        if gone:
            del times[:gone]
        return len(times)

    def add(self, now: float) -> None:
        self._times.append(now)

    def ends(self) -> Iterable[tuple[float, int]]:
        return [(time + self._span_s, 1) for time in self._times]


class GroupedStarts:
    """The starts of one key by 32nds of the span: at most 6 kB, whatever the rate."""

    __slots__ = ("_groups", "_span_s", "_width")

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._width = span_s / _GROUPS
        self._groups: dict[int, tuple[float, int]] = {}
        """By the number of the 32nd, in ascending order: the latest start, and how many."""

    def live(self, now: float) -> int:
        span_s = self._span_s
        last = next(reversed(self._groups.values()), None)
        if last is not None and last[0] > now:  # the clock went back
            before = {number: group for number, group in self._groups.items() if group[0] <= now}
            here = int(now // self._width)
            ahead = sum([count for latest, count in self._groups.values() if latest > now])
            before[here] = now, ahead + before.get(here, (now, 0))[1]
            self._groups = dict(sorted(before.items()))
        groups = self._groups
        for number in list(groups):
            if groups[number][0] + span_s > now:
                break
            del groups[number]
        return sum([count for _, count in groups.values()])

    def add(self, now: float) -> None:
        number = int(now // self._width)
        _, count = self._groups.get(number, (now, 0))
        self._groups[number] = now, count + 1

    def ends(self) -> Iterable[tuple[float, int]]:
        return [(latest + self._span_s, count) for latest, count in self._groups.values()]


def starts_of(rate: Rate) -> Starts:
    """What keeps the starts of one key, of which none is known yet."""
    return EachStart(rate.span_s) if rate.calls <= EXACT else GroupedStarts(rate.span_s)

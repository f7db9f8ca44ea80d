"""What a window holds, kept by the path in C: one tape of kept events and totals, each change of which is one step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from memo._native import speed
from memo._window.contents import Contents, ListedContents, Plan
from memo._window.events import EventCache, KeptEvents, Raw
from memo._window.own_time import OwnTime

__all__ = ("TapeCache", "TapedContents", "new_contents")


class TapeCache(KeptEvents[Any]):
    """The latest events on a tape.

    Args:
        tape: The tape, which no other cache has.
    """

    def __init__(self, tape: Any) -> None:
        super().__init__(tape.most, tape.span_s)
        self.ring: Any = tape

    @property
    def dropped(self) -> int:  # type: ignore[override]
        return self.ring.dropped  # type: ignore[no-any-return]

    @property
    def dropped_at(self) -> float | None:  # type: ignore[override]
        return self.ring.dropped_at  # type: ignore[no-any-return]

    @property
    def _end(self) -> int:  # type: ignore[override]
        return self.ring.end  # type: ignore[no-any-return]

    def _anew(self) -> Self:
        return type(self)(speed.Tape(self.span_s, self.ring.most))

    def emptied(self) -> Self:
        empty = self._anew()
        empty.ring.end, empty.ring.dropped = self.ring.end, self.ring.dropped
        return empty

    def __copy__(self) -> Self:
        copy = self._anew()
        copy.extend(self.ring.part(0, len(self.ring)))
        copy.ring.end, copy.ring.dropped, copy.ring.dropped_at = self._end, self.dropped, self.dropped_at
        return copy

    def clear(self) -> None:
        while self.ring:
            self.ring.popleft()
        self.ring.dropped_at = None

    def extend(self, batch: Sequence[Raw]) -> None:
        for raw in batch:
            self.ring.keep(raw)

    def first_within(self, now: float, last_s: float) -> int:
        return self.ring.first_within(now, last_s)  # type: ignore[no-any-return]

    def within(self, now: float, last_s: float) -> list[Raw]:
        return self.ring.part(self.first_within(now, last_s), len(self.ring))  # type: ignore[no-any-return]

    def expire(self, now: float, most: int) -> int:
        return self.ring.expire(now, most)  # type: ignore[no-any-return]


class TapedContents(Contents[TapeCache]):
    """Kept events and totals on one tape, which changes in place."""

    __slots__ = ()

    def __init__(self, kept: TapeCache, keys: int | None) -> None:
        super().__init__(kept, kept.ring, keys)
        self.direct = None if keys is not None else kept.ring

    def anew(self) -> Self:
        return type(self)(TapeCache(speed.Tape(self.kept.span_s, int(self.kept.maxsize))), self._keys)

    def emptied(self) -> Self:
        return type(self)(self.kept.emptied(), self._keys)

    def plan(self, raws: list[Raw], time: OwnTime) -> Plan:
        batch, _, high = self._in_own_time(raws, time)
        return Plan(raws, batch, self._by_key_with(batch), high)

    def commit(self, plan: Plan, pending: list[Raw]) -> None:
        self.kept.ring.fold(pending, plan.raws, plan.batch)
        self.by_key = plan.by_key

    def _let_go(self, first: int) -> None:
        self.kept.ring.forget(first)

    def _tally(self, begin: int, end: int) -> tuple[int, int, int, float]:
        return self.kept.ring.tally(begin, end)  # type: ignore[no-any-return]

    def _cells(self, begin: int, end: int) -> Iterable[tuple[int, int]]:
        return enumerate(self.kept.ring.cells(begin, end))


def new_contents(max_events: int, span_s: float, keys: int | None) -> Contents[Any]:
    """What a new window holds: nothing.

    Args:
        max_events: Most events kept in full.
        span_s: Length of the window in seconds.
        keys: Most keys of each slice that are counted; None: those of none.
    """
    if speed is None:
        return ListedContents(EventCache(max_events, span_s), keys)
    return TapedContents(TapeCache(speed.Tape(span_s, max_events)), keys)

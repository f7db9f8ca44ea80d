"""The engine of a sliding window: what happened during the last so many seconds, in bounded memory.

`Intake` takes the events in; here they are asked about. An answer is exact to the clock where the kept events reach
back to the edge it asks for: whole buckets come from the totals, the one that the edge cuts from the kept events. Past
that, the cut bucket counts as a whole.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from operator import sub

from memo._base import label, real, stored_key
from memo._window.events import Raw
from memo._window.intake import Intake
from memo._window.stats import Bucket, Event, WindowStats
from memo._window.totals import CELLS, PER_SLICE, cells_of, percentiles

__all__ = ("Recorder", "sparks")

_SPARKS = "▁▂▃▄▅▆▇█"


class Recorder(Intake):
    """Events of the last `span_s` seconds: the latest in full, all of them in totals.

    Every method may be called from any thread, also from a finaliser or signal handler that interrupts another
    method of the same recorder; such a call reads what was folded before, and `clear()` and `cleanup()` then do
    nothing. Reads that take `last` look at the last so many seconds; None, or more than the span, means the span. An
    event that ended exactly that long ago is out.

    `count()`, `rate()`, `error_ratio()` and `stats()` are about all events. While none of those asked for was dropped
    for `max_events` they are exact to the clock; after that an event counts until its bucket (1/120 of the span) is
    out. `percentile()` errs by at most 5 percent, and after such a drop follows slices of five buckets. `len()`,
    `events()`, `errors()` and `by_key()` are about the kept events.

    A clock that goes back is taken to have lost the time in between: the window's own time stands still at that
    moment and runs on from there. `clock` and `wall` are called under the recorder's lock and must not call it.

    Args:
        span_s: Length of the window in seconds.
        max_events: Most events kept in full.
        only: Exception types to record; successes, cancellations and other failures are then not recorded at all.
            None records everything.
        clock: Monotonic time in seconds, the one that `record()` is given.
        wall: Seconds since the epoch. Read once, now, to date all events; again only when a read finds nothing kept.
        where: Whose window it is, for the log. A clock that raises or shows no finite number is logged to logger
            "memo"; the window then stands still, and an event with such a time is dropped.

    Raises:
        ValueError: span_s is not positive and finite, max_events is below 1, or only is empty.
    """

    __slots__ = ()

    def _span_of(self, last: float | None) -> float:
        if last is None:
            return self._span_s
        if not last > 0.0:
            raise ValueError(f"window: last={last!r} is not a positive time; give seconds above 0, or None for all.")
        return min(float(last), self._span_s)

    @property
    def span_s(self) -> float:
        """Length of the window in seconds."""
        return self._span_s

    # Totals

    def _tally(self, now: float, last_s: float) -> tuple[int, int, int, float]:
        """Calls, errors, cancelled calls and seconds of the last last_s seconds. Lock held."""
        totals, kept = self._totals, self._kept
        if not kept.covers(now, last_s):
            return totals.since(totals.index(now - last_s))
        begin = kept.first_within(now, last_s)
        if begin == len(kept.ring):
            return 0, 0, 0, 0.0
        edge = totals.index(kept.ring[begin][0])
        end = self._end_of(begin, edge + 1)
        if end - begin == totals.bucket(edge)[0]:
            return totals.since(edge)
        count, errors, cancelled, seconds = totals.since(edge + 1)
        cut = kept.columns(begin, end).tally()
        return count + cut[0], errors + cut[1], cancelled + cut[2], seconds + cut[3]

    def _end_of(self, begin: int, bucket: int) -> int:
        """Position in the ring of the first event in or after that bucket."""
        index = self._totals.index
        return bisect_left(self._kept.ring, bucket, begin, key=lambda raw: index(raw[0]))

    def _histogram(self, now: float, last_s: float) -> list[int]:
        """Calls of the last last_s seconds by cell of duration. Lock held."""
        self._forget(now)
        totals, kept = self._totals, self._kept
        if not kept.covers(now, last_s):
            return totals.histogram(totals.index(now - last_s) // PER_SLICE)
        begin = kept.first_within(now, last_s)
        if begin == len(kept.ring):
            return [0] * CELLS
        section = totals.index(kept.ring[begin][0]) // PER_SLICE
        end = self._end_of(begin, (section + 1) * PER_SLICE)
        cells = totals.histogram(section)
        whole = totals.slice_cells(section)
        in_slice = 0 if whole is None else sum(whole)
        if whole is None or in_slice == end - begin:
            return cells
        begin_of_slice = self._end_of(0, section * PER_SLICE)
        if end - begin_of_slice == in_slice and begin - begin_of_slice < end - begin:
            # All of the slice is kept, and less of it is out than in: take that away.
            for cell, times in cells_of(kept.columns(begin_of_slice, begin).codes):
                cells[cell] -= times
            return cells
        cells = list(map(sub, cells, whole))
        for cell, times in cells_of(kept.columns(begin, end).codes):
            cells[cell] += times
        return cells

    def count(self, last: float | None = None) -> int:
        """How many calls ended in the last so many seconds."""
        last_s = self._span_of(last)
        return self._folded(lambda: self._tally(self._now(), last_s)[0])

    def rate(self, per_s: float = 1.0, last: float | None = None) -> float:
        """Calls per per_s seconds: the count over the length asked for, also while the recorder is younger."""
        if not 0.0 < per_s < math.inf:
            raise ValueError(f"window: per={per_s!r} is not a positive, finite time; give seconds above 0.")
        return self.count(last) * per_s / self._span_of(last)

    def error_ratio(self, last: float | None = None) -> float:
        """Share of the calls that ended in an error, from 0.0 (also if there was no call) to 1.0."""
        last_s = self._span_of(last)
        count, errors, _, _ = self._folded(lambda: self._tally(self._now(), last_s))
        return errors / count if count else 0.0

    def percentile(self, q: float, last: float | None = None) -> float | None:
        """Duration in seconds that q percent of the calls did not exceed (nearest rank), to 5 percent.

        Durations below 60 ns are answered as 0.0, durations above 18 h as 18 h.

        Args:
            q: From 0 (the shortest) to 100 (the longest).
            last: Seconds to look back, or None for the whole window.

        Returns:
            Seconds, or None where nothing was recorded.

        Raises:
            ValueError: q is outside 0 to 100, or last is not positive.
        """
        if not 0 <= q <= 100:
            raise ValueError(f"window: percentile q={q!r} is out of range; give a number from 0 to 100.")
        last_s = self._span_of(last)
        return percentiles(self._folded(lambda: self._histogram(self._now(), last_s)), q)[0]

    def series(self, buckets: int = 24) -> list[Bucket]:
        """The window in equal parts, oldest first.

        Exact while no event of the window was dropped; after that each bucket of 1/120 span counts in the part that
        holds its middle.

        Raises:
            ValueError: buckets is below 1.
        """
        if buckets < 1:
            raise ValueError(f"window: buckets={buckets!r} divides nothing; give 1 or more.")
        begin, part_s, anchor, counts = self._parts(buckets)
        return [
            Bucket(real.utc(anchor + begin + i * part_s), part_s, count, errors, seconds / count if count else None)
            for i, (count, errors, seconds) in enumerate(counts)
        ]

    def _parts(self, parts: int) -> tuple[float, float, float, list[tuple[int, int, float]]]:
        counts, errors, seconds = [0] * parts, [0] * parts, [0.0] * parts
        part_s = self._span_s / parts

        def read() -> tuple[float, float, list[Raw]]:
            now = self._now()
            begin = now - self._span_s
            if self._kept.covers(now, self._span_s):
                raws = list(islice(self._kept.ring, self._kept.first_within(now, self._span_s), None))
                return begin, self._anchor, raws
            if self._totals.head is not None:
                for index in range(self._totals.index(begin), self._totals.head + 1):
                    calls, failed, _, took = self._totals.bucket(index)
                    if calls:
                        part = int(((index + 0.5) * self._totals.width - begin) // part_s)
                        part = min(max(part, 0), parts - 1)
                        counts[part] += calls
                        errors[part] += failed
                        seconds[part] += took
            return begin, self._anchor, []

        begin, anchor, raws = self._folded(read)
        for ended, took, detail, _ in raws:
            part = min(max(int((ended - begin) // part_s), 0), parts - 1)
            counts[part] += 1
            errors[part] += type(detail) is tuple
            seconds[part] += took
        return begin, part_s, anchor, list(zip(counts, errors, seconds, strict=True))

    def sparkline(self, width: int = 24) -> str:
        """The calls over the window as one line of width characters, oldest first; the tallest part is a full block.

        Raises:
            ValueError: width is below 1.
        """
        if width < 1:
            raise ValueError(f"window: width={width!r} draws nothing; give 1 or more.")
        return sparks([part[0] for part in self._parts(width)[3]])

    def stats(self, name: str) -> WindowStats:
        """All figures of the whole window, taken at one moment."""
        (count, errors, cancelled, _), cells, kept, dropped = self._folded(self._figures)
        p50, p95, p99 = percentiles(cells, 50, 95, 99)
        return WindowStats(
            name=name,
            span=self._span_s,
            count=count,
            errors=errors,
            cancelled=cancelled,
            error_ratio=errors / count if count else 0.0,
            rate=count / self._span_s,
            p50=p50,
            p95=p95,
            p99=p99,
            kept=kept,
            dropped=dropped,
        )

    def _figures(self) -> tuple[tuple[int, int, int, float], list[int], int, int]:
        now = self._now()
        kept = len(self._kept.ring) - self._kept.first_within(now, self._span_s)
        return self._tally(now, self._span_s), self._histogram(now, self._span_s), kept, self._kept.dropped

    # Kept events

    def _raws(self, last: float | None) -> tuple[float, list[Raw]]:
        last_s = self._span_of(last)

        def read() -> tuple[float, list[Raw]]:
            begin = self._kept.first_within(self._now(), last_s)
            return self._anchor, list(islice(self._kept.ring, begin, None))

        return self._folded(read)

    def events(self, last: float | None = None) -> list[Event]:
        """The kept events, newest (by their end) first."""
        anchor, raws = self._raws(last)
        return [_event(anchor, raw) for raw in reversed(raws)]

    def errors(self, last: float | None = None) -> list[Event]:
        """The kept events that ended in an error, newest (by their end) first."""
        anchor, raws = self._raws(last)
        return [_event(anchor, raw) for raw in reversed(raws) if type(raw[2]) is tuple]

    def by_key(self, n: int = 10) -> list[tuple[str, int]]:
        """The n keys, as text, with the most calls, heaviest first; of equals the one seen last comes first.

        Counted over the kept events: exact while none of the window was dropped, after that exact for the latest
        `max_events` calls, which are then the only ones it knows. Keys that share their text count as one.

        Raises:
            ValueError: n is below 1.
        """
        if n < 1:
            raise ValueError(f"window: n={n!r} asks for no key; give 1 or more.")
        _, raws = self._raws(None)
        return Counter([label(raw[3]) for raw in reversed(raws)]).most_common(n)

    def __len__(self) -> int:
        return self._folded(lambda: len(self._kept.ring) - self._kept.first_within(self._now(), self._span_s))

    def __bool__(self) -> bool:
        return True

    def _check(self) -> None:
        """Raise AssertionError if an invariant does not hold; for tests."""
        self._folded(self._check_held)

    def _check_held(self) -> None:
        kept, totals = self._kept, self._totals
        kept.check()
        for _, _, detail, key in kept.ring:
            assert type(detail) is tuple or detail in ("ok", "cancelled")
            assert stored_key(key) is key
        totals.check()
        now = self._now()
        within = len(kept) - kept.first_within(now, self._span_s)
        count = self._tally(now, self._span_s)[0]
        assert count == within if kept.covers(now, self._span_s) else count >= within
        assert sum(self._histogram(now, self._span_s)) >= count


def _event(anchor: float, raw: Raw) -> Event:
    ended, duration, detail, key = raw
    at = real.utc(anchor + ended - duration)
    if isinstance(detail, tuple):
        return Event(at, duration, "error", label(key), detail[0], detail[1])
    return Event(at, duration, "ok" if detail == "ok" else "cancelled", label(key), None, None)


def sparks(counts: Sequence[int]) -> str:
    """A mark for each count, as high as that is to the greatest."""
    top = max(counts)
    # Rounded up, so that the lowest mark always means none.
    return "".join(_SPARKS[-(-count * (len(_SPARKS) - 1) // top) if top else 0] for count in counts)

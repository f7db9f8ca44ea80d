"""What is asked of a sliding window: counts, rates, percentiles, series, and the kept events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from memo._base import label, real, stored_key
from memo._window.events import KeptEvents, Raw
from memo._window.intake import Intake
from memo._window.key_tables import KeyTables, most_counted
from memo._window.stats import Bucket, Event, WindowStats
from memo._window.totals import percentiles

__all__ = ("Recorder", "sparks")

_SPARKS = "▁▂▃▄▅▆▇█"


def _any(key: object) -> bool:
    return True


class Recorder:
    """Answers about the last so many seconds of a window: the latest events in full, all of them in totals.

    What may be called when is told at `Intake`. Reads that take `last` look at the last so many seconds; None, or more
    than the span, means the span. An event that ended exactly that long ago is out. Arguments are those that
    `WindowHandle` has checked.

    `count()`, `rate()`, `error_ratio()` and `stats()` are about all events. While none of those asked for was dropped
    for want of room they are exact to the clock; after that an event counts until its bucket (1/120 of the span) is
    out. `percentile()` errs by at most 5 percent, and after such a drop follows slices of five buckets. `len()`,
    `events()`, `errors()` and `by_key()` are about the kept events.

    Attributes:
        intake: Whose events they are.
    """

    __slots__ = ("intake",)

    def __init__(self, intake: Intake) -> None:
        self.intake: Intake = intake

    @property
    def span_s(self) -> float:
        """Length of the window in seconds."""
        return self.intake.span_s

    # Totals

    def _tally(self, last: float | None) -> tuple[int, int, int, float]:
        intake, last_s = self.intake, self.intake.length(last)
        return intake.folded(lambda: intake.contents.tally(intake.now(), last_s))

    def count(self, last: float | None = None) -> int:
        """How many calls ended in the last so many seconds."""
        return self._tally(last)[0]

    def rate(self, per_s: float = 1.0, last: float | None = None) -> float:
        """Calls per per_s seconds: the count over the length asked for, also while the recorder is younger."""
        return self.count(last) * per_s / self.intake.length(last)

    def error_ratio(self, last: float | None = None) -> float:
        """Share of the calls that ended in an error, from 0.0 (also if there was no call) to 1.0."""
        count, errors, _, _ = self._tally(last)
        return errors / count if count else 0.0

    def percentile(self, q: float, last: float | None = None) -> float | None:
        """Duration in seconds that q percent of the calls did not exceed (nearest rank), to 5 percent.

        Durations below 60 ns are answered as 0.0, durations above 18 h as 18 h.

        Args:
            q: From 0 (the shortest) to 100 (the longest).
            last: Seconds to look back, or None for the whole window.

        Returns:
            Seconds, or None where nothing was recorded.
        """
        intake, last_s = self.intake, self.intake.length(last)
        return percentiles(intake.folded(lambda: self._histogram(intake.now(), last_s)), q)[0]

    def _histogram(self, now: float, last_s: float) -> list[int]:
        """Calls of the last last_s seconds by cell of duration. Lock held."""
        self.intake.forget(now)
        return self.intake.contents.histogram(now, last_s)

    def series(self, buckets: int = 24) -> list[Bucket]:
        """The window in equal parts, oldest first.

        Exact while no event of the window was dropped; after that each bucket of 1/120 span counts in the part that
        holds its middle.
        """
        begin, part_s, anchor, counts = self._parts(buckets)
        return [
            Bucket(real.utc(anchor + begin + i * part_s), part_s, count, errors, seconds / count if count else None)
            for i, (count, errors, seconds) in enumerate(counts)
        ]

    def _parts(self, parts: int) -> tuple[float, float, float, list[tuple[int, int, float]]]:
        """When they begin, in the window's own time; seconds in each; the anchor; calls, errors, seconds of each."""
        intake, span_s = self.intake, self.span_s
        part_s = span_s / parts

        def read() -> tuple[float, float, list[Raw] | None, list[tuple[int, int, float]]]:
            now, contents = intake.now(), intake.contents
            kept = contents.kept
            if kept.covers(now, span_s):
                return now - span_s, intake.time.anchor, kept.within(now, span_s), []
            return now - span_s, intake.time.anchor, None, contents.spread(now, parts)

        begin, anchor, raws, spread = intake.folded(read)
        if raws is None:
            return begin, part_s, anchor, spread
        counts, errors, seconds = [0] * parts, [0] * parts, [0.0] * parts
        for ended, took, detail, _ in raws:
            part = min(max(int((ended - begin) // part_s), 0), parts - 1)
            counts[part] += 1
            errors[part] += type(detail) is tuple
            seconds[part] += took
        return begin, part_s, anchor, list(zip(counts, errors, seconds, strict=True))

    def sparkline(self, width: int = 24) -> str:
        """The calls over the window as one line of width characters, oldest first; the tallest part is a full block."""
        return sparks([part[0] for part in self._parts(width)[3]])

    def stats(self, name: str) -> WindowStats:
        """All figures of the whole window, taken at one moment."""
        (count, errors, cancelled, _), cells, kept, dropped, by_key = self.intake.folded(self._figures)
        p50, p95, p99 = percentiles(cells, 50, 95, 99)
        return WindowStats(
            name=name,
            span=self.span_s,
            count=count,
            errors=errors,
            cancelled=cancelled,
            error_ratio=errors / count if count else 0.0,
            rate=count / self.span_s,
            p50=p50,
            p95=p95,
            p99=p99,
            kept=kept,
            dropped=dropped,
            keys=None if by_key is None else by_key.tracked(),
        )

    def _figures(self) -> tuple[tuple[int, int, int, float], list[int], int, int, KeyTables | None]:
        intake, span_s = self.intake, self.span_s
        now, contents = intake.now(), intake.contents
        kept = len(contents.kept.ring) - contents.kept.first_within(now, span_s)
        cells = self._histogram(now, span_s)
        return contents.tally(now, span_s), cells, kept, contents.kept.dropped, contents.by_key

    # Kept events

    def _raws(self, last: float | None) -> tuple[float, list[Raw]]:
        intake, last_s = self.intake, self.intake.length(last)

        def read() -> tuple[float, list[Raw]]:
            raws = intake.contents.kept.within(intake.now(), last_s)
            return intake.time.anchor, raws

        return intake.folded(read)

    def events(self, last: float | None = None, has_key: Callable[[object], bool] = _any) -> list[Event]:
        """The kept events, newest (by their end) first."""
        anchor, raws = self._raws(last)
        return [_event(anchor, raw) for raw in reversed(raws) if has_key(raw[3])]

    def errors(self, last: float | None = None, has_key: Callable[[object], bool] = _any) -> list[Event]:
        """The kept events that ended in an error, newest (by their end) first."""
        anchor, raws = self._raws(last)
        return [_event(anchor, raw) for raw in reversed(raws) if type(raw[2]) is tuple and has_key(raw[3])]

    def by_key(self, n: int = 10) -> list[tuple[str, int]]:
        """The n keys, as text, with the most calls, heaviest first; of equals the one seen last comes first.

        Counted over the kept events: exact while none of the window was dropped, after that exact for the latest
        calls that are kept, which are then the only ones it knows. Keys that share their text count as one.
        """
        _, raws = self._raws(None)
        return most_counted(Counter([label(raw[3]) for raw in reversed(raws)]), n)

    def __len__(self) -> int:
        intake = self.intake

        def read() -> int:
            kept: KeptEvents[Any] = intake.contents.kept
            return len(kept.ring) - kept.first_within(intake.now(), self.span_s)

        return intake.folded(read)

    def __bool__(self) -> bool:
        return True

    def _check(self) -> None:
        """Raise AssertionError if an invariant does not hold; for tests."""
        self.intake.folded(self._check_held)

    def _check_held(self) -> None:
        contents, now = self.intake.contents, self.intake.now()
        for _, _, detail, key in contents.kept.values():
            assert type(detail) is tuple or detail in ("ok", "cancelled")
            assert stored_key(key) is key
        self.intake.forget(now)
        contents.check(now)


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

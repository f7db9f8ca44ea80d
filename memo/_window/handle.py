"""The handle ``f.window``: what happened to a decorated function of late."""

import warnings
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from memo._base import (
    Duration,
    KeyText,
    counted,
    failure_text,
    format_seconds,
    positive_int,
    real_number,
    seconds,
    short_text,
    stored_key,
)
from memo._window.recorder import Recorder
from memo._window.stats import Bucket, Event, WindowStats

__all__ = ("WindowHandle",)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class WindowHandle(Generic[P, R_co]):
    """What happened to a decorated function within its window: ``f.window``.

    The window is the function's: reached through an instance or a class, too, it tells of the calls
    on all of them, and their keys do not name the instance.

    ``last`` is how far to look back: seconds, a timedelta or text such as "15m"; None means all of the
    window.  So does more than the window, with a ``UserWarning``.  A call counts from its end on, and at exactly
    that age it is out.
    ``count()``, ``rate()``, ``error_ratio()``, ``percentile()``, ``series()``, ``sparkline()`` and
    ``stats()`` tell of every call.  They are exact until more than ``max`` calls fall into the window; from
    then on the trailing edge is exact to 1/120 of the window.  ``len()``, ``events()``, ``errors()`` and
    ``by_key()`` tell of the latest ``max`` calls, which are kept in full.

    Every method may be called from any thread.  A handle is always true.
    """

    __slots__ = ("_name", "_recorder")

    def __init__(self, recorder: Recorder, name: Callable[[], str]) -> None:
        self._recorder = recorder
        self._name = name

    def _seconds(self, last: Duration | None, method: str) -> float | None:
        """How far *method* is to look back, called by it and it by the user."""
        if last is None:
            return None
        last_s, span_s = seconds(last, where=self._where(method), option="last"), self._recorder.span_s
        if last_s > span_s:
            # A warning: the answer is right as far as the window knows, and a dashboard that asks for an hour goes on
            # when somebody makes the window shorter.
            warnings.warn(
                f"{self._where(method)}: last={last!r} is longer than the window, which knows the last "
                f"{format_seconds(span_s)} only; leave last out for all of it, or decorate with a longer window.",
                UserWarning,
                stacklevel=3,
            )
        return last_s

    def _where(self, method: str) -> str:
        return f"{self._name()}.window.{method}"

    def count(self, last: Duration | None = None) -> int:
        """How many calls ended, whatever their outcome.

        Raises:
            TypeError: last is no duration.
            ValueError: last is not positive, or text that is no duration.
        """
        return self._recorder.count(self._seconds(last, "count"))

    def rate(self, per: Duration = "1s", last: Duration | None = None) -> float:
        """Calls per *per*, on average over all of the window or its last part, also while it is not full yet.

        Raises:
            TypeError: per or last is no duration.
            ValueError: per or last is not positive, or text that is no duration.
        """
        per_s = seconds(per, where=self._where("rate"), option="per")
        return self._recorder.rate(per_s, self._seconds(last, "rate"))

    def error_ratio(self, last: Duration | None = None) -> float:
        """Share of the calls that ended in an error, 0.0 to 1.0; 0.0 if there was none.  Errors as for ``count()``."""
        return self._recorder.error_ratio(self._seconds(last, "error_ratio"))

    def percentile(self, q: float, last: Duration | None = None) -> float | None:
        """Seconds that *q* percent of the calls did not exceed, to 5 percent; None if there was no call.

        Args:
            q: From 0 (the shortest) to 100 (the longest), in percent: 95, not 0.95.  Between 0 and 1 is an error.
            last: How far to look back.

        Raises:
            TypeError: q is no number, or last no duration.
            ValueError: q is not from 0 to 100, or between 0 and 1, or last not positive, or text that is no duration.
        """
        quantile = real_number(q)
        if quantile is None:
            raise TypeError(f"{self._where('percentile')}: q={q!r} is not a number; give one from 0 to 100.")
        if not 0 <= quantile <= 100:
            raise ValueError(f"{self._where('percentile')}: q={q!r} is out of range; give a number from 0 to 100.")
        if 0 < quantile < 1:
            # An error: as percent it asks for what is next to the shortest call, which nobody wants to know, and an
            # alarm that is set on it never rings.
            raise ValueError(
                f"{self._where('percentile')}: q={q!r} is less than one percent, and q is in percent; "
                f"write {float(quantile) * 100:g} for what that share of the calls did not exceed."
            )
        return self._recorder.percentile(float(quantile), self._seconds(last, "percentile"))

    def events(self, last: Duration | None = None) -> list[Event]:
        """The kept calls, newest (by their end) first.  Errors as for ``count()``."""
        return self._recorder.events(self._seconds(last, "events"))

    def errors(self, last: Duration | None = None) -> list[Event]:
        """The kept calls that ended in an error, newest (by their end) first.  Errors as for ``count()``."""
        return self._recorder.errors(self._seconds(last, "errors"))

    def by_key(self, n: int = 10) -> list[tuple[str, int]]:
        """The *n* keys, as text, with the most kept calls, and how many; of equals the one seen last comes first.

        Raises:
            TypeError: n is no whole number.
            ValueError: n is below 1.
        """
        return self._recorder.by_key(positive_int(n, where=self._where("by_key"), option="n"))

    def series(self, buckets: int = 24) -> list[Bucket]:
        """The window in so many equal parts, oldest first, to be plotted.

        Once more than ``max`` calls fall into the window, each 1/120 of it counts in the part that holds its middle.

        Raises:
            TypeError: buckets is no whole number.
            ValueError: buckets is below 1.
        """
        return self._recorder.series(positive_int(buckets, where=self._where("series"), option="buckets"))

    def sparkline(self, width: int = 24) -> str:
        """The calls over the window as one line of so many characters, oldest first; the lowest mark means none.

        Raises:
            TypeError: width is no whole number.
            ValueError: width is below 1.
        """
        return self._recorder.sparkline(positive_int(width, where=self._where("sparkline"), option="width"))

    def record_error(self, error: BaseException, key: object = None) -> None:
        """Record an error that somebody was told of, as if a call that took no time had raised it now.

        The error is neither raised nor kept nor changed: its type and its message are.  Where the window has
        ``only=``, an error of another type is left out.

        Args:
            error: The exception.
            key: What it is to be counted under; made text.  None: the name of its type.

        Raises:
            TypeError: error is no exception.
        """
        if not issubclass(type(error), BaseException):
            shown = short_text(error)
            raise TypeError(f"{self._where('record_error')}: error={shown} is no exception; give the one you caught.")
        name = failure_text(error)[0]
        self._recorder.intake.record_now(error, KeyText(name) if key is None else stored_key(key))

    def cleanup(self) -> int:
        """Let go of kept calls that are out of the window by their age; how many.  (No figure shows them anyway.)"""
        return self._recorder.intake.cleanup()

    def clear(self) -> None:
        """Forget every call.  ``dropped``, a counter, stays."""
        self._recorder.intake.clear()

    def stats(self) -> WindowStats:
        """The figures of the whole window now."""
        return self._recorder.stats(self._name())

    def __len__(self) -> int:
        return len(self._recorder)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<window of {self._name()}: {counted(len(self), 'call')} kept>"

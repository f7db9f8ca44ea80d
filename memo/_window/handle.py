"""The handle ``f.window``: what happened to a decorated function of late."""

import warnings
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from memo._base import (
    Duration,
    KeyText,
    StayingHandle,
    counted,
    failure_text,
    format_seconds,
    given_text,
    positive_int,
    real_number,
    seconds,
    short_text,
    stored_key,
)
from memo._window.by_key import KeyReader, same_key
from memo._window.recorder import Recorder
from memo._window.stats import Bucket, Event, KeyCount, WindowStats

__all__ = ("WindowHandle",)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class _EveryKey:
    """Stands for the calls of all keys: None may be a key itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<every key>"


_EVERY: Any = _EveryKey()


class WindowHandle(StayingHandle, Generic[P, R_co]):
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

    ``key`` asks about the calls of one key: what ``key=`` of the decorator returned, else the one argument, or the
    tuple of the arguments, as ``top()`` shows it (``Event.key`` and ``by_key()`` are text to be read: ``"'alice'"``).
    1, 1.0 and True are three keys.  Counts of a key are exact, too, until more than ``max`` calls fall into the window.
    From then on they are of the kept calls.  With ``keys=`` of the decorator they go on to be of all calls, and the
    trailing edge is exact to 1/24 of the window: every call counts while no more than ``keys`` keys come in any 1/24 of
    it; else at most 1/``keys`` of all calls are missed.  ``of_key()`` and ``top()`` say how far off a count may be.

    Every method may be called from any thread.  A handle is always true.
    """

    __slots__ = ("_keys", "_name", "_recorder")

    def __init__(self, recorder: Recorder, name: Callable[[], str]) -> None:
        self._recorder = recorder
        self._keys = KeyReader(recorder.intake)
        self._name = name

    def _whose(self) -> str:
        return self._name()

    def _seconds(self, last: Duration | None, method: str) -> float | None:
        """How far *method* is to look back, called by it and it by the user."""
        if last is None:
            return None
        last_s, span_s = seconds(last, where=self._where(method), option="last"), self._recorder.span_s
        if last_s > span_s:
            # A warning: the answer is right as far as the window knows, and a dashboard that asks for an hour goes on
            # when somebody makes the window shorter.
            warnings.warn(
                f"{self._where(method)}: last={given_text(last)} is longer than the window, which knows the last "
                f"{format_seconds(span_s)} only; leave last out for all of it, or decorate with a longer window.",
                UserWarning,
                stacklevel=3,
            )
        return last_s

    def _where(self, method: str) -> str:
        return f"{self._name()}.window.{method}"

    def count(self, last: Duration | None = None, *, key: object = _EVERY) -> int:
        """How many calls ended, whatever their outcome; those of one key, if it is given.

        Raises:
            TypeError: last is no duration.
            ValueError: last is not positive, or text that is no duration.
        """
        last_s = self._seconds(last, "count")
        return self._recorder.count(last_s) if key is _EVERY else self._keys.of_key(key, last_s).count

    def rate(self, per: Duration = "1s", last: Duration | None = None, *, key: object = _EVERY) -> float:
        """Calls per *per*, on average over all of the window or its last part, also while it is not full yet.

        Those of one key, if it is given.

        Raises:
            TypeError: per or last is no duration.
            ValueError: per or last is not positive, or text that is no duration.
        """
        per_s = seconds(per, where=self._where("rate"), option="per")
        last_s = self._seconds(last, "rate")
        if key is _EVERY:
            return self._recorder.rate(per_s, last_s)
        return self._keys.of_key(key, last_s).count * per_s / self._recorder.intake.length(last_s)

    def error_ratio(self, last: Duration | None = None, *, key: object = _EVERY) -> float:
        """Share of the calls that ended in an error, 0.0 to 1.0; 0.0 if there was none.

        Of those of one key, if it is given.  Errors as for ``count()``.
        """
        last_s = self._seconds(last, "error_ratio")
        if key is _EVERY:
            return self._recorder.error_ratio(last_s)
        of_key = self._keys.of_key(key, last_s)
        return of_key.errors / of_key.count if of_key.count else 0.0

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
            raise TypeError(f"{self._where('percentile')}: q={given_text(q)} is not a number; give one from 0 to 100.")
        if not 0 <= quantile <= 100:
            raise ValueError(
                f"{self._where('percentile')}: q={given_text(q)} is out of range; give a number from 0 to 100."
            )
        if 0 < quantile < 1:
            # An error: as percent it asks for what is next to the shortest call, which nobody wants to know, and an
            # alarm that is set on it never rings.
            raise ValueError(
                f"{self._where('percentile')}: q={given_text(q)} is less than one percent, and q is in percent; "
                f"write {float(quantile) * 100:g} for what that share of the calls did not exceed."
            )
        return self._recorder.percentile(float(quantile), self._seconds(last, "percentile"))

    def events(self, last: Duration | None = None, *, key: object = _EVERY) -> list[Event]:
        """The kept calls, newest (by their end) first; those of one key, if it is given.  Errors as for ``count()``."""
        last_s = self._seconds(last, "events")
        return self._recorder.events(last_s) if key is _EVERY else self._recorder.events(last_s, same_key(key))

    def errors(self, last: Duration | None = None, *, key: object = _EVERY) -> list[Event]:
        """The kept calls that ended in an error, newest (by their end) first; those of one key, if it is given.

        Errors as for ``count()``.
        """
        last_s = self._seconds(last, "errors")
        return self._recorder.errors(last_s) if key is _EVERY else self._recorder.errors(last_s, same_key(key))

    def of_key(self, key: object, last: Duration | None = None) -> KeyCount:
        """How many calls one key had, and how far from the truth that may be.  Errors as for ``count()``."""
        return self._keys.of_key(key, self._seconds(last, "of_key"))

    def top(self, n: int = 10, last: Duration | None = None) -> list[KeyCount]:
        """The *n* keys of which the most calls were counted, those with the most first.

        With ``keys=`` of the decorator, each key that had more than 1/``keys`` of all calls is among those that are
        counted.  Equals come in no particular order.

        Raises:
            TypeError: n is no whole number, or last no duration.
            ValueError: n is below 1, or last not positive, or text that is no duration.
        """
        return self._keys.top(positive_int(n, where=self._where("top"), option="n"), self._seconds(last, "top"))

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
        ``only=``, an error of another type is left out.  What is no ``Exception`` (``KeyboardInterrupt``,
        ``CancelledError``) counts as a call that was cancelled, as it does where the function raises it.

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
        """Let go of kept calls that are out of the window by their age; how many.  (No figure shows them anyway.)

        Those that recording has let go of by then are not counted.
        """
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

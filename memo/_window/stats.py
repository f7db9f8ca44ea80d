"""What a sliding window hands out: frozen snapshots of its events, its time buckets and its figures.

Each counter is defined once, beside its field. Snapshots hold plain numbers and text, so that they can be
kept, compared, pickled and sent anywhere; none of them refers to the window that made it.
"""

from datetime import datetime
from typing import Literal

from memo._base import Frozen, Snapshot, counter, frozen_dataclass

__all__ = ("Bucket", "Event", "KeyCount", "Outcome", "WindowStats")

Outcome = Literal["ok", "error", "cancelled"]


@frozen_dataclass
class Event(Frozen):
    """One call that has ended."""

    __module__ = "memo"

    at: datetime
    """When the call began, in UTC (aware). Differences between the events of one window follow the window's
    clock, so a correction of the wall clock moves none of them against the others."""

    duration: float
    """Seconds from its begin to its end; never negative."""

    outcome: Outcome
    """How it ended. A cancelled coroutine is "cancelled", which is not an error."""

    key: str
    """The call's key as text: a shortened `repr` of at most 200 characters."""

    error: str | None
    """For an error the exception type's qualified name ("ValueError", "aiohttp.ClientError"), else None."""

    message: str | None
    """For an error the exception's message, cut at 200 characters, else None."""


@frozen_dataclass
class Bucket(Frozen):
    """One of the equal parts into which `series()` divides the window."""

    __module__ = "memo"

    start: datetime
    """When this part begins, in UTC (aware)."""

    seconds: float
    """Its length."""

    count: int
    """Calls that ended in it, whatever their outcome."""

    errors: int
    """Those of them whose outcome was "error"."""

    mean: float | None
    """Mean duration of its calls in seconds; None where there was no call."""


@frozen_dataclass
class KeyCount(Frozen):
    """How many calls one key had."""

    __module__ = "memo"

    key: object
    """The key: itself where it is a number, short text, or a short tuple of such; else text, as in `Event.key`."""

    count: int = 0
    """Its calls that were counted. The true number lies from `at_least` to `at_most`."""

    errors: int = 0
    """Those of them whose outcome was "error"."""

    at_least: int = 0
    """Its calls that are known to lie within the span that was asked for."""

    at_most: int = 0
    """Those, and the calls that may have been its own, or may lie within the span."""

    @property
    def exact(self) -> bool:
        """Whether the count is the true number."""
        return self.at_least == self.at_most


@frozen_dataclass
class WindowStats(Snapshot):
    """The figures of a window at one moment.

    `later - earlier` subtracts the counts (`count`, `errors`, `cancelled`, `dropped`) and keeps the later value of
    everything else. All but `dropped` count what lies inside the window, so their difference is the net change:
    negative when more calls went out of the window than ended in the meantime.
    """

    __module__ = "memo"

    name: str
    """Name of the decorated function."""

    span: float = 0.0
    """Length of the window in seconds."""

    count: int = counter()
    """Recorded calls that ended within the window, whatever their outcome."""

    errors: int = counter()
    """Those whose outcome was "error"; a cancelled call is none."""

    cancelled: int = counter()
    """Those whose outcome was "cancelled"."""

    error_ratio: float = 0.0
    """errors / count; 0.0 before the first call."""

    rate: float = 0.0
    """Calls per second: count / span, also while the window is younger than its span."""

    p50: float | None = None
    """Median duration in seconds, to 5 percent; None where nothing was recorded."""

    p95: float | None = None
    """95th percentile of the durations, likewise."""

    p99: float | None = None
    """99th percentile of the durations, likewise."""

    kept: int = 0
    """Events inside the window that are held in full, at most `max`."""

    dropped: int = counter()
    """Events let go before their time because `max` newer ones came, since the window was made. An event that
    leaves by its age, or through `clear()`, does not count. Calls that run in Python are entered in batches: there it
    is the time of the batch's last event that decides which of the two it was."""

    keys: int | None = None
    """Keys that are counted, also beyond the kept events; None where `keys=` was not given."""

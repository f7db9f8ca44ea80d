"""What running calls count, and how it is shown."""

import threading
from collections.abc import Callable
from typing import Any

from memo._base import greenlet_of
from memo._flight.flight import BACKGROUND, REFRESH, InFlight, Purpose, TaskFlight
from memo._flight.stats import Flight, InflightStats

__all__ = ("Counters", "figures", "shown")


class Counters:
    """What happened to the running calls of one function.

    Each execution raises one of the first three counters as it begins, each caller who was answered by another's one of
    the next three, and each execution that ends one of ``completed``, ``failed`` and ``cancelled``.  Plain additions to
    attributes: with the interpreter's global lock no other thread runs between reading and writing one, since no call
    stands in between.

    Who begins an execution counts it in lines of its own, beside that from which its end is counted (``led``, or a
    ``try``).  A method that counts would be a call between the two, and an exception that strikes there would have only
    one of them happen.
    """

    __slots__ = (
        "called_off", "cancelled", "completed", "failed", "joins", "joins_late", "joins_refresh", "led", "led_late",
        "refreshes", "timeouts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.led: int = 0
        """Executions that calls began."""
        self.led_late: int = 0
        """Those of calls that a stale value may answer in the end: whoever answers them counts them as calls."""
        self.refreshes: int = 0
        """Those that no call began."""
        self.joins: int = 0
        """Callers who were answered by another's execution, told apart likewise."""
        self.joins_late: int = 0
        self.joins_refresh: int = 0
        self.completed: int = 0
        self.failed: int = 0
        self.cancelled: int = 0
        self.timeouts: int = 0
        self.called_off: int = 0
        """Of the cancelled ones, those whose task was cancelled before it was too old: nobody wanted it any more."""

    @property
    def started(self) -> int:
        """All executions."""
        return self.led + self.led_late + self.refreshes

    @property
    def joined(self) -> int:
        """All callers who were answered by another's execution."""
        return self.joins + self.joins_late + self.joins_refresh

    def join(self, purpose: Purpose) -> None:
        """Count a caller who was answered by another's execution, other than a call, which is counted in passing."""
        if purpose is REFRESH or purpose is BACKGROUND:
            self.joins_refresh += 1
        else:
            self.joins_late += 1

    def move_to(self, other: "Counters") -> None:
        """Add all of it to *other*, and begin anew; nothing that is counted meanwhile is lost."""
        # no call stands between the two lines of each
        other.led += self.led
        self.led = 0
        other.led_late += self.led_late
        self.led_late = 0
        other.refreshes += self.refreshes
        self.refreshes = 0
        other.joins += self.joins
        self.joins = 0
        other.joins_late += self.joins_late
        self.joins_late = 0
        other.joins_refresh += self.joins_refresh
        self.joins_refresh = 0
        other.completed += self.completed
        self.completed = 0
        other.failed += self.failed
        self.failed = 0
        other.cancelled += self.cancelled
        self.cancelled = 0
        other.timeouts += self.timeouts
        self.timeouts = 0
        other.called_off += self.called_off
        self.called_off = 0


def figures(name: str, earlier: Counters, since: Counters, flights: dict[InFlight, int], now: float) -> InflightStats:
    """The figures of one function.

    Args:
        name: Its name.
        earlier: What was counted at first.
        since: What was counted since.
        flights: What runs now, or waits for a thread: how many callers wait for each.
        now: The time.
    """
    return InflightStats(
        name,
        len(flights),
        sum(flights.values()),
        earlier.started + since.started,
        earlier.joined + since.joined,
        earlier.completed + since.completed,
        earlier.failed + since.failed,
        earlier.cancelled + since.cancelled,
        earlier.timeouts + since.timeouts,
        max(0.0, now - min([flight.started for flight in flights])) if flights else None,
    )


def shown(flights: dict[InFlight, int], reveal: Callable[[Any], Any], now: float) -> list[Flight]:
    """Snapshots of *flights*, for each of which so many callers wait, longest running first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    rows = [
        Flight(reveal(flight.key), max(0.0, now - flight.started), waiters, _leader_name(flight, names))
        for flight, waiters in flights.items()
    ]
    return sorted(rows, key=lambda row: -row.age)


def _leader_name(flight: InFlight, names: dict[int | None, str]) -> str:
    if isinstance(flight, TaskFlight) and flight.task is not None:
        return flight.task.get_name()
    if flight.leader is None:
        return "waits for a thread"
    if isinstance(flight.leader, int):
        return names.get(flight.leader, f"thread {flight.leader}")
    greenlet = greenlet_of(flight.leader)
    return str(getattr(greenlet, "name", None) or "greenlet" if greenlet is not None else "dead greenlet")

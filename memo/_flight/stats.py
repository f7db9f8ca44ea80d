"""Frozen snapshots of running calls.

Each counter is defined here, beside its field: which event raises it, which does not.
Snapshots of one function subtract: in ``later - earlier`` a counter is the difference, and a
gauge (marked so below) keeps the later value.
"""

from typing import Any

from memo._base import Frozen, Snapshot, counter, frozen_dataclass

__all__ = ("Flight", "InflightStats")


@frozen_dataclass
class InflightStats(Snapshot):
    """One function's running calls."""

    __module__ = "memo"

    name: str
    active: int = 0
    """Gauge: calls running now that a newcomer would join, and background loads that wait for a thread."""
    waiting: int = 0
    """Gauge: callers waiting now for a call that another leads, as ``Flight.waiters`` counts them."""
    started: int = counter()
    """Executions begun, also those that run straight through in a recursion."""
    joined: int = counter()
    """Callers who were answered by another's execution; one who takes over a lost one raises ``started``."""
    completed: int = counter()
    """Executions that returned."""
    failed: int = counter()
    """Executions that raised an ``Exception``."""
    cancelled: int = counter()
    """Executions that ended by cancellation or another ``BaseException``, or whose loop or thread died."""
    timeouts: int = counter()
    """Executions detached because they were older than ``timeout``; they count again when they end."""
    oldest: float | None = None
    """Gauge: seconds since the oldest running call began; None if none runs."""


@frozen_dataclass
class Flight(Frozen):
    """One running call, as ``inflight.pending()`` saw it."""

    __module__ = "memo"

    key: Any
    age: float
    """Seconds since it began, by the function's clock."""
    waiters: int
    """Callers who have joined it and wait for it now; not its leader, nor those for whom a load in the background leads
    it.  Who gave up is none any more, though a load that was begun for it may still stand by."""
    leader: str
    """Name of the thread or task that runs it."""

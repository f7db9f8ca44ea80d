"""Running calls: one execution, its leader, and those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import Caller, Timer

__all__ = (
    "ABANDONED", "LOOK_S", "RAISED", "RETURNED", "RUNNING", "TIMED_OUT", "InFlight", "TaskFlight", "Work", "set_apart",
)  # fmt: skip

RUNNING, RETURNED, RAISED, ABANDONED, TIMED_OUT = "running", "returned", "raised", "abandoned", "timed out"


LOOK_S = 0.05
"""Seconds between two looks of a waiter whether the thread, greenlet or loop that it waits for still lives."""


class InFlight:
    """One execution, shared by its leader and those who joined it.

    It is born empty, and ``enter`` sets what a thread's flight needs: most flights end before
    anybody joins them, and must cost next to nothing until then.
    """

    __slots__ = (
        "background", "current", "error", "fenced", "heir", "joined", "key", "leader", "led", "over", "present",
        "refresh", "started", "state", "tags", "traceback", "value", "waiters", "was_current"
    )  # fmt: skip

    key: Hashable
    current: bool
    """Set until somebody takes it out of the table: who deletes this does."""
    fenced: bool
    """Somebody else than its leader took it out, or it never was in the table; guarded by the table's lock."""
    leader: Caller
    """Who runs it; of a task its thread; None: nobody yet."""
    started: float
    state: str
    led: bool
    """Its work was begun."""
    refresh: bool
    waiters: dict[Any, None] | None
    """Wake-ups: a callable for a thread, a loop and a future for a coroutine; guarded by the table's lock."""
    present: int
    """Callers who wait for it now, of coroutines the leader too; guarded by the table's lock."""
    joined: int
    """Joiners among them; guarded by the table's lock."""
    over: bool
    """Its leader's work has ended, though ``failed()`` may be unable to say so: at the recursion limit, or
    interrupted by a signal.  Set without a call, which cannot fail."""
    background: bool
    """No caller began it; unset of a thread's flight that a call began."""
    tags: tuple[str, ...] | None
    """Those of the call that began it, set before its work begins where ``tags=`` is a function; None: unknown."""
    value: Any
    """What it returned, or what a second look found so that no work was needed."""
    error: BaseException | None
    traceback: Any
    """The error's traceback as the work left it, before anyone raised it further."""
    was_current: bool
    """When it ended, it was the current one: its successor may store."""
    heir: InFlight | None
    """Of an abandoned flight: the one that whoever waited took over with; guarded by the table's lock."""


class TaskFlight(InFlight):
    """A flight whose work runs in a task."""

    __slots__ = ("__weakref__", "alarm", "loop", "task", "timer", "when_done", "work")

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[None] | None
    timer: Timer | None
    """Makes it expire at its deadline; used in the thread of its loop alone."""
    alarm: Callable[[], object] | None
    """Revokes the wake-up that a clock advanced by hand was asked for."""
    when_done: Any
    """Called when its task is done, however it ends; None where that has nothing left to do."""
    work: Work


class Work:
    """The work of a task flight as a node of the graph of who waits for whom.

    Apart from the flight, since every context that the work hands on refers to it: a task that
    outlives the flight must not keep its result alive.
    """

    __slots__ = ("__weakref__", "awaits", "left", "over", "within")

    def __init__(self, within: Work | None) -> None:
        self.over = self.left = False
        """It has ended; its first caller has left."""
        self.awaits: dict[TaskFlight, int] = {}
        """Flights that this work waits for, and how many times; guarded by ``graph``."""
        self.within = within
        """The work in which its first caller was, or the nearest around that which has not ended."""


def set_apart(flight: InFlight) -> None:
    """Have *flight*, which nobody else has seen yet, be led outside the table."""
    del flight.current
    flight.fenced = True

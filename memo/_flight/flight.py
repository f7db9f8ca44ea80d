"""Running calls: one execution, its leader, and those who wait for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from memo._base import Caller, Clock, Timer, thread_ident

__all__ = (
    "ABANDONED", "ANY_TIME", "BACKGROUND", "CALL", "LATE_CALL", "LOOK_S", "RAISED", "REFRESH", "RETURNED", "RUNNING",
    "TIMED_OUT", "Company", "InFlight", "Purpose", "TaskFlight", "Work", "born", "look_in", "set_apart", "task_flight",
)  # fmt: skip

RUNNING, RETURNED, RAISED, ABANDONED, TIMED_OUT = "running", "returned", "raised", "abandoned", "timed out"


Purpose = str
"""What a flight is begun, or joined, for: one of these."""
CALL, LATE_CALL, REFRESH, BACKGROUND = "call", "late call", "refresh", "background load"
"""A call; a call that a stale value may answer in the end, so that whoever answers it counts it then; two that are no
calls: a refresh, which supersedes a running load, and a load that no caller waits for."""

ANY_TIME = -math.inf
"""Before anything was kept."""
LOOK_S = 0.05
"""Seconds between two looks of the first waiter whether the thread, greenlet or loop that it waits for still lives."""
_MOST = 200
"""How many times as long it is for those who came late, at the most."""


class InFlight:
    """One execution, shared by its leader and those who joined it.

    ``born()`` sets what each needs at once, and no more: most flights end before anybody joins them, and must cost
    next to nothing until then.
    """

    __slots__ = (
        "after", "came", "cancelled_with", "current", "error", "fenced", "heir", "joined", "key", "leader", "led",
        "load", "over", "present", "purpose", "started", "state", "succeeds", "tags", "traceback", "value", "waiters",
        "was_current",
    )  # fmt: skip

    after: float
    """Of what is kept already, only what came later will do for its leader; not set for a ``CALL``, for which anything
    will."""
    came: Any
    """How its result came, for its keeper; set by a leader who looks upstream."""
    cancelled_with: tuple[Any, ...]
    """The arguments of the ``CancelledError`` that its work, in a task of its own, ended by, for its first caller, as
    one who awaits a task gets them; not set where it ended otherwise."""
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
    purpose: Purpose
    waiters: dict[Any, None] | None
    """Wake-ups: a callable for a thread, a loop and a future for a coroutine; guarded by the table's lock."""
    present: int
    """Callers who wait for it now, of coroutines the leader too; guarded by the table's lock."""
    joined: int
    """Joiners among them; guarded by the table's lock."""
    over: bool
    """Its leader's work has ended, though ``failed()`` may be unable to say so: at the recursion limit, or
    interrupted by a signal.  Set without a call, which cannot fail."""
    tags: tuple[str, ...] | None
    """Those of the call that began it, told before its work begins where ``tags=`` is a function; None: unknown."""
    value: Any
    """What it returned, or what a second look found so that no work was needed."""
    error: BaseException | None
    traceback: Any
    """The error's traceback as the work left it, before anyone raised it further."""
    was_current: bool
    """When it ended, it was the current one: its successor may store."""
    load: Any
    """The load that is told to those who watch; set where anybody does."""
    succeeds: bool
    """Set where it took over from one that was abandoned."""
    heir: InFlight | None
    """Of an abandoned flight: the one that whoever waited took over with; guarded by the table's lock."""


class TaskFlight(InFlight):
    """A flight whose work runs in a task: in one of its own, or in its leader's."""

    __slots__ = (
        "__weakref__", "alarm", "bound", "cancelling", "inside", "left_at", "loop", "struck", "task", "timer",
        "when_done", "work",
    )  # fmt: skip

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[Any] | None
    bound: list[tuple[ContextVar[Any], Any]] | None
    """The context variables that its work, in a task of its own, has bound, for its first caller; None: none yet."""
    inside: Work | None
    """The work that its leader was in, as long as its own runs there; None: in none, or in a task of its own."""
    left_at: float | None
    """When the last of those who waited left it, and it goes on all the same; guarded by the table's lock."""
    struck: bool
    """Its leader's task, in which its work runs, was cancelled because it was too old."""
    cancelling: int
    """How often its leader's task had been cancelled when it began, where it may be struck."""
    timer: Timer | None
    """Makes it expire at its deadline; used in the thread of its loop alone."""
    alarm: Callable[[], object] | None
    """Revokes the wake-up that a clock advanced by hand was asked for."""
    when_done: Any
    """Called when its task is done, however it ends; None where that has nothing left to do."""
    work: Work


F = TypeVar("F", bound=InFlight)


class Company(Protocol):
    """What does the work of several flights at once."""

    def keeps(self, flight: TaskFlight) -> bool:
        """Whether *flight*, which nobody waits for any more, is to go on with the others; called with the table's lock
        held."""
        ...


class Work:
    """The work of a task flight as a node of the graph of who waits for whom.

    Apart from the flight, since every context that the work hands on refers to it: a task that
    outlives the flight must not keep its result alive.
    """

    __slots__ = ("__weakref__", "awaits", "company", "left", "over", "within")

    over: bool
    """It has ended."""
    left: bool
    """Its first caller has left."""
    awaits: dict[TaskFlight, int]
    """Flights that this work waits for, and how many times; guarded by ``graph``."""
    company: Company
    """What does it together with others'; set as long as that is so, and not where it is done alone."""
    within: Work | None
    """The work in which its first caller was, or the nearest around that which has not ended."""


def born(flight: F, purpose: Purpose) -> F:
    """*flight*, which is new, as one that runs; a generated wrapper does the same in its own lines (``BIRTH``).

    No call stands between the settings: nobody finds one that is not whole.  Who leads it, since when, and for which
    key is told afterwards.
    """
    flight.over = flight.led = flight.fenced = False
    flight.current = True
    flight.purpose = purpose
    flight.tags = ()
    flight.key = flight.waiters = None
    flight.present = flight.joined = 0
    flight.state = RUNNING
    return flight


def task_flight(key: Hashable, loop: asyncio.AbstractEventLoop, clock: Clock, purpose: Purpose) -> TaskFlight:
    """A new flight of *key* that the present thread begins in *loop*."""
    flight = TaskFlight()
    flight.over = flight.led = flight.fenced = False  # as in born(), without a call of it
    flight.current = True
    flight.purpose = purpose
    flight.tags = ()
    flight.waiters = None
    flight.present = 1  # the leader
    flight.joined = 0
    flight.state = RUNNING
    flight.struck = False
    flight.cancelling = 0
    flight.task = flight.timer = flight.alarm = flight.when_done = None
    flight.bound = flight.inside = flight.left_at = None
    flight.work = work = Work()
    work.over = work.left = False
    work.awaits = {}
    work.within = None
    flight.key = key
    flight.loop = loop
    flight.leader = thread_ident()
    flight.started = clock.read()
    return flight


def look_in(flight: InFlight, ahead: int) -> float:
    """Seconds after which a waiter who joined *flight* behind so many others looks whether its leader lives.

    Who sees that it does not gives the flight up, which wakes them all.  So whoever came behind others, of whom as many
    may be there still, looks less often than they do: a thousand who wait look about as often as ten.
    """
    return LOOK_S * min(1 + min(ahead, max(0, flight.joined - 1)), _MOST)


def set_apart(flight: InFlight) -> None:
    """Have *flight*, which nobody else has seen yet, be led outside the table."""
    del flight.current
    flight.fenced = True

"""The table of running calls: who leads, who waits, and how a flight ends.

Invariants:

- ``table`` maps a key to its *current* flight.  Only that flight's result may be stored, and a
  flight removes itself only if it is still the current one.  To fence a flight is to take it out.
- A flight leaves RUNNING exactly once, under ``lock``; whoever does that wakes its waiters.  A waiter
  registers under the same lock and only with a running flight, so no wake-up is lost.
- Nobody waits for himself: before a wait begins, ``graph`` is asked whether it would close a
  circle, of threads (who waits for whose flight) or of flights (whose work waits for which).
- The function, callbacks and wake-ups run outside ``lock``.
- An ``Exception`` belongs to the flight and is shared.  Any other end of the work belongs to the
  one it struck: the flight is ABANDONED, the first of those who waited succeeds it (``heir``), and
  the others wait for that one.

Counters are plain additions to attributes: with the interpreter's global lock no other thread
runs between reading and writing one, since no call stands in between.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from _thread import get_ident
from collections.abc import Callable, Hashable
from typing import Any

from memo._clock import Clock
from memo._errors_shared import shared_copy
from memo._stats import Flight, InflightStats
from memo.errors import InflightTimeout

__all__ = (
    "ABANDONED", "LOOK_S", "RAISED", "RETURNED", "RUNNING", "TIMED_OUT",
    "Counters", "FlightTable", "InFlight", "TaskFlight", "Work",
    "add_waiter", "lay_to_rest", "remove_waiter", "thread_lives", "wake",
)  # fmt: skip

RUNNING, RETURNED, RAISED, ABANDONED, TIMED_OUT = "running", "returned", "raised", "abandoned", "timed out"

LOOK_S = 0.05
"""Seconds between two looks of a waiter whether the thread or loop that it waits for still lives."""

graph = threading.RLock()
"""Guards ``waiting`` and every work's ``awaits``: who waits for what, to see circles."""
waiting: dict[int, InFlight] = {}
"""The flight that each waiting thread waits for, by the thread's identifier."""


class InFlight:
    """One execution, shared by its leader and those who joined it.

    It is born empty, and ``enter`` sets what a thread's flight needs: most flights end before
    anybody joins them, and must cost next to nothing until then.
    """

    __slots__ = (
        "error", "heir", "joined", "key", "leader", "led", "over", "present", "refresh", "started", "state",
        "traceback", "value", "waiters", "was_current"
    )  # fmt: skip

    key: Hashable
    leader: int
    """Identifier of the thread that runs it."""
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

    __slots__ = ("alarm", "loop", "task", "work")

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[None] | None
    alarm: Callable[[], object] | None
    """Revokes the wake-up that a clock advanced by hand was asked for."""
    work: Work


class Work:
    """The work of a task flight as a node of the graph of who waits for whom.

    Apart from the flight, since every context that the work hands on refers to it: a task that
    outlives the flight must not keep its result alive.
    """

    __slots__ = ("awaits", "within")

    def __init__(self, within: Work | None) -> None:
        self.awaits: dict[TaskFlight, int] = {}
        """Flights that this work waits for, and how many times; guarded by ``graph``."""
        self.within = within
        """The work in which its first caller was."""


class Counters:
    """What ``InflightStats`` defines, and how many of the first two were refreshes."""

    __slots__ = (
        "cancelled", "completed", "failed", "joined", "refreshes", "refreshes_joined", "started", "timeouts"
    )  # fmt: skip

    def __init__(self) -> None:
        self.started = self.joined = self.completed = self.failed = self.cancelled = self.timeouts = 0
        self.refreshes = self.refreshes_joined = 0


class FlightTable:
    """The running calls of one function.

    Args:
        name: The function's qualified name, for messages.
        call: The function.
        clock: Measures the age of a flight, for newcomers and ``cleanup()``.
        timeout_s: Age in seconds at which a flight counts as stuck; None: never.
        lock: Guards the table and the flights; a store that must change together with the table
            shares it.
        share: False: every call leads its own execution; the last begun is the current one.
    """

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        clock: Clock,
        timeout_s: float | None,
        lock: threading.RLock | None = None,
        share: bool = True,
    ) -> None:
        self.name = name
        self.call = call
        self.clock = clock
        self.timeout_s = timeout_s
        self.lock = lock if lock is not None else threading.RLock()
        self.share = share
        self.explain: Callable[[Hashable], TypeError | None] | None = None
        """Says why a key cannot be hashed, in terms of the function's parameters."""
        self.table: dict[Hashable, InFlight] = {}
        self.index: dict[Hashable, Any] = {}
        """Keys that a second look may find in a store."""
        self.counters = Counters()
        self._watched: dict[asyncio.AbstractEventLoop, dict[TaskFlight, float]] = {}
        """By loop, its running flights and their deadlines in its own time, earliest first."""
        _forkable.add(self)

    # -- what a store adds; called without the lock

    def look_again(self, flight: InFlight) -> bool:
        """Whether another leader finished just before *flight* began; if so, sets ``flight.value``."""
        return False

    def landed(self, flight: InFlight, value: Any) -> None:
        """End a flight whose work returned *value*; called once, in the thread of its leader."""
        self.counters.completed += 1
        self.settle(flight, RETURNED, value)

    def hand_out(self, value: Any) -> Any:
        """What a caller gets of a flight that returned *value*."""
        return value

    # -- joining and succeeding

    def _count_joined(self, refresh: bool) -> None:
        self.counters.joined += 1
        if refresh:
            self.counters.refreshes_joined += 1

    def _take_place(self, mine: InFlight) -> InFlight:
        """The current flight of *mine*'s key: *mine*, unless it is to share with one that runs."""
        if mine.refresh:
            with self.lock:
                current = self.table.get(mine.key)
                if current is not None and current.refresh:
                    return current
                self.table[mine.key] = mine  # a refresh supersedes a running load
                return mine
        if self.share:
            return self.table.setdefault(mine.key, mine)
        self.table[mine.key] = mine
        return mine

    def _succeed(self, lost: InFlight, mine: InFlight, was_present: bool) -> InFlight:
        """Who goes on for *lost*, which was abandoned: *mine*, unless another of those who waited was faster.

        All who were present when *lost* ended count as present there from now on, however fast it ends.
        """
        with self.lock:
            if lost.heir is None:
                newer = self.table.get(lost.key) if lost.was_current else None
                if newer is not None:
                    newer.present += lost.joined
                    lost.heir = newer
                else:
                    mine.started = self.clock.read()
                    mine.present += lost.joined - was_present
                    lost.heir = mine
                    if lost.was_current:
                        self.table[lost.key] = mine
            return lost.heir

    def _refuse_unhashable(self, key: Hashable) -> None:
        if self.explain is not None:
            refusal = self.explain(key)
            if refusal is not None:
                raise refusal from None

    def _raise_shared(self, flight: InFlight) -> None:
        """Raise to a joiner what ended *flight* without a value."""
        if flight.state is TIMED_OUT:
            raise self._timed_out(flight)
        error = flight.error
        assert error is not None, "only those who were present when it ended come here"
        try:
            raise shared_copy(error, flight.traceback)
        finally:
            error = None  # the traceback holds this frame, which must not hold the error
            self._forget_error(flight)

    def _forget_error(self, flight: InFlight) -> None:
        """Let go of the error once everyone who waited has it: it holds frames that hold the flight."""
        with self.lock:
            flight.present -= 1
            if flight.present <= 0:
                flight.error = flight.traceback = None

    def _timed_out(self, flight: InFlight) -> InflightTimeout:
        return InflightTimeout(
            f"{self.name}(): the call that this one waited for did not end within {self.timeout_s:g} s "
            f"and was detached; the next call starts a new one.",
            flight.key,
            self.timeout_s,
        )

    # -- ending

    def settle(self, flight: InFlight, state: str, value: Any = None, error: BaseException | None = None) -> None:
        """End *flight*: take it out of the table if it is current, publish its end, wake who waits."""
        with self.lock:
            was_current = self._take_out(flight)
            if flight.state is not RUNNING:
                return
            if state is RETURNED:
                flight.value = value
            shared = error if flight.present else None
            flight.error = shared
            flight.traceback = None if shared is None else shared.__traceback__
            flight.was_current = was_current
            flight.heir = None
            flight.state = state
            waiters, flight.waiters = flight.waiters, None
        if waiters:
            wake(waiters)

    def expire(self, flight: InFlight) -> bool:
        """Detach a stuck flight: waiters get ``InflightTimeout``, an async leader's task is cancelled."""
        with self.lock:
            self._take_out(flight)
            if flight.state is not RUNNING:
                return False
            flight.state = TIMED_OUT
            self.counters.timeouts += 1
            waiters, flight.waiters = flight.waiters, None
        if waiters:
            wake(waiters)
        if isinstance(flight, TaskFlight) and flight.task is not None and not flight.loop.is_closed():
            if _running_loop() is flight.loop:
                flight.task.cancel()
            else:
                flight.loop.call_soon_threadsafe(flight.task.cancel)
        return True

    def detach(self, key: Hashable) -> bool:
        """Fence the flight of *key*: those who wait still get its result, newcomers start anew."""
        with self.lock:
            return self.table.pop(key, None) is not None

    def detach_all(self) -> int:
        """Fence every flight."""
        with self.lock:
            count = len(self.table)
            self.table.clear()
        return count

    def cleanup(self) -> int:
        """Detach what is stuck or has lost its thread or loop; returns how many."""
        count = 0
        for flight in self.running():
            if self._is_stuck(flight):
                count += self.expire(flight)
            elif self._is_dead(flight, None):
                count += self._abandon_dead(flight)
        return count

    def running(self) -> list[InFlight]:
        """The current flights, at this moment."""
        with self.lock:
            # list() first: it is one step, while a comprehension gives way to threads that enter without the lock
            return [flight for flight in list(self.table.values()) if not flight.over]

    def pending(self, flights: list[InFlight], reveal: Callable[[Any], Any]) -> list[Flight]:
        """Snapshots of *flights*, longest running first."""
        now = self.clock.read()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        rows = [
            Flight(reveal(flight.key), max(0.0, now - flight.started), flight.joined, _leader_name(flight, names))
            for flight in flights
        ]
        return sorted(rows, key=lambda row: -row.age)

    def stats(self, name: str) -> InflightStats:
        """What the counters say now."""
        c = self.counters
        flights = self.running()
        now = self.clock.read()
        return InflightStats(
            name=name,
            active=len(flights),
            waiting=sum(flight.joined for flight in flights),
            started=c.started,
            joined=c.joined,
            completed=c.completed,
            failed=c.failed,
            cancelled=c.cancelled,
            timeouts=c.timeouts,
            oldest=max((max(0.0, now - flight.started) for flight in flights), default=None),
        )

    def _take_out(self, flight: InFlight) -> bool:
        """Take *flight* out of the table; whether it was the current one of its key."""
        if self.table.get(flight.key) is not flight:
            return False
        del self.table[flight.key]
        return True

    def _is_stuck(self, flight: InFlight) -> bool:
        return self.timeout_s is not None and self.clock.read() >= flight.started + self.timeout_s

    def _is_dead(self, flight: InFlight, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether nobody can finish *flight* any more, as seen from *loop* (None: from no loop)."""
        if not isinstance(flight, TaskFlight):
            return flight.over or not thread_lives(flight.leader)
        if flight.loop is loop:
            return False
        if flight.loop.is_closed():
            return True
        if flight.loop.is_running():
            return False
        return not thread_lives(flight.leader) or (loop is not None and flight.leader == get_ident())

    def _abandon_dead(self, flight: InFlight) -> bool:
        """Give up a flight whose thread or loop died; whether it was still thought to run."""
        was_running = flight.state is RUNNING
        if was_running:
            self.counters.cancelled += 1
        self.settle(flight, ABANDONED)
        if was_running and isinstance(flight, TaskFlight) and flight.task is not None and flight.loop.is_closed():
            lay_to_rest(flight.task)
        return was_running


def add_waiter(flight: InFlight, waiter: Any) -> None:
    """Have *waiter* woken when *flight* ends; called with the table's lock held."""
    if flight.waiters is None:
        flight.waiters = {}
    flight.waiters[waiter] = None


def remove_waiter(flight: InFlight, waiter: Any) -> None:
    """Take that back; called with the table's lock held."""
    if flight.waiters is not None:
        flight.waiters.pop(waiter, None)


def wake(waiters: dict[Any, None]) -> None:
    """Wake whoever waited for a flight that has ended; called without the lock, in any thread."""
    here = _running_loop()
    for waiter in waiters:
        if not isinstance(waiter, tuple):
            waiter()
            continue
        loop, future = waiter
        if loop is here:
            _finish(future)
        else:
            try:
                loop.call_soon_threadsafe(_finish, future)
            except RuntimeError:  # that loop is closed, and its waiters with it
                pass


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def lay_to_rest(task: Any) -> None:
    """End a task whose loop is closed, quietly: nobody can await it any more."""
    if task.done():
        return
    task._log_destroy_pending = False  # what asyncio.gather() does to tasks of its own
    try:
        task.get_coro().close()
    except (RuntimeError, ValueError):  # it ignored GeneratorExit, or is running: it is past our help
        pass


def thread_lives(identifier: int) -> bool:
    """Whether the thread of that identifier has not ended (or another has inherited it)."""
    return identifier in sys._current_frames()


def _leader_name(flight: InFlight, names: dict[int | None, str]) -> str:
    if isinstance(flight, TaskFlight) and flight.task is not None:
        return flight.task.get_name()
    return names.get(flight.leader, f"thread {flight.leader}")


# -- fork: the child has none of the other threads, so none of their flights; a lock that one of
# them held would stay locked, and what it guards half-changed.  So the forking thread takes every
# lock first: in the child all is consistent, and the locks are its own.

_forkable: weakref.WeakSet[FlightTable] = weakref.WeakSet()
_held: list[Any] = []


def _before_fork() -> None:
    graph.acquire()
    _held.append(graph)
    for flights in list(_forkable):
        flights.lock.acquire()
        _held.append(flights.lock)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    for flights in list(_forkable):
        flights.table.clear()
        flights._watched.clear()
    waiting.clear()
    _after_fork_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )

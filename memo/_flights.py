"""Single flight: equal calls that run at the same time share one execution.

One engine for threads and for coroutines; no decorator in it.  Its invariants:

- ``table`` maps a key to its *current* flight.  Only that flight's result may be stored, and a
  flight removes itself only if it is still the current one.  To fence a flight is to take it out.
- A flight leaves RUNNING exactly once, under ``lock``; whoever does that takes ``waiters`` along
  and wakes each.  A waiter registers under the same lock and only with a running flight, so no
  wake-up is lost.
- Nobody waits for himself: before a wait begins, ``_graph`` is asked whether it would close a
  circle, of threads (who waits for whose flight) or of flights (whose work waits for which).
- The function, callbacks and wake-ups run outside ``lock``.
- An ``Exception`` belongs to the flight and is shared.  Any other end of the work belongs to the
  one it struck: the flight is ABANDONED, and a waiter takes over.

Counters are plain additions to attributes: with the interpreter's global lock no other thread
runs between reading and writing one, since no call stands in between.
"""

import asyncio
import contextvars
import os
import sys
import threading
import time
import weakref
from _thread import allocate_lock, get_ident
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from memo._clock import Clock, call_when
from memo._errors_shared import shared_copy
from memo._oneshot import PLAIN, refuse_one_shot
from memo._stats import Flight, InflightStats
from memo.errors import InflightTimeout

__all__ = ("ABANDONED", "RAISED", "RETURNED", "RUNNING", "TIMED_OUT", "Counters", "Flights", "InFlight", "TaskFlight", "wake")

RUNNING, RETURNED, RAISED, ABANDONED, TIMED_OUT = "running", "returned", "raised", "abandoned", "timed out"

_LOOK_S = 0.05
"""Seconds between two looks of a waiter whether the thread or loop that it waits for still lives."""

Link = tuple["TaskFlight", Any]
_chain: contextvars.ContextVar[Link | None] = contextvars.ContextVar("memo_flights", default=None)
"""The flights whose work the present context belongs to, innermost first, as a linked list."""

_graph = threading.RLock()
"""Guards ``_waiting`` and every flight's ``awaits``: who waits for what, to see circles."""
_waiting: dict[int, "InFlight"] = {}
"""The flight that each waiting thread waits for, by the thread's identifier."""


class InFlight:
    """One execution, shared by its leader and those who joined it.

    It is born empty, and ``enter`` sets what a thread's flight needs: most flights end before
    anybody joins them, and must cost next to nothing until then.
    """

    __slots__ = (
        "error", "joined", "key", "leader", "led", "over", "present", "refresh", "started", "state",
        "traceback", "value", "waiters"
    )  # fmt: skip

    key: Hashable
    leader: int
    """Identifier of the thread that runs it."""
    started: float
    state: str
    led: bool
    """Its work was begun."""
    refresh: bool
    waiters: list[Any] | None
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


class TaskFlight(InFlight):
    """A flight whose work runs in a task."""

    __slots__ = ("awaits", "loop", "task", "timers")

    loop: asyncio.AbstractEventLoop
    task: "asyncio.Future[Any] | None"
    timers: tuple[Callable[[], object], ...]
    awaits: "dict[TaskFlight, int]"
    """Flights that this one's work waits for; guarded by ``_graph``."""


class Counters:
    """What ``InflightStats`` defines, and how many of the first two were refreshes."""

    __slots__ = (
        "cancelled", "completed", "failed", "joined", "refreshes", "refreshes_joined", "started", "timeouts"
    )  # fmt: skip

    def __init__(self) -> None:
        self.started = self.joined = self.completed = self.failed = self.cancelled = self.timeouts = 0
        self.refreshes = self.refreshes_joined = 0


class Flights:
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
        lock: "threading.RLock | None" = None,
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

    # -- threads

    def enter(self, mine: InFlight, key: Hashable, now: float, refresh: bool = False) -> bool:
        """Lead the flight of *key* as *mine*, begun *now*, or wait for the one that runs.

        Returns:
            True: the caller leads: it runs the function and then calls ``landed`` or ``failed``.
            False: ``mine.value`` is the answer.

        Raises:
            InflightTimeout: The flight that the caller had joined is older than the timeout.
            Exception: What the work of the flight that the caller had joined raised.
        """
        mine.over = mine.led = False
        mine.refresh = refresh
        mine.waiters = None
        mine.present = mine.joined = 0
        mine.state = RUNNING
        mine.started = now
        me = mine.leader = get_ident()
        mine.key = key
        while True:
            try:
                if self.share and not refresh:
                    current = self.table.setdefault(key, mine)
                else:
                    current = self._take_place(mine)
            except TypeError:
                mine.key = None
                self._refuse_unhashable(key)
                raise
            if current is mine:
                if key in self.index and not refresh and self.look_again(mine):
                    self.settle(mine, ABANDONED)  # whoever joined meanwhile finds the same
                    return False
                break
            if current.over:
                self._abandon_dead(current)
                continue
            if current.leader == me:
                break  # a recursion with the same key: run straight through, outside the table
            if self._is_stuck(current):
                self.expire(current)
                continue
            if not self._wait(current, me):
                break
            if current.state is RETURNED:
                self._count_joined(refresh)
                mine.value = self.hand_out(current.value)
                return False
            if current.state is not ABANDONED:
                self._count_joined(refresh)
                self._raise_shared(current)
        mine.led = True
        self.counters.started += 1
        if refresh:
            self.counters.refreshes += 1
        return True

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

    def _refuse_unhashable(self, key: Hashable) -> None:
        if self.explain is not None:
            refusal = self.explain(key)
            if refusal is not None:
                raise refusal from None

    def finish(self, mine: InFlight, value: Any) -> Any:
        """End the flight that the caller led; returns what it is to get of *value*."""
        if type(value) not in PLAIN:
            refuse_one_shot(self.name, value)
        key = mine.key
        with self.lock:
            self.counters.completed += 1
            if self.table.get(key) is mine:
                del self.table[key]
            if mine.state is RUNNING:
                mine.value = value
                mine.state = RETURNED
        if mine.waiters is not None:  # nobody adds to them any more
            wake(mine.waiters)
        return value

    def lead(self, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], refresh: bool = False) -> Any:
        """Answer one call of a plain function, as a generated wrapper does inline."""
        mine = InFlight()
        try:
            if not self.enter(mine, key, self.clock.read(), refresh):
                return mine.value
            return self.finish(mine, self.call(*args, **kwargs))
        except BaseException as error:
            mine.over = True
            self.failed(mine, error)
            raise

    def failed(self, mine: InFlight, error: BaseException) -> None:
        """End a flight that its leader's work raised *error* from; nothing if it never led or has ended."""
        if not hasattr(mine, "key"):
            return  # interrupted before it entered
        if not mine.led:
            if self.table.get(mine.key) is mine:  # interrupted between entering and leading
                self.settle(mine, ABANDONED)
            return
        if mine.state is not RUNNING and mine.state is not TIMED_OUT:
            return
        if isinstance(error, Exception):
            self.counters.failed += 1
            self.settle(mine, RAISED, error=error)
        else:
            self.counters.cancelled += 1
            self.settle(mine, ABANDONED)

    def _wait(self, flight: InFlight, me: int) -> bool:
        """Wait until *flight* is no longer running; False: that would never be."""
        gate = allocate_lock()
        gate.acquire()

        def open_gate() -> None:
            try:
                gate.release()
            except RuntimeError:  # two woke it
                pass

        with _graph:
            if _circle_of_threads(flight, me):
                return False
            _waiting[me] = flight
        alarm = None
        try:
            with self.lock:
                if flight.state is not RUNNING:
                    return True
                _add_waiter(flight, open_gate)
                flight.present += 1
                flight.joined += 1
            ends = None
            if self.timeout_s is not None:
                ends = time.monotonic() + flight.started + self.timeout_s - self.clock.read()
                alarm = call_when(self.clock.read, flight.started + self.timeout_s, open_gate)
            while flight.state is RUNNING:
                left = _LOOK_S if ends is None else min(_LOOK_S, ends - time.monotonic())
                if left > 0:
                    gate.acquire(timeout=left)
                if flight.state is not RUNNING:
                    break
                if (ends is not None and time.monotonic() >= ends) or self._is_stuck(flight):
                    self.expire(flight)
                elif self._is_dead(flight, None):
                    self._abandon_dead(flight)
        finally:
            if alarm is not None:
                alarm()
            _waiting.pop(me, None)
            with self.lock:
                if flight.state is RUNNING:  # interrupted
                    _remove_waiter(flight, open_gate)
                    flight.present -= 1
                    flight.joined -= 1
        return True

    def _raise_shared(self, flight: InFlight) -> None:
        """Raise to a joiner what ended *flight* without a value."""
        if flight.state is TIMED_OUT:
            raise self._timed_out(flight)
        error = flight.error
        assert error is not None
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

    # -- coroutines

    async def run(
        self, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], refresh: bool = False
    ) -> Any:
        """Answer one call of a coroutine function, by a flight of its own or by the one that runs.

        The work runs in a task of its own, so that whoever is cancelled leaves alone; when the
        last one leaves, the task is cancelled and awaited.
        """
        loop = asyncio.get_running_loop()
        chain = _chain.get()
        while True:
            mine = self._new(key, loop, refresh)
            try:
                current: Any = self._take_place(mine)
            except TypeError:
                self._refuse_unhashable(key)
                raise
            if current is mine:
                if key in self.index and not refresh and self.look_again(mine):
                    self.settle(mine, ABANDONED)  # whoever joined meanwhile finds the same
                    return mine.value
            elif self._is_dead(current, loop):
                self._abandon_dead(current)
                continue
            elif self._is_stuck(current):
                self.expire(current)
                continue
            if chain is not None and not _depend(chain, current):
                current = mine  # a recursion: run straight through, outside the table
                _depend(chain, current)
            led = current is mine
            try:
                if led:
                    self._launch(current, args, kwargs, chain)
                await self._attend(current, loop, led)
            finally:
                if chain is not None:
                    _no_longer_depend(chain, current)
            if led:
                return self._own_end(current)
            if current.state is ABANDONED:
                continue  # take over
            self._count_joined(refresh)
            if current.state is not RETURNED:
                self._raise_shared(current)
            return self.hand_out(current.value)

    def _new(self, key: Hashable, loop: asyncio.AbstractEventLoop, refresh: bool) -> TaskFlight:
        flight = TaskFlight()
        flight.over = flight.led = False
        flight.refresh = refresh
        flight.waiters = None
        flight.present = 1  # the leader
        flight.joined = 0
        flight.state = RUNNING
        flight.task = None
        flight.timers = ()
        flight.awaits = {}
        flight.key = key
        flight.loop = loop
        flight.leader = get_ident()
        flight.started = self.clock.read()
        return flight

    def _own_end(self, flight: TaskFlight) -> Any:
        """What the first caller of a flight gets."""
        if flight.state is RETURNED:
            return self.hand_out(flight.value)
        if flight.state is TIMED_OUT:
            raise self._timed_out(flight)
        error = flight.error
        if error is None:
            raise asyncio.CancelledError()
        try:
            raise error
        finally:
            error = None
            self._forget_error(flight)

    def _launch(
        self, flight: TaskFlight, args: tuple[Any, ...], kwargs: dict[str, Any], chain: Link | None
    ) -> None:
        """Begin the work of *flight* in a task, in the context of its first caller."""
        loop = flight.loop
        flight.led = True
        self.counters.started += 1
        if flight.refresh:
            self.counters.refreshes += 1
        inside = _chain.set((flight, chain))
        work: Any = None
        try:
            work = self.call(*args, **kwargs)
            if not asyncio.iscoroutine(work):
                work = _awaited(work)
            task = loop.create_task(work)
        except BaseException:
            if asyncio.iscoroutine(work):
                work.close()
            self.settle(flight, ABANDONED)
            raise
        finally:
            _chain.reset(inside)
        flight.task = task
        if task.done():  # an eager task factory
            self._work_done(flight, task)
            return
        if self.timeout_s is not None:
            self._set_timer(flight, loop)
        task.add_done_callback(lambda task: self._work_done(flight, task))

    def _set_timer(self, flight: TaskFlight, loop: asyncio.AbstractEventLoop) -> None:
        assert self.timeout_s is not None
        timer = loop.call_later(self.timeout_s, self.expire, flight)
        alarm = call_when(self.clock.read, flight.started + self.timeout_s, lambda: self.expire(flight))
        flight.timers = (timer.cancel,) if alarm is None else (timer.cancel, alarm)

    def _work_done(self, flight: TaskFlight, task: "asyncio.Future[Any]") -> None:
        for cancel_timer in flight.timers:
            cancel_timer()
        if task.cancelled():
            self.counters.cancelled += 1
            self.settle(flight, ABANDONED)
            return
        error = task.exception()
        if error is None:
            value = task.result()
            try:
                refuse_one_shot(self.name, value)
            except TypeError as refusal:
                error = refusal
            else:
                self.landed(flight, value)
                return
        if isinstance(error, Exception):
            self.counters.failed += 1
            self.settle(flight, RAISED, error=error)
        else:
            self.counters.cancelled += 1
            self.settle(flight, ABANDONED, error=error)

    async def _attend(self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, led: bool) -> None:
        """Wait, as a coroutine, until *flight* is no longer running."""
        with self.lock:
            if not led:
                flight.present += 1
            if flight.state is not RUNNING:
                return
            future = loop.create_future()
            waiter = (loop, future)
            _add_waiter(flight, waiter)
            flight.joined += not led
        try:
            if flight.loop is loop:
                await future
            else:
                await self._attend_elsewhere(flight, loop, future)
        except BaseException as reason:
            last = self._leave(flight, waiter, led)
            if last and flight.task is not None:
                await self._cancel_work(flight, loop, may_wait=isinstance(reason, asyncio.CancelledError))
            raise

    async def _attend_elsewhere(
        self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]"
    ) -> None:
        """Wait for a flight of another loop, which may die without a word."""
        while not future.done():
            await asyncio.wait((future,), timeout=_LOOK_S)
            if not future.done() and self._is_dead(flight, loop):
                self._abandon_dead(flight)

    def _leave(self, flight: TaskFlight, waiter: object, led: bool) -> bool:
        """Take a cancelled waiter out; whether it was the last, so that the flight was abandoned."""
        with self.lock:
            flight.present -= 1
            flight.joined -= not led
            _remove_waiter(flight, waiter)
            if flight.state is not RUNNING or flight.present > 0:
                return False
            self._take_out(flight)
            flight.state = ABANDONED
            return True

    async def _cancel_work(self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, may_wait: bool) -> None:
        task, home = flight.task, flight.loop
        assert task is not None
        if home is not loop:
            if not home.is_closed():
                home.call_soon_threadsafe(task.cancel)
            return
        if not loop.is_closed():
            task.cancel()
            if may_wait:
                await asyncio.wait((task,))

    # -- both

    def settle(self, flight: InFlight, state: str, value: Any = None, error: BaseException | None = None) -> None:
        """End *flight*: take it out of the table if it is current, publish its end, wake who waits."""
        with self.lock:
            self._take_out(flight)
            if flight.state is not RUNNING:
                return
            if state is RETURNED:
                flight.value = value
            shared = error if flight.present else None
            flight.error = shared
            flight.traceback = None if shared is None else shared.__traceback__
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
            return [flight for flight in self.table.values() if not flight.over]

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

    def _take_out(self, flight: InFlight) -> None:
        if self.table.get(flight.key) is flight:
            del self.table[flight.key]

    def _is_stuck(self, flight: InFlight) -> bool:
        return self.timeout_s is not None and self.clock.read() >= flight.started + self.timeout_s

    def _is_dead(self, flight: InFlight, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether nobody can finish *flight* any more, as seen from *loop* (None: from no loop)."""
        if not isinstance(flight, TaskFlight):
            return flight.over or not _thread_lives(flight.leader)
        if flight.loop is loop:
            return False
        if flight.loop.is_closed():
            return True
        if flight.loop.is_running():
            return False
        return not _thread_lives(flight.leader) or (loop is not None and flight.leader == get_ident())

    def _abandon_dead(self, flight: InFlight) -> bool:
        """Give up a flight whose thread or loop died; whether it was still thought to run."""
        was_running = flight.state is RUNNING
        if was_running:
            self.counters.cancelled += 1
        self.settle(flight, ABANDONED)
        task: Any = getattr(flight, "task", None)
        if was_running and task is not None and not task.done() and flight.loop.is_closed():  # type: ignore[attr-defined]
            task._log_destroy_pending = False  # what asyncio.gather() does: nobody can await this task any more
            try:
                task.get_coro().close()
            except (RuntimeError, ValueError):  # it ignored GeneratorExit, or is running: it is past our help
                pass
        return was_running


def _add_waiter(flight: InFlight, waiter: Any) -> None:
    if flight.waiters is None:
        flight.waiters = []
    flight.waiters.append(waiter)


def _remove_waiter(flight: InFlight, waiter: Any) -> None:
    if flight.waiters is not None and waiter in flight.waiters:
        flight.waiters.remove(waiter)


def wake(waiters: list[Any]) -> None:
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


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _thread_lives(identifier: int) -> bool:
    return identifier in sys._current_frames()


def _leader_name(flight: InFlight, names: dict[int | None, str]) -> str:
    task = getattr(flight, "task", None)
    if isinstance(task, asyncio.Task):
        return task.get_name()
    return names.get(flight.leader, f"thread {flight.leader}")


def _circle_of_threads(flight: InFlight, me: int) -> bool:
    """Whether *flight* cannot end before thread *me* goes on.  Holds ``_graph``."""
    seen = set()
    current: InFlight | None = flight
    while current is not None and current.state is RUNNING and current.leader not in seen:
        if current.leader == me:
            return True
        seen.add(current.leader)
        current = _waiting.get(current.leader)
    return False


def _links(chain: Link | None) -> Iterator[TaskFlight]:
    while chain is not None:
        yield chain[0]
        chain = chain[1]


def _depend(chain: Link, flight: TaskFlight) -> bool:
    """Note that the work of the innermost flight of *chain* waits for *flight*; False: that closes a circle."""
    ours = set(_links(chain))
    with _graph:
        seen: set[TaskFlight] = set()
        to_see = [flight]
        while to_see:
            current = to_see.pop()
            if current in ours:
                return False
            if current not in seen:
                seen.add(current)
                to_see += current.awaits
        waits = chain[0].awaits
        waits[flight] = waits.get(flight, 0) + 1
    return True


def _no_longer_depend(chain: Link, flight: TaskFlight) -> None:
    with _graph:
        waits = chain[0].awaits
        if flight in waits:
            waits[flight] -= 1
            if not waits[flight]:
                del waits[flight]


# -- fork: the child has none of the other threads, so none of their flights; a lock that one of
# them held would stay locked, and what it guards half-changed.  So the forking thread takes every
# lock first: in the child all is consistent, and the locks are its own.

_forkable: "weakref.WeakSet[Flights]" = weakref.WeakSet()
_held: list[Any] = []


def _before_fork() -> None:
    _graph.acquire()
    _held.append(_graph)
    for flights in list(_forkable):
        flights.lock.acquire()
        _held.append(flights.lock)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    for flights in list(_forkable):
        flights.table.clear()
    _waiting.clear()
    _after_fork_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )

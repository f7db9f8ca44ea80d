"""Loads that no caller runs himself: in daemon threads for plain functions, in tasks for coroutines.

A job is one such load of one key.  Whoever wants its result waits for it as long as he likes; that
he gives up ends neither the job nor the wait of others.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from memo._base import bounded_gate, call_elsewhere, call_when, finish, real, until
from memo._cache.refresh_pool import RefreshPool
from memo._call import comparing_outside
from memo._flight import Asked, InFlight, Role, call_off, cancelled_with, keep_quiet, lay_to_rest
from memo._store import Store

__all__ = ("Jobs", "TaskJob", "ThreadJob")

_LOOK_S = 0.25
"""Seconds between two looks of a waiting caller whether a thread has become free for his load."""


_RUN_JOBS = (__name__, "memo._cache.background")


def _without_us(error: BaseException) -> BaseException:
    """*error* without the frames that ran the job: they hold the job, which holds the error."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__") in _RUN_JOBS:
        traceback = traceback.tb_next
    return error.with_traceback(traceback)


class _Job:
    """What it turned out to be, which is known once it is done."""

    __slots__ = ("role",)

    role: Role

    @property
    def has_joined(self) -> bool:
        """It waits for the load of a call, or was answered by one: whoever asked for it leads none."""
        return self.role.joined or self.role.awaits is not None

    @property
    def led(self) -> bool:
        """It led a load itself, and did not join a call that did."""
        return self.role.led

    @property
    def found(self) -> bool:
        """It did not run the function, and did not join a call that did: its value had been stored when its turn came,
        here or in the tier."""
        return self.role.found or not (self.role.led or self.role.joined)


class ThreadJob(_Job):
    """One load in a thread of the pool.

    Attributes:
        done: It has ended.
        value: What it returned.
        error: What it raised, or ended it otherwise.
        began: When it was asked for, by the function's clock.
        begun: A thread runs it.
        watchers: Callers who wait for it; guarded by the lock of the loads, as *told* is.
        told: Somebody learned of its error.
    """

    __slots__ = ("_gates", "_pool", "began", "begun", "done", "error", "told", "value", "watchers")

    def __init__(self, began: float, after: float) -> None:
        self.began = began
        self.role = Role(after)
        self.begun = self.done = self.told = False
        self.watchers = 0
        self.value: Any = None
        self.error: BaseException | None = None
        self._pool: RefreshPool | None = None
        self._gates: dict[Any, None] = {}  # where they stand who wait; no lock: each step of a change is one

    def start(
        self, pool: RefreshPool, load: Callable[[], Any], ended: Callable[[], object], patience_s: float | None
    ) -> bool:
        """Have *pool* run *load* in the present context, and then *ended*; whether it will."""
        run: Callable[..., Any] = contextvars.copy_context().run
        self._pool = pool
        return pool.submit(functools.partial(run, self._run, load, ended), patience_s)

    def _run(self, load: Callable[[], Any], ended: Callable[[], object]) -> None:
        try:
            try:
                self.value = load()
            except BaseException as error:  # SystemExit too: it strikes who waits, not a thread that others use
                self.error = _without_us(error)
        finally:
            self.done = True
            try:
                ended()
                if self._pool is not None:
                    self._pool.be_free()  # before others learn of it, who may have work for a thread
            finally:
                for gate in list(self._gates):
                    gate.open()
            del self, load, ended  # the frames in the error's traceback know this one

    def wait(self, seconds: float, read: Callable[[], float]) -> bool:
        """Wait so long at most, in real time or by a clock that is advanced by hand; whether it has ended."""
        gate = bounded_gate()
        alarm = until = None
        pool = self._pool
        try:
            self._gates[gate] = None  # before a look whether it is done, which comes before a look at the gates
            alarm = call_when(read, read() + seconds, gate.open)
            ends = real.monotonic() + seconds
            if pool is not None:
                until = pool.step_aside()
            while not self.done:
                left_s = ends - real.monotonic()
                if left_s <= 0 or gate.wait(min(_LOOK_S, left_s)):
                    break
                if pool is not None:
                    pool.stir()
        finally:
            self._gates.pop(gate, None)
            if alarm is not None:
                alarm()
            if pool is not None:
                pool.come_back(until)
        return self.done


class TaskJob(_Job):
    """One load in a task, of the loop that asked for it.  Its attributes are those of a ``ThreadJob``."""

    __slots__ = ("_done", "_task", "began", "error", "loop", "told", "value", "watchers")

    def __init__(self, began: float, after: float, loop: asyncio.AbstractEventLoop) -> None:
        self.began = began
        self.loop = loop
        self.role = Role(after)
        self.told = self._done = False
        self.watchers = 0
        self.value: Any = None
        self.error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None

    def start(self, load: Coroutine[Any, Any, Any], ended: Callable[[], object]) -> None:
        """Run *load* in the present context, and then *ended*; cut short, it runs nothing."""
        try:
            task = self._task = self.loop.create_task(load)
            keep_quiet(task)
            task.add_done_callback(functools.partial(self._end, ended), context=contextvars.Context())
        except BaseException:
            call_off(load, self.loop)
            raise

    def _end(self, ended: Callable[[], object], task: asyncio.Task[Any]) -> None:
        self._learn()
        ended()

    def _learn(self) -> None:
        """Take over what the task, which is done, returned or raised, and let go of it."""
        task, self._task = self._task, None
        if task is None:
            return
        if task.cancelled():
            self.error = asyncio.CancelledError(*cancelled_with(task))
        elif (error := task.exception()) is not None:
            self.error = _without_us(error)
        else:
            self.value = task.result()
        self._done = True

    @property
    def done(self) -> bool:
        if self._task is not None and self._task.done():
            self._learn()
        return self._done

    async def wait(self, seconds: float, read: Callable[[], float]) -> bool:
        """Wait so long at most, in real time or by a clock that is advanced by hand; whether it has ended."""
        loop, task = self.loop, self._task
        if self.done or task is None:
            return True
        over = loop.create_future()
        alarm = call_when(read, read() + seconds, functools.partial(call_elsewhere, loop, finish, over))
        try:
            await until(task, over, loop, seconds)
        finally:
            if alarm is not None:
                alarm()
        return self.done

    def give_up(self) -> None:
        """Let go of it, since its loop is closed."""
        if self._task is not None:
            lay_to_rest(self._task)


class Jobs(Asked):
    """The background loads of one function that newcomers may wait for.

    Args:
        store: Has the stale values that they are to replace; they are guarded by its lock.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.by_loop: dict[asyncio.AbstractEventLoop | None, dict[Hashable, Any]] = {}
        """By loop (None: in threads) and key."""

    def __len__(self) -> int:
        return len(self.by_loop)

    def remove(self, loop: asyncio.AbstractEventLoop | None, key: Hashable, job: Any) -> None:
        """Take *job* out, if it is there still."""
        comparing_outside(self._store.lock, self._remove, loop, key, job)

    def _remove(self, loop: asyncio.AbstractEventLoop | None, key: Hashable, job: Any) -> None:
        with self._store.lock:
            jobs = self.by_loop.get(loop, {})
            if jobs.get(key) is job:
                del jobs[key]
                if not jobs:
                    del self.by_loop[loop]

    def take_closed(self) -> list[Any]:
        """Take out those whose loops are closed; called with the lock held."""
        closed = [loop for loop in list(self.by_loop) if loop is not None and loop.is_closed()]
        return [job for loop in closed for job in self.by_loop.pop(loop).values()]

    # -- fencing: one that newcomers must not wait for any more is forgotten, and ends alone

    def look(self, key: Hashable) -> None:
        self._store.index.get(key)
        for jobs in list(self.by_loop.values()):
            jobs.get(key)

    def forget(self, key: Hashable) -> None:
        for loop, jobs in list(self.by_loop.items()):
            if jobs.pop(key, None) is not None and not jobs:
                del self.by_loop[loop]
        entry = self._store.index.get(key) if self._store.rich else None
        if entry is not None:
            entry.retry = entry.paused  # the next call may begin another at once

    def forget_all(self) -> None:
        self.by_loop.clear()

    def waiting(self) -> list[InFlight]:
        flights = []
        for key, job in self.by_loop.get(None, {}).items():
            if not job.begun:
                flight = InFlight()
                flight.key, flight.started, flight.joined, flight.leader = key, job.began, job.watchers, None
                flights.append(flight)
        return flights

    def waiters(self) -> dict[InFlight, int]:
        more: dict[InFlight, int] = {}
        for jobs in list(self.by_loop.values()):
            for job in list(jobs.values()):
                flight = job.role.awaits
                if flight is not None:
                    more[flight] = more.get(flight, 0) + job.watchers - 1
        return more

    def follow(self, now: float) -> None:
        for jobs in self.by_loop.values():
            for job in jobs.values():
                job.began = min(job.began, now)

"""Loads that no caller runs himself: in daemon threads for plain functions, in tasks for coroutines.

A job is one such load of one key.  Whoever wants its result waits for it as long as he likes; that
he gives up ends neither the job nor the wait of others.
"""

import asyncio
import contextlib
import contextvars
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from memo._callers import Gate, bounded_gate
from memo._clock import call_when
from memo._flight_table import keep_quiet, lay_to_rest
from memo._flight_tasks import Role
from memo._real_time import real

__all__ = ("RefreshPool", "TaskJob", "ThreadJob", "is_ending")

log = logging.getLogger("memo")

_DEFAULT_THREADS = 4
_MOST_QUEUED = 1_000
"""Jobs that may wait for a thread; what comes then is refused, and its caller goes on without."""
_IDLE_S = 10.0
"""Seconds after which a thread without work ends."""
_LOOK_S = 0.25
"""Seconds between two looks of a waiting caller whether a thread has become free for his load."""


def is_ending() -> bool:
    """Whether the interpreter is about to end: whatever a load meets with now is no news."""
    main = threading.main_thread()
    return not main.is_alive() and all(thread.daemon or thread is main for thread in threading.enumerate())


class RefreshPool:
    """Daemon threads for background loads: started when there is work, ended when there is none.

    A thread whose load is past its timeout cannot be stopped; it no longer counts, so that a hung
    load keeps no other from running; nor does one that waits for another load.  At most as many
    threads again as the pool may have do not count at one time.  Safe from any thread; after
    ``os.fork()`` the child begins without threads.
    """

    def __init__(self) -> None:
        self.most = _DEFAULT_THREADS
        self.configured = False
        """Somebody said how many there may be."""
        self._renew()
        _pools.add(self)

    def _renew(self) -> None:
        self._work = threading.Condition(threading.Lock())
        self._queue: deque[tuple[Callable[[], None], float | None]] = deque()  # guarded by _work, as all below
        self._idle = 0
        self._threads = 0
        self._until: dict[int, float] = {}
        """Of each thread that runs a job: when that is overdue, in real time."""

    @property
    def threads(self) -> int:
        """Threads there are now, those given up included."""
        return self._threads

    @property
    def busy(self) -> int:
        """Threads that run a load now."""
        return len(self._until)

    @property
    def queued(self) -> int:
        """Loads that wait for a thread."""
        return len(self._queue)

    def resize(self, most: int) -> None:
        """Have at most so many threads from now on; surplus ones end after what they are doing."""
        with self._work:
            self.most = most
            self.configured = True
            self._work.notify_all()
        for _ in range(self.queued):
            self._grow()

    def submit(self, run: Callable[[], None], patience_s: float | None) -> bool:
        """Run *run*, which raises nothing, in a thread.

        Args:
            run: The work.
            patience_s: Seconds after which its thread counts as lost; None: never.

        Returns:
            Whether it will be run: not if too many wait already, or no thread can be started any more.
        """
        item = (run, patience_s)
        with self._work:
            if len(self._queue) >= _MOST_QUEUED:
                return False
            self._queue.append(item)
            self._work.notify()
        self._grow()
        with self._work:
            if self._threads == 0 and item in self._queue:  # none could be started: the interpreter is about to end
                self._queue.remove(item)
                return False
        return True

    def stir(self) -> None:
        """Start a thread for a load that waits, if one that ran has become overdue meanwhile."""
        if self._queue:
            self._grow()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Have a thread of the pool not count while it waits for another load, which may need a thread itself."""
        me = threading.get_ident()
        until = self._until.get(me)
        if until is None:  # no thread of the pool
            yield
            return
        with self._work:
            self._until[me] = -1.0
        self._grow()
        try:
            yield
        finally:
            with self._work:
                self._until[me] = until

    def _grow(self) -> None:
        """Start a thread if there is work that no other is free for."""
        with self._work:
            if len(self._queue) <= self._idle or self._threads - self._lost() >= self.most:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._serve, args=(self._work,), name="memo-refresh", daemon=True).start()
        except RuntimeError:
            with self._work:
                self._threads -= 1

    def _lost(self) -> int:
        """How many threads do not count, since their load is overdue."""
        now = real.monotonic()
        return min(self.most, sum(until <= now for until in self._until.values()))

    def _serve(self, work: threading.Condition) -> None:
        """Run jobs until there are none for a while."""
        me = threading.get_ident()
        while True:
            with work:
                while not self._queue:
                    self._idle += 1
                    told = work.wait(_IDLE_S)
                    self._idle -= 1
                    surplus = self._threads - self._lost() > self.most
                    if not self._queue and (surplus or not told):
                        self._threads -= 1
                        return
                if self._threads - self._lost() > self.most:
                    self._threads -= 1
                    return
                run, patience_s = self._queue.popleft()
                self._until[me] = float("inf") if patience_s is None else real.monotonic() + patience_s
            try:
                run()
            except BaseException:
                log.exception("a background load ended its thread's work")
            del run  # what it refers to must not live as long as an idle thread
            if work is not self._work:  # it forked, and this is the child: not even the lock is free for certain
                return
            with work:
                self._until.pop(me, None)


_pools: "weakref.WeakSet[RefreshPool]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool._renew()  # the threads are gone, and one of them may have held the lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class ThreadJob:
    """One load in a thread of the pool.

    Attributes:
        done: It has ended.
        value: What it returned.
        error: What it raised, or ended it otherwise.
        began: When it was asked for, by the function's clock.
        led: It ran the function itself, and did not join a call that did; known once it is done.
        watchers: Callers who wait for it; guarded by the lock of the loads, as *told* is.
        told: Somebody learned of its error.
    """

    __slots__ = ("_gates", "_lock", "_pool", "began", "done", "error", "led", "told", "value", "watchers")

    def __init__(self, began: float) -> None:
        self.began = began
        self.done = self.led = self.told = False
        self.watchers = 0
        self.value: Any = None
        self.error: BaseException | None = None
        self._pool: RefreshPool | None = None
        self._lock = threading.Lock()
        self._gates: list[Gate] = []  # guarded by _lock

    def start(
        self, pool: RefreshPool, load: Callable[[], Any], ended: Callable[[], object], patience_s: float | None
    ) -> bool:
        """Have *pool* run *load* in the present context, and then *ended*; whether it will."""
        context = contextvars.copy_context()
        self._pool = pool
        return pool.submit(lambda: context.run(self._run, load, ended), patience_s)

    def _run(self, load: Callable[[], Any], ended: Callable[[], object]) -> None:
        try:
            self.value = load()
        except BaseException as error:  # SystemExit too: it strikes who waits, not a thread that others use
            self.error = error
        with self._lock:
            self.done = True
            gates = list(self._gates)
        ended()
        for gate in gates:
            gate.open()

    def wait(self, seconds: float, read: Callable[[], float]) -> bool:
        """Wait so long at most, in real time or by a clock that is advanced by hand; whether it has ended."""
        gate = bounded_gate()
        with self._lock:
            if self.done:
                return True
            self._gates.append(gate)
        alarm = call_when(read, read() + seconds, gate.open)
        ends = real.monotonic() + seconds
        try:
            with contextlib.nullcontext() if self._pool is None else self._pool.aside():
                while not self.done and (left := ends - real.monotonic()) > 0 and not gate.wait(min(_LOOK_S, left)):
                    if self._pool is not None:
                        self._pool.stir()
        finally:
            if alarm is not None:
                alarm()
            with self._lock:
                self._gates.remove(gate)
        return self.done


class TaskJob:
    """One load in a task, of the loop that asked for it.  Its attributes are those of a ``ThreadJob``."""

    __slots__ = ("_task", "began", "loop", "role", "told", "watchers")

    def __init__(self, began: float, loop: asyncio.AbstractEventLoop) -> None:
        self.began = began
        self.loop = loop
        self.role = Role()
        self.told = False
        self.watchers = 0
        self._task: asyncio.Task[Any] | None = None

    def start(self, load: Coroutine[Any, Any, Any], ended: Callable[[], object]) -> None:
        """Run *load* in the present context, and then *ended*."""
        task = self._task = self.loop.create_task(load)
        keep_quiet(task)
        task.add_done_callback(lambda task: (ended(), task.cancelled() or task.exception()))

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    @property
    def led(self) -> bool:
        return self.role.led

    @property
    def value(self) -> Any:
        return None if self._task is None else self._task.result()

    @property
    def error(self) -> BaseException | None:
        if self._task is None:
            return None
        return asyncio.CancelledError() if self._task.cancelled() else self._task.exception()

    async def wait(self, seconds: float, read: Callable[[], float]) -> bool:
        """Wait so long at most, in real time or by a clock that is advanced by hand; whether it has ended."""
        loop, task = self.loop, self._task
        assert task is not None, "whoever waits has it from the table, where it is as soon as it has begun"
        over = loop.create_future()

        def ring() -> None:
            if not over.done():
                over.set_result(None)

        def ring_from_anywhere() -> None:
            try:
                loop.call_soon_threadsafe(ring)
            except RuntimeError:  # the loop is closed, and nobody waits any more
                pass

        alarm = call_when(read, read() + seconds, ring_from_anywhere)
        try:
            await asyncio.wait((task, over), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ring()
            if alarm is not None:
                alarm()
        return task.done()

    def give_up(self) -> None:
        """Let go of it, since its loop is closed."""
        if self._task is not None:
            lay_to_rest(self._task)

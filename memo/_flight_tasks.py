"""Single flight for coroutines: the work runs in a task of its own, and all callers wait, the first too.

So a cancelled caller leaves alone; when the last one leaves, the task is cancelled and awaited.
Callers may belong to several event loops in several threads.
"""

import asyncio
import contextvars
from _thread import get_ident
from collections.abc import Hashable, Iterator
from typing import Any

from memo._clock import call_when
from memo._flight_table import (
    ABANDONED,
    LOOK_S,
    RAISED,
    RETURNED,
    RUNNING,
    TIMED_OUT,
    FlightTable,
    TaskFlight,
    add_waiter,
    graph,
    remove_waiter,
)
from memo._oneshot import refuse_one_shot

__all__ = ("TaskFlights",)

Link = tuple[TaskFlight, Any]
_chain: contextvars.ContextVar[Link | None] = contextvars.ContextVar("memo_flights", default=None)
"""The flights whose work the present context belongs to, innermost first, as a linked list."""


class TaskFlights(FlightTable):
    """The running calls of a coroutine function: ``run`` answers one."""

    async def run(
        self, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any], refresh: bool = False
    ) -> Any:
        """Answer one call of a coroutine function, by a flight of its own or by the one that runs.

        The work runs in a task of its own, so that whoever is cancelled leaves alone; when the
        last one leaves, the task is cancelled and awaited.
        """
        loop = asyncio.get_running_loop()
        chain = _chain.get()
        mine = self._new(key, loop, refresh)
        current = self._join_or_lead(mine, loop)
        if current.state is RETURNED:
            return current.value  # a second look found it
        while True:
            if chain is not None and not _depend(chain, current):
                current = mine  # a recursion: run straight through, outside the table
                _depend(chain, current)
            led = current is mine
            try:
                if led:
                    self._launch(mine, args, kwargs, chain)
                await self._attend(current, loop, led)
            finally:
                if chain is not None:
                    _no_longer_depend(chain, current)
            if led:
                return self._own_end(current)
            if current.state is not ABANDONED:
                break
            current = self._succeed(current, mine)
        self._count_joined(refresh)
        if current.state is not RETURNED:
            self._raise_shared(current)
        return self.hand_out(current.value)

    def _join_or_lead(self, mine: TaskFlight, loop: asyncio.AbstractEventLoop) -> Any:
        """The current flight of *mine*'s key once what is dead or stuck is out of the way; may be *mine*."""
        while True:
            try:
                current = self._take_place(mine)
            except TypeError:
                self._refuse_unhashable(mine.key)
                raise
            if current is mine:
                if mine.key in self.index and not mine.refresh and self.look_again(mine):
                    self.settle(mine, RETURNED, mine.value)  # for those who joined meanwhile
                return mine
            if self._is_dead(current, loop):
                self._abandon_dead(current)
            elif self._is_stuck(current):
                self.expire(current)
            else:
                return current

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
            add_waiter(flight, waiter)
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
            await asyncio.wait((future,), timeout=LOOK_S)
            if not future.done() and self._is_dead(flight, loop):
                self._abandon_dead(flight)

    def _leave(self, flight: TaskFlight, waiter: object, led: bool) -> bool:
        """Take a cancelled waiter out; whether it was the last, so that the flight was abandoned."""
        with self.lock:
            flight.present -= 1
            flight.joined -= not led
            remove_waiter(flight, waiter)
            if flight.state is not RUNNING or flight.present > 0:
                return False
            flight.was_current = self._take_out(flight)
            flight.heir = None
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


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _links(chain: Link | None) -> Iterator[TaskFlight]:
    while chain is not None:
        yield chain[0]
        chain = chain[1]


def _depend(chain: Link, flight: TaskFlight) -> bool:
    """Note that the work of the innermost flight of *chain* waits for *flight*; False: that closes a circle."""
    ours = set(_links(chain))
    with graph:
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
    with graph:
        waits = chain[0].awaits
        if flight in waits:
            waits[flight] -= 1
            if not waits[flight]:
                del waits[flight]

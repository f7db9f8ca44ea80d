"""Single flight for coroutines: the work runs in a task of its own, and all callers wait, the first too.

So a cancelled caller leaves alone; when the last one leaves, the task is cancelled and awaited.
Callers may belong to several event loops in several threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import (
    PLAIN,
    call_elsewhere,
    call_in,
    call_when,
    is_advanced_by_hand,
    need_depth,
    one_step,
    thread_ident,
    until,
)
from memo._call import stored_key
from memo._flight.circles import depend, no_longer_depend, still_running
from memo._flight.flight import ABANDONED, LOOK_S, RAISED, RETURNED, RUNNING, TIMED_OUT, TaskFlight, Work
from memo._flight.lost_work import call_off, keep_quiet, lay_to_rest
from memo._flight.table import FlightTable
from memo._flight.waiters import add_waiter, remove_waiter

__all__ = ("Role", "TaskFlights", "outside_work", "own_loop")

_inside: contextvars.ContextVar[Work | None] = contextvars.ContextVar("memo_work", default=None)
"""The work of a flight that the present context belongs to."""


class Role:
    """What a caller turned out to be: for who must know when the call raised."""

    __slots__ = ("led",)

    led: bool

    def __init__(self) -> None:
        self.led = False


def outside_work() -> None:
    """Have the present context belong to no flight's work: what it waits for, nobody waits for with it."""
    _inside.set(None)


def own_loop(name: str) -> asyncio.AbstractEventLoop:
    """The loop of asyncio that the present coroutine runs in.

    Raises:
        RuntimeError: It runs in none: under trio or curio, or by hand.
    """
    loop = asyncio._get_running_loop()
    if loop is None:
        raise RuntimeError(
            f"{name}(): no running event loop of asyncio, which a decorated coroutine function needs; await it "
            f"under asyncio (trio and curio will not do), or decorate a plain function and call that in a thread."
        )
    return loop


class TaskFlights(FlightTable):
    """The running calls of a coroutine function: ``run`` answers one."""

    async def run(
        self,
        key: Hashable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        refresh: bool = False,
        background: bool = False,
        role: Role | None = None,
    ) -> Any:
        """Answer one call of a coroutine function, by a flight of its own or by the one that runs.

        The work runs in a task of its own, so that whoever is cancelled leaves alone; when the
        last one leaves, the task is cancelled and awaited.
        """
        loop = own_loop(self.name)
        inside = _inside.get()
        mine = None
        try:
            key = stored_key(key, self.known)
            current: Any = self.table.get(key) if self.share and not refresh else None
        except TypeError:
            self._refuse_unhashable(key)
            raise
        try:
            if current is None or current.loop is not loop or self._is_stuck(current):
                need_depth()  # half-way through a launch nobody could tidy up
                mine = self._new(key, loop, refresh, background)
                current = self._join_or_lead(mine, loop)
                if current is mine and mine.state is RETURNED:
                    return mine.value  # a second look found it
            inherited = False
            while True:
                if inside is not None and not depend(inside, current):
                    if inherited:
                        with self.lock:
                            self._withdraw(current)
                    # a recursion: straight through, outside the table
                    current = mine = self._new(key, loop, refresh, background)
                    depend(inside, current)
                led = current is mine
                try:
                    if led:
                        self._launch(current, args, kwargs, inside)
                    joined = await self._attend(current, loop, led, inherited)
                finally:
                    if inside is not None:
                        no_longer_depend(inside, current)
                if led:
                    if role is not None:
                        role.led = True
                    if current.state is RETURNED:
                        return self._taken(current)
                    return await self._own_end(current)
                if joined and current.state is not ABANDONED:
                    break
                if current.state is not ABANDONED:  # it ended before this call could join it
                    mine = self._new(key, loop, refresh, background)
                    current = self._join_or_lead(mine, loop)
                    if current is mine and mine.state is RETURNED:
                        return mine.value
                    inherited = False
                    continue
                mine = self._new(key, loop, refresh, background)
                current = self._succeed(current, mine, joined)
                inherited = joined and current is not mine
        except BaseException:
            # struck between the launch and the wait, it would leave work that nobody awaits
            struck = mine is not None and mine.task is not None and not mine.work.left and mine.state is RUNNING
            if mine is not None and struck and self._leave(mine, None, led=True) and mine.task is not None:
                mine.task.cancel()
            if mine is not None and mine.task is None:
                # no call here: at the recursion limit it would fail, and leave the flight in the table
                mine.was_current = False
                mine.heir = None
                mine.state = ABANDONED
                try:
                    del mine.current
                except AttributeError:  # somebody else took it out
                    pass
                else:
                    if key in self.table and self.table[key] is mine:
                        del self.table[key]
            raise
        self._count_joined(refresh or background)
        if current.state is not RETURNED:
            self._raise_shared(current)
        return self._taken(current)

    def _taken(self, flight: TaskFlight) -> Any:
        """What one of those who were present gets of a flight that returned; the last lets go of the value.

        The flight itself may live on, in a handle that the loop has not run yet.
        """
        value = self.hand_out(flight.value)
        flight.present -= 1
        if flight.present <= 0:
            flight.value = None
        return value

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

    def _new(self, key: Hashable, loop: asyncio.AbstractEventLoop, refresh: bool, background: bool) -> TaskFlight:
        flight = TaskFlight()
        flight.background = background
        flight.over = flight.led = flight.fenced = False
        flight.current = True
        flight.refresh = refresh
        flight.waiters = None
        flight.present = 1  # the leader
        flight.joined = 0
        flight.state = RUNNING
        flight.task = flight.timer = flight.alarm = flight.when_done = None
        flight.work = Work(None)
        flight.key = key
        flight.loop = loop
        flight.leader = thread_ident()
        flight.started = self.clock.read()
        return flight

    async def _own_end(self, flight: TaskFlight) -> Any:
        """What the first caller gets of a flight that did not return, even late and if others gave it up for dead."""
        if flight.state is TIMED_OUT:
            raise self._timed_out(flight)
        if flight.state is ABANDONED:
            if flight.task is None or flight.task.cancelled():
                raise asyncio.CancelledError()
            return self.hand_out(await asyncio.shield(flight.task))
        error = flight.error
        assert error is not None, "the leader was present when it ended"
        try:
            raise error
        finally:
            error = None
            self._forget_error(flight)

    def _launch(self, flight: TaskFlight, args: tuple[Any, ...], kwargs: dict[str, Any], inside: Work | None) -> None:
        """Begin the work of *flight* in a task, in the context of its first caller."""
        loop = flight.loop
        before = _inside.get()
        work = None
        self.counters.started += 1
        if flight.refresh or flight.background:
            self.counters.refreshes += 1
        try:
            flight.work.within = still_running(inside)
            try:
                _inside.set(flight.work)
                work = self._work(flight, args, kwargs)
                task = loop.create_task(work)
            finally:
                _inside.set(before)
            flight.task = task
            if flight.background:
                keep_quiet(task)
            if task.done():  # an eager task factory was at work
                return
            flight.when_done = lambda task: self._task_done(flight, task)
            task.add_done_callback(flight.when_done)
            if flight.state is not RUNNING:  # another thread found it too old before it had a task to cancel
                task.cancel()
            elif self.timeout_s is not None:
                self._timed[flight] = None
                self._set_alarm(flight)
        except BaseException:  # the loop is closed, or it was cut short
            if work is not None and flight.state is RUNNING:
                call_off(work, loop)
            self._disarm(flight)
            self.settle(flight, ABANDONED, count=not flight.over)
            flight.over = True
            raise

    async def _work(self, flight: TaskFlight, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the function, and end *flight* in the same step in which it ends.

        Returns what nobody asks the task for, unless the flight was given up before.
        """
        flight.led = True
        try:
            try:
                if self.tags_of is not None:
                    flight.tags = self.tags_of(*args, **kwargs)
                value = await self.call(*args, **kwargs)
                if type(value) not in PLAIN:
                    self.refuse(self.name, value)
                if self.copy is not None:
                    value = self.copy(value)
            except Exception as error:
                flight.work.over = True
                self._disarm(flight)
                given_up = flight.state is ABANDONED
                self.load_failed(flight, error)
                if not self.settle(flight, RAISED, error=error, count=True):
                    self.counters.failed += 1
                if given_up:
                    raise
                return None
            except BaseException as reason:
                flight.work.over = True
                self._disarm(flight)
                counts = not flight.over
                called_off = counts and isinstance(reason, asyncio.CancelledError) and flight.state is not TIMED_OUT
                if not self.settle(flight, ABANDONED, count=counts):
                    self.counters.cancelled += counts
                self.counters.called_off += called_off
                raise
            flight.work.over = True
            if self.timeout_s is not None:
                self._disarm(flight)
            task = flight.task
            if task is not None:  # all is told, and the loop is spared a callback
                task.remove_done_callback(flight.when_done)
                flight.when_done = None
            given_up = flight.state is ABANDONED
            self.landed(flight, value)
            return value if given_up else None
        except BaseException:
            if flight.state is RUNNING or flight.waiters:  # it was cut short as it told its end
                self.settle(flight, ABANDONED, count=not flight.over)
            raise

    def _task_done(self, flight: TaskFlight, task: asyncio.Future[None]) -> None:
        flight.when_done = None
        flight.work.over = True
        try:
            self._disarm(flight)
        finally:
            if not flight.led:  # cancelled before its first step
                counts = not flight.over
                called_off = counts and flight.state is not TIMED_OUT
                if not self.settle(flight, ABANDONED, count=counts):
                    self.counters.cancelled += counts
                self.counters.called_off += called_off
        try:
            task.exception()  # its callers have it; the loop need not report it
        except asyncio.CancelledError:  # the task lets go of it now, and so of the flight in its traceback's frames
            pass

    def _set_timer(self, flight: TaskFlight) -> None:
        """Have *flight* expire at its deadline in real time.

        Asked for after its first step, which is the last of most.  What is asked of the loop and of a clock holds
        neither the flight nor the function, let alone a caller's context.
        """
        assert self.timeout_s is not None
        left = flight.started + self.timeout_s - self.clock.read()
        flight.timer = call_in(flight.loop, max(0.0, left), _expire, weakref.ref(self), weakref.ref(flight))

    def _disarm(self, flight: TaskFlight) -> None:
        """Have *flight* expire no more; called in the thread of its loop."""
        self._timed.pop(flight, None)
        timer, flight.timer = flight.timer, None
        if timer is not None:
            timer.cancel()
        alarm, flight.alarm = flight.alarm, None
        if alarm is not None:
            alarm()

    def cleanup(self) -> int:
        for flight in list(self._timed):  # list() is one step: the threads of other loops add theirs meanwhile
            if flight.loop.is_closed():
                self._timed.pop(flight, None)
        return super().cleanup()

    def follow(self, read: Callable[[], float]) -> None:
        super().follow(read)
        for flight in list(self._timed):
            if flight.alarm is not None:
                flight.alarm()
            self._set_alarm(flight)

    def _set_alarm(self, flight: TaskFlight) -> None:
        """Have a clock that is advanced by hand expire *flight*, too."""
        assert self.timeout_s is not None
        if not is_advanced_by_hand(self.clock.read):
            flight.alarm = None
            return
        expire = functools.partial(_expire, weakref.ref(self), weakref.ref(flight))
        flight.alarm = call_when(self.clock.read, flight.started + self.timeout_s, expire)

    async def _attend(self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, led: bool, inherited: bool) -> bool:
        """Wait, as a coroutine, until *flight* is no longer running; False: it had ended already."""
        waiter = None
        present = led or inherited
        try:
            if led and flight.state is RUNNING:
                await self._first_step()
            if flight.state is not RUNNING:
                return inherited
            future = loop.create_future()
            waiter = (loop, future)
            with self.lock:
                if flight.state is not RUNNING:
                    return inherited
                add_waiter(flight, waiter)
                if not present:
                    flight.present += 1
                    flight.joined += 1
                    present = True
            if led and self.timeout_s is not None:
                self._set_timer(flight)
            if flight.loop is loop:
                await future
            else:
                await self._attend_elsewhere(flight, loop, future)
        except BaseException as reason:
            if not present:
                raise
            last = self._leave(flight, waiter, led)
            if last and flight.task is not None:
                await self._cancel_work(flight, loop, may_wait=isinstance(reason, asyncio.CancelledError))
            raise
        if led:
            self._disarm(flight)  # work that goes on though it was given up has no deadline any more
        return True

    async def _first_step(self) -> None:
        """Let the work take its first step, which is the last of work that waits for nothing."""
        try:
            await one_step()
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await one_step()  # those who call in that step have joined before this caller leaves
            raise

    async def _attend_elsewhere(
        self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]
    ) -> None:
        """Wait for a flight of another loop, which may die without a word."""
        while not future.done():
            await until(future, loop.create_future(), loop, LOOK_S)
            if not future.done() and self._is_dead(flight, loop):
                self._abandon_dead(flight)

    def _leave(self, flight: TaskFlight, waiter: object, led: bool) -> bool:
        """Take a cancelled waiter out; whether it was the last, so that the flight was abandoned."""
        with self.lock:
            if led:
                flight.present -= 1
                flight.work.left = True
            else:
                self._withdraw(flight)
            if flight.state is not RUNNING:
                return False  # whoever ended it walks through those whom it wakes: leave them as they are
            remove_waiter(flight, waiter)
            if flight.present > 0:
                return False
            flight.was_current = self._take_out(flight)
            flight.heir = None
            flight.state = ABANDONED
            return True

    async def _cancel_work(self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, may_wait: bool) -> None:
        task, home = flight.task, flight.loop
        assert task is not None
        if home is not loop:
            call_elsewhere(home, task.cancel)
            return
        if loop.is_closed():
            lay_to_rest(task)
        else:
            task.cancel()
            if may_wait:
                await asyncio.wait((task,))


def _expire(flights: weakref.ref[TaskFlights], flight: weakref.ref[TaskFlight]) -> None:
    """Detach a flight whose deadline has come, if it is still there."""
    table, late = flights(), flight()
    if table is not None and late is not None:
        table.expire(late)

"""Single flight for coroutines whose work runs in its leader's own task: ``work="caller"``.

The leader awaits the function where it was called, so that its context, its cancel scopes, whatever belongs to its task
and its cancellation are the work's.  Those who join wait as they do for work in a task of its own.

- Whatever ends the leader's work without a result or an ``Exception`` (it is cancelled, closed, interrupted) stays with
  it, and one of those who wait takes over: in its own task, with its own arguments.
- A leader past its deadline gets ``InflightTimeout`` as by ``asyncio.timeout()``: its task is cancelled, and that is
  taken back where the work ends by it.  Work that returns all the same has returned, for its own caller.
- Once its work has ended, the leader waits for nothing of ours: when it is cancelled, it goes on at once.
- The context that the work runs in is marked with it (``current_work``).  The mark is taken back where it is found: a
  coroutine that is collected ends in anybody's context.  Where C led, it may stay: work that has ended marks nothing.
"""

from __future__ import annotations

import asyncio
import functools
from asyncio import _get_running_loop, current_task
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from typing import Any

from memo._base import call_elsewhere, need_depth
from memo._call import PLAIN_KEYS, stored_key
from memo._flight.circles import depend, no_longer_depend, still_running
from memo._flight.flight import (
    ABANDONED,
    ANY_TIME,
    CALL,
    LATE_CALL,
    RAISED,
    RETURNED,
    RUNNING,
    TIMED_OUT,
    InFlight,
    Purpose,
    TaskFlight,
    Work,
    task_flight,
)
from memo._flight.flights import Flights
from memo._flight.role import Role
from memo._flight.task_work import current_work
from memo._flight.tasks import TaskFlights, own_loop
from memo._flight.upstream import Upstream
from memo._flight.waiters import remove_waiter, running_loop

__all__ = ("CallerFlights", "come_out")


_NO_LOOP: Any = None


class CallerFlights(TaskFlights):
    """The running calls of a coroutine function whose leaders run it in their own tasks.

    A call that finds nobody running goes ``born``, ``enter``, the function, ``finish`` or ``failed``, inline in a
    generated wrapper; ``run`` answers any call.
    """

    def names(self) -> dict[str, Any]:
        """What those words in templates mean that are the function's own."""
        return {
            "born": functools.partial(task_flight, None, _NO_LOOP, self.clock, CALL),
            "come_out": come_out,
            "enter": self.enter,
            "failed": self.failed,
            "finish": self.finish,
            "land": self.land,
            "lead_watched": self.lead_watched,
            "rescue": self.rescue,
            "run": self.run,
        }

    # -- leading, inline

    def enter(self, mine: TaskFlight, key: Hashable) -> bool:
        """Lead the flight of *key* as *mine*, newly born, if nothing speaks against it.

        Returns:
            True: the caller leads: it runs the function, ends the work (``over``), and then calls ``finish`` or
            ``failed``.  False: ``mine.value`` is the answer, if *mine* has RETURNED; else ``run`` answers the call.
        """
        loop = _get_running_loop()
        if loop is None:
            return False
        if type(key) not in PLAIN_KEYS:
            try:
                key = stored_key(key, self.table.known)
            except TypeError:
                return False  # run() says why
        need_depth()  # from here on its end must find room
        mine.present = 0
        mine.key = key
        mine.loop = loop
        if not self.table.share:
            self._by_key[key] = mine
        elif self._by_key.setdefault(key, mine) is not mine:
            return False
        if key in self._kept.index and self.keeper.look_again(mine):
            self.table.settle(mine, RETURNED, mine.value)  # for those who joined meanwhile
            return False
        inside = current_work.get()
        if inside is not None:
            _go_within(mine, inside)
        mine.task = current_task(loop)
        if self.timeout_s is not None:
            self._time(mine)
        current_work.set(mine.work)
        mine.led = True
        self._counters.led += 1
        return True

    def finish(self, mine: TaskFlight, value: Any) -> Any:
        """End the flight that the caller led; returns what it is to get of *value*."""
        if self.timeout_s is not None:
            self._ends_late(mine, None)
        keeper = self.keeper
        value = keeper.accept(value)
        keeper.landed(mine, value)
        return keeper.hand_out(value)

    def failed(self, mine: TaskFlight, error: BaseException) -> None:
        """End a flight that its leader's work raised *error* from; nothing if it never led or has ended.

        Raises:
            InflightTimeout: The work was cancelled because it was too old, and ended by that.
        """
        come_out(mine)
        if not mine.led:
            self.table.settle(mine, ABANDONED)
            return
        late = self.timeout_s is not None and self._ends_late(mine, error)
        mine.task = None  # which will hold the error, and that this flight, in the frames of its traceback
        if mine.state is RUNNING or mine.state is TIMED_OUT:
            if isinstance(error, Exception):
                self._fail(mine, error)
            else:
                called_off = isinstance(error, asyncio.CancelledError) and mine.state is not TIMED_OUT
                ended = self.table.settle(mine, ABANDONED, count=True)
                self._counters.cancelled += not ended and mine.state is TIMED_OUT
                self._counters.called_off += called_off
        if late:
            raise self.timed_out(mine.key) from error

    def _fail(self, mine: TaskFlight, error: Exception) -> None:
        ended = True
        try:
            self.keeper.failed(mine, error)
        finally:
            ended = self.table.settle(mine, RAISED, error=error, count=True)
        self._counters.failed += not ended and mine.state is TIMED_OUT

    def rescue(self, mine: TaskFlight) -> None:
        """End a flight whose end was cut short as it was told."""
        if mine.state is RUNNING or mine.waiters:
            self.table.settle(mine, ABANDONED, count=mine.led)

    # -- any call

    async def run(
        self,
        key: Hashable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        purpose: Purpose = CALL,
        role: Role | None = None,
    ) -> Any:
        """Answer one call of a coroutine function, in the present task or by the flight that runs.

        The steps are those of work in a task of its own, up to who leads.  They stand here again, since what is to be
        tidied up when one is struck differs, and each must be known in the frame that it strikes.
        """
        loop = _get_running_loop() or own_loop(self.name)
        inside = current_work.get()
        key = key if type(key) in PLAIN_KEYS else self.hashed(key)
        current: Any = self._by_key.get(key)
        if current is not None and not self._is_joinable(current, loop, purpose):
            current = None
        mine: TaskFlight | None = None
        lost: Any = None
        inherited = joined = False
        try:
            while True:
                if lost is not None:
                    mine = self._new(key, loop, purpose)
                    if purpose is not CALL:
                        mine.after = ANY_TIME if role is None else role.after
                    current = self.table.succeed(lost, mine, joined)
                    inherited = joined and current is not mine
                elif current is None:
                    need_depth()
                    mine = self._new(key, loop, purpose)
                    if purpose is not CALL:
                        mine.after = ANY_TIME if role is None else role.after
                    current = self._join_or_lead(mine, loop)
                    if current is mine and mine.state is RETURNED:
                        return mine.value  # a second look found it
                    inherited = False
                if inside is not None and current is not mine and not depend(inside, current):
                    if inherited:
                        with self._lock:
                            self.table.withdraw(current)
                    current = mine = self._new(key, loop, purpose)  # runs straight through, outside the table
                if mine is not None and current is mine:
                    return await self._lead(mine, role, args, kwargs)
                try:
                    if role is not None:
                        role.awaits = current
                    joined = await self._attend(current, loop, False, inherited)
                finally:
                    if role is not None:
                        role.awaits = None
                    if inside is not None:
                        no_longer_depend(inside, current)
                if joined and current.state is not ABANDONED:
                    if role is not None and self._is_too_old(current, purpose, role.after):
                        self._taken(current)
                        lost = current = None
                        continue
                    return self._share(current, purpose, role)
                lost = current if current.state is ABANDONED else None  # else it had ended before this could join it
                current = None
        except BaseException:
            if mine is not None and mine.state is RUNNING and not mine.led:
                self.table.settle(mine, ABANDONED)  # struck before it could lead
            raise

    def _new(self, key: Hashable, loop: asyncio.AbstractEventLoop, purpose: Purpose) -> TaskFlight:
        mine = task_flight(key, loop, self.clock, purpose)
        mine.present = 0  # its leader does not wait
        return mine

    async def _lead(self, mine: TaskFlight, role: Role | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the function as the leader of *mine*, which is in its place."""
        work = mine.work
        try:
            inside = current_work.get()
            if inside is not None:
                _go_within(mine, inside)
            mine.task = current_task(mine.loop)
            if self.timeout_s is not None:
                self._time(mine)
            current_work.set(work)
            if role is not None:
                role.led = True
            # beside saying that it leads, with no call in between: see Counters
            mine.led = True
            if mine.purpose is CALL:
                self._counters.led += 1
            elif mine.purpose is LATE_CALL:
                self._counters.led_late += 1
            else:
                self._counters.refreshes += 1
            if self._tags_of is not None:
                mine.tags = self._tags_of(*args, **kwargs)
            if self._upstream is not None:
                return await self._lead_through(self._upstream, mine, args, kwargs, role)
            if self.watch is not None:
                return await self.watch.lead_awaited(mine, self.call, self.land, args, kwargs)
            return self.land(mine, await self.call(*args, **kwargs))
        except BaseException as error:
            try:
                mine.over = work.over = True
                self.failed(mine, error)
            except BaseException:
                self.rescue(mine)
                raise
            raise

    def lead_watched(
        self, mine: TaskFlight, land: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """Run the function as the leader of *mine*, which has entered, and end its work with *land*."""
        if self._upstream is not None:
            return self._lead_through(self._upstream, mine, args, kwargs, None)
        watch = self.watch
        if watch is None:  # nobody watches any more, or nobody yet
            return self._lead_unwatched(mine, land, args, kwargs)
        return watch.lead_awaited(mine, self.call, land, args, kwargs)

    async def _lead_unwatched(
        self, mine: TaskFlight, land: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return land(mine, await self.call(*args, **kwargs))

    async def _lead_through(
        self, upstream: Upstream, mine: TaskFlight, args: tuple[Any, ...], kwargs: dict[str, Any], role: Role | None
    ) -> Any:
        """Look upstream, run the function if need be, and end work and flight; returns what its leader is to get."""
        run = functools.partial(self._work.execute, mine, self.call, args, kwargs)
        value = await upstream.lead_awaited(mine, run, self.keeper.accept, role)
        return self.land(mine, value, self._finish_accepted)

    def _finish_accepted(self, mine: TaskFlight, value: Any) -> Any:
        """End a flight as ``finish()`` does, whose result has been accepted."""
        if self.timeout_s is not None:
            self._ends_late(mine, None)
        self.keeper.landed(mine, value)
        return self.keeper.hand_out(value)

    def land(self, mine: TaskFlight, value: Any, finish: Callable[[Any, Any], Any] | None = None) -> Any:
        """End the work, which returned *value*, and the flight; returns what the leader is to get.

        Args:
            mine: The flight.
            value: What its work returned.
            finish: What does the same as ``finish()`` for this function, in less time.
        """
        mine.work.over = True
        come_out(mine)
        return (finish or self.finish)(mine, value)

    # -- too old, dead

    def _time(self, mine: TaskFlight) -> None:
        """Have *mine*, which begins, expire at its deadline."""
        if mine.task is not None:
            mine.cancelling = mine.task.cancelling()
        self._deadlines.watch(mine)
        self._deadlines.set_timer(mine)

    def _stop(self, flight: TaskFlight) -> None:
        loop = flight.loop
        if running_loop() is not loop:
            call_elsewhere(loop, _strike, flight)
        elif current_task(loop) is flight.task:
            loop.call_soon(_strike, flight, context=Context())  # should the work end without another wait, it has ended
        else:
            _strike(flight)

    def _ends_late(self, mine: TaskFlight, error: BaseException | None) -> bool:
        """Whether the work of *mine*, which raised *error*, ends by being too old; takes its deadline back."""
        self._deadlines.disarm(mine)
        if not mine.struck or mine.task is None:
            return False
        mine.struck = False
        return mine.task.uncancel() <= mine.cancelling and isinstance(error, asyncio.CancelledError)

    def abandon(self, flight: InFlight) -> bool:
        return Flights.abandon(self, flight)  # its task is nothing of ours

    def _leave(self, flight: TaskFlight, waiter: object, led: bool) -> bool:
        """Take a cancelled waiter out, which never ends the work: its leader is not among those who wait."""
        with self._lock:
            self.table.withdraw(flight)
            if flight.state is RUNNING:
                remove_waiter(flight, waiter)
        return False


def _go_within(mine: TaskFlight, inside: Work) -> None:
    """Note that the leader of *mine*, which is new, is in the work *inside*, and that waits for *mine*."""
    mine.work.within = still_running(inside)
    mine.inside = inside  # first: to take back what was not done yet does no harm
    depend(inside, mine)


def come_out(mine: TaskFlight) -> None:
    """Have the leader of *mine*, whose work is over, be again in what it was in before; once more does no harm."""
    inside, mine.inside = mine.inside, None
    if current_work.get() is mine.work:
        current_work.set(inside)
    if inside is not None:
        no_longer_depend(inside, mine)


def _strike(flight: TaskFlight) -> None:
    """Cancel the leader of *flight*, which is too old, if its work has not ended; called in the thread of its loop."""
    if flight.task is not None and not flight.work.over:
        flight.struck = True
        flight.task.cancel()

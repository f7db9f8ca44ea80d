"""Single flight for coroutines: the work runs in a task of its own, and all callers wait, the first too.

So a cancelled caller leaves alone; when the last one leaves, the task is cancelled and awaited, or goes on for a while
(see ``keep``).  Callers may belong to several event loops in several threads.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import Weakly, caller_lives, need_depth, thread_ident, until
from memo._call import PLAIN_KEYS
from memo._flight.circles import depend, no_longer_depend
from memo._flight.deadlines import Deadlines
from memo._flight.flight import (
    ABANDONED,
    ANY_TIME,
    CALL,
    REFRESH,
    RETURNED,
    RUNNING,
    TIMED_OUT,
    InFlight,
    Purpose,
    TaskFlight,
    Work,
    look_in,
    task_flight,
)
from memo._flight.flights import Flights
from memo._flight.keep import Keep, cancel_task
from memo._flight.keeper import Keeper
from memo._flight.lost_work import lay_to_rest
from memo._flight.role import Role
from memo._flight.table import FlightTable
from memo._flight.task_work import TaskWork, cancel_work, current_work, first_step, take_bound
from memo._flight.waiters import remove_waiter
from memo._flight.watch import Watch

__all__ = ("TaskFlights", "own_loop")


def own_loop(name: str) -> asyncio.AbstractEventLoop:
    """The loop of asyncio that the present coroutine runs in.

    Raises:
        RuntimeError: It runs in none: under trio or curio, or by hand.
    """
    loop = _get_running_loop()
    if loop is None:
        raise RuntimeError(
            f"{name}(): no running event loop of asyncio, which a decorated coroutine function needs; await it "
            f"under asyncio (trio and curio will not do), or decorate a plain function and call that in a thread."
        )
    return loop


class TaskFlights(Flights):
    """The running calls of a coroutine function: ``run`` answers one.

    Args:
        keep_s: Seconds for which work goes on that its last caller has left; None: it is cancelled at once.
    """

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        table: FlightTable,
        keeper: Keeper,
        timeout_s: float | None,
        explain: Callable[[Hashable], TypeError | None],
        tags_of: Callable[..., tuple[str, ...] | None] | None,
        keep_s: float | None = None,
    ) -> None:
        super().__init__(name, call, table, keeper, timeout_s, explain, tags_of)
        self._deadlines = Deadlines(table.clock, timeout_s, Weakly(self.expire))
        self._work = TaskWork(name, table, keeper, self._deadlines, timeout_s is not None, tags_of)
        self._keep = None if keep_s is None else Keep(table, keep_s)

    def be_watched(self, watch: Watch | None) -> None:
        super().be_watched(watch)
        self._work.be_watched(watch)

    def names(self) -> dict[str, Any]:
        """What those words in templates mean that are the function's own."""
        return {"run": self.run}

    async def run(
        self,
        key: Hashable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        purpose: Purpose = CALL,
        role: Role | None = None,
    ) -> Any:
        """Answer one call of a coroutine function, by a flight of its own or by the one that runs.

        The work runs in a task of its own, so that whoever is cancelled leaves alone; when the
        last one leaves, the task is cancelled and awaited.
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
                    mine = task_flight(key, loop, self.clock, purpose)
                    if purpose is not CALL:
                        mine.after = ANY_TIME if role is None else role.after
                    current = self.table.succeed(lost, mine, joined)
                    inherited = joined and current is not mine
                elif current is None:
                    need_depth()  # half-way through a launch nobody could tidy up
                    mine = task_flight(key, loop, self.clock, purpose)
                    if purpose is not CALL:
                        mine.after = ANY_TIME if role is None else role.after
                    current = self._join_or_lead(mine, loop)
                    if current is mine and mine.state is RETURNED:
                        return mine.value  # a second look found it
                    inherited = False
                if inside is not None and not depend(inside, current):
                    mine = task_flight(key, loop, self.clock, purpose)
                    current = self._apart(mine, inside, current if inherited else None)
                led = current is mine
                try:
                    if led:
                        self._work.launch(current, role, self.call, args, kwargs, inside)
                    elif role is not None:
                        role.awaits = current
                    joined = await self._attend(current, loop, led, inherited)
                finally:
                    if role is not None:
                        role.awaits = None
                    if inside is not None:
                        no_longer_depend(inside, current)
                if led:
                    try:
                        return self._taken(current) if current.state is RETURNED else await self._own_end(current)
                    finally:
                        if current.bound is not None:
                            take_bound(current)
                if joined and current.state is not ABANDONED:
                    if role is not None and self._is_too_old(current, purpose, role.after):
                        self._taken(current)
                        lost = current = None
                        continue
                    if current.state is RETURNED and purpose is CALL and role is None:  # as _share() does
                        self._counters.joins += 1
                        if self.watch is not None:
                            self.watch.joined(current)
                        return self._taken(current)
                    return self._share(current, purpose, role)
                lost = current if current.state is ABANDONED else None  # else it had ended before this could join it
                current = None
        except BaseException as reason:
            if mine is not None and mine.task is not None:
                self._leave_work(mine)
                if mine.bound is not None and isinstance(reason, asyncio.CancelledError):
                    take_bound(mine)
            elif mine is not None:
                # no call here: at the recursion limit it would fail, and leave the flight in the table
                mine.was_current = False
                mine.heir = None
                mine.state = ABANDONED
                try:
                    del mine.current
                    if key in self._by_key and self._by_key[key] is mine:
                        del self._by_key[key]
                except AttributeError:  # somebody else took it out
                    pass
            raise

    def _is_joinable(self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, purpose: Purpose) -> bool:
        """Whether *flight* can be joined without more ado."""
        if flight.loop is not loop or purpose is REFRESH or not self.table.share:
            return False
        timeout_s = self.timeout_s
        return timeout_s is None or self.clock.read() < flight.started + timeout_s

    def _apart(self, mine: TaskFlight, inside: Work, inherited: TaskFlight | None) -> TaskFlight:
        """Have *mine*, a recursion, run straight through, outside the table.

        Args:
            mine: A new flight.
            inside: The work that the caller is in.
            inherited: What the caller would have waited for, and counts as present of.
        """
        if inherited is not None:
            with self._lock:
                self.table.withdraw(inherited)
        depend(inside, mine)
        return mine

    def _leave_work(self, mine: TaskFlight) -> None:
        """Call off the work of *mine*, whose leader was struck between the launch and the wait; else it has left."""
        struck = not mine.work.left and mine.state is RUNNING
        if struck and self._leave(mine, None, led=True) and mine.task is not None:
            mine.task.cancel()

    def _taken(self, flight: TaskFlight) -> Any:
        """What one of those who were present gets of a flight that returned; the last lets go of the value.

        The flight itself may live on, in a handle that the loop has not run yet.
        """
        value = flight.value if self._hand_out is None else self._hand_out(flight.value)
        flight.present -= 1
        if flight.present <= 0:
            flight.value = None
        return value

    def _join_or_lead(self, mine: TaskFlight, loop: asyncio.AbstractEventLoop) -> Any:
        """The current flight of *mine*'s key once what is dead or stuck is out of the way; may be *mine*."""
        while True:
            try:
                current = self.table.take_place(mine)
            except TypeError:
                self.refuse_unhashable(mine.key)
                raise
            if current is mine:
                if mine.key in self._kept.index and mine.purpose is not REFRESH and self.keeper.look_again(mine):
                    self.table.settle(mine, RETURNED, mine.value)  # for those who joined meanwhile
                return mine
            if self.is_dead(current, loop):
                self.abandon(current)
            elif self.is_stuck(current):
                self.expire(current)
            else:
                return current

    async def _own_end(self, flight: TaskFlight) -> Any:
        """What the first caller gets of a flight that did not return, even late and if others gave it up for dead."""
        if flight.state is TIMED_OUT:
            raise self.timed_out(flight.key)
        if flight.state is ABANDONED:
            if flight.task is None or flight.task.cancelled():
                raise asyncio.CancelledError(*getattr(flight, "cancelled_with", ()))
            return self.keeper.hand_out(await asyncio.shield(flight.task))
        error = flight.error
        assert error is not None, "the leader was present when it ended"
        try:
            raise error
        finally:
            error = None
            self.table.forget_error(flight)

    def is_dead(self, flight: Any, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Whether nobody can finish *flight* any more, as seen from *loop* (None: from no loop)."""
        if flight.loop is loop:
            return False
        if flight.loop.is_closed():
            return True
        if flight.loop.is_running():
            return False
        return not caller_lives(flight.leader) or (loop is not None and flight.leader == thread_ident())

    def abandon(self, flight: InFlight) -> bool:
        was_running = super().abandon(flight)
        if was_running and isinstance(flight, TaskFlight) and flight.task is not None and flight.loop.is_closed():
            lay_to_rest(flight.task)
        return was_running

    def _stop(self, flight: TaskFlight) -> None:
        cancel_task(flight)

    def cleanup(self) -> int:
        self._deadlines.forget_closed()
        if self._keep is not None:
            self._keep.forget_closed()
        return super().cleanup()

    def follow(self, read: Callable[[], float]) -> None:
        super().follow(read)
        self._deadlines.follow()
        if self._keep is not None:
            self._keep.follow()

    # -- waiting

    async def _attend(self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, led: bool, inherited: bool) -> bool:
        """Wait, as a coroutine, until *flight* is no longer running; False: it had ended already."""
        waiter = None
        present = led or inherited
        try:
            if led and flight.state is RUNNING:
                await first_step()
            if flight.state is not RUNNING:
                return inherited
            future = loop.create_future()
            waiter = (loop, future)
            with self._lock:
                if flight.state is not RUNNING:
                    return inherited
                ahead = flight.joined
                if flight.waiters is None:  # as add_waiter() does
                    flight.waiters = {}
                flight.waiters[waiter] = None
                if not present:
                    flight.present += 1
                    flight.joined += 1
                    present = True
            if led and self.timeout_s is not None:
                self._deadlines.set_timer(flight)
            if flight.loop is loop:
                await future
            else:
                await self._attend_elsewhere(flight, loop, future, ahead)
        except BaseException as reason:
            if not present:
                raise
            last = self._leave(flight, waiter, led)
            if last and flight.task is not None:
                await cancel_work(flight, loop, reason)
            elif led and isinstance(reason, asyncio.CancelledError):
                self._time_left(flight)
            raise
        if led:
            self._deadlines.disarm(flight)  # work that goes on though it was given up has no deadline any more
        return True

    async def _attend_elsewhere(
        self, flight: TaskFlight, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None], ahead: int
    ) -> None:
        """Wait for a flight of another loop, which may die without a word; *ahead* joined before."""
        while not future.done():
            await until(future, loop.create_future(), loop, look_in(flight, ahead))
            if not future.done() and self.is_dead(flight, loop):
                self.abandon(flight)

    def _time_left(self, flight: TaskFlight) -> None:
        """See to it that *flight*, which its leader leaves, perhaps in its first step, ends at its deadline."""
        if flight.timer is None and self.timeout_s is not None and flight.state is RUNNING:
            self._deadlines.set_timer(flight)

    def _leave(self, flight: TaskFlight, waiter: object, led: bool) -> bool:
        """Take a cancelled waiter out; whether it was the last, so that the flight was abandoned."""
        with self._lock:
            if led:
                flight.present -= 1
                flight.work.left = True
            else:
                self.table.withdraw(flight)
            if flight.state is not RUNNING:
                return False  # whoever ended it walks through those whom it wakes: leave them as they are
            remove_waiter(flight, waiter)
            if flight.present > 0:
                return False
            keep = None if flight.fenced else self._keep
            if keep is None:
                return self.table.give_up(flight)
            flight.left_at = self.clock.read()
        try:
            keep.begin(flight)
        except BaseException:  # at the recursion limit, or interrupted: nobody would end it
            if self.table.give_up(flight):
                cancel_task(flight)
            raise
        return False

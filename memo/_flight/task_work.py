"""The work of a coroutine function's flights: each in a task, in the context of its first caller."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

from memo._base import PLAIN, call_elsewhere, one_step
from memo._flight.circles import still_running
from memo._flight.deadlines import Deadlines
from memo._flight.flight import ABANDONED, BACKGROUND, CALL, LATE_CALL, RAISED, RUNNING, TIMED_OUT, TaskFlight, Work
from memo._flight.keeper import Keeper
from memo._flight.lost_work import call_off, keep_quiet, lay_to_rest
from memo._flight.role import Role
from memo._flight.table import FlightTable
from memo._flight.watch import Watch, end_cut_short
from memo._native import speed

__all__ = (
    "TaskWork",
    "cancel_work",
    "cancelled_with",
    "current_work",
    "first_step",
    "message_of",
    "note_bound",
    "outside_work",
    "take_bound",
    "work_mark",
)

log = logging.getLogger("memo")

work_mark: ContextVar[Work | None] = ContextVar("memo_work", default=None)
"""What marks a context as belonging to the work of a flight."""


class _CurrentWork:
    """The work of a flight that the present context belongs to.

    Where C leads, the mark of work that has ended stays in its context, for the next load there to use again: to mark a
    context, and to take that back, takes as long as all the rest of a load.
    """

    def get(self) -> Work | None:
        """That work; None: the context belongs to none, or to one that has ended, as has whatever that was within."""
        work = work_mark.get()
        return None if work is None or (work.over and still_running(work) is None) else work

    def set(self, work: Work | None) -> None:
        """Have the context belong to *work*, or to none."""
        work_mark.set(work)


current_work: _CurrentWork | ContextVar[Work | None] = work_mark if speed is None else _CurrentWork()


def outside_work() -> None:
    """Have the present context belong to no flight's work: what it waits for, nobody waits for with it."""
    current_work.set(None)


class TaskWork:
    """Begins the work of flights of one function, and ends them as it ends.

    Args:
        name: The function's qualified name, for messages.
        table: The flights.
        keeper: Decides what becomes of results.
        deadlines: When they are too old.
        timed: They have deadlines.
        tags_of: Computes the tags of a call; None if they are fixed.
    """

    def __init__(
        self,
        name: str,
        table: FlightTable,
        keeper: Keeper,
        deadlines: Deadlines,
        timed: bool,
        tags_of: Callable[..., tuple[str, ...] | None] | None,
    ) -> None:
        self._name = name
        self._table = table
        self._keeper = keeper
        self._upstream = keeper.upstream
        self._copies = keeper.copies
        self._counters = table.counters
        self._deadlines = deadlines
        self._timed = timed
        self._tags_of = tags_of
        self._watch: Watch | None = None

    def be_watched(self, watch: Watch | None) -> None:
        """Tell *watch* of executions from now on, or (None) nobody."""
        self._watch = watch

    def launch(
        self,
        flight: TaskFlight,
        role: Role | None,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inside: Work | None,
    ) -> None:
        """Begin the work of *flight* in a task, in the context of its first caller."""
        if role is not None:
            role.led = True
        loop = flight.loop
        before = current_work.get()
        work = None
        # beside the ``try``, with no call in between: see Counters
        if flight.purpose is CALL:
            self._counters.led += 1
        elif flight.purpose is LATE_CALL:
            self._counters.led_late += 1
        else:
            self._counters.refreshes += 1
        try:
            flight.work.within = still_running(inside)
            try:
                current_work.set(flight.work)
                work = self._run(flight, call, args, kwargs, role)
                task = loop.create_task(work)
            finally:
                current_work.set(before)
            flight.task = task
            if flight.purpose is BACKGROUND:
                keep_quiet(task)
            if task.done():  # an eager task factory was at work
                return
            flight.when_done = lambda task: self._task_done(flight, task)
            task.add_done_callback(flight.when_done)
            if flight.state is not RUNNING:  # another thread found it too old before it had a task to cancel
                task.cancel()
            elif self._timed:
                self._deadlines.watch(flight)
        except BaseException:  # the loop is closed, or it was cut short
            if work is not None and flight.state is RUNNING:
                call_off(work, loop)
            self._deadlines.disarm(flight)
            self._table.settle(flight, ABANDONED, count=not flight.over)
            flight.over = True
            raise

    async def _run(
        self,
        flight: TaskFlight,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        role: Role | None,
    ) -> Any:
        """Run the function, and end *flight* in the same step in which it ends.

        Returns what nobody asks the task for, unless the flight was given up before.
        """
        before = copy_context()
        flight.led = True  # no call stands between this and what ends it
        try:
            try:
                if self._tags_of is not None:
                    flight.tags = self._tags_of(*args, **kwargs)
                watch = self._watch
                if self._upstream is not None:
                    run = functools.partial(self.execute, flight, call, args, kwargs)
                    value = await self._upstream.lead_awaited(flight, run, self._keeper.accept, role)
                elif watch is None:
                    value = await call(*args, **kwargs)
                    if type(value) not in PLAIN or self._copies:
                        value = self._keeper.accept(value)
                else:  # as Watch.lead_awaited() does, which would be a coroutine more on the way of each step
                    load = None
                    try:
                        load = watch.begin(flight)
                        value = await call(*args, **kwargs)
                        if type(value) not in PLAIN or self._copies:
                            value = self._keeper.accept(value)
                        load.end(None)
                    except BaseException as error:
                        try:
                            end_cut_short(flight, load, error)
                        except BaseException:
                            end_cut_short(flight, load, error)  # it goes on where it was cut short
                            raise
                        raise
            except Exception as error:
                flight.work.over = True
                note_bound(flight, before)
                self._deadlines.disarm(flight)
                given_up = flight.state is ABANDONED
                self._tell_unheard(flight, error)
                self._keeper.failed(flight, error)
                if not self._table.settle(flight, RAISED, error=error, count=True):
                    self._counters.failed += 1
                if given_up:
                    raise
                return None
            except BaseException as reason:
                flight.work.over = True
                if isinstance(reason, asyncio.CancelledError):  # else the context may be anybody's
                    flight.cancelled_with = reason.args
                    note_bound(flight, before)
                self._deadlines.disarm(flight)
                counts = not flight.over
                called_off = counts and isinstance(reason, asyncio.CancelledError) and flight.state is not TIMED_OUT
                if not self._table.settle(flight, ABANDONED, count=counts):
                    self._counters.cancelled += counts
                self._counters.called_off += called_off
                raise
            flight.work.over = True
            note_bound(flight, before)
            if self._timed:
                self._deadlines.disarm(flight)
            task = flight.task
            if task is not None:  # all is told, and the loop is spared a callback
                task.remove_done_callback(flight.when_done)
                flight.when_done = None
            given_up = flight.state is ABANDONED
            self._keeper.landed(flight, value)
            return value if given_up else None
        except BaseException:
            if flight.state is RUNNING or flight.waiters:  # it was cut short as it told its end
                self._table.settle(flight, ABANDONED, count=not flight.over)
            raise

    async def execute(
        self, flight: TaskFlight, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run the function, and tell who watches; what is accepted of its result."""
        if self._watch is not None:
            return await self._watch.lead_awaited(flight, call, self._accept, args, kwargs)
        return self._keeper.accept(await call(*args, **kwargs))

    def _accept(self, flight: TaskFlight, value: Any) -> Any:
        return self._keeper.accept(value)

    def _tell_unheard(self, flight: TaskFlight, error: Exception) -> None:
        """Log why work failed that went on though all who had waited had left."""
        if flight.left_at is not None and flight.present <= 0 and flight.state is RUNNING:
            log.warning("%s: work that all its callers had left has failed", self._name, exc_info=error)

    def _task_done(self, flight: TaskFlight, task: asyncio.Future[None]) -> None:
        flight.when_done = None
        flight.work.over = True
        try:
            self._deadlines.disarm(flight)
            if not flight.led:
                flight.cancelled_with = cancelled_with(task)
        finally:
            if not flight.led:  # cancelled before its first step
                counts = not flight.over
                called_off = counts and flight.state is not TIMED_OUT
                if not self._table.settle(flight, ABANDONED, count=counts):
                    self._counters.cancelled += counts
                self._counters.called_off += called_off
        try:
            task.exception()  # its callers have it; the loop need not report it
        except asyncio.CancelledError:  # the task lets go of it now, and so of the flight in its traceback's frames
            pass


# -- what the work binds


def note_bound(flight: TaskFlight, before: Context) -> None:
    """Note on *flight* what its work, which ends, has bound since its context was *before*.

    The work has a copy of its first caller's context, and that caller takes over what was bound there as it goes on.
    Two tasks may take turns in one context; but an eager one, and a loop that runs within a task, would enter it a
    second time, which breaks the loop; and a first caller that left would go on in what the work still alters.
    """
    after = copy_context()
    if len(after) > 1:  # there is one variable of ours
        bound = [(var, value) for var, value in after.items() if before.get(var, before) is not value]
        if bound:
            flight.bound = [(var, value) for var, value in bound if var is not work_mark]


def take_bound(flight: TaskFlight) -> None:
    """Bind in the present context, that of the first caller of *flight*, what its work has bound."""
    bound, flight.bound = flight.bound, None
    for var, value in bound or ():
        var.set(value)


# -- waiting


async def first_step() -> None:
    """Let the work take its first step, which is the last of work that waits for nothing."""
    try:
        await one_step()
    except asyncio.CancelledError:
        with contextlib.suppress(asyncio.CancelledError):
            await one_step()  # those who call in that step have joined before this caller leaves
        raise


def cancelled_with(task: asyncio.Future[Any]) -> tuple[Any, ...]:
    """The arguments of the ``CancelledError`` that *task*, which is done, ended by; asked a second time, a message at
    most: tasks hand out the error itself once."""
    try:
        task.exception()
    except asyncio.CancelledError as error:
        return error.args
    return ()


def message_of(reason: BaseException) -> tuple[Any, ...]:
    """What the work is cancelled with whose last caller leaves by *reason*: its message, if it is cancelled, as one who
    awaits a task hands it on."""
    return reason.args[:1] if isinstance(reason, asyncio.CancelledError) else ()


async def cancel_work(flight: TaskFlight, loop: asyncio.AbstractEventLoop, reason: BaseException) -> None:
    """End the work of *flight*, whose last caller left by *reason*, and wait for its end where that may be."""
    task, home = flight.task, flight.loop
    assert task is not None
    if home is not loop:
        call_elsewhere(home, task.cancel, *message_of(reason))
        return
    if loop.is_closed():
        lay_to_rest(task)
    else:
        task.cancel(*message_of(reason))
        if isinstance(reason, asyncio.CancelledError):
            await asyncio.wait((task,))

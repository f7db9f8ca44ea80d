"""Collects the keys that single loads ask for, and asks the function for all of them at once, as a data loader does.

A *batch* belongs to one event loop and to one set of the other arguments.  It is sent, which means that the function is
called, when its time has come, when it has as many keys as it may, or (of a call with many keys) as soon as all its
loads have asked, which they do in one step of the loop.  Each load runs in the task of its flight and waits for its own
key.

- The function runs in a task of the batch, in the context of whoever began it.
- A load that is left by all who wait for it before the batch is sent takes its key with it.  After that it goes on as
  long as anybody waits for another one of the batch: newcomers join it, and what the function returns for its key is
  stored.  When nobody is left who waits for any, the function is cancelled, and all of them end.
- The time that a batch waits is real; a clock that is advanced by hand ends it as well.
- What the function raises is the error of each load; the first gets it itself, the others a copy.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import weakref
from collections.abc import Callable, Coroutine, Hashable, Mapping
from typing import Any

from memo._base import Clock, Stage, Timer, call_elsewhere, call_in, call_when, renew, shared_copy
from memo._flight import (
    CALL,
    RUNNING,
    GatheredLoads,
    TaskFlight,
    Work,
    cancelled_with,
    current_work,
    depend,
    message_of,
    no_longer_depend,
    note_bound,
    outer_load,
    own_loop,
    take_bound,
    task_flight,
)
from memo._many.asked import ManyFunction, absent_key
from memo.errors import AbsentKey

__all__ = ("Gatherer",)

_ABSENT: Any = object()


class Gatherer:
    """Gathers the loads of one function.

    Args:
        function: The function of many keys.
        clock: The function's.
        gather_s: Seconds for which a batch waits for more loads; None: it waits for none.
        most: The most keys of a batch; None: any number.
    """

    def __init__(self, function: ManyFunction, clock: Clock, gather_s: float | None, most: int | None) -> None:
        self._function = function
        self._clock = clock
        self._gather_s = gather_s
        self._most = most
        self._pending: dict[Hashable, _Batch] = {}
        """Batches that are not sent yet, each used in the thread of its loop alone."""
        renew(Stage.FLIGHTS, self)

    async def load(self, *args: Any, **kwargs: Any) -> Any:
        """Load one key, with others that are asked for a little later."""
        return await self._load(None, args, kwargs, now=False)

    def of_one_call(self) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Loads one of the keys of a call with many, with those that begin in the same step of the loop.

        Where calls are gathered, with those of others, too, and with those that wait already; else with the other keys
        of that call alone, since it is the caller's context that the function runs in.
        """
        return functools.partial(self._load_now, object() if self._gather_s is None else None)

    async def _load_now(self, call: object, /, *args: Any, **kwargs: Any) -> Any:
        return await self._load(call, args, kwargs, now=True)

    async def _load(self, call: object, args: tuple[Any, ...], kwargs: dict[str, Any], *, now: bool) -> Any:
        loop = own_loop(self._function.name)
        place = (loop, call, self._function.group(args, kwargs))
        batch = self._pending.get(place)
        if batch is None or batch.is_closed:
            batch = self._begin(place, loop, args, kwargs)
        return await batch.answer(args[self._function.at], self._most, now=now)

    def _begin(
        self, place: Hashable, loop: asyncio.AbstractEventLoop, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Batch:
        for one, lost in list(self._pending.items()):  # list() is one step: the threads of other loops add theirs
            if lost.loop.is_closed():
                self._pending.pop(one, None)
        batch = _Batch(self._function, loop, args, kwargs, self._clock, functools.partial(self._forget, place))
        if self._gather_s is not None:
            batch.send_in(self._gather_s)
        self._pending[place] = batch  # last: with nobody to send it, it would wait for ever
        return batch

    def _forget(self, place: Hashable, batch: _Batch) -> None:
        """Let nobody ask for more with *batch*; again does no harm."""
        if self._pending.get(place) is batch:
            self._pending.pop(place, None)

    def renew(self) -> None:
        """Forget all: a forked child has none of the loops."""
        self._pending.clear()


class _Batch:
    """Keys that are to be asked for together.

    Args:
        function: The function of many keys.
        loop: Where it is called.
        args: The arguments of one of the single calls.
        kwargs: Likewise.
        clock: The function's.
        forget: Lets nobody ask for more with this one.
    """

    __slots__ = (
        "__weakref__", "_alarm", "_args", "_clock", "_context", "_forget", "_function", "_kwargs", "_left", "_loads",
        "_node", "_soon", "_task", "_timer", "_waiting", "_wanted", "_works", "is_closed", "loop",
    )  # fmt: skip

    def __init__(
        self,
        function: ManyFunction,
        loop: asyncio.AbstractEventLoop,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        clock: Clock,
        forget: Callable[[_Batch], object],
    ) -> None:
        self.loop = loop
        self.is_closed = False
        """It is sent, or nobody waits for it any more."""
        self._waiting: dict[Any, list[asyncio.Future[Any]]] = {}
        """Those who wait, by key."""
        self._loads: list[Any] = []
        """Of those who wait, what their flights tell to who watches."""
        self._works: dict[object, None] = {}
        """The works of the loads that wait."""
        self._left: dict[object, TaskFlight] = {}
        """Their flights that nobody waited for at some time since the batch was sent, by work."""
        self._wanted: TaskFlight | None = None
        """One of these that was joined since."""
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._clock = clock
        self._forget = forget
        self._context: contextvars.Context = contextvars.copy_context()
        self._node: TaskFlight = task_flight(None, loop, clock, CALL)
        """Stands for its work in the graph of who waits for what; holds what that binds, for the first who is told."""
        self._soon = False
        self._task: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._alarm: Callable[[], object] | None = None

    # -- until it is sent

    def send_in(self, seconds: float) -> None:
        """Have it sent in so many seconds."""
        send = functools.partial(_send, weakref.ref(self))
        self._timer = call_in(self.loop, seconds, send)
        self._alarm = call_when(
            self._clock.read, self._clock.read() + seconds, functools.partial(call_elsewhere, self.loop, send)
        )

    def _send_soon(self) -> None:
        """Have it sent once all that is due in the loop has run."""
        if not self._soon:
            self._soon = True
            send = functools.partial(_send, weakref.ref(self))
            for _ in range(2):  # should the first be cut short
                self.loop.call_soon(send, context=contextvars.Context())

    def send(self) -> None:
        """Call the function, unless that has happened."""
        if self.is_closed:
            return
        self._close()
        if self._waiting:
            self._task = self._context.run(self.loop.create_task, self._run())
            self._task.add_done_callback(self._done, context=contextvars.Context())

    def _close(self) -> None:
        """Let nobody ask for more, and ring no more; cut short, it can be done again."""
        self.is_closed = True
        self._forget(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._alarm is not None:
            self._alarm()

    # -- waiting

    async def answer(self, key: Any, most: int | None, *, now: bool) -> Any:
        """What the function returns for *key*.

        Args:
            key: What to ask for.
            most: The number of keys with which it is sent at once; None: none.
            now: It is sent as soon as all who ask in this step have done so.

        Raises:
            AbsentKey: Nothing.
            Exception: What it raises.
        """
        future: asyncio.Future[Any] = self.loop.create_future()
        work = current_work.get()
        load, joins = None, False
        try:
            self._waiting.setdefault(key, []).append(future)
            self._works[future if work is None else work] = None
            if work is not None:
                work.company = self
            if (load := outer_load()) is not None:
                self._loads.append(load)
                joins = not now and load is not self._loads[0]
            if work is not None:
                depend(work, self._node)
            if most is not None and len(self._waiting) >= most:
                _send(weakref.ref(self))
            elif now:
                self._send_soon()
            outcome = await future
        except BaseException as reason:
            self._part(future, work)
            task = self._leave(key, future)
            if task is not None:
                task.cancel(*message_of(reason))
                if isinstance(reason, asyncio.CancelledError):
                    await asyncio.wait((task,))
            raise
        finally:
            self._part(future, work)
            if work is not None:
                no_longer_depend(work, self._node)
        take_bound(self._node)
        if load is not None and joins:  # in the batch that another's call began
            load.tell_joined()
        if type(outcome) is _Raised:
            error = outcome.error
            try:
                raise error
            finally:
                del error, outcome  # the traceback holds this frame
        if outcome is _ABSENT:
            raise absent_key(self._function.name, key)
        return outcome

    def _leave(self, key: Any, future: asyncio.Future[Any]) -> asyncio.Task[None] | None:
        """Let one go who waits for *key*; the task, if nobody is left for whom it should go on."""
        futures = self._waiting.get(key, [])
        if future in futures:
            futures.remove(future)
            if not futures:
                del self._waiting[key]
        if self._waiting and self._is_wanted():
            return None
        self._close()
        return self._task

    def _part(self, future: asyncio.Future[Any], work: Work | None) -> None:
        """Have no more to do with a load that ends; again does no harm."""
        if work is not None and getattr(work, "company", None) is self:
            del work.company
        mine: object = future if work is None else work
        self._left.pop(mine, None)
        self._works.pop(mine, None)

    # -- whose flights are left

    def keeps(self, flight: TaskFlight) -> bool:
        """Whether *flight*, which nobody waits for, goes on: the function runs, and somebody waits for another key."""
        if self._node.work.over:  # it has ended, and so do they all, each in its next step
            return True
        if self._task is None:
            return False
        self._left[flight.work] = flight
        return self._is_wanted()

    def _is_wanted(self) -> bool:
        """Whether anybody waits for any of the loads.

        Whoever leaves a thousand flights one after the other looks at all of them once, as the last one is left.
        """
        if len(self._left) < len(self._works):
            return True
        if self._wanted is None or not _is_attended(self._wanted):
            self._wanted = next(filter(_is_attended, list(self._left.values())), None)
        return self._wanted is not None

    # -- once it is sent

    async def _run(self) -> None:
        """Call the function, and tell all who wait."""
        current_work.set(self._node.work)
        gathered = GatheredLoads(self._loads) if self._loads else None
        before = contextvars.copy_context()
        try:
            try:
                result = await self._function.ask_awaited(list(self._waiting), self._args, self._kwargs)
            finally:
                if gathered is not None:
                    gathered.end()
        except Exception as error:
            self._node.work.over = True
            note_bound(self._node, before)
            self._fail(error)
        else:
            self._node.work.over = True
            note_bound(self._node, before)
            self._tell(result)

    def _tell(self, result: Mapping[Any, Any]) -> None:
        """Tell each who waits what *result* has for it."""
        for key, futures in list(self._waiting.items()):
            try:
                outcome = self._function.value_in(result, key)
            except AbsentKey:
                outcome = _ABSENT
            except Exception as error:
                self._fail(error)
                return
            for future in futures:
                if not future.done():
                    future.set_result(outcome)
            del self._waiting[key]

    def _fail(self, error: BaseException) -> None:
        """Tell all who wait still that *error* was raised."""
        traceback = error.__traceback__
        mine = error
        for futures in list(self._waiting.values()):
            for future in futures:
                if not future.done():
                    future.set_result(_Raised(mine))
                    mine = shared_copy(error, traceback)
        self._waiting.clear()
        del mine, error, traceback  # the traceback holds this frame

    def give_up(self, error: BaseException) -> None:
        """Tell of *error*; one that is nobody's failure strikes the first who waits, and others take over the rest."""
        self._close()
        if isinstance(error, Exception):
            self._fail(error)
            return
        futures = [future for futures in list(self._waiting.values()) for future in futures if not future.done()]
        if futures and not isinstance(error, asyncio.CancelledError):
            futures.pop(0).set_result(_Raised(error))
        for future in futures:
            future.cancel(*message_of(error))
        self._waiting.clear()

    def _done(self, task: asyncio.Task[None]) -> None:
        """Let go whoever waits still: the task was cut short, cancelled by others than those who wait, or never ran."""
        self._node.work.over = True
        self._task = None
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError(*cancelled_with(task))
        else:
            error = task.exception()  # which the loop need not report
        if error is not None:
            try:
                self.give_up(error)
            finally:
                del error  # the traceback holds this frame


def _is_attended(flight: TaskFlight) -> bool:
    return flight.state is RUNNING and flight.present > 0


class _Raised:
    """That the function raised, as one of those who wait is told of it."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _send(batch: weakref.ref[_Batch]) -> None:
    """Send a batch whose time has come, if it is still there."""
    waiting = batch()
    if waiting is not None:
        try:
            waiting.send()
        except BaseException as error:
            waiting.give_up(error)
            raise

"""Single flight for batches of a coroutine function: each key that nobody loads yet has a flight, and so a task, of its
own, which asks for the key together with the others (``gatherer``).

So whoever wants one of the keys joins that alone, and a caller who is cancelled leaves each of them by itself.  A batch
begins all its flights, and is present in those of others, before it waits for anything; no ``await`` stands in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from memo._base import call_elsewhere, need_depth
from memo._call import Call
from memo._flight import (
    ABANDONED,
    CALL,
    RETURNED,
    RUNNING,
    TaskFlight,
    TaskFlights,
    Work,
    current_work,
    depend,
    first_step,
    message_of,
    no_longer_depend,
    own_loop,
    take_bound,
    task_flight,
)
from memo._many.asked import Found
from memo.errors import AbsentKey

__all__ = ("TaskBatches",)

Load = Callable[..., Coroutine[Any, Any, Any]]


class _Round:
    """What a batch began and met in one round.

    Args:
        loop: The caller's.
        inside: The work that the caller is in.
    """

    __slots__ = ("begun", "depends", "inside", "loop", "met")

    def __init__(self, loop: asyncio.AbstractEventLoop, inside: Work | None) -> None:
        self.loop = loop
        self.inside = inside
        self.begun: dict[TaskFlight, None] = {}
        """The flights whose first caller this one is, and which it has not left."""
        self.met: dict[TaskFlight, None] = {}
        """Those of others in which it is present."""
        self.depends: list[TaskFlight] = []
        """Those that the work *inside* waits for with this caller."""

    def depend(self, flight: TaskFlight) -> bool:
        """Note that the caller waits for *flight*; False: that closes a circle."""
        if self.inside is None:
            return True
        if not depend(self.inside, flight):
            return False
        self.depends.append(flight)
        return True

    def close(self) -> None:
        """Wait for nothing any more."""
        while self.inside is not None and self.depends:
            no_longer_depend(self.inside, self.depends.pop())


class TaskBatches(TaskFlights):
    """The running loads of a coroutine function of many keys."""

    async def run_many(self, wanted: dict[Hashable, Call], found: Found, load: Load) -> None:
        """Answer one call with many keys.

        Args:
            wanted: The single call of each key; keys as tables hold them.
            found: Takes what comes.
            load: Loads one key, in the task of its flight, with those that begin in the same step.

        Raises:
            InflightTimeout: A flight is older than the timeout.
            Exception: What the work of a flight raised.
        """
        loop = own_loop(self.name)
        inside = current_work.get()
        while wanted:
            part = _Round(loop, inside)
            try:
                try:
                    for key in wanted:
                        self._begin(key, part, found)
                    for mine in list(part.begun):
                        self._work.launch(mine, None, load, *wanted[mine.key], inside)
                    await self._own_ends(part, found)
                    again = await self._ends_of_others(part, found)
                finally:
                    part.close()
            except BaseException as reason:
                await self._leave_all(part, reason)
                raise
            wanted = {key: call for key, call in wanted.items() if key in again}

    def _begin(self, key: Hashable, part: _Round, found: Found) -> None:
        """Begin a flight of *key*, or find its value, or join the flight that runs."""
        while True:
            current: Any = self._by_key.get(key)
            if current is None or not self._is_joinable(current, part.loop, CALL):
                need_depth()  # half-way through a launch nobody could tidy up
                mine = task_flight(key, part.loop, self.clock, CALL)
                part.begun[mine] = None
                current = self._join_or_lead(mine, part.loop)
                if current is mine:
                    if mine.state is RETURNED:  # a second look found it
                        found[key] = mine.value
                        del part.begun[mine]
                    else:
                        part.depend(mine)
                    return
                del part.begun[mine]
            if not part.depend(current):
                mine = task_flight(key, part.loop, self.clock, CALL)  # run straight through, outside the table
                part.begun[mine] = None
                part.depend(mine)
                return
            with self._lock:
                if current.state is RUNNING:
                    current.present += 1
                    current.joined += 1
                    part.met[current] = None
                    return

    async def _own_ends(self, part: _Round, found: Found) -> None:
        """Wait for the flights that this caller began, for all of them even if one fails."""
        troubles: list[Exception] = []
        if part.begun:
            await first_step()
        if self.timeout_s is not None:
            for mine in part.begun:  # for those who join: this caller waits for one after the other
                if mine.state is RUNNING:
                    self._deadlines.set_timer(mine)
        for mine in list(part.begun):
            if mine.state is RUNNING:
                if mine.timer is not None:
                    mine.timer.cancel()
                del part.begun[mine]  # which leaves by itself
                await self._attend(mine, part.loop, True, False)
            part.begun.pop(mine, None)
            if mine.bound is not None:
                take_bound(mine)
            try:
                found[mine.key] = self._taken(mine) if mine.state is RETURNED else await self._own_end(mine)
            except AbsentKey:
                found.absent.add(mine.key)
            except Exception as error:
                troubles.append(error)
        if troubles:
            try:
                raise troubles[0]
            finally:
                del troubles  # whose traceback holds this frame

    async def _ends_of_others(self, part: _Round, found: Found) -> set[Hashable]:
        """Wait for the flights that were met; the keys that are to be tried once more."""
        again: set[Hashable] = set()
        for flight in list(part.met):
            del part.met[flight]  # which this leaves by itself
            await self._attend(flight, part.loop, False, True)
            if flight.state is ABANDONED:
                with self._lock:
                    self.table.withdraw(flight)
                again.add(flight.key)
                continue
            try:
                found[flight.key] = self._share(flight, CALL, None)
            except AbsentKey:
                found.absent.add(flight.key)
        return again

    async def _leave_all(self, part: _Round, reason: BaseException) -> None:
        """Leave all flights because of *reason*, and end the work of those that nobody else waits for."""
        tasks: list[asyncio.Task[None]] = []
        for flights, led in ((part.begun, True), (part.met, False)):
            while flights:
                flight, _ = flights.popitem()
                if led and flight.task is None:  # never launched
                    self.table.settle(flight, ABANDONED)
                elif self._leave(flight, None, led) and flight.task is not None:
                    if flight.loop is part.loop:
                        flight.task.cancel(*message_of(reason))
                        tasks.append(flight.task)
                    else:
                        call_elsewhere(flight.loop, flight.task.cancel, *message_of(reason))
                elif led:
                    self._time_left(flight)  # this caller may have left before it had a timer
        if tasks and isinstance(reason, asyncio.CancelledError):
            await asyncio.wait(tasks)

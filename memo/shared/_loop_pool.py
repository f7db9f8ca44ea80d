"""Connections for one event loop: at most so many, and commands that end whether or not their callers wait for it.

Rules

- Commands stand in a queue; up to ``most`` tasks, each with a connection, work it off, and end when it is empty.  So
  nothing is left waiting in a loop that has nothing to do.
- A caller waits for a future, never for the socket.  Cancelled, or out of time, it leaves alone: the command is ended,
  its reply is read, and its connection serves the next one.  Only a reply that does not come within the timeout of its
  own, counted from when it was sent, costs the connection.
- A command that nobody waits for any more when its turn comes is not sent.
- The pool belongs to the loop, and holds it; nobody else holds the pool.  It ends with the loop: as the loop shuts down
  its asynchronous generators (``asyncio.run`` does), else as both are collected.
"""

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Context
from types import coroutine
from typing import Any

from memo._base import call_elsewhere, call_in, real
from memo.shared._breaker import Breaker
from memo.shared._connected import NO_SCRIPT, Connected, is_refused_hello
from memo.shared._dial import HELLO, Dial, check_hello, outlived
from memo.shared._libraries import abort, loop_connection_is_stale
from memo.shared._scripts import Command, T, packed
from memo.shared._unreachable import Reason, Unreachable, reason_of

__all__ = ("LoopPool",)

_TURNS = 4
"""How often the loop turns before time is up: a loop that did not turn for long has the reply, and has not read it."""


class _Asked:
    """A command, and who waits for its reply."""

    __slots__ = ("begun", "command", "era", "future", "is_killed", "is_told", "late", "task")

    def __init__(self, command: Command[Any], future: "asyncio.Future[Any]", era: int) -> None:
        self.command = command
        self.future = future  # of a reply, or of an Unreachable: as a result, so that it need not be looked at
        self.era = era
        self.begun = 0.0  # when it was sent; 0: it stands in the queue
        self.task: asyncio.Task[None] | None = None  # who sends it, until it has ended
        self.late: Callable[[], object] | None = None  # called once it has ended, since its caller has left
        self.is_killed = False  # it took too long; its task was cancelled for that
        self.is_told = False  # that it took too long


class _Place(Connected):
    """A connection that the loop waits for."""

    __slots__ = ()

    async def exchange(self, command: Command[T], era: int) -> T:
        now = (self._dial.turns, era)
        if not self.ready or self.made_in != now or loop_connection_is_stale(self.connection):
            await self._connect()
            self.made_in = now
        reply = await self._ask(command.words)
        if reply is NO_SCRIPT:
            reply = await self._ask(command.in_full())
        return command.parse(reply)

    def cut(self) -> None:
        self.ready = False
        if self.connection is not None:
            abort(self.connection)

    async def _connect(self) -> None:
        self.cut()
        if self._dial.asks:
            library = await asyncio.get_running_loop().run_in_executor(None, self._dial.library)
        else:
            library = self._dial.library()
        self.connection = library.loop_connection()
        try:
            await self.connection.connect()
        except Exception as error:
            failed = self._dial.failure(error)
            if failed is None:
                raise
            raise failed from None
        try:
            reply = await self._ask(HELLO)
        except Exception as error:
            if not is_refused_hello(error):
                self.ready = False
                raise
        else:
            self.ready = False
            check_hello(reply)
            self.ready = True

    async def _ask(self, words: tuple[bytes | int, ...]) -> Any:
        connection = self.connection
        self.ready = False
        await connection.send_packed_command([packed(words)])
        try:
            reply = await connection.read_response()
        except Exception as error:
            return self._instead(error)
        self.ready = True
        return reply


class LoopPool:
    """See the module.  For the loop's thread, but for ``connections`` and ``waited``.

    Args:
        loop: The loop.
        dial: What makes connections.
        most: How many.
        timeout_s: What one operation may take.
        breaker: Told of what comes of each.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, dial: Dial, most: int, timeout_s: float, breaker: Breaker
    ) -> None:
        self.loop = loop
        self._dial = dial
        self._most = most
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._queue: deque[_Asked] = deque()
        self._free: list[_Place] = []
        self._places: weakref.WeakSet[_Place] = weakref.WeakSet()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closer: AsyncGenerator[None, None] | None = None
        self.waited = 0
        """How many operations found no connection free."""

    def __del__(self) -> None:
        # the tier is gone, and the loop goes on
        if self.loop.is_running() and asyncio._get_running_loop() is not self.loop:
            call_elsewhere(self.loop, _cut_all, self._places)
        else:
            _cut_all(self._places)

    @property
    def connections(self) -> int:
        """How many are connected."""
        return sum(place.ready for place in list(self._places))

    async def run(self, command: Command[T], late: Callable[[], object] | None) -> T:
        """Have the server do what *command* says; see ``Wire.run_awaited()``."""
        asked = _Asked(command, self.loop.create_future(), self._breaker.era)
        self._queue.append(asked)
        if len(self._tasks) < self._most:
            self._begin_to_work()
        else:
            self.waited += 1
        timer = call_in(self.loop, self._timeout_s, _expire, asked)
        try:
            reply = await asked.future
        except asyncio.CancelledError:
            self._leave(asked, late)
            raise
        finally:
            timer.cancel()
        if isinstance(reply, Unreachable):
            if asked.task is not None:
                # at once: the loop may end before the command does.  Nothing, if it stood in the queue for most of that
                if real.monotonic() - asked.begun > self._timeout_s / 2:
                    asked.is_told = True
                    self._breaker.failed(reply, asked.era)
                self._leave(asked, late)
            # a new one: it is raised here, and what was told to the breaker stays as it was
            raise type(reply)(reply.reason, reply.word)
        return reply  # type: ignore[no-any-return]

    def cut(self) -> None:
        """End all connections; what is under way on them fails."""
        _cut_all(self._places)
        self._free.clear()

    def _leave(self, asked: _Asked, late: Callable[[], object] | None) -> None:
        """The caller does not wait any more."""
        if asked.task is None:
            if late is not None:
                late()
            return
        asked.late = late
        call_in(self.loop, max(0.0, asked.begun + self._timeout_s - real.monotonic()), _kill, asked)

    def _begin_to_work(self) -> None:
        work = self._work()
        work.send(None)
        task = self.loop.create_task(work, name="memo-shared", context=Context())
        # a loop may be closed with it, begun or not, and need not say so
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        await _pause()  # until here it is begun at once: one that is not would warn, if the loop is closed by then
        if self._closer is None:
            await self._end_with_loop()
        task = asyncio.current_task()
        while self._queue:
            asked = self._queue.popleft()
            if asked.future.done():
                continue
            place = self._free.pop() if self._free else self._place()
            asked.task, asked.begun = task, real.monotonic()
            try:
                await self._exchange(place, asked)
            finally:
                asked.task = None
                if not place.ready:
                    place.cut()
                self._free.append(place)
                if asked.late is not None:
                    asked.late()
        if task is not None:
            self._tasks.discard(task)

    async def _exchange(self, place: _Place, asked: _Asked) -> None:
        try:
            outcome: Any = await place.exchange(asked.command, asked.era)
        except asyncio.CancelledError:
            if not asked.is_killed:
                _tell(asked, Unreachable(Reason.CLOSED))
                raise
            assert asked.task is not None
            asked.task.uncancel()
            outcome = Unreachable(Reason.TIMEOUT)
        except Exception as error:
            if self.loop.is_closed():  # this coroutine dies with it: that says nothing of the server, and to nobody
                return
            outcome = reason_of(error)
            if outcome is None:
                if not asked.future.done():
                    asked.future.set_exception(error)
                return
        if isinstance(outcome, Unreachable):
            if outlived(self._dial, outcome):
                place.ready = False
            if not asked.is_told:
                self._breaker.failed(outcome, asked.era)
        else:
            self._breaker.ok(asked.era, has_room=asked.command.needs_room)
        _tell(asked, outcome)

    def _place(self) -> _Place:
        place = _Place(self._dial)
        self._places.add(place)
        return place

    async def _end_with_loop(self) -> None:
        """Have the loop cut the connections as it shuts down; nothing, where it does that no more."""
        if getattr(self.loop, "_asyncgens_shutdown_called", False):
            return
        self._closer = _closer(self._places)
        await anext(self._closer)


async def _closer(places: "weakref.WeakSet[_Place]") -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _cut_all(places)
        for _ in range(2):  # the loop closes their sockets in its next turns
            await asyncio.sleep(0)


@coroutine
def _pause() -> Generator[None, None, None]:
    """Let whoever sends it on have it back once."""
    yield


def _cut_all(places: "weakref.WeakSet[_Place]") -> None:
    for place in list(places):
        place.cut()


def _tell(asked: _Asked, outcome: Any) -> None:
    if not asked.future.done():
        asked.future.set_result(outcome)


def _expire(asked: _Asked, turns: int = _TURNS) -> None:
    """Its caller has waited long enough."""
    if asked.future.done():
        return
    if not asked.begun:
        _tell(asked, Unreachable(Reason.WAITING))
    elif turns:
        asked.future.get_loop().call_soon(_expire, asked, turns - 1, context=Context())
    else:
        _tell(asked, Unreachable(Reason.TIMEOUT))


def _kill(asked: _Asked) -> None:
    """Its reply has not come for long enough."""
    if asked.task is not None:
        asked.is_killed = True
        asked.task.cancel()

"""Where a call waits for its turn: a thread or greenlet at a gate of its own, a coroutine at a future of its loop.

A waiter is rung by whoever changes its place, in any thread, and wakes by itself when its turn is planned to come: by
real time, or when a clock that is advanced by hand gets there.  It then looks again whether it is its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from memo._base import ReadClock, bounded_gate, call_elsewhere, call_in, call_when, finish

__all__ = ("TaskTurn", "ThreadTurn", "Turn")

_LOOK_S = 1.0
"""Longest time between two looks of a thread at a clock that is advanced by hand."""
_LONGEST_S = 3600.0
_LATE_S = 1.0


class Turn:
    """One waiting call.

    Attributes:
        at: When its turn is planned to come, by the limit's clock.
        came: When it came, by the same clock.
        due: When it was first seen that its turn had come, in real time; None: not yet.
        loop: The event loop in which it waits; None: in none.
        held: There is room for it, and one that came earlier, in the same loop, is to begin first and ring it then.
        rings: Whom it is to ring, once it has looked.
    """

    __slots__ = ("__weakref__", "at", "came", "due", "held", "loop", "rings")

    def __init__(self) -> None:
        self.at: float = 0.0
        self.came: float = 0.0
        self.due: float | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.held: bool = False
        self.rings: Turn | None = None

    def ring(self) -> None:
        """Have it look again; in any thread."""
        raise NotImplementedError

    @property
    def is_lost(self) -> bool:
        """Whether it can never come."""
        return False


class ThreadTurn(Turn):
    """A call of a plain function."""

    __slots__ = ("_gate",)

    def __init__(self) -> None:
        super().__init__()
        self._gate = bounded_gate()

    def ring(self) -> None:
        self._gate.open()

    def wait(self, read: ReadClock) -> None:
        """Wait until it is planned to have its turn, or is rung."""
        alarm = call_when(read, self.at, self._gate.open)
        try:
            left = self.at - read()
            if left > 0:
                self._gate.wait(min(left, _LONGEST_S) if alarm is None else _LOOK_S)
        finally:
            if alarm is not None:
                alarm()


class TaskTurn(Turn):
    """A call of a coroutine function, in the thread of its loop."""

    __slots__ = ("_loop", "_over", "_rung")

    def __init__(self) -> None:
        super().__init__()
        self._loop = self.loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] | None = None
        self._rung = False

    def ring(self) -> None:
        self._rung = True
        over = self._over
        if over is not None:
            call_elsewhere(self._loop, finish, over)

    @property
    def is_lost(self) -> bool:
        return self._loop.is_closed()

    async def wait(self, read: ReadClock) -> None:
        """Wait until it is planned to have its turn, or is rung."""
        over = self._over = self._loop.create_future()
        cancel: list[Callable[[], object]] = []
        try:
            alarm = call_when(read, self.at, self.ring)
            if alarm is not None:
                cancel.append(alarm)
            left = self.at - read()
            if left > 0 and not self._rung:
                if alarm is None:
                    seconds = min(left, _LONGEST_S)
                    cancel.append(call_in(self._loop, seconds, finish, over).cancel)
                    # should an exception strike that one, which the loop then only logs
                    cancel.append(call_in(self._loop, seconds + _LATE_S, finish, over).cancel)
                await over
            elif self.held and not self._rung:
                cancel.append(call_in(self._loop, _LATE_S, finish, over).cancel)  # should that one not be there
                await over
        finally:
            self._over, self._rung = None, False
            for take_back in cancel:
                take_back()

"""Connections for threads: at most so many together, each used by one thread at a time, and a bound on every wait.

Rules

- Between operations a connection is ``ready`` or not.  It becomes unready before a command is sent, and ready again
  once the whole reply was read: whatever strikes in between, nobody reads another's reply.
- A connection is not kept once the server has said that it cannot be used, nor when the breaker has opened or closed
  since it was made: where the URL leads may be another server by then.
- A place is counted for as long as it lives.  One that is lost on the way, because an exception struck between two
  instructions, is collected, and makes room for another.
- The wait for a place, to connect, to send and to read end together, when the operation's time is up.
"""

import weakref
from collections import deque
from typing import Any

from memo._base import bounded_gate, real, rlock
from memo.shared._connected import NO_SCRIPT, Connected, is_refused_hello
from memo.shared._dial import HELLO, Dial, check_hello, outlived
from memo.shared._libraries import is_stale
from memo.shared._scripts import Command, T, packed
from memo.shared._unreachable import Reason, Unreachable, reason_of

__all__ = ("Place", "ThreadPool")

_LEAST = 0.25
"""What is left of its time, when an operation gets its connection, for it to begin: less would only cut that short."""


class Place(Connected):
    """A connection that a thread waits for."""

    __slots__ = ()

    def exchange(self, command: Command[T], ends: float, era: int) -> T:
        """Have the server do what *command* says, on a connection that was made in *era* of the breaker.

        Raises:
            Unreachable: It did not.
        """
        try:
            now = (self._dial.turns, era)
            if self.ready and self.made_in == now and not is_stale(self.connection):
                self.connection.ends = ends
            else:
                self.connect(ends)
                self.made_in = now
            reply = self._ask(command.words)
            if reply is NO_SCRIPT:
                reply = self._ask(command.in_full())
            return command.parse(reply)
        except Exception as error:
            known = reason_of(error)
            if known is None:
                raise
        if outlived(self._dial, known):
            self.ready = False
        raise known

    def connect(self, ends: float) -> None:
        """Connect anew, and look at who answers."""
        self.ready = False
        if self.connection is not None:
            self.connection.disconnect()
        self.connection = connection = self._dial.library().connection()
        connection.ends = ends
        try:
            connection.connect()
        except Exception as error:
            failed = self._dial.failure(error)
            if failed is None:
                raise
            raise failed from None
        self.ready = True
        try:
            reply = self._ask(HELLO)
        except Exception as error:
            if not is_refused_hello(error):
                self.ready = False
                raise
        else:
            check_hello(reply)

    def _ask(self, words: tuple[bytes | int, ...]) -> Any:
        connection = self.connection
        self.ready = False
        connection.send_packed_command([packed(words)])
        try:
            reply = connection.read_response()
        except Exception as error:
            return self._instead(error)
        self.ready = True
        return reply


class ThreadPool:
    """See the module.

    Args:
        dial: What makes the connections.
        most: How many.
        timeout_s: What one operation may take.
    """

    __slots__ = ("_dial", "_free", "_living", "_lock", "_most", "_timeout_s", "_waiting", "waited")

    def __init__(self, dial: Dial, most: int, timeout_s: float) -> None:
        self._dial = dial
        self._most = most
        self._timeout_s = timeout_s
        self._lock = rlock()
        self.waited = 0
        """How many operations found no connection free; a hint, since it is counted without a lock."""
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child: what the parent has is closed here, and goes on there."""
        self._lock = rlock()
        self._living: weakref.WeakSet[Place] = weakref.WeakSet()  # added to under _lock
        self._free: deque[Place] = deque()  # the one used last is the next, so that few are connected
        self._waiting: deque[Any] = deque()  # of gates

    def connections(self) -> int:
        """How many are connected."""
        return sum(place.ready for place in list(self._living))

    def run(self, command: Command[T], era: int) -> T:
        """Have the server do what *command* says, in this *era* of the breaker.

        Raises:
            Unreachable: It did not.
        """
        ends = real.monotonic() + self._timeout_s
        place = self._place(ends)
        try:
            return place.exchange(command, ends, era)
        finally:
            self._free.append(place)
            if self._waiting:
                self._wake()
            if not self._most:  # it was closed meanwhile
                self.close()

    def close(self) -> None:
        """Cut the connections that nobody uses just now; the others are cut as they are given back."""
        self._most = 0
        while True:
            try:
                place = self._free.pop()
            except IndexError:
                return
            place.ready = False
            if place.connection is not None:
                place.connection.disconnect()

    def _place(self, ends: float) -> Place:
        try:
            return self._free.pop()
        except IndexError:
            return self._new() or self._wait(ends)

    def _new(self) -> Place | None:
        with self._lock:
            if len(self._living) >= self._most:
                return None
            place = Place(self._dial)
            self._living.add(place)
            return place

    def _wait(self, ends: float) -> Place:
        self.waited += 1
        latest = ends - self._timeout_s * _LEAST
        gate = bounded_gate()  # in gevent's or eventlet's world another thread than the waiter's may open it
        self._waiting.append(gate)
        try:
            while True:
                try:
                    return self._free.pop()
                except IndexError:
                    place = self._new()
                if place is not None:
                    return place
                if not gate.wait(max(0.0, latest - real.monotonic())):
                    raise Unreachable(Reason.WAITING)
                # somebody else was quicker: first in line again
                self._waiting.appendleft(gate)
        finally:
            try:
                self._waiting.remove(gate)
            except ValueError:
                self._wake()  # it was woken, and may not have needed that

    def _wake(self) -> None:
        if not self._free:
            return
        try:
            self._waiting.popleft().open()
        except IndexError:
            pass

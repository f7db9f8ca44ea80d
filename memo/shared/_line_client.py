"""The one connection of the line: reads the log, and asks what is to be asked in the same order.

For one thread.  It waits for messages and for others who wake it at the same time, which is why it looks at the socket:
with a second thread, or short waits in turn, either messages or what this process says would come later.
"""

import selectors
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from memo._base import real
from memo.shared._scripts import Command
from memo.shared._unreachable import Unreachable

__all__ = ("LineClient", "Portion", "WakeUp")

T = TypeVar("T")

_AT_ONCE = 500
"""Messages that are read together, at most."""


class Portion:
    """How many messages are asked for at once: as many as come in time, however slow the way is, and however long they
    are.  It outlives connections: else who has missed more than comes in time would ask for that again and again.

    Args:
        timeout_s: How long the server may take for an answer.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.messages = _AT_ONCE

    def came(self, seconds: float) -> None:
        """An answer came, which took so long from its first byte to its last."""
        if seconds < self._timeout_s / 4:
            self.messages = min(_AT_ONCE, self.messages * 2)
        elif seconds > self._timeout_s / 2:
            self._lessen(2)

    def failed(self) -> None:
        """One did not, or not whole."""
        self._lessen(4)

    def _lessen(self, times: int) -> None:
        self.messages = max(1, self.messages // times)


class WakeUp:
    """Wakes a thread that waits for messages.  ``ring()`` takes no lock, and may be called by a finalizer."""

    def __init__(self) -> None:
        self._ringer, self.socket = socket.socketpair()
        self._ringer.setblocking(False)
        self.socket.setblocking(False)

    def ring(self) -> None:
        """Wake the thread, now or as soon as it waits."""
        try:
            self._ringer.send(b"\0")
        except OSError:  # it is full, so it rings; or it is closed, and nobody waits
            pass

    def hush(self) -> None:
        """Stop ringing; what it rang for is to be looked at after this."""
        try:
            while self.socket.recv(1024):
                pass
        except OSError:
            pass

    def wait(self, seconds: float) -> None:
        """Wait until it rings, so long at most."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        self.hush()

    def close(self) -> None:
        """Ring no more."""
        self._ringer.close()
        self.socket.close()


class LineClient:
    """A connection that was made for the line.

    What its methods raise of the connection is an ``Unreachable`` of the wire; the connection is closed then.  So it is
    where an answer makes no sense: what comes next may be the answer to something else.

    Args:
        connection: Of the client library, connected, with ``allow()``.
        reason_of: Makes of what that raises an ``Unreachable``; None: it is none of the connection's business.
        wake_up: Ends a wait for messages.
        timeout_s: How long the server may take for an answer.
        portion: Tells how many messages to ask for.
    """

    def __init__(
        self,
        connection: Any,
        reason_of: Callable[[BaseException], Unreachable | None],
        wake_up: WakeUp,
        timeout_s: float,
        portion: Portion,
    ) -> None:
        self._portion = portion
        self._asked_for = 0
        self.has_all = False
        """Whether the last ``read()`` had all that there was."""
        self._connection = connection
        self._reason_of = reason_of
        self._wake_up = wake_up
        self._timeout_s = timeout_s
        self._selector = selectors.DefaultSelector()
        self._answers_by: float | None = None
        """When the server must have answered, at the latest, if it was asked for messages and has not yet."""
        socket = connection._sock
        self._pending: Callable[[], int] | None = getattr(socket, "pending", None)
        """Bytes that TLS has read already: the socket itself does not tell of them."""
        self._selector.register(socket, selectors.EVENT_READ, data=True)
        self._selector.register(wake_up.socket, selectors.EVENT_READ, data=False)

    @property
    def is_free(self) -> bool:
        """Whether ``run()`` may be called: the server does not wait for messages."""
        return self._answers_by is None

    def run(self, command: Command[T]) -> T:
        """Ask the server.  Not while it waits for messages: see ``read()``."""
        reply = self._guarded(self._ask, command.words)
        if isinstance(reply, Exception):
            if not _is_unknown_script(reply):
                raise self._failure(reply)
            reply = self._guarded(self._ask, command.in_full())
            if isinstance(reply, Exception):
                raise self._failure(reply)
        return self._guarded(command.parse, reply)  # type: ignore[no-any-return]

    def read(
        self, log: bytes, after: bytes, *, block_s: float = 0.0, wait_s: float = 0.0
    ) -> Sequence[tuple[bytes, Sequence[Any]]] | None:
        """Messages of the log after a position, each with its own.

        Args:
            log: The name of the log.
            after: The position.
            block_s: How long the server is to wait for one; 0: not at all.
            wait_s: How long this thread may wait for the server.

        Returns:
            What there is, at most some hundreds; nothing, if there was none for so long.  None: it was woken before, or
            has waited for long enough, and the server still waits: only another ``read()`` may follow on this
            connection, which goes on with the same question.
        """
        if self._answers_by is None:
            self._asked_for = self._portion.messages
            words: tuple[bytes | int, ...] = (b"XREAD", b"COUNT", self._asked_for)
            if block_s > 0:
                words += (b"BLOCK", max(1, round(block_s * 1000)))
            self._guarded(self._send, (*words, b"STREAMS", log, after))
            self._answers_by = real.monotonic() + block_s + self._timeout_s
        if not self._guarded(self._is_answered, self._answers_by, wait_s if block_s > 0 else None):
            return None
        self._answers_by = None
        began = real.monotonic()
        try:
            reply = self._guarded(self._receive)
        except Unreachable:
            self._portion.failed()
            raise
        self._portion.came(real.monotonic() - began)
        if isinstance(reply, Exception):
            raise self._failure(reply)
        messages: Sequence[tuple[bytes, Sequence[Any]]] = self._guarded(_messages_in, reply) if reply else ()
        self.has_all = len(messages) < self._asked_for
        return messages

    def close(self) -> None:
        """Close the connection; in a forked child this process's end of it alone."""
        self._selector.close()
        try:
            self._connection.disconnect()
        except Exception:
            pass

    # -- each step of the library's

    def _guarded(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except BaseException as error:
            self.close()
            known = self._reason_of(error)
            if known is None:
                raise
            raise known from None

    def _failure(self, reply: Exception) -> Exception:
        return self._reason_of(reply) or reply

    def _send(self, words: Sequence[Any]) -> None:
        self._connection.allow(self._timeout_s)
        self._connection.send_command(*words)

    def _receive(self) -> Any:
        """The server's answer, which may be an error."""
        self._connection.allow(self._timeout_s)
        try:
            return self._connection.read_response()
        except Exception as error:
            if self._connection._sock is None:  # it is the connection's, not the server's
                raise
            return error

    def _ask(self, words: Sequence[Any]) -> Any:
        self._send(words)
        return self._receive()

    def _is_answered(self, by: float, wait_s: float | None) -> bool:
        """Wait for an answer until then, or for so long; None: and for nothing else.  Too long for one: an error."""
        left_s = by - real.monotonic()
        if self._pending is not None and self._pending():
            return True
        ready = [key.data for key, _ in self._selector.select(left_s if wait_s is None else min(left_s, wait_s))]
        if True in ready:
            return True
        if ready:
            self._wake_up.hush()
        elif by <= real.monotonic():
            raise TimeoutError("the server is silent")
        return wait_s is None and self._is_answered(by, wait_s)


def _messages_in(reply: Any) -> list[tuple[bytes, Sequence[Any]]]:
    """The messages of the one log that was asked for."""
    streams = reply.items() if isinstance(reply, dict) else reply
    (_, messages), *_ = streams
    return list(map(tuple, messages))


def _is_unknown_script(reply: Exception) -> bool:
    return type(reply).__name__ == "NoScriptError" or str(reply).startswith("NOSCRIPT")

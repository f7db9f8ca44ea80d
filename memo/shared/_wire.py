"""The way to the server, for threads and event loops: bounded waits, a breaker, and one kind of failure."""

from collections.abc import Callable, Mapping
from typing import Any

from memo._base import real
from memo.shared._breaker import Breaker
from memo.shared._dial import Dial
from memo.shared._scripts import Command, T
from memo.shared._thread_pool import Place, ThreadPool
from memo.shared._unreachable import Reason, Skipped, Unreachable, reason_of

__all__ = ("Wire",)


class Wire:
    """Sends commands to one server.  Safe from any thread and event loop; opens nothing before the first.

    Args:
        url: The URL, or a function that returns it.
        timeout_s: What one operation may take, waiting for a connection included.
        connections: How many at most, for threads together, and for each event loop.
        client_options: For the client library, checked.
        breaker: Told of what comes of operations; made anew where none is given.

    Raises:
        ValueError: The URL is malformed.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        timeout_s: float,
        connections: int,
        client_options: Mapping[str, Any] | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._dial = Dial(url, client_options or {})
        self._timeout_s = timeout_s
        self._threads = ThreadPool(self._dial, connections, timeout_s)
        self._is_closed = False
        self.breaker: Breaker = Breaker(self._dial.shown) if breaker is None else breaker
        """Open while callers leave the server alone."""

    def __repr__(self) -> str:
        return f"<Wire to {self._dial.shown()}>"

    def shown(self) -> str:
        """The URL without its secret."""
        return self._dial.shown()

    def run(self, command: Command[T]) -> T:
        """Have the server do what *command* says, in this thread.

        Raises:
            Unreachable: It did not, or it may have; ``Skipped``: it was not asked, since the breaker is open.
            MissingExtra: No client library is installed.
        """
        breaker = self.breaker
        self._refuse()
        era = breaker.era
        try:
            reply = self._threads.run(command)
        except Unreachable as error:
            breaker.failed(error, era)
            raise
        breaker.ok(era)
        return reply

    def line_connection(self) -> Any:
        """A connection of its own, for the tier's thread: the library's, connected within the timeout.

        Its ``allow(seconds)`` says how long what comes next may take; ``disconnect()`` ends it.

        Raises:
            Unreachable: It cannot be made.  The breaker is not told.
        """
        place = Place(self._dial)
        try:
            place.connect(real.monotonic() + self._timeout_s)
        except Exception as error:
            known = reason_of(error)
            if known is None:
                raise
        else:
            return place.connection
        raise known

    def reason_of(self, error: BaseException) -> Unreachable | None:
        """What an exception of ``line_connection()`` means; None for one that tells nothing about the server."""
        return reason_of(error)

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return self._threads.connections()

    @property
    def waited(self) -> int:
        """How many operations had to wait for one of them."""
        return self._threads.waited

    def renew(self) -> None:
        """Begin anew in a forked child: its own connections, those of the parent untouched."""
        self._dial.renew()
        self._threads.renew()
        self.breaker.renew()

    def close(self) -> None:
        """End all connections; what is asked afterwards is refused."""
        self._is_closed = True
        self._threads.close()

    def _refuse(self) -> None:
        if self.breaker.reason is not None:
            raise Skipped(Reason.OPEN)
        if self._is_closed:
            raise Skipped(Reason.CLOSED)

"""The way to the server, for threads and event loops: bounded waits, a breaker, and one kind of failure."""

import asyncio
import weakref
from collections.abc import Callable, Mapping
from sys import modules
from typing import Any, TypeAlias

from memo._base import call_elsewhere, real
from memo.shared._breaker import Breaker
from memo.shared._dial import Dial
from memo.shared._hub_pools import HubPools
from memo.shared._loop_pool import LoopPool
from memo.shared._scripts import Command, T
from memo.shared._silent_forks import SilentForks
from memo.shared._thread_pool import Place, ThreadPool
from memo.shared._unreachable import Reason, Skipped, Unreachable, reason_of

__all__ = ("Wire",)


class Wire:
    """Sends commands to one server.  Safe from any thread and event loop; opens nothing before the first command.

    Args:
        url: The URL, or a function that returns it.
        timeout_s: What one operation may take, waiting for a connection included.
        connections: How many at most, for threads together, for each event loop, and each hub of gevent.
        client_options: For the client library, checked.
        breaker: Told of what comes of operations; made anew where none is given.

    Raises:
        TypeError, ValueError: The URL is malformed, or the options do not fit it.
        MissingExtra: No client library is installed.
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
        self._forks = SilentForks()
        self._dial = Dial(url, client_options or {})
        self._timeout_s = timeout_s
        self._connections = connections
        self._loops: weakref.WeakSet[LoopPool] = weakref.WeakSet()
        self._threads = ThreadPool(self._dial, connections, timeout_s)
        self._hubs = HubPools(self._new_pool)
        self._is_closed = False
        self.seconds = 0.0
        """What operations took, all together, waiting for a connection included; a hint: it is added to without a
        lock."""
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
        begun = real.monotonic()
        try:
            pool = self._threads if "gevent" not in modules else self._hubs.here() or self._threads
            reply = pool.run(command, era)
        except Unreachable as error:
            breaker.failed(error, era)
            raise
        finally:
            self.seconds += real.monotonic() - begun
        breaker.ok(era, has_room=command.needs_room)
        return reply

    async def run_awaited(self, command: Command[T], late: Callable[[], object] | None = None) -> T:
        """Have the server do what *command* says, in the running loop.

        Args:
            command: The command.
            late: Called if the caller is cancelled, or is out of time while the command is under way: once the command
                has ended, whatever came of it.  One that had not begun never begins, and this is called at once.

        Raises:
            Unreachable: It did not, or it may have; ``Skipped``: it was not asked, since the breaker is open.
            MissingExtra: No client library is installed.
        """
        self._refuse()
        begun = real.monotonic()
        try:
            return await self._pool_of(asyncio.get_running_loop()).run(command, late)
        finally:
            self.seconds += real.monotonic() - begun

    def line_connection(self) -> Any:
        """A connection of its own, for the tier's thread: the library's, connected within the timeout.

        Its ``allow(seconds)`` says how long what comes next may take; ``disconnect()`` ends it.

        Raises:
            Unreachable: It cannot be made.  The breaker is not told.
        """
        self._forks.look(self.renew)
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

    @property
    def turns(self) -> int:
        """What changes as the URL may lead elsewhere: a connection that was made before is not to be kept."""
        return self._dial.turns

    @property
    def losses(self) -> int:
        """How often callers have found that a server lacks what was said."""
        return self._dial.losses

    def turn(self) -> None:
        """Have everybody connect anew: the server is not the primary any more, or another one may be."""
        self._dial.turns += 1

    def reason_of(self, error: BaseException) -> Unreachable | None:
        """What an exception of ``line_connection()`` means; None for one that tells nothing about the server."""
        return reason_of(error)

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        threads = sum(pool.connections() for pool in self._all_threads())
        return threads + sum(pool.connections for pool in list(self._loops))

    @property
    def waited(self) -> int:
        """How many operations had to wait for one of them."""
        threads = sum(pool.waited for pool in self._all_threads())
        return threads + sum(pool.waited for pool in list(self._loops))

    def renew(self) -> None:
        """Begin anew in a forked child: its own connections, those of the parent untouched."""
        self._dial.renew()
        self._threads.renew()
        self._hubs.renew()
        # not to be closed here: the parent's loop has the same selector
        _left_behind.extend(self._loops)
        self._loops = weakref.WeakSet()
        self.breaker.renew()
        self._forks.told()

    def close(self) -> None:
        """End all connections; what is asked afterwards is refused."""
        self._is_closed = True
        for threads in self._all_threads():
            threads.close()
        for pool in list(self._loops):
            if pool.loop.is_running():
                call_elsewhere(pool.loop, pool.cut)
            else:
                pool.cut()

    def _new_pool(self) -> ThreadPool:
        return ThreadPool(self._dial, self._connections, self._timeout_s)

    def _all_threads(self) -> list[ThreadPool]:
        return [self._threads, *self._hubs.all()]

    def _pool_of(self, loop: asyncio.AbstractEventLoop) -> LoopPool:
        pools = _pools_of(loop)
        pool = pools.get(self)
        if pool is None or pool not in self._loops:
            pool = pools[self] = LoopPool(loop, self._dial, self._connections, self._timeout_s, self.breaker)
            self._loops.add(pool)
        return pool

    def _refuse(self) -> None:
        self._forks.look(self.renew)
        if self.breaker.reason is not None:
            raise Skipped(Reason.OPEN)
        if self._is_closed:
            raise Skipped(Reason.CLOSED)


_Pools: TypeAlias = "weakref.WeakKeyDictionary[Wire, LoopPool]"

_ATTRIBUTE = "_memo_shared_pools"
_elsewhere: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pools]" = weakref.WeakKeyDictionary()
"""The pools of loops that take no attribute: they hold their loops, for ever."""
_left_behind: list[LoopPool] = []
"""What a fork left in the child."""


def _pools_of(loop: asyncio.AbstractEventLoop) -> _Pools:
    """The pools that belong to *loop*.  They hold it, so it has to be the loop that holds them."""
    pools: _Pools | None = getattr(loop, _ATTRIBUTE, None)
    if pools is None:
        pools = _elsewhere.get(loop)
    if pools is None:
        pools = weakref.WeakKeyDictionary()
        try:
            setattr(loop, _ATTRIBUTE, pools)
        except AttributeError:
            _elsewhere[loop] = pools
    return pools

"""``Tier``: a server behind the stores of several processes, as users name it."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

from memo._base import Duration, Stage, byte_size, generates, given_text, is_awaited, positive_int, renew, seconds
from memo._cache import Link, LinkTerms
from memo.shared._access import acl
from memo.shared._envelope import Seal
from memo.shared._line import Line
from memo.shared._links import Links
from memo.shared._names import Names
from memo.shared._parts import TierParts
from memo.shared._shared import Shared
from memo.shared._tier_stats import TierStats
from memo.shared._url import address, check_options
from memo.shared._wire import Wire

__all__ = ("Tier",)

_PREFIX = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_LARGEST = 512_000_000  # the server holds no larger one
_LONGEST_LOG = 1_000_000_000


class Tier:
    """A Valkey or Redis server that several processes share results through: ``@bounded(..., shared=Tier(...))``.

    Each process keeps its own store; a call that misses there asks the server before it runs the function, one process
    loads for all, and what is invalidated in one is dropped in all within milliseconds.  Nothing is raised because the
    server is slow or gone: then each process is on its own until it is back.

    Opens nothing and starts no thread until the first call of a function.  Then one daemon thread, ``memo-shared``,
    hears what other processes change.  Safe from any thread and event loop; after a fork the child goes on with
    connections and a thread of its own.

    Args:
        url: "valkey://", "valkeys://" (by TLS), "redis://", "rediss://" or "unix://", or a function that returns such,
            called for each new connection.  The server must be Valkey, or Redis 6.0 or later; no cluster.
        prefix: Everything lies under it on the server: the same in all processes that share, and no other program's.
        timeout: How long one operation may take, waiting for a connection included.
        connections: How many there are at most, for threads together, and for each event loop or hub of gevent; the
            log has one more.
        lease: For how long others wait for a load whose process died.  Renewed while it runs.
        log_size: How many messages the server keeps for processes that were away, about.
        max_value: Larger values are not shared; larger ones on the server are not read.
        secret: Values are signed with it, and such that are not are misses; or several secrets: the first one signs.
        readable_keys: Names on the server show the beginning of the key, which may tell who somebody is.
        client_options: For the client library (``ssl_ca_certs``, ``credential_provider``, ...).

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option's value makes no sense.
        MissingExtra: Neither client library is installed.
    """

    __module__ = "memo.shared"

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        prefix: str = "memo",
        timeout: Duration = "250ms",
        connections: int = 4,
        lease: Duration = "10s",
        log_size: int = 10_000,
        max_value: int | str = "1MB",
        secret: bytes | Sequence[bytes] | None = None,
        readable_keys: bool = False,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        timeout_s = seconds(timeout, where="Tier", option="timeout")
        lease_s = seconds(lease, where="Tier", option="lease")
        if lease_s <= timeout_s:
            raise ValueError(
                f"Tier: lease={given_text(lease)} is not longer than timeout={given_text(timeout)}, and would end "
                f"before it could be renewed; give at least some times as much."
            )
        largest = byte_size(max_value, where="Tier", option="max_value")
        if largest > _LARGEST:
            raise ValueError(
                f"Tier: max_value={given_text(max_value)} is more than the server holds; give at most '512MB'."
            )
        if not isinstance(readable_keys, bool):
            raise TypeError(f"Tier: readable_keys={given_text(readable_keys)} is not a bool; write True or False.")
        _check_url(url)
        self._prefix = _checked_prefix(prefix)
        self._names = Names(prefix)
        self._wire = Wire(
            url,
            timeout_s=timeout_s,
            connections=positive_int(connections, where="Tier", option="connections"),
            client_options=check_options(client_options),
        )
        self._line = Line(
            self,
            prefix,
            self._wire,
            self._wire.breaker,
            self._names,
            log_size=_checked_log_size(log_size),
            timeout_s=timeout_s,
        )
        self._parts = TierParts(
            names=self._names,
            wire=self._wire,
            line=self._line,
            seal=Seal(secret),
            links=Links(),
            timeout_s=timeout_s,
            lease_s=lease_s,
            max_value=largest,
            readable_keys=readable_keys,
        )
        renew(Stage.TIERS, self)

    # -- for functions

    def using(
        self,
        *,
        encode: Callable[[Any], Any] | None = None,
        decode: Callable[[Any], Any] | None = None,
        version: str = "",
        local_ttl: Duration | None = None,
        wait: Duration = "30s",
        lease: Duration | None = None,
        read_only: bool = False,
    ) -> Shared:
        """This tier with options for one function: ``shared=tier.using(version="2")``.  See ``Shared`` for each."""
        return Shared(
            self,
            encode=encode,
            decode=decode,
            version=version,
            local_ttl=local_ttl,
            wait=wait,
            lease=lease,
            read_only=read_only,
        )

    def link(self, terms: LinkTerms) -> Link:
        """Connect a function; done by ``@bounded``."""
        return self.using().link(terms)

    # -- for programs

    @property
    def state(self) -> Literal["up", "behind", "down"]:
        """How it is, as far as this process knows.

        "up": the server is used, and what others change is heard.  "behind": what others change has not been heard of
        for 5 seconds or more (or not yet, at the beginning), though the server is not known to be down.  "down": the
        server cannot be reached, or the tier was closed; stores serve what they have, and calls run the function.
        Before the first call it is "up".
        """
        return self._line.state

    def catch_up(self, timeout: Duration = "1s") -> None:
        """Wait until this process has heard of all that any process has changed until now.

        Blocks the thread; in a coroutine, ``await asyncio.to_thread(tier.catch_up)``.

        Args:
            timeout: For how long at most.

        Raises:
            SharedTimeout: It took longer, or the server cannot be reached.
            TypeError: timeout is no duration.
            ValueError: timeout is not positive.
        """
        self._line.catch_up(seconds(timeout, where="catch_up", option="timeout"))

    def flush(self, timeout: Duration = "5s") -> None:
        """Wait until all that this process has changed until now was delivered to the server.

        Changes are sent as they are made, but for those made in an event loop's thread or while the server is down,
        which the tier's thread sends.  Blocks the thread; in a coroutine, ``await asyncio.to_thread(tier.flush)``.

        Args:
            timeout: For how long at most.

        Raises:
            SharedTimeout: It took longer; the changes are still sent later.
            TypeError: timeout is no duration.
            ValueError: timeout is not positive.
        """
        self._line.flush(seconds(timeout, where="flush", option="timeout"))

    def stats(self) -> TierStats:
        """What happened so far, in this process."""
        wire = self._wire
        figures = self._line.figures()
        return TierStats(
            name=self._prefix,
            server=wire.shown(),
            connections=wire.connections + figures.pop("line_connections"),
            waiting=wire.waited,
            seconds=wire.seconds,
            **figures,
        )

    def acl(self) -> str:
        """What a user of the server must be allowed, as rules for it: ``ACL SETUSER shop on >password`` and this."""
        return acl(self._prefix)

    def close(self) -> None:
        """Give leases back, end the thread and all connections.

        What is pending is delivered if the server is up and that takes no longer than ``timeout``; waits three times
        that at most.  Functions go on as if the server were down.  Closing twice is no error.
        """
        self._line.close()
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Tier {self._prefix!r} at {self._wire.shown()}, {self.state}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"Tier: {self!r} cannot be pickled, since it has connections, a thread, and perhaps a password; put the "
            f"functions that share by it into a module that the other process imports."
        )

    def renew(self) -> None:
        """Go on in a forked child; called by the fork."""
        self._wire.renew()
        self._line.renew()


def _checked_prefix(prefix: Any) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"Tier: prefix={given_text(prefix)} is not text; give a short name such as 'shop'.")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(
            f"Tier: prefix={given_text(prefix)} cannot begin names on the server; give 1 to 100 letters, digits and "
            f"_ . : / -."
        )
    return prefix


def _check_url(url: Any) -> None:
    if is_awaited(url):
        raise TypeError(
            "Tier: the URL is to come from a coroutine function, which threads cannot await; give a function that "
            "returns it, and that may block."
        )
    if generates(url):  # which is not shown: a partial may hold a password
        raise TypeError(
            "Tier: the URL is to come from a generator function, a call of which does not run it; give a function that "
            "returns it."
        )
    if not callable(url):
        address(url)


def _checked_log_size(log_size: Any) -> int:
    size = positive_int(log_size, where="Tier", option="log_size")
    if size > _LONGEST_LOG:
        raise ValueError(
            f"Tier: log_size={given_text(log_size)} is more than a server holds; give about as many as there are "
            f"changes while a process is away, such as 10_000."
        )
    return size

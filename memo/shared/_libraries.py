"""The client libraries, redis-py and valkey-py: what makes connections, and bounds every wait on them.

Connections are the library's own (TLS, login, protocol, parser); what is taken from it is what both have had for
years: the classes of connections and their ``connect()``, ``send_packed_command()``,
``read_response()``, ``disconnect()``.
Neither its pools nor its clients are used: they wait without bound by default, and count a wait for one of their own
connections as an error of the server.
"""

import importlib
import inspect
import select
from collections.abc import Mapping
from typing import Any, NamedTuple

from memo._base import real
from memo.errors import MissingExtra
from memo.shared._unreachable import Reason, Unreachable
from memo.shared._url import Address

__all__ = (
    "Library", "TimedConnection", "abort", "import_library", "is_stale", "library_for", "loop_connection_is_stale",
)  # fmt: skip

_NEVER_S = 1e9
# A thread that did not get its turn in time may have its reply: it looks once more, and does not wait.
_GRACE_S = 0.05
_LEAST_S = 0.001


class TimedConnection:
    """Mixed into the library's connection for threads: no wait on its socket goes beyond ``ends``."""

    ends: float = 0.0
    """When what goes on with it must be over, as ``real.monotonic()`` tells; set before each operation."""
    poller: Any = None

    def allow(self, seconds: float | None) -> None:
        """Let what comes next take so long; None: as long as it takes."""
        self.ends = real.monotonic() + (_NEVER_S if seconds is None else seconds)

    def _connect(self) -> Any:
        left_s = self.ends - real.monotonic()
        if left_s <= 0.0:
            raise TimeoutError("no time left to connect")
        self.socket_connect_timeout = self.socket_timeout = left_s
        sock = super()._connect()  # type: ignore[misc]
        if hasattr(select, "poll"):
            self.poller = select.poll()
            self.poller.register(sock, select.POLLIN)
        return _TimedSocket(sock, self)


class _TimedSocket:
    """A connected socket whose waits end when those of its connection do."""

    __slots__ = ("_given_s", "_sock", "_timed")

    def __init__(self, sock: Any, timed: TimedConnection) -> None:
        self._sock = sock
        self._timed = timed
        self._given_s = -1.0  # what the socket's timeout is; 0: the library looks without waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float | None) -> None:
        self._sock.settimeout(seconds)
        self._given_s = 0.0 if seconds == 0 else -1.0

    def _limit(self) -> None:
        given_s = self._given_s
        if given_s == 0.0:
            return
        left_s = self._timed.ends - real.monotonic()
        # each change is a call of the system: what is about right will do
        if given_s * 0.9 <= left_s <= given_s:
            return
        if left_s <= -_GRACE_S:
            raise TimeoutError("no time left")
        left_s = max(left_s, _LEAST_S)
        self._sock.settimeout(left_s)
        self._given_s = left_s

    def recv(self, *args: Any) -> Any:
        self._limit()
        return self._sock.recv(*args)

    def recv_into(self, *args: Any) -> Any:
        self._limit()
        return self._sock.recv_into(*args)

    def sendall(self, *args: Any) -> Any:
        self._limit()
        return self._sock.sendall(*args)


def is_stale(connection: Any) -> bool:
    """Whether something came on a connection on which nothing was asked: above all, its end."""
    poller = connection.poller
    if poller is not None and not poller.poll(0):
        return False
    try:
        return bool(connection.can_read())
    except Exception:
        return True


class Library(NamedTuple):
    """One client library, and how to reach one server with it."""

    name: str
    threads: Any
    """The class of connections for threads."""
    loops: Any
    """The class of connections for event loops."""
    options: Mapping[str, Any]
    """What both are made with."""

    def connection(self) -> Any:
        """A connection for threads, with ``allow()``; not connected yet."""
        return self.threads(**self.options)

    def loop_connection(self) -> Any:
        """A connection for the running loop, not connected yet.  Its waits are bounded by who waits."""
        return self.loops(**self.options)


def import_library(wanted: str) -> tuple[str, Any, Any]:
    """The one that is wanted, or the other where that is missing: its name, and its modules for threads and for loops.

    Raises:
        MissingExtra: Neither is installed.
    """
    for name in (wanted, "redis", "valkey"):
        try:
            threads = importlib.import_module(f"{name}.connection")
            return name, threads, importlib.import_module(f"{name}.asyncio.connection")
        except ModuleNotFoundError:
            pass
    raise MissingExtra(
        "Tier needs a client library, and neither redis nor valkey is installed; "
        "install it with: pip install 'memo-toolkit[shared]'."
    )


def library_for(given: Address, options: Mapping[str, Any]) -> Library:
    """The library for an address, and what its connections are made with.

    Raises:
        MissingExtra: None is installed.
        Unreachable: It does not know one of the options.
    """
    name, threads, loops = import_library(given.library)
    kind = "UnixDomainSocketConnection" if "path" in given.place else "SSLConnection" if given.tls else "Connection"
    ours: dict[str, Any] = {
        **given.options,
        **options,
        **given.place,
        **given.login,
        "decode_responses": False,
        "health_check_interval": 0,
        "protocol": 2,  # named, since its default has changed, and with it what a connection is told unasked
        "retry": None,
        "retry_on_timeout": False,
        "socket_connect_timeout": None,
        "socket_timeout": None,
    }
    # what the library tells the server of itself takes two more round trips for each connection
    known = inspect.signature(threads.AbstractConnection.__init__).parameters
    ours |= {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}
    base = getattr(threads, kind)
    made = Library(name, type(f"Timed{kind}", (TimedConnection, base), {}), getattr(loops, kind), ours)
    try:
        made.connection()
    except Exception:
        raise Unreachable(Reason.MISUSED) from None
    return made


def loop_connection_is_stale(connection: Any) -> bool:
    """Whether the other end of a loop's connection has closed it, as far as the loop has noticed."""
    reader, writer = getattr(connection, "_reader", None), getattr(connection, "_writer", None)
    if reader is None or writer is None:
        return True
    return bool(reader.at_eof() or writer.transport.is_closing())


def abort(connection: Any) -> None:
    """Cut a loop's connection at once; for the loop's thread."""
    writer = getattr(connection, "_writer", None)
    if writer is None:
        return
    connection._reader = connection._writer = None
    try:
        writer.transport.abort()
    except RuntimeError:  # the loop is closed: its sockets are, as they are collected
        pass

"""Listens at some sockets, and has each client answered in a thread of its own.

- One thread listens.  It waits without limit, so an idle server takes no time at all.
- There are at most 16 clients at a time of each socket; who comes beyond is told so, and never waited for.  So whoever
  takes all that a port has keeps nobody from the user's own socket.
- All threads are daemons: none keeps the interpreter from its end.
- Nothing here concerns the calls of a program: no lock of theirs is taken but by a snapshot of figures.
"""

import logging
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from memo._base import Gate, real, rlock, start
from memo.exporters._connection import Connection, Limits, refuse_crowded
from memo.exporters._routes import Routes
from memo.exporters._sockets import is_ours, peer_uid

__all__ = ("Door", "Listener")

log = logging.getLogger("memo")

_PARTING_S = 2.0
"""Seconds to wait for threads when all is closed."""
_ACCEPT_S = 0.5
"""Seconds to wait for a client that was there."""
_REFUSED_S = 1.0
"""Seconds for a client to read that it was refused."""
_MOST_REFUSED = 64
_EXHAUSTED_S = 0.5
"""Seconds to wait where the process has no descriptor left for another client."""


@dataclass(frozen=True, slots=True)
class Door:
    """A socket that listens, and what is answered to those that come."""

    listener: socket.socket
    routes: Routes
    is_unix: bool
    """It is a Unix socket: clients are looked at, and those of this user trusted."""


class Listener:
    """Answers those who come to *doors*, from ``start()`` to ``close()``.

    Args:
        doors: Closed with it.
        limits: What clients may take.
        at_first: What its thread does before anything else; None: nothing.
    """

    def __init__(self, doors: list[Door], limits: Limits, at_first: Callable[[], object] | None = None) -> None:
        self._doors = doors
        self._limits = limits
        self._at_first = at_first
        self._pid = os.getpid()
        self._closed = False
        self._lock = rlock()  # guards what follows
        self._clients: dict[socket.socket, Door] = {}
        self._refused: deque[tuple[float, socket.socket]] = deque()  # of the listening thread alone
        self._waker, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker, selectors.EVENT_READ)
        for door in doors:
            # not without blocking: then eventlet would return a client that blocks all greenlets
            door.listener.settimeout(_ACCEPT_S)
            self._selector.register(door.listener, selectors.EVENT_READ, door)
        self._thread = threading.Thread(target=self._listen, name="memo-serve", daemon=True)
        self._begun: list[int] = []
        self._over = Gate()  # rather than join(): interrupted, that takes a thread that runs for one that has ended
        self._is_over = False

    def start(self) -> None:
        """Begin; cut short, it is to be closed.

        Raises:
            RuntimeError: No thread can be started.
        """
        start(self._thread, self._begun)

    def close(self) -> None:
        """Close everything, also connections under way, and wait a little for what is at work."""
        self._closed = True
        with self._lock:
            clients = list(self._clients)
        try:
            self._wake.send(b"x")
        except OSError:
            pass
        for client in clients:
            _shut(client)
        if threading.current_thread() is not self._thread and self._begun and not self._is_over:
            self._over.wait(_PARTING_S)
        self.abandon()

    def abandon(self) -> None:
        """Close what this process has of it: in a forked child all that it inherited, and none of the parent's."""
        self._closed = True
        for door in self._doors:
            door.listener.close()
        self._selector.close()
        self._waker.close()
        self._wake.close()
        for client in list(self._clients):
            client.close()
        while self._refused:
            self._refused.pop()[1].close()

    # -- the listening thread

    def _listen(self) -> None:
        try:
            if self._at_first is not None:
                self._at_first()
            while not self._closed:
                ready = self._selector.select(_REFUSED_S if self._refused else None)
                if self._closed or os.getpid() != self._pid:  # greenlets go on in a forked child
                    return
                self._let_go()
                for key, _ in ready:
                    if key.data is not None:
                        self._accept(key.data)
        except Exception:
            if not self._closed and os.getpid() == self._pid:
                log.exception("serve: nobody is answered any more")
        finally:
            self._is_over = True
            self._over.open()

    def _accept(self, door: Door) -> None:
        try:
            client, _ = door.listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError, TimeoutError):
            return  # it was ready, and the client has gone meanwhile
        except OSError as error:
            if not self._closed:
                log.warning("serve: no client can be let in (%s)", error)
                self._pause()
            return
        with self._lock:
            crowded = sum(one is door for one in self._clients.values()) >= self._limits.connections
            if not crowded:
                self._clients[client] = door
        if crowded:
            refuse_crowded(client, self._limits)
            self._refused.append((real.monotonic() + _REFUSED_S, client))
            return
        thread = threading.Thread(target=self._serve, args=(door, client), name="memo-serve-client", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there can be no more of them
            self._forget(client)

    def _pause(self) -> None:
        """Wait, but for the end: the socket stays ready, and would be looked at without a break."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._waker, selectors.EVENT_READ)
            waiting.select(_EXHAUSTED_S)

    def _let_go(self) -> None:
        """Close the connections of those who were refused a while ago."""
        now = real.monotonic()
        while self._refused and (self._refused[0][0] <= now or len(self._refused) > _MOST_REFUSED):
            self._refused.popleft()[1].close()

    # -- a thread for each client

    def _serve(self, door: Door, client: socket.socket) -> None:
        try:
            client.setblocking(True)
            if not door.is_unix or is_ours(peer_uid(client)):
                Connection(client, door.routes, door.is_unix, self._limits)
        except OSError:  # it has gone
            pass
        except Exception:
            log.exception("serve: a client could not be answered")
        finally:
            self._forget(client)

    def _forget(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.pop(client, None)
        client.close()


def _shut(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass

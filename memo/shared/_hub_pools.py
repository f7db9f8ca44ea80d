"""Connections for threads in a program whose sockets gevent has exchanged: for each hub of its own.

Such a socket is waited for by the hub of the thread that made it, and by no other thread: one of gevent's thread pool
would get an error.  So each hub has a pool, which ends with it.
"""

import socket
import sys
from collections.abc import Callable
from typing import Any

from memo.shared._thread_pool import ThreadPool

__all__ = ("HubPools",)


class HubPools:
    """The pools of all hubs.  Safe from any thread.

    Args:
        make: Makes a pool.
    """

    __slots__ = ("_make", "_pools")

    def __init__(self, make: Callable[[], ThreadPool]) -> None:
        self._make = make
        self._pools: dict[Any, ThreadPool] = {}  # each change is one step

    def here(self) -> ThreadPool | None:
        """The pool of this thread's hub; None where sockets are the system's, which any thread may use."""
        gevent: Any = sys.modules.get("gevent")
        if gevent is None or socket.socket.__module__.partition(".")[0] != "gevent":
            return None
        hub = gevent.get_hub()
        pool = self._pools.get(hub)
        if pool is None:
            for one in list(self._pools):
                if one.loop is None:  # its thread has ended
                    self._pools.pop(one, None)
            pool = self._pools.setdefault(hub, self._make())
        return pool

    def all(self) -> list[ThreadPool]:
        """The pools that there are."""
        return list(self._pools.values())

    def renew(self) -> None:
        """Begin anew in a forked child, whose hub may be the same object."""
        self._pools = {}

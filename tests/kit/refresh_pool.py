"""What the tests of the refresh threads share."""

import threading
from typing import Any

from kit.threads import LIMIT_S
from memo._cache.refresh_pool import RefreshPool

__all__ = ("SWR", "Gates", "rests")


def rests(pool: RefreshPool) -> bool:
    """Whether nothing waits for its threads, and all are idle: one that is not busy may have its load in hand still."""
    return not pool.queued and len(pool._idle) == pool.threads  # in this order: what was taken leaves no thread idle


SWR: dict[str, Any] = {"max": 100, "ttl": 10, "stale_while_revalidate": 20}


class Gates:
    """Work that stands until the test is over."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def hang(self) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.opened.wait(LIMIT_S), "nobody opened the gate"
        with self._lock:
            self.running -= 1

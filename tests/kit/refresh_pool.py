"""What the tests of the refresh threads share."""

import threading
from typing import Any

from kit.threads import LIMIT_S

__all__ = ("SWR", "Gates")

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

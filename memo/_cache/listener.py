"""``on_evict`` of one function, and how it is told what left."""

import logging
from collections.abc import Callable
from typing import Any

from memo._cache.figures import CallCounts
from memo._store import Departures, EvictionReason, Failure, Gone

__all__ = ("Listener", "Reveal")

log = logging.getLogger("memo")

Reveal = Callable[[Any], Any]
"""Makes of a key what users see."""


class Listener:
    """``on_evict``, a plain function: called in the thread that tells it.

    It holds nothing of the store and nothing of the function: a lease tells it though both be gone.

    Args:
        name: The function's qualified name, for messages.
        on_evict: Called with each key, value and reason, without a lock.
        counts: The counts of the function.
    """

    def __init__(self, name: str, on_evict: Callable[[Any, Any, EvictionReason], Any], counts: CallCounts) -> None:
        self.name = name
        self.on_evict = on_evict
        self.counts = counts

    @property
    def hears(self) -> Callable[..., object]:
        """What is called with the parts of each item that ``shown()`` makes."""
        return self.on_evict

    def shown(self, gone: list[Gone], reveal: Reveal) -> list[Gone]:
        """What left as users see it; what is remembered of failures is no value."""
        return [(reveal(key), value, reason) for key, value, reason in gone if type(value) is not Failure]

    def tell(self, gone: Departures, prepared: Callable[[list[Gone]], list[Gone]]) -> None:
        """Tell what left, as *prepared* makes it; it goes on where it was interrupted if it is called again."""
        gone.tell(self.on_evict, prepared, self.log_failure)

    def note_home(self, home: Any) -> None:
        """Note on which event loop a value was just loaded: of no concern to a plain function."""

    async def drain(self) -> None:
        """Wait until no call is left: there is none that runs by itself."""

    def log_failure(self, error: BaseException, reason: EvictionReason) -> None:
        """Log what ``on_evict`` raised."""
        log.error("%s: on_evict raised for a value that left (%s)", self.name, reason, exc_info=error)

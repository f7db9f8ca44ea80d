"""Clients, and functions that keep and lease them."""

from collections.abc import Callable
from typing import Any

from memo import EvictionReason, Registry, bounded
from memo.testing import FakeClock

__all__ = ("Cache", "Client", "Closer", "Told")

Told = list[tuple[Any, str, str]]
"""Of each value that was closed: the key, the name of the value, and the reason."""


class Client:
    """Something that must be closed once, and not while somebody uses it."""

    def __init__(self, name: str = "client") -> None:
        self.name = name
        self.closed = 0

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Closer:
    """An ``on_evict`` that closes clients, and keeps a book of it."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.told: Told = []
        self._then = then

    def __call__(self, key: Any, client: Client, reason: EvictionReason) -> None:
        client.closed += 1
        self.told.append((key, client.name, str(reason)))
        self._then()

    def take(self) -> Told:
        """What was told since this was last asked."""
        told = self.told[:]
        self.told.clear()
        return told


class Cache:
    """A function whose results are clients, with its clock and its book."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.closer = Closer()
        self.registry = Registry()
        given = {"max": 2, "policy": "lru", "on_evict": self.closer, **options}

        @bounded(clock=self.clock, registry=self.registry, **given)
        def fetch(name: str) -> Client:
            self.during(name)
            return Client(name)

        self.during: Callable[[str], object] = lambda name: None
        self.fetch: Any = fetch

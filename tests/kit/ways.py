"""Ways to share results between processes, alike from outside, so that they can be compared."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

from kit.threads import LIMIT_S

__all__ = ("Make", "Memo", "Naive", "Way")

Load = Callable[[int], int]


class Way(Protocol):
    """Results of a function of numbers, for one process."""

    def read(self, key: int) -> int: ...

    def invalidate(self, key: int) -> None: ...

    def settle(self) -> None:
        """Wait until this process has heard whatever others have said."""
        ...

    def close(self) -> None: ...


Make = Callable[[str, str, Load], Way]
"""Makes one of the server's address for redis, a prefix, and what loads."""


class Memo:
    """``@bounded(shared=)``, which now and then changes things by other means than by ``invalidate()``."""

    def __init__(self, url: str, prefix: str, load: Load) -> None:
        from memo import Registry, bounded
        from memo.shared import Tier

        def price(key: int) -> int:
            return load(key)

        self.tier = Tier(url, prefix=prefix)
        self.registry = Registry()
        self.price: Any = bounded(
            max=10_000, ttl="1h", name="price", tags=("prices",), registry=self.registry, shared=self.tier
        )(price)
        self._changes = 0

    def read(self, key: int) -> int:
        return self.price(key)

    def invalidate(self, key: int) -> None:
        self._changes += 1
        match self._changes % 20:
            case 5 | 15:
                self.price.cache.refresh(key)
            case 10:
                self.price.cache.clear()
            case 0:
                self.registry.invalidate(tag="prices")
            case _:
                self.price.cache.invalidate(key)

    def settle(self) -> None:
        self.tier.catch_up(timeout=LIMIT_S)

    def close(self) -> None:
        self.tier.close()


class Naive:
    """What one writes in an afternoon: a dictionary, GET and SET behind it, and a channel that says what to drop."""

    def __init__(self, url: str, prefix: str, load: Load) -> None:
        import redis

        self._load = load
        self._prefix = prefix
        self._local: dict[int, int] = {}
        self._client = redis.Redis.from_url(url, protocol=2)
        self._line = self._client.pubsub(ignore_subscribe_messages=True)
        self._line.subscribe(**{f"{prefix}:dropped": self._hear})
        self._listener = self._line.run_in_thread(sleep_time=0.1, daemon=True)

    def _hear(self, message: dict[str, Any]) -> None:
        self._local.pop(int(message["data"]), None)

    def _name(self, key: int) -> str:
        return f"{self._prefix}:{key}"

    def read(self, key: int) -> int:
        try:
            return self._local[key]
        except KeyError:
            pass
        found = self._client.get(self._name(key))
        if found is None:
            found = self._load(key)
            self._client.set(self._name(key), found, ex=3600)
        value = self._local[key] = int(found)
        return value

    def invalidate(self, key: int) -> None:
        self._client.delete(self._name(key))
        self._local.pop(key, None)
        self._client.publish(f"{self._prefix}:dropped", key)

    def settle(self) -> None:
        threading.Event().wait(0.5)  # it cannot tell; what is on its way has long come by then

    def close(self) -> None:
        self._listener.stop()
        self._listener.join(LIMIT_S)
        self._line.close()
        self._client.close()

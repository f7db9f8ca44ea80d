"""Ways to share results between processes, alike from outside, so that they can be compared."""

import asyncio
import inspect
import itertools
import threading
from collections.abc import Callable
from typing import Any, Protocol

from kit.threads import LIMIT_S, until

__all__ = ("AwaitedMemo", "Make", "Memo", "Naive", "Way")

Load = Callable[[int], int]


class Way(Protocol):
    """Results of a function of numbers, for one process."""

    def read(self, key: int) -> int: ...

    def invalidate(self, key: int) -> Any: ...

    def settle(self) -> None:
        """Wait until others can hear what this process has said, and until it has heard whatever others have said."""
        ...

    def close(self) -> None: ...


Make = Callable[[str, str, Load], Way]
"""Makes one of the server's address for redis, a prefix, and what loads."""


class Memo:
    """``@bounded(shared=)``, which now and then changes things by other means than by ``invalidate()``."""

    def __init__(self, url: str, prefix: str, load: Load, *, timeout: str = "250ms") -> None:
        from memo import Registry, bounded
        from memo.shared import Tier

        self.tier = Tier(url, prefix=prefix, timeout=timeout)
        self.registry = Registry()
        decorate = bounded(
            max=10_000, ttl="1h", name="price", tags=("prices",), registry=self.registry, shared=self.tier
        )
        self.price: Any = decorate(self._function(load))
        self._changes = itertools.count(1)

    def _function(self, load: Load) -> Any:
        return lambda key: load(key)

    def read(self, key: int) -> int:
        return self.price(key)

    def invalidate(self, key: int) -> Any:
        match next(self._changes) % 20:
            case 5 | 15:
                return self.price.cache.refresh(key)
            case 10:
                self.price.cache.clear()
            case 0:
                self.registry.invalidate(tag="prices")
            case _:
                self.price.cache.invalidate(key)
        return None

    def settle(self) -> None:
        until(lambda: self.tier.state == "up")
        self.tier.flush(timeout=LIMIT_S)
        self.tier.catch_up(timeout=LIMIT_S)

    def close(self) -> None:
        self.tier.close()


class AwaitedMemo(Memo):
    """The same of a coroutine function; it is called in two event loops."""

    def __init__(self, url: str, prefix: str, load: Load) -> None:
        super().__init__(url, prefix, load)
        self._turns = itertools.count()
        self._loops = [asyncio.new_event_loop() for _ in range(2)]
        for loop in self._loops:
            threading.Thread(target=loop.run_forever, daemon=True).start()

    def _function(self, load: Load) -> Any:
        async def price(key: int) -> int:
            return await asyncio.to_thread(load, key)

        return price

    def _run(self, call: Callable[[int], Any], key: int) -> Any:
        async def called() -> Any:
            found = call(key)
            return await found if inspect.isawaitable(found) else found

        loop = self._loops[next(self._turns) % 2]
        return asyncio.run_coroutine_threadsafe(called(), loop).result(LIMIT_S)

    def read(self, key: int) -> int:
        found: int = self._run(self.price, key)
        return found

    def invalidate(self, key: int) -> Any:
        self._run(super().invalidate, key)


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

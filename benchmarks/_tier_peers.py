"""Other ways to share results between processes, each set up as its users would; see ``kit.ways``."""

import asyncio
import importlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from kit.ways import Make, Memo, Naive

__all__ = ("WAYS", "Cashews", "Dogpile", "is_there")

Load = Callable[[int], int]
WAIT_S = 20


class Cashews:
    """Its client-side cache: the server tells it what changed.

    It is told nothing in the protocol that redis-py takes by default, so the older one is asked for.
    """

    def __init__(self, url: str, prefix: str, load: Load) -> None:
        library = importlib.import_module("cashews")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._cache: Any = library.Cache()
        self._cache.setup(f"{url}?protocol=2", client_side=True, client_side_prefix=f"{prefix}:")

        @self._cache(ttl="1h", key="price:{key}", lock=True)
        async def price(key: int) -> int:
            return await asyncio.to_thread(load, key)

        self._price = price
        self._run(self._cache.init())

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)

    def read(self, key: int) -> int:
        found: int = self._run(self._price(key))
        return found

    def invalidate(self, key: int) -> None:
        self._run(self._cache.delete(f"price:{key}"))

    def settle(self) -> None:
        threading.Event().wait(0.5)

    def close(self) -> None:
        self._run(self._cache.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


class Dogpile:
    """A region on the server, with its lock there; no copies in the process."""

    def __init__(self, url: str, prefix: str, load: Load) -> None:
        library = importlib.import_module("dogpile.cache")
        self._load = load
        self._prefix = prefix
        self._region: Any = library.make_region().configure(
            "dogpile.cache.redis",
            expiration_time=3600,
            arguments={
                "url": url, "redis_expiration_time": 7200, "distributed_lock": True, "thread_local_lock": False,
                "lock_timeout": 10,
            },
        )  # fmt: skip

    def _name(self, key: int) -> str:
        return f"{self._prefix}:{key}"

    def read(self, key: int) -> int:
        found: int = self._region.get_or_create(self._name(key), lambda: self._load(key))
        return found

    def invalidate(self, key: int) -> None:
        self._region.delete(self._name(key))

    def settle(self) -> None:
        """Nothing is on its way: all is on the server."""

    def close(self) -> None:
        self._region.backend.reader_client.close()


WAYS: dict[str, Make] = {"memo": Memo, "naive": Naive, "cashews": Cashews, "dogpile": Dogpile}


def is_there(name: str) -> bool:
    """Whether the library is installed that a way of this name needs."""
    try:
        importlib.import_module({"cashews": "cashews", "dogpile": "dogpile.cache"}.get(name, "redis"))
    except ImportError:
        return False
    return True

"""What the tests of the janitor share."""

import threading
from typing import Any

from memo import Registry, bounded
from memo._store.shelf import SLICE

__all__ = (
    "cached",
    "threads",
)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "memo-janitor"]


def cached(own: Registry, name: str = "f", **options: Any) -> Any:
    @bounded(max=8 * SLICE, ttl="30min", registry=own, name=name, **options)
    def fetch(x: int) -> int:
        return x

    return fetch

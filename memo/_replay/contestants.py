"""The policies that are compared: the classes that ``policy=`` names, by the cachetools caches that they are."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import cachetools

from memo.policies import AdaptiveCache, S3FIFOCache

__all__ = ("ADVISED", "CONTESTANTS", "replay_cache")

CONTESTANTS: Mapping[str, Callable[[int], cachetools.Cache[int, Any]]] = {
    "adaptive": AdaptiveCache,
    "s3fifo": S3FIFOCache,
    "lru": cachetools.LRUCache,
    "lfu": cachetools.LFUCache,
}
ADVISED = next(iter(CONTESTANTS))
"""The policy that the advice is for: the first, which is the default."""


def replay_cache(
    cache: cachetools.Cache[int, Any],
    chunks: Iterable[Sequence[int]],
    misses: "array[int]",
    moved: Callable[[int], None],
) -> None:
    """Ask a cache for each key in turn, and store what it has not.

    Args:
        cache: An empty one.
        chunks: The keys, as numbers.
        misses: Raised at each key that misses.
        moved: Told how many requests were replayed.
    """
    for chunk in chunks:
        for key in chunk:
            if key in cache:
                cache[key]  # a use
            else:
                misses[key] += 1
                cache[key] = None
        moved(len(chunk))

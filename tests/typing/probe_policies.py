"""The public policies are caches of the keys and values that they are said to be of; checked, never run."""

from typing import assert_type

import cachetools

from memo import bounded
from memo.policies import AdaptiveCache, LIRSCache, S3FIFOCache, SieveCache

adaptive: AdaptiveCache[str, bytes] = AdaptiveCache(1_000_000, len)
lirs: LIRSCache[str, int] = LIRSCache(10)
sieve = SieveCache[tuple[int, int], str](10, getsizeof=len)
s3fifo: S3FIFOCache[int, list[int]] = S3FIFOCache(10)

assert_type(adaptive["a"], bytes)
assert_type(adaptive.popitem(), tuple[str, bytes])
assert_type(lirs.get("a"), int | None)
assert_type(lirs.pop("a"), int)
assert_type(sieve[1, 2], str)
assert_type(s3fifo.setdefault(1, [2]), list[int])
assert_type(sieve.currsize, float)

adaptive[1] = b""  # type: ignore[index]
lirs["a"] = "b"  # type: ignore[assignment]
sieve["a"]  # type: ignore[index]
S3FIFOCache("10")  # type: ignore[arg-type]


def taken_as_caches(cache: cachetools.Cache[str, int]) -> None:
    taken_as_caches(lirs)
    taken_as_caches(SieveCache(10))


@cachetools.cached(SieveCache(500))
def fetch(name: str) -> int:
    return len(name)


@bounded(max=500, policy=LIRSCache)
def measure(name: str) -> int:
    return len(name)


@bounded(max=500, policy="sieve")
def count(name: str) -> int:
    return len(name)


assert_type(fetch("a"), int)
assert_type(measure("a"), int)
assert_type(count("a"), int)

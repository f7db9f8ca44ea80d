"""What the tests of ``bounded`` share."""

from typing import Any

from memo import EvictionReason

__all__ = ("POLICIES", "Gone", "check")

POLICIES = ("adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs")


Gone = list[tuple[Any, Any, EvictionReason]]


def check(function: Any) -> None:
    function.cache._check()

"""A program that makes calls of all kinds, and counts the references that remain: as many as before.

    python tests/kit/counted_references.py

It takes an interpreter that counts references for an exact answer (Debian's ``python3-dbg``); any other one counts the
blocks of memory that are in use.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from typing import Any

from memo import Registry, _native, bounded, dedupe_inflight, sliding_window

__all__ = ("MOST", "Odd", "counted", "kept", "main")

WARM_UP, ROUNDS = 5_000, 10_200
MOST = 100 if hasattr(sys, "gettotalrefcount") else 900
"""What may be kept; less than one for each wrong call of a kind, of which each tenth round has one."""


class Odd:
    """A key whose hash and comparison are Python's."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd) and self.number == other.number


def counted() -> int:
    """Total references where the interpreter counts them, else blocks of memory that are in use."""
    gc.collect()
    count: Callable[[], int] = getattr(sys, "gettotalrefcount", sys.getallocatedblocks)
    return count()


def _plain(own: Registry) -> Callable[[int], None]:
    """A round of calls of plain functions in all placements: hits, misses, failures and wrong ones."""

    @bounded(max=20, ttl="24h", registry=own)
    def fetch(x: object, lang: str = "en", *, k: int = 1) -> list[object]:
        return [x, lang]

    @bounded(max=5, policy="lfu", registry=own, on_evict=lambda *gone: None)
    def counts(x: object) -> object:
        if x == 3:
            raise ValueError(x)
        return [x]

    @bounded(max=5, policy="lru", registry=own)
    def recent(x: object) -> object:
        return iter([x]) if x == 3 else [x]

    @dedupe_inflight(registry=own)
    def joined(x: object, y: int = 2) -> object:
        return [x] if x != 3 else joined(x, y=1 / 0)  # type: ignore[arg-type]

    @sliding_window("1h", max=10, registry=own, clock=lambda: 1.0)
    def seen(x: object) -> object:
        return [x]

    class Service:
        @bounded(max=9, ttl=60, registry=own)
        def method(self, x: object, y: int = 1) -> object:
            return [x]

    wrong = (
        lambda: fetch(), lambda: fetch(1, 2, 3), lambda: fetch([]), lambda: fetch(1, x=1), lambda: fetch(1, z=1),
        lambda: counts(3), lambda: recent(3), lambda: joined(3), lambda: joined([]), lambda: counts({}),
    )  # fmt: skip
    service = Service()

    def round_of_calls(number: int) -> None:
        key = number % 30
        fetch(key), fetch(key), fetch(x=key, k=2), fetch(key, lang="de"), fetch(Odd(key))
        for function in (counts, recent, joined, seen):
            if key != 3:
                function(key)
                function(x=key)
        counts(1), counts(1), recent("a"), service.method(key), service.method(key, y=key), Service.method(service, 1)
        if number % 10 == 0:
            Service().method(key)
            counts.cache.clear(), fetch.cache.put(1, key), recent.cache.invalidate(key)
        try:
            wrong[number % len(wrong)]()
        except (TypeError, ValueError, ZeroDivisionError):
            pass

    return round_of_calls


def _awaited(own: Registry) -> Callable[[int], Any]:
    """A round of calls of coroutine functions: hits, misses in tasks of their own and in the caller's, failures, and
    coroutines that are stepped, closed, or looked at."""

    async def fetch(x: object, lang: str = "en") -> object:
        if x == 3:
            raise ValueError(x)
        if x == 4:
            await asyncio.sleep(0)
        return [x]

    shared = bounded(max=20, ttl="24h", registry=own)(fetch)
    led = bounded(max=5, ttl="24h", work="caller", registry=own)(fetch)

    async def round_of_calls(number: int) -> None:
        key = number % 30
        for function in (shared, led):
            try:
                await function(key)
                await function(key), await function(x=key, lang="de")
                await asyncio.gather(function(key, "fr"), function(key, "fr"))
                await function([])
            except (TypeError, ValueError):
                pass
            unused = function(key, "it")
            assert unused.cr_frame is not None or number
            unused.close()
            try:
                function(key, "it").throw(KeyError(key))
            except KeyError:
                pass

    return round_of_calls


def kept() -> int:
    """How many references ten thousand rounds keep for themselves."""
    own = Registry()
    plain, awaited = _plain(own), _awaited(own)

    async def rounds(many: int) -> int:
        for number in range(many):
            plain(number)
            if number % 10 == 0:
                await awaited(number // 10)
        return counted()

    async def measured() -> int:
        before = await rounds(WARM_UP)  # until all that is kept for later is there
        return await rounds(ROUNDS) - before

    return asyncio.run(measured())


def main() -> int:
    """Tell how many references were kept; 1 if that is more than a few."""
    logging.disable(logging.CRITICAL)
    where = "in Python" if _native.speed is None else "in C"
    of = "references" if hasattr(sys, "gettotalrefcount") else "blocks of memory"
    remaining = kept()
    sys.stdout.write(f"{ROUNDS} rounds {where} kept {remaining} {of}\n")
    return remaining >= MOST


if __name__ == "__main__":
    sys.exit(main())

"""What calls with many keys cost, to as many calls with one, as cases for ``speed.py``."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from _ratios import Ratio, Timed, by_path, interleaved, timed

from memo import Registry, bounded, bounded_many

__all__ = ("MANY_CASES", "many_hits", "many_hits_to_look_ups", "many_misses", "many_misses_awaited")

KEYS = [f"user-{number}" for number in range(100)]
SIZE = 500


def _one(key: Any) -> Any:
    return key


async def _one_awaited(key: Any) -> Any:
    return key


def _many(keys: Iterable[Any]) -> dict[Any, Any]:
    return {key: key for key in keys}


async def _many_awaited(keys: Iterable[Any]) -> dict[Any, Any]:
    return {key: key for key in keys}


def _calls(call: Callable[[list[Any]], dict[Any, Any]], keys: Callable[[], list[Any]]) -> Timed:
    def run(count: int) -> None:
        for _ in range(count):
            call(keys())

    assert call(KEYS) == {key: key for key in KEYS}
    return timed(run, 200)


def _fresh_keys() -> Callable[[], list[Any]]:
    numbers = itertools.count()
    return lambda: [next(numbers) for _ in KEYS]


def many_hits(rounds: int) -> Ratio:
    """f(100 keys), all present, to 100 hits of a function of one key."""
    single: Any = bounded(max=SIZE, ttl="1h", registry=Registry())(_one)
    ours: Any = bounded_many(max=SIZE, ttl="1h", registry=Registry())(_many)
    ratio = interleaved(
        "hits, 100 keys at once", f"max={SIZE}, ttl, all hits, 1 thread; to 100 hits of bounded()",
        _calls(lambda keys: {key: single(key) for key in keys}, lambda: KEYS), _calls(ours, lambda: KEYS), rounds,
        by_path(2.5, 1.2),
    )  # fmt: skip
    assert ours.cache.stats().misses == len(KEYS)
    return ratio


def many_hits_to_look_ups(rounds: int) -> Ratio:
    """f(100 keys), all present, to 100 look-ups in a dict."""
    plain = {key: key for key in KEYS}
    ours: Any = bounded_many(max=SIZE, registry=Registry())(_many)
    return interleaved(
        "hits, 100 keys at once, to a dict", f"max={SIZE}, all hits, 1 thread; to a dict made of 100 look-ups",
        _calls(lambda keys: {key: plain[key] for key in keys}, lambda: KEYS), _calls(ours, lambda: KEYS), rounds, 4.0,
    )  # fmt: skip


def many_misses(rounds: int) -> Ratio:
    """f(100 keys), all new in a full store, to 100 misses of a function of one key."""
    single: Any = bounded(max=SIZE, ttl="1h", registry=Registry())(_one)
    ours: Any = bounded_many(max=SIZE, ttl="1h", registry=Registry())(_many)
    return interleaved(
        "misses, 100 keys at once", f"max={SIZE}, ttl, all misses, 1 thread; to 100 misses of bounded()",
        _calls(lambda keys: {key: single(key) for key in keys}, _fresh_keys()), _calls(ours, _fresh_keys()), rounds,
    )  # fmt: skip


def many_misses_awaited(rounds: int) -> Ratio:
    """await f(100 keys), all new in a full store, to 100 awaited misses of a function of one key."""
    single: Any = bounded(max=SIZE, ttl="1h", registry=Registry())(_one_awaited)
    ours: Any = bounded_many(max=SIZE, ttl="1h", registry=Registry())(_many_awaited)

    async def one_by_one(keys: list[Any]) -> None:
        for key in keys:
            await single(key)

    def awaits(call: Callable[[list[Any]], Any]) -> Timed:
        keys = _fresh_keys()

        def run(count: int) -> None:
            async def main() -> None:
                for _ in range(count):
                    await call(keys())

            asyncio.run(main())

        return timed(run, 50)

    return interleaved(
        "awaited misses, 100 keys at once", f"max={SIZE}, ttl, all misses, 1 task; to 100 awaited misses of bounded()",
        awaits(one_by_one), awaits(ours), rounds,
    )  # fmt: skip


MANY_CASES = {case.__name__: case for case in (many_hits, many_hits_to_look_ups, many_misses, many_misses_awaited)}

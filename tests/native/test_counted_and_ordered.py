"""What the study of the path in C asks of both paths: no hit is lost, and all stores decide in one order."""

import math
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.threads import in_threads, switching_often

from memo import Registry, _native, bounded

__all__ = ()

OPTIONS: dict[str, dict[str, Any]] = {
    "alone": {"dedupe": False},
    "told": {"on_evict": lambda key, value, reason: None},
    "chosen": {"cache_if": lambda value: True},
    "tagged": {"tags": ("all",)},
    "aged": {"ttl": "1h"},
    "idle": {"idle": "1h"},
    "copied": {"copy": "shallow"},
    "of a value": {"ttl": lambda value: 3600},
}


class Service:
    """Its method is called by many."""

    def load(self, x: int) -> int:
        return x


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru", "lfu"])
def test_no_count_is_lost_among_eight_threads(policy: str) -> None:
    """Each call of eight threads that change at every turn is a hit, a miss or a join, and each eviction is told."""
    told: list[Any] = []
    options: dict[str, Any] = {"max": 6, "policy": policy, "registry": Registry()}
    plain = bounded(**options, ttl="1h", on_evict=lambda *gone: told.append(gone))(lambda x: x)
    method = bounded(**options)(Service.load)
    kind = type("Other", (Service,), {"load": method})
    service, calls = kind(), 1200
    number, lock = [0], threading.Lock()

    def work() -> None:
        with lock:
            number[0] += 1
            dice = random.Random(number[0])
        for _ in range(calls):
            x = min(dice.randrange(9), dice.randrange(9))
            assert plain(x) == plain(x=x) == service.load(x) == x

    with switching_often():
        in_threads(work, 8)
    for function, made in ((plain, 16 * calls), (method, 8 * calls)):
        stats = function.cache.stats()
        assert stats.hits + stats.misses + stats.joins == made
        assert stats.hits > made / 2
        function.cache._check()
    assert plain.cache.stats().evictions["size"] == len(told) > 0


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_stores_of_all_options_decide_alike(policy: str, options: dict[str, Any]) -> None:
    """Of the same calls, whichever options it has, a store keeps what one without options keeps."""
    loads: list[list[int]] = [[], []]

    def kept(asked: list[int], **options: Any) -> Callable[[int], Any]:
        def fetch(x: int) -> int:
            asked.append(x)
            return x

        return bounded(max=20, policy=policy, registry=Registry(), **options)(fetch)

    first, second = kept(loads[0]), kept(loads[1], **options)
    dice = random.Random(4)
    for _ in range(1500):
        x = min(dice.randrange(60), dice.randrange(60), dice.randrange(80))
        assert first(x) == second(x) == x
        assert loads[0] == loads[1]
        loads[0].clear(), loads[1].clear()


@pytest.mark.parametrize(
    "options", [{}, {"on_evict": lambda *gone: None}, {"dedupe": False}], ids=["lean", "told", "alone"]
)
def test_entries_without_an_end_share_one_deadline(options: dict[str, Any]) -> None:
    """No entry that lives for ever has a number of its own for that, however it was stored."""
    fetch = bounded(max=9, registry=Registry(), **options)(lambda x: x)
    fetch(1)
    fetch(x=2)
    fetch.cache.put(3, 3)
    fetch.cache.refresh(4)
    entries = list(fetch.cache.store.values())
    assert [entry.deadline for entry in entries] == [math.inf] * 4
    if _native.speed is None:  # in C they are no objects
        assert all(entry.deadline is math.inf for entry in entries)

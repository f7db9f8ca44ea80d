"""Every freshness option at once, from many threads and coroutines."""

import asyncio
import contextlib
import random
import threading

import pytest
from kit.coroutines import every_loop, play, some_turns, until_async
from kit.threads import Running, switching_often, until

from memo import InflightTimeout, Registry, bounded
from memo.testing import FakeClock


@pytest.mark.parametrize("seed", range(3))
def test_threads_with_everything_on(seed: int) -> None:
    """No value past its window, no lost call: the five counters add up, bounds and invariants hold."""
    clock, here = FakeClock(), Registry()
    failing = [False]

    def stamped(value: list[float]) -> bool:
        """Note when its load ended: the clock may have gone on a lot since that began."""
        value.append(clock())
        return True

    @bounded(
        max=4, ttl=2, stale_while_revalidate=2, stale_if_error=6, soft_timeout=1, jitter=0.1, cache_errors=LookupError,
        error_ttl=1, timeout=30, copy="shallow", clock=clock, registry=here, cache_if=stamped,
    )  # fmt: skip
    def fetch(name: str) -> list[float]:
        if failing[0]:
            raise LookupError(name)
        return [clock()]

    counted = [0] * 6
    over = threading.Event()

    def churn(number: int) -> None:
        rng = random.Random(seed * 100 + number)
        while not over.is_set():
            name, act, before = rng.choice("abcdef"), rng.randrange(20), clock()
            with contextlib.suppress(LookupError, InflightTimeout):
                if act == 0:
                    fetch.cache.invalidate(name)
                elif act == 1:
                    fetch.cache.clear()
                elif act == 2:
                    fetch.cache.put([clock()], name)
                elif act == 3:
                    fetch.cache.refresh(name)
                else:
                    counted[number] += 1
                    if act == 4:
                        value = fetch.cache.within(0.5).call(name)
                    elif act == 5:
                        value = fetch.cache.fresh(name)
                    else:
                        value = fetch(name)
                    assert before - value[-1] < 2 + 6, "a value past its window was served"

    with switching_often():
        threads = [Running(lambda number=number: churn(number)) for number in range(6)]
        rng = random.Random(seed)
        for _ in range(150):
            failing[0] = rng.random() < 0.4
            clock.advance(rng.choice([0.1, 0.5, 1, 3]))
            enough = sum(counted) + 20
            until(lambda: sum(counted) >= enough)  # noqa: B023
        over.set()
        for thread in threads:
            thread.result()
    until(lambda: not (here.pool.busy or here.pool.queued or fetch.cache._cache.jobs))
    stats = fetch.cache.stats()
    assert stats.requests == sum(counted)
    assert all(number > 0 for number in (stats.hits, stats.misses, stats.stale_hits, stats.error_hits))
    assert stats.size <= 4
    fetch.cache._check()
    assert not fetch.cache._cache.table


@every_loop
@pytest.mark.parametrize("seed", range(2))
def test_coroutines_with_everything_on(kind: str, seed: int) -> None:
    """The same between tasks, some of which are cancelled."""
    clock = FakeClock()
    failing = [False]
    rng = random.Random(seed)

    @bounded(
        max=4, ttl=2, stale_while_revalidate=2, stale_if_error=6, soft_timeout=1, jitter=0.1, cache_errors=LookupError,
        error_ttl=1, timeout=5, copy="shallow", clock=clock, registry=Registry(),
    )  # fmt: skip
    async def fetch(name: str) -> list[float]:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        if failing[0]:
            raise LookupError(name)
        return [clock()]

    async def one() -> int:
        name, act, before = rng.choice("abcdef"), rng.randrange(12), clock()
        with contextlib.suppress(LookupError, InflightTimeout):
            if act == 0:
                fetch.cache.invalidate(name)
                return 0
            if act == 1:
                fetch.cache.put([clock()], name)
                return 0
            if act == 2:
                value = await fetch.cache.within(0.5).call(name)
            elif act == 3:
                value = await fetch.cache.fresh(name)
            else:
                value = await fetch(name)
            assert before - value[0] < 2 + 6, "a value past its window was served"
        return 1

    async def main() -> None:
        calls = 0
        for _ in range(150):
            failing[0] = rng.random() < 0.4
            tasks = [asyncio.create_task(one()) for _ in range(8)]
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            clock.advance(rng.choice([0, 0, 0.1, 0.5, 1, 3]))
            calls += sum(await asyncio.gather(*tasks))
        await until_async(lambda: not (fetch.cache._cache.jobs or fetch.cache._cache.table))
        await some_turns()
        stats = fetch.cache.stats()
        assert stats.requests == calls
        assert stats.size <= 4
        fetch.cache._check()

    play(main, kind)

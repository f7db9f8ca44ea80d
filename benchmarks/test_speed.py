"""The main cases of `speed.py` under pytest-benchmark, baseline and candidate side by side.

    pip install ".[bench]" && python -m pytest benchmarks

Nothing here asserts a time, and the ordinary test command does not collect it. The runs of one group follow one
another, so that on a busy machine `speed.py`, which alternates them, is the one to believe.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("pytest_benchmark", reason="pip install '.[bench]'")

from memo import bounded, dedupe_inflight

Benchmark = Any

SIZE = 500
KEY = "user-17"
CALLS = 100
"""Awaits in one run of a coroutine benchmark: entering the loop costs more than one hit."""


def same(key: Any) -> Any:
    return key


async def same_later(key: Any) -> Any:
    return key


MAKERS: dict[str, Callable[[Any], Any]] = {
    "lru_cache": functools.lru_cache(maxsize=SIZE),
    "bounded": bounded(max=SIZE, ttl="1h"),
}


def filled(function: Any) -> Any:
    for other in range(SIZE - 1):
        function(other)
    assert function(KEY) == KEY
    return function


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.mark.benchmark(group="hit, one positional argument")
@pytest.mark.parametrize("maker", MAKERS)
def test_hit(benchmark: Benchmark, maker: str) -> None:
    function = filled(MAKERS[maker](lambda key: key))
    assert benchmark(function, KEY) == KEY
    assert function.cache_info().misses == SIZE


@pytest.mark.benchmark(group="hit, one keyword argument")
@pytest.mark.parametrize("maker", MAKERS)
def test_hit_by_keyword(benchmark: Benchmark, maker: str) -> None:
    function = filled(MAKERS[maker](lambda key: key))
    assert benchmark(function, key=KEY) == KEY


@pytest.mark.benchmark(group="hit, method")
@pytest.mark.parametrize("maker", MAKERS)
def test_hit_of_a_method(benchmark: Benchmark, maker: str) -> None:
    class Service:
        @MAKERS[maker]
        def fetch(self, key: Any) -> Any:
            return key

    service = Service()
    filled(service.fetch)
    assert benchmark(lambda: service.fetch(KEY)) == KEY


@pytest.mark.benchmark(group=f"{CALLS} awaited hits")
@pytest.mark.parametrize("decorated", [False, True], ids=["bare", "bounded"])
def test_awaited_hit(benchmark: Benchmark, loop: asyncio.AbstractEventLoop, decorated: bool) -> None:
    function = bounded(max=SIZE, ttl="1h")(same_later) if decorated else same_later

    async def calls() -> Any:
        for _ in range(CALLS):
            result = await function(KEY)
        return result

    assert benchmark(lambda: loop.run_until_complete(calls())) == KEY


@pytest.mark.benchmark(group="miss that evicts")
@pytest.mark.parametrize("maker", MAKERS)
def test_miss_that_evicts(benchmark: Benchmark, maker: str) -> None:
    function = filled(MAKERS[maker](lambda key: key))
    new = itertools.count(SIZE)
    benchmark(lambda: function(next(new)))
    info = function.cache_info()
    assert (info.hits, info.currsize) == (0, SIZE)


@pytest.mark.benchmark(group="single flight, uncontended")
@pytest.mark.parametrize("decorated", [False, True], ids=["bare", "dedupe_inflight"])
def test_flight(benchmark: Benchmark, decorated: bool) -> None:
    function = dedupe_inflight(same) if decorated else same
    assert benchmark(function, KEY) == KEY


@pytest.mark.benchmark(group=f"{CALLS} single flights of coroutines, uncontended")
@pytest.mark.parametrize("decorated", [False, True], ids=["create_task", "dedupe_inflight"])
def test_flight_of_coroutines(benchmark: Benchmark, loop: asyncio.AbstractEventLoop, decorated: bool) -> None:
    deduped = dedupe_inflight(same_later)

    async def calls() -> Any:
        for _ in range(CALLS):
            result = await (deduped(KEY) if decorated else loop.create_task(same_later(KEY)))
        return result

    assert benchmark(lambda: loop.run_until_complete(calls())) == KEY

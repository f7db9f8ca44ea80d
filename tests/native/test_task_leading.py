"""What C does of a call that a coroutine's own task leads, and what it leaves to Python."""

import asyncio
import gc
import sys
from typing import Any

import pytest
from kit.caller_work import deduped, remembered, single_make

from memo import Registry, bounded
from memo._decorated.layer import layer_of
from memo._flight import caller_work
from memo._flight.task_work import current_work
from memo._native import speed, why
from memo.testing import FakeClock

pytestmark = pytest.mark.skipif(speed is None, reason=why)


@pytest.fixture
def in_python(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The keys of calls whose place in the table Python looks after."""
    keys: list[object] = []
    enter = caller_work.CallerFlights.enter
    monkeypatch.setattr(
        caller_work.CallerFlights, "enter", lambda self, mine, key: (keys.append(key), enter(self, mine, key))[1]
    )
    return keys


def flights_of(decorated: Any) -> Any:
    return decorated.inflight.stats() if hasattr(decorated, "inflight") else decorated.cache.inflight.stats()


def test_a_call_that_is_alone_is_led_in_c(in_python: list[object]) -> None:
    """It is counted as one that Python leads, leaves no running call, and its context as it was."""

    @remembered
    async def load(key: str) -> list[str]:
        assert current_work.get() is not None
        assert flights_of(load).active > 0
        await asyncio.sleep(0)
        return [key]

    async def main() -> None:
        assert await load("a") == ["a"]
        assert await asyncio.gather(load("b"), load("b"), load("c")) == [["b"], ["b"], ["c"]]
        assert current_work.get() is None

    asyncio.run(main())
    figures = flights_of(load)
    assert (figures.started, figures.completed, figures.joined, figures.failed, figures.active) == (3, 3, 1, 0, 0)
    assert in_python == ["b"]  # of the one that found somebody running


def test_times_are_those_of_the_functions_clock() -> None:
    """A load's length, and the time from which on its result is stale, are measured as in Python."""
    clock = FakeClock()

    @bounded(max=8, work="caller", ttl=10, clock=clock, registry=Registry())
    async def load(key: str) -> str:
        clock.advance(2)
        return key

    async def main() -> None:
        for step_s in (0, 9.5, 0.5):
            clock.advance(step_s)
            await load("a")

    asyncio.run(main())
    stats = load.cache.stats()
    assert (stats.hits, stats.misses, stats.load_seconds) == (1, 2, 4.0)


class _Key:
    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key)


def test_what_c_declines(in_python: list[object]) -> None:
    """A key that is not plain, a call within another's work, a context without a loop: Python answers these."""

    @remembered
    async def load(key: Any) -> Any:
        return await load(key[1]) if isinstance(key, tuple) else key

    assert asyncio.run(load(("outer", "inner"))) == "inner"
    assert in_python == ["inner"]
    in_python.clear()
    key = _Key()
    assert asyncio.run(load(key)) is key
    assert len(in_python) == 1
    coroutine = load("new")
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)
    coroutine.close()
    assert flights_of(load).active == 0


@pytest.mark.parametrize(
    "decorate", [deduped, lambda load: remembered(load, timeout=60)], ids=["dedupe_inflight", "timeout"]
)
def test_calls_with_deadlines_are_pythons(decorate: Any, in_python: list[object]) -> None:
    """What such calls take beyond a place in the table is Python's affair, from their beginning on."""
    load = decorate(_same)
    assert asyncio.run(load("a")) == "a"
    assert in_python == ["a"]


def test_unshared_calls_are_led_in_c(in_python: list[object]) -> None:
    """Calls that share nothing lead each its own load; the result of the one that was begun last is kept."""
    begun: list[int] = []
    gates: list[asyncio.Event] = []

    async def load(key: str) -> int:
        begun.append(mine := len(begun))
        await gates[mine].wait()
        return mine

    unshared = remembered(load, dedupe=False)

    async def main() -> None:
        gates.extend(asyncio.Event() for _ in range(3))
        tasks = [asyncio.create_task(unshared("a")) for _ in range(3)]
        await asyncio.sleep(0)
        for number in (1, 2, 0):
            gates[number].set()
            assert await tasks[number] == number
        assert await unshared("a") == 2

    asyncio.run(main())
    figures = flights_of(unshared)
    assert (figures.started, figures.completed, figures.joined, figures.active) == (3, 3, 0, 0)
    assert in_python == []


@single_make
def test_failures_and_cancellations(make: Any) -> None:
    """What the work raises comes out as it is, and whatever ends it leaves table and context as they were."""

    @make
    async def load(key: str) -> str:
        if key == "fails":
            raise KeyError(key)
        await asyncio.sleep(60)
        return key

    async def main() -> None:
        with pytest.raises(KeyError, match="fails"):
            await load("fails")
        task = asyncio.create_task(load("waits"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert current_work.get() is None

    asyncio.run(main())
    figures = flights_of(load)
    assert (figures.failed, figures.cancelled, figures.active) == (1, 1, 0)


def test_near_the_recursion_limit(in_python: list[object]) -> None:
    """A call with little room on the stack is Python's: it leads none that it could not end."""
    load = remembered(_same)
    outcomes: list[type[BaseException]] = []

    def descend() -> None:
        try:
            descend()
        except RecursionError:
            try:
                coroutines.pop().send(None)
            except (StopIteration, RecursionError) as error:
                outcomes.append(type(error))
            if StopIteration not in outcomes:
                raise  # to where there is more room

    async def main() -> None:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(400)
        try:
            descend()
        finally:
            sys.setrecursionlimit(limit)

    coroutines = [load("deep") for _ in range(60)]
    asyncio.run(main())
    for coroutine in coroutines:
        coroutine.close()
    assert outcomes.count(StopIteration) == 1
    assert in_python
    assert flights_of(load).active == 0


async def _same(key: str) -> str:
    return key


def test_its_parts_are_checked() -> None:
    """It is made of what it knows, and refuses what is no flight."""
    load = deduped(_same)
    words = layer_of(load).internals()
    with pytest.raises(TypeError):
        speed.TaskLeading()
    with pytest.raises(TypeError, match="a flight and a value"):
        words["land"](1, 2)
    with pytest.raises(TypeError, match="a flight and a key"):
        words["enter"](words["born"]())


def test_references_do_not_grow() -> None:
    """Ten thousand misses leave no object behind."""
    load = remembered(_same)

    async def main(first: int) -> None:
        for key in range(first, first + 2_000):
            await load(key)

    counts = []
    for first in range(0, 10_000, 2_000):
        asyncio.run(main(first))
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert max(counts[1:]) - min(counts[1:]) < 50

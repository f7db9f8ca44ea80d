"""What counts as a failed load, what waits for a thread, and what a loop that is not asyncio's is told."""

import asyncio
import importlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kit.threads import LIMIT_S

from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock


def cancelled_load(options: dict[str, Any], first_step: bool) -> Any:
    """A function whose only load was cancelled, before or after it began."""
    f = bounded(max=9, registry=Registry(), **options)(waiting)

    async def main() -> None:
        task = asyncio.create_task(f(1))
        await asyncio.sleep(0)
        if first_step:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    return f


async def waiting(x: int) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("first_step", [False, True])
@pytest.mark.parametrize("options", [{}, {"policy": "lru"}, {"ttl": 60, "stale_if_error": 60}, {"timeout": 3600}])
def test_a_cancelled_load_is_no_load_error(options: dict[str, Any], first_step: bool) -> None:
    """What nobody waited for any more is counted as cancelled, and is neither a load nor a load error."""
    f = cancelled_load(options, first_step)
    stats = f.cache.stats()
    assert (stats.misses, stats.loads, stats.load_errors) == (1, 0, 0)
    assert f.inflight.stats().cancelled == 1


def test_a_load_that_timed_out_is_a_load_error() -> None:
    """Its task is cancelled as well, but since it took too long."""
    clock = FakeClock()
    f = bounded(max=9, timeout=60, clock=clock, registry=Registry())(waiting)

    async def main() -> None:
        task = asyncio.create_task(f(1))
        while not f.inflight.pending():
            await asyncio.sleep(0)
        clock.advance(60)
        with pytest.raises(InflightTimeout):
            await task

    asyncio.run(main())
    assert f.cache.stats().load_errors == 1
    assert f.inflight.stats().cancelled == 1


def test_work_that_returns_too_late_has_ended() -> None:
    """A coroutine that does not let itself be cancelled at its deadline counts as completed when it returns."""
    clock = FakeClock()

    @dedupe_inflight(timeout=60, clock=clock, registry=Registry())
    async def f() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "late"

    async def main() -> None:
        task = asyncio.create_task(f())
        await begun.wait()
        clock.advance(60)
        with pytest.raises(InflightTimeout):
            await task
        await asyncio.sleep(0)

    begun = asyncio.Event()
    asyncio.run(main())
    stats = f.inflight.stats()
    assert (stats.started, stats.completed, stats.cancelled, stats.timeouts) == (1, 1, 0, 1)


@pytest.fixture
def opened() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def test_background_loads_that_wait_for_a_thread_are_pending(opened: threading.Event) -> None:
    """What was asked for is in ``pending()``, ``len()`` and ``stats()`` before there is a thread that runs it."""
    clock = FakeClock()
    registry = Registry()
    registry.configure(refresh_threads=1)
    held = threading.Event()

    @bounded(max=9, ttl=10, stale_while_revalidate=600, clock=clock, registry=registry)
    def f(x: int) -> float:
        if clock() > begun:
            held.set()
            assert opened.wait(LIMIT_S)
        return clock()

    begun = clock()
    for x in (1, 2, 3):
        f(x)
    clock.advance(20)
    f(1)
    assert held.wait(LIMIT_S)
    f(2)
    f(3)
    clock.advance(5)
    assert len(f.inflight) == f.inflight.stats().active == 3
    assert {row.key: row.leader for row in f.inflight.pending() if row.key != 1} == {
        2: "waits for a thread", 3: "waits for a thread"
    }  # fmt: skip
    assert {row.age for row in f.inflight.pending()} == {5.0}
    assert f.inflight.stats().oldest == 5.0
    assert f.inflight.forget(2) is False  # it runs not yet, but no newcomer waits for it any more
    assert len(f.inflight) == 2
    assert f.inflight.cleanup() == 0
    opened.set()
    ends = time.monotonic() + LIMIT_S
    while (f.inflight.pending() or f.cache.stats().loads < 6) and time.monotonic() < ends:
        time.sleep(0.001)
    assert f.cache.stats().loads == 6
    assert len(f.inflight) == 0


def test_the_pending_loads_of_an_instance(opened: threading.Event) -> None:
    """Reached through an instance, only what waits for that instance is shown."""
    clock = FakeClock()
    registry = Registry()
    registry.configure(refresh_threads=1)

    class Host:
        @bounded(max=9, ttl=10, stale_while_revalidate=600, clock=clock, registry=registry)
        def f(self, x: int) -> float:
            if clock() > begun:
                assert opened.wait(LIMIT_S)
            return clock()

    begun = clock()
    hosts = [Host(), Host()]
    for host in hosts:
        host.f(1)
    clock.advance(20)
    for host in hosts:
        host.f(1)
    assert [len(host.f.inflight) for host in hosts] == [1, 1]
    assert [host.f.inflight.pending()[0].key for host in hosts] == [1, 1]
    assert len(Host.f.inflight) == 2


def under(library: str, main: Any) -> Any:
    try:
        run = importlib.import_module(library).run
    except Exception as error:  # curio breaks on its import under later versions of Python
        pytest.skip(f"{library}: {error!r}")
    return run(main)


@pytest.mark.parametrize("library", ["trio", "curio"])
@pytest.mark.parametrize(
    "decorate",
    [dedupe_inflight(timeout=60), bounded(max=9), bounded(max=9, ttl=60, stale_if_error=60)],
    ids=["dedupe_inflight", "bounded", "late"],
)
def test_other_loops_are_told_that_asyncio_is_needed(library: str, decorate: Any) -> None:
    """A decorated coroutine function that is awaited under another library's loop says what it needs."""

    @decorate
    async def fetch(x: int) -> int:
        return x

    async def main() -> None:
        for call in (fetch, getattr(fetch, "cache", None) and fetch.cache.refresh):
            if call is not None:
                with pytest.raises(RuntimeError, match=r"fetch\(\): no running event loop of asyncio.*plain function"):
                    await call(1)

    under(library, main)
    assert len(fetch.inflight) == 0
    assert asyncio.run(fetch(1)) == 1


def test_within_under_another_loop() -> None:
    """``within()`` says the same."""

    @bounded(max=9)
    async def fetch(x: int) -> int:
        return x

    async def main() -> None:
        with pytest.raises(RuntimeError, match="asyncio"):
            await fetch.cache.within("1s").fresh(1)

    under("trio", main)
    assert asyncio.run(fetch.cache.within("1s").fresh(1)) == 1


@pytest.mark.usefixtures("nothing_collected")
def test_how_deep_a_recursion_goes() -> None:
    """As deep as the docstring says: each call takes two levels of the interpreter's limit, three under 3.11."""

    @bounded(max=1_000_000)
    def f(x: int) -> int:
        return 0 if x == 0 else f(x - 1) + 1

    with pytest.raises(RecursionError):
        f(1_000)
    assert f(250) == 250

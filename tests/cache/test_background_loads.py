"""One background load, whoever asks; what cancels it, what does not."""

import asyncio
import signal
import threading
from typing import Any

import pytest
from kit.coroutines import every_loop, play, quietly, some_turns, until_async, until_elsewhere
from kit.stale_flights import SWR, TTL, AsyncFetch, Fetch
from kit.threads import LIMIT_S, Running, interrupt_main, switching_often, until

SIE = {"max": 8, "ttl": TTL, "stale_if_error": 20}


# -- one background load, whoever asks


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
def test_many_threads_begin_one_background_load(policy: str) -> None:
    """All get the stale value at once, while the one load stands."""
    fetch = Fetch(**SWR, policy=policy)
    fetch()
    fetch.clock.advance(TTL)
    gate = fetch.hold()
    barrier = threading.Barrier(16)

    def call() -> list[str]:
        barrier.wait(LIMIT_S)
        return [fetch() for _ in range(50)]

    with switching_often():
        calls = [Running(call) for _ in range(16)]
        assert [call.result() for call in calls] == [["a1"] * 50] * 16
    gate.reached()
    assert fetch.executions == 2
    gate.open()
    fetch.settle()
    assert fetch() == "a2"
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.stale_hits, stats.refreshes) == (1, 1, 800, 1)


@every_loop
def test_many_coroutines_begin_one_background_load(kind: str) -> None:
    """All get the stale value at once, while the one load stands; no task is left."""
    fetch = AsyncFetch(**SWR)

    async def main() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        fetch.held = True
        assert await asyncio.gather(*[fetch() for _ in range(100)]) == ["a1"] * 100
        await some_turns()
        assert fetch.executions == 2
        await fetch.settle()
        await some_turns()
        assert await fetch() == "a2"

    play(main, kind)
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.stale_hits, stats.refreshes) == (1, 1, 100, 1)


def test_several_loops_begin_one_background_load() -> None:
    """Callers in four loops of four threads get the stale value; the load runs in the loop of one of them."""
    fetch = AsyncFetch(**SWR)
    play(fetch)
    fetch.clock.advance(TTL)
    fetch.held = True
    barrier = threading.Barrier(4)
    over = threading.Event()

    async def main() -> list[str]:
        barrier.wait(LIMIT_S)
        values = [await fetch() for _ in range(25)]
        await until_elsewhere(over.is_set)
        await until_elsewhere(lambda: fetch.idle)
        return values

    with quietly():
        calls = [Running(lambda: asyncio.run(main())) for _ in range(4)]
        until(lambda: fetch.cache.stats().stale_hits == 100)
        until(lambda: fetch.executions == 2)
        fetch.held = False
        over.set()
        assert [call.result() for call in calls] == [["a1"] * 25] * 4
    assert fetch.executions == 2
    assert play(fetch) == "a2"


@every_loop
def test_limited_callers_share_one_load(kind: str) -> None:
    """Many within() callers and plain ones: one execution, all get its value."""
    fetch = AsyncFetch(max=8)

    async def main() -> None:
        fetch.held = True
        limited = [asyncio.create_task(fetch.cache.within(7).call("a")) for _ in range(10)]
        await some_turns()
        plain = [asyncio.create_task(fetch()) for _ in range(10)]
        await some_turns()
        fetch.held = False
        assert await asyncio.gather(*limited, *plain) == ["a1"] * 20
        await fetch.settle()

    play(main, kind)
    stats = fetch.cache.stats()
    assert (stats.misses, stats.joins, stats.loads) == (1, 19, 1)


def test_limited_callers_of_two_loops_share_one_load() -> None:
    """The second loop's background load joins the first's; its caller counts as a join."""
    fetch = AsyncFetch(max=8)
    fetch.held = True

    async def main() -> str:
        value = await fetch.cache.within(LIMIT_S).call("a")
        await until_elsewhere(lambda: fetch.idle)
        return value  # type: ignore[no-any-return]

    with quietly():
        first = Running(lambda: asyncio.run(main()))
        until(lambda: fetch.executions == 1)
        second = Running(lambda: asyncio.run(main()))
        until(lambda: [flight.waiters for flight in fetch.cache.inflight.pending()] == [1])
        fetch.held = False
        assert (first.result(), second.result()) == ("a1", "a1")
    stats = fetch.cache.stats()
    assert (fetch.executions, stats.misses, stats.joins) == (1, 1, 1)


def test_a_limited_caller_who_joins_a_plain_one_counts_as_a_join() -> None:
    """His background load runs nothing itself, and the plain caller leads."""
    fetch = Fetch(max=8)
    gate = fetch.hold()
    plain = Running(fetch)
    gate.reached()
    limited = Running(lambda: fetch.cache.within(LIMIT_S).call("a"))
    until(lambda: [flight.waiters for flight in fetch.cache.inflight.pending()] == [1])
    gate.open()
    assert (plain.result(), limited.result()) == ("a1", "a1")
    stats = fetch.cache.stats()
    assert (fetch.executions, stats.misses, stats.joins, stats.loads) == (1, 1, 1, 1)


# -- cancellation


@every_loop
def test_the_end_of_the_caller_does_not_end_the_background_load(kind: str) -> None:
    """The task that began it is over, or cancelled, and the load goes on."""
    fetch = AsyncFetch(**SWR)

    async def main() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        fetch.held = True

        async def caller() -> None:
            assert await fetch() == "a1"
            await asyncio.Event().wait()

        task = asyncio.create_task(caller())
        await until_async(lambda: fetch.executions == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await fetch.settle()
        assert fetch.cancelled == 0
        assert await fetch() == "a2"

    play(main, kind)


@every_loop
@pytest.mark.parametrize("options", [{"max": 8}, {**SIE, "soft_timeout": 7}], ids=["within", "soft"])
def test_a_cancelled_limited_caller_leaves_alone(kind: str, options: dict[str, Any]) -> None:
    """The others and the load go on, even if he was the one who began it, or the only one."""
    fetch = AsyncFetch(**options)
    soft = "soft_timeout" in options

    async def main() -> None:
        if soft:
            await fetch()
            fetch.clock.advance(TTL)
        fetch.held = True

        def call() -> Any:
            return fetch() if soft else fetch.cache.within(7).call("a")

        first, second = (asyncio.create_task(call()) for _ in range(2))
        await until_async(lambda: fetch.clock.waiting() == 2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert fetch.clock.waiting() == 1
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await some_turns()
        assert (fetch.cancelled, fetch.clock.waiting()) == (0, 0)
        third = asyncio.create_task(call())
        await until_async(lambda: fetch.clock.waiting() == 1)
        fetch.held = False
        assert await third == f"a{fetch.executions}"
        assert fetch.executions == 1 + soft
        await fetch.settle()

    play(main, kind)


@every_loop
def test_a_failure_that_a_cancelled_caller_would_have_seen_is_logged(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else waits, so the log tells."""
    fetch = AsyncFetch(max=8)
    fetch.error = LookupError("down")

    async def main() -> None:
        fetch.held = True
        task = asyncio.create_task(fetch.cache.within(7).call("a"))
        await until_async(lambda: fetch.executions == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await fetch.settle()
        await some_turns()

    play(main, kind)
    assert [repr(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["LookupError('down')"]


@every_loop
def test_a_background_load_that_cancels_itself_is_replaced(kind: str) -> None:
    """Who began it is struck, as the leader of a plain call is; who joined begins another."""
    fetch = AsyncFetch(max=8)
    fetch.error = asyncio.CancelledError()

    async def main() -> None:
        fetch.held = True
        tasks = [asyncio.create_task(fetch.cache.within(7).call("a")) for _ in range(3)]
        await until_async(lambda: fetch.executions == 1)
        fetch.held = False
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3
        assert fetch.executions == 3
        fetch.error = None
        assert await fetch.cache.within(7).call("a") == "a4"
        await fetch.settle()

    play(main, kind)
    stats = fetch.cache.stats()
    assert stats.requests == 4


def test_what_ends_a_limited_load_strikes_the_caller_who_began_it() -> None:
    """SystemExit does not end a thread of the pool, and reaches the caller."""
    fetch = Fetch(max=8)
    fetch.error = SystemExit(3)
    with pytest.raises(SystemExit) as caught:
        fetch.cache.within(LIMIT_S).call("a")
    assert caught.value.code == 3
    fetch.error = None
    assert fetch.cache.within(LIMIT_S).call("a") == "a2"
    fetch.settle()
    assert fetch.registry.pool.threads == 1
    assert fetch.cache.stats().requests == 2


def test_what_ends_a_background_load_of_nobody_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The thread lives on, and the stale value stays."""
    fetch = Fetch(**SWR)
    fetch()
    fetch.clock.advance(TTL)
    fetch.error = SystemExit(3)
    assert fetch() == "a1"
    fetch.settle()
    assert [repr(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["SystemExit(3)"]
    fetch.error = None
    fetch.clock.advance(1)
    assert fetch() == "a1"
    fetch.settle()
    assert fetch() == "a3"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no signals between threads")
def test_ctrl_c_ends_the_wait_of_a_limited_caller() -> None:
    """KeyboardInterrupt reaches him at once; the load goes on and is stored."""
    fetch = Fetch(max=8)
    gate = fetch.hold()

    def interrupt() -> None:
        gate.reached()
        until(lambda: fetch.clock.waiting() == 1)
        interrupt_main()

    helper = Running(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch.cache.within(LIMIT_S).call("a")
    helper.result()
    assert fetch.clock.waiting() == 0
    gate.open()
    fetch.settle()
    assert fetch() == "a1"
    assert fetch.executions == 1

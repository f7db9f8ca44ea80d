"""``on_evict`` as a coroutine function: on which loop it runs, in which order, and that none is lost silently."""

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.bounded import POLICIES
from kit.coroutines import a_loop, play
from kit.leased import Client
from kit.processes import in_a_child
from kit.strikes import strike
from kit.threads import LIMIT_S, Running

from memo import EvictionReason, Registry, bounded
from memo.testing import FakeClock


class AwaitedCloser:
    """An ``on_evict`` that closes clients, and takes its time."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.loops: list[Any] = []
        self.then: Callable[[], object] = lambda: None

    async def __call__(self, key: Any, client: Client, reason: EvictionReason) -> None:
        self.begun.append(f"{key} {reason}")
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        self.then()
        client.closed += 1
        self.ended.append(key)


def cached(closer: Any, **options: Any) -> Any:
    @bounded(**{"max": 3, "on_evict": closer, "policy": "lru", **options})
    async def fetch(name: str) -> Client:
        await asyncio.sleep(0)
        return Client(name)

    return fetch


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_it_runs_on_the_running_loop_in_the_order_of_departures(kind: str) -> None:
    """Whatever took the values out does not wait; drain() does."""
    closer = AwaitedCloser()
    fetch = cached(closer, ttl=60, stale_if_error=60)

    async def main() -> None:
        clients = [await fetch(name) for name in "abcd"]
        fetch.cache.put(Client("new"), "b")
        fetch.cache.invalidate("c")
        assert not any(client.closed for client in clients)
        fetch.cache.clear()
        await fetch.cache.drain()
        assert closer.begun == ["a size", "b replaced", "c invalidated", "b cleared", "d cleared"]
        assert [client.closed for client in clients] == [1, 1, 1, 1]
        assert set(closer.loops) == {asyncio.get_running_loop()}

    if kind == "uvloop":
        pytest.importorskip("uvloop")
    play(main, kind)
    assert fetch.cache.stats().unheard == 0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("max_bytes", [None, 100_000])
def test_under_every_policy_each_value_that_left_is_closed_once(policy: Any, max_bytes: int | None) -> None:
    """What the policy chose, what expired and what was cleared are told alike."""
    closer, clock = AwaitedCloser(), FakeClock()
    fetch = cached(closer, policy=policy, ttl=60, clock=clock, max_bytes=max_bytes)
    clients: list[Client] = []

    async def main() -> None:
        clients.extend([await fetch(str(i)) for i in range(12)])
        clock.advance(60)
        fetch.cache.cleanup()
        clients.append(await fetch("last"))
        fetch.cache.clear()
        await fetch.cache.drain()

    play(main)
    assert [client.closed for client in clients] == [1] * len(clients)
    assert sum(fetch.cache.stats().evictions.values()) == len(closer.ended) == 13


def test_a_value_is_closed_on_the_loop_on_which_it_was_loaded() -> None:
    """Another thread, with a loop of its own or without one, hands it over."""
    closer = AwaitedCloser()
    fetch = cached(closer)
    loaded, cleared = threading.Event(), threading.Event()

    async def load() -> Any:
        await fetch("a")
        loaded.set()
        assert await asyncio.to_thread(cleared.wait, LIMIT_S)
        await fetch.cache.drain()
        return asyncio.get_running_loop()

    async def clear() -> None:
        await fetch("b")
        fetch.cache.clear()
        await fetch.cache.drain()
        assert closer.loops.count(asyncio.get_running_loop()) == 1

    loading = Running(lambda: play(load))
    assert loaded.wait(LIMIT_S)
    play(clear)
    cleared.set()
    assert loading.result() in closer.loops
    assert sorted(closer.ended) == ["a", "b"]


def test_where_its_loop_is_closed_or_gone_it_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that ended before the value left, and one that ends before it begins the call."""
    closer = AwaitedCloser()
    fetch = cached(closer)
    kept, idle = a_loop("asyncio"), a_loop("asyncio")
    kept.run_until_complete(fetch("of a closed loop"))
    kept.close()
    idle.run_until_complete(fetch("of an idle loop"))
    with caplog.at_level(logging.ERROR, "memo"):
        fetch.cache.clear()
        assert fetch.cache.stats().unheard == 1
        assert "closed" in caplog.text
        idle.close()
        gc.collect()
    assert fetch.cache.stats().unheard == 2
    assert "'of an idle loop'" in caplog.text
    assert "drain()" in caplog.text
    assert closer.begun == []

    def forgotten() -> None:
        loop = a_loop("asyncio")
        loop.run_until_complete(fetch("of a loop that is gone"))
        loop.close()

    forgotten()
    gc.collect()
    fetch.cache.clear()
    assert fetch.cache.stats().unheard == 3
    fetch.cache_clear()
    assert fetch.cache.stats().unheard == 0


def test_an_idle_loop_begins_it_when_it_runs_again() -> None:
    """A loop that is not closed may run again, and then does what was handed to it."""
    closer = AwaitedCloser()
    fetch = cached(closer)
    loop = a_loop("asyncio")
    loop.run_until_complete(fetch("a"))
    fetch.cache.clear()
    loop.run_until_complete(fetch.cache.drain())
    assert closer.ended == ["a"]
    loop.close()


def test_the_end_of_a_loop_cancels_it_which_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio.run() cancels whatever still runs; one that had not begun counts as well."""
    never: list[asyncio.Event] = []

    async def close(key: str, client: Client, reason: str) -> None:
        never.append(asyncio.Event())
        await never[-1].wait()

    fetch = cached(close)

    async def main() -> None:
        await fetch("a")
        fetch.cache.clear()
        while not never:
            await asyncio.sleep(0)
        await fetch("b")
        fetch.cache.clear()

    asyncio.run(main())
    gc.collect()
    assert fetch.cache.stats().unheard == 2
    assert "cancelled before it had ended" in caplog.text


def test_what_it_raises_is_logged_and_a_cancelled_drain_cancels_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Errors are no news to whoever drains; who is cancelled while he waits leaves the calls alone."""
    closer = AwaitedCloser()
    fetch = cached(closer)

    def fail() -> None:
        raise ValueError("cannot be closed")

    async def main() -> None:
        closer.then = fail
        await fetch("a")
        fetch.cache.clear()
        await fetch.cache.drain()
        closer.then = lambda: None
        await fetch("b")
        fetch.cache.clear()
        draining = asyncio.create_task(fetch.cache.drain())
        await asyncio.sleep(0)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        await fetch.cache.drain()
        assert closer.ended == ["b"]

    play(main)
    assert "cannot be closed" in caplog.text
    assert fetch.cache.stats().unheard == 0


def test_what_it_evicts_itself_is_drained_too() -> None:
    """A call may use the function, also for the same key, and drain()."""
    fetch: Any

    async def close(key: str, client: Client, reason: str) -> None:
        order.append(key)
        if key == "a":
            await fetch("b")
            fetch.cache.clear()
            await fetch.cache.drain()
            order.append("a, drained")

    order: list[str] = []
    fetch = cached(close)

    async def main() -> None:
        await fetch("a")
        fetch.cache.clear()
        await fetch.cache.drain()
        assert order == ["a", "b", "a, drained"]

    play(main)


def test_a_leased_value_is_closed_on_its_loop_after_the_last_lease() -> None:
    """The end of the lease hands it over, and waits for nothing, cancelled or not."""
    closer = AwaitedCloser()
    fetch = cached(closer)

    async def main() -> None:
        async with fetch.cache.lease("a"):
            fetch.cache.clear()
            await fetch.cache.drain()
            assert closer.begun == []
        assert closer.begun == []
        await fetch.cache.drain()
        assert closer.ended == ["a"]
        lease = fetch.cache.lease("b")
        client = await lease.__aenter__()
        fetch.cache.clear()
        del lease
        await fetch.cache.drain()
        assert client.closed == 1

    play(main)
    assert fetch.cache.stats().unheard == 0


def test_a_named_loop() -> None:
    """Of a plain function, too, it runs on the loop that is named, or that a function returns when it is wanted."""
    closer = AwaitedCloser()
    loop = a_loop("asyncio")
    for named in (loop, lambda: loop):

        @bounded(max=2, on_evict=closer, evict_loop=named)
        def fetch(name: str) -> Client:
            return Client(name)

        fetch("a")
        fetch.cache.clear()
        loop.run_until_complete(fetch.cache.drain())
        assert closer.loops.pop() is loop
    loop.close()
    fetch("b")
    fetch.cache.clear()
    assert fetch.cache.stats().unheard == 1
    assert closer.ended == ["a", "a"]


def test_a_value_that_was_put_where_no_loop_runs() -> None:
    """It is closed on the loop of whoever takes it out, or on that of the last load."""
    closer = AwaitedCloser()
    fetch = cached(closer)
    fetch.cache.put(Client(), "put")

    async def main() -> None:
        fetch.cache.clear()
        await fetch("a")
        await asyncio.to_thread(fetch.cache.put, Client(), "put by a thread")
        await asyncio.to_thread(fetch.cache.clear)
        await fetch.cache.drain()

    play(main)
    assert sorted(closer.ended) == ["a", "put", "put by a thread"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_evict": AwaitedCloser()}, ("on_evict=", "coroutine function", "evict_loop=")),
        ({"on_evict": AwaitedCloser().__call__}, ("on_evict=", "coroutine function", "evict_loop=")),
        ({"on_evict": print, "evict_loop": lambda: None}, ("evict_loop=", "no effect", "leave it out")),
        ({"evict_loop": lambda: None}, ("evict_loop=", "no effect", "leave it out")),
        ({"on_evict": AwaitedCloser(), "evict_loop": 5}, ("evict_loop=5", "no event loop", "give one")),
        (
            {"on_evict": AwaitedCloser(), "evict_loop": AwaitedCloser().__call__},
            ("evict_loop=", "nobody would await", "plain function"),
        ),
    ],
)
def test_a_loop_that_is_missing_or_too_much_is_refused(options: dict[str, Any], says: tuple[str, ...]) -> None:
    """A plain function's values belong to no loop; a plain on_evict needs none."""
    with pytest.raises(TypeError) as caught:

        @bounded(max=1, **options)
        def fetch() -> None: ...

    assert all(word in str(caught.value) for word in ("bounded: ", *says))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_says_nothing_of_its_parents_calls() -> None:
    """What the parent's loop is about to do is the parent's, and in the child not missed."""
    closer = AwaitedCloser()
    fetch = cached(closer, fork="drop", registry=Registry())
    loops = [a_loop("asyncio")]
    loops[0].run_until_complete(fetch("a"))
    fetch.cache.clear()

    def act() -> bool:
        loops[0].close()
        gc.collect()
        return fetch.cache.stats().unheard == 0  # type: ignore[no-any-return]

    assert in_a_child(act) == 0
    loops[0].run_until_complete(fetch.cache.drain())
    assert closer.ended == ["a"]
    loops[0].close()


def test_struck_anywhere_each_call_is_made_or_counted() -> None:
    """Wherever an exception strikes a clear(), what left is told or counted as unheard of, once."""
    at = 0
    while True:
        closer = AwaitedCloser()
        fetch = cached(closer)
        loop = a_loop("asyncio")

        async def load(fetch: Any = fetch) -> None:
            await fetch("a")
            await fetch("b")

        loop.run_until_complete(load())
        where, raised = strike(lambda fetch=fetch: fetch.cache.clear(), at)  # type: ignore[misc]
        del raised
        loop.run_until_complete(fetch.cache.drain())
        stats = fetch.cache.stats()
        left = sum(stats.evictions.values())
        assert sorted(closer.ended) == ["a", "b"][: len(closer.ended)], where
        assert left == len(closer.ended) + stats.unheard, where
        loop.close()
        if where is None:
            break
        at += 3
    assert at > 60

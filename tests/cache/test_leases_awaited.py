"""Leases of coroutine functions: in tasks that are cancelled, in several loops, beside loads that are outdated."""

import asyncio
import threading
from typing import Any

import pytest
from kit.coroutines import play
from kit.instructions import at_every_instruction, stopped
from kit.leased import Client, Closer
from kit.threads import LIMIT_S, Running, switching_often

from memo import bounded


def cached(closer: Closer, **options: Any) -> Any:
    """A coroutine function whose results are clients, and which waits for ``gate`` if it has one."""
    gate: list[asyncio.Event] = []

    @bounded(**{"max": 4, "on_evict": closer, **options})
    async def fetch(name: str) -> Client:
        for event in gate:
            await event.wait()
        return Client(name)

    fetch.gate = gate  # type: ignore[attr-defined]
    return fetch


def test_the_task_that_ends_the_last_lease_tells() -> None:
    """Who invalidates does not wait; on_evict runs in the task whose lease is the last to end."""
    tasks: list[Any] = []
    closer = Closer(lambda: tasks.append(asyncio.current_task()))
    fetch = cached(closer)

    async def main() -> None:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def use() -> None:
            async with fetch.cache.lease("a") as client:
                entered.set()
                await leave.wait()
                assert client.closed == 0

        using = asyncio.create_task(use())
        await entered.wait()
        async with fetch.cache.lease("a"):
            fetch.cache.invalidate("a")
        assert closer.told == []
        leave.set()
        await using
        assert closer.take() == [("a", "a", "invalidated")]
        assert tasks == [using]

    play(main)


def test_cancelled_in_its_body_a_lease_ends() -> None:
    """The cancellation goes on, and what left is told once."""
    closer = Closer()
    fetch = cached(closer)

    async def main() -> None:
        entered = asyncio.Event()

        async def use() -> None:
            async with fetch.cache.lease("a"):
                entered.set()
                await asyncio.Event().wait()

        using = asyncio.create_task(use())
        await entered.wait()
        fetch.cache.clear()
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        assert closer.take() == [("a", "a", "cleared")]
        assert fetch.cache.stats().leases == 0

    play(main)


def test_cancelled_while_it_loads_a_lease_never_began() -> None:
    """Another that waits for the same load gets its value, and keeps it."""
    closer = Closer()
    fetch = cached(closer)

    async def main() -> None:
        fetch.gate.append(asyncio.Event())

        async def use() -> Client:
            async with fetch.cache.lease("a") as client:
                fetch.cache.clear()
                assert client.closed == 0
            return client  # type: ignore[no-any-return]

        first, second = asyncio.create_task(use()), asyncio.create_task(use())
        while not fetch.inflight.pending() or fetch.inflight.pending()[0].waiters < 1:
            await asyncio.sleep(0)
        assert fetch.cache.stats().leases == 0, "they wait for a value"
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        fetch.gate[0].set()
        assert (await second).closed == 1
        assert closer.take() == [("a", "a", "cleared")]
        assert fetch.cache.stats().leases == 0

    play(main)


def test_a_lease_that_is_dropped_with_its_coroutine_has_ended() -> None:
    """A task that is thrown away in the middle of its lease leaves none behind."""
    closer = Closer()
    fetch = cached(closer)

    async def main() -> None:
        async def use() -> None:
            async with fetch.cache.lease("a"):
                await asyncio.Event().wait()

        coroutine = use()
        task = asyncio.create_task(coroutine)
        for _ in range(5):
            await asyncio.sleep(0)
        fetch.cache.clear()
        assert closer.told == []
        task.cancel()
        await asyncio.wait([task])
        assert closer.take() == [("a", "a", "cleared")]
        lease = fetch.cache.lease("b")
        client = await lease.__aenter__()
        fetch.cache.clear()
        del lease
        assert client.closed == 1

    play(main)


def test_joiners_of_a_load_that_is_outdated_share_its_value() -> None:
    """What was fenced is closed when the last of those who waited for it is done, and not stored."""
    closer = Closer()
    fetch = cached(closer)

    async def main() -> None:
        fetch.gate.append(asyncio.Event())
        leave = [asyncio.Event(), asyncio.Event()]

        async def use(number: int) -> Client:
            async with fetch.cache.lease("a") as client:
                await leave[number].wait()
            return client  # type: ignore[no-any-return]

        users = [asyncio.create_task(use(0)), asyncio.create_task(use(1))]
        while not fetch.inflight.pending() or fetch.inflight.pending()[0].waiters < 1:
            await asyncio.sleep(0)
        fetch.cache.invalidate("a")
        fetch.gate[0].set()
        leave[1].set()
        second = await users[1]
        assert closer.told == []
        leave[0].set()
        assert await users[0] is second
        assert closer.take() == [("a", "a", "invalidated")]

    play(main)


def test_leases_in_several_loops_count_together() -> None:
    """A value that loops in two threads have in use is told by the one that ends its lease last."""
    idents: list[int] = []
    closer = Closer(lambda: idents.append(threading.get_ident()))
    fetch = cached(closer)
    entered = threading.Barrier(3)
    leave = [threading.Event(), threading.Event()]

    async def use(number: int) -> int:
        async with fetch.cache.lease("a") as client:
            entered.wait(LIMIT_S)
            leave[number].wait(LIMIT_S)
            assert client.closed == 0
        return threading.get_ident()

    async def load() -> None:
        await fetch("a")

    play(load)
    users = [Running(lambda number=number: play(lambda: use(number))) for number in (0, 1)]  # type: ignore[misc]
    entered.wait(LIMIT_S)
    fetch.cache.clear()
    leave[0].set()
    users[0].join()
    assert closer.told == []
    leave[1].set()
    assert [users[1].result()] == idents


def test_a_lease_with_stale_values_and_background_loads() -> None:
    """A stale value that answers a lease is in use, though a load in the background replaces it."""
    from memo.testing import FakeClock

    clock, closer = FakeClock(), Closer()
    fetch = cached(closer, ttl=10, stale_while_revalidate=60, clock=clock)

    async def main() -> None:
        await fetch("a")
        clock.advance(11)
        async with fetch.cache.lease("a") as stale:
            while not sum(fetch.cache.stats().evictions.values()):
                await asyncio.sleep(0)
            assert await fetch("a") is not stale
            assert closer.told == []
        assert closer.take() == [("a", "a", "replaced")]

    play(main)


# -- between any two instructions


def test_what_another_thread_takes_out_while_a_lease_begins_is_not_closed_in_use() -> None:
    """Wherever the lease stands when another thread clears the store, its body has an open client."""

    def trial(at: int) -> bool:
        closer = Closer()

        @bounded(max=4, on_evict=closer)
        def fetch(name: str) -> Client:
            return Client(name)

        fetch("a")

        def use() -> tuple[int, str]:
            with fetch.cache.lease("a") as client:
                return client.closed, client.name

        (closed, _), reached = stopped(use, at, lambda frame: _elsewhere(fetch), "/memo/_cache/lease")()
        assert closed == 0
        fetch.cache.clear()
        names = [name for _, name, _ in closer.told]
        assert len(names) == len(set(names)) == sum(fetch.cache.stats().evictions.values())
        return reached  # type: ignore[no-any-return]

    def _elsewhere(fetch: Any) -> None:
        lock = fetch.__memo_record__.parts[0].cache.store.lock
        if not lock._is_owned():
            Running(lambda: fetch.cache.put(Client("b"), "a")).join()

    assert at_every_instruction(trial) > 100


def test_threads_that_lease_what_others_evict_never_see_it_closed() -> None:
    """Under contention every client is closed once, after its last lease, and none is forgotten."""
    closer = Closer()
    made: list[Client] = []

    @bounded(max=2, policy="lru", on_evict=closer)
    def fetch(name: int) -> Client:
        client = Client(f"client {len(made)}")
        made.append(client)
        return client

    def use(first: int) -> None:
        for i in range(150):
            with fetch.cache.lease((first + i) % 5) as client:
                if i % 7 == 0:
                    fetch.cache.invalidate((first + i) % 5)
                assert client.closed == 0

    with switching_often():
        users = [Running(lambda first=first: use(first)) for first in range(4)]  # type: ignore[misc]
        for user in users:
            user.result()
    fetch.cache.clear()
    assert [client.closed for client in made] == [1] * len(made)

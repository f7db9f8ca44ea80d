"""A crowd that waits for one flight costs little more than each of its members: looks and wake-ups are shared."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from memo import Registry, bounded
from memo._flight.flight import LOOK_S, InFlight, born, look_in
from memo._flight.waiters import wake

__all__ = ()


def joined_by(number: int) -> InFlight:
    flight = born(InFlight(), "call")
    flight.joined = number
    return flight


def looks_a_second(number: int) -> float:
    flight = joined_by(number)
    return sum(1 / look_in(flight, ahead) for ahead in range(number))


def test_a_crowd_looks_hardly_more_often_than_a_few() -> None:
    """Whether the leader lives is looked at as often by a thousand as by ten of whom each looks as the first does."""
    assert looks_a_second(1) == 1 / LOOK_S
    assert looks_a_second(1000) <= 10 * looks_a_second(1)
    assert looks_a_second(100_000) / 100_000 <= looks_a_second(1) / 190


@pytest.mark.parametrize("ahead", [0, 1, 7, 500, 90_000])
def test_who_is_left_alone_looks_as_the_first(ahead: int) -> None:
    """Of those who came ahead only as many count as may be there still."""
    assert look_in(joined_by(1), ahead) == look_in(joined_by(0), ahead) == LOOK_S
    assert look_in(joined_by(2), ahead) <= 2 * LOOK_S
    assert look_in(joined_by(100_000), ahead) <= 200 * LOOK_S


class Counting(asyncio.SelectorEventLoop):
    """A loop that counts how often it is woken from elsewhere."""

    woken = 0

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> Any:
        self.woken += 1
        return super().call_soon_threadsafe(*args, **kwargs)


def test_each_loop_is_woken_once() -> None:
    """However many coroutines of a loop wait for another's flight, that loop is woken once for all of them."""
    loops = [Counting() for _ in range(3)]
    with contextlib.ExitStack() as open_loops:
        for loop in loops:
            open_loops.callback(loop.close)
        waiters: dict[Any, None] = {(loop, loop.create_future()): None for loop in loops for _ in range(50)}
        threads: list[int] = []
        waiters[lambda: threads.append(1)] = None
        wake(waiters)
        assert [loop.woken for loop in loops] == [1, 1, 1]
        assert threads == [1]
        wake(waiters)  # again, as if the first had been cut short
        for loop in loops:
            loop.run_until_complete(
                asyncio.gather(*[waiter[1] for waiter in waiters if type(waiter) is tuple and waiter[0] is loop])
            )


def test_many_loops_and_many_coroutines_share_one_execution() -> None:
    """Ten loops with fifty coroutines each, and as many threads as that again elsewhere: the function runs once."""
    ran: list[int] = []
    ready = threading.Event()

    @bounded(max=3, registry=Registry())
    async def fetch(x: int) -> int:
        ran.append(x)
        await asyncio.get_running_loop().run_in_executor(None, ready.wait)
        return x

    results: list[int] = []

    async def crowd() -> None:
        tasks = [asyncio.ensure_future(fetch(7)) for _ in range(50)]
        await asyncio.sleep(0)
        arrived.release()
        results.extend(await asyncio.gather(*tasks))

    arrived = threading.Semaphore(0)
    threads = [threading.Thread(target=asyncio.run, args=(crowd(),)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for _ in threads:
        arrived.acquire()
    ready.set()
    for thread in threads:
        thread.join()
    assert (ran, results) == ([7], [7] * 500)
    stats = fetch.cache.stats()
    assert (stats.misses, stats.hits + stats.joins) == (1, 499)

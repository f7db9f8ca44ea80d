"""Batches of which some callers leave: what others wait for goes on as a whole, and is stored as a whole."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from kit.batches import Held, Source
from kit.coroutines import every_loop, play, some_turns, until_async, until_elsewhere
from kit.flights_loops import in_a_loop

from memo import Registry
from memo.testing import FakeClock

Make = Callable[..., Source]


@pytest.fixture
def make(own: Registry) -> Make:
    return lambda **options: Source("coroutine", **{"registry": own, **options})


class HeldTogether(Held):
    """Holds up all calls of the function until they are let go together, and begins calls that wait for it."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.go = asyncio.Event()

    def _event(self, key: str) -> asyncio.Event:
        return self.go

    async def call(self, *keys: str, calls: int = 1) -> "asyncio.Task[Any]":
        """A call with many keys that waits, after which the function has been called so many times."""
        return await self._begun(self.source.many(list(keys)), calls)

    async def one(self, key: str, calls: int = 1) -> "asyncio.Task[Any]":
        return await self._begun(self.source.many.one(key), calls)

    async def _begun(self, call: Any, calls: int) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(call)
        await self.begun(calls)
        return task


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def stored(source: Source) -> str:
    return "".join(sorted(key[0] for key, _ in source.many.cache.items()))


@every_loop
def test_a_newcomer_joins_what_was_left(make: Make, kind: str) -> None:
    """A key whose caller has left, and that is loaded with others, is not loaded a second time."""
    source = make()

    async def main() -> None:
        held = HeldTogether(source)
        first = await held.call("a", "b", "c")
        second = await held.one("b")
        await cancel(first)
        third, fourth = await held.call("c", "a"), await held.one("c")
        held.go.set()
        assert await second == "b-en"
        assert await third == {"c": "c-en", "a": "a-en"}
        assert await fourth == "c-en"
        assert await source.many(["a", "b", "c"]) == {"a": "a-en", "b": "b-en", "c": "c-en"}

    play(main, kind)
    assert (source.calls, stored(source)) == ([["a", "b", "c"]], "abc")
    stats = source.many.cache.stats()
    assert (stats.hits, stats.misses, stats.joins) == (3, 3, 4)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_last_of_all_ends_it(make: Make, order: tuple[int, ...]) -> None:
    """In whatever order they leave: the function is cancelled once, as the last one leaves, and nothing is left."""
    source = make()

    async def main() -> None:
        held = HeldTogether(source)
        tasks = [await held.call("a", "b", "c"), await held.one("b"), await held.call("c", "b"), await held.one("a")]
        for at in order:
            assert held.cancelled == []
            await cancel(tasks[at])
        assert held.cancelled == [["a", "b", "c"]]
        await some_turns()
        assert len(source.many.inflight) == 0
        held.go.set()
        assert await source.many(["a", "b"]) == {"a": "a-en", "b": "b-en"}

    play(main)
    assert source.calls == [["a", "b", "c"], ["a", "b"]]
    assert stored(source) == "ab"


def test_left_again(make: Make) -> None:
    """A key that was left, joined and left once more ends with the others, when they are left."""
    source = make()

    async def main() -> None:
        held = HeldTogether(source)
        first, second = await held.call("a", "b"), await held.one("b")
        await cancel(first)
        again = await held.one("a")
        await cancel(second)
        assert held.cancelled == []
        once_more = await held.one("b")
        await cancel(again, once_more)
        assert held.cancelled == [["a", "b"]]
        await some_turns()
        assert len(source.many.inflight) == 0

    play(main)


@every_loop
def test_gathered_calls(make: Make, kind: str) -> None:
    """Single calls that were gathered go on and are stored together, too."""
    clock = FakeClock()
    source = make(gather="30m", clock=clock)

    async def main() -> None:
        held = HeldTogether(source)
        tasks = [asyncio.ensure_future(source.many.one(key)) for key in "abc"]
        await some_turns()
        clock.advance("30m")
        await until_async(lambda: source.calls)
        await cancel(tasks[0], tasks[2])
        assert held.cancelled == []
        held.go.set()
        assert await tasks[1] == "b-en"
        await some_turns()

    play(main, kind)
    assert (len(source.calls), stored(source)) == (1, "abc")


def test_batches_of_one_call_end_by_themselves(make: Make) -> None:
    """Of a call in two batches, the one of which others want a key goes on, and the other one is cancelled."""
    source = make(max_batch=2)

    async def main() -> None:
        held = HeldTogether(source)
        first = await held.call("a", "b", "c", "d", calls=2)
        second = await held.one("a", calls=2)
        await cancel(first)
        assert held.cancelled == [["c", "d"]]
        held.go.set()
        assert await second == "a-en"
        await some_turns()
        assert len(source.many.inflight) == 0

    play(main)
    assert stored(source) == "ab"


def test_what_is_fenced_meanwhile_is_not_stored(make: Make) -> None:
    """A key that is invalidated or put after its caller has left is not stored from the load, the others are."""
    source = make()

    async def main() -> None:
        held = HeldTogether(source)
        first, second = await held.call("a", "b", "c"), await held.one("b")
        await cancel(first)
        source.many.cache.invalidate("a")
        source.many.cache.put("put", "c")
        held.go.set()
        assert await second == "b-en"
        await some_turns()
        assert source.many.cache.entry("c").value == "put"  # type: ignore[union-attr]

    play(main)
    assert stored(source) == "bc"


def test_the_function_raises(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits gets the error; of the keys that were left nothing is kept, and nobody is told."""
    source = make()

    async def main() -> None:
        go = asyncio.Event()

        async def fail() -> None:
            await go.wait()
            raise LookupError("down")

        source.before = lambda keys: fail()
        first = asyncio.ensure_future(source.many(["a", "b"]))
        await until_async(lambda: source.calls)
        second = asyncio.ensure_future(source.many.one("b"))
        await some_turns()
        await cancel(first)
        go.set()
        with pytest.raises(LookupError, match="down"):
            await second
        await some_turns()
        assert len(source.many.inflight) == 0

    with caplog.at_level(logging.WARNING):
        play(main)
    assert (stored(source), caplog.records) == ("", [])


def test_kept_work(make: Make) -> None:
    """With ``keep=`` the batch goes on for that long after the last one has left, and no key of it ends before."""
    clock = FakeClock()
    source = make(keep="10s", clock=clock)

    async def main() -> None:
        held = HeldTogether(source)
        first, second = await held.call("a", "b"), await held.one("b")
        await cancel(first)
        clock.advance("11s")
        await some_turns()
        assert sorted(flight.key[0] for flight in source.many.inflight.pending()) == ["a", "b"]
        await cancel(second)
        clock.advance("9s")
        await some_turns()
        assert held.cancelled == []
        clock.advance("12s")
        await until_async(lambda: held.cancelled)
        await some_turns()
        assert len(source.many.inflight) == 0

    play(main)


def test_a_caller_of_another_loop(make: Make) -> None:
    """What a caller of another loop waits for goes on when the first one leaves, and ends when that one leaves, too."""
    source = make()

    async def main() -> None:
        held = HeldTogether(source)
        first = await held.call("a", "b")
        inside: list[asyncio.Task[Any]] = []
        loops: list[asyncio.AbstractEventLoop] = []

        async def wait_elsewhere() -> None:
            loops.append(asyncio.get_running_loop())
            inside.append(asyncio.ensure_future(source.many.one("b")))
            with pytest.raises(asyncio.CancelledError):
                await inside[0]

        elsewhere = in_a_loop(wait_elsewhere)
        await until_elsewhere(lambda: any(flight.waiters for flight in source.many.inflight.pending()))
        await cancel(first)
        await some_turns()
        assert held.cancelled == []
        loops[0].call_soon_threadsafe(inside[0].cancel)
        await until_elsewhere(lambda: held.cancelled)
        elsewhere.result()
        await until_async(lambda: len(source.many.inflight) == 0)

    play(main)
    assert source.calls == [["a", "b"]]


def test_ten_thousand_keys_are_left_at_once(make: Make) -> None:
    """Leaving very many keys looks at each a few times."""
    source = make(max=20_000)
    keys = [str(number) for number in range(10_000)]

    async def main() -> None:
        held = HeldTogether(source)
        first = await held.call(*keys)
        second = await held.one("5000")
        await cancel(first)
        await cancel(second)
        assert held.cancelled == [keys]
        await until_async(lambda: len(source.many.inflight) == 0)

    play(main)

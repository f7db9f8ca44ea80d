"""Batches of a coroutine function that run at the same time, in one event loop and in several."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from kit.batches import Held, Source
from kit.coroutines import every_loop, play, some_turns, until_async, until_elsewhere
from kit.flights_loops import in_a_loop, passing
from kit.threads import Gate

from memo import InflightTimeout, Registry
from memo.testing import FakeClock

Make = Callable[..., Source]


@pytest.fixture
def make(own: Registry) -> Make:
    return lambda **options: Source("coroutine", **{"registry": own, **options})


@every_loop
def test_what_overlaps_is_loaded_once(make: Make, kind: str) -> None:
    """A batch leads what nobody loads, and takes the rest from the batches that do, in any order of their ends."""
    source = make()

    async def main() -> None:
        held = Held(source)
        first = asyncio.create_task(source.many(["a", "b"]))
        await held.begun(1)
        second = asyncio.create_task(source.many(["b", "c"]))
        third = asyncio.create_task(source.many(["d", "c", "a"]))
        single = asyncio.create_task(source.many.one("c"))
        await held.begun(3)
        assert source.many.inflight.stats().waiting == 4
        for key in "dca":
            held.let(key)
        assert await first == {"a": "a-en", "b": "b-en"}
        assert await second == {"b": "b-en", "c": "c-en"}
        assert await third == {"d": "d-en", "c": "c-en", "a": "a-en"}
        assert await single == "c-en"

    play(main, kind)
    assert source.calls == [["a", "b"], ["c"], ["d"]]
    stats = source.many.cache.stats()
    assert (stats.hits, stats.misses, stats.joins) == (0, 4, 4)
    assert len(source.many.inflight) == 0


@every_loop
def test_the_error_of_a_batch(make: Make, kind: str) -> None:
    """Each caller who waits for a key of it gets the error, the one who began it the object itself."""
    source = make()
    error = LookupError("down")

    def fail(keys: list[str]) -> Any:
        async def wait() -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if "a" in keys:
                raise error

        return wait()

    async def main() -> list[Any]:
        source.before = fail
        calls = [source.many(["a", "b"]), source.many(["b", "c"]), source.many.one("b")]
        return await asyncio.gather(*calls, return_exceptions=True)

    mine, copy, single = play(main, kind)
    assert mine is error
    assert [type(one) for one in (copy, single)] == [LookupError] * 2
    assert error not in (copy, single)
    assert mine.__notes__[0].endswith("no result for the keys 'a', 'b'; what else was asked for is kept.")
    assert copy.__notes__[-1].endswith("no result for the keys 'b'; what else was asked for is kept.")
    assert ("c", "en") in source.many.cache
    assert len(source.many.inflight) == 0


@every_loop
def test_a_cancelled_caller_leaves_alone(make: Make, kind: str) -> None:
    """The batch of a caller who is cancelled goes on for those who wait for one of its keys, and stores all of it."""
    source = make()

    async def main() -> None:
        held = Held(source)
        first = asyncio.create_task(source.many(["a", "b", "c"]))
        await held.begun(1)
        second = asyncio.create_task(source.many(["b", "d"]))
        await held.begun(2)
        first.cancel()
        await some_turns()
        held.let("a")
        held.let("d")
        assert await second == {"b": "b-en", "d": "d-en"}
        with pytest.raises(asyncio.CancelledError):
            await first
        assert held.cancelled == []

    play(main, kind)
    assert source.calls == [["a", "b", "c"], ["d"]]
    assert sorted(key[0] for key, _ in source.many.cache.items()) == ["a", "b", "c", "d"]
    assert len(source.many.inflight) == 0


@every_loop
def test_the_last_one_ends_the_batch(make: Make, kind: str) -> None:
    """The function is cancelled, and its end awaited, when the last caller leaves who waits for one of its keys."""
    source = make()

    async def main() -> None:
        held = Held(source)
        first = asyncio.create_task(source.many(["a", "b"]))
        await held.begun(1)
        second = asyncio.create_task(source.many(["b"]))
        await some_turns()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert held.cancelled == []
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert held.cancelled == [["a", "b"]]
        assert len(source.many.inflight) == 0

    play(main, kind)


@every_loop
def test_a_joiner_leaves_alone(make: Make, kind: str) -> None:
    """A caller who is cancelled while he waits for what others load leaves them as they are."""
    source = make()

    async def main() -> None:
        held = Held(source)
        first = asyncio.create_task(source.many(["a", "b"]))
        await held.begun(1)
        second = asyncio.create_task(source.many(["b", "c"]))
        await held.begun(2)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert held.cancelled == [["c"]]
        held.let("a")
        assert await first == {"a": "a-en", "b": "b-en"}

    play(main, kind)
    assert len(source.many.inflight) == 0


def test_cancelled_before_the_first_step(make: Make) -> None:
    """A caller who is cancelled at once leaves nothing behind, and the function is not called."""
    source = make()

    async def main() -> None:
        first = asyncio.create_task(source.many(["a", "b"]))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await some_turns()
        assert len(source.many.inflight) == 0
        assert await source.many(["a"]) == {"a": "a-en"}

    play(main)


def test_fenced_while_it_loads(make: Make) -> None:
    """A key that is invalidated or put during its batch is not stored from it; callers get what it returned."""
    source = make()

    async def main() -> None:
        held = Held(source)
        first = asyncio.create_task(source.many(["a", "b", "c"]))
        await held.begun(1)
        source.many.cache.invalidate("a")
        source.many.cache.put("put", "b")
        held.let("a")
        assert await first == {"a": "a-en", "b": "b-en", "c": "c-en"}
        source.version = 2
        assert await source.many(["a", "b", "c"]) == {"a": "a-en2", "b": "put", "c": "c-en"}

    play(main)


def test_too_old(make: Make) -> None:
    """A batch that is older than ``timeout`` is cancelled, and all who wait for its keys are told so."""
    clock = FakeClock()
    source = make(timeout=30, clock=clock)

    async def main() -> None:
        held = Held(source)
        first = asyncio.create_task(source.many(["a", "b"]))
        await held.begun(1)
        second = asyncio.create_task(source.many(["b", "c"]))
        await held.begun(2)
        held.let("c")
        await some_turns()
        clock.advance(30)
        ends = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 2
        assert held.cancelled == [["a", "b"]]
        assert ("c", "en") in source.many.cache
        held.let("b")
        assert await source.many(["b"]) == {"b": "b-en"}

    play(main)
    assert len(source.many.inflight) == 0


@every_loop
def test_recursion(make: Make, kind: str) -> None:
    """A function that asks for keys of its own batch runs straight through, and for others as any caller."""
    source = make()

    def deeper(keys: list[str]) -> Any:
        async def ask() -> None:
            if len(source.calls) == 1:
                assert await source.many(["a", "c"]) == {"a": "a-en", "c": "c-en"}
                assert await source.many.one("b") == "b-en"

        return ask()

    async def main() -> None:
        source.before = deeper
        assert await source.many(["a", "b"]) == {"a": "a-en", "b": "b-en"}

    play(main, kind)
    assert source.calls == [["a", "b"], ["a", "c"], ["b"]] or sorted(source.calls[1]) == ["a", "c"]
    assert len(source.many.inflight) == 0


def test_two_batches_that_would_wait_for_each_other(make: Make) -> None:
    """Of two batches whose functions ask for each other's keys, the one that would close the circle runs straight."""
    source = make()

    def cross(keys: list[str]) -> Any:
        async def ask() -> None:
            await asyncio.sleep(0)
            if len(keys) == 2:
                await source.many.one("b" if "a" in keys else "a")

        return ask()

    async def main() -> None:
        source.before = cross
        async with asyncio.timeout(10):
            one, two = await asyncio.gather(source.many(["a", "x"]), source.many(["b", "y"]))
        assert one == {"a": "a-en", "x": "x-en"}
        assert two == {"b": "b-en", "y": "y-en"}

    play(main)
    assert len(source.many.inflight) == 0


def test_two_loops(make: Make) -> None:
    """A batch in one loop joins what another loop in another thread loads, both ways."""
    source = make()
    gates = {"a": Gate(), "c": Gate()}
    source.before = lambda keys: passing(gates[keys[0]])
    first = in_a_loop(lambda: source.many(["a", "b"]))
    gates["a"].reached()
    second = in_a_loop(lambda: source.many(["c", "b"]))
    gates["c"].reached()
    third = in_a_loop(lambda: source.many(["a", "c"]))

    async def both() -> None:
        await until_elsewhere(lambda: source.many.inflight.stats().waiting == 3)

    asyncio.run(both())
    gates["c"].open()
    gates["a"].open()
    assert first.result() == {"a": "a-en", "b": "b-en"}
    assert second.result() == {"c": "c-en", "b": "b-en"}
    assert third.result() == {"a": "a-en", "c": "c-en"}
    assert source.calls == [["a", "b"], ["c"]]
    assert len(source.many.inflight) == 0


def test_work_that_is_kept(make: Make) -> None:
    """With ``keep`` the batch that its caller has left goes on for that long, and what it returns is stored."""
    clock = FakeClock()
    source = make(keep="30s", clock=clock)

    async def main() -> None:
        held = Held(source)
        for keys, ends in (["a", "b"], True), (["c", "d"], False):
            caller = asyncio.create_task(source.many(keys))
            await held.begun(1 + (not ends))
            caller.cancel()
            await asyncio.wait([caller])
            assert len(source.many.inflight) == 2
            if ends:
                held.let(keys[0])
            else:
                clock.advance(30)
            await until_async(lambda: len(source.many.inflight) == 0)
        await until_async(lambda: held.cancelled)
        await some_turns()
        assert held.cancelled == [["c", "d"]]
        assert await source.many(["a", "b"]) == {"a": "a-en", "b": "b-en"}

    play(main)
    assert len(source.calls) == 2


@pytest.mark.parametrize("options", [{}, {"absent_ttl": 0}], ids=["", "plain entries"])
def test_without_dedupe(make: Make, options: Any) -> None:
    """With ``dedupe=False`` every call loads what is not stored."""
    source = make(dedupe=False, **options)

    async def main() -> None:
        assert await asyncio.gather(source.many(["a"]), source.many(["a", "b"]), source.many.one("b")) == [
            {"a": "a-en"}, {"a": "a-en", "b": "b-en"}, "b-en",
        ]  # fmt: skip

    play(main)
    assert source.calls == [["b"], ["a"], ["a", "b"]] or sorted(map(len, source.calls)) == [1, 1, 2]


def test_a_task_that_others_cancel(make: Make) -> None:
    """If the function's task is cancelled by strangers, the caller is cancelled, and who joined takes over."""
    source = make()

    async def main() -> None:
        held = Held(source)
        tasks: list[Any] = []
        wait = source.before

        def note(keys: list[str]) -> Any:
            tasks.append(asyncio.current_task())
            return wait(keys)

        source.before = note
        first = asyncio.create_task(source.many(["a", "b"]))
        await held.begun(1)
        second = asyncio.create_task(source.many(["b"]))
        await some_turns()
        tasks[0].cancel()
        held.let("b")
        assert await second == {"b": "b-en"}
        with pytest.raises(asyncio.CancelledError):
            await first

    play(main)
    assert source.calls == [["a", "b"], ["b"]]
    assert len(source.many.inflight) == 0


def test_context_of_the_caller(make: Make) -> None:
    """The function of a call with many keys sees the context variables of the caller, who sees what it binds."""
    source = make()
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []

    def bind(keys: list[str]) -> None:
        seen.append(user.get())
        user.set("bound")

    source.before = bind

    async def main() -> None:
        user.set("alice")
        await source.many(["a", "b"])
        assert user.get() == "bound"

    play(main)
    assert seen == ["alice"]

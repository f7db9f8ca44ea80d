"""Single calls that are gathered into one batch, as a data loader does."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from kit.batches import Source
from kit.coroutines import every_loop, play, some_turns, until_async, until_elsewhere
from kit.flights_loops import in_a_loop

from memo import AbsentKey, InflightTimeout, Registry
from memo.testing import FakeClock

Make = Callable[..., Source]


@pytest.fixture
def make(own: Registry) -> Make:
    """Makes a function whose single calls wait for others, for longer than a test takes."""
    return lambda **options: Source("coroutine", **{"registry": own, "gather": "1h", **options})


def calls(source: Source, keys: str, *args: Any) -> list["asyncio.Task[Any]"]:
    return [asyncio.create_task(source.many.one(key, *args)) for key in keys]


@every_loop
def test_single_calls_make_one_batch(make: Make, kind: str) -> None:
    """Calls within the time to gather are one call of the function, when that time is over by a clock of ours."""
    clock = FakeClock()
    source = make(gather="30m", clock=clock, ttl="9h")
    source.lacking = {"x"}

    async def main() -> None:
        first = calls(source, "ab")
        await some_turns()
        more = calls(source, "acx")
        await some_turns()
        assert source.calls == []
        assert source.many.inflight.stats().active == 4
        clock.advance("30m")
        assert await asyncio.gather(*first, *more[:2]) == ["a-en", "b-en", "a-en", "c-en"]
        with pytest.raises(AbsentKey):
            await more[2]
        assert await source.many.one("a") == "a-en"

    play(main, kind)
    assert source.calls == [["a", "b", "c", "x"]]
    stats = source.many.cache.stats()
    assert (stats.hits, stats.misses, stats.joins) == (1, 4, 1)


def test_real_time(make: Make) -> None:
    """Without a clock that is advanced by hand, the time to gather passes by itself."""
    source = make(gather="1ms")

    async def main() -> None:
        assert await asyncio.gather(*calls(source, "abc")) == ["a-en", "b-en", "c-en"]

    play(main)
    assert source.calls == [["a", "b", "c"]]


@every_loop
def test_a_full_batch_goes_at_once(make: Make, kind: str) -> None:
    """A batch with ``max_batch`` keys waits for no more; the next begins anew, and a key counts once."""
    source = make(max_batch=2)

    async def main() -> None:
        tasks = calls(source, "aabcdae")
        await until_async(lambda: len(source.calls) == 2)
        assert await asyncio.gather(*tasks[:-1]) == ["a-en", "a-en", "b-en", "c-en", "d-en", "a-en"]
        assert len(source.many.inflight) == 1
        tasks[-1].cancel()
        await asyncio.wait(tasks)

    play(main, kind)
    assert source.calls == [["a", "b"], ["c", "d"]]
    assert len(source.many.inflight) == 0


@every_loop
def test_a_cancelled_call_leaves_the_batch(make: Make, kind: str) -> None:
    """Its key is not asked for, unless others want it; a batch that all have left is no more."""
    clock = FakeClock()
    source = make(gather="30m", clock=clock)

    async def main() -> None:
        tasks = calls(source, "abcb")
        await some_turns()
        for task in tasks[:2]:
            task.cancel()
        await asyncio.wait(tasks[:2])
        clock.advance("30m")
        assert await asyncio.gather(*tasks[2:]) == ["c-en", "b-en"]
        (lonely,) = calls(source, "d")
        await some_turns()
        lonely.cancel()
        await asyncio.wait([lonely])
        clock.advance("30m")
        await some_turns()

    play(main, kind)
    assert sorted(source.calls[0]) == ["b", "c"]
    assert len(source.calls) == 1
    assert source.many.inflight.stats().cancelled == 2


def test_all_leave_a_batch_that_runs(make: Make) -> None:
    """The function is cancelled, and its end awaited, when the last of those who were gathered leaves."""
    source = make(max_batch=2)
    ended: list[str] = []

    async def stand() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        source.before = lambda keys: stand()
        tasks = calls(source, "ab")
        await until_async(lambda: source.calls)
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        assert ended == []
        tasks[1].cancel()
        await asyncio.wait(tasks[1:])
        assert ended == ["cancelled"]

    play(main)
    assert len(source.many.inflight) == 0


def test_a_call_with_many_takes_along(make: Make) -> None:
    """A call with many keys waits for nobody, and takes those along that wait."""
    source = make()

    async def main() -> None:
        tasks = calls(source, "ab")
        await some_turns()
        assert await source.many(["b", "c", "d"]) == {"b": "b-en", "c": "c-en", "d": "d-en"}
        assert await asyncio.gather(*tasks) == ["a-en", "b-en"]

    play(main)
    assert source.calls == [["a", "b", "c", "d"]]


def test_a_call_with_none_but_waiting_keys(make: Make) -> None:
    """A call with many keys, all of which others have asked for, is answered when those are."""
    clock = FakeClock()
    source = make(gather="30m", clock=clock)

    async def main() -> None:
        tasks = calls(source, "ab")
        await some_turns()
        many = asyncio.create_task(source.many(["b", "a"]))
        await some_turns()
        clock.advance("30m")
        assert await many == {"b": "b-en", "a": "a-en"}
        await asyncio.gather(*tasks)

    play(main)
    assert source.calls == [["a", "b"]]


def test_other_arguments_make_another_batch(make: Make) -> None:
    """Calls are gathered if their other arguments are the same: equal texts, or one and the same object."""
    clock = FakeClock()
    source = make(gather="30m", clock=clock)

    async def main() -> None:
        tasks = [*calls(source, "ab", "de"), *calls(source, "ab"), *calls(source, "c", "".join(["d", "e"]))]
        await some_turns()
        clock.advance("30m")
        assert await asyncio.gather(*tasks) == ["a-de", "b-de", "a-en", "b-en", "c-de"]

    play(main)
    assert sorted(map(sorted, source.calls)) == [["a", "b"], ["a", "b", "c"]]


@every_loop
def test_an_error_reaches_each(make: Make, kind: str) -> None:
    """Each call gets the error of the function, the first the object itself, with a traceback that does not grow."""
    source = make(max_batch=50)

    def fail(keys: list[str]) -> None:
        raise LookupError("down")

    async def main() -> list[Any]:
        source.before = fail
        return await asyncio.gather(*calls(source, "".join(map(chr, range(100, 150)))), return_exceptions=True)

    errors = play(main, kind)
    assert {type(error) for error in errors} == {LookupError}
    assert len({id(error) for error in errors}) == 50
    assert max(_depth(error) for error in errors) < 15
    assert len(source.many.inflight) == 0


def _depth(error: BaseException) -> int:
    depth, traceback = 0, error.__traceback__
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    return depth


def test_fenced_while_it_waits(make: Make) -> None:
    """A key that is invalidated while its batch is gathered is not stored from it, but from a later call's load."""
    clock = FakeClock()
    source = make(gather="30m", clock=clock)

    async def main() -> None:
        (first,) = calls(source, "a")
        await some_turns()
        source.many.cache.invalidate("a")
        (second,) = calls(source, "a")
        await some_turns()
        clock.advance("30m")
        assert await first == await second == "a-en"

    play(main)
    assert source.calls == [["a"]]
    assert ("a", "en") in source.many.cache


def test_refreshes_are_gathered(make: Make) -> None:
    """Refreshing several keys is one call of the function."""
    source = make(max_batch=2)

    async def main() -> None:
        await source.many(["a", "b"])
        source.version = 2
        await asyncio.gather(*[source.many.cache.refresh(key) for key in "ab"])
        assert await source.many(["a", "b"]) == {"a": "a-en2", "b": "b-en2"}

    play(main)
    assert source.calls == [["a", "b"]] * 2


def test_too_old(make: Make) -> None:
    """The age of a load counts from the call, the time to gather included."""
    clock = FakeClock()
    source = make(timeout=10, clock=clock)

    async def main() -> None:
        tasks = calls(source, "ab")
        await some_turns()
        clock.advance(10)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 2

    play(main)
    assert source.calls == []
    assert len(source.many.inflight) == 0


def test_two_loops(make: Make) -> None:
    """Each loop gathers its own calls; a key that another loop has asked for is taken from there."""
    clock = FakeClock()
    source = make(gather="30m", max_batch=2, clock=clock)

    asked: list[str] = []

    async def main(keys: str) -> list[Any]:
        tasks = calls(source, keys)
        await some_turns()  # a key that is asked for waits for the clock only once its own task has begun
        asked.append(keys)
        return await asyncio.gather(*tasks)

    first = in_a_loop(lambda: main("abc"))
    asyncio.run(until_elsewhere(lambda: asked == ["abc"] and source.many.inflight.stats().completed == 2))
    second = in_a_loop(lambda: main("cd"))
    asyncio.run(until_elsewhere(lambda: asked == ["abc", "cd"] and source.many.inflight.stats().active == 2))
    assert source.calls == [["a", "b"]], "two keys wait, each in its loop"
    asyncio.run(until_elsewhere(lambda: source.many.inflight.stats().waiting == 1))
    clock.advance("30m")
    assert (first.result(), second.result()) == (["a-en", "b-en", "c-en"], ["c-en", "d-en"])
    assert sorted(source.calls) == [["a", "b"], ["c"], ["d"]]


def test_a_loop_that_ends_while_it_gathers(make: Make) -> None:
    """What a loop was gathering as it ended is forgotten; another loop asks anew."""
    source = make(max_batch=2)

    async def leave() -> None:
        calls(source, "a")
        await some_turns()

    asyncio.run(leave())
    assert play(lambda: source.many(["a"])) == {"a": "a-en"}
    assert source.calls == [["a"]]
    assert len(source.many.inflight) == 0


def test_context_of_the_first(make: Make) -> None:
    """The function runs in the context of whoever began the batch."""
    source = make(max_batch=2)
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []
    source.before = lambda keys: seen.append(user.get())

    async def main() -> None:
        async def ask(name: str, key: str) -> None:
            user.set(name)
            await source.many.one(key)

        await asyncio.gather(ask("alice", "a"), ask("bob", "b"))

    play(main)
    assert seen == ["alice"]


def test_a_function_that_asks_for_others_of_its_batch(make: Make) -> None:
    """A gathered batch whose function asks for one of its own keys loads that once more, and nobody waits for ever."""
    source = make(gather="1ms")

    def deeper(keys: list[str]) -> Any:
        async def ask() -> None:
            if len(source.calls) == 1:
                assert await source.many.one("a") == "a-en"

        return ask()

    async def main() -> None:
        source.before = deeper
        async with asyncio.timeout(10):
            assert await asyncio.gather(*calls(source, "ab")) == ["a-en", "b-en"]

    play(main)
    assert source.calls == [["a", "b"], ["a"]]

"""The steps of what a call of a decorated coroutine function returns, and what it holds, whether C made it or Python.

Every test runs on both paths; where C answers, the first step of a hit is its own, and of a miss the wrapper's.
"""

import asyncio
import contextvars
import inspect
import sys
import threading
import types
import weakref
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest
from kit.called_coroutines import make, of_hit_and_miss, seen

from memo import Registry, bounded
from memo._native import speed, why

built = pytest.mark.skipif(speed is None, reason=why)
# -- steps


@of_hit_and_miss
def test_send_throw_close(own: Registry, hit: bool) -> None:
    """It keeps the protocol of coroutines: before its first step, after its end, and beyond."""
    load = make(own, hit)
    coroutine = load(1)
    with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
        coroutine.send(1)
    coroutine.close(), coroutine.close()
    for use in (
        lambda: coroutine.send(None),
        lambda: coroutine.throw(KeyError("x")),
        lambda: next(coroutine.__await__()),
    ):
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            use()
    coroutine = load(1)
    with pytest.raises(KeyError, match="thrown"):
        coroutine.throw(KeyError("thrown"))
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coroutine.send(None)
    assert inspect.getcoroutinestate(coroutine) == "CORO_CLOSED"

    async def again() -> None:
        coroutine = load(1)
        await coroutine
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine

    asyncio.run(again())


def test_hits_step_by_step(own: Registry) -> None:
    """A hit returns at the first step, however that is made."""
    load = make(own, hit=True)
    for step in (lambda c: c.send(None), lambda c: next(c.__await__()), lambda c: c.__await__().send(None)):
        with pytest.raises(StopIteration) as ended:
            step(load(1))
        assert ended.value.value == ended.value.args[0] == [1, "en"]
        assert type(ended.value) is StopIteration


class _Meets:
    """A key whose comparison does something."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        self.act()
        return True


@pytest.mark.parametrize("use", ["send", "close", "throw"])
def test_a_coroutine_that_runs_cannot_be_used(own: Registry, use: str) -> None:
    """User code that its look-up runs finds it executing, and neither steps nor closes it."""
    load = make(own, hit=False)
    first = _Meets(lambda: None)
    asyncio.run(load(first))
    tried: list[str] = []

    def act() -> None:
        assert coroutine.cr_running
        assert inspect.getcoroutinestate(coroutine) == "CORO_RUNNING"
        with pytest.raises(ValueError, match="coroutine already executing"):
            getattr(coroutine, use)(*{"send": [None], "close": [], "throw": [KeyError()]}[use])
        tried.append(use)

    coroutine = load(_Meets(lambda: None))
    first.act = act  # whose comparison the table asks for
    value = asyncio.run(coroutine)
    assert value[0] is first
    assert set(tried) == {use}


def test_errors_of_the_look_up_end_it(own: Registry) -> None:
    """What a key's comparison raises is raised where the call is awaited, and that ends the coroutine."""
    load = make(own, hit=False)
    first = _Meets(lambda: None)
    asyncio.run(load(first))

    def act() -> None:
        raise LookupError("by __eq__")

    first.act = act
    coroutine = load(_Meets(lambda: None))
    with pytest.raises(LookupError, match="by __eq__"):
        coroutine.send(None)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)


@of_hit_and_miss
def test_wrong_calls_and_keys(own: Registry, hit: bool) -> None:
    """A call that does not fit fails at the call, a key that cannot be hashed at the await, both in the usual words."""
    load = make(own, hit)
    for wrong in (lambda: load(), lambda: load(1, 2, 3), lambda: load(1, x=1), lambda: load(1, land="de")):
        with pytest.raises(TypeError, match=r"load\(\)"):
            wrong()
    coroutine = load([])
    with pytest.raises(TypeError, match="hash"):
        asyncio.run(coroutine)


def test_the_look_up_is_made_at_the_await(own: Registry) -> None:
    """What is cleared between call and await is a miss, what is stored there a hit."""
    load = make(own, hit=True)

    async def main() -> None:
        early, late = load(1), load(2)
        load.cache.clear()
        load.cache.put([2, "put"], 2)
        before = load.cache.stats()
        assert [await early, await late] == [[1, "en"], [2, "put"]]
        difference = load.cache.stats() - before
        assert (difference.hits, difference.misses) == (1, 1)

    asyncio.run(main())


@of_hit_and_miss
def test_two_who_await_one(own: Registry, hit: bool) -> None:
    """While one awaits it, another is refused."""
    load = make(own, hit)

    async def main() -> None:
        coroutine = load(5)
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            await coroutine
        assert await task == [5, "en"]

    asyncio.run(main())


@of_hit_and_miss
def test_cancelled(own: Registry, hit: bool) -> None:
    """A task that is cancelled before its first step counts as no call; while it waits, it is cancelled there."""
    load = make(own, hit)
    before = load.cache.stats()

    async def main() -> None:
        task = asyncio.create_task(load(1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert load.cache.stats() - before == before - before
        task = asyncio.create_task(load(2))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_errors_of_the_function(own: Registry) -> None:
    """What the function raises comes out of the await, with the function in the traceback."""

    @bounded(max=10, registry=own)
    async def fail(x: int) -> None:
        await asyncio.sleep(0)
        raise ValueError(x)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(ValueError, match="1") as caught:
                await fail(1)
            assert "fail" in [row.name for row in caught.traceback]

    asyncio.run(main())


@of_hit_and_miss
def test_awaited_in_many_places(own: Registry, hit: bool) -> None:
    """In generators and comprehensions, through `__await__`, and by the generators that were coroutines once."""
    load = make(own, hit)

    class Waits:
        def __await__(self) -> Generator[Any, None, Any]:
            return load(1).__await__()  # type: ignore[no-any-return]

    @types.coroutine
    def old(waits: Any) -> Generator[Any, None, Any]:
        return (yield from waits)

    async def generated() -> AsyncIterator[Any]:
        yield await load(1)

    async def main() -> None:
        assert [x async for x in generated()] == [[1, "en"]]
        assert [await load(1) for _ in range(2)] == [[1, "en"]] * 2
        assert await Waits() == [1, "en"]
        assert await old(load(1)) == [1, "en"]
        assert await old(load(1).__await__()) == [1, "en"]

    def plain(waits: Any) -> Generator[Any, None, Any]:
        return (yield from waits)

    asyncio.run(main())
    coroutine = load(1)
    with pytest.raises(TypeError):
        next(plain(coroutine))
    coroutine.close()


VALUES = (None, 0, (), (1, 2), [], ValueError("x"), StopIteration(3), StopAsyncIteration(), KeyError)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_of_all_kinds(own: Registry, value: object) -> None:
    """Any value comes back as itself by an await, by a task and by a step, exceptions and tuples included."""

    @bounded(max=10, registry=own)
    async def load(x: int) -> object:
        return value

    async def main() -> None:
        assert await load(1) is value
        assert await load(1) is value
        assert await asyncio.create_task(load(1)) is value
        for step in (lambda c: c.send(None), lambda c: next(c.__await__())):
            with pytest.raises(StopIteration) as ended:
                step(load(1))
            assert ended.value.value is value

    asyncio.run(main())


# -- what is held


class _Value:
    """A value that can be watched."""


@of_hit_and_miss
def test_nothing_is_kept_alive(own: Registry, hit: bool, nothing_collected: None) -> None:
    """Value and arguments go with the last who holds them: the coroutine keeps neither once it has ended."""

    @bounded(max=10, registry=own, ignore=["argument"])
    async def load(x: int, argument: object) -> _Value:
        return _Value()

    asyncio.run(load(1 if hit else 0, None))

    async def main() -> None:
        argument = _Value()
        coroutine = load(1, argument)
        value = await coroutine
        watched = [weakref.ref(value), weakref.ref(argument)]
        load.cache.clear()
        del value, argument
        assert [ref() for ref in watched] == [None, None]
        assert inspect.getcoroutinestate(coroutine) == "CORO_CLOSED"
        value = await load(1, None)
        watched = [weakref.ref(value)]
        load.cache.clear()
        del value
        assert watched[0]() is None

    asyncio.run(main())


@of_hit_and_miss
def test_weak_references(own: Registry, hit: bool, nothing_collected: None) -> None:
    """It can be referred to weakly; the reference is dead when the warning is about to come, as that of any other."""
    load = make(own, hit)
    gone: list[str] = []
    coroutine = load(1)
    ref = weakref.ref(coroutine, lambda _: gone.append("gone"))
    coroutine.close()
    del coroutine
    assert (ref(), gone) == (None, ["gone"])

    def forget() -> None:
        coroutine = load(1)
        gone.append(weakref.ref(coroutine, lambda _: gone.append("before the warning")))

    gone.clear()
    assert len(seen(forget)) == 1
    assert gone[1:] == ["before the warning"]


def test_context_variables(own: Registry) -> None:
    """A miss runs in the context that its call is awaited in."""
    variable = contextvars.ContextVar("variable", default=0)

    @bounded(max=10, registry=own)
    async def load(x: int) -> int:
        return variable.get()

    async def main() -> None:
        variable.set(1)
        assert await asyncio.create_task(load(0)) == 1
        coroutine = load(2)
        variable.set(2)
        assert await coroutine == 2

    asyncio.run(main())


def test_made_here_awaited_there(own: Registry) -> None:
    """One that was made in one thread can be awaited in the loop of another."""
    load = make(own, hit=True)
    got: list[Any] = []
    coroutines = [load(1) for _ in range(100)]
    threads = [threading.Thread(target=lambda c=c: got.append(asyncio.run(c))) for c in coroutines[:8]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [[1, "en"]] * 8
    for coroutine in coroutines:
        coroutine.close()


def test_traced_and_profiled(own: Registry) -> None:
    """A hit is right where a tracer and a profiler look on, and keep what they see."""
    load = make(own, hit=True)
    kept: list[Any] = []

    def look(frame: types.FrameType, event: str, argument: object) -> Any:
        kept.append((event, argument))
        return look

    async def main() -> list[Any]:
        sys.settrace(look)
        sys.setprofile(look)
        try:
            return [await load(1) for _ in range(3)]
        finally:
            sys.settrace(None)
            sys.setprofile(None)

    assert asyncio.run(main()) == [[1, "en"]] * 3
    load.cache.put("new", 1)
    assert asyncio.run(load(1)) == "new"
    for event, argument in kept:
        if event == "exception" and isinstance(argument[1], StopIteration):
            assert argument[1].value in ([1, "en"], None)

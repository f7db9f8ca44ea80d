"""What a call of a decorated coroutine function returns is a coroutine to all who use it, whether C made it or Python.

Every test runs on both paths; where C answers, the first step of a hit is its own, and of a miss the wrapper's.
"""

import asyncio
import collections.abc
import contextvars
import copy
import gc
import inspect
import pickle
import sys
import threading
import types
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest

from memo import Registry, bounded
from memo._native import speed, why

built = pytest.mark.skipif(speed is None, reason=why)
of_hit_and_miss = pytest.mark.parametrize("hit", [True, False], ids=["hit", "miss"])


def make(own: Registry, hit: bool, **options: Any) -> Any:
    """A decorated coroutine function that has been called with 0, and with 1 if that is to be a hit."""

    @bounded(max=10, ttl=60, registry=own, **options)
    async def load(x: Any, lang: str = "en") -> Any:
        await asyncio.sleep(0)
        return [x, lang]

    for x in (0, 1)[: 1 + hit]:
        asyncio.run(load(x))
    return load


async def real(x: Any, lang: str = "en") -> Any:
    await asyncio.sleep(0)
    return [x, lang]


def seen(action: Callable[[], object]) -> list[str]:
    """What is warned of while *action* runs and what it left is collected."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
        gc.collect()
    return [str(warning.message) for warning in caught]


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "inspect.iscoroutine": inspect.iscoroutine,
    "inspect.isawaitable": inspect.isawaitable,
    "inspect.isgenerator": inspect.isgenerator,
    "inspect.getcoroutinestate": inspect.getcoroutinestate,
    "asyncio.iscoroutine": asyncio.iscoroutine,
    "CoroutineType": lambda c: isinstance(c, types.CoroutineType),
    "Coroutine": lambda c: isinstance(c, collections.abc.Coroutine),
    "Awaitable": lambda c: isinstance(c, collections.abc.Awaitable),
    "Generator": lambda c: isinstance(c, collections.abc.Generator),
    "Iterator": lambda c: isinstance(c, collections.abc.Iterator),
    "Iterable": lambda c: isinstance(c, collections.abc.Iterable),
    "Hashable": lambda c: isinstance(c, collections.abc.Hashable),
    "class": lambda c: c.__class__,
    "__next__": lambda c: hasattr(c, "__next__"),
    "__iter__": lambda c: hasattr(c, "__iter__"),
    "callable": callable,
    "bool": bool,
    "code": lambda c: type(c.cr_code),
    "await": lambda c: c.cr_await,
    "running": lambda c: c.cr_running,
    "suspended": lambda c: c.cr_suspended,
    "origin": lambda c: c.cr_origin,
    "frame": lambda c: type(c.cr_frame),
    "locals": lambda c: inspect.getcoroutinelocals(c)["x"],
    "repr": lambda c: repr(c).split(" object ")[0],
    "awaiter": lambda c: isinstance(c.__await__(), collections.abc.Iterator),
}


@pytest.mark.parametrize("ended", [False, True], ids=["new", "closed"])
@of_hit_and_miss
def test_it_looks_like_a_coroutine(own: Registry, hit: bool, ended: bool) -> None:
    """Whoever asks what it is hears what a coroutine function's own coroutine would tell."""
    load = make(own, hit)
    for name, ask in QUESTIONS.items():
        if ended and name == "locals":
            continue  # there is no frame any more
        ours, theirs = load(1), real(1)
        if ended:
            ours.close(), theirs.close()
        assert ask(ours) == ask(theirs), name
        ours.close(), theirs.close()


@of_hit_and_miss
def test_its_names(own: Registry, hit: bool) -> None:
    """It bears its function's names, which can be set, as those of other coroutines; its code is the wrapper's."""
    load = make(own, hit)
    coroutine = load(1)
    assert (coroutine.__name__, coroutine.__qualname__) == ("load", "make.<locals>.load")
    assert coroutine.cr_code.co_name == "load"
    assert repr(coroutine).startswith("<coroutine object make.<locals>.load at 0x")
    coroutine.__name__, coroutine.__qualname__ = "other", "of.other"
    assert (coroutine.__name__, coroutine.__qualname__) == ("other", "of.other")
    with pytest.raises(TypeError):
        coroutine.__name__ = 5
    assert asyncio.run(coroutine) == [1, "en"]


@of_hit_and_miss
def test_what_coroutines_refuse(own: Registry, hit: bool) -> None:
    """It cannot be iterated, copied or pickled, and its type neither called nor changed."""
    coroutine = make(own, hit)(1)
    refused: list[Callable[[], object]] = [
        lambda: iter(coroutine),
        lambda: [*coroutine],
        lambda: copy.copy(coroutine),
        lambda: pickle.dumps(coroutine),
        lambda: type(coroutine)(),
        lambda: setattr(type(coroutine), "send", None),
    ]
    for refuse in refused:
        with pytest.raises(TypeError):
            refuse()
    with pytest.raises(AttributeError):
        coroutine.other = 1
    coroutine.close()


@built
def test_c_answers_hits(own: Registry) -> None:
    """Where C runs, what a call returns is its own, up to six arguments."""
    load = make(own, hit=True)
    first, *others = [load(1), load(x=1), load(1, lang="en")]
    assert {type(first), *map(type, others)} == {speed.Coroutine}
    for coroutine in (first, *others):
        assert asyncio.run(coroutine) == [1, "en"]

    @bounded(max=10, registry=own)
    async def many(*values: int) -> int:
        return sum(values)

    assert asyncio.run(many(1)) == 1
    six, seven = many(*range(6)), many(*range(7))
    assert [type(six), type(seven)] == [speed.Coroutine, types.CoroutineType]
    assert [asyncio.run(six), asyncio.run(seven)] == [15, 21]


# -- asyncio and others


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
@of_hit_and_miss
def test_ways_of_asyncio(own: Registry, hit: bool, debug: bool) -> None:
    """Everything of asyncio that takes a coroutine takes it, also in debug mode."""
    load = make(own, hit)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await load(1) == [1, "en"]
        assert await asyncio.create_task(load(1), name="named") == [1, "en"]
        assert await asyncio.gather(load(1), load(x=1), load(2, lang="de")) == [[1, "en"], [1, "en"], [2, "de"]]
        assert await asyncio.wait_for(load(1), 60) == [1, "en"]
        assert await asyncio.shield(load(1)) == [1, "en"]
        done, _ = await asyncio.wait([asyncio.ensure_future(load(1)), asyncio.ensure_future(load(3))])
        assert sorted(task.result() for task in done) == [[1, "en"], [3, "en"]]
        assert sorted([await each for each in asyncio.as_completed([load(1), load(4)])]) == [[1, "en"], [4, "en"]]
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            tasks = [group.create_task(load(x)) for x in (1, 5)]
        assert [task.result() for task in tasks] == [[1, "en"], [5, "en"]]
        assert await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(load(1), loop).result(60)) == [1, "en"]
        assert await asyncio.to_thread(asyncio.run, load(1)) == [1, "en"]
        task = loop.create_task(load(6))
        await asyncio.sleep(0)
        assert "load()" in repr(task)
        assert "wait_for=" in repr(task) or hit or task.get_stack()
        assert asyncio.iscoroutine(task.get_coro())
        assert await task == [6, "en"]

    asyncio.run(main(), debug=debug)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@of_hit_and_miss
def test_eager_tasks(own: Registry, hit: bool) -> None:
    """An eager task that finds a hit is done when it has been made."""
    load = make(own, hit)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        task = asyncio.create_task(load(1))
        assert task.done() == hit
        assert await task == [1, "en"]

    asyncio.run(main())


@of_hit_and_miss
def test_uvloop(own: Registry, hit: bool) -> None:
    """It runs in a loop of uvloop, awaited and as a task."""
    uvloop = pytest.importorskip("uvloop")
    load = make(own, hit)

    async def main() -> list[Any]:
        return [await load(1), *await asyncio.gather(load(1), asyncio.create_task(load(1)))]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == [[1, "en"]] * 3


def test_trio_and_anyio(own: Registry) -> None:
    """A hit needs no loop of asyncio: trio and anyio run it as a coroutine of their own."""
    trio, anyio = pytest.importorskip("trio"), pytest.importorskip("anyio")
    load = make(own, hit=True)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(load, 1)

    trio.run(main)
    assert trio.run(load, 1) == anyio.run(load, 1) == [1, "en"]
    assert load.cache.stats().hits == 4


# -- who never awaits


@of_hit_and_miss
def test_never_awaited_is_told_once(own: Registry, hit: bool) -> None:
    """What dies without a first step warns once, under its name, and counts as nothing; memory used again does, too."""
    load = make(own, hit)
    before = load.cache.stats()
    message = "coroutine 'make.<locals>.load' was never awaited"
    for _ in range(3):
        assert seen(lambda: load(1)) == [message]
        assert seen(lambda: load(1).cr_frame) == [message]  # asked for its frame, it is one of the interpreter's
        assert seen(lambda: load(1).__await__()) == [message]
        assert seen(lambda: load(1).close()) == []
        assert seen(lambda: asyncio.run(load(0))) == []
    difference = load.cache.stats() - before
    assert (difference.hits, difference.misses) == (3, 0)


@of_hit_and_miss
def test_never_awaited_in_a_circle(own: Registry, hit: bool) -> None:
    """One that only the collector can find warns once; so do those that are made in its place, or come back to life."""
    load = make(own, hit)
    message = "coroutine 'make.<locals>.load' was never awaited"
    back: list[Any] = []

    class Holder:
        held: Any

    class Back(Holder):
        def __del__(self) -> None:
            back.append(self.held)

    def circle(kind: type[Holder]) -> None:
        holder = kind()
        holder.held = load(holder)
        load(1).close()  # by now the collector knows of the other one

    for _ in range(2):
        assert seen(lambda: circle(Holder)) == [message]
        assert seen(lambda: circle(Back)) == [message]
        assert seen(back.clear) == []
        assert seen(lambda: load(1)) == [message]


@of_hit_and_miss
def test_a_warning_that_is_an_error_is_told_and_dropped(own: Registry, hit: bool) -> None:
    """Where the warning is an error, it goes to the hook for what cannot be raised; the error that reigns is kept."""
    load = make(own, hit)
    told: list[Any] = []

    def fail() -> None:
        coroutine = load(1)
        assert coroutine is not None
        raise KeyError("reigns")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_value))
        with pytest.raises(KeyError, match="reigns") as caught:
            fail()
        del caught
        gc.collect()
    assert [type(error) for error in told] == [RuntimeWarning]


def test_origin_is_known_where_it_is_tracked(own: Registry) -> None:
    """Where the interpreter is to remember where coroutines were made, the warning tells it."""
    load = make(own, hit=True)
    depth = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(5)
    try:
        (message,) = seen(lambda: load(1))
    finally:
        sys.set_coroutine_origin_tracking_depth(depth)
    assert "Coroutine created at" in message


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

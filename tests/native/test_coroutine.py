"""What a call of a decorated coroutine function returns is a coroutine to all who use it, whether C made it or Python.

Every test runs on both paths; where C answers, the first step of a hit is its own, and of a miss the wrapper's.
"""

import asyncio
import collections.abc
import copy
import gc
import inspect
import pickle
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from kit.called_coroutines import make, of_hit_and_miss, real, seen

from memo import Registry, bounded
from memo._native import speed, why

built = pytest.mark.skipif(speed is None, reason=why)
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

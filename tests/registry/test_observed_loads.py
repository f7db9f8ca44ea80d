"""Those who watch executions are told of each, once, at its place, and of each who joins."""

import asyncio
import gc
import itertools
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import play, until_async
from kit.observers import Noting, observed, span
from kit.threads import Gate, Running, until

from memo import Registry, bounded, bounded_many, cached_property, dedupe_inflight, sliding_window
from memo._base import observe_loads
from memo.errors import InflightTimeout
from memo.testing import FakeClock


def ok(name: str, trigger: str, key: Any, around: str = "none", joined: int = 0) -> list[tuple[Any, ...]]:
    """What an observer is told of one execution that returned."""
    return [("begin", name, trigger, key, around), ("end", name, "ok", joined, "NoneType")]


PLAIN: dict[str, Callable[..., Any]] = {
    "bounded": lambda own: bounded(max=9, registry=own, name="f"),
    "foreign": lambda own: bounded(max=9, policy="lfu", copy="deep", registry=own, name="f"),
    "undivided": lambda own: bounded(max=9, dedupe=False, registry=own, name="f"),
    "stale": lambda own: bounded(max=9, ttl=9, stale_if_error=9, registry=own, name="f"),
    "tagged": lambda own: bounded(max=9, tags=lambda x: [str(x)], registry=own, name="f"),
    "deduped": lambda own: dedupe_inflight(registry=own, name="f"),
    "stacked": lambda own: lambda f: bounded(max=9, registry=own, name="f")(dedupe_inflight(timeout=9)(f)),
    "upside down": lambda own: lambda f: dedupe_inflight(registry=own, name="f")(bounded(max=9, registry=own)(f)),
    "windowed": lambda own: (
        lambda f: bounded(max=9, registry=own, name="f")(
            sliding_window(60, registry=own)(dedupe_inflight(registry=own)(f))
        )
    ),
}
AWAITED: dict[str, Callable[..., Any]] = {
    **PLAIN,
    "in caller": lambda own: bounded(max=9, work="caller", registry=own, name="f"),
    "deduped in caller": lambda own: dedupe_inflight(work="caller", registry=own, name="f"),
    "in caller, stacked": lambda own: (
        lambda f: bounded(max=9, work="caller", registry=own, name="f")(dedupe_inflight(timeout=9)(f))
    ),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_each_execution_of_a_plain_function(own: Registry, kind: str) -> None:
    """One execution begins and ends once, whatever stands around the function, which sees what the observer binds."""

    def f(x: int) -> str:
        if x < 0:
            raise ValueError(x)
        return span.get()

    f = PLAIN[kind](own)(f)
    f(0)  # before anybody watches
    with observed(own) as noting:
        assert f(1) == "f/1"
        assert noting.take() == ok("f/1", "miss", 1)
        with pytest.raises(ValueError, match="-1"):
            f(-1)
        assert noting.take() == [("begin", "f/2", "miss", -1, "none"), ("end", "f/2", "error", 0, "ValueError")]
        if own["f"].cache is not None:
            own["f"].cache.put("known", 5)
            hits = own["f"].stats().cache.hits  # type: ignore[union-attr]
            assert f(5) == "known"
            assert own["f"].stats().cache.hits == hits + 1  # type: ignore[union-attr]
            assert own["f"].cache.refresh(1) == "f/3"
            assert noting.take() == ok("f/3", "refresh", 1)
    f(7)
    assert noting.take() == []
    assert span.get() == "none"


@pytest.mark.parametrize("kind", AWAITED)
def test_each_execution_of_a_coroutine_function(own: Registry, kind: str) -> None:
    """The same holds of coroutine functions, in tasks of their own and in their callers'."""

    async def f(x: int) -> str:
        await asyncio.sleep(0)
        if x < 0:
            raise ValueError(x)
        return span.get()

    f = AWAITED[kind](own)(f)

    async def main() -> None:
        await f(0)
        with observed(own) as noting:
            assert await f(1) == "f/1"
            assert noting.take() == ok("f/1", "miss", 1)
            with pytest.raises(ValueError, match="-1"):
                await f(-1)
            assert noting.take() == [("begin", "f/2", "miss", -1, "none"), ("end", "f/2", "error", 0, "ValueError")]
            if kind != "undivided":
                assert await asyncio.gather(f(2), f(2), f(2)) == ["f/3"] * 3
                *began, _, _ = seen = noting.take()
                assert began == ok("f/3", "miss", 2, joined=2)
                assert seen[2:] == [("joined", "f/3", "none")] * 2
            if own["f"].cache is not None:
                name = f"f/{noting.number + 1}"
                assert await own["f"].cache.refresh(1) == name
                assert noting.take() == ok(name, "refresh", 1)
        await f(7)
        assert noting.take() == []
        assert span.get() == "none"

    play(main)


@pytest.mark.parametrize("kind", ["bounded", "foreign", "stale", "deduped", "stacked", "upside down"])
def test_joins_in_threads(own: Registry, kind: str) -> None:
    """Each thread that joins is told so in its own context, with what the observer began."""
    gate = Gate()

    def f(x: int) -> int:
        gate.wait()
        return x

    f = PLAIN[kind](own)(f)

    def joiner() -> int:
        span.set("mine")
        return f(1)

    with observed(own) as noting:
        first = Running(lambda: f(1))
        gate.reached()
        others = [Running(joiner) for _ in range(3)]
        tables = [f.inflight, *([f.cache.inflight] if own["f"].cache is not None else [])]
        until(lambda: max(table.stats().waiting for table in tables) == 3)
        gate.open()
        assert [one.result() for one in (first, *others)] == [1, 1, 1, 1]
    began, *rest = noting.take()
    assert began == ("begin", "f/1", "miss", 1, "none")
    assert sorted(rest) == [("end", "f/1", "ok", 3, "NoneType"), *[("joined", "f/1", "mine")] * 3]


def test_methods(own: Registry) -> None:
    """A method's key is shown without its instance, and a property of an instance by its address."""

    class Thing:
        @bounded(max=9, registry=own, name="method")
        def method(self, x: int, y: int = 2) -> str:
            return span.get()

        @bounded(max=9, registry=own, name="of class")
        @classmethod
        def of_class(cls, x: int) -> str:
            return span.get()

        @cached_property
        def found(self) -> str:
            return span.get()

    thing = Thing()
    with observed(own) as noting:
        assert thing.method(1) == Thing.method(thing, 1) == "method/1"
        assert noting.take() == ok("method/1", "miss", (1, 2))
        assert Thing.of_class(1) == thing.of_class(1) == "of class/2"
        assert noting.take() == ok("of class/2", "miss", 1)


@pytest.mark.parametrize("work", ["shared", "caller"])
def test_takeovers_and_cancellations(own: Registry, work: Any) -> None:
    """A leader that is cancelled in its own task ends as such, and one who waited takes over; else all go on."""

    @bounded(max=9, work=work, registry=own, name="f")
    async def f(x: int) -> str:
        started.append(x)
        await event.wait()
        return span.get()

    started: list[int] = []
    event = asyncio.Event()

    async def main() -> None:
        with observed(own) as noting:
            first = asyncio.create_task(f(1))
            await until_async(lambda: started)
            second = asyncio.create_task(f(1))
            await until_async(lambda: f.inflight.stats().waiting == 1)
            first.cancel()
            if work == "caller":
                await until_async(lambda: len(started) == 2)
            event.set()
            end = {"caller": "f/2", "shared": "f/1"}[work]
            assert await second == end
            cut = [("begin", "f/1", "miss", 1, "none"), ("end", "f/1", "cancelled", 1, "CancelledError")]
            if work == "caller":
                assert noting.take() == [*cut, *ok("f/2", "takeover", 1)]
            else:
                assert [one[:3] for one in noting.take()] == [
                    ("begin", "f/1", "miss"), ("end", "f/1", "ok"), ("joined", "f/1", "none")
                ]  # fmt: skip

    play(main)


@pytest.mark.parametrize("work", ["shared", "caller"])
def test_deadlines(own: Registry, work: Any) -> None:
    """Work that is cancelled since it is past its deadline ends so."""

    async def main() -> None:
        with FakeClock() as clock, observed(own) as noting:

            @dedupe_inflight(timeout=5, work=work, registry=own, name="f")
            async def f(x: int) -> None:
                started.append(x)
                await asyncio.Event().wait()

            started: list[int] = []
            task = asyncio.create_task(f(1))
            await until_async(lambda: started)
            clock.advance(6)
            with pytest.raises(InflightTimeout):
                await task
            await until_async(lambda: len(noting.seen) == 2)
            assert noting.take()[1:] == [("end", "f/1", "timeout", 0, "CancelledError")]

    play(main)


def test_loads_in_the_background(own: Registry) -> None:
    """A load in the background runs in a copy of the context of the caller that began it."""
    with FakeClock() as clock, observed(own) as noting:

        @bounded(max=9, ttl=10, stale_while_revalidate=10, registry=own, name="f")
        def f(x: int) -> str:
            return span.get()

        @bounded(max=9, ttl=10, stale_while_revalidate=10, registry=own, name="g")
        async def g(x: int) -> str:
            return span.get()

        async def main() -> None:
            await g(1)
            clock.advance(11)
            assert await g(1) == "g/1"
            await until_async(lambda: noting.number == 2 and len(noting.seen) == 4)

        mark = span.set("caller")
        play(main)
        assert noting.take()[2:] == ok("g/2", "background", 1, around="caller")
        f(1)
        clock.advance(11)
        assert f(1) == "f/3"
        until(lambda: len(noting.seen) == 4)
        assert noting.take()[2:] == ok("f/4", "background", 1, around="caller")
        span.reset(mark)


def test_selections_and_later_functions(own: Registry) -> None:
    """A selection watches its functions alone, those that come later too; several who watch do not disturb another."""
    ours, others = Noting(), Noting()
    stop = observe_loads(own.select("a.*"), ours)
    stop_others = observe_loads(own, others)
    f, g = (bounded(max=9, registry=own, name=name)(lambda x: span.get()) for name in ("a.f", "b.g"))
    assert (f(1), g(1)) == ("a.f/1", "b.g/2")
    assert ours.take() == [*ok("a.f/1", "miss", 1)]
    assert [one[1] for one in others.take()] == ["a.f/1", "a.f/1", "b.g/2", "b.g/2"]
    stop()
    stop()
    f(2)
    assert ours.take() == []
    assert len(others.take()) == 2
    stop_others()
    f(3)
    assert others.take() == []


def test_those_who_raise_or_do_not_care(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """What an observer raises harms no call and no other observer, and is logged; of what it does not begin it hears
    no more."""

    class Raising:
        def begin(self, load: Any) -> int:
            if load.key() == 1:
                raise RuntimeError("begin")
            return 1

        def end(self, begun: int, outcome: str, joined: int, error: object) -> None:
            raise RuntimeError("end")

        def joined(self, begun: int) -> None:
            raise RuntimeError("joined")

    class Indifferent(Raising):
        def begin(self, load: Any) -> Any:
            return None

    f = bounded(max=9, registry=own, name="f")(lambda x: x)
    stops = [observe_loads(own, one()) for one in (Raising, Indifferent)]
    with observed(own) as noting, caplog.at_level(logging.ERROR, "memo"):
        assert [f(x) for x in (1, 2, 2)] == [1, 2, 2]
        assert noting.take() == [*ok("f/1", "miss", 1), *ok("f/2", "miss", 2)]
    for stop in stops:
        stop()


def test_what_ends_it_keeps_nothing_alive() -> None:
    """A registry that somebody watches goes by reference counts, though he holds what would end that."""
    own = Registry()
    stop = observe_loads(own, Noting())
    gone = weakref.ref(own)
    gc.disable()
    try:
        del own
        assert gone() is None
    finally:
        gc.enable()
    stop()


def test_what_is_off_is_not_watched(own: Registry) -> None:
    """A call that goes straight to the function is no load."""
    numbers = itertools.count()
    f = bounded(max=9, registry=own, name="f")(lambda x: next(numbers))
    with observed(own) as noting, own.disabled():
        assert [f(1), f(1)] == [0, 1]
    assert noting.take() == []


# -- functions of many keys


@pytest.mark.parametrize("watched_first", [False, True])
def test_batches_of_a_plain_function(own: Registry, watched_first: bool) -> None:
    """A batch is one execution, of the keys that the function is asked for, and joined by who wants one of them."""
    gate = Gate()
    gate.open()

    def f(names: list[int]) -> dict[int, str]:
        gate.wait()
        return {name: span.get() for name in names if name >= 0}

    g = f if watched_first else bounded_many(max=9, registry=own, name="f")(f)
    if not watched_first:
        g([0])
    with observed(own) as noting:
        g = bounded_many(max=9, registry=own, name="f")(f) if watched_first else g
        assert g([1, 2, -1]) == {1: "f/1", 2: "f/1"}
        assert noting.take() == ok("f/1", "miss", [1, 2, -1])
        assert g.one(3) == "f/2"
        assert noting.take() == ok("f/2", "miss", [3])
        assert g([1, 2, 3]) == {1: "f/1", 2: "f/1", 3: "f/2"}
        assert noting.take() == []
        gate.opened.clear()
        gate.entered.clear()
        first = Running(lambda: g([7, 8]))
        gate.reached()
        second = Running(lambda: g.one(8))
        until(lambda: g.inflight.stats().waiting == 1)
        gate.open()
        assert (first.result(), second.result()) == ({7: "f/3", 8: "f/3"}, "f/3")
        began, *rest = noting.take()
        assert began == ("begin", "f/3", "miss", [7, 8], "none")
        assert sorted(rest) == [("end", "f/3", "ok", 1, "NoneType"), ("joined", "f/3", "none")]


@pytest.mark.parametrize("gather", [None, "1ms"])
def test_batches_of_a_coroutine_function(own: Registry, gather: Any) -> None:
    """The same holds of coroutine functions, also where single calls are gathered."""

    @bounded_many(max=9, gather=gather, registry=own, name="f")
    async def f(names: list[int]) -> dict[int, str]:
        await asyncio.sleep(0)
        if -1 in names:
            raise ValueError(names)
        return {name: span.get() for name in names}

    async def main() -> None:
        with observed(own) as noting:
            assert await f([1, 2]) == {1: "f/1", 2: "f/1"}
            assert noting.take() == ok("f/1", "miss", [1, 2])
            both = await asyncio.gather(f([3, 4]), f.one(4))
            if gather is not None:
                assert both == [{3: "f/2", 4: "f/2"}, "f/2"]
                seen = noting.take()
                assert seen[:2] == ok("f/2", "miss", [3, 4], joined=1)
                assert seen[2:] == [("joined", "f/2", "none")]
                assert await asyncio.gather(f.one(5), f.one(6)) == ["f/3", "f/3"]
                assert noting.take() == [*ok("f/3", "miss", [5, 6]), ("joined", "f/3", "none")]
            with pytest.raises(ValueError, match="-1"):
                await f([-1])
            assert noting.take()[-1][2:] == ("error", 0, "ValueError")
        assert span.get() == "none"

    play(main)

"""What happens in functions is told to those who subscribe: each thing once, as the figures count it."""

import asyncio
import gc
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.coroutines import play, until_async
from kit.entered import entered
from kit.subscribers import Told, counted_by, counted_in
from kit.threads import Gate, Running, until

from memo import EvictionReason, Registry, bounded, bounded_many, dedupe_inflight
from memo.errors import InflightTimeout
from memo.testing import FakeClock, isolated

OPTIONS: dict[str, dict[str, Any]] = {
    "lean": {},
    "ttl": {"ttl": 10},
    "lru": {"policy": "lru", "ttl": 10},
    "lfu": {"policy": "lfu", "copy": "deep"},
    "stale": {"ttl": 10, "stale_while_revalidate": 20, "stale_if_error": 50},
    "errors": {"ttl": 10, "cache_errors": ValueError, "error_ttl": 5},
    "tags": {"tags": lambda x: ["even" if x % 2 == 0 else "odd"]},
    "undivided": {"dedupe": False},
    "heard": {"on_evict": lambda key, value, reason: None},
    "weighed": {"max_bytes": 1_000, "sizeof": lambda value: 100},
    "timed": {"timeout": 30},
}


def randomly(own: Registry, clock: FakeClock, f: Any, failing: set[int]) -> Callable[[], Any]:
    """Does with *f* what comes to its mind; returns what a call comes to."""
    draw = random.Random(7)

    def step() -> Any:
        x = draw.randrange(8)
        failing.symmetric_difference_update({x} if draw.random() < 0.2 else ())
        return draw.choice([
            *[lambda: f(x)] * 12,
            lambda: f.cache.refresh(x),
            lambda: f.cache.invalidate(x),
            lambda: f.cache.put([x], x),
            lambda: clock.advance(draw.choice([1, 6, 12])),
            lambda: f.cache.cleanup(),
            *([lambda: f.cache.clear()] if draw.random() < 0.1 else []),
            *([lambda: own.invalidate(tag="even")] if draw.random() < 0.2 else []),
        ])()  # fmt: skip

    return step


@pytest.mark.parametrize("kind", OPTIONS)
def test_it_tells_what_the_figures_count(own: Registry, clock: FakeClock, kind: str) -> None:
    """Of a plain function that does what comes, each load, error, stale answer and eviction is told once."""
    failing: set[int] = set()

    @bounded(**{"max": 4, "registry": own, "name": "f", **OPTIONS[kind]})
    def f(x: int) -> list[int]:
        if x in failing:
            raise ValueError(x)
        return [x]

    f(0)
    before = own["f"].stats()
    told = Told(own)
    step = randomly(own, clock, f, failing)
    for _ in range(300):
        try:
            step()
        except ValueError:
            pass
        until(lambda: own["f"].inflight is not None and own["f"].inflight.stats().active == 0)
    events = told.take()
    found = counted_by(events)
    assert found == counted_in(own["f"].stats()) - counted_in(before)
    assert found["load"] > 30
    assert found["error"] > 10
    assert {event.function for event in events} == {"f"}
    assert all(event.error == "ValueError" for event in events if event.kind == "error")
    assert {event.key for event in events} <= {str(x) for x in range(8)}
    f.cache.clear()


@pytest.mark.parametrize("kind", [*OPTIONS, "in caller"])
def test_it_tells_what_the_figures_count_of_coroutines(own: Registry, clock: FakeClock, kind: str) -> None:
    """The same holds of coroutine functions, some of whose callers are cancelled."""
    failing: set[int] = set()
    draw = random.Random(11)

    @bounded(**{"max": 4, "registry": own, "name": "f", **OPTIONS.get(kind, {"work": "caller"})})
    async def f(x: int) -> list[int]:
        for _ in range(draw.randrange(3)):
            await asyncio.sleep(0)
        if x in failing:
            raise ValueError(x)
        return [x]

    async def main() -> None:
        await f(0)
        before = own["f"].stats()
        told = Told(own)
        step = randomly(own, clock, f, failing)
        for _ in range(150):
            waiting = [asyncio.ensure_future(made) for made in (step(), step(), step()) if asyncio.iscoroutine(made)]
            for task in waiting:
                await asyncio.sleep(0)
                if draw.random() < 0.2:
                    task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await until_async(lambda: own["f"].inflight is not None and own["f"].inflight.stats().active == 0)
        await until_async(lambda: len(asyncio.all_tasks()) <= 2)
        found = counted_by(told.take())
        assert found == counted_in(own["f"].stats()) - counted_in(before)
        assert found["load"] > 30
        assert found["cancelled"] > 3
        f.cache.clear()

    play(main)


def test_what_an_event_says(own: Registry, clock: FakeClock) -> None:
    """Events say which function, when by the wall clock, how long by the function's, why, for how many, and the key."""

    class Page:
        @bounded(max=2, ttl=60, registry=own, name="load")
        def load(self, name: str, lang: str = "en") -> str:
            clock.advance(2)
            if name == "bad":
                raise LookupError("no such page")
            return name

    told = Told(own)
    page = Page()
    page.load("a")
    page.load("a")
    with pytest.raises(LookupError):
        page.load("bad")
    page.load.cache.refresh("a")
    clock.advance(61)
    page.load.cache.cleanup()
    first, second, third, fourth = told.take()
    assert (first.kind, first.function, first.seconds, first.trigger) == ("load", "load", 2.0, "miss")
    assert (first.joined, first.reason, first.error, first.message) == (0, None, None, None)
    assert first.key == "'a', 'en'" or first.key == "('a', 'en')"
    assert datetime.now(UTC) - first.at < timedelta(minutes=1)
    assert (second.kind, second.error, second.message) == ("error", "LookupError", "no such page")
    assert (third.kind, third.trigger) == ("load", "refresh")
    assert (fourth.kind, fourth.reason, fourth.key) == ("eviction", EvictionReason.EXPIRED, first.key)
    assert fourth.seconds is None


@pytest.mark.parametrize("options", [{}, {"tags": lambda x: ["t"]}, {"on_evict": lambda *left: None}, {"ttl": 60}])
def test_each_reason_of_an_eviction(own: Registry, options: Any) -> None:
    """What leaves a store is told with its reason, in C and where the store knows more of its entries."""

    class Thing:
        @bounded(max=2, registry=own, name="f", **options)
        def f(self, x: int) -> list[int]:
            return [x]

    told = Told(own, kinds="eviction")
    with FakeClock() as clock:
        thing = Thing()
        for x in (1, 2, 3):
            thing.f(x)
        thing.f.cache.put([0], 3)
        thing.f.cache.invalidate(3)
        thing.f(4)
        own.clear()
        thing.f(5)
        del thing
        gc.collect()
        reasons = [event.reason for event in told.take()]
        assert reasons == ["size", "replaced", "invalidated", *["cleared"] * 2, "collected"]
        if "ttl" in options:
            thing = Thing()
            thing.f(1)
            clock.advance(61)
            own.cleanup()
            assert [event.reason for event in told.take()] == ["expired"]


def test_very_many_at_once(own: Registry) -> None:
    """A store of more than 10,000 entries that is emptied is told whole, and by the newest where few may wait."""
    f = bounded(max=30_000, registry=own)(lambda x: x)
    for x in range(25_000):
        f(x)
    told, few = Told(own, limit=30_000), Told(own, limit=100)
    assert f.cache.clear() == 25_000
    events = told.take()
    assert len({event.key for event in events}) == len(events) == 25_000
    assert {event.reason for event in events} == {EvictionReason.CLEARED}
    rest = few.take()
    assert few.subscription.delivered + few.subscription.dropped == 25_000
    assert rest[-1].key == events[-1].key


@pytest.mark.parametrize("work", [None, "shared", "caller"])
def test_timeouts(own: Registry, work: Any) -> None:
    """A call that is detached at its deadline is told, and its execution once more when that ends."""
    gate = Gate()
    with FakeClock() as clock:
        told = Told(own)
        if work is None:
            slow: Any = dedupe_inflight(timeout=5, registry=own, name="slow")(lambda x: gate.wait())
            leader = Running(lambda: slow(1))
            gate.reached()
            joiner = Running(lambda: slow(1))
            until(lambda: slow.inflight.stats().waiting == 1)
            clock.advance(6)
            assert type(joiner.error()) is InflightTimeout
            assert [(e.kind, e.seconds, e.joined) for e in told.take()] == [("timeout", 6.0, 1)]
            gate.open()
            leader.join()
            assert told.kinds() == ["load"]
            return

        @dedupe_inflight(timeout=5, work=work, registry=own, name="slow")
        async def awaited(x: int) -> None:
            started.append(x)
            await asyncio.Event().wait()

        started: list[int] = []

        async def main() -> None:
            task = asyncio.ensure_future(awaited(1))
            await until_async(lambda: started)
            clock.advance(6)
            with pytest.raises(InflightTimeout):
                await task
            await until_async(lambda: awaited.inflight.stats().active == 0)

        play(main)
        assert told.kinds() == ["timeout", "cancelled"]


def test_batches(own: Registry) -> None:
    """A batch of many keys is one load, told with the list of its keys; what leaves is told key by key."""

    @bounded_many(max=2, registry=own, name="f")
    def f(names: list[str]) -> dict[str, str]:
        return {name: name for name in names}

    told = Told(own)
    f(["a", "b", "c"])
    events = told.take()
    assert [(e.key, e.joined) for e in events if e.kind == "load"] == [("['a', 'b', 'c']", 0)]
    assert [(e.key, e.reason) for e in events if e.kind == "eviction"] == [("'a'", "size")]


def test_kinds_and_selections(own: Registry) -> None:
    """A subscription hears of the kinds and the functions that it asked for, also of those that come later."""
    errors, some = Told(own, kinds=("error", "stale")), Told(own.select("a.*"), kinds="load")
    f, g = (bounded(max=1, registry=own, name=name)(lambda x: 1 // x) for name in ("a.f", "b.g"))
    for function in (f, g):
        function(1)
        with pytest.raises(ZeroDivisionError):
            function(0)
    assert [(e.kind, e.function) for e in errors.take()] == [("error", "a.f"), ("error", "b.g")]
    assert [(e.kind, e.function) for e in some.take()] == [("load", "a.f")]


def test_what_is_off_or_isolated(own: Registry) -> None:
    """Calls that go straight to the function are no events; in ``isolated()`` all goes on, what is set aside stays."""
    f = bounded(max=3, registry=own)(lambda x: x)
    f(1)
    told = Told(own)
    with own.disabled():
        f(2)
    assert told.kinds() == []
    with isolated(own):
        f(2)
    assert [(e.kind, e.key) for e in told.take()] == [("load", "2"), ("eviction", "2")]
    f(1)
    assert told.kinds() == []


@pytest.mark.parametrize("kind", ["lean", "ttl", "lru", "lfu", "tags"])
@pytest.mark.parametrize("is_async", [False, True])
def test_hits_are_what_they_were(own: Registry, kind: str, is_async: bool) -> None:
    """While somebody subscribes, a hit is answered by the same code as before, and a miss as well afterwards."""

    async def awaited(x: int) -> int:
        return x

    f = bounded(max=4, registry=own, **OPTIONS[kind])(awaited if is_async else lambda x: x)
    layer = f._self_layer

    def shown() -> tuple[Any, ...]:
        return layer.wrapper.__code__.co_code, layer.native()

    def call() -> Any:
        return asyncio.run(f(1)) if is_async else f(1)

    before = shown()
    call()
    told = Told(own)
    native = shown()[1]
    if native is not None:
        assert native._replace(leads=before[1].leads) == before[1], "C answers hits as it did"
    assert entered(call) == set(), "a hit stays in its wrapper"
    assert told.kinds() == []
    told.subscription.close()
    assert shown() == before

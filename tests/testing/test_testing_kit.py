"""The kit for tests: a clock that stands in for all others, and stores that start empty and are put back."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cachetools
import pytest
from kit.coroutines import until_async
from kit.threads import Gate, Running, until

import memo._base.clock
import memo._window.intake
from memo import EvictionReason, InflightTimeout, Registry, bounded, dedupe_inflight, registry, sliding_window
from memo._decorated.layer import Layer
from memo._decorated.stack import layers_of
from memo._registry.record import Record
from memo._store.weights import weight
from memo.testing import FakeClock, isolated


class Counted:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return (x, self.calls)


def counted(*decorators: Callable[[Any], Any]) -> tuple[Any, Counted]:
    """A decorated function, and the one below."""
    original = Counted()

    def load(x: Any) -> Any:
        return original(x)

    decorated: Any = load
    for decorator in decorators:
        decorated = decorator(decorated)
    return decorated, original


def through(gate: Gate, value: Any) -> Any:
    """Stand at the gate, then return *value*."""
    gate.wait()
    return value


def layer(function: Any) -> Layer:
    return next(layers_of(function))


@pytest.fixture(autouse=True)
def _real_time_before_and_after() -> Iterator[None]:
    """No test leaves a clock installed."""
    assert memo._base.clock.default_clock() is time.monotonic
    yield
    assert memo._base.clock.default_clock() is time.monotonic


# -- FakeClock


def test_drives_what_was_decorated_before() -> None:
    """An installed clock takes entries to the end of their lives, also those stored before it came."""
    f, original = counted(bounded(max=10, ttl="1h"))
    f(1)
    with FakeClock() as clock:
        clock.advance("59m59s")
        f(1)
        assert original.calls == 1
        clock.advance("1s")
        f(1)
        assert original.calls == 2


def test_drives_what_is_decorated_while_it_is_installed() -> None:
    """To a function born under the clock, an entry is fresh until exactly its ttl."""
    with FakeClock() as clock:
        f, original = counted(bounded(max=10, ttl="1h"))
        f(1)
        for _ in range(3599):
            clock.advance(1)
        f(1)
        assert original.calls == 1
        clock.advance(1)
        f(1)
        assert original.calls == 2


def test_drives_idle_times() -> None:
    """An entry that is not used for its idle time by the installed clock is loaded again."""
    f, original = counted(bounded(max=10, idle="10m"))
    f(1)
    with FakeClock() as clock:
        clock.advance("9m")
        f(1)
        clock.advance("9m")
        f(1)
        assert original.calls == 1
        clock.advance("10m")
        f(1)
        assert original.calls == 2


def test_drives_windows() -> None:
    """A window forgets by the installed clock what was recorded before and under it."""
    f, _ = counted(sliding_window("1h"))
    f(1)
    with FakeClock() as clock:
        clock.advance("30m")
        f(2)
        assert f.window.count() == 2
        clock.advance("30m")
        assert f.window.count() == 1
        clock.advance("30m")
        assert f.window.count() == 0


def test_drives_cleanup() -> None:
    """What the registry's clean-up takes for expired goes by the installed clock."""
    own = Registry()
    f, _ = counted(bounded(max=10, ttl="1h", registry=own))
    f(1)
    with FakeClock() as clock:
        assert own.cleanup().expired == 0
        clock.advance("1h")
        assert own.cleanup().expired == 1


def test_given_clock_is_kept() -> None:
    """A function that was given a clock does not follow the installed one."""
    given = FakeClock()
    f, original = counted(bounded(max=10, ttl="1h", clock=given))
    f(1)
    with FakeClock() as clock:
        clock.advance("1 day")
        f(1)
        assert original.calls == 1
    given.advance("1h")
    f(1)
    assert original.calls == 2


def test_real_time_comes_back() -> None:
    """Once uninstalled, functions read the real clock itself, those decorated meanwhile too."""
    before, _ = counted(bounded(max=10))
    with FakeClock() as clock:
        inside, _ = counted(bounded(max=10), sliding_window("1h"), dedupe_inflight)
        for part in (*layers_of(before), *layers_of(inside)):
            assert part.clock.read is part.generated.read("clock") is clock
    after, _ = counted(bounded(max=10))
    for part in (*layers_of(before), *layers_of(inside), *layers_of(after)):
        assert part.clock.read is part.generated.read("clock") is time.monotonic


def test_what_was_there_before_is_as_if_the_clock_had_never_been() -> None:
    """Entries stored before the clock came live in real time again, however far it was advanced."""
    f, original = counted(bounded(max=10, ttl="1h"))
    f(1)
    real = f.cache.entry(1)
    with FakeClock() as clock:
        clock.advance("2h")
        assert f.cache.entry(1) is None
    again = f.cache.entry(1)
    assert again is not None
    assert again.expires_in <= real.expires_in
    f(1)
    assert original.calls == 1


def test_nothing_outlives_its_ttl_for_having_been_made_in_a_test() -> None:
    """An entry stored under an advanced clock counts as stored when that clock is uninstalled."""
    with FakeClock() as real:
        f, original = counted(bounded(max=10, ttl="1h"))
        with FakeClock() as clock:
            clock.advance("1 day")
            f(1)
            clock.advance("30m")
        entry = f.cache.entry(1)
        assert (entry.age, entry.expires_in) == (0.0, 3600.0)
        real.advance("59m59s")
        f(1)
        assert original.calls == 1
        real.advance("1s")
        f(1)
        assert original.calls == 2


def test_last_use_under_an_advanced_clock_counts_as_now() -> None:
    """An entry used under an advanced clock is idle from when that clock is uninstalled."""
    with FakeClock() as real:
        f, original = counted(bounded(max=10, ttl="1 day", idle="1h"))
        f(1)
        with FakeClock() as clock:
            for _ in range(10):
                clock.advance("30m")
                f(1)
        assert f.cache.entry(1).age == 0.0
        real.advance("59m")
        assert len(f.cache) == 1
        real.advance("1m")
        assert f.cache.items() == []
        assert original.calls == 1


def test_window_goes_on_from_the_latest_time_it_has_seen() -> None:
    """A window keeps what was recorded under an advanced clock, for its whole span from when that clock went."""
    with FakeClock() as real:
        f, _ = counted(sliding_window("1h"))
        f(1)
        with FakeClock() as clock:
            clock.advance("45m")
            f(2)
        assert f.window.count() == 2
        real.advance("15m")
        assert f.window.count() == 1
        real.advance("44m")
        assert f.window.count() == 1
        real.advance("1m")
        assert f.window.count() == 0


def test_releases_a_thread_that_waited_before() -> None:
    """A clock that is installed while a thread waits for a running call ends that wait at its deadline."""
    gate = Gate()
    f, _ = counted(lambda load: dedupe_inflight(timeout=3600)(lambda x: through(gate, load(x))))
    leader = Running(lambda: f(1))
    until(lambda: f.inflight.pending())
    joiner = Running(lambda: f(1))
    until(lambda: f.inflight.stats().waiting == 1)
    with FakeClock() as clock:
        clock.advance("59m")
        assert f.inflight.cleanup() == 0
        clock.advance("1m")
        with pytest.raises(InflightTimeout):
            joiner.result()
    gate.open()
    assert leader.result() == (1, 1)


def test_releases_coroutines_that_waited_before() -> None:
    """A clock that is installed while coroutines wait for a running call ends it at its deadline."""

    @dedupe_inflight(timeout=3600)
    async def f(x: int) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        calls = [asyncio.create_task(f(1)) for _ in range(3)]
        await until_async(lambda: f.inflight.stats().waiting == 2)
        with FakeClock() as clock:
            assert clock.waiting() == 1
            clock.advance("1h")
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(answer) for answer in answers] == [InflightTimeout] * 3
            assert clock.waiting() == 0

    asyncio.run(main())


def test_uninstalled_clock_ends_nothing() -> None:
    """A call begun under the clock and still running is let go by it, and is no older than real time says."""
    clock = FakeClock()

    async def main() -> None:
        over = asyncio.Event()

        @dedupe_inflight(timeout=3600)
        async def f(x: int) -> int:
            await over.wait()
            return x

        with clock:
            clock.advance("1 day")
            call = asyncio.create_task(f(1))
            await until_async(lambda: f.inflight.pending())
            assert clock.waiting() == 1
        assert clock.waiting() == 0
        clock.advance("2h")
        assert 0.0 <= f.inflight.pending()[0].age < 3600
        over.set()
        assert await call == 1
        assert f.inflight.stats().timeouts == 0

    asyncio.run(main())


def test_clocks_nest() -> None:
    """Of two clocks the one installed last drives, from where the other stood; then the other goes on."""
    with FakeClock() as outer:
        f, original = counted(bounded(max=10, ttl="1h"))
        f(1)
        outer.advance("30m")
        with FakeClock() as inner:
            assert inner() == outer()
            outer.advance("1h")
            f(1)
            assert original.calls == 1
            inner.advance("30m")
            assert f.cache.entry(1) is None
        assert f.cache.entry(1) is None  # an hour and a half by the outer clock


def test_clocks_may_leave_in_any_order() -> None:
    """A clock that is uninstalled below another leaves that one in force."""
    first, second = FakeClock().install(), FakeClock().install()
    first.uninstall()
    assert memo._base.clock.default_clock() is second
    second.uninstall()
    assert memo._base.clock.default_clock() is time.monotonic


def test_is_installed_once() -> None:
    """A clock refuses to be installed twice; to uninstall it twice does nothing."""
    with FakeClock() as clock:
        with pytest.raises(RuntimeError, match=r"installed already; uninstall\(\) it first"):
            clock.install()
        clock.uninstall()
        clock.uninstall()
        assert memo._base.clock.default_clock() is time.monotonic


def test_uninstalled_by_an_exception() -> None:
    """The real time is back after a with statement that raised."""
    with pytest.raises(KeyError), FakeClock():
        raise KeyError
    assert memo._base.clock.default_clock() is time.monotonic


def test_time_does_not_go_back_at_installation() -> None:
    """Installing brings a clock to the present, and leaves one that is ahead where it is."""
    late, ahead = FakeClock(5.0), FakeClock(1e12)
    began = time.monotonic()
    with late:
        assert began <= late() <= time.monotonic() + 1 / 1024
        assert late() * 1024 == int(late() * 1024)
        with ahead:
            assert ahead() == 1e12


def test_installation_releases_the_waits_that_it_passes() -> None:
    """A wait on a clock of its own that lies before the present ends when that clock is installed."""
    clock = FakeClock(0.0)
    rung: list[int] = []
    clock.call_at(0.001, lambda: rung.append(1))
    with clock:
        assert rung == [1]


def test_advances_of_two_threads_add_up() -> None:
    """Time advanced from several threads at once is the sum of what each asked for."""
    clock = FakeClock(0.0)
    threads = [Running(lambda: [clock.advance(1) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.result()
    assert clock() == 2000.0


def test_decorating_while_a_clock_comes_and_goes() -> None:
    """Functions decorated in other threads while clocks are installed and uninstalled read real time in the end."""
    stop = threading.Event()
    made: list[list[Any]] = [[], []]

    def decorate(functions: list[Any]) -> None:
        while not stop.is_set() or len(functions) < 20:
            functions.append(counted(bounded(max=1))[0])

    threads = [Running(lambda functions=functions: decorate(functions)) for functions in made]
    for _ in range(50):
        with FakeClock():
            pass
    stop.set()
    for thread in threads:
        thread.result()
    reads = {(layer(f).clock.read, layer(f).generated.read("clock")) for functions in made for f in functions}
    assert reads == {(time.monotonic, time.monotonic)}


def test_dead_functions_are_not_kept() -> None:
    """A clock keeps none of the functions alive that it drives."""
    gc.collect()
    with FakeClock():
        before = len(memo._base.clock.following_default)
        f, _ = counted(bounded(max=10))
        f(1)  # until then it has looked at no clock
        assert len(memo._base.clock.following_default) == before + 1
        del f
        gc.collect()
        assert len(memo._base.clock.following_default) == before


# -- isolated


class Heap(cachetools.LRUCache[Any, Any]):
    """A policy of the user's own."""


POLICIES = ["s3fifo", "lru", "lfu", "fifo", "random", Heap]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=str)


@every_policy
def test_starts_empty_and_is_put_back(policy: Any) -> None:
    """Inside there is nothing and nothing was counted; after it everything is as it was."""
    own = Registry()
    f, original = counted(bounded(max=10, policy=policy, registry=own, ttl="1h"), sliding_window("1h", registry=own))
    for x in (1, 2, 3, 1, 1, 2):
        f(x)
    items, stats, info, events = f.cache.items(), own.stats(), f.cache_info(), f.window.events()
    hits = [f.cache.entry(x).hits for x in (1, 2, 3)]
    with isolated(own):
        assert len(f.cache) == 0
        assert f.cache.items() == []
        assert f.cache_info() == (0, 0, 10, 0)
        assert f.window.count() == len(f.window) == 0
        assert f(1) == (1, 4)
        assert f(1) == (1, 4)
        assert f.cache_info() == (1, 1, 10, 1)
        assert f.window.stats().count == 2
    assert f.cache.items() == items
    assert own.stats() == stats
    assert f.cache_info() == info
    assert f.window.events() == events
    assert [f.cache.entry(x).hits for x in (1, 2, 3)] == hits
    f(1)
    assert original.calls == 4
    check(f)


def check(*functions: Any) -> None:
    """Check the invariants of their stores."""
    for function in functions:
        for part in layers_of(function):
            if part.kind == "cache":
                part.cache.store._check()  # type: ignore[attr-defined]
                assert part.generated.read("index") is part.cache.store.index  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "random"], ids=str)
@pytest.mark.parametrize(
    "bound", [{"max": 8}, {"max_bytes": 8 * weight(1, ()), "sizeof": lambda value: 0}], ids=["max", "bytes"]
)
def test_order_and_frequencies_come_back(policy: Any, bound: dict[str, Any]) -> None:
    """A store that was set aside goes on evicting what it would have evicted otherwise."""
    f, _ = counted(bounded(**bound, policy=policy))
    twin, _ = counted(bounded(**bound, policy=policy))
    calls = [x * x % 23 for x in range(60)] + [1, 1, 2, 3, 1, 4, 5, 2]
    for x in calls:
        f(x), twin(x)
    with isolated(f):
        for x in range(100):
            f(x)
    check(f)
    for x in [x * 7 % 19 for x in range(60)]:
        f(x), twin(x)
        assert {key for key, _ in f.cache.items()} == {key for key, _ in twin.cache.items()}
    assert f.cache_info() == twin.cache_info()
    check(f, twin)


def test_on_evict_is_told_of_what_was_stored_inside_alone() -> None:
    """What is set aside has not left; what was stored inside leaves at the end, as cleared."""
    gone: list[Any] = []
    f, _ = counted(bounded(max=10, on_evict=lambda *what: gone.append(what)))
    f(1)
    with isolated(f):
        assert gone == []
        f(2)
        f(3)
        f.cache.invalidate(3)
    assert gone == [(3, (3, 3), EvictionReason.INVALIDATED), (2, (2, 2), EvictionReason.CLEARED)]
    f.cache.clear()
    assert gone[2:] == [(1, (1, 1), EvictionReason.CLEARED)]


def test_on_evict_at_the_end_runs_inside() -> None:
    """What on_evict calls for the last values of a test reaches no store that is put back."""
    own = Registry()

    def call_other(key: Any, value: Any, reason: Any) -> None:
        other(key)

    before, _ = counted(bounded(max=10, registry=own, name="a", on_evict=call_other))
    other, calls = counted(bounded(max=10, registry=own, name="b"))
    behind, _ = counted(bounded(max=10, registry=own, name="c", on_evict=call_other))
    with isolated(own):
        before(1), behind(2)
    assert calls.calls == 2
    assert other.cache_info() == (0, 0, 10, 0)


def test_on_evict_that_raises_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """An on_evict that raises is logged, and everything is put back all the same."""

    def fail(key: Any, value: Any, reason: Any) -> None:
        raise RuntimeError("no")

    own = Registry()
    f, _ = counted(bounded(max=10, registry=own, on_evict=fail))
    other, _ = counted(bounded(max=10, registry=own))
    f(1), other(1)
    with caplog.at_level(logging.CRITICAL, "memo"), isolated(own):
        f(2), other(2)
    assert [key for key, _ in f.cache.items()] == [key for key, _ in other.cache.items()] == [1]


def test_resize_is_undone() -> None:
    """Bounds that were changed inside are afterwards what they were."""
    f, _ = counted(bounded(max=3))
    for x in range(3):
        f(x)
    with isolated(f):
        f.cache.resize(max=1)
        f(7), f(8)
        assert f.cache.stats().max == 1
    assert f.cache.stats().max == 3
    assert len(f.cache) == 3
    f(3)
    assert len(f.cache) == 3
    assert f.cache_info().maxsize == 3
    check(f)


def test_resize_before_is_kept() -> None:
    """A store that was resized is as large inside."""
    f, _ = counted(bounded(max=3))
    f.cache.resize(max=1)
    with isolated(f):
        f(1), f(2)
        assert len(f.cache) == 1


def test_cleared_counters_come_back() -> None:
    """Counters that cache_clear() reset count from there again afterwards, whatever was reset inside."""
    f, _ = counted(bounded(max=3))
    f(1), f(1)
    f.cache_clear()
    f(1), f(1)
    with isolated(f):
        f(1)
        assert f.cache_info()[:2] == (0, 1)
        f.cache_clear()
        assert f.cache_info()[:2] == (0, 0)
    assert f.cache_info()[:2] == (1, 1)


class Bot:
    """Its methods are decorated."""

    def __init__(self) -> None:
        self.calls = 0

    @bounded(max=10, policy="s3fifo")
    def fetch(self, x: int) -> int:
        self.calls += 1
        return x

    @bounded(max=10, policy="lru")
    def lookup(self, x: int, y: int = 0) -> int:
        self.calls += 1
        return x

    @property
    @bounded(max=10)
    def state(self) -> int:
        self.calls += 1
        return 1


def test_methods() -> None:
    """An instance finds its own entries again, through handles bound before and inside."""
    one, two = Bot(), Bot()
    before = one.fetch.cache
    for bot in (one, two):
        bot.fetch(1), bot.lookup(1, 2), bot.state
    with isolated(Bot.fetch, Bot.lookup, Bot.state):
        assert len(before) == len(one.lookup.cache) == 0
        one.fetch(1), one.fetch(2), one.lookup(1, 2), one.state
        assert one.calls == 7
        inside = one.fetch.cache
        assert len(before) == len(inside) == 2
        assert len(two.fetch.cache) == 0
    assert len(before) == len(inside) == len(two.fetch.cache) == 1
    for bot in (one, two):
        bot.fetch(1), bot.lookup(1, 2), bot.state
    assert (one.calls, two.calls) == (7, 3)
    check(Bot.fetch, Bot.lookup)


def test_entries_of_dead_instances_do_not_come_back() -> None:
    """Entries of an instance that died meanwhile leave as collected when the store is put back."""
    gone: list[Any] = []

    class Owner:
        @bounded(max=10, on_evict=lambda *what: gone.append(what))
        def load(self, x: int) -> int:
            return x

    alive, dying = Owner(), Owner()
    alive.load(1), dying.load(2)
    with isolated(Owner.load):
        dying.load(3)
        del dying
        gc.collect()
        assert gone == [(3, 3, EvictionReason.COLLECTED)]
    assert gone[1:] == [(2, 2, EvictionReason.COLLECTED)]
    assert Owner.load.cache.items() == [(1, 1)]
    assert Owner.load.cache.stats().evictions[EvictionReason.COLLECTED] == 1
    check(Owner.load)


def test_loads_store_on_their_own_side_alone() -> None:
    """A load that began outside stores nothing inside, and one that began inside stores nothing after."""
    gates = [Gate(), Gate()]
    entered = iter(gates)
    f, original = counted(lambda load: bounded(max=10)(lambda x: through(next(entered), load(x))))
    outside = Running(lambda: f(1))
    gates[0].reached()
    with isolated(f):
        assert len(f.inflight) == 0
        inside = Running(lambda: f(1))
        gates[1].reached()
        gates[0].open()
        assert outside.result() == (1, 1)
        assert len(f.cache) == 0
        assert len(f.inflight) == 1
    assert len(f.inflight) == 0
    gates[1].open()
    assert inside.result() == (1, 2)
    assert len(f.cache) == 0
    assert original.calls == 2


def test_load_that_outlasts_the_context_stores() -> None:
    """A load that was running before and still is afterwards is joined and stored as if nothing had been."""
    gate = Gate()
    f, _ = counted(lambda load: bounded(max=10)(lambda x: through(gate, load(x))))
    leader = Running(lambda: f(1))
    gate.reached()
    with isolated(f):
        assert f.inflight.stats().started == 0
    joiner = Running(lambda: f(1))
    until(lambda: f.inflight.stats().waiting == 1)
    gate.open()
    assert leader.result() == joiner.result() == (1, 1)
    assert [key for key, _ in f.cache.items()] == [1]
    stats = f.inflight.stats()
    assert (stats.started, stats.joined, stats.completed, stats.active) == (1, 1, 1, 0)


def test_coroutines() -> None:
    """Around await, running calls of coroutines are set aside and put back like those of threads."""

    async def main() -> None:
        over = asyncio.Event()
        calls = 0

        @bounded(max=10)
        @dedupe_inflight
        @sliding_window("1h")
        async def f(x: int) -> int:
            nonlocal calls
            calls += 1
            await over.wait()
            return x

        outside = asyncio.create_task(f(1))
        await until_async(lambda: calls == 1)
        with isolated(f):
            assert len(f.cache.inflight) == 0
            inside = asyncio.create_task(f(1))
            await until_async(lambda: calls == 2)
        joiner = asyncio.create_task(f(1))
        await until_async(lambda: f.cache.inflight.stats().waiting == 1)
        over.set()
        assert await asyncio.gather(outside, inside, joiner) == [1, 1, 1]
        assert calls == 2
        assert f.cache_info()[:2] == (1, 1)
        assert await f(1) == 1
        assert calls == 2

    asyncio.run(main())


def test_whole_registry_is_the_default() -> None:
    """Without arguments every function of memo.registry is isolated, and none of another registry."""
    f, _ = counted(bounded(max=10))
    g, _ = counted(bounded(max=10, registry=Registry()))
    f(1), g(1)
    assert layer(f).record in list(registry)
    with isolated():
        assert (len(f.cache), len(g.cache)) == (0, 1)
    assert (len(f.cache), len(g.cache)) == (1, 1)


def test_some_functions_alone() -> None:
    """Functions that are not named keep their entries."""
    f, _ = counted(bounded(max=10))
    g, _ = counted(bounded(max=10))
    f(1), g(1)
    with isolated(f):
        assert (len(f.cache), len(g.cache)) == (0, 1)
    record = registry[f]
    assert isinstance(record, Record)
    with isolated(record, g):
        assert (len(f.cache), len(g.cache)) == (0, 0)


def test_function_decorated_inside_is_cleared() -> None:
    """What a function stored that was decorated inside is gone at the end, and its counters begin anew."""
    gone: list[Any] = []
    own = Registry()
    f, _ = counted(bounded(max=10, registry=own))
    with isolated(own):
        g, _ = counted(bounded(max=10, registry=own, on_evict=lambda *what: gone.append(what)))
        outer = dedupe_inflight(sliding_window("1h", registry=own)(f))
        g(1), outer(1)
        assert len(f.cache) == outer.window.count() == 1
    assert gone == [(1, (1, 1), EvictionReason.CLEARED)]
    assert len(g.cache) == len(f.cache) == outer.window.count() == 0
    assert g.cache_info() == (0, 0, 10, 0)
    assert outer.inflight.stats().started == 0
    assert g(1) == (1, 2)
    check(f, g)


def test_function_that_dies_inside_is_let_go() -> None:
    """A function that is dropped inside leaves the registry, set aside or not."""
    own = Registry()
    f, _ = counted(bounded(max=10, registry=own))
    f(1)
    with isolated(own):
        del f
        gc.collect()
        assert len(own) == 0


def test_contexts_nest() -> None:
    """Each context within another starts empty, and at its end that of the other is back."""
    f, _ = counted(bounded(max=10), sliding_window("1h"))
    f("outer")
    context = isolated(f)
    with context:
        f("middle")
        with context:
            f("inner")
            assert [key for key, _ in f.cache.items()] == ["inner"]
        assert [key for key, _ in f.cache.items()] == ["middle"]
        assert f.window.count() == 1
    assert [key for key, _ in f.cache.items()] == ["outer"]
    check(f)


def test_put_back_after_an_exception() -> None:
    """Everything is put back after a body that raised, and the exception goes on."""
    f, _ = counted(bounded(max=10))
    f(1)
    with pytest.raises(KeyError), isolated(f):
        f(2)
        raise KeyError
    assert [key for key, _ in f.cache.items()] == [1]


def test_what_cannot_be_set_aside_leaves_all_in_place() -> None:
    """If one store cannot be set aside, those before it are put back and nothing is lost."""
    made = iter(range(10))

    class Once(cachetools.LRUCache[Any, Any]):
        def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
            if next(made):
                raise MemoryError
            super().__init__(maxsize, getsizeof)

    f, _ = counted(bounded(max=10))
    g, _ = counted(bounded(max=10, policy=Once))
    f(1), g(1)
    with pytest.raises(MemoryError), isolated(f, g):
        pytest.fail("it was entered")
    assert len(f.cache) == len(g.cache) == 1
    check(f, g)


def test_refuses_what_is_not_decorated() -> None:
    """Something else than a decorated function or a registry is refused when the context is made."""
    with pytest.raises(TypeError, match="is neither decorated by this package nor a registry; give decorated"):
        isolated(len)


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
def test_clean_up_that_is_under_way(policy: str) -> None:
    """A clean-up that began outside takes nothing from what is stored inside, and leaves the rest for the next one."""
    clock, own = FakeClock(), Registry()
    f, _ = counted(bounded(max=1000, ttl="1h", policy=policy, registry=own, clock=clock))
    for x in range(1000):
        f(x)
    clock.advance("1h")
    slices = layer(f).sweep()
    taken = next(slices).entries
    assert 0 < taken < 1000
    with isolated(own):
        for x in range(1000):
            f(x)
        clock.advance("1h")
        taken += next(slices).entries
        assert len(f.cache.store) == 1000
        check(f)
    check(f)
    taken += sum(swept.entries for swept in slices)
    assert taken + own.cleanup().expired == 1000
    assert len(f.cache.store) == 0
    check(f)


@pytest.mark.parametrize("clock_first", [True, False], ids=["clock outside", "clock inside"])
def test_clock_and_isolation_together(clock_first: bool) -> None:
    """In either order, a test that advances time leaves entries, ages and windows from before as they were."""
    own = Registry()
    f, original = counted(bounded(max=10, ttl="1h", registry=own), sliding_window("1h", registry=own))
    f(1)
    contexts: list[Any] = [FakeClock(), isolated(own)]
    outer, inner = contexts if clock_first else contexts[::-1]
    with outer, inner:
        clock = contexts[0]
        f(1)
        clock.advance("2h")
        f(1), f(2)
        assert original.calls == 4
        assert f.window.count() == 2
    entry = f.cache.entry(1)
    assert entry is not None
    assert 0.0 <= entry.age < 600
    assert 3000 < entry.expires_in <= 3600
    assert f.window.count() == len(f.window.events()) == 1
    f(1)
    assert original.calls == 4


def test_clock_that_leaves_inside_makes_nothing_outlive_its_ttl() -> None:
    """Entries set aside under an advanced clock that is gone when they are put back count as stored then."""
    f, _ = counted(bounded(max=10, ttl="1h"))
    clock = FakeClock().install()
    clock.advance("1 day")
    f(1)
    with isolated(f):
        clock.uninstall()
    assert 3590 < f.cache.entry(1).expires_in <= 3600


def test_stale_values_failures_and_tags() -> None:
    """Stale values, remembered failures, tags and their counters are set aside and put back."""
    clock, own = FakeClock(), Registry()
    fails = False

    @bounded(
        max=10,
        ttl="1h",
        stale_if_error="1h",
        cache_errors=(KeyError,),
        error_ttl="1m",
        tags=lambda x: (f"x:{x}", "all"),
        registry=own,
        clock=clock,
    )
    def f(x: int) -> int:
        if fails:
            raise KeyError(x)
        return x

    f(1)
    clock.advance("1h")
    fails = True
    assert f(1) == 1
    for _ in range(2):
        with pytest.raises(KeyError):
            f(2)
    before = own.stats()
    with isolated(own):
        assert own.invalidate(tag="all") == 0
        for _ in range(2):
            with pytest.raises(KeyError):
                f(1)
        fails = False
        f(3)
        assert own.invalidate(tag="x:3") == 1
        stats = f.cache.stats()
        assert (stats.stale_hits, stats.error_hits) == (0, 1)
    assert own.stats() == before
    assert f(1) == 1
    with pytest.raises(KeyError):
        f(2)
    stats = f.cache.stats()
    assert (stats.stale_hits, stats.error_hits) == (2, 2)
    assert own.invalidate(tag="x:1") == 1
    check(f)


def test_stale_window_after_an_advanced_clock() -> None:
    """The stale window of a value stored under an advanced clock begins anew with its life when that clock goes."""
    with FakeClock() as real:
        f, original = counted(bounded(max=10, ttl="1h", stale_while_revalidate="1h"))
        with FakeClock() as clock:
            clock.advance("1 day")
            f(1)
        real.advance("1h")
        assert f.cache.entry(1).stale
        real.advance("1h")
        assert f.cache.entry(1) is None
        assert original.calls == 1


def test_janitor_goes_by_the_clock() -> None:
    """A janitor started before the clock came cleans up when the clock is advanced past its interval, and after."""
    own = Registry()
    f, _ = counted(bounded(max=10, ttl="30m", registry=own))
    with own.janitor(every="1h") as janitor:
        f(1)
        with FakeClock() as clock:
            clock.advance("59m")
            assert janitor.last_report is None
            clock.advance("1m")
            assert janitor.last_report is not None
            assert janitor.last_report.expired == 1
        assert clock.waiting() == 0
        assert janitor.alive


FIXED = {
    "store": {
        "foreign", "idle_s", "lean", "lock", "rich", "touches", "weighed", "put_off", "_is_shown", "_shelf", "_changes",
        "_serving",
        "standing", "past_life", "live", "change", "put_lean", "take_lost", "put", "clear", "resize", "drop",
        "drop_all", "keep_apart",
    },
    "changes": {
        "lock", "put_off", "busy", "torn", "_foreign", "_figures", "_lost", "_owners", "_serving", "_shelf", "_show",
    },
    "shelf": {
        "weighed", "rich", "figures", "owners", "tags", "leaving", "away", "_standing", "_put_off",
    },
    "figures": {"_rich"},
    "results": {
        "clock", "flights", "jobs", "loads", "maker", "name", "options", "told", "upwards",
        "counts", "store", "table",  # which are exchanged, or emptied at both ends, by methods
    },
    "loads": {
        "clock", "kept", "lean", "maker", "store", "table", "told", "_by_key", "_copy", "_counters", "_counts",
        "_has_tags", "_life_s", "_lock", "_options", "_tells",
    },
    "told": {"counts", "name", "on_evict", "revealer", "store"},
    "table": {"by_key", "clock", "lock", "share", "_asked", "counters", "earlier", "known"},
    "jobs": {"by_loop", "_store"},
    "flights": {
        "call", "clock", "keeper", "name", "table", "timeout_s", "_by_key", "_counters", "_explain", "_kept", "_lock",
        "_tags_of",
    },
    "recorder": {
        "where", "__weakref__", "_busy", "_clock", "_everything", "_lock", "_only", "_pending", "_plan", "_span_s",
        "_wall",
    },
}  # fmt: skip
"""What needs no exchange: options, locks, what is empty between two operations, and boxes of keys, which live
as long as what they are in."""


def test_nothing_new_is_forgotten() -> None:
    """Each attribute of a store, of loads and of a recorder is exchanged by isolated(), or listed as needing none."""
    f, _ = counted(bounded(max=10), sliding_window("1h"))
    window, cache = layers_of(f)
    results = cache.cache  # type: ignore[attr-defined]
    recorder = window.recorder  # type: ignore[attr-defined]
    slots = {name for kind in type(recorder).__mro__ for name in getattr(kind, "__slots__", ())}
    store = results.store
    assert set(vars(store)) - FIXED["store"] == set()
    assert set(vars(store._changes)) - FIXED["changes"] == set()
    assert set(vars(store._shelf)) - FIXED["shelf"] == set(store._shelf.HELD)
    assert set(store._shelf.figures.__slots__) - FIXED["figures"] == set(store._shelf.figures.HELD)
    assert set(store._shelf.tags.__slots__) == set(store._shelf.tags.HELD)
    assert set(vars(results)) == FIXED["results"]
    for part in ("loads", "told", "table", "jobs", "flights"):
        assert set(vars(getattr(results, part))) == FIXED[part]
    assert slots - FIXED["recorder"] == set(memo._window.intake._HELD)

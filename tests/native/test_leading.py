"""What C leads of the calls that nobody else leads, and what it leaves to Python."""

import gc
import math
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.flights import assert_idle
from kit.threads import Gate, Running, until

from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo._decorated.layer import layer_of
from memo._flight.flight import InFlight
from memo._flight.leading import leading
from memo._native import speed
from memo.testing import FakeClock

pytestmark = [
    pytest.mark.skipif(speed is None, reason="nothing is led in C where there is none"),
    pytest.mark.usefixtures("without_greenlets"),
]


class Led:
    """A function whose calls go to C first, as those of its decorated function do, and then to the wrapper."""

    def __init__(self, decorated: Any, function: Callable[..., Any]) -> None:
        self.decorated = decorated
        self.function = function
        self.leading: Any = layer_of(decorated).internals()["leading"]
        self.declined = 0

    def __call__(self, key: Any) -> Any:
        result = self.leading.lead(self.function, key, math.nan, key)
        if result is not self.leading:
            return result
        self.declined += 1
        return self.decorated(key)


def deduped(function: Callable[..., Any], **options: Any) -> Led:
    return Led(dedupe_inflight(registry=Registry(), **options)(function), function)


def cached(function: Callable[..., Any], **options: Any) -> Led:
    return Led(bounded(max=8, registry=Registry(), **options)(function), function)


both = pytest.mark.parametrize("kind", [deduped, cached])


@both
def test_a_call_that_is_alone_is_led(kind: Any) -> None:
    """It is counted as one that Python leads is, and leaves no running call."""
    led = kind(lambda key: [key])
    assert led("a") == ["a"]
    assert led.declined == 0
    figures = led.decorated.inflight.stats() if kind is deduped else led.decorated.cache.inflight.stats()
    assert (figures.started, figures.completed, figures.joined, figures.failed, figures.active) == (1, 1, 0, 0, 0)


def test_a_result_is_stored_with_its_times() -> None:
    """The next call is a hit, until the time to live is over, and the load's time is that of the function's clock."""
    clock = FakeClock()

    def work(key: str) -> str:
        clock.advance(2)
        return key * 2

    led = cached(work, ttl=10, clock=clock)
    assert led("a") == "aa"
    assert led.decorated.cache.stats().load_seconds == 2.0
    clock.advance(9.5)
    assert led.decorated("a") == "aa"
    clock.advance(0.5)
    assert led("a") == "aa"
    stats = led.decorated.cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.size) == (1, 2, 2, 1)


@both
def test_what_the_function_raises_is_raised_and_counted(kind: Any) -> None:
    """As it is, with the traceback of the function, and without a running call; what handles it is not changed."""

    def work(key: str) -> None:
        raise KeyError(key)

    led = kind(work)
    try:
        raise ValueError("outer")
    except ValueError as outer:
        with pytest.raises(KeyError, match="a") as raised:
            led("a")
        assert sys.exc_info()[1] is outer
        assert raised.value.__context__ is outer
    assert raised.traceback[-1].name == "work"
    assert raised.value.__cause__ is None
    figures = led.decorated.inflight.stats() if kind is deduped else led.decorated.cache.inflight.stats()
    assert (figures.started, figures.failed, figures.active) == (1, 1, 0)


@both
def test_an_interruption_stays_with_the_call_that_it_struck(kind: Any) -> None:
    """Its running call is abandoned, and the next one leads."""
    struck = [KeyboardInterrupt]

    def work(key: str) -> str:
        if struck:
            raise struck.pop()
        return key

    led = kind(work)
    with pytest.raises(KeyboardInterrupt):
        led("a")
    assert led("a") == "a"
    figures = led.decorated.inflight.stats() if kind is deduped else led.decorated.cache.inflight.stats()
    assert (figures.started, figures.cancelled, figures.completed, figures.active) == (2, 1, 1, 0)


class Odd:
    """A key whose hash is that of a number, and whose comparison is the user's own."""

    compared = 0

    def __hash__(self) -> int:
        return hash(7)

    def __eq__(self, other: object) -> bool:
        Odd.compared += 1
        return self is other


@both
def test_keys_of_the_user_s_own_are_left_to_python(kind: Any) -> None:
    """Such a key is not led, nor is one that might be compared with it, and everybody gets his own result."""
    led = kind(lambda key: [key])
    odd = Odd()
    assert led(odd) == [odd]
    assert led.declined == 1
    if kind is cached:
        assert led(7) == [7]
        assert led.declined == 2
        assert led(odd) == [odd]


def test_a_key_that_might_be_compared_with_a_running_call_s_is_left_to_python() -> None:
    """While a call of a key of the user's own runs, nobody else is led; those before and after are."""
    gate = Gate()

    def work(key: Any) -> Any:
        if isinstance(key, Odd):
            gate.wait()
        return key

    led = deduped(work)
    running = Running(lambda: led(Odd()))
    gate.reached()
    declined = led.declined
    assert led(7) == 7
    assert led.declined == declined + 1
    gate.open()
    running.result()
    assert led(8) == 8
    assert led.declined == declined + 1


@both
def test_who_comes_while_it_runs_waits_for_it(kind: Any) -> None:
    """Joiners get its value, and the figures add up."""
    gate = Gate()

    def work(key: str) -> list[str]:
        gate.wait()
        return [key]

    led = kind(work)
    calls = [Running(lambda: led("a"))]
    gate.reached()
    calls += [Running(lambda: led("a")) for _ in range(3)]
    handle = led.decorated.inflight if kind is deduped else led.decorated.cache.inflight
    until(lambda: handle.stats().waiting == 3)
    assert led.declined == 3
    gate.open()
    results = [call.result() for call in calls]
    assert all(result is results[0] for result in results)
    assert (handle.stats().started, handle.stats().joined) == (1, 3)
    assert_idle(led.decorated)


@both
@pytest.mark.parametrize("joined", [False, True])
def test_what_is_fenced_while_it_runs_reaches_its_caller_alone(kind: Any, joined: bool) -> None:
    """Whoever waited gets the result, too; it is stored for nobody, and newcomers begin anew."""
    gates = [Gate(), Gate()]
    numbers = iter(range(2))

    def work(key: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    led = kind(work)
    calls = [Running(lambda: led("a"))]
    gates[0].reached()
    handle = led.decorated.inflight if kind is deduped else led.decorated.cache.inflight
    if joined:
        calls.append(Running(lambda: led("a")))
        until(lambda: handle.stats().waiting == 1)
    assert handle.forget("a")
    later = Running(lambda: led("a"))
    gates[1].reached()
    gates[0].open()
    assert [call.result() for call in calls] == [0] * len(calls)
    if kind is cached:
        assert led.decorated.cache.items() == []
    gates[1].open()
    assert later.result() == 1
    if kind is cached:
        assert led.decorated.cache.items() == [("a", 1)]
    assert_idle(led.decorated)


@pytest.mark.parametrize("change", ["clear", "put", "call"])
def test_the_function_may_change_its_own_store(change: str) -> None:
    """What it does to its own key wins over what it returns, as in Python."""

    def work(key: str) -> str:
        if change == "clear":
            led.decorated.cache.clear()
        elif change == "put":
            led.decorated.cache.put("put", key)
        elif key != "b":
            led("b")
        return key

    led = cached(work)
    assert led("a") == "a"
    left = {"clear": [], "put": [("a", "put")], "call": [("a", "a"), ("b", "b")]}[change]
    assert sorted(led.decorated.cache.items()) == left
    led.decorated.cache._check()


@both
def test_a_recursion_with_the_same_key_runs_straight_through(kind: Any) -> None:
    """Python leads the inner call, outside the table."""

    def work(key: int) -> int:
        depth.append(key)
        return led(key) + 1 if len(depth) < 3 else 0

    depth: list[int] = []
    led = kind(work)
    assert led(5) == 2
    assert led.declined == 2
    assert_idle(led.decorated)


def test_a_call_that_is_too_old_is_detached() -> None:
    """Those who wait get InflightTimeout; its own caller its result."""
    clock, gate = FakeClock(), Gate()

    def work(key: str) -> str:
        gate.wait()
        return key

    led = deduped(work, timeout=5, clock=clock)
    first = Running(lambda: led("a"))
    gate.reached()
    second = Running(lambda: led("a"))
    until(lambda: led.decorated.inflight.stats().waiting == 1)
    clock.advance(5)
    with pytest.raises(InflightTimeout):
        second.result()
    gate.open()
    assert first.result() == "a"
    assert led.decorated.inflight.stats().timeouts == 1


@both
def test_a_result_that_can_be_used_only_once_is_refused(kind: Any) -> None:
    """As Python refuses it, and counted as a failure."""
    led = kind(lambda key: iter(key))
    with pytest.raises(TypeError, match="once"):
        led("ab")
    figures = led.decorated.inflight.stats() if kind is deduped else led.decorated.cache.inflight.stats()
    assert (figures.failed, figures.active) == (1, 0)


@both
def test_a_flight_that_somebody_holds_serves_nobody_else(kind: Any) -> None:
    """What has ended stays as it ended; one that nobody holds keeps neither key nor value alive."""
    held: list[InFlight] = []

    class Value:
        pass

    def work(key: str) -> Value:
        if key == "held":
            table = layer_of(led.decorated).flights.table
            held.extend(table.by_key.values())
        return Value()

    led = kind(work)
    value = led("held")
    led("other")
    (flight,) = held
    assert (flight.value, flight.key, flight.state) == (value, "held", "returned")
    if kind is deduped:
        assert gc.get_referrers(led("third")) == []


@both
def test_counts_are_exact_under_threads(kind: Any) -> None:
    """Each call of eight threads is one that was led, one that joined, or a hit."""
    led = kind(lambda key: key)
    calls = 2_000

    def work(offset: int) -> None:
        for i in range(calls):
            assert led.decorated(key := (i + offset) % 11) == key if kind is cached and i % 2 else led(i % 7) == i % 7

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if kind is deduped:
        figures = led.decorated.inflight.stats()
        assert figures.started + figures.joined == 8 * calls
        assert figures.completed == figures.started
    else:
        stats = led.decorated.cache.stats()
        assert stats.loads == stats.misses
        led.decorated.cache._check()
    assert_idle(led.decorated)


def test_parts_of_other_classes_are_refused() -> None:
    """Nothing is read where C knows of no slot."""
    layer = layer_of(dedupe_inflight(registry=Registry())(lambda key: key))
    parts = {"finish": None, "refuse": None}
    assert leading(layer.flights, **parts) is not None
    with pytest.raises(TypeError, match="missing, or of a class"):
        leading(layer.flights, **parts, shelf=object())
    with pytest.raises(TypeError, match="missing"):
        speed.Leading()


def test_a_load_ends_when_the_store_is_free() -> None:
    """One that returns while another thread is in the middle of a change waits for it, in Python."""
    gate = Gate()

    def work(key: str) -> str:
        gate.wait()
        return key

    led = cached(work)
    store = led.decorated.cache._cache.store
    running = Running(lambda: led("a"))
    gate.reached()
    with store.lock:
        gate.open()
        until(lambda: running.stands_in() == "finish_lean")  # C has left the rest to what takes the store's lock
        assert "a" not in store.index
    assert running.result() == "a"
    assert led.decorated.cache.items() == [("a", "a")]


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru", "sieve"])
@pytest.mark.parametrize("what", ["clear", "put", "call", "resize"])
def test_what_a_value_does_as_it_leaves_finds_a_whole_store(policy: str, what: str) -> None:
    """Its finalizer may use the cache, since all is done by then; nothing is lost or counted twice."""
    doing: list[None] = []

    class Value:
        def __del__(self) -> None:
            if doing:
                return
            doing.append(None)
            cache = led.decorated.cache
            if what == "clear":
                cache.clear()
            elif what == "put":
                cache.put(None, -1)
            elif what == "call":
                led(-2)
            else:
                cache.resize(max=3)
            cache._check()
            doing.clear()

    led = cached(lambda key: Value(), policy=policy)
    for key in range(60):
        led(key % 23)
        led.decorated.cache._check()
    doing.append(None)
    stats = led.decorated.cache.stats()
    assert stats.loads == stats.misses
    puts = stats.size + sum(stats.evictions.values()) - stats.loads
    assert (puts > 0) is (what == "put")
    assert_idle(led.decorated)


def test_hits_of_what_makes_room_are_counted() -> None:
    """The figures have each hit, of entries here and gone, and tell what was too old from what was not."""
    clock = FakeClock()
    led = Led(bounded(max=2, ttl=10, clock=clock, registry=Registry())(lambda key: key), lambda key: key)
    hits = 0
    for key in range(40):
        led(key)
        for _ in range(key % 3):
            hits += led.decorated(key) == key
        if key % 4 == 3:
            clock.advance(10)
    stats = led.decorated.cache.stats()
    assert (stats.hits, stats.misses) == (hits, 40)
    assert sum(stats.evictions.values()) == 38
    assert {reason.value for reason, number in stats.evictions.items() if number} == {"size", "expired"}

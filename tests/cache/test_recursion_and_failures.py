"""Loads that call themselves, and loads that fail."""

import asyncio
import itertools
import signal
import sys
import threading
from typing import Any

import pytest
from kit.bounded import POLICIES, check
from kit.threads import LIMIT_S, Gate, Running, until

from memo import InflightTimeout, bounded
from memo.testing import FakeClock


def test_recursion_with_other_keys() -> None:
    """A function that calls itself with other arguments loads each of them once, sync and async."""
    for policy in POLICIES:

        @bounded(max=200, policy=policy)
        def fibonacci(n: int) -> int:
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        assert fibonacci(80) == 23416728348467685
        assert fibonacci.cache_info() == (78, 81, 200, 81)

    @bounded(max=200)
    async def later(n: int) -> int:
        return n if n < 2 else await later(n - 1) + await later(n - 2)

    assert asyncio.run(later(60)) == 1548008755920
    assert later.cache_info() == (58, 61, 200, 61)


def test_recursion_with_the_same_key_runs_straight_through() -> None:
    """A load that calls for its own key runs the function again instead of waiting for itself."""
    depth = 0

    @bounded(max=8)
    def fetch(name: str) -> int:
        nonlocal depth
        depth += 1
        return 0 if depth == 3 else fetch(name) + 1

    assert fetch("a") == 2
    assert fetch("a") == fetch.cache.items()[0][1]
    assert len(fetch.inflight) == 0
    assert fetch.cache.stats().misses == 3

    @bounded(max=8)
    async def later(name: str) -> int:
        nonlocal depth
        depth += 1
        return 0 if depth == 3 else await later(name) + 1

    async def use() -> None:
        nonlocal depth
        depth = 0
        assert await later("a") == 2
        assert len(later.inflight) == 0
        assert later.cache.stats().misses == 3

    asyncio.run(use())


@pytest.mark.usefixtures("nothing_collected")
def test_a_recursion_too_deep_leaves_nothing_behind() -> None:
    """After a RecursionError no load runs and nothing is stored; a recursion of a hundred works."""

    @bounded(max=8)
    def fetch(n: int) -> int:
        return fetch(n + 1)

    with pytest.raises(RecursionError):
        fetch(0)
    assert len(fetch.inflight) == 0
    assert len(fetch.cache) == 0
    check(fetch)

    @bounded(max=5000)
    def down(n: int) -> int:
        return 0 if n == 0 else down(n - 1) + 1

    assert down(100) == 100


@pytest.mark.parametrize(
    ("levels", "options"),
    [
        pytest.param(3, {}, id="plain"),
        pytest.param(3, {"ttl": 60, "timeout": 60, "idle": 60, "copy": "shallow"}, id="lives"),
        pytest.param(3, {"dedupe": False, "tags": lambda n: ["tag"]}, id="tags"),
        pytest.param(6, {"ttl": 60, "stale_while_revalidate": 60}, id="stale"),
        pytest.param(6, {"ttl": 60, "stale_if_error": 60}, id="errors"),
        pytest.param(6, {"cache_errors": KeyError, "error_ttl": 60}, id="remembered"),
        pytest.param(6, {"fallback": 0, "fallback_on": KeyError}, id="fallback"),
    ],
)
def test_a_call_takes_few_levels_of_the_limit(levels: int, options: dict[str, Any]) -> None:
    """A recursion takes at most three levels of the interpreter's limit a call, six with stale answers or failures."""

    @bounded(max=5000, **options)
    def down(n: int) -> int:
        return 0 if n == 0 else down(n - 1) + 1

    depth = (sys.getrecursionlimit() - 100) // levels
    assert Running(lambda: down(depth)).result() == depth  # in a thread, whose stack has nothing else on it


def test_a_failure_is_not_remembered() -> None:
    """Each call runs a failing function anew, and counts as a miss and a load error."""
    calls = []

    @bounded(max=8)
    def fetch(name: str) -> str:
        calls.append(name)
        raise LookupError(name)

    for _ in range(3):
        with pytest.raises(LookupError, match=r"^'a'$|^a$"):
            fetch("a")
    assert len(calls) == 3
    stats = fetch.cache.stats()
    assert (stats.misses, stats.hits, stats.loads, stats.load_errors, stats.size) == (3, 0, 0, 3, 0)


def test_joiners_see_the_failure_of_the_load() -> None:
    """Callers waiting on a load that raises get its error, and the function ran once."""
    gate = Gate()

    @bounded(max=8)
    def fetch(name: str) -> str:
        gate.wait()
        raise LookupError(name)

    running = [Running(lambda: fetch("a"))]
    assert gate.entered.wait(LIMIT_S)
    running += [Running(lambda: fetch("a")) for _ in range(3)]
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [3])
    gate.opened.set()
    for call in running:
        with pytest.raises(LookupError) as raised:
            call.result()
        assert raised.value.args == ("a",)
    stats = fetch.cache.stats()
    assert (stats.misses, stats.joins, stats.load_errors) == (1, 3, 1)


def test_a_call_that_finds_a_load_just_before_it_fails_gets_its_error_or_loads_anew() -> None:
    """A caller that meets the end of a failing load gets an error, and each run is one miss."""
    gate = Gate()
    calls, reads = [], []
    threads: list[threading.Thread] = []

    def clock() -> float:
        if threads and threading.current_thread() is not threads[0]:
            reads.append(None)
            if len(reads) == 2:  # it has found the load, and asks how old it is: let it fail now
                gate.opened.set()
                until(lambda: not threads[0].is_alive())
        return 1000.0

    @bounded(max=8, timeout=30, clock=clock)
    def fetch(name: str) -> str:
        calls.append(name)
        if len(calls) == 1:
            threads.append(threading.current_thread())
            gate.wait()
        raise LookupError(name)

    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    reads.clear()
    late = Running(lambda: fetch("a"))
    for call in (late, leader):
        with pytest.raises(LookupError):
            call.result()
    stats = fetch.cache.stats()
    assert stats.requests == 2
    assert stats.misses == stats.load_errors == len(calls)
    assert len(fetch.inflight) == 0


def test_a_call_that_comes_while_a_load_is_failing_takes_nothing_from_those_who_wait() -> None:
    """Joiners get a failing load's error though another call comes before it has ended."""
    gate = Gate()
    calls = []

    @bounded(max=8)
    def fetch(name: str) -> str:
        if name == "first":
            return name
        calls.append(name)
        if len(calls) == 1:
            gate.wait()
        raise LookupError(name)

    # the moment between the end of the work and the end of its flight has no code of the user's in it
    fetch("first")  # which makes the wrapper
    cache_before, flights_before = fetch.cache.stats(), fetch.inflight.stats()
    generated = fetch._self_layer.generated
    failed = fetch._self_layer.read("failed")
    newcomers: list[Running] = []

    def failing(flight: Any, error: BaseException) -> None:
        if not newcomers:
            newcomers.append(Running(lambda: fetch("a")))
            until(lambda: flight.joined == 2 or len(calls) > 1 or not newcomers[0].thread.is_alive())
        failed(flight, error)

    generated.assign("failed", failing)
    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1])
    gate.opened.set()
    for call in (leader, joiner):
        with pytest.raises(LookupError):
            call.result()
    with pytest.raises(LookupError):
        newcomers[0].result()
    stats, flights = fetch.cache.stats() - cache_before, fetch.inflight.stats() - flights_before
    assert stats.joins >= 1, "who waited for the failing load was sent to load by himself"
    assert stats.requests == 3
    assert stats.misses == stats.load_errors == len(calls)
    assert (flights.failed, flights.cancelled) == (len(calls), 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupted_load_leaves_nothing_stuck(error: type[BaseException]) -> None:
    """After an interrupting error of a load or refresh, the next call runs the function."""
    failing = True

    @bounded(max=8)
    def fetch(name: str) -> str:
        if failing:
            raise error
        return name

    with pytest.raises(error):
        fetch("a")
    with pytest.raises(error):
        fetch.cache.refresh("a")
    assert len(fetch.inflight) == 0
    failing = False
    assert fetch("a") == fetch("a") == "a"
    assert fetch.cache.stats().load_errors == 2


def test_ctrl_c_during_a_load_leaves_nothing_stuck() -> None:
    """KeyboardInterrupt by a signal reaches the caller, and the next call runs the function."""
    failing = True

    @bounded(max=8)
    def fetch(name: str) -> str:
        if failing:
            signal.raise_signal(signal.SIGINT)
        return name

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        fetch("a")
    assert len(fetch.inflight) == 0
    failing = False
    assert fetch("a") == "a"


def test_a_joiner_takes_over_from_an_interrupted_leader() -> None:
    """When the leader is interrupted, a waiting thread runs the function, and counts as a miss."""
    gate = Gate()
    leaders: list[threading.Thread] = []

    @bounded(max=8)
    def fetch(name: str) -> str:
        leaders.append(threading.current_thread())
        if len(leaders) == 1:
            gate.wait()
            raise KeyboardInterrupt
        return name

    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1])
    gate.opened.set()
    with pytest.raises(KeyboardInterrupt):
        leader.result()
    assert joiner.result() == "a"
    assert leaders == [leader.thread, joiner.thread]
    stats = fetch.cache.stats()
    assert (stats.misses, stats.joins) == (2, 0)


def test_a_cancelled_load_is_not_stored_and_leaves_no_task() -> None:
    """Cancelling the only caller cancels the load, which counts as cancelled and not as an error."""

    async def use() -> None:
        started = asyncio.Event()

        @bounded(max=8)
        async def fetch(name: str) -> str:
            started.set()
            await asyncio.Event().wait()
            return name

        task = asyncio.create_task(fetch("a"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(fetch.inflight) == 0
        assert fetch.cache.stats().load_errors == 0
        assert fetch.inflight.stats().cancelled == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(use())


def test_a_load_older_than_timeout_is_given_up() -> None:
    """At `timeout` joiners get InflightTimeout, and the leader gets its result, which is not stored."""
    clock = FakeClock()
    gate = Gate()

    @bounded(max=8, timeout="30s", clock=clock)
    def fetch(name: str) -> str:
        gate.wait()
        return name

    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1] and clock.waiting() == 1)
    clock.advance(30)
    with pytest.raises(InflightTimeout, match="30 s") as raised:
        joiner.result()
    assert isinstance(raised.value, TimeoutError)
    assert len(fetch.inflight) == 0
    gate.opened.set()
    assert leader.result() == "a"
    assert len(fetch.cache) == 0


def test_without_dedupe_every_call_leads_and_the_last_begun_is_stored() -> None:
    """With `dedupe=False` calls of one key run side by side, and an older one replaces nothing."""
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    @bounded(max=8, dedupe=False)
    def fetch(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    first = Running(lambda: fetch("a"))
    assert gates[0].entered.wait(LIMIT_S)
    second = Running(lambda: fetch("a"))
    assert gates[1].entered.wait(LIMIT_S)
    gates[1].opened.set()
    assert second.result() == 1
    gates[0].opened.set()
    assert first.result() == 0
    assert fetch("a") == 1
    assert fetch.cache_info() == (1, 2, 8, 1)

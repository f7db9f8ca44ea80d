"""What happens to a value while it loads wins over the load."""

import asyncio
import itertools
from typing import Any

import pytest
from kit.coroutines import calls_of, play, some_turns, until_async
from kit.fencing import Later, cache_clear, clear, invalidate, invalidate_where, put
from kit.flights import assert_idle, lead_and_join, waiters
from kit.threads import Gate, Running, until

from memo import EvictionReason, Registry, bounded, dedupe_inflight
from memo._base import Clock
from memo._flight.flight import CALL, REFRESH, InFlight, born
from memo._flight.table import FlightTable
from memo._store.weights import weight
from memo.testing import FakeClock

Gone = list[tuple[Any, Any, EvictionReason]]


def cache_alone(function: Any, gone: Gone, registry: Registry) -> Any:
    return bounded(max=8, registry=registry, on_evict=lambda *what: gone.append(what))(function)


def cache_above(function: Any, gone: Gone, registry: Registry) -> Any:
    return cache_alone(dedupe_inflight(registry=registry)(function), gone, registry)


def cache_below(function: Any, gone: Gone, registry: Registry) -> Any:
    return dedupe_inflight(registry=registry)(cache_alone(function, gone, registry))


STACKS = [cache_alone, cache_above, cache_below]

every_stack = pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.__name__)


def invalidate_where_nothing(function: Any) -> None:
    assert function.cache.invalidate_where(lambda key, value: False) == 0


def forget(function: Any) -> None:
    assert function.inflight.forget("a") is True


DROPPING = [invalidate, invalidate_where, invalidate_where_nothing, clear, cache_clear, forget]

every_dropping = pytest.mark.parametrize("later", DROPPING, ids=lambda later: later.__name__)


class Loads:
    """Loads of one function that stand at a gate each and return their number."""

    def __init__(self, number: int = 3) -> None:
        self.gates = [Gate() for _ in range(number)]
        self.numbers = itertools.count()

    def work(self, name: str) -> int:
        number = next(self.numbers)
        self.gates[number].wait()
        return number


class TaskLoads:
    """The same for coroutines."""

    def __init__(self, number: int = 3) -> None:
        self.opened = [asyncio.Event() for _ in range(number)]
        self.begun = 0

    async def work(self, name: str) -> int:
        number = self.begun
        self.begun += 1
        await self.opened[number].wait()
        return number


# -- invalidated, cleared or forgotten while it loads


@every_stack
@every_dropping
@pytest.mark.parametrize("first", ["old", "new"])
def test_a_call_after_it_starts_anew_and_only_its_result_is_stored(stack: Any, later: Later, first: str) -> None:
    """After a removal calls start a new load, which alone is stored, whichever load ends first."""
    loads, gone = Loads(), []
    fetch = stack(loads.work, gone, Registry())
    old = lead_and_join(fetch, loads.gates[0], 2, "a")
    later(fetch)
    assert len(fetch.cache) == 0
    new = [Running(lambda: fetch("a"))]
    loads.gates[1].reached()
    new.append(Running(lambda: fetch("a")))
    until(lambda: waiters(fetch)[-1] == 1)
    steps = [(loads.gates[0], old, 0), (loads.gates[1], new, 1)]
    for gate, calls, number in steps if first == "old" else reversed(steps):
        gate.open()
        assert [call.result() for call in calls] == [number] * len(calls)
    assert fetch.cache.items() == [("a", 1)]
    assert fetch("a") == 1
    assert gone == []
    assert_idle(fetch)


@every_stack
@every_dropping
@pytest.mark.parametrize("first", ["old", "new"])
def test_a_coroutine_s_call_after_it_starts_anew(stack: Any, later: Later, first: str) -> None:
    """After a removal awaiting calls start a new load, which alone is stored, whichever load ends first."""

    async def main() -> None:
        loads, gone = TaskLoads(), []
        fetch = stack(loads.work, gone, Registry())
        old = await calls_of(fetch, 3, "a")
        later(fetch)
        assert len(fetch.cache) == 0
        new = [asyncio.create_task(fetch("a")) for _ in range(2)]
        await some_turns()
        assert loads.begun == 2
        steps = [(0, old), (1, new)]
        for number, calls in steps if first == "old" else reversed(steps):
            loads.opened[number].set()
            assert await asyncio.gather(*calls) == [number] * len(calls)
        assert fetch.cache.items() == [("a", 1)]
        assert await fetch("a") == 1
        assert gone == []
        assert_idle(fetch)

    play(main)


@every_stack
@every_dropping
def test_what_waited_gets_the_result_and_nothing_is_stored(stack: Any, later: Later) -> None:
    """A load whose key was removed while it ran answers leader and joiners, and stores nothing."""
    loads, gone = Loads(), []
    fetch = stack(loads.work, gone, Registry())
    calls = lead_and_join(fetch, loads.gates[0], 3, "a")
    later(fetch)
    loads.gates[0].open()
    assert [call.result() for call in calls] == [0] * 4
    assert fetch.cache.items() == []
    assert gone == []
    assert_idle(fetch)


@every_stack
@every_dropping
def test_what_waited_for_a_coroutine_gets_the_result_and_nothing_is_stored(stack: Any, later: Later) -> None:
    """Tasks get the result of a coroutine whose key was removed meanwhile, and nothing is stored."""

    async def main() -> None:
        loads, gone = TaskLoads(), []
        fetch = stack(loads.work, gone, Registry())
        calls = await calls_of(fetch, 4, "a")
        later(fetch)
        loads.opened[0].set()
        assert await asyncio.gather(*calls) == [0] * 4
        assert fetch.cache.items() == []
        assert gone == []
        assert_idle(fetch)

    play(main)


@every_stack
def test_a_failure_of_a_fenced_load_still_reaches_those_who_waited(stack: Any) -> None:
    """Leader and joiners get the error of a load that was invalidated while it ran."""
    gate = Gate()

    def work(name: str) -> int:
        gate.wait()
        raise LookupError(name)

    fetch = stack(work, [], Registry())
    calls = lead_and_join(fetch, gate, 2, "a")
    fetch.cache.invalidate("a")
    gate.open()
    assert [type(call.error()) for call in calls] == [LookupError] * 3
    assert_idle(fetch)


@every_stack
def test_another_key_is_not_fenced(stack: Any) -> None:
    """Invalidating, putting or forgetting other keys leaves a load its joiners, and it is stored."""
    loads = Loads()
    fetch = stack(loads.work, [], Registry())
    calls = lead_and_join(fetch, loads.gates[0], 1, "a")
    fetch.cache.invalidate("b")
    fetch.cache.put(7, "c")
    fetch.inflight.forget("b")
    assert waiters(fetch) == [1]
    loads.gates[0].open()
    assert [call.result() for call in calls] == [0, 0]
    assert sorted(fetch.cache.items()) == [("a", 0), ("c", 7)]


@every_stack
def test_clearing_a_registry_fences_every_layer(stack: Any) -> None:
    """After clear() of a registry or a record, a new load is stored and the older one is not."""
    for whole in (True, False):
        loads, registry = Loads(), Registry()
        fetch = stack(loads.work, [], registry)
        old = lead_and_join(fetch, loads.gates[0], 1, "a")
        if whole:
            registry.clear()
        else:
            registry[fetch].clear()
        new = Running(lambda fetch=fetch: fetch("a"))
        loads.gates[1].reached()
        loads.gates[1].open()
        assert new.result() == 1
        loads.gates[0].open()
        assert [call.result() for call in old] == [0, 0]
        assert fetch.cache.items() == [("a", 1)]


@every_stack
@pytest.mark.parametrize("what", ["cleanup", "resize", "evict"])
def test_cleaning_up_resizing_and_evicting_fence_nothing(stack: Any, what: str) -> None:
    """A load during cleanup(), resize() or evictions keeps its joiner and is stored."""
    loads = Loads()
    fetch = stack(loads.work, [], Registry())
    calls = lead_and_join(fetch, loads.gates[0], 1, "a")
    if what == "cleanup":
        assert fetch.cache.cleanup() == 0
        assert fetch.inflight.cleanup() == 0
    elif what == "resize":
        fetch.cache.resize(max=3)
    else:
        for number in range(20):
            fetch.cache.put(number, str(number))
    assert waiters(fetch) == [1]
    loads.gates[0].open()
    assert [call.result() for call in calls] == [0, 0]
    assert fetch.cache.entry("a") is not None


def test_through_an_instance_only_its_loads_are_fenced() -> None:
    """Clearing through one instance detaches that instance's load, and another's is stored."""
    gate = Gate()
    count = itertools.count()

    class Client:
        @bounded(max=8)
        def fetch(self, name: str) -> int:
            number = next(count)
            gate.wait()
            return number

    one, other = Client(), Client()
    calls = [Running(lambda: one.fetch("a"))]
    gate.reached()
    calls.append(Running(lambda: other.fetch("a")))
    until(lambda: len(Client.fetch.inflight) == 2)
    assert one.fetch.cache.clear() == 0
    assert (len(one.fetch.inflight), len(other.fetch.inflight)) == (0, 1)
    gate.open()
    for call in calls:
        call.join()
    assert (len(one.fetch.cache), len(other.fetch.cache)) == (0, 1)


@every_stack
def test_the_function_may_invalidate_its_own_call(stack: Any) -> None:
    """A function that invalidates its own key while it runs stores nothing, and runs again at the next call."""
    numbers = itertools.count()

    def work(name: str) -> int:
        fetch.cache.invalidate(name)
        return next(numbers)

    fetch = stack(work, [], Registry())
    assert [fetch("a"), fetch("a")] == [0, 1]
    assert len(fetch.cache) == 0


# -- put while it loads


@every_stack
def test_what_was_put_during_a_load_stays_and_serves_the_next_call(stack: Any) -> None:
    """A value put while a load runs answers new calls at once, and stays when the load ends."""
    loads, gone = Loads(), []
    fetch = stack(loads.work, gone, Registry())
    calls = lead_and_join(fetch, loads.gates[0], 2, "a")
    put(fetch)
    assert Running(lambda: fetch("a")).result() == "put"
    loads.gates[0].open()
    assert [call.result() for call in calls] == [0] * 3
    assert fetch.cache.items() == [("a", "put")]
    assert fetch("a") == "put"
    assert gone == []
    assert_idle(fetch)


@every_stack
def test_what_was_put_during_a_coroutine_s_load_stays_and_serves_the_next_call(stack: Any) -> None:
    """A value put while a coroutine loads answers new tasks at once, and stays when it ends."""

    async def main() -> None:
        loads, gone = TaskLoads(), []
        fetch = stack(loads.work, gone, Registry())
        calls = await calls_of(fetch, 3, "a")
        put(fetch)
        newcomer = asyncio.create_task(fetch("a"))
        await some_turns()
        assert newcomer.done()
        assert newcomer.result() == "put"
        loads.opened[0].set()
        assert await asyncio.gather(*calls) == [0] * 3
        assert fetch.cache.items() == [("a", "put")]
        assert gone == []

    play(main)


@every_stack
def test_the_function_may_put_for_its_own_call(stack: Any) -> None:
    """What a function puts for its own key answers the next call in place of what it returned."""

    def work(name: str) -> str:
        fetch.cache.put("put", name)
        return "returned"

    fetch = stack(work, [], Registry())
    assert [fetch("a"), fetch("a")] == ["returned", "put"]


def test_a_put_too_large_to_store_fences_all_the_same() -> None:
    """A load is not stored when a put, itself rejected for its size, came after it began."""
    gate = Gate()

    @bounded(max_bytes=10 + weight("a", ()), sizeof=lambda value: len(value))
    def fetch(name: str) -> str:
        gate.wait()
        return name

    call = Running(lambda: fetch("a"))
    gate.reached()
    fetch.cache.put("x" * 11, "a")
    gate.open()
    assert call.result() == "a"
    assert fetch.cache.items() == []


# -- refresh while it loads


@every_stack
@pytest.mark.parametrize("first", ["load", "refresh"])
def test_a_refresh_supersedes_a_running_load(stack: Any, first: str) -> None:
    """A refresh beside a load is joined by further refreshes and stored, whichever of the two ends first."""
    loads, gone = Loads(), []
    fetch = stack(loads.work, gone, Registry())
    load = Running(lambda: fetch("a"))
    loads.gates[0].reached()
    refreshes = [Running(lambda: fetch.cache.refresh("a"))]
    loads.gates[1].reached()
    refreshes.append(Running(lambda: fetch.cache.refresh("a")))
    until(lambda: fetch.cache.inflight.pending()[-1].waiters == 1)
    steps = [(loads.gates[0], [load], 0), (loads.gates[1], refreshes, 1)]
    for gate, calls, number in steps if first == "load" else reversed(steps):
        gate.open()
        assert [call.result() for call in calls] == [number] * len(calls)
    assert fetch.cache.items() == [("a", 1)]
    assert fetch("a") == 1
    assert gone == []
    assert fetch.cache.stats().refreshes == 1
    assert_idle(fetch)


@every_stack
@pytest.mark.parametrize("first", ["load", "refresh"])
def test_a_coroutine_s_refresh_supersedes_a_running_load(stack: Any, first: str) -> None:
    """An awaited refresh beside a load is joined and stored, whichever of the two ends first."""

    async def main() -> None:
        loads, gone = TaskLoads(), []
        fetch = stack(loads.work, gone, Registry())
        load = await calls_of(fetch, 1, "a")
        refreshes = [asyncio.create_task(fetch.cache.refresh("a")) for _ in range(2)]
        await until_async(lambda: fetch.cache.inflight.pending()[-1].waiters == 1)
        await some_turns()
        assert loads.begun == 2
        steps = [(0, load), (1, refreshes)]
        for number, calls in steps if first == "load" else reversed(steps):
            loads.opened[number].set()
            assert await asyncio.gather(*calls) == [number] * len(calls)
        assert fetch.cache.items() == [("a", 1)]
        assert await fetch("a") == 1
        assert gone == []
        assert_idle(fetch)

    play(main)


def test_a_superseded_load_has_left_the_table() -> None:
    """Whoever finds a load that a refresh superseded sees that it is not the current one, as after an invalidation."""
    table = FlightTable(Clock(lambda: 0.0))
    load, refresh = born(InFlight(), CALL), born(InFlight(), REFRESH)
    load.key = refresh.key = "a"
    assert table.take_place(load) is load
    assert table.take_place(refresh) is refresh
    assert load.fenced
    assert not hasattr(load, "current")
    assert not table.take_out(load)
    assert table.running() == [refresh]


@every_stack
def test_an_invalidation_during_a_refresh_fences_it(stack: Any) -> None:
    """A refresh whose key is invalidated meanwhile returns its result and stores nothing."""
    loads = Loads()
    fetch = stack(loads.work, [], Registry())
    refresh = Running(lambda: fetch.cache.refresh("a"))
    loads.gates[0].reached()
    fetch.cache.invalidate("a")
    loads.gates[0].open()
    assert refresh.result() == 0
    assert fetch.cache.items() == []


@every_stack
def test_a_refresh_after_an_invalidation_does_not_join_what_was_invalidated(stack: Any) -> None:
    """A refresh begun after invalidate() loads anew, and its result is the one kept."""
    loads = Loads()
    fetch = stack(loads.work, [], Registry())
    old = Running(lambda: fetch.cache.refresh("a"))
    loads.gates[0].reached()
    fetch.cache.invalidate("a")
    new = Running(lambda: fetch.cache.refresh("a"))
    loads.gates[1].reached()
    loads.gates[1].open()
    loads.gates[0].open()
    assert [old.result(), new.result()] == [0, 1]
    assert fetch.cache.items() == [("a", 1)]


@every_stack
def test_a_failing_refresh_keeps_the_old_value_and_the_superseded_load_is_not_stored(stack: Any) -> None:
    """A load superseded by a refresh is not stored even when that refresh fails."""
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    def work(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        if number == 1:
            raise LookupError(name)
        return number

    fetch = stack(work, [], Registry())
    load = Running(lambda: fetch("a"))
    gates[0].reached()
    refresh = Running(lambda: fetch.cache.refresh("a"))
    gates[1].reached()
    gates[1].open()
    assert isinstance(refresh.error(), LookupError)
    gates[0].open()
    assert load.result() == 0
    assert fetch.cache.items() == []
    assert_idle(fetch)


# -- timed out while it loads


@pytest.mark.parametrize("above", [True, False])
def test_in_a_stack_a_late_result_is_fenced_whichever_layer_timed_out(above: bool) -> None:
    """A result that comes after the timeout of both layers does not replace a newer call's."""
    clock, loads, registry = FakeClock(), Loads(), Registry()
    if above:
        inner = dedupe_inflight(timeout=30, clock=clock, registry=registry)(loads.work)
        fetch = bounded(max=8, timeout=60, clock=clock, registry=registry)(inner)
    else:
        cached = bounded(max=8, timeout=30, clock=clock, registry=registry)(loads.work)
        fetch = dedupe_inflight(timeout=60, clock=clock, registry=registry)(cached)
    call = Running(lambda: fetch("a"))
    loads.gates[0].reached()
    clock.advance(60)
    assert registry.cleanup().flights == 2
    newcomer = Running(lambda: fetch("a"))
    loads.gates[1].reached()
    loads.gates[1].open()
    assert newcomer.result() == 1
    loads.gates[0].open()
    assert call.result() == 0
    assert fetch.cache.items() == [("a", 1)]
    assert_idle(fetch)

"""A load asks the tier before it runs the function, and shares what that returned."""

import asyncio
import gc
import inspect
from typing import Any

import pytest
from kit.paper_tier import Deaf, PaperTier
from kit.shared_functions import MakeProcess, Process
from kit.threads import Gate, Running, until

from memo import EvictionReason, Registry, bounded
from memo.testing import FakeClock


def test_what_one_process_loaded_another_finds(process: MakeProcess, paper_clock: FakeClock) -> None:
    """The function runs once; the other stores what it found with its age and the life that is left."""
    one, other = process(), process()
    assert one() == "a1"
    paper_clock.advance(40)
    assert other() == other() == "a1"
    assert (one.calls, other.calls) == (["a"], [])
    info = other.cache.entry()
    assert (info.age, info.expires_in) == (40, 20)
    paper_clock.advance(20)
    assert other() == "a1"
    assert other.calls == ["a"]
    assert [one.link.grants, other.link.grants] == [[["stored"]], [["stored"]]]


def test_what_the_tier_answers_is_no_execution(process: MakeProcess, paper_clock: FakeClock) -> None:
    """It counts as a miss, and as nothing that the function did."""
    one, other = process(), process()
    one.inside = lambda: paper_clock.advance(2)
    one()
    other()
    other()
    stats = one.stats
    assert (stats.misses, stats.loads, stats.load_seconds, stats.l2_misses, stats.l2_hits) == (1, 1, 2, 1, 0)
    assert (stats.l2_served, stats.served_ratio) == (0, 0)
    stats = other.stats
    assert (stats.hits, stats.misses, stats.loads, stats.load_seconds, stats.l2_hits) == (1, 1, 0, 0, 1)
    assert (stats.l2_served, stats.served_ratio, stats.hit_ratio) == (1, 1, 0.5)


def test_a_load_waits_for_that_of_another_process(process: MakeProcess) -> None:
    """One execution, and each gets its value."""
    one, other = process(), process()
    gate = Gate()
    one.inside = gate.wait
    first = Running(one)
    gate.reached()
    asking = Gate()
    other.link.before = lambda step: asking.entered.set()
    second = Running(other)
    asking.reached()
    gate.open()
    assert first.result() == second.result() == "a1"
    assert other.calls == []


# -- what ends a leave to load


def test_a_load_that_fails_is_nobodys(process: MakeProcess) -> None:
    """The leave is given back, each caller gets its error, and the next process loads."""
    one, other = process(), process()
    one.error = LookupError("down")
    with pytest.raises(LookupError, match="down"):
        one()
    assert one.link.grants == [["released"]]
    assert other() == "a1"
    assert one.stats.load_errors == 1


def test_results_that_are_not_to_be_stored_are_not_shared(process: MakeProcess) -> None:
    """By ``cache_if``, by a life of nothing, by tags that nobody could tell: each process loads by itself."""
    one, other = process(cache_if=lambda value: False), process(ttl=lambda value: 0)
    assert (one(), other()) == ("a1", "a1")
    assert [one.link.grants, other.link.grants] == [[["released"]], [["released"]]]
    assert one.stats.rejected == 1

    def untold(x: str) -> str:
        raise LookupError(x)

    third = process(tags=untold)
    assert third() == "a1"
    assert third.link.steps == []


def test_a_result_without_an_end_stays_here(process: MakeProcess) -> None:
    """What ``ttl`` gives no end is kept where it was loaded, and not on the server."""
    one, other = process(ttl=lambda value: None), process()
    assert one() == one() == "a1"
    assert (one.link.grants, len(one.calls)) == ([["released"]], 1)
    assert other() == "a1"
    assert other.calls == ["a"]


def test_who_loads_says_how_long(process: MakeProcess, paper_clock: FakeClock) -> None:
    """``ttl(value)`` is asked where the function ran, and holds for all who find what it returned."""
    one, other = process(ttl=lambda value: 5), process(ttl=lambda value: 1000, cache_if=lambda value: False)
    one()
    paper_clock.advance(2)
    other()
    assert other.cache.entry().expires_in == 3


def test_copies_here_live_no_longer_than_is_allowed(paper_clock: FakeClock, paper: PaperTier) -> None:
    """``local_ttl`` shortens what is loaded, found and put here, and nothing on the server."""
    paper.local_s = 10
    one, other = Process(paper), Process(paper)
    one()
    other()
    one.cache.put("b", "b")
    assert [info.expires_in for info in (one.cache.entry(), other.cache.entry(), one.cache.entry("b"))] == [10] * 3
    paper_clock.advance(30)
    assert one() == "a1"
    assert (len(one.calls), one.cache.entry().expires_in, one.cache.entry().age) == (1, 10, 30)
    paper_clock.advance(29)
    other()
    assert other.cache.entry().expires_in == 1


def test_a_refused_result_is_stored_nowhere(process: MakeProcess) -> None:
    """What was overtaken while it loaded reaches its callers alone."""
    one, other = process(), process()
    one.link.local = other.link.local = Deaf()  # no message comes
    one.inside = lambda: other.cache.invalidate("a")
    assert one() == "a1"
    one.inside = int
    assert (one.has("a"), one.stats.l2_refused, one.stats.rejected) == (None, 1, 0)
    assert other() == "a1"
    assert other.calls == ["a"]


def test_where_a_result_is_refused_nothing_older_stays(process: MakeProcess) -> None:
    """Of what was loaded before a refresh that is refused nobody here is told any more, nor of a stale value."""
    one, other = process(), process()
    one("a")
    one.link.local = other.link.local = Deaf()
    one.inside = lambda: other.cache.invalidate("a")
    assert one.refresh("a") == "a2"
    assert (one.has("a"), dict(one.stats.evictions)[EvictionReason.INVALIDATED]) == (None, 1)
    one.inside = int
    assert one("a") == "a3"


def test_what_was_forgotten_is_not_shared(process: MakeProcess) -> None:
    """A flight that ``forget()`` detached stores nothing on the server either."""
    one, other = process(), process()
    one.inside = lambda: one.f.inflight.forget("a")
    one("a")
    assert (one.link.grants, one.has("a")) == ([["released"]], None)
    assert other("a") == "a1"


def test_a_load_waits_for_no_leave_of_its_own_process(process: MakeProcess) -> None:
    """What was detached and runs still holds its leave; the next call takes that over, and is the one that counts."""
    one = process()
    gate = Gate()
    one.inside = lambda: len(one.calls) == 1 and gate.wait()
    first = Running(one)
    gate.reached()
    one.f.inflight.forget("a")
    assert one("a") == "a2"
    gate.open()
    assert first.result() in ("a1", "a2")
    assert one.has("a") == "a2"
    assert one.link.grants == [["lost"], ["stored"]]


def test_a_recursion_asks_nothing(paper: PaperTier) -> None:
    """A call of the same key within its load runs straight through, and so do calls that would close a circle."""
    one = Process(paper)
    one.inside = lambda: len(one.calls) < 3 and one.f("a")
    one("a")
    assert one.link.steps == ["ask", "store"]
    assert one.calls == ["a"] * 3


@pytest.mark.parametrize("work", ["shared", "caller"])
def test_a_recursion_of_coroutines_asks_nothing(paper: PaperTier, work: Any) -> None:
    """It runs in the work of its own key, outside the table, and takes nobody's leave away."""
    calls: list[str] = []

    @bounded(max=3, ttl=60, work=work, shared=paper, registry=Registry())
    async def load(x: str) -> str:
        calls.append(x)
        if len(calls) < 3:
            await load(x)
        return x

    assert asyncio.run(load("a")) == "a"
    assert calls == ["a"] * 3
    assert paper.links[-1].steps == ["ask", "store"]


@pytest.mark.parametrize("work", ["shared", "caller"])
def test_who_takes_over_with_an_age_in_mind_asks_anew(paper: PaperTier, work: Any) -> None:
    """The loop of the leader dies: the one who waited elsewhere leads, and takes nothing that is too old."""
    calls: list[str] = []

    @bounded(max=3, ttl=60, work=work, shared=paper, registry=Registry(), name="load")
    async def load(x: str) -> str:
        calls.append(x)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return f"{x}{len(calls)}"

    async def begin(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(loop.stop)
        await load("a")

    loop = asyncio.new_event_loop()
    task = loop.create_task(begin(loop))
    loop.run_forever()
    while not calls:
        loop.call_soon(loop.stop)
        loop.run_forever()

    async def joins() -> str:
        return await load.cache.within(max_age=10).call("a")

    second = Running(lambda: asyncio.run(joins()))
    until(lambda: any(flight.waiters for flight in load.inflight.pending()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    assert second.result() == "a2"
    gc.collect()
    assert paper.links[-1].grants in ([["released"], ["stored"]], [["lost"], ["stored"]])


def test_a_load_that_takes_too_long_is_answered_stale_by_the_tier(paper: PaperTier, paper_clock: FakeClock) -> None:
    """Who waited for it gets what the tier has for the case that it fails."""
    one, other = (Process(paper, stale_if_error=100, timeout=5) for _ in range(2))
    one("a")
    paper_clock.advance(70)
    gate = Gate()
    other.inside = gate.wait
    first = Running(lambda: other("a"))
    gate.reached()
    second = Running(lambda: other("a"))
    until(lambda: any(flight.waiters for flight in other.f.inflight.pending()))
    paper_clock.advance(6)
    assert second.result() == "a1"
    gate.open()
    assert first.result() == "a1"
    assert other.stats.stale_hits == 1
    assert other.link.grants == [["released"]]


def test_a_plain_call_in_a_loops_thread_asks_nothing_where_it_may_not_wait(paper: PaperTier) -> None:
    """Another thread leads: the thread of a loop runs straight through, and takes nobody's leave away."""
    one = Process(paper)
    gate = Gate()
    one.inside = lambda: len(one.calls) == 1 and gate.wait()
    first = Running(lambda: one("a"))
    gate.reached()

    async def main() -> Any:
        return one.f("a")

    assert asyncio.run(main()) == "a2"
    gate.open()
    assert first.result() == "a1"
    assert (one.has("a"), one.link.steps) == ("a1", ["ask", "store"])


def test_a_cancelled_load_gives_its_leave_back(paper: PaperTier) -> None:
    """In each step: while it asks, while the function runs, while the result is stored."""

    async def main(kind: str, step: str) -> None:
        one = Process(paper, kind, name=f"{kind} {step}")
        task = asyncio.current_task()
        assert task is not None
        one.link.before = lambda at: at == step and running.cancel()
        one.inside = lambda: step == "run" and running.cancel()
        call: Any = one.f("a")
        running = asyncio.ensure_future(call)
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.sleep(0)
        gc.collect()
        assert paper.leases == {}, (kind, step)
        assert one.has("a") is None
        one.link.before = one.inside = lambda *_: None
        assert await one.f("a") in ("a1", "a2")

    for kind in ("coroutine", "caller"):
        for step in ("ask", "run", "store"):
            asyncio.run(main(kind, step))


def test_who_takes_over_asks_anew(paper: PaperTier) -> None:
    """The leader is cancelled in its own task: its leave goes, and the one who waited gets a leave of his own."""
    one = Process(paper, "caller")

    async def main() -> Any:
        standing = asyncio.Event()

        async def stand() -> None:
            standing.set()
            await asyncio.Event().wait()

        registry = Registry()
        calls: list[str] = []

        @bounded(max=3, ttl=60, work="caller", shared=paper, registry=registry, name="taken over")
        async def load(x: str) -> str:
            calls.append(x)
            if len(calls) == 1:
                await stand()
            return f"{x}{len(calls)}"

        first = asyncio.ensure_future(load("a"))
        await standing.wait()
        second = asyncio.ensure_future(load("a"))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(main()) == "a2"
    assert paper.links[-1].grants == [["released"], ["stored"]]
    del one


# -- what serves when a load fails


def test_a_stale_value_of_the_tier_answers_for_a_load_that_fails(process: MakeProcess, paper_clock: FakeClock) -> None:
    """It is stored here as stale, so that what holds for stale values holds for it: a pause until the next attempt."""
    one, other = process(stale_if_error=100), process(stale_if_error=100)
    one()
    paper_clock.advance(90)
    other.error = LookupError("down")
    assert [other(), other()] == ["a1", "a1"]
    assert (len(other.calls), other.stats.stale_hits, other.stats.load_errors) == (1, 2, 1)
    info = other.cache.entry()
    assert (info.stale, info.age, info.expires_in) == (True, 90, -30)
    assert other.link.grants == [["released"]]
    paper_clock.advance(70)
    with pytest.raises(LookupError):
        other()


def test_without_stale_if_error_it_does_not(process: MakeProcess, paper_clock: FakeClock) -> None:
    """The option of the function decides, here."""
    one, other = process(stale_if_error=100), process()
    one()
    paper_clock.advance(90)
    other.error = LookupError("down")
    with pytest.raises(LookupError):
        other()
    assert other.has("a") is None


def test_failures_are_remembered_here_alone(process: MakeProcess) -> None:
    """``cache_errors`` and ``fallback`` are each process's own."""
    one, other = process(cache_errors=LookupError, error_ttl=10, fallback="none"), process()
    one.error = LookupError("down")
    assert [one(), one()] == ["none", "none"]
    assert (len(one.calls), one.stats.error_hits) == (1, 1)
    assert other() == "a1"


def test_a_background_load_adopts_what_another_process_has(process: MakeProcess, paper_clock: FakeClock) -> None:
    """A stale value is replaced by the one that the tier has fresh, without an execution here."""
    one, other = process(stale_while_revalidate=100), process(stale_while_revalidate=100)
    one()
    other()
    paper_clock.advance(61)
    one.refresh("a")
    assert other.run(lambda: _twice(other)) == "a2"
    assert (other.calls, other.stats.l2_hits) == ([], 2)


def _twice(one: Process) -> Any:
    """A call that is answered stale, or not, and one after the background load that it began."""
    if not inspect.iscoroutinefunction(one.f):
        one.f("a")
        until(lambda: one.f("a") == "a2")
        return one.f("a")

    async def both() -> Any:
        await one.f("a")
        while await one.f("a") != "a2":
            await asyncio.sleep(0)
        return await one.f("a")

    return both()


# -- callers with terms of their own


def test_a_found_value_that_is_too_old_for_its_caller_will_not_do(process: MakeProcess, paper_clock: FakeClock) -> None:
    """``within(max_age=)`` has the function run, and shares what it returned."""
    one, other = process(), process()
    one("a")
    paper_clock.advance(30)
    young = other.cache.within(max_age=10)
    assert other.run(lambda: young.call("a")) == "a1"
    assert (len(other.calls), other.link.steps) == (1, ["ask", "ask newer", "store"])
    assert other.cache.entry("a").age == 0
    third = process()
    paper_clock.advance(5)
    assert third.run(lambda: third.cache.within(max_age=10).call("a")) == "a1"
    assert (third.calls, third.cache.entry("a").age) == ([], 5)


def test_who_joins_gets_nothing_older_than_it_takes(process: MakeProcess, paper_clock: FakeClock) -> None:
    """A load that was led for anybody finds an old value: whoever joined with an age in mind goes on."""
    one, other = process(), process()
    one("a")
    paper_clock.advance(30)
    gate = Gate()
    other.link.before = lambda step: step == "ask" and len(other.link.steps) == 1 and gate.wait()
    first = Running(lambda: other("a"))
    gate.reached()
    kind = inspect.iscoroutinefunction(other.f)
    second = Running(lambda: other.run(lambda: other.cache.within(max_age=10).call("a")))
    until(lambda: any(flight.waiters for flight in other.f.inflight.pending()))
    gate.open()
    assert first.result() == "a1"
    assert second.result() == "a1"
    assert len(other.calls) == 1, kind
    assert other.stats.requests == 2


def test_a_soft_limit_holds_for_the_question_too(paper: PaperTier) -> None:
    """A caller who waits so long and no longer gets his default while another process loads."""
    one, other = Process(paper), Process(paper)
    gate = Gate()
    one.inside = gate.wait
    first = Running(lambda: one("a"))
    gate.reached()
    assert other.cache.within(0.01, default="later").call("a") == "later"
    gate.open()
    assert first.result() == "a1"
    until(lambda: other.has("a") == "a1")
    assert other.calls == []
    stats = other.stats
    assert (stats.misses, stats.joins, stats.fallbacks) == (1, 0, 1)


def test_calls_that_wait_for_a_background_load_count_what_answered_it(paper: PaperTier) -> None:
    """The call that began it is a miss that the tier served."""
    one, other = Process(paper), Process(paper)
    one("a")
    assert other.cache.within(20).call("a") == "a1"
    stats = other.stats
    assert (stats.misses, stats.l2_served, stats.served_ratio, stats.loads) == (1, 1, 1.0, 0)

"""How old a result may be for one caller: ``within(max_age=)``."""

import asyncio
import contextlib
import random
import threading
from typing import Any

import cachetools
import pytest
from kit.freshness import ERRORS, SIE, SWR, TTL, Make
from kit.threads import LIMIT_S, Running, until

from memo import InflightTimeout, Registry, bounded
from memo.testing import FakeClock


def aged(s: Any, max_age: Any, *span: Any, fresh: bool = False) -> Any:
    """The answer to a caller who takes nothing older."""
    limited = s.cache.within(*span, max_age=max_age)
    return s.run(lambda: (limited.fresh if fresh else limited.call)("a"))


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
@pytest.mark.parametrize("policy", ["adaptive", cachetools.LRUCache], ids=str)
def test_what_is_older_counts_as_not_there(make: Make, span: Any, policy: Any) -> None:
    """Younger than max_age it is a hit, at exactly that age a miss, whose result is everybody's."""
    s = make(ttl=TTL, policy=policy)
    assert s() == "a1"
    s.clock.advance(4)
    assert aged(s, 4.5, *span) == "a1"
    assert aged(s, 4, *span) == "a2"
    assert s() == "a2"
    assert aged(s, "4s", *span, fresh=True) == "a2"
    assert s.counts == (3, 2, 0, 0, 0)


def test_every_placement_knows_it(make_everywhere: Make) -> None:
    """Of a function without a ttl, too."""
    s = make_everywhere()
    assert s() == "a1"
    s.clock.advance(1000)
    assert aged(s, "17m") == "a1"
    assert aged(s, "15m", "1s") == "a2"
    assert aged(s, 0) == "a3"
    assert aged(s, 0, 7) == "a4"
    s.settle()
    assert s() == "a4"
    assert s.counts == (2, 4, 0, 0, 0)


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_others_get_the_older_value_meanwhile(make: Make, span: Any) -> None:
    """And those who want it young, too, share the one load."""
    s = make(ttl=TTL)
    s()
    s.clock.advance(4)
    gate = s.hold()
    calls = [s.begin(lambda: s.cache.within(*span, max_age=3).call("a")) for _ in range(4)]
    waiting = 4 if span else 3
    s.until(lambda: gate.entered.is_set())
    s.until(lambda: s.clock.waiting() == 4 if span else s.cache.inflight.stats().waiting == waiting)
    assert s() == "a1"
    gate.open()
    assert [call.result() for call in calls] == ["a2"] * 4
    assert s() == "a2"
    assert s.counts == (2, 2, 3, 0, 0)
    assert len(s.body.calls) == 2


def test_the_older_value_is_not_answered_when_the_load_is_slow(make: Make) -> None:
    """A fresh one neither, nor one inside stale_if_error; the load goes on and is stored."""
    s = make(**SIE)
    s()
    for age, calls in ((4, 2), (TTL + 4, 3)):
        s.clock.advance(age)
        gate = s.hold()
        hasty = s.begin(lambda: s.cache.within(5, max_age=3).call("a"))
        s.until(lambda gate=gate: gate.entered.is_set() and s.clock.waiting() == 1)
        s.clock.advance(5)
        assert isinstance(hasty.error(), InflightTimeout)
        gate.open()
        s.settle()
        assert aged(s, 3) == f"a{calls}"
    assert s.counts == (2, 3, 0, 0, 0)


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_the_older_value_is_not_answered_when_the_load_fails(make: Make, span: Any) -> None:
    """Others go on with it: a fresh one stays, though failures are remembered, and a stale one answers them."""
    s = make(**SIE, **ERRORS)
    s()
    s.body.error = LookupError("down")
    for age in (4, TTL):
        s.clock.advance(age)
        with pytest.raises(LookupError, match="down"):
            aged(s, 3, *span)
        assert s() == "a1"
    assert aged(s, 15, *span) == "a1"  # past its ttl, but young enough for this one
    assert s.counts == (1, 3, 0, 2, 0)


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_it_never_widens_what_the_options_allow(make: Make, span: Any) -> None:
    """Past its ttl a value answers where a stale option lets it, and nowhere else."""
    s = make(ttl=TTL)
    s()
    s.clock.advance(TTL)
    assert aged(s, "1h", *span) == "a2"

    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    assert aged(s, "1h", *span) == "a1"  # at once, and a load begins
    s.settle()
    assert s() == "a2"
    s.clock.advance(TTL + 5)
    assert aged(s, TTL, *span) == "a3"
    assert s.counts == (1, 2, 0, 1, 0)


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_a_remembered_failure_has_an_age_too(make: Make, span: Any) -> None:
    """An older one counts as not there."""
    s = make(**ERRORS)
    s.body.error = LookupError("down")
    with pytest.raises(LookupError):
        s()
    s.clock.advance(3)
    with pytest.raises(LookupError):
        aged(s, 4, *span)
    assert s.counts == (0, 1, 0, 0, 1)
    s.body.error = None
    assert aged(s, 3, *span) == "a2"
    assert s() == "a2"


@pytest.mark.parametrize("seed", range(4))
def test_nothing_older_is_ever_answered(make: Make, seed: int) -> None:
    """In random sequences of calls, failures and time: what is answered is young enough, or was loaded for the call."""
    rng = random.Random(seed)
    s = make(
        max=2, ttl=TTL, stale_while_revalidate=rng.choice([None, 5]), stale_if_error=rng.choice([None, 20]),
        **rng.choice([{}, ERRORS]),
    )  # fmt: skip
    loaded: dict[int, float] = {}

    def result(name: str, number: int) -> int:
        loaded[number] = s.clock()
        return number

    s.body.result = result
    answered = 0
    for _ in range(300):
        s.body.error = rng.choice([None, None, LookupError(), ValueError()])
        s.clock.advance(rng.choice([0, 0.5, 1, 2, 6]))
        name, max_age, span = rng.choice("abc"), rng.choice([0, 1, 3, 8, 15, 40]), rng.choice([(), (7,)])
        if rng.random() < 0.5:
            with contextlib.suppress(LookupError, ValueError):
                s(name)
            s.settle()
        before = len(s.body.calls)
        terms = s.cache.within(*span, max_age=max_age, default=None)
        number = s.run(lambda: terms.call(name))  # noqa: B023
        s.settle()
        if number is not None:
            answered += 1
            assert s.clock() - loaded[number] < max_age or number > before
    assert answered > 100


def test_a_load_of_others_that_found_an_older_value_will_not_do() -> None:
    """It waited for a thread while that value came and grew old: this caller has another load begun, in time."""
    clock, here = FakeClock(1000.0), Registry()
    here.configure(refresh_threads=1)
    released = threading.Event()
    numbers: list[str] = []

    @bounded(max=8, registry=here)
    def hanging() -> None:
        assert released.wait(LIMIT_S)

    @bounded(max=8, clock=clock, registry=here)
    def fetch(name: str) -> str:
        numbers.append(name)
        return f"{name}{len(numbers)}"

    hung = Running(lambda: hanging.cache.within(LIMIT_S).call())
    until(lambda: here.pool.busy == 1)
    patient = Running(lambda: fetch.cache.within(LIMIT_S).call("a"))
    until(lambda: here.pool.queued == 1 and clock.waiting() == 1)
    assert fetch("a") == "a1"  # in its own thread
    clock.advance(6)
    choosy = Running(lambda: fetch.cache.within(LIMIT_S, max_age=5).call("a"))
    until(lambda: clock.waiting() == 2)
    released.set()
    assert (patient.result(), choosy.result(), hung.result()) == ("a1", "a2", None)
    assert numbers == ["a", "a"]


def test_without_a_limit_a_plain_function_runs_in_its_callers_thread(make: Make) -> None:
    """And what was invalidated meanwhile is answered, but not stored."""
    s = make(ttl=TTL)
    ran: list[threading.Thread] = []

    def result(name: str, number: int) -> str:
        ran.append(threading.current_thread())
        s.cache.invalidate("a")
        return f"{name}{number}"

    s()
    s.body.result = result
    s.clock.advance(4)
    assert aged(s, 3) == "a2"
    assert ran == [threading.current_thread()]
    assert len(s.cache) == 0


def test_terms_hold_where_loads_run_in_their_callers_tasks() -> None:
    """The second look obeys them, defaults and fallbacks answer, and the load runs in the caller's task."""
    clock, tasks = FakeClock(), []

    @bounded(max=8, work="caller", fallback=lambda name: name.upper(), clock=clock)
    async def fetch(name: str) -> str:
        tasks.append(asyncio.current_task())
        if name == "bad":
            raise LookupError(name)
        return f"{name}{len(tasks)}"

    async def main() -> None:
        assert await fetch("a") == "a1"
        clock.advance(4)
        assert await fetch.cache.within(max_age=5).call("a") == "a1"
        assert await fetch.cache.within(max_age=4).call("a") == "a2"
        assert tasks == [asyncio.current_task()] * 2
        assert await fetch.cache.within(7, max_age=0).call("a") == "a3"
        assert await fetch("a") == "a3"
        assert (await fetch("bad"), await fetch.cache.within(default=None).call("bad")) == ("BAD", None)
        with pytest.raises(LookupError):
            await fetch.cache.fresh("bad")

    asyncio.run(main())
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.requests, stats.fallbacks) == (2, 6, 8, 2)


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({}, TypeError),
        ({"max_age": -1}, ValueError),
        ({"max_age": "5x"}, ValueError),
        ({"max_age": True}, TypeError),
        ({"max_age": b"5m"}, TypeError),
    ],
)
def test_bad_terms_are_refused_at_once(make: Make, terms: dict[str, Any], error: type[Exception]) -> None:
    """within() itself raises, and names itself and the value."""
    with pytest.raises(error, match="within") as caught:
        make().cache.within(**terms)
    assert all(f"{name}={value!r}" in str(caught.value) for name, value in terms.items())
    assert "max_age" in str(caught.value)


def test_terms_are_shown(make: Make) -> None:
    """In the repr, those that were given."""
    cache = make().cache
    assert repr(cache.within("50ms", max_age="5m", default=None)).endswith(
        "fetch within 0.05 s, at most 5m old, or None>"
    )
    assert repr(cache.within(max_age="5m")).endswith("fetch, at most 5m old>")

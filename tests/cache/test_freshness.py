"""What a call finds past its time to live, what it gets, and what runs in the background: sync and async alike."""

import asyncio
import contextlib
import contextvars
import itertools
import logging
import math
import random
import traceback
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from kit.threads import Gate, Running, depth_of, until

from memo import EvictionReason, InflightTimeout, Registry, bounded, dedupe_inflight, sliding_window
from memo._base.exception_copies import frameless_copy
from memo.testing import FakeClock, isolated

TTL = 10
SWR = {"ttl": TTL, "stale_while_revalidate": 20}
SIE = {"ttl": TTL, "stale_if_error": 20}
COUNTERS = ("hits", "misses", "joins", "stale_hits", "error_hits")


class Body:
    """What the decorated function does: counts, waits at a gate, fails or returns."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.error: BaseException | None = None
        self.gate: Gate | None = None
        self.result: Callable[[str, int], Any] = lambda name, number: f"{name}{number}"

    def __call__(self, name: str) -> Any:
        self.calls.append(name)
        number, gate = len(self.calls), self.gate
        if gate is not None:
            gate.wait()
        if self.error is not None:
            raise self.error
        return self.result(name, number)

    async def awaited(self, name: str) -> Any:
        self.calls.append(name)
        number, gate = len(self.calls), self.gate
        if gate is not None:
            gate.entered.set()
            while not gate.opened.is_set():
                await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.result(name, number)


class Scene:
    """One decorated function in one placement, its clock, and (for coroutines) its loop."""

    def __init__(self, place: "Callable[[Body, Any], Any]", is_async: bool, **options: Any) -> None:
        self.body = Body()
        self.clock = FakeClock()
        self.registry = Registry()
        self.is_async = is_async
        self.loop = asyncio.new_event_loop() if is_async else None
        self.reach = place(self.body, bounded(**{"max": 8, **options}, clock=self.clock, registry=self.registry))

    @property
    def cache(self) -> Any:
        return self.reach().cache

    def run(self, call: Callable[[], Any]) -> Any:
        """The result of *call*, awaited if it has to be."""
        return call() if self.loop is None else self.loop.run_until_complete(self._as_task(call))

    async def _as_task(self, call: Callable[[], Any]) -> Any:
        return await call()

    def __call__(self, name: str = "a") -> Any:
        return self.run(lambda: self.reach()(name))

    def begin(self, call: Callable[[], Any] | None = None) -> Any:
        """A call of its own thread or task: ``result()`` of what is returned gives its end."""
        made = call or (lambda: self.reach()("a"))
        if self.loop is None:
            return Running(made)
        return Awaited(self.loop, self.loop.create_task(self._as_task(made)))

    def until(self, condition: Callable[[], object]) -> None:
        if self.loop is None:
            until(condition)
            return

        async def turn() -> None:
            for _ in range(5000):
                if condition():
                    return
                await asyncio.sleep(0)
            pytest.fail("the condition never came true")

        self.loop.run_until_complete(turn())

    def hold(self) -> Gate:
        """Have loads that begin from now on stand at a gate."""
        self.body.gate = Gate()
        return self.body.gate

    def settle(self) -> None:
        """Let all background loads end."""
        results, pool = self.cache._cache, self.registry.pool
        self.until(lambda: not (results.jobs or results.table or pool.busy or pool.queued))

    @property
    def counts(self) -> tuple[int, ...]:
        stats = self.cache.stats()
        return tuple(getattr(stats, name) for name in COUNTERS)

    def close(self) -> None:
        if self.body.gate is not None:
            self.body.gate.open()
        if self.loop is not None and not self.loop.is_closed():
            self.settle()
            self.loop.close()


class Awaited:
    """A task of a loop that runs only when asked to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any]") -> None:
        self.loop, self.task = loop, task

    def result(self) -> Any:
        return self.loop.run_until_complete(self.task)

    def error(self) -> BaseException:
        with pytest.raises(BaseException) as caught:  # noqa: PT011  # whatever it is
            self.loop.run_until_complete(self.task)
        return caught.value


def on_function(body: Body, decorate: Any) -> Any:
    @decorate
    def fetch(name: str) -> Any:
        return body(name)

    return lambda: fetch


def on_coroutine(body: Body, decorate: Any) -> Any:
    @decorate
    async def fetch(name: str) -> Any:
        return await body.awaited(name)

    return lambda: fetch


def on_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        def fetch(self, name: str) -> Any:
            return body(name)

    service = Service()
    return lambda: service.fetch


def on_async_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        async def fetch(self, name: str) -> Any:
            return await body.awaited(name)

    service = Service()
    return lambda: service.fetch


def on_class_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        @classmethod
        def fetch(cls, name: str) -> Any:
            return body(name)

    return lambda: Service.fetch


def on_async_class_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        @classmethod
        async def fetch(cls, name: str) -> Any:
            return await body.awaited(name)

    return lambda: Service.fetch


def on_static_method(body: Body, decorate: Any) -> Any:
    class Service:
        @decorate
        @staticmethod
        def fetch(name: str) -> Any:
            return body(name)

    return lambda: Service.fetch


def on_async_static_method(body: Body, decorate: Any) -> Any:
    class Service:
        @staticmethod
        @decorate
        async def fetch(name: str) -> Any:
            return await body.awaited(name)

    service = Service()
    return lambda: service.fetch


BOTH = [on_function, on_coroutine]
EVERY = [
    *BOTH, on_method, on_async_method, on_class_method, on_async_class_method, on_static_method, on_async_static_method,
]  # fmt: skip
POLICIES = ["s3fifo", "lru", "lfu", "fifo", "random"]

Make = Callable[..., Scene]


@pytest.fixture
def make_at() -> Iterator[Callable[..., Scene]]:
    with contextlib.ExitStack() as scenes:

        def make(place: Any, **options: Any) -> Scene:
            scene = Scene(place, "coroutine" in place.__name__ or "async" in place.__name__, **options)
            scenes.callback(scene.close)
            return scene

        yield make


@pytest.fixture(params=BOTH, ids=lambda place: place.__name__)
def make(request: pytest.FixtureRequest, make_at: Any) -> Make:
    """A function or a coroutine function."""
    return lambda **options: make_at(request.param, **options)


@pytest.fixture(params=EVERY, ids=lambda place: place.__name__)
def make_everywhere(request: pytest.FixtureRequest, make_at: Any) -> Make:
    """A function in any placement."""
    return lambda **options: make_at(request.param, **options)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "memo"]


# -- stale_while_revalidate


def test_a_stale_value_answers_at_once_and_is_replaced(make_everywhere: Make) -> None:
    """At exactly ttl the old value answers while one load runs, whose value answers from then on as a hit."""
    gone: list[Any] = []
    s = make_everywhere(**SWR, on_evict=lambda *what: gone.append(what))
    assert s() == "a1"
    s.clock.advance(TTL - 0.5)
    assert s() == "a1"
    assert s.counts == (1, 1, 0, 0, 0)
    s.clock.advance(0.5)
    gate = s.hold()
    assert [s(), s(), s()] == ["a1"] * 3
    s.until(gate.entered.is_set)
    assert s.body.calls == ["a", "a"]
    assert gone == []
    assert s.counts == (1, 1, 0, 3, 0)
    gate.open()
    s.settle()
    assert gone == [("a", "a1", EvictionReason.REPLACED)]
    assert [s(), s()] == ["a2"] * 2
    stats = s.cache.stats()
    assert s.counts == (3, 1, 0, 3, 0)
    assert (stats.loads, stats.load_errors, stats.refreshes) == (2, 0, 1)


def test_at_exactly_the_end_of_the_window_the_value_is_expired(make_everywhere: Make) -> None:
    """Just before ttl + window the stale value answers; exactly there the caller loads himself."""
    s = make_everywhere(**SWR)
    s()
    s.hold()
    s.clock.advance(TTL + 19.5)
    assert s() == "a1"
    s.body.gate.open()  # type: ignore[union-attr]
    s.settle()
    s.body.gate = None
    assert s() == "a2"
    s.clock.advance(TTL + 20)
    assert s() == "a3"
    assert s.counts == (1, 2, 0, 1, 0)


def test_a_failing_background_load_is_logged_and_tried_again_after_error_ttl(
    make_everywhere: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The old value stays until its window ends; attempts are a second apart; then the error is raised."""
    s = make_everywhere(**SWR)
    s()
    s.body.error = LookupError("down")
    s.clock.advance(TTL)
    with caplog.at_level(logging.WARNING, "memo"):
        assert s() == "a1"
        s.settle()
    assert len(warned(caplog)) == 1
    assert "fetch" in warned(caplog)[0]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[1] is not None
    assert repr(caplog.records[0].exc_info[1]) == "LookupError('down')"
    assert [s(), s()] == ["a1"] * 2
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(0.999)
    assert s() == "a1"
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(0.001)
    assert s() == "a1"
    s.settle()
    assert len(s.body.calls) == 3
    s.clock.advance(19)
    with pytest.raises(LookupError, match="down"):
        s()
    assert s.counts == (0, 2, 0, 5, 0)
    stats = s.cache.stats()
    assert (stats.loads, stats.load_errors, stats.refreshes) == (1, 3, 2)


def test_error_ttl_is_the_pause_between_attempts(make: Make) -> None:
    """With error_ttl=5 the second attempt begins five seconds after the first failed."""
    s = make(**SWR, error_ttl=5)
    s()
    s.body.error = LookupError()
    s.clock.advance(TTL)
    s()
    s.settle()
    s.clock.advance(4.5)
    s()
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(0.5)
    s.body.error = None
    s()
    s.settle()
    assert len(s.body.calls) == 3
    assert s() == "a3"


def test_the_background_load_runs_in_the_context_of_the_caller_that_began_it(make: Make) -> None:
    """It sees that caller's context variables, and what it sets there the caller does not see."""
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    seen: list[Any] = []

    def result(name: str, number: int) -> Any:
        seen.append(who.get(None))
        who.set("load")
        return number

    s.body.result = result
    gate = s.hold()

    def as_caller(name: str) -> Any:
        who.set(name)
        call = s.reach()("a")
        return call, name

    async def as_async_caller(name: str) -> Any:
        who.set(name)
        return await s.reach()("a"), who.get()

    if s.loop is None:
        contexts = [contextvars.copy_context() for _ in range(2)]
        assert [c.run(as_caller, n) for c, n in zip(contexts, ("first", "second"), strict=True)] == [
            ("a1", "first"),
            ("a1", "second"),
        ]
        s.until(gate.entered.is_set)
        gate.open()
        s.settle()
        assert [c[who] for c in contexts] == ["first", "second"]
    else:
        assert s.run(lambda: as_async_caller("first")) == ("a1", "first")
        assert s.run(lambda: as_async_caller("second")) == ("a1", "second")
        gate.open()
        s.settle()
    assert seen == ["first"]
    assert who.get(None) is None


def test_a_lost_background_load_is_noticed_after_a_second(make: Make) -> None:
    """A lease of a second keeps others from beginning one; then a call looks whether it runs, and it does."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    for _ in range(5):
        s.clock.advance(1)
        assert s() == "a1"
    assert len(s.body.calls) == 2
    gate.open()
    s.settle()
    assert s() == "a2"


def test_a_background_load_past_timeout_is_given_up_and_another_begins(make: Make) -> None:
    """The stale value goes on answering, and the next attempt comes after the pause."""
    s = make(**SWR, timeout=3)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    assert s() == "a1"
    s.until(gate.entered.is_set)
    s.clock.advance(3)
    assert s() == "a1"
    s.until(lambda: not s.cache._cache.table)
    s.body.gate = None
    s.clock.advance(0.5)
    assert s() == "a1"
    assert len(s.body.calls) == 2
    s.clock.advance(0.5)
    assert s() == "a1"
    s.until(lambda: len(s.body.calls) == 3)
    s.until(lambda: s.cache.entry("a").value == "a3")
    gate.open()
    s.settle()
    assert s() == "a3"
    assert s.cache.inflight.stats().timeouts == 1


def test_invalidate_during_a_background_load_fences_it(make: Make) -> None:
    """What it brings is not stored; the next call loads anew."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    s.body.gate = None
    assert s.cache.invalidate("a") is True
    assert s() == "a3"
    gate.open()
    s.until(lambda: s.cache.stats().loads == 3)
    assert s() == "a3"


@pytest.mark.parametrize("act", ["put", "clear", "where", "refresh", "tag"])
def test_whatever_comes_later_wins_over_a_background_load(make: Make, act: str) -> None:
    """After put, refresh, clear, invalidate_where and a tag's invalidation its value is dropped."""
    s = make(**SWR, tags=("t",), name="f")
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    s.body.gate = None
    if act == "put":
        s.cache.put("put", "a")
    elif act == "clear":
        assert s.cache.clear() == 1
    elif act == "where":
        assert s.cache.invalidate_where(lambda key, value: True) == 1
    elif act == "refresh":
        assert s.run(lambda: s.cache.refresh("a")) == "a3"
    else:
        assert s.registry.invalidate(tag="t") == 1
    before = s.cache.items()
    gate.open()
    s.until(lambda: s.cache.stats().loads == (3 if act == "refresh" else 2))
    s.settle()
    assert s.cache.items() == before
    assert before == {"put": [("a", "put")], "refresh": [("a", "a3")]}.get(act, [])


def test_isolation_sets_a_background_load_aside(make: Make) -> None:
    """Begun before isolated(), it stores nothing inside."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    s.body.gate = None
    with isolated(s.registry):
        assert s() == "a3"
        assert s.counts == (0, 1, 0, 0, 0)
        gate.open()
        s.until(lambda: s.cache.stats().loads == 2)
        assert s() == "a3"
    assert s.cache.entry("a").value == "a1"


# -- stale_if_error


def test_a_failing_load_is_answered_stale_and_not_tried_again_for_a_while(
    make_everywhere: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Within the window: one attempt, the stale value, a pause of error_ttl, the next attempt; after it the error."""
    s = make_everywhere(**SIE)
    s()
    s.body.error = LookupError("down")
    s.clock.advance(TTL)
    with caplog.at_level(logging.WARNING, "memo"):
        assert s() == "a1"
    assert len(warned(caplog)) == 1
    assert len(s.body.calls) == 2
    assert [s(), s()] == ["a1"] * 2
    s.clock.advance(0.5)
    assert s() == "a1"
    assert len(s.body.calls) == 2
    s.clock.advance(0.5)
    assert s() == "a1"
    assert len(s.body.calls) == 3
    s.clock.advance(18.5)
    assert s() == "a1"
    s.clock.advance(0.5)
    assert len(s.body.calls) == 4
    with pytest.raises(LookupError, match="down"):
        s()
    assert s.counts == (0, 2, 0, 6, 0)
    s.body.error = None
    assert s() == "a6"
    stats = s.cache.stats()
    assert (stats.loads, stats.load_errors, stats.refreshes) == (2, 4, 0)


def test_a_load_that_succeeds_within_the_window_is_answered_fresh(make: Make) -> None:
    """Past ttl the caller loads himself, as without the option."""
    s = make(**SIE)
    s()
    s.clock.advance(TTL)
    assert s() == "a2"
    assert s.counts == (0, 2, 0, 0, 0)


def test_base_exceptions_are_not_answered_stale(make: Make) -> None:
    """What ends a call rather than failing it reaches the caller."""
    s = make(**SIE)
    s()
    s.clock.advance(TTL)
    s.body.error = asyncio.CancelledError() if s.is_async else GeneratorExit()
    with pytest.raises(type(s.body.error)):
        s()
    s.body.error = None
    assert s() == "a3"


def test_a_timed_out_load_is_answered_stale_for_joiners(make: Make) -> None:
    """Joiners, and the leader of a coroutine, get the stale value instead of InflightTimeout."""
    s = make(**SIE, timeout=5)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    leader = s.begin()
    s.until(gate.entered.is_set)
    joiners = [s.begin() for _ in range(3)]
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [3])
    s.clock.advance(5)
    assert [joiner.result() for joiner in joiners] == ["a1"] * 3
    gate.open()
    assert leader.result() == ("a1" if s.is_async else "a2")
    assert s.counts == (0, 1, 0, 4, 0) if s.is_async else (0, 2, 0, 3, 0)
    assert s() == "a1"


def test_without_a_stale_value_a_timeout_raises(make: Make) -> None:
    """Past the window InflightTimeout is raised as without the option."""
    s = make(**SIE, timeout=5)
    s()
    s.clock.advance(TTL + 20)
    gate = s.hold()
    leader = s.begin()
    s.until(gate.entered.is_set)
    joiner = s.begin()
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [1])
    s.clock.advance(5)
    assert isinstance(joiner.error(), InflightTimeout)
    gate.open()
    if s.is_async:
        assert isinstance(leader.error(), InflightTimeout)
    else:
        assert leader.result() == "a2"


def test_both_windows_follow_one_another(make: Make) -> None:
    """Within stale_while_revalidate the answer is immediate; beyond it, within stale_if_error, the caller loads."""
    s = make(ttl=TTL, stale_while_revalidate=5, stale_if_error=20)
    s()
    s.body.error = LookupError()
    s.clock.advance(TTL)
    assert s() == "a1"
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(5)
    assert s() == "a1"
    assert len(s.body.calls) == 3
    assert s() == "a1"
    assert len(s.body.calls) == 3
    s.clock.advance(15)
    with pytest.raises(LookupError):
        s()
    assert s.counts == (0, 2, 0, 3, 0)


# -- soft_timeout


def test_a_slow_load_is_answered_stale_after_soft_timeout_and_stored_later(make_everywhere: Make) -> None:
    """The caller gets the stale value when the time is over; the load goes on, and its value answers from then on."""
    s = make_everywhere(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    calls = [s.begin() for _ in range(3)]
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 3)
    s.clock.advance(6.5)
    s.until(lambda: s.clock.waiting() == 3)
    s.clock.advance(0.5)
    assert [call.result() for call in calls] == ["a1"] * 3
    assert s.counts == (0, 1, 0, 3, 0)
    assert len(s.body.calls) == 2
    gate.open()
    s.settle()
    assert s() == "a2"
    assert s.counts == (1, 1, 0, 3, 0)
    stats = s.cache.stats()
    assert (stats.loads, stats.refreshes) == (2, 1)


def test_a_fast_load_is_answered_fresh_under_soft_timeout(make_everywhere: Make) -> None:
    """The load ends within the time: its value answers, and the call counts as a miss."""
    s = make_everywhere(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    assert s() == "a2"
    assert s.counts == (0, 2, 0, 0, 0)
    assert s.cache.stats().loads == 2


def test_joiners_under_soft_timeout_count_as_joins(make: Make) -> None:
    """Of those who wait for one load that ends in time, one counts as a miss and the others as joins."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    calls = [s.begin() for _ in range(4)]
    s.until(lambda: s.clock.waiting() == 4)
    gate.open()
    assert [call.result() for call in calls] == ["a2"] * 4
    assert s.counts == (0, 2, 3, 0, 0)


def test_a_load_that_fails_within_soft_timeout_is_answered_stale(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged once, however many were answered stale for it; then the pause holds."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    s.body.error = LookupError("down")
    gate = s.hold()
    calls = [s.begin() for _ in range(3)]
    s.until(lambda: s.clock.waiting() == 3)
    with caplog.at_level(logging.WARNING, "memo"):
        gate.open()
        assert [call.result() for call in calls] == ["a1"] * 3
        s.settle()
    assert len(warned(caplog)) == 1
    assert s() == "a1"
    assert len(s.body.calls) == 2
    assert s.counts == (0, 1, 0, 4, 0)


def test_a_load_that_fails_after_soft_timeout_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for it any more, so the log tells."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    s.body.error = LookupError("down")
    gate = s.hold()
    call = s.begin()
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.clock.advance(7)
    assert call.result() == "a1"
    with caplog.at_level(logging.WARNING, "memo"):
        gate.open()
        s.settle()
    assert len(warned(caplog)) == 1
    assert s() == "a1"
    assert len(s.body.calls) == 2


def test_a_window_that_ends_within_soft_timeout_makes_the_caller_wait_for_the_load(make: Make) -> None:
    """No value is served past its window, and a call without terms of its own does not time out."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL + 15)
    gate = s.hold()
    call = s.begin()
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.clock.advance(7)
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [1])
    gate.open()
    assert call.result() == "a2"
    assert sum(s.counts) == 2


def test_within_stale_while_revalidate_soft_timeout_does_not_wait(make: Make) -> None:
    """The answer there is immediate."""
    s = make(ttl=TTL, stale_while_revalidate=5, stale_if_error=20, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    s.hold()
    assert s() == "a1"
    assert s.counts == (0, 1, 0, 1, 0)


def test_without_a_stale_value_soft_timeout_does_nothing(make: Make) -> None:
    """A first call, and one past the window, wait for the load."""
    s = make(**SIE, soft_timeout=7)
    gate = s.hold()
    call = s.begin()
    s.until(gate.entered.is_set)
    s.clock.advance(100)
    gate.open()
    assert call.result() == "a1"
    assert s.counts == (0, 1, 0, 0, 0)


# -- terms of a caller's own


def test_within_gives_a_value_that_comes_in_time(make_everywhere: Make) -> None:
    """On functions without any stale option: a miss, a hit, and a value that comes late for this caller alone."""
    s = make_everywhere(ttl=TTL)
    assert s.run(lambda: s.cache.within(7).call("a")) == "a1"
    assert s.run(lambda: s.cache.within(7).call(name="a")) == "a1"
    assert s() == "a1"
    assert s.counts == (2, 1, 0, 0, 0)
    s.clock.advance(TTL)
    gate = s.hold()
    hasty = s.begin(lambda: s.cache.within("7s").call("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    patient = s.begin()
    s.until(lambda: sum(flight.waiters for flight in s.cache.inflight.pending()) == 1)
    s.clock.advance(7)
    error = hasty.error()
    assert isinstance(error, InflightTimeout)
    assert "within the 7 s" in str(error)
    assert (error.key, error.timeout) == (s.cache._key(("a",), {}), 7)
    gate.open()
    assert patient.result() == "a2"
    assert s.counts == (2, 2, 1, 0, 0)
    assert s() == "a2"


def test_within_answers_stale_where_that_is_allowed(make: Make) -> None:
    """Time over: call() answers stale inside stale_if_error, fresh() raises there too."""
    s = make(**SIE)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    stale = s.begin(lambda: s.cache.within(7).call("a"))
    fresh = s.begin(lambda: s.cache.within(7).fresh("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 2)
    s.clock.advance(7)
    assert stale.result() == "a1"
    assert isinstance(fresh.error(), InflightTimeout)
    gate.open()
    s.settle()
    assert s.run(lambda: s.cache.within(7).fresh("a")) == "a2"
    assert sum(s.counts) == 4


def test_within_answers_at_once_inside_stale_while_revalidate(make: Make) -> None:
    """call() begins the background load and does not wait; fresh() waits for it."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    assert s.run(lambda: s.cache.within(7).call("a")) == "a1"
    fresh = s.begin(lambda: s.cache.within(7).fresh("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    gate.open()
    assert fresh.result() == "a2"
    assert len(s.body.calls) == 2
    assert s.counts == (0, 1, 1, 1, 0)


def test_a_value_that_was_put_meanwhile_answers_when_the_time_is_over(make: Make) -> None:
    """It counts as a hit; the load that it overtook is fenced."""
    s = make(ttl=TTL)
    gate = s.hold()
    call = s.begin(lambda: s.cache.within(7).call("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.cache.put("put", "a")
    s.clock.advance(7)
    assert call.result() == "put"
    assert s.counts == (1, 0, 0, 0, 0)
    gate.open()
    s.settle()
    assert s() == "put"


def test_fresh_accepts_no_stale_value(make_everywhere: Make) -> None:
    """A fresh value is a hit; else it loads, and raises what the load raises."""
    s = make_everywhere(ttl=TTL, stale_while_revalidate=20, stale_if_error=20)
    assert s.run(lambda: s.cache.fresh("a")) == "a1"
    assert s.run(lambda: s.cache.fresh("a")) == "a1"
    s.clock.advance(TTL)
    assert s.run(lambda: s.cache.fresh("a")) == "a2"
    s.clock.advance(TTL)
    s.body.error = LookupError("down")
    with pytest.raises(LookupError, match="down"):
        s.run(lambda: s.cache.fresh("a"))
    assert s.counts == (1, 3, 0, 0, 0)
    assert s() == "a2"


def test_get_is_a_plain_call(make_everywhere: Make) -> None:
    """It answers and counts as the decorated function does."""
    s = make_everywhere(**SWR)
    assert s.run(lambda: s.cache.call("a")) == "a1"
    assert s() == "a1"
    s.clock.advance(TTL)
    assert s.run(lambda: s.cache.call(name="a")) == "a1"
    s.settle()
    assert s.counts == (1, 1, 0, 1, 0)


def test_a_failure_within_the_time_is_raised(make: Make) -> None:
    """With its traceback as the load left it, of the same depth each time."""
    s = make(ttl=TTL)
    depths = set()
    for _ in range(20):
        s.body.error = LookupError("down")
        with pytest.raises(LookupError, match="down") as caught:
            s.run(lambda: s.cache.within(7).call("a"))
        depths.add(depth_of(caught.value))
        assert "raise self.error" in "".join(traceback.format_exception(caught.value))
    assert len(depths) == 1
    assert s.counts == (0, 20, 0, 0, 0)


def test_within_goes_straight_to_a_function_that_is_switched_off(make: Make) -> None:
    """within() and fresh() obey registry.disabled() as calls do."""
    s = make(ttl=TTL)
    s()

    async def off(call: Callable[[], Any]) -> Any:
        with s.registry.disabled():
            return await call()

    for call in (lambda: s.cache.within(7).call("a"), lambda: s.cache.fresh("a"), lambda: s.cache.call("a")):
        if s.is_async:
            s.run(lambda call=call: off(call))
        else:
            with s.registry.disabled():
                call()
    assert len(s.body.calls) == 4
    assert s.counts == (0, 1, 0, 0, 0)


@pytest.mark.parametrize(("span", "error"), [(0, ValueError), ("5x", ValueError), (True, TypeError), (None, TypeError)])
def test_a_bad_limit_is_refused_at_once(make: Make, span: Any, error: type[Exception]) -> None:
    """within() itself raises, and names itself and the value."""
    s = make()
    with pytest.raises(error, match="within") as caught:
        s.cache.within(span)
    assert repr(span) in str(caught.value)


def test_a_limited_call_says_what_it_is(make: Make) -> None:
    """Its repr names the function and the limit."""
    assert repr(make().cache.within("50ms")).endswith("fetch within 0.05 s>")


# -- cache_errors and error_ttl

ERRORS = {"cache_errors": LookupError, "error_ttl": 5}


def test_a_named_failure_is_remembered_for_error_ttl(make_everywhere: Make) -> None:
    """Calls raise a copy with a traceback of their own; they count as error hits; then it is tried again."""
    s = make_everywhere(**ERRORS)
    error = LookupError("down")
    error.add_note("a note")
    s.body.error = error
    with pytest.raises(LookupError) as caught:
        s()
    assert caught.value is error
    depths = set()
    for _ in range(100):
        with pytest.raises(LookupError, match="down") as caught:
            s()
        assert caught.value is not error
        assert caught.value.__notes__ == ["a note"]
        depths.add(depth_of(caught.value))
    assert len(depths) == 1
    assert s.counts == (0, 1, 0, 0, 100)
    s.clock.advance(5 - 0.5)
    with pytest.raises(LookupError):
        s()
    assert len(s.body.calls) == 1
    s.clock.advance(0.5)
    s.body.error = None
    assert s() == "a2"
    assert s() == "a2"
    assert s.counts == (1, 2, 0, 0, 101)
    info = s.reach().cache_info() if hasattr(s.reach(), "cache_info") else None
    assert info is None or info.hits + info.misses == sum(s.counts)


def test_only_named_failures_are_remembered(make: Make) -> None:
    """Subclasses are, others are not."""
    s = make(cache_errors=(LookupError, OSError), error_ttl=5)
    for error, executions in [(ValueError(), 2), (KeyError("k"), 1), (FileNotFoundError(2, "none"), 1)]:
        s.cache.clear()
        s.body.calls.clear()
        s.body.error = error
        for _ in range(2):
            with pytest.raises(type(error)):
                s()
        assert len(s.body.calls) == executions


def test_a_remembered_failure_is_no_entry(make: Make) -> None:
    """Neither items(), entry(), iteration, on_evict nor the numbers that operations return tell of it.

    That ``invalidate()`` dropped it is no number, and is said.
    """
    gone: list[Any] = []
    s = make(**ERRORS, max=2, on_evict=lambda *what: gone.append(what))
    s.body.error = LookupError()

    def fail(name: str = "a") -> None:
        with pytest.raises(LookupError):
            s(name)

    fail()
    assert (s.cache.items(), len(s.cache), list(s.cache), s.cache.entry("a")) == ([], 1, [], None)
    assert s.cache.stats().size == 1
    assert s.cache.invalidate("a") is True
    assert s.cache.invalidate("a") is False
    fail()
    assert len(s.body.calls) == 2
    assert s.cache.clear() == 0
    fail()
    assert len(s.body.calls) == 3
    assert s.cache.invalidate_where(lambda key, value: pytest.fail("it was asked about a failure")) == 0
    fail()
    assert len(s.body.calls) == 4
    s.clock.advance(5)
    assert s.cache.cleanup() == 0
    assert s.cache.stats().size == 0
    for name in "abcdefgh":
        fail(name)
        assert s.cache.stats().size <= 2
    s.body.error = None
    s("x"), s("y"), s("z")
    assert {what[0] for what in gone} <= {"x", "y", "z"}
    assert sum(s.cache.stats().evictions.values()) == len(gone)
    s.cache._check()


def test_put_and_refresh_replace_a_remembered_failure(make: Make) -> None:
    """Both answer from then on, and no value is said to have left."""
    gone: list[Any] = []
    s = make(**ERRORS, on_evict=lambda *what: gone.append(what))
    s.body.error = LookupError()
    for name in "ab":
        with pytest.raises(LookupError):
            s(name)
    s.cache.put("put", "a")
    assert s("a") == "put"
    s.body.error = None
    assert s.run(lambda: s.cache.refresh("b")) == "b3"
    assert s("b") == "b3"
    assert gone == []
    assert s.counts == (2, 2, 0, 0, 0)


def test_a_fenced_failure_is_not_remembered(make: Make) -> None:
    """Invalidate while the load runs: its error reaches the caller, and the next call loads anew."""
    s = make(**ERRORS)
    s.body.error = LookupError()
    gate = s.hold()
    call = s.begin()
    s.until(gate.entered.is_set)
    assert s.cache.invalidate("a") is False
    gate.open()
    assert isinstance(call.error(), LookupError)
    s.body.error = None
    assert s() == "a2"


def test_a_failure_is_not_remembered_while_a_stale_value_is_at_hand(make: Make) -> None:
    """Within the window the value serves; after it the failure is remembered."""
    s = make(**SIE, **ERRORS)
    s()
    s.body.error = LookupError()
    s.clock.advance(TTL)
    assert [s(), s()] == ["a1"] * 2
    assert s.cache.entry("a").stale
    s.clock.advance(20)
    for _ in range(3):
        with pytest.raises(LookupError):
            s()
    assert len(s.body.calls) == 3
    assert s.counts == (0, 2, 0, 2, 2)


def test_a_failing_refresh_keeps_a_fresh_value(make: Make) -> None:
    """Its error is raised and not remembered."""
    s = make(**SIE, **ERRORS)
    s()
    s.body.error = LookupError()
    with pytest.raises(LookupError):
        s.run(lambda: s.cache.refresh("a"))
    assert s() == "a1"
    assert s.counts == (1, 1, 0, 0, 0)


def test_a_timed_out_load_is_remembered_if_its_type_is_named(make: Make) -> None:
    """InflightTimeout is a TimeoutError, and a load that timed out is a failed load."""
    s = make(timeout=3, cache_errors=TimeoutError, error_ttl=5)
    gate = s.hold()
    leader = s.begin()
    s.until(gate.entered.is_set)
    joiner = s.begin()
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [1])
    s.clock.advance(3)
    assert isinstance(joiner.error(), InflightTimeout)
    with pytest.raises(InflightTimeout):
        s()
    assert len(s.body.calls) == 1
    gate.open()
    if s.is_async:
        assert isinstance(leader.error(), InflightTimeout)
    else:
        assert leader.result() == "a1"
    assert s.counts[-1] == 1


def test_a_remembered_failure_holds_no_frame(make: Make) -> None:
    """Neither the failure nor its causes keep alive what the function's frames refer to."""

    class Held:
        pass

    held: list[weakref.ref[Any]] = []

    def raising() -> None:
        local = Held()
        held.append(weakref.ref(local))
        raise KeyError("cause")

    def result(name: str, number: int) -> Any:
        local = Held()
        held.append(weakref.ref(local))
        try:
            raising()
        except KeyError as cause:
            raise LookupError("down") from cause

    s = make(**ERRORS)
    s.body.result = result
    with pytest.raises(LookupError):
        s()
    with pytest.raises(LookupError) as caught:
        s()
    assert repr(caught.value.__cause__) == "KeyError('cause')"
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__traceback__ is None
    del caught
    import gc

    gc.collect()
    assert [ref() for ref in held] == [None, None]


class Awkward(LookupError):
    """It cannot be copied: its arguments are its own affair."""

    @property
    def args(self) -> Any:
        return ("again",)


def test_a_failure_that_cannot_be_copied_is_not_remembered(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so, and the caller's traceback is whole."""
    s = make(**ERRORS)
    s.body.error = Awkward("once")
    with caplog.at_level(logging.WARNING, "memo"), pytest.raises(Awkward) as caught:
        s()
    assert "raise self.error" in "".join(traceback.format_exception(caught.value))
    assert "cannot be copied" in warned(caplog)[0]
    s.body.error = None
    assert s() == "a2"


def test_copies_without_frames_keep_groups_and_circles() -> None:
    """Parts of a group are copied too; an error that is its own context does not loop for ever."""

    def caught(error: BaseException) -> BaseException:
        try:
            raise error
        except BaseException as found:
            return found

    part, odd = caught(KeyError("part")), caught(Awkward("odd"))
    group = caught(ExceptionGroup("group", [part, odd, ValueError("bare")]))  # type: ignore[list-item]
    group.__context__ = part
    part.__context__ = group
    copy = frameless_copy(group)
    assert isinstance(copy, ExceptionGroup)
    assert [repr(each) for each in copy.exceptions] == ["KeyError('part')", "ValueError('bare')"]
    assert all(each.__traceback__ is None for each in copy.exceptions)
    assert repr(copy.__context__) == "KeyError('part')"
    assert part.__traceback__ is not None
    assert group.__traceback__ is not None
    assert odd.__traceback__ is not None
    assert frameless_copy(odd) is None
    assert odd.__traceback__ is not None


def test_the_bytes_of_a_failure_count(make: Make) -> None:
    """With max_bytes alone remembered failures are bounded too, and what is too large is not remembered."""
    s = make(max=None, max_bytes=2_000, sizeof=len, **ERRORS)
    for number in range(50):
        s.body.error = LookupError("x" * 100)
        with pytest.raises(LookupError):
            s(f"n{number}")
        stats = s.cache.stats()
        assert stats.bytes is not None
        assert stats.bytes <= 2_000
    assert 0 < s.cache.stats().size < 10
    s.body.error = LookupError("x" * 5_000)
    for _ in range(2):
        with pytest.raises(LookupError):
            s("large")
    assert s.body.calls[-2:] == ["large", "large"]
    s.cache._check()


# -- ttl(value) and jitter


@pytest.mark.parametrize(
    ("life", "fresh_s"),
    [(5, 5), ("5s", 5), (timedelta(seconds=5), 5), (2.5, 2.5), (None, math.inf)],
)
def test_ttl_of_the_value(make_everywhere: Make, life: Any, fresh_s: float) -> None:
    """The function is called with the result, and what it returns is that result's ttl; None is no limit."""
    asked: list[Any] = []

    def ttl(value: Any) -> Any:
        asked.append(value)
        return life

    s = make_everywhere(ttl=ttl)
    assert s() == "a1"
    assert asked == ["a1"]
    s.clock.advance(1e9 if math.isinf(fresh_s) else fresh_s - 0.25)
    assert s() == "a1"
    if not math.isinf(fresh_s):
        assert s.cache.entry("a").expires_in == 0.25
        s.clock.advance(0.25)
        assert s() == "a2"
    else:
        assert s.cache.entry("a").expires_in is None


@pytest.mark.parametrize("life", [0, 0.0, "0s", timedelta(0)])
def test_a_ttl_of_zero_per_value_stores_nothing(make: Make, life: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The value is returned, counted as rejected, and nothing is logged."""
    s = make(ttl=lambda value: life)
    assert [s(), s()] == ["a1", "a2"]
    assert (s.cache.stats().rejected, len(s.cache)) == (2, 0)
    assert warned(caplog) == []


@pytest.mark.parametrize("life", ["-5m", "soon", True, math.nan, math.inf, "2h5", object()])
def test_a_bad_ttl_of_the_value_is_logged(make: Make, life: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The value is returned but not stored."""
    s = make(ttl=lambda value: life)
    assert [s(), s()] == ["a1", "a2"]
    assert s.cache.stats().rejected == 2
    assert len(warned(caplog)) == 2
    assert "ttl(value)" in warned(caplog)[0]


def test_a_raising_ttl_of_the_value_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The value is returned but not stored, by put() as well."""
    s = make(ttl=lambda value: 1 / 0)
    assert s() == "a1"
    s.cache.put("put", "a")
    assert len(s.cache) == 0
    assert len(warned(caplog)) == 2
    assert "ttl(value)" in warned(caplog)[0]


def test_stale_windows_begin_at_the_ttl_of_the_value(make: Make) -> None:
    """A value of two seconds is stale at two; one without limit never is."""
    s = make(ttl=lambda value: 2 if value == "a1" else None, stale_while_revalidate=4)
    s()
    s.clock.advance(2)
    assert s() == "a1"
    s.settle()
    s.clock.advance(1e6)
    assert s() == "a2"
    assert s.counts == (1, 1, 0, 1, 0)


@pytest.mark.parametrize("jitter", [0.1, 0.5, 0.99])
def test_jitter_spreads_lives_below_ttl(make: Make, jitter: float) -> None:
    """Each life is above ttl * (1 - jitter) and at most ttl; they differ; the seed of random decides."""
    s = make(ttl=100, jitter=jitter, max=300)

    def lives() -> list[float]:
        random.seed(7)
        s.cache.clear()
        for number in range(200):
            s(str(number))
        return [s.cache.entry(str(number)).expires_in for number in range(200)]

    first = lives()
    assert all(100 * (1 - jitter) <= life <= 100 for life in first)
    assert max(first) - min(first) > 100 * jitter * 0.8
    assert lives() == first


def test_jitter_shortens_the_ttl_of_the_value_but_no_endless_one(make: Make) -> None:
    """None remains no limit."""
    s = make(ttl=lambda value: None if value.startswith("x") else 100, jitter=0.5)
    s("x"), s("y")
    assert s.cache.entry("x").expires_in is None
    assert 50 <= s.cache.entry("y").expires_in <= 100


def test_windows_follow_a_shortened_life(make: Make) -> None:
    """The stale window is as long as was said, from wherever the life ended."""
    s = make(ttl=100, jitter=0.5, stale_if_error=20)
    s()
    life = s.cache.entry("a").expires_in
    s.body.error = LookupError()
    s.clock.advance(life)
    assert s() == "a1"
    s.clock.advance(19.5)
    assert s() == "a1"
    s.clock.advance(1)
    with pytest.raises(LookupError):
        s()


# -- with other options


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_serves_stale_and_remembers_failures(make: Make, policy: str) -> None:
    """Bounds hold and figures add up, whatever decides what leaves."""
    s = make(max=3, policy=policy, ttl=TTL, stale_while_revalidate=5, stale_if_error=20, idle=100, **ERRORS)
    calls = 0
    rng = random.Random(policy)
    for _ in range(400):
        s.body.error = LookupError() if rng.random() < 0.3 else None
        s.clock.advance(rng.choice([0, 0, 0, 1, 3, 11]))
        with contextlib.suppress(LookupError):
            s(rng.choice("abcdef"))
        calls += 1
        if rng.random() < 0.5:
            s.settle()
        assert s.cache.stats().size <= 3
        s.cache._check()
    s.settle()
    assert sum(s.counts) == calls
    assert all(s.counts[number] > 0 for number in (0, 1, 3, 4))


def test_a_stale_value_counts_as_used(make: Make) -> None:
    """With idle= each stale answer puts the end of the idle time off; without one the entry goes."""
    s = make(ttl=2, stale_while_revalidate=100, idle=5)
    s()
    s.body.error = LookupError()
    for _ in range(5):
        s.clock.advance(4.5)
        assert s() == "a1"
        s.settle()
    s.clock.advance(5)
    with pytest.raises(LookupError):
        s()


def test_copies_are_handed_out_of_stale_values_too(make: Make) -> None:
    """Nobody can alter the stored value, however he was answered."""
    s = make(ttl=TTL, stale_while_revalidate=5, stale_if_error=20, soft_timeout=7, copy="deep")
    s.body.result = lambda name, number: [name, [number]]
    s()
    s.clock.advance(TTL)
    s.hold()
    s()[1].append("stale")
    assert s() == ["a", [1]]
    s.body.gate.open()  # type: ignore[union-attr]
    s.settle()
    s.body.gate = None
    s.clock.advance(TTL + 5)
    s()[1].append("soft")
    assert s() == ["a", [3]]
    s.clock.advance(TTL + 25)
    s.run(lambda: s.cache.within(7).call("a"))[1].append("within")
    assert s() == ["a", [4]]


def test_a_load_that_is_not_to_be_stored_leaves_the_stale_value(make: Make) -> None:
    """cache_if decides what is stored: who loaded gets his value, and the window goes on."""
    s = make(ttl=TTL, stale_if_error=20, cache_if=lambda value: value != "a2")
    s()
    s.clock.advance(TTL)
    assert s() == "a2"
    s.body.error = LookupError()
    assert s() == "a1"


def test_cleanup_keeps_what_may_still_serve(make: Make) -> None:
    """Inside a window the value stays, marked stale; at its end it leaves as expired."""
    gone: list[Any] = []
    s = make(**SIE, on_evict=lambda *what: gone.append(what))
    s()
    s.clock.advance(TTL + 19.5)
    assert s.cache.cleanup() == 0
    info = s.cache.entry("a")
    assert (info.value, info.stale, info.age, info.expires_in) == ("a1", True, TTL + 19.5, -19.5)
    assert (s.cache.items(), len(s.cache)) == ([("a", "a1")], 1)
    s.clock.advance(0.5)
    assert (s.cache.items(), len(s.cache), s.cache.entry("a")) == ([], 1, None)
    assert s.cache.cleanup() == 1
    assert len(s.cache) == 0
    assert gone == [("a", "a1", EvictionReason.EXPIRED)]


def test_cache_clear_begins_the_five_counters_anew(make: Make) -> None:
    """As functools does; cache.clear() leaves them."""
    s = make(**SWR, **ERRORS)
    s()
    s.clock.advance(TTL)
    s()
    s.settle()
    s.body.error = LookupError()
    with pytest.raises(LookupError):
        s("b")
    with pytest.raises(LookupError):
        s("b")
    before = s.counts
    assert before == (0, 2, 0, 1, 1)
    s.cache.clear()
    assert s.counts == before
    s.reach().cache_clear()
    assert s.counts == (0, 0, 0, 0, 0)
    s.body.error = None
    s()
    s.clock.advance(TTL)
    s()
    assert s.counts == (0, 1, 0, 1, 0)
    info = s.reach().cache_info()
    assert (info.hits, info.misses) == (1, 1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("is_async", [False, True])
def test_stale_options_in_stacks(order: tuple[int, ...], is_async: bool) -> None:
    """Whatever stands above or below, a stale value answers at once, and one load replaces it."""
    clock, here, body = FakeClock(), Registry(), Body()
    layers = [
        bounded(max=8, **SWR, clock=clock, registry=here),
        dedupe_inflight(clock=clock, registry=here),
        sliding_window("1h", clock=clock, registry=here),
    ]

    def place(of: Body, decorate: Any) -> Any:
        made: Any = on_coroutine(of, lambda f: f)() if is_async else on_function(of, lambda f: f)()
        for number in order:
            made = layers[number](made)
        return lambda: made

    s = Scene(place, is_async)
    s.clock, s.registry, s.body = clock, here, body
    s.reach = place(body, None)
    try:
        assert s() == "a1"
        clock.advance(TTL)
        gate = s.hold()
        assert [s(), s()] == ["a1"] * 2
        gate.open()
        s.settle()
        assert s() == "a2"
        assert len(body.calls) == 2
        assert s.counts == (1, 1, 0, 2, 0)
        window = s.reach().window
        recorded = 4 if order.index(2) > order.index(0) else 2
        s.until(lambda: window.count() == recorded)
        assert window.errors() == []
    finally:
        s.close()


# -- the figures


@pytest.mark.parametrize("seed", range(6))
def test_every_call_raises_exactly_one_counter(make: Make, seed: int) -> None:
    """In random sequences of calls, failures, time and background loads, the five add up to the calls."""
    rng = random.Random(seed)
    s = make(
        max=rng.choice([2, 8]),
        ttl=TTL,
        jitter=rng.choice([0, 0.3]),
        stale_while_revalidate=rng.choice([None, 5]),
        stale_if_error=20,
        soft_timeout=rng.choice([None, 7]),
        copy=rng.choice([None, "deep"]),
        policy=rng.choice(POLICIES),
        **ERRORS,
    )
    calls = 0
    for _ in range(300):
        s.body.error = rng.choice([None, None, LookupError(), ValueError()])
        s.clock.advance(rng.choice([0, 0, 0.5, 2, 6, 12, 40]))
        name = rng.choice("abc")
        act = rng.randrange(10)
        with contextlib.suppress(LookupError, ValueError):
            if act == 0:
                s.run(lambda: s.cache.refresh(name))  # noqa: B023
            elif act == 1:
                s.cache.invalidate(name)
            elif act == 2:
                s.cache.put("put", name)
            elif act == 3:
                calls += 1
                s.run(lambda: s.cache.within(7).call(name))  # noqa: B023
            elif act == 4:
                calls += 1
                s.run(lambda: s.cache.fresh(name))  # noqa: B023
            else:
                calls += 1
                s(name)
        s.settle()
        stats = s.cache.stats()
        assert stats.requests == calls
        assert all(count >= 0 for count in s.counts)
        assert stats.loads + stats.load_errors == len(s.body.calls)


class Model:
    """One key as the contract has it, if each background load ends before the next call."""

    def __init__(self, revalidate_s: float, if_error_s: float, error_s: float, named: type[Exception] | None) -> None:
        self.revalidate_s, self.if_error_s, self.error_s, self.named = revalidate_s, if_error_s, error_s, named
        self.value: Any = None
        self.deadline = self.paused = self.remembered = -math.inf
        self.failure: BaseException | None = None

    def load(self, now: float, value: Any, error: BaseException | None) -> None:
        if error is None:
            self.value, self.deadline, self.paused, self.failure = value, now + TTL, -math.inf, None
        elif self.value is not None and now < self.deadline + max(self.revalidate_s, self.if_error_s):
            self.paused = now + self.error_s
        else:
            self.value = None
            if self.named is not None and isinstance(error, self.named):
                self.failure, self.remembered = error, now + self.error_s

    def call(self, now: float, value: Any, error: BaseException | None) -> tuple[str, Any, int]:
        """Which counter a call raises, what it gets, and how many executions it causes."""
        if self.failure is not None and now < self.remembered:
            return "error_hits", repr(self.failure), 0
        late_s = now - self.deadline
        if self.value is not None and late_s < 0:
            return "hits", self.value, 0
        old = self.value
        if old is not None and late_s < self.revalidate_s:
            begins = now >= self.paused
            if begins:
                self.load(now, value, error)
            return "stale_hits", old, int(begins)
        if old is not None and late_s < self.if_error_s:
            if now < self.paused:
                return "stale_hits", old, 0
            self.load(now, value, error)
            return ("misses", value, 1) if error is None else ("stale_hits", old, 1)
        self.load(now, value, error)
        return "misses", value if error is None else repr(error), 1


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_every_transition_is_as_the_contract_has_it(make: Make, seed: int, soft: bool) -> None:
    """Random times and failures: each call gets what the model says, and for the reason that it says."""
    rng = random.Random(seed)
    revalidate, if_error = rng.choice([(None, 15), (6, None), (6, 15), (15, 6), (None, None)])
    named = rng.choice([None, LookupError]) if revalidate or if_error else LookupError
    error_s = rng.choice([2, 5])
    options: dict[str, Any] = {"cache_errors": named} if named else {}
    if soft and if_error:
        options["soft_timeout"] = 7
    s = make(
        ttl=TTL, stale_while_revalidate=revalidate, stale_if_error=if_error, error_ttl=error_s, **options,
        policy=rng.choice(POLICIES),
    )  # fmt: skip
    model = Model(revalidate or 0, if_error or 0, error_s, named)
    s.body.result = lambda name, number: number
    kinds = set()
    for _ in range(400):
        s.clock.advance(rng.choice([0, 0, 1, 1, 2, 4, 5, 6, 9, 25]))
        s.body.error = error = rng.choice([None, None, LookupError("down"), ValueError("odd")])
        before, executions = s.counts, len(s.body.calls)
        counter, value, began = model.call(s.clock(), executions + 1, error)
        try:
            got = s()
        except (LookupError, ValueError) as raised:
            got = repr(raised)
        s.settle()
        raised_by = [now - then for now, then in zip(s.counts, before, strict=True)]
        assert (got, raised_by) == (value, [int(name == counter) for name in COUNTERS])
        assert len(s.body.calls) - executions == began
        kinds.add(counter)
    assert {"hits", "misses"} <= kinds
    assert ("stale_hits" in kinds) == bool(revalidate or if_error)
    assert ("error_hits" in kinds) == (named is not None)


def test_background_loads_count_as_loads_and_refreshes_alone(make: Make) -> None:
    """They raise none of the five."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    before = s.cache.stats()
    s()
    s.settle()
    later = s.cache.stats() - before
    assert (later.requests, later.stale_hits) == (1, 1)
    assert (later.loads, later.load_errors, later.refreshes) == (1, 0, 1)
    s.clock.advance(TTL)
    s.body.error = LookupError()
    before = s.cache.stats()
    s()
    s.settle()
    later = s.cache.stats() - before
    assert (later.requests, later.stale_hits) == (1, 1)
    assert (later.loads, later.load_errors, later.refreshes) == (0, 1, 1)


# -- bad options


ODD = object()
BAD: list[tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = [
    ({"stale_while_revalidate": 5}, TypeError, ("stale_while_revalidate=5", "ttl=")),
    ({"stale_if_error": "5m"}, TypeError, ("stale_if_error=", "ttl=")),
    ({"soft_timeout": 5}, TypeError, ("soft_timeout=5", "ttl=")),
    ({"jitter": 0.1}, TypeError, ("jitter=0.1", "ttl=")),
    ({"ttl": 5, "soft_timeout": 1}, TypeError, ("soft_timeout=1", "stale_if_error=")),
    ({"ttl": 5, "jitter": 1}, ValueError, ("jitter=1", "0.1")),
    ({"ttl": 5, "jitter": 1.0}, ValueError, ("jitter=1.0", "0.1")),
    ({"ttl": 5, "jitter": -0.1}, ValueError, ("jitter=-0.1", "0.1")),
    ({"ttl": 5, "jitter": math.nan}, ValueError, ("jitter=nan", "0.1")),
    ({"ttl": 5, "jitter": True}, TypeError, ("jitter=True", "0.1")),
    ({"ttl": 5, "jitter": "10%"}, TypeError, ("jitter='10%'", "0.1")),
    ({"ttl": 5, "jitter": None}, TypeError, ("jitter=None", "0.1")),
    ({"cache_errors": LookupError}, TypeError, ("cache_errors=", "LookupError", "error_ttl=")),
    ({"cache_errors": (LookupError,)}, TypeError, ("cache_errors=", "LookupError", "error_ttl=")),
    ({"cache_errors": "LookupError", "error_ttl": 5}, TypeError, ("cache_errors", "'L", "(LookupError,)")),
    ({"cache_errors": 5, "error_ttl": 5}, TypeError, ("cache_errors", "5", "(LookupError,)")),
    ({"cache_errors": LookupError(), "error_ttl": 5}, TypeError, ("cache_errors", "LookupError()", "(LookupError,)")),
    ({"cache_errors": (int,), "error_ttl": 5}, TypeError, ("cache_errors", "int", "(LookupError,)")),
    ({"cache_errors": KeyboardInterrupt, "error_ttl": 5}, ValueError, ("cache_errors", "KeyboardInterrupt")),
    ({"cache_errors": (LookupError, BaseException), "error_ttl": 5}, ValueError, ("cache_errors", "BaseException")),
    ({"error_ttl": 5}, TypeError, ("error_ttl=5", "cache_errors=")),
    ({"cache_errors": (), "error_ttl": 5}, TypeError, ("error_ttl=5", "cache_errors=")),
    ({"cache_errors": LookupError, "error_ttl": 0}, ValueError, ("error_ttl=0", "give")),
    ({"cache_errors": LookupError, "error_ttl": True}, TypeError, ("error_ttl=True", "give")),
    ({"ttl": 5, "stale_while_revalidate": 0}, ValueError, ("stale_while_revalidate=0", "give")),
    ({"ttl": 5, "stale_while_revalidate": -1}, ValueError, ("stale_while_revalidate=-1", "give")),
    ({"ttl": 5, "stale_if_error": "2h5"}, ValueError, ("stale_if_error='2h5'", "2h5m")),
    ({"ttl": 5, "stale_if_error": True}, TypeError, ("stale_if_error=True", "give")),
    ({"ttl": 5, "stale_if_error": 5, "soft_timeout": 0}, ValueError, ("soft_timeout=0", "give")),
    ({"ttl": 5, "stale_if_error": 5, "soft_timeout": []}, TypeError, ("soft_timeout=[]", "give")),
]


@pytest.mark.parametrize(("options", "error", "parts"), BAD, ids=[str(case[0])[:50] for case in BAD])
def test_bad_options_fail_at_decoration(
    options: dict[str, Any], error: type[Exception], parts: tuple[str, ...]
) -> None:
    """The message names the decorator, the option, the value and the remedy."""
    with pytest.raises(error) as caught:
        bounded(max=8, **options)
    text = str(caught.value)
    assert text.startswith("bounded: ")
    assert all(part in text for part in parts)
    assert type(caught.value) is error


async def _ttl(value: Any) -> int:
    return 5


def test_a_coroutine_function_as_ttl_is_refused() -> None:
    """Nobody would await it."""
    with pytest.raises(TypeError, match=r"ttl=.*coroutine function"):
        bounded(max=8, ttl=_ttl)  # type: ignore[arg-type]


def test_good_options_are_accepted_together() -> None:
    """All options about freshness at once, in all forms of durations and types."""
    for errors in (LookupError, (LookupError, OSError), [LookupError], {OSError}):
        for span in (5, 0.5, "5s", timedelta(seconds=5)):
            bounded(
                max=8,
                ttl=span,
                jitter=0,
                stale_while_revalidate=span,
                stale_if_error=span,
                soft_timeout=span,
                cache_errors=errors,
                error_ttl=span,
            )

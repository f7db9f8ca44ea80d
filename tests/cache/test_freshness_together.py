"""Freshness options with each other and with others; their figures; what is refused."""

import contextlib
import itertools
import math
import random
from datetime import timedelta
from typing import Any

import pytest
from kit.freshness import (
    COUNTERS,
    ERRORS,
    SIE,
    SWR,
    TTL,
    Body,
    Make,
    Scene,
    on_coroutine,
    on_function,
)

from memo import EvictionReason, Registry, bounded, dedupe_inflight, sliding_window
from memo.testing import FakeClock

POLICIES = ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random"]


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
        **rng.choice([{}, {"fallback": "in place"}, {"fallback": lambda name: "in place", "fallback_on": ValueError}]),
    )
    calls = in_place = 0
    for _ in range(300):
        s.body.error = rng.choice([None, None, LookupError(), ValueError()])
        s.clock.advance(rng.choice([0, 0, 0.5, 2, 6, 12, 40]))
        name = rng.choice("abc")
        act = rng.randrange(12)
        got = None
        with contextlib.suppress(LookupError, ValueError):
            if act == 0:
                s.run(lambda: s.cache.refresh(name))  # noqa: B023
            elif act == 1:
                s.cache.invalidate(name)
            elif act == 2:
                s.cache.put("put", name)
            elif act == 3:
                calls += 1
                got = s.run(lambda: s.cache.within(7).call(name))  # noqa: B023
            elif act == 4:
                calls += 1
                s.run(lambda: s.cache.fresh(name))  # noqa: B023
            elif act == 5:
                calls += 1
                terms = s.cache.within(*rng.choice([(), (7,)]), max_age=rng.choice([0, 3, 15]), default="in place")
                got = s.run(lambda: rng.choice([terms.call, terms.fresh])(name))  # noqa: B023
            else:
                calls += 1
                got = s(name)
        s.settle()
        in_place += got == "in place"
        stats = s.cache.stats()
        assert (stats.requests, stats.fallbacks) == (calls, in_place)
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
    ({"cache_errors": LookupError, "ttl": 5}, TypeError, ("cache_errors=", "LookupError", "error_ttl=")),
    ({"cache_errors": "LookupError", "error_ttl": 5}, TypeError, ("contains 'LookupError'", "(LookupError,)")),
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

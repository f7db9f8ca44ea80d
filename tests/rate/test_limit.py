"""`@limit` refuses calls beyond so many in any span of time."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import pickle
import tracemalloc
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit.processes import counts_alone, fork, status_of
from kit.recorders import Clock

from memo import RateLimited, Registry, bounded, dedupe_inflight, limit, sliding_window
from memo._rate.rate import Rate
from memo._rate.starts import EXACT
from memo.testing import FakeClock, isolated


def echo(who: object = None, what: object = None) -> object:
    return who


def tries(function: Any, number: int, *args: Any) -> int:
    """How many of so many calls are let in."""
    let_in = 0
    for _ in range(number):
        try:
            result = function(*args)
            if inspect.iscoroutine(result):
                asyncio.run(result)
            let_in += 1
        except RateLimited:
            pass
    return let_in


# -- the promise


@settings(max_examples=80, deadline=None)
@given(
    calls=st.integers(1, 6) | st.just(EXACT + 5),
    span_s=st.sampled_from((1.0, 60.0, 0.1, 86_400.0)),
    begin=st.sampled_from((0.0, -1e6, 1e5 + 0.1)),
    steps=st.lists(st.tuples(st.floats(0, 1.2), st.integers(0, 60)), max_size=40),
)
@example(calls=3, span_s=60.0, begin=0.0, steps=[(0.99, 3), (0.02, 3), (0.98, 3), (0.01, 3)])  # at a border
@example(calls=EXACT + 5, span_s=1.0, begin=0.0, steps=[(0.04, 60)] * 40)
def test_no_span_has_more_calls_than_the_rate(
    calls: int, span_s: float, begin: float, steps: list[tuple[float, int]]
) -> None:
    """Whenever calls come, there are never more than so many in any span, and none is refused without need."""
    clock = Clock(begin)
    function = limit((calls, span_s), clock=clock, registry=Registry())(echo)
    began: list[float] = []
    slack = 0.0 if calls <= EXACT else span_s / 32
    for step, number in steps:
        clock.now += step * span_s
        for _ in range(number):
            within = sum(time + span_s > clock.now for time in began)
            about = sum(time + span_s + slack > clock.now for time in began)
            expects = function.limit.remaining()
            wait = function.limit.retry_after()
            try:
                function()
            except RateLimited as refused:
                assert (expects, refused.retry_after) == (0, wait)
                assert 0 < wait <= span_s * (1 + 1e-6)
                assert about >= calls, "refused though there was room"
            else:
                assert (expects > 0, wait) == (True, 0.0)
                assert within < calls, "let in though there was none"
                began.append(clock.now)
    assert all(late >= early + span_s for early, late in zip(began, began[calls:], strict=False))
    stats = function.limit.stats()
    assert (stats.allowed, stats.allowed + stats.refused) == (len(began), sum(number for _, number in steps))


def test_who_comes_again_when_told_is_let_in() -> None:
    """`retry_after` is when there is room: not before, and at once then."""
    for calls in (2, EXACT + 1):
        clock = Clock()
        function = limit((calls, 64.0), clock=clock, registry=Registry())(echo)
        for _ in range(calls):
            function()
            clock.now += 0.25
        with pytest.raises(RateLimited) as refused:
            function()
        assert refused.value.retry_after is not None
        clock.now += refused.value.retry_after - 2**-16
        assert tries(function, 1) == 0
        clock.now += 2**-16
        assert tries(function, 1) == 1


@pytest.mark.parametrize("calls", [2, EXACT + 1])
def test_a_clock_that_goes_back_neither_opens_nor_closes(calls: int) -> None:
    """What began ahead of the clock counts as begun now: for one more span, and no longer."""
    clock = Clock(1000.0)
    function = limit((calls, 60.0), clock=clock, registry=Registry())(echo)
    assert tries(function, calls + 1) == calls
    clock.now = 10.0
    assert tries(function, 3) == 0
    clock.now = 69.0
    assert tries(function, 3) == 0
    clock.now = 70.0
    assert tries(function, calls + 1) == calls


def test_a_refused_call_says_why_and_does_not_run(clock: FakeClock) -> None:
    """The function is not called; the error tells key, limit and time, and survives a pickle."""
    ran: list[str] = []
    function = limit("2/1m", key=lambda who: who, clock=clock, registry=Registry())(ran.append)
    assert tries(function, 5, "alice") == len(ran) == 2
    clock.advance(15)
    with pytest.raises(RateLimited) as caught:
        function("alice")
    refused = caught.value
    assert (refused.key, refused.limit, refused.retry_after) == ("alice", "2/1m", 45.0)
    text = "list.append(): 2 calls of 'alice' began within the last 1m (limit 2/1m); come again in 45s."
    assert str(refused) == text
    again = pickle.loads(pickle.dumps(refused))
    assert (type(again), str(again), vars(again)) == (RateLimited, text, vars(refused))
    clock.advance(45)
    assert tries(function, 3, "alice") == 2


def test_calls_count_by_their_begin_however_they_end(clock: FakeClock) -> None:
    """A call that raises or takes long counts as one; one that is refused does not."""

    @limit("2/1m", clock=clock, registry=Registry())
    def work(seconds: float) -> None:
        clock.advance(seconds)
        raise OSError("down")

    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            work(30)
    assert work.limit.remaining(0.0) == 1  # the first began a minute ago


# -- keys


def test_keys_count_by_themselves(clock: FakeClock) -> None:
    """Without `key` all calls count together; with one, those of each key, whatever its type."""
    together = limit("3/1m", clock=clock, registry=Registry())(echo)
    assert sum(tries(together, 2, who) for who in ("a", "b", "c")) == 3

    class Loud:
        def __init__(self, word: str) -> None:
            self.word = word

        def __eq__(self, other: object) -> bool:
            assert not apart.limit._limiter.lock._is_owned()  # type: ignore[attr-defined]
            return isinstance(other, Loud) and other.word == self.word

        def __hash__(self) -> int:
            return 7

    apart = limit("3/1m", key=lambda who, what: (who, 1), clock=clock, registry=Registry())(echo)
    assert [tries(apart, 5, who) for who in ("a", "b", None, 7, Loud("a"), Loud("b"), Loud("a"))] == [3] * 6 + [0]
    with pytest.raises(TypeError, match=r"unhashable type: 'list': echo\(\): key= returned \(\[\], 1\)"):
        apart([])
    assert (apart.limit.remaining("c"), apart.limit.remaining("a"), len(apart.limit)) == (3, 0, 6)


def test_each_instance_has_its_own_limit(clock: FakeClock) -> None:
    """By identity and without being kept alive; `ignore=("self",)` lets all share one."""
    own = Registry()

    class Client:
        __hash__ = None  # type: ignore[assignment]

        @limit("2/1m", clock=clock, registry=own)
        def get(self, path: str) -> str:
            return path

        @limit("2/1m", key=lambda path: path, ignore=("self",), clock=clock, registry=own)
        async def post(self, path: str) -> str:
            return path

        @limit("1/1m", clock=clock, registry=own)
        @classmethod
        def make(cls) -> None: ...

        @property
        @limit("1/1m", clock=clock, registry=own)
        def status(self) -> str:
            return "ok"

    one, other = Client(), Client()
    assert [tries(client.get, 3, "/") for client in (one, other)] == [2, 2]
    assert [tries(client.post, 3, path) for client in (one, other) for path in "/a"] == [2, 2, 0, 0]
    assert (tries(Client.make, 2), one.status, other.status) == (1, "ok", "ok")
    with pytest.raises(RateLimited, match=r"Client\.status\(\): 1 call began"):
        _ = one.status
    assert (one.get.limit.remaining("?"), len(one.get.limit), len(Client.get.limit)) == (0, 1, 2)
    assert one.get.limit.reset() == 1
    assert (one.get.limit.remaining("?"), other.get.limit.remaining("?")) == (2, 0)
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None


def test_a_full_table_refuses_further_keys(clock: FakeClock) -> None:
    """No key is forgotten while it counts, so none gets around its limit; one that is a span old makes room."""
    function = limit("2/1m", key=lambda who, what: who, keys=3, clock=clock, registry=Registry())(echo)
    for who in "abc":
        function(who)
        clock.advance(10)
    function("a")
    with pytest.raises(RateLimited, match=r"3 other keys had calls within the last 1m \(keys=3\).*come again in 40s"):
        function("d")
    assert (function.limit.remaining("d"), function.limit.retry_after("d"), function.limit.remaining("b")) == (0, 40, 1)
    assert (function.limit.stats().crowded, function.limit.stats().refused) == (1, 1)
    clock.advance(40)
    assert (tries(function, 3, "d"), tries(function, 1, "e")) == (2, 0)
    assert (function.limit.remaining("a"), len(function.limit)) == (1, 3)
    clock.advance("1h")
    assert (function.limit.cleanup(), len(function.limit)) == (3, 0)


def test_keys_of_the_dead_make_room(clock: FakeClock) -> None:
    """An instance that nobody can call any more does not keep others from calling."""

    class Client:
        @limit("1/1m", keys=3, clock=clock, registry=Registry())
        def get(self) -> None: ...

    for _ in range(10):
        Client().get()
    kept = [Client() for _ in range(3)]
    assert [tries(client.get, 2) for client in (*kept, Client())] == [1, 1, 1, 0]


@counts_alone
def test_asking_for_instances_that_die_keeps_nothing_of_them(clock: FakeClock) -> None:
    """Whoever asks what instances may do, and never calls them, leaves nothing behind when they die."""

    class Client:
        @limit("1/1m", clock=clock, registry=Registry())
        def get(self) -> None: ...

    def ask() -> None:
        for _ in range(500):
            client = Client()
            assert (client.get.limit.remaining(), client.get.limit.retry_after()) == (1, 0)
            assert not client.get.limit.forget()

    ask()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        ask()
        assert tracemalloc.get_traced_memory()[0] - before < 5_000
    finally:
        tracemalloc.stop()


# -- placements and company


LAYERS: dict[str, Callable[[], Any]] = {
    "limit": lambda: limit("100/1m"),
    "window": lambda: sliding_window("1m"),
    "bounded": lambda: bounded(max=10),
    "dedupe": lambda: dedupe_inflight(timeout=5),
}


@pytest.mark.parametrize("order", list(itertools.permutations(LAYERS)), ids="-".join)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_stacked(order: tuple[str, ...], is_async: bool) -> None:
    """In every order the handles are reached from the outermost; a limit counts what gets through to it."""

    async def coroutine(x: int) -> int:
        return x

    function: Any = coroutine if is_async else lambda x: x
    for name in order:
        function = LAYERS[name]()(function)
    for _ in range(3):
        assert (asyncio.run(function(1)) if is_async else function(1)) == 1
    outside = order.index("limit") > order.index("bounded")
    assert function.limit.stats().allowed == (3 if outside else 1)
    assert function.limit.remaining(1) == (97 if outside else 99)
    stats = function.__memo_record__.stats()
    assert None not in (stats.cache, stats.inflight, stats.window, stats.limit)
    assert stats - stats == function.__memo_record__.stats() - stats
    function.__memo_record__.clear()
    assert function.limit.remaining(1) == 100


def test_a_stale_value_answers_instead_of_a_refused_load(clock: FakeClock) -> None:
    """Below a cache a refused load is a failed one; those who waited for it are told the same."""

    @bounded(max=5, ttl=10, stale_if_error=60, clock=clock, registry=Registry())
    @limit("1/1m", clock=clock)
    def load(name: str) -> str:
        return name

    assert load("a") == "a"
    clock.advance(20)
    assert load("a") == "a"
    with pytest.raises(RateLimited, match="come again in 40s"):
        load("b")


def test_switched_off_calls_go_straight(clock: FakeClock) -> None:
    """Within `disabled()` calls neither count nor are refused; within `isolated()` they count apart."""
    own = Registry()
    function = limit("2/1m", clock=clock, registry=own)(echo)
    assert tries(function, 2) == 2
    with own.disabled():
        assert tries(function, 5) == 5
    with isolated(function):
        assert tries(function, 5) == 2
        assert function.limit.stats().refused == 3
    assert (tries(function, 1), function.limit.stats().allowed, function.limit.stats().refused) == (0, 2, 1)


def test_a_child_process_goes_on_with_a_copy(clock: FakeClock) -> None:
    """What began before the fork counts in the child, too; what begins there does not here."""
    function = limit("3/1m", clock=clock, registry=Registry())(echo)
    function()
    assert status_of(fork(lambda: tries(function, 5) == 2)) == 0
    assert tries(function, 5) == 2


def test_what_the_registry_shows(clock: FakeClock) -> None:
    """A column for what was let in and refused, a row in the leak report, and keys that a clean-up drops."""
    own = Registry()
    function = limit("2/1m", key=lambda who, what: who, clock=clock, registry=own, name="bot.send")(echo)
    assert own.report().stores[0].entries == 0
    for who in ("a", "b"):
        tries(function, 3, who)
    assert [line.split() for line in str(own).splitlines()[::2]] == [
        ["function", "allowed", "refused"],
        ["bot.send", "4", "2"],
    ]
    (store,) = own.report().stores
    assert (store.kind, store.entries, store.max, store.findings) == ("limit", 2, 10_000, ())
    clock.advance("1m")
    report = own.cleanup()
    assert (report.keys, report.total, dict(report.functions)) == (2, 2, {"bot.send": 2})
    record = own["bot.send"]
    assert record.limit is not None
    assert (record.limit.stats().keys, repr(record.limit)) == (0, "<limit of bot.send: 2/1m, 0 keys>")
    assert "limit" not in dir(sliding_window("1h")(echo))


@pytest.mark.parametrize(("calls", "most"), [(1, 508), (EXACT, 500 + 8 * EXACT), (100_000, 6_000)])
@counts_alone
def test_state_takes_no_more_than_is_stated(calls: int, most: int) -> None:
    """A key takes 8 bytes for each call and some 500, whatever the rate at most 6 kB."""
    clock, keys = Clock(), range(100_000, 100_100)
    function = limit((calls, 64.0), key=lambda who, what: who, clock=clock, registry=Registry())(echo)
    function("warm")
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(min(calls, EXACT)):
            clock.now += 64 / EXACT
            for key in keys:
                function(key)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] <= len(keys) * most
    finally:
        tracemalloc.stop()
    assert len(function.limit) == len(keys) + 1


# -- options


def test_rates() -> None:
    """Text and pairs mean the same; the span is any duration, and a unit alone is one of it."""
    for given_rate in ("100/1m", " 100 / 60s ", "100/minute", "100/min", (100, 60), (100, timedelta(minutes=1))):
        assert Rate.of(given_rate, "limit") == (100, 60.0)
    assert str(Rate.of("1_000/1h30m", "limit")) == "1000/1h 30m"


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        ("100", ValueError, "rate='100' has no '/'"),
        ("many/1m", ValueError, "rate='many/1m' does not begin with a whole number"),
        ("1.5/1m", ValueError, r"rate='1\.5/1m' does not begin with a whole number"),
        ("0/1m", ValueError, "rate='0/1m' lets no call begin"),
        ("-3/1m", ValueError, "rate='-3/1m' lets no call begin"),
        ("5/1 fortnight", ValueError, "rate='5/1 fortnight' does not end in a span of time"),
        ("5/", ValueError, "rate='5/' does not end in a span of time"),
        ("5/0s", ValueError, "rate='5/0s' does not end in a span of time: rate='0s' is zero; give a positive"),
        ((0, 60), ValueError, r"rate\[0\]=0"),
        ((True, 60), TypeError, r"rate\[0\]=True"),
        ((5, -1), ValueError, r"rate\[1\]=-1"),
        (100, TypeError, "rate=100 is no rate; write how many calls in how long"),
        (None, TypeError, "rate=None is no rate"),
        (echo, TypeError, r'echo is decorated without a rate; write @limit\("100/1m"\)'),
    ],
)
def test_bad_rates_fail_at_decoration(rate: Any, error: type[Exception], message: str) -> None:
    """The message names the value and what to write."""
    with pytest.raises(error, match=f"limit: {message}"):
        limit(rate)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"when_full": "dely"}, ValueError, "when_full='dely' is neither"),
        ({"when_full": None}, TypeError, "when_full=None is not text"),
        ({"max_delay": 3}, TypeError, "max_delay=3 has no effect without when_full"),
        ({"max_waiting": 3}, TypeError, "max_waiting=3 has no effect without when_full"),
        ({"when_full": "delay", "max_delay": 0}, ValueError, "max_delay=0"),
        ({"when_full": "delay", "max_waiting": 0}, ValueError, "max_waiting=0"),
        ({"keys": 0}, ValueError, "keys=0"),
        ({"keys": 1.5}, TypeError, r"keys=1\.5"),
        ({"key": 3}, TypeError, "key=3"),
        ({"ignore": ("who",)}, ValueError, r"ignore=\('who',\) has no effect"),
        ({"tags": lambda who: ["x"]}, TypeError, "tags=.* is a function"),
        ({"clock": 3}, TypeError, "clock=3"),
    ],
)
def test_bad_options_fail_at_decoration(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message names the option and the value."""
    with pytest.raises(error, match=f"limit: {message}"):
        limit("1/1m", **options)(echo)

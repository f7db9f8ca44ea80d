"""What an exception that strikes a flight at any point leaves: nobody stuck, nothing in the table, true counts."""

import functools
import threading
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from kit.strikes import Struck, StruckError, at_the_limit, every, held_locks, locks_of, strike, unstruck
from kit.threads import LIMIT_S, Running, until

from memo import Registry, bounded, dedupe_inflight
from memo._decorated.stack import layers_of
from memo._flight.circles import waiting

EACH_INSTRUCTION = every(200_000)

long = pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.stress)])
errors = pytest.mark.parametrize("error", [Struck, StruckError])

KINDS: dict[str, Callable[..., Any]] = {
    "dedupe": lambda **o: dedupe_inflight(timeout=1000, **o),
    "bounded": lambda **o: bounded(max=3, **o),
    "bounded, timeout": lambda **o: bounded(max=3, timeout=1000, **o),
    "lru": lambda **o: bounded(max=3, policy="lru", **o),
    "errors": lambda **o: bounded(max=3, cache_errors=KeyError, error_ttl=1000, **o),
}
kinds = pytest.mark.parametrize(
    "kind", ["dedupe", "bounded", *(pytest.param(kind, marks=pytest.mark.stress) for kind in list(KINDS)[2:])]
)


class Boom(Exception):
    """What an execution raises for all who share it."""


class Stage:
    """A decorated function whose first execution stands until it is let go, and then returns or raises."""

    def __init__(self, kind: str, fails: bool = False) -> None:
        self.opened = opened = threading.Event()
        self.first: Callable[[], object] = lambda: opened.wait(LIMIT_S)
        self.executions = 0
        self.fails = fails
        self.registry = Registry()

        # Held weakly, so that a stage goes when the next one comes: collected at the recursion limit, a store could not
        # run its destructor, and would say so.
        stage = weakref.proxy(self)

        @KINDS[kind](registry=self.registry)
        def f(x: int) -> int:
            stage.executions += 1
            if stage.executions == 1:
                unstruck(stage.first)
                if stage.fails:
                    raise Boom(x)
            return x

        self.f = f
        (layer,) = layers_of(f)
        self.flights: Any = layer.flights  # type: ignore[attr-defined]
        self.locks = locks_of(f, layer, self.registry)

    def joined(self) -> int:
        return sum(flight.joined for flight in list(self.flights.table.by_key.values()))

    def answer(self, x: int) -> Any:
        try:
            return self.f(x)
        except (Boom, Struck, StruckError) as error:
            return type(error)

    def check(self, where: str | None, counted: bool = True) -> None:
        """Nothing runs, nobody waits, every execution that was begun has ended one way, and the next call works.

        What is *counted* is not asked of strikes at every instruction: no exception lands between two plain stores, and
        a leader counts itself beside saying that it leads.
        """
        self.executions += 1  # none of those to come is the first
        assert not held_locks(self.locks), where
        assert not self.flights.table, where
        assert not waiting, where
        c = self.flights.table.counters
        assert not counted or c.started == c.completed + c.failed + c.cancelled, where
        assert len(self.f.inflight) == 0, where
        assert self.f(7) == 7, where
        assert self.f(8) == 8, where


def first(kind: str, error: type[BaseException], everywhere: bool) -> int:
    """The first point to strike: another one for each, but always the same."""
    return zlib.crc32(f"{kind} {error.__name__}".encode()) % (EACH_INSTRUCTION if everywhere else 3)


@long
@errors
@kinds
@pytest.mark.parametrize("fails", [False, True])
def test_a_leader_that_is_cut_short_leaves_nobody_waiting(
    kind: str, error: type[BaseException], fails: bool, everywhere: bool
) -> None:
    """Those who wait have an answer: the leader's, the error that struck it if that is shared, or one of their own."""
    at = first(kind, error, everywhere)
    where: str | None = ""
    while where is not None:
        stage = Stage(kind, fails)
        joiners: list[Running] = []

        def join(stage: Stage = stage, joiners: list[Running] = joiners) -> None:
            joiners.extend(Running(functools.partial(stage.answer, 1)) for _ in range(2))
            until(lambda: stage.joined() == 2)

        stage.first = join
        where, raised = strike(functools.partial(stage.f, 1), at, error, everywhere)
        answers = [joiner.result() for joiner in joiners]
        assert set(answers) <= ({1, Boom, error} if error is StruckError or fails else {1}), (where, answers)
        stage.check(where, counted=not everywhere)
        del raised
        at += EACH_INSTRUCTION if everywhere else 3


@long
@errors
@kinds
def test_a_joiner_that_is_cut_short_goes_alone(kind: str, error: type[BaseException], everywhere: bool) -> None:
    """The leader and another joiner have their answer, and nobody is thought to wait any more."""
    at = first(kind, error, everywhere)
    where: str | None = ""
    while where is not None:
        stage = Stage(kind)
        leader = Running(functools.partial(stage.answer, 1))
        until(lambda stage=stage: stage.executions)  # type: ignore[misc]
        other = Running(functools.partial(stage.answer, 1))
        until(lambda stage=stage: stage.joined() == 1)  # type: ignore[misc]
        over = threading.Event()

        def let_go(stage: Stage = stage, over: threading.Event = over) -> None:
            until(lambda: stage.joined() == 2 or over.is_set())
            stage.opened.set()

        helper = Running(let_go)
        where, raised = strike(functools.partial(stage.f, 1), at, error, everywhere)
        over.set()
        helper.result()
        assert [leader.result(), other.result()] == [1, 1], where
        stage.check(where)
        del raised
        at += EACH_INSTRUCTION if everywhere else 3


@kinds
@pytest.mark.parametrize("fails", [False, True])
def test_a_call_at_the_recursion_limit_leaves_nothing(kind: str, fails: bool) -> None:
    """Wherever the limit is met, nothing runs after, every execution is accounted for, and the next call works."""
    for depth in range(40):
        stage = Stage(kind, fails)
        stage.opened.set()
        at_the_limit(functools.partial(stage.answer, 1), depth)
        stage.check(f"{depth} calls from the limit")


@pytest.mark.parametrize("kind", ["dedupe", "bounded, timeout"])
def test_a_clean_up_that_is_cut_short_frees_all_who_wait(kind: str) -> None:
    """Whatever is struck of it, a stuck flight is detached or still there, and nobody who waits for it hangs."""
    at = 0
    where: str | None = ""
    while where is not None:
        stage = Stage(kind)
        leader = Running(functools.partial(stage.answer, 1))
        until(lambda stage=stage: stage.executions)  # type: ignore[misc]
        (flight,) = stage.flights.table.by_key.values()
        joiner = Running(lambda stage=stage: stage.f(1))  # type: ignore[misc]
        until(lambda stage=stage: stage.joined() == 1)  # type: ignore[misc]
        flight.started -= 2000
        where, raised = strike(stage.f.inflight.cleanup, at)
        del raised
        with pytest.raises(TimeoutError):
            joiner.result()
        assert stage.flights.table.counters.timeouts == 1, where
        stage.opened.set()
        assert leader.result() == 1
        stage.check(where)
        at += 1

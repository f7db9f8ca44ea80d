"""What an exception that strikes a limit at any point leaves behind: no lock, no place in a queue, no call too many."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kit.strikes import Struck
from kit.struck import Subject, strike_everywhere

from memo import RateLimited, limit
from memo._rate import turns

pytestmark = pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning")

CALLS = 3
MOST = 5


class Running:
    """A clock that goes on by itself, a little at each look: a wait soon ends."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def refusing(function: Any, options: Any, on_evict: Any) -> Any:
    return limit("100/1h", key=lambda x: x, keys=10, **options)(function)


def grouping(function: Any, options: Any, on_evict: Any) -> Any:
    return limit("1000/1h", **options)(function)


def delaying(function: Any, options: Any, on_evict: Any) -> Any:
    return limit((1, 0.004), when_full="delay", max_delay=9, **{**options, "clock": Running()})(function)


def calls(subject: Subject) -> None:
    for x in range(CALLS):
        subject.call(x)


def calls_of_long_ago(subject: Subject) -> None:
    calls(subject)
    subject.clock.advance("2h")


OPERATIONS: dict[str, Callable[[Subject], object]] = {
    "call": lambda s: s.function(0),
    "call of a new key": lambda s: s.function("new"),
    "remaining": lambda s: s.function.limit.remaining(0),
    "forget": lambda s: s.function.limit.forget(0),
    "reset": lambda s: s.function.limit.reset(),
    "cleanup": lambda s: s.function.limit.cleanup(),
    "stats": lambda s: s.function.limit.stats(),
}


def strike(decorate: Any, prepare: Any, operation: Any, is_async: bool = False) -> None:
    def check(subject: Subject) -> None:
        stats = subject.function.limit.stats()
        assert stats.waiting == 0, "a place in the queue is left"
        assert stats.allowed <= CALLS + 1
        assert stats.allowed >= len(subject.made) - 1, "a call began without being counted"

    number, wrong = strike_everywhere(
        lambda: Subject(decorate, is_async), prepare, operation, error=Struck, check=check, step=3
    )
    assert number
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("decorate", [refusing, grouping])
def test_what_is_cut_short_counts_once_or_not_at_all(decorate: Any, operation: str) -> None:
    """A call that was struck has been counted, or is as if it had never come."""
    strike(decorate, calls, OPERATIONS[operation])


def test_a_clean_up_that_is_cut_short_can_be_done_again() -> None:
    """Keys are forgotten whole."""
    strike(refusing, calls_of_long_ago, OPERATIONS["cleanup"])


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_a_wait_that_is_cut_short_leaves_the_queue(is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes after waits for nobody who is not there, and a timer that was struck is not the only one."""
    monkeypatch.setattr(turns, "_LATE_S", 0.05)

    def two(subject: Subject) -> Any:
        if not is_async:
            return subject.function(0)

        async def both() -> None:
            ends = await asyncio.gather(subject.function(0), subject.function(1), return_exceptions=True)
            for end in ends:
                if isinstance(end, BaseException):
                    raise end

        return both()

    def prepare(subject: Subject) -> None:
        subject.call(7)

    strike(delaying, prepare, two, is_async)


def test_a_refusal_that_is_cut_short_lets_nobody_in() -> None:
    """The function has not run, whatever became of the error."""

    def full(function: Any, options: Any, on_evict: Any) -> Any:
        return limit((MOST, "1h"), **options)(function)

    def prepare(subject: Subject) -> None:
        for x in range(MOST):
            subject.call(x)

    def operation(subject: Subject) -> None:
        try:
            subject.function(0)
        except RateLimited:
            pass

    def check(subject: Subject) -> None:
        assert len(subject.made) == subject.function.limit.stats().allowed == MOST
        assert subject.function.limit.reset() == 1  # for the calls that look whether it goes on

    number, wrong = strike_everywhere(lambda: Subject(full), prepare, operation, error=Struck, check=check)
    assert number
    assert not wrong, "\n".join(wrong)

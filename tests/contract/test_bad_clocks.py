"""What ``clock=`` takes, and what it refuses at decoration, in each decorator that has it."""

import asyncio
import contextlib
import datetime as dt
import functools
import inspect
import math
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import memo
from memo import Registry, bounded, bounded_many, dedupe_inflight, limit, sliding_window
from memo.testing import FakeClock

DECORATORS: dict[str, Callable[..., Any]] = {
    "bounded": functools.partial(bounded, max=5, ttl=60),
    "bounded_many": functools.partial(bounded_many, max=5, ttl=60),
    "dedupe_inflight": functools.partial(dedupe_inflight, timeout=30),
    "sliding_window": functools.partial(sliding_window, "1h"),
    "limit": functools.partial(limit, "50/s"),
}


async def coroutine_function() -> float:
    return 1.0


class Asynchronous:
    async def __call__(self) -> float:
        return 1.0


class NeedsMore:
    def __call__(self, zone: str) -> float:
        return 1.0


def of_zone(zone: str) -> float:
    return 1.0


@functools.wraps(of_zone)
def wrapped(*args: Any) -> float:
    return of_zone(*args)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a number": (12.5, TypeError, r"clock=12\.5 cannot be called"),
    "one parameter": (lambda x: 1.0, TypeError, r"clock=.*<lambda>.* cannot be called without arguments"),
    "one parameter within": (wrapped, TypeError, r"clock=.* cannot be called without arguments"),
    "an object": (NeedsMore(), TypeError, r"clock=.* cannot be called without arguments"),
    "a partial": (functools.partial(NeedsMore()), TypeError, r"clock=.* cannot be called without arguments"),
    "a class": (dt.date, TypeError, r"clock=.* cannot be called without arguments"),
    "a builtin": (len, TypeError, r"clock=.*len.* cannot be called without arguments"),
    "nothing": (lambda: None, TypeError, r"clock=.* returns None, which is no number of seconds"),
    "text": (lambda: "12:00", TypeError, r"clock=.* returns '12:00', which is no number"),
    "a date": (dt.datetime.now, TypeError, r"clock=.*now.* returns datetime.*, which is no number"),
    "a boolean": (lambda: True, TypeError, r"clock=.* returns True, which is no number"),
    "a decimal": (lambda: Decimal(1), TypeError, r"clock=.* returns Decimal\('1'\), which is no number"),
    "a coroutine": (lambda: coroutine_function(), TypeError, r"clock=.* returns .*coroutine.*, which is no number"),
    "a coroutine function": (coroutine_function, TypeError, r"clock=.* is a coroutine function, which nobody would a"),
    "an awaited object": (Asynchronous(), TypeError, r"clock=.* is a coroutine function, which nobody would await"),
    "no moment": (lambda: math.nan, ValueError, r"clock=.* returns nan, which is no moment"),
    "no end": (lambda: math.inf, ValueError, r"clock=.* returns inf, which is no moment"),
    "more than a float": (lambda: 10**400, ValueError, r"clock=.* returns <int.*, which is no moment"),
}  # fmt: skip


def test_each_decorator_that_takes_a_clock_is_here() -> None:
    """The decorators that are tried are those whose parameters name ``clock``."""
    found = {
        name
        for name in memo.__all__
        if not isinstance(getattr(memo, name), type) and callable(getattr(memo, name))
        if "clock" in inspect.signature(getattr(memo, name)).parameters
    }
    assert found == set(DECORATORS)


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_clock_is_refused(case: str, decorator: str, own: Registry) -> None:
    """The error comes at decoration, and tells the option, the value and the remedy."""
    clock, error, text = REFUSED[case]
    remedy = "; give a function that returns seconds, like time.monotonic"
    with pytest.raises(error, match=rf"^{decorator}: {text}.*{remedy}\.$"):
        DECORATORS[decorator](clock=clock, registry=own)
    assert len(own) == 0


CLOCKS: dict[str, Callable[[], Any]] = {
    "real": time.monotonic,
    "whole numbers": lambda: 3,
    "fractions": lambda: Fraction(7, 2),
    "with a default": lambda zone="UTC": 1.0,
    "any arguments": lambda *args, **kwargs: 1.0,
    "by hand": FakeClock(),
    "of a loop": lambda: asyncio.get_running_loop().time(),
}


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("case", CLOCKS)
def test_what_is_a_clock_is_taken(case: str, decorator: str, is_async: bool, own: Registry) -> None:
    """Numbers of any kind, and a clock that can be read in a running loop alone, are taken, and read in calls."""
    decorate = DECORATORS[decorator](clock=CLOCKS[case], registry=own)
    given, answer = ([1], {1: 1}) if decorator == "bounded_many" else (1, [1])

    async def main() -> list[Any]:
        if is_async:

            @decorate
            async def load(x: Any) -> Any:
                return answer

            return [await load(given), await load(given)]

        @decorate
        def fetch(x: Any) -> Any:
            return answer

        return [fetch(given), fetch(given)]

    assert asyncio.run(main()) == [answer, answer]


def test_a_clock_that_raises_is_left_to_its_calls(own: Registry) -> None:
    """A TypeError of what a clock does is no misfit, and any other error is none either."""

    def broken() -> float:
        raise error

    for error in (TypeError("not today"), RuntimeError("no loop")):
        load = bounded(max=5, ttl=60, clock=broken, registry=own)(abs)
        with contextlib.suppress(RuntimeError), pytest.raises(type(error), match=str(error)):
            load(-1)

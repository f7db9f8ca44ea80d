"""Messages and texts tell durations as they were given, or as the package writes them."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from memo import InflightTimeout, Registry, bounded, bounded_many, dedupe_inflight, limit, sliding_window
from memo.testing import FakeClock


def plain(x: Any = 1) -> Any:
    return x


async def awaited(x: Any = 1) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize("span", ["6h", "1h30m", 90, timedelta(hours=6)])
@pytest.mark.parametrize("option", ["stale_if_error", "stale_while_revalidate", "soft_timeout"])
def test_an_option_without_ttl(option: str, span: Any) -> None:
    """The message has the option as it was written."""
    with pytest.raises(TypeError) as caught:
        bounded(max=3, **{option: span})(plain)
    assert str(caught.value) == f"bounded: {option}={span!r} has no effect without ttl=; give ttl= as well."


@pytest.mark.parametrize(
    ("decorate", "told"),
    [
        (lambda: bounded(max=3, keep="6h")(plain), "keep='6h' has no effect"),
        (lambda: dedupe_inflight(keep=5400)(plain), "keep='1h 30m' has no effect"),
        (lambda: bounded_many(max=3, gather="50ms")(plain), "gather='50ms' has no effect"),
        (lambda: bounded(max=3, scope="loop")(plain).cache.within("2h"), "leave the limit of 2h out"),
        (lambda: bounded(max=3, scope="loop")(plain).cache.within(7), "leave the limit of 7 s out"),
    ],
)
def test_what_does_not_suit_a_function(decorate: Callable[[], Any], told: str) -> None:
    """So it has where the function is known later."""
    with pytest.raises(TypeError, match=told):
        decorate()


def test_the_terms_of_a_caller() -> None:
    """Short ones are seconds, longer ones have the units of durations."""
    cache = bounded(max=3, registry=Registry())(plain).cache
    assert "plain within 0.05 s, at most 5m old>" in repr(cache.within("50ms", max_age="5m"))
    assert "plain within 6h, at most 30 s old>" in repr(cache.within("6h", max_age=30))


@pytest.mark.parametrize(("span", "told"), [(7, "7 s"), (59.5, "59.5 s"), (60, "1m"), ("6h", "6h"), ("90m", "1h 30m")])
def test_what_took_too_long(span: Any, told: str) -> None:
    """The error says for how long it was waited."""
    clock = FakeClock()
    awaits = bounded(max=3, clock=clock, registry=Registry())(awaited)
    timed = dedupe_inflight(timeout=span, clock=clock, registry=Registry())(awaited)

    async def error_of(call: Callable[[], Any]) -> BaseException:
        task = asyncio.ensure_future(call())
        while not clock.waiting():
            await asyncio.sleep(0)
        clock.advance(span)
        with pytest.raises(InflightTimeout) as caught:
            await task
        return caught.value

    async def main() -> None:
        assert f"within the {told} that this caller allows" in str(await error_of(awaits.cache.within(span).call))
        assert f"did not end within {told} and was detached" in str(await error_of(timed))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("decorate", "message"),
    [
        (sliding_window, 'sliding_window: window= is missing; write @sliding_window("24h").'),
        (limit, 'limit: rate= is missing; write @limit("100/1m").'),
    ],
)
def test_what_must_be_given(decorate: Callable[..., Any], message: str) -> None:
    """Without it, whatever else is given, the message says what to write."""
    for options in ({}, {"key": None}):
        with pytest.raises(TypeError) as caught:
            decorate(**options)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("decorate", "option", "remedy"),
    [
        (bounded_many, "shared", "which bounded_many has not: its results stay in this process. Use @bounded on a"),
        (dedupe_inflight, "shared", "its options are "),
        (dedupe_inflight, "fork", "its options are "),
        (sliding_window, "jitter", "its options are "),
    ],
)
def test_what_is_an_option_of_another_decorator(decorate: Callable[..., Any], option: str, remedy: str) -> None:
    """It is no misspelling of something else."""
    with pytest.raises(TypeError) as caught:
        decorate(**{option: 1})
    start = f"{decorate.__name__}() got an unexpected keyword argument {option!r}; {remedy}"
    assert str(caught.value).startswith(start)

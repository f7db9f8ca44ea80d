"""What a ``CancelledError`` says reaches those whom it would reach through a task of the standard library."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memo import bounded, bounded_many, dedupe_inflight

DECORATORS: dict[str, Callable[..., Any]] = {
    "a task": lambda f: asyncio.create_task(f()),  # what the standard library does
    "bounded": lambda f: bounded(max=3)(f)(),
    "in the caller's task": lambda f: bounded(max=3, work="caller")(f)(),
    "dedupe_inflight": lambda f: dedupe_inflight(f)(),
    "timeout": lambda f: bounded(max=3, timeout=9)(f)(),
    "keep": lambda f: bounded(max=3, keep=9)(f)(),
    "stale": lambda f: bounded(max=3, ttl=9, stale_if_error=9, soft_timeout=9)(f)(),
    "refresh": lambda f: bounded(max=3)(f).cache.refresh(),
    "within": lambda f: bounded(max=3)(f).cache.within(9).call(),
    "method": lambda f: _method(bounded(max=3), f),
    "method of dedupe_inflight": lambda f: _method(dedupe_inflight, f),
    "batch": lambda f: bounded_many(max=3)(_many(f))(["a"]),
    "gathered": lambda f: _gathered(f),
}
decorators = pytest.mark.parametrize("ask", DECORATORS.values(), ids=DECORATORS)


def _method(decorate: Callable[..., Any], f: Callable[[], Awaitable[Any]]) -> Any:
    class C:
        @decorate
        async def m(self) -> None:
            await f()

    return C().m()


def _many(f: Callable[[], Awaitable[Any]]) -> Any:
    async def load(keys: list[str]) -> dict[str, None]:
        await f()
        return dict.fromkeys(keys)

    return load


def _gathered(f: Callable[[], Awaitable[Any]]) -> Any:
    return bounded_many(max=3, gather="5ms", max_batch=1)(_many(f)).one("a")


async def reason_of(ask: Callable[..., Any], f: Callable[[], Awaitable[Any]]) -> tuple[Any, ...] | str:
    """What the one who asks is told by ``CancelledError``."""
    try:
        await ask(f)
    except asyncio.CancelledError as error:
        return error.args
    return "no error"


@decorators
def test_work_that_raises_it(ask: Callable[..., Any]) -> None:
    """Its caller gets the message."""

    async def f() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError("why")

    assert asyncio.run(reason_of(ask, f)) == ("why",)


@pytest.mark.parametrize("name", ["a task", "bounded", "in the caller's task", "dedupe_inflight", "within", "method"])
def test_all_its_arguments(name: str) -> None:
    """Not the first alone."""

    async def f() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError("why", 1)

    assert asyncio.run(reason_of(DECORATORS[name], f)) == ("why", 1)


@decorators
def test_work_that_nobody_gave_a_reason_for(ask: Callable[..., Any]) -> None:
    """There are no arguments then, and no others in their place."""

    async def f() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    assert asyncio.run(reason_of(ask, f)) == ()


@decorators
def test_the_message_of_a_last_caller_reaches_the_work(ask: Callable[..., Any]) -> None:
    """Who cancels a caller says why, and the function that ends with it is told; so is the caller."""
    if ask in (DECORATORS["keep"], DECORATORS["stale"], DECORATORS["within"]):
        pytest.skip("the work goes on")
    told: list[tuple[Any, ...]] = []

    async def f() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            told.append(error.args)
            raise

    async def main() -> None:
        caller = asyncio.create_task(reason_of(ask, f))
        for _ in range(20):  # more steps than any takes until the function waits
            await asyncio.sleep(0)
        caller.cancel("enough")
        assert await caller == ("enough",)

    asyncio.run(main())
    assert told == [("enough",)]


@pytest.mark.parametrize("name", ["bounded", "dedupe_inflight"])
def test_work_that_is_cancelled_before_its_first_step(name: str) -> None:
    """Whoever cancels its task tells the caller, too."""

    async def f() -> None:
        raise AssertionError("it never ran")

    async def main() -> None:
        caller = asyncio.create_task(reason_of(DECORATORS[name], f))
        while not (others := asyncio.all_tasks() - {caller, asyncio.current_task()}):
            await asyncio.sleep(0)
        for task in others:
            task.cancel("before")
        assert await caller == ("before",)

    asyncio.run(main())


def test_those_who_joined_are_told_nothing() -> None:
    """They take over, as they do from any leader that was cancelled."""
    calls: list[int] = []

    @bounded(max=3)
    async def f() -> str:
        calls.append(len(calls))
        await asyncio.sleep(0)
        if len(calls) == 1:
            raise asyncio.CancelledError("why")
        return "a value"

    async def main() -> None:
        first, second = (asyncio.create_task(ask) for ask in (reason_of(lambda f: f(), f), f()))
        assert (await first, await second) == (("why",), "a value")

    asyncio.run(main())

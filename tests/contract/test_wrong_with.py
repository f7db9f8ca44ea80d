"""A context manager that is entered by the wrong ``with`` statement says which one to write."""

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memo import Registry, bounded
from memo.testing import FakeClock, isolated


async def awaited(name: str) -> str:
    return name


def plain(name: str) -> str:
    return name


def _lease(function: Callable[..., Any]) -> Any:
    return bounded(max=8, on_evict=lambda *what: None)(function).cache.lease("a")


FOR_WITH: dict[str, Callable[[Path], Any]] = {
    "lease: a lease of a plain function": lambda path: _lease(plain),
    "record: a recording": lambda path: bounded(max=8)(plain).cache.record(path / "recording"),
    "subscribe: a subscription": lambda path: Registry().subscribe(lambda event: None),
    "janitor: a janitor": lambda path: Registry().janitor(every="1h"),
    "disabled(): the block": lambda path: Registry().disabled(),
    "serve: a server": lambda path: Registry().serve(http=0),
    "FakeClock: a clock": lambda path: FakeClock(),
    "isolated: the block": lambda path: isolated(bounded(max=8)(plain)),
}


def _end(manager: Any) -> None:
    for name in ("close", "stop"):
        getattr(manager, name, lambda: None)()


@pytest.mark.parametrize("what", FOR_WITH)
def test_async_with_says_to_write_with(what: str, tmp_path: Path) -> None:
    """As a ``TypeError`` that names what was to be entered."""
    manager = FOR_WITH[what](tmp_path)

    async def enter() -> None:
        async with manager:
            pytest.fail("it was entered")

    try:
        with pytest.raises(TypeError) as caught:
            asyncio.run(enter())
        assert (
            str(caught.value) == f"{what} awaits nothing; write 'with', also in a coroutine function, not 'async with'."
        )
    finally:
        _end(manager)


def test_with_on_a_lease_of_a_coroutine_function_says_to_write_async_with() -> None:
    """And begins no lease, so that the one that was asked for can be entered still."""
    lease = _lease(awaited)
    with pytest.raises(TypeError) as caught, lease:
        pytest.fail("it was entered")
    assert str(caught.value) == (
        "lease: a lease of a coroutine function is awaited; write 'async with', in a coroutine function, not 'with'."
    )

    async def enter() -> str:
        async with lease as value:
            return value  # type: ignore[no-any-return]

    assert asyncio.run(enter()) == "a"


@pytest.mark.parametrize("what", FOR_WITH)
def test_what_tells_the_colours_apart_sees_one(what: str, tmp_path: Path) -> None:
    """Whether it asks for the methods or for an abstract class."""
    manager = FOR_WITH[what](tmp_path)
    lease = _lease(awaited)
    try:
        assert isinstance(manager, contextlib.AbstractContextManager)
        assert not isinstance(manager, contextlib.AbstractAsyncContextManager)
        assert hasattr(manager, "__enter__")
        assert not hasattr(manager, "__aenter__")
        assert not hasattr(type(manager), "__aenter__")
        assert "__aenter__" not in dict(inspect.getmembers(manager))
        assert isinstance(lease, contextlib.AbstractAsyncContextManager)
        assert not isinstance(lease, contextlib.AbstractContextManager)
        assert not hasattr(lease, "__enter__")
    finally:
        _end(manager)

"""What a decorated function must do before its calls are timed: no figure is told of one that does something else."""

from __future__ import annotations

import asyncio
from typing import Any

from _batches import SIZE, Decorate

__all__ = (
    "proves_awaited_hits", "proves_awaited_misses", "proves_hits", "proves_keyword_hits",
    "proves_method_hits", "proves_misses", "proves_runs", "proves_shared_flights",
)  # fmt: skip

FIRST = range(4 * SIZE)
"""Keys for a store of SIZE: more than any policy might keep."""


class Counted:
    """A function and a coroutine function of one key, which count their executions."""

    def __init__(self) -> None:
        self.runs = 0

    def plain(self, x: Any) -> Any:
        self.runs += 1
        return x

    async def awaited(self, x: Any) -> Any:
        self.runs += 1
        await asyncio.sleep(0)
        return x


def functions() -> tuple[Counted, Any, Any]:
    """Functions proper: some libraries ask for the names of bound methods' parameters."""
    counted = Counted()

    def plain(x: Any) -> Any:
        return counted.plain(x)

    async def awaited(x: Any) -> Any:
        return await counted.awaited(x)

    return counted, plain, awaited


def proves_hits(decorate: Decorate) -> None:
    counted, plain, _ = functions()
    function = decorate(plain)
    assert [function(7), function(7), counted.runs] == [7, 7, 1]


def proves_keyword_hits(decorate: Decorate) -> None:
    counted, plain, _ = functions()
    function = decorate(plain)
    assert [function(x=7), function(x=7), counted.runs] == [7, 7, 1]


def proves_method_hits(decorate: Decorate) -> None:
    counted = Counted()

    class Service:
        @decorate
        def fetch(self, x: int) -> int:
            return counted.plain(x)

    service: Any = Service()
    assert [service.fetch(7), service.fetch(7), counted.runs] == [7, 7, 1]


def proves_misses(decorate: Decorate) -> None:
    """Of four times as many keys as it keeps, most have left by the time they are asked for again."""
    counted, plain, _ = functions()
    function = decorate(plain)
    assert [function(key) for key in FIRST] == [*FIRST]
    assert counted.runs == len(FIRST)
    assert [function(key) for key in FIRST] == [*FIRST]
    assert counted.runs >= 1.5 * len(FIRST), "nothing leaves"


def proves_runs(decorate: Decorate) -> None:
    counted, plain, _ = functions()
    function = decorate(plain)
    assert [function(7), function(7), counted.runs] == [7, 7, 2]


def proves_awaited_hits(decorate: Decorate, runner: asyncio.Runner) -> None:
    counted, _, awaited = functions()
    function = decorate(awaited)

    async def calls() -> list[Any]:
        return [await function(7), await function(7), counted.runs]

    assert runner.run(calls()) == [7, 7, 1]


def proves_awaited_misses(decorate: Decorate, runner: asyncio.Runner) -> None:
    counted, _, awaited = functions()
    function = decorate(awaited)

    async def calls() -> None:
        assert [await function(key) for key in FIRST] == [*FIRST]
        assert counted.runs == len(FIRST)
        assert [await function(key) for key in FIRST] == [*FIRST]
        assert counted.runs >= 1.5 * len(FIRST), "nothing leaves"

    runner.run(calls())


def proves_shared_flights(decorate: Decorate, runner: asyncio.Runner) -> None:
    counted, _, awaited = functions()
    function = decorate(awaited)

    async def calls() -> list[Any]:
        return [*await asyncio.gather(function(7), function(7)), await function(7), counted.runs]

    assert runner.run(calls()) == [7, 7, 7, 2]

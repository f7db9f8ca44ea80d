"""Calls whose argument gets another hash while they run, which Python forbids: their flights do not stay for ever."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight

DECORATORS: dict[str, Callable[..., Callable[[Any], Any]]] = {
    "dedupe_inflight": lambda own: dedupe_inflight(timeout=30, registry=own),
    "bounded": lambda own: bounded(max=3, registry=own),
    "apart": lambda own: bounded(max=3, dedupe=False, registry=own),
}
over = pytest.mark.parametrize("decorator", DECORATORS.values(), ids=DECORATORS)


class Counted:
    """Equal and hashed by what changes."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted) and self.number == other.number


def change(one: Counted) -> list[int]:
    one.number += 1
    return [one.number]


def fail(one: Counted) -> None:
    one.number += 1
    raise LookupError


def call(function: Callable[[Any], Any], one: Counted) -> None:
    try:
        found = function(one)
        if asyncio.iscoroutine(found):
            asyncio.run(found)
    except LookupError:
        pass


@over
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("work", [change, fail])
def test_they_are_no_running_calls_and_go_with_a_clean_up(decorator: Any, is_async: bool, work: Any) -> None:
    """They are shown nowhere as running, a clean-up drops them, and calls go on as ever."""
    own = Registry()

    async def later(one: Counted) -> Any:
        await asyncio.sleep(0)
        return work(one)

    function = decorator(own)(later if is_async else work)
    for number in range(20):
        call(function, Counted(1_000 * number))
    assert function.inflight.pending() == []
    assert (function.inflight.stats().active, function.inflight.stats().oldest) == (0, None)
    own.cleanup()
    assert len(function.inflight) == 0
    assert own.cleanup().flights == 0
    before = function.inflight.stats().started
    call(function, Counted(7))
    assert function.inflight.stats().started == before + 1


def test_those_that_run_stay() -> None:
    """A clean-up meanwhile leaves the calls that run where they are, to be joined."""
    seen: list[Any] = []
    own = Registry()

    @dedupe_inflight(registry=own)
    def load(one: Any) -> Any:
        if isinstance(one, str):
            load(Counted(1))  # which is lost
            function_cleaned = load.inflight.cleanup()
            seen.extend((function_cleaned, [flight.key for flight in load.inflight.pending()], len(load.inflight)))
            return one
        return change(one)

    assert load("a") == "a"
    assert seen == [1, ["a"], 1]
    assert len(load.inflight) == 0

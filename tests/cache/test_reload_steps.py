"""A call that loads an expired result anew: whatever changes the cache between any two of its instructions."""

from collections.abc import Callable
from typing import Any

import pytest
from kit.flights import assert_idle
from kit.instructions import WRAPPER, at_every_instruction, stopped

from memo import Registry, bounded
from memo.testing import FakeClock

CHANGES: dict[str, Callable[[Any, Registry], object]] = {
    "invalidate": lambda fetch, registry: fetch.cache.invalidate(1),
    "invalidate by tag": lambda fetch, registry: registry.invalidate(tag="one"),
    "clear": lambda fetch, registry: fetch.cache.clear(),
    "put": lambda fetch, registry: fetch.cache.put(-1, 1),
    "resize": lambda fetch, registry: fetch.cache.resize(4),
}


@pytest.mark.parametrize("options", [{}, {"timeout": 30}, {"stale_if_error": 5}, {"policy": "lru"}], ids=str)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_at_any_instruction_of_a_reload_leaves_nothing_behind(
    change: Callable[[Any, Registry], object], options: dict[str, Any]
) -> None:
    """The call is answered, no flight stays in the table, and the next calls load at most once."""

    def trial(at: int) -> bool:
        clock = FakeClock()
        registry = Registry()
        begun: list[int] = []

        # a function for tags, so that Python leads where there is C, too
        @bounded(max=8, ttl=10, tags=lambda key: ("one",), clock=clock, registry=registry, **options)
        def fetch(key: int) -> int:
            begun.append(key)
            return len(begun)

        fetch(1)
        clock.advance(60)
        got, reached = stopped(lambda: fetch(1), at, lambda frame: change(fetch, registry), WRAPPER)()
        assert got in (2, -1)
        assert_idle(fetch)
        assert fetch(1) in (2, 3, -1)
        assert fetch(1) == fetch(1)
        assert len(begun) <= 3
        return bool(reached)

    assert at_every_instruction(trial) > 60

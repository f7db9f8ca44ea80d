"""Entries of C tell a wrapper in Python whether they are fresh, and count the hit, in one step."""

from typing import Any

import pytest

from memo import bounded, bounded_many
from memo._native import speed
from memo.testing import FakeClock

pytestmark = pytest.mark.skipif(speed is None, reason="the extension was not built")


def entry_of(**options: Any) -> Any:
    work = bounded(max=5, clock=FakeClock(100.0), **options)(lambda x: x)
    work(1)
    return work._self_layer.cache.store.index[1]  # type: ignore[attr-defined]


def test_an_entry_serves_until_its_deadline() -> None:
    """Before it a hit is counted, at it and after it none is; without a time one is counted."""
    entry = entry_of(ttl=10)
    assert [entry.serves(now) for now in (0.0, 109.5, 110.0, 1e9, 109, float("nan"))] == [
        True, True, False, False, True, False,
    ]  # fmt: skip
    assert entry.hits == 3
    assert entry.serves()
    assert entry.hits == 4
    for wrong in ((1.0, 2.0), ("now",)):
        with pytest.raises(TypeError):
            entry.serves(*wrong)
    assert entry.hits == 4


@pytest.mark.parametrize(
    "options",
    [{}, {"ttl": 10}, {"ttl": 10, "idle": 4}, {"policy": "lru"}],
    ids=["plain", "ttl", "idle", "lru"],
)
def test_functions_of_many_keys_count_their_hits(options: dict[str, Any]) -> None:
    """Each key that is found is one hit, of a store of each kind."""
    clock = FakeClock(100.0)

    @bounded_many(max=50, clock=clock, **options)
    def load(keys: list[int]) -> dict[int, int]:
        return {key: key for key in keys}

    assert load([1, 2, 3]) == {1: 1, 2: 2, 3: 3}
    clock.advance(3)
    assert load([1, 2, 3, 4]) == {1: 1, 2: 2, 3: 3, 4: 4}
    stats = load.cache.stats()
    assert (stats.hits, stats.misses) == (3, 4)
    clock.advance(8)
    load([1, 4])
    stats = load.cache.stats()
    fresh = 2 if not options.get("ttl") else 0 if options.get("idle") else 1
    assert (stats.hits, stats.hits + stats.misses) == (3 + fresh, 9)

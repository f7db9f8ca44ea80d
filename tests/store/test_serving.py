"""The serving rule: what an entry is good for, at each moment of its life."""

import math
from typing import Any

import pytest

from memo._store.entries import Entry, IdleEntry, RichEntry
from memo._store.serving import Serving, Standing

__all__ = ()

FRESH, STALE, FAILURE, OVER = Standing


def an_entry(kind: type[Entry], **fields: Any) -> Any:
    entry = kind()
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry


PLAIN = an_entry(Entry, deadline=10.0)
ENDLESS = an_entry(Entry, deadline=math.inf)
IDLE = an_entry(IdleEntry, deadline=10.0, used=4.0)
RICH = an_entry(RichEntry, deadline=10.0, ends=15.0, used=0.0, failure=False)
FAILED = an_entry(RichEntry, deadline=-math.inf, ends=15.0, used=0.0, failure=True)


@pytest.mark.parametrize(
    ("rule", "entry", "expected"),
    [
        (Serving(None, False), PLAIN, [(0, FRESH), (9.9, FRESH), (10, OVER), (math.inf, OVER)]),
        (Serving(None, False), ENDLESS, [(0, FRESH), (1e300, FRESH)]),
        (Serving(5, False), IDLE, [(4, FRESH), (8.9, FRESH), (9, OVER), (10, OVER)]),
        (Serving(50, False), IDLE, [(9.9, FRESH), (10, OVER)]),
        (Serving(None, True), RICH, [(0, FRESH), (9.9, FRESH), (10, STALE), (14.9, STALE), (15, OVER)]),
        (Serving(12, True), RICH, [(9.9, FRESH), (10, STALE), (11.9, STALE), (12, OVER), (20, OVER)]),
        (Serving(None, True), FAILED, [(-1e300, FAILURE), (14.9, FAILURE), (15, OVER)]),
        (Serving(12, True), FAILED, [(11.9, FAILURE), (12, OVER)]),
    ],
)
def test_what_an_entry_is_good_for(rule: Serving, entry: Any, expected: list[tuple[float, Standing]]) -> None:
    """Each limit belongs to what comes after it, and whichever comes first counts; the rule for many says the same."""
    assert [(now, rule.standing(entry, now)) for now, _ in expected] == expected
    for now, standing in expected:
        assert rule.past_life(entry, now) is (standing is OVER)
        assert rule.over([entry, entry], now) == [standing is OVER] * 2
        assert rule.live([entry, entry], now) == ([entry] * 2 if standing in (FRESH, STALE) else [])

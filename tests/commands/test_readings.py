"""What ``memo top`` makes of a server's answers: rows, and what happened between two of them."""

from typing import Any

import pytest
from kit.commands import answer, cached, taken

from memo._commands.readings import BadAnswer, Readings
from memo._commands.rows import Row, row_of


def row(readings: Readings, name: str = "f") -> Row:
    (found,) = [one for one in readings.rows if one.name == name]
    return found


def test_rates_are_those_between_two_answers() -> None:
    """Calls a second and the hit ratio are of the interval by the server's clock, not since the start."""
    readings = taken(answer(100, {"f": cached(hits=1_000, misses=0)}))
    assert (row(readings).calls_per_second, row(readings).recent_ratio, readings.seconds) == (None, None, None)
    assert row(readings).hit_ratio == 1.0

    readings.take(answer(102, {"f": cached(hits=1_003, misses=1)}))
    assert readings.seconds == 2
    assert row(readings).calls_per_second == 2.0
    assert row(readings).recent_ratio == 0.75

    readings.take(answer(103, {"f": cached(hits=1_003, misses=1)}))
    assert row(readings).calls_per_second == 0.0
    assert row(readings).recent_ratio is None  # of no calls


def test_the_same_figures_once_more_change_no_rate() -> None:
    """A server that takes figures once a second may be asked more often: rates stay those of its last two."""
    first, second = answer(100, {"f": cached(hits=0)}), answer(101, {"f": cached(hits=5)})
    readings = taken(first, second, second, {**second, "full": False, "rows": {}})
    assert row(readings).calls_per_second == 5.0
    assert row(readings).recent_ratio == 1.0
    assert readings.seconds == 1


def test_only_what_changed_is_told() -> None:
    """Rows that an answer leaves out stay, those that it says are gone go."""
    readings = taken(answer(1, {"f": cached(hits=1), "g": cached(hits=1), "h": cached()}))
    readings.take(answer(2, {"g": cached(hits=4)}, full=False, gone=["h"]))
    assert {one.name: one.calls_per_second for one in readings.rows} == {"f": 0.0, "g": 3.0}
    assert readings.token == "t2"
    readings.take(answer(3, {"g": cached(hits=4)}))
    assert [one.name for one in readings.rows] == ["g"]


@pytest.mark.parametrize(
    "later",
    [
        answer(102, {"f": cached(hits=3)}),  # its counters are less
        answer(50, {"f": cached(hits=2_000)}),  # another clock
        answer(102, {"f": cached(hits=2_000)}, processes=[{"pid": 13, "error": None}]),  # another process
    ],
    ids=["less", "clock", "process"],
)
def test_no_rate_goes_across_a_restart(later: dict[str, Any]) -> None:
    """Counters that do not continue give no rate; the next interval does."""
    readings = taken(answer(100, {"f": cached(hits=1_000)}), answer(101, {"f": cached(hits=1_001)}), later)
    assert row(readings).calls_per_second is None
    hits = row(readings).calls
    assert hits is not None
    readings.take({**later, "taken": later["taken"] + 1, "rows": {"f": cached(hits=hits + 7)}})
    assert row(readings).calls_per_second == 7.0


def test_ages_of_running_calls_are_those_of_the_flights() -> None:
    """A row that did not change, for its call goes on, has the age that the answer's list of flights tells."""
    figures = {
        "inflight": {"started": 3, "joined": 1, "failed": 0, "timeouts": 0, "active": 1, "waiting": 1, "oldest": 1.0}
    }

    def flight(age: float) -> dict[str, Any]:
        return {"function": "f", "age": age, "waiters": 1, "leader": "Task-7"}

    readings = taken(answer(1, {"f": figures}, flights=[flight(1.0), flight(0.5)]))
    readings.take(answer(4, {}, full=False, flights=[flight(0.2), flight(4.0)]))
    assert row(readings).oldest == 4.0
    assert [one.age for one in readings.flights] == [4.0, 0.2]
    assert row(readings).calls == 4


@pytest.mark.parametrize(
    ("told", "word"),
    [("ok", "not that of a memo server"), ({}, "not that of a memo server"), ({"format": 2}, "speaks format 2")],
    ids=["text", "empty", "format"],
)
def test_what_is_no_answer_is_refused(told: Any, word: str) -> None:
    """Another server's answer, or one of another version, is refused in a sentence, and changes nothing."""
    readings = taken(answer(1, {"f": cached()}))
    with pytest.raises(BadAnswer, match=word):
        readings.take(told)
    assert [one.name for one in readings.rows] == ["f"]


def test_what_is_not_counted_is_not_shown_as_zero() -> None:
    """A function without a store, a window or running calls has no such figures."""
    limit = row_of("f", {"limit": {"allowed": 3, "refused": 2, "waiting": 0}})
    assert (limit.calls, limit.size, limit.hit_ratio, limit.evicted, limit.running) == (5, None, None, None, None)
    window = row_of("f", {"window": {"count": 3, "rate": 0.5, "p95": 0.1, "errors": 1}})
    assert (window.calls, window.calls_per_second, window.p95, window.errors) == (None, 0.5, 0.1, 1)
    both = row_of("f", {**cached(hits=3), "window": {"count": 3, "rate": 0.5, "p95": 0.1, "errors": 1}})
    assert (both.calls, both.calls_per_second) == (3, None)  # before there is an interval
    adopted = row_of("f", {"adopted": {"hits": None, "misses": None, "size": 3, "max": None}})
    assert (adopted.calls, adopted.size, adopted.hit_ratio) == (None, 3, None)
    assert row_of("f", cached(evictions={"size": 2, "budget": 1, "expired": 0})).reasons == {"size": 2, "budget": 1}

"""What an exception that strikes a window at any point leaves behind: no lock, no torn total, no lost event."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from kit.strikes import Struck, StruckError, held_locks, locks_of, strike
from kit.struck import Boom, Subject, strike_everywhere

from memo import sliding_window
from memo._window.events import BATCH
from memo._window.intake import Intake
from memo._window.recorder import Recorder
from memo.testing import FakeClock

CALLS = 3


def record_all(function: Any, options: Any, on_evict: Any) -> Any:
    return sliding_window("1h", max=1_000, **options)(function)


def record_failures(function: Any, options: Any, on_evict: Any) -> Any:
    return sliding_window("1h", only=Boom, **options)(function)


def record_by_key(function: Any, options: Any, on_evict: Any) -> Any:
    return sliding_window("1h", max=1, keys=2, **options)(function)


def calls(subject: Subject) -> None:
    """Some calls, which wait in the queue to be folded."""
    subject.failing.add("bad")
    for x in range(CALLS - 1):
        subject.call(x)
    with pytest.raises(Boom):
        subject.call("bad")


def calls_of_long_ago(subject: Subject) -> None:
    calls(subject)
    subject.function.window.count()
    subject.clock.advance("2h")


def almost_a_batch(subject: Subject) -> None:
    for x in range(BATCH - 1):
        subject.call(x)


READS: dict[str, Callable[[Any], object]] = {
    "count": lambda w: w.count(),
    "rate": lambda w: w.rate("1m"),
    "errors": lambda w: w.errors(),
    "events": lambda w: w.events("10m"),
    "error_ratio": lambda w: w.error_ratio(),
    "percentile": lambda w: w.percentile(50),
    "by_key": lambda w: w.by_key(),
    "series": lambda w: w.series(4),
    "sparkline": lambda w: w.sparkline(4),
    "stats": lambda w: w.stats(),
    "len": len,
    "repr": repr,
}


def step(points: int, long: bool) -> int:
    """How many points to go on by: all in a long run, some forty else."""
    return 1 if long else max(1, points // 40)


def strike_window(
    decorate: Any, prepare: Any, operation: Any, expected: set[int] | None, long: bool, error: type[BaseException]
) -> None:
    def check(subject: Subject) -> None:
        count = subject.function.window.count()
        assert expected is None or count in expected, f"the window counts {count} calls"

    def make() -> Subject:
        return Subject(decorate)

    for everywhere in (False, True) if long else (False,):
        number, wrong = strike_everywhere(
            make, prepare, operation, error=error, everywhere=everywhere, check=check, step=step(300, long)
        )
        assert number
        assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.stress)])
def test_a_read_that_is_cut_short_loses_no_event(read: str, long: bool) -> None:
    """Whatever was recorded before is counted after, once."""
    strike_window(record_all, calls, lambda s: READS[read](s.function.window), {CALLS}, long, Struck)


@pytest.mark.parametrize("read", ["stats", "errors"])
@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.stress)])
def test_a_read_of_failures_that_is_cut_short_loses_none(read: str, long: bool) -> None:
    """A window of failures alone keeps each of them, too."""
    strike_window(record_failures, calls, lambda s: READS[read](s.function.window), {1}, long, StruckError)


@pytest.mark.parametrize("read", ["top", "call"])
def test_a_fold_by_key_that_is_cut_short_counts_each_call_once(read: str) -> None:
    """Tables of keys go together with the totals, also where keys leave them."""
    operation: Callable[[Subject], object] = lambda s: s.function.window.top() if read == "top" else s.function(0)  # noqa: E731

    def check(subject: Subject) -> None:
        window = subject.function.window
        number = window.count()
        assert number in (BATCH - 1, BATCH)
        assert window.of_key(0).at_least <= number - (BATCH - 2) <= window.of_key(0).at_most
        assert sum(one.count for one in window.top(9)) <= number

    def prepare(subject: Subject) -> None:
        for x in range(BATCH - 1):
            subject.call(x)

    number, wrong = strike_everywhere(
        lambda: Subject(record_by_key),
        prepare,
        operation,
        error=Struck,
        everywhere=False,
        check=check,
        step=step(300, False),
    )
    assert number
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("operation", ["clear", "cleanup"])
@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.stress)])
def test_upkeep_that_is_cut_short_leaves_all_or_nothing(operation: str, long: bool) -> None:
    """Kept events and totals go together."""
    prepare, expected = (calls, {0, CALLS}) if operation == "clear" else (calls_of_long_ago, {0})
    strike_window(record_all, prepare, lambda s: getattr(s.function.window, operation)(), expected, long, Struck)


@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.stress)])
def test_a_call_that_is_cut_short_while_it_folds_loses_no_other(long: bool) -> None:
    """The call that fills a batch folds it for all, and may be struck as it does."""
    strike_window(record_all, almost_a_batch, lambda s: s.function(0), {BATCH - 1, BATCH}, long, Struck)


@pytest.mark.parametrize("max_events", [1_000, 300, 100])
@pytest.mark.parametrize("late", [0.0, 0.5, 300.0])
def test_a_fold_that_is_cut_short_is_ended_by_the_next(max_events: int, late: float) -> None:
    """Events that come in order, late and far too late are entered once each, also where others leave for them."""
    at = 0
    while True:
        clock = FakeClock()
        intake = Intake(span_s=3600.0, max_events=max_events, only=None, clock=clock)
        recorder = Recorder(intake)
        locks = locks_of(recorder)
        for number in range(BATCH - 1):
            clock.advance(1.0)
            intake.note(clock(), clock(), "ok", number)
        assert recorder.count() == BATCH - 1
        for number in range(BATCH - 1):
            clock.advance(1.0)
            intake.note(clock() - late, clock() - late * (number % 7), "ok", number)
        where, raised = strike(functools.partial(intake.note, clock(), clock(), "ok", "last"), at)
        assert not held_locks(locks), where
        del raised
        recorder._check()
        assert recorder.count() in (2 * BATCH - 2, 2 * BATCH - 1), where
        assert recorder.stats("it").dropped == max(0, recorder.count() - max_events), where
        if where is None:
            return
        at += 5

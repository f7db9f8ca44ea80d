"""A window whose events lie on a tape of C answers what one in Python answers, and holds no more."""

from __future__ import annotations

import math
import random
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from kit.processes import counts_alone
from kit.recorders import Clock

from memo import sliding_window
from memo._base import Aside, failure_text
from memo._native import speed
from memo._window.contents import ListedContents
from memo._window.events import EventCache
from memo._window.intake import Intake
from memo._window.recorder import Recorder
from memo._window.totals import CELLS, _reached
from memo.testing import FakeClock

pytestmark = pytest.mark.skipif(speed is None, reason="the extension was not built")

KEYS: list[Any] = ["a", "b", 7, 7.0, True, None, ("a", 1), b"x"]
DETAILS: list[Any] = ["ok"] * 6 + ["cancelled", failure_text(ValueError("x")), failure_text(None)]


def both(span_s: float, most: int, clock: Clock, keys: int | None = None) -> list[Recorder]:
    """A recorder on a tape, and one that holds its events as Python does."""
    wall = Clock(1e9)
    taped, listed = (
        Recorder(Intake(span_s=span_s, max_events=most, keys=keys, only=None, clock=clock, wall=wall)) for _ in range(2)
    )
    listed.intake.contents = ListedContents(EventCache(most, span_s), keys)
    return [taped, listed]


def answers(recorder: Recorder, lasts: list[float | None]) -> dict[str, Any]:
    """All that a window can be asked."""
    told: dict[str, Any] = {"stats": recorder.stats("f"), "len": len(recorder), "by_key": recorder.by_key(5)}
    told["sparks"] = [recorder.sparkline(parts) for parts in (1, 24)]
    told["series"] = [(b.start, b.count, b.errors, near(b.mean)) for b in recorder.series(7)]
    for last in lasts:
        told[f"of {last}"] = (
            recorder.count(last),
            recorder.error_ratio(last),
            [recorder.percentile(q, last) for q in (0, 50, 95, 100)],
            recorder.events(last),
            recorder.errors(last),
        )
    return told


def near(mean: float | None) -> float | None:
    """A mean without its last digits, which the order of its sum decides."""
    return None if mean is None else float(f"{mean:.9g}")


@pytest.mark.parametrize("seed", range(24))
def test_random_streams(seed: int) -> None:
    """Events in order and late, of a clock that runs, leaps and goes back, are told of alike, to the last event."""
    rnd = random.Random(seed)
    clock = Clock(rnd.choice([0.0, 1000.0, 1e6, -50.0, 1e-3]))
    span_s = rnd.choice([1e-3, 1.0, 60.0, 86_400.0, 1e7])
    most = rnd.choice([1, 5, 64, 100, 1000])
    one_by_one = (
        seed % 2
    )  # the queue lets go of what a whole batch puts out of the span before it counts what is dropped
    taped, listed = both(span_s, most, clock, keys=rnd.choice([None, None, 2]))
    asides: list[tuple[Aside, Aside]] = []
    lasts = [None, span_s / 3, span_s / 120, span_s / 1000, span_s * 2]
    for _ in range(rnd.choice([30, 300, 900])):
        clock.now += rnd.choice([0.0, 1e-6, span_s / 1000, span_s / 120 * rnd.random(), span_s / 10])
        if rnd.random() < 0.01:
            clock.now += rnd.choice([-1.0, 1.0, 3.0]) * span_s * rnd.random()
        late = rnd.choice([0.0] * 20 + [span_s / 500, span_s / 20, 2 * span_s])
        took = rnd.choice([0.0, 1e-9, 1e-6, rnd.random(), rnd.expovariate(1), 1e5])
        event = clock.now - late - took, clock.now - late, rnd.choice(DETAILS), rnd.choice(KEYS)
        taped.intake.enter(*event)
        listed.intake.enter(*event)
        if one_by_one:
            assert listed.count() == taped.count()
        chance = rnd.random()
        for recorder in (taped, listed):
            if chance < 0.01:
                recorder.intake.clear()
            elif chance < 0.03:
                recorder.intake.cleanup()
        if 0.03 < chance < 0.04:
            pair = Aside(), Aside()
            taped.intake.set_aside(pair[0]), listed.intake.set_aside(pair[1])
            asides.append(pair)
        elif 0.04 < chance < 0.05 and asides:
            pair = asides.pop()
            taped.intake.put_back(pair[0]), listed.intake.put_back(pair[1])
        if chance > 0.97:
            assert_alike(answers(taped, lasts), answers(listed, lasts), one_by_one)
            taped._check()
    assert_alike(answers(taped, lasts), answers(listed, lasts), one_by_one)


def assert_alike(one: dict[str, Any], other: dict[str, Any], dropped: object) -> None:
    if not dropped:
        for told in (one, other):
            told["stats"] = (told["stats"].as_dict() | {"dropped": 0}).items()
    assert one == other


@pytest.mark.parametrize("seconds", [0.0, 5e-324, 1e-9, 2.0**-24, 3e-5, 1.0, 2.0, 65535.0, 65536.0, 1e300])
def test_durations_have_the_cells_that_python_gives_them(seconds: float) -> None:
    """The two count a duration in one cell."""
    clock = Clock(0.0)
    taped, listed = both(60.0, 1, clock)
    for recorder in (taped, listed):
        recorder.intake.enter(-seconds, 0.0, "ok", None)
        recorder.intake.enter(0.0, 0.0, "ok", None)
    assert taped.percentile(100) == listed.percentile(100)
    assert taped.intake.contents.totals.histogram(-9) == list(listed.intake.contents.totals.histogram(-9))


def test_times_beyond_any_number_of_buckets() -> None:
    """A clock of no meaning does no harm."""
    for now in (1e300, -1e300, 2.0**70, 2.0**55):
        clock = Clock(now)
        taped, listed = both(1e-3, 10, clock)
        for number in range(3):
            for recorder in (taped, listed):
                recorder.intake.enter(clock.now, clock.now, "ok", number)
            assert (taped.count(), len(taped)) == (listed.count(), len(listed))
            taped._check()
            clock.now = math.nextafter(clock.now, math.inf)


def test_what_goes_straight_to_the_tape() -> None:
    """An ordinary call does not touch the queue; one that comes while somebody looks waits there, once."""
    clock = Clock(1.0)
    recorder, _ = both(60.0, 10, clock)
    intake = recorder.intake
    intake.enter(0.5, 1.0, "ok", "first")
    assert (len(intake.contents.kept), intake._pending) == (1, [])

    def look() -> None:
        intake.enter(0.5, 1.0, "ok", "meanwhile")
        assert len(intake._pending) == 1

    intake.folded(look)
    assert len(intake._pending) == 1
    intake.enter(0.5, 1.0, "ok", "next")
    assert intake._pending == []
    assert [event.key for event in recorder.events()] == ["'next'", "'meanwhile'", "'first'"]


@pytest.mark.parametrize("kind", ["span", "most", "args", "keywords"])
def test_what_a_tape_refuses(kind: str) -> None:
    """Nothing makes a tape that would be wrong."""
    makers: dict[str, Callable[[], object]] = {
        "span": lambda: speed.Tape(0.0, 5),
        "most": lambda: speed.Tape(1.0, 0),
        "args": lambda: speed.Tape(1.0),
        "keywords": lambda: speed.Tape(span_s=1.0, most=5),
    }
    with pytest.raises((TypeError, ValueError)):
        makers[kind]()


def test_what_is_no_event_is_refused_and_changes_nothing() -> None:
    """A batch with one wrong event enters none, and takes none out of the queue."""
    tape = speed.Tape(60.0, 5)
    good = (1.0, 0.5, "ok", "k")
    for bad in (5, (1.0, 0.5, "ok"), ("x", 0.5, "ok", "k"), (1.0, None, "ok", "k")):
        queue: list[Any] = [good, bad]
        with pytest.raises(TypeError):
            tape.fold(queue, queue[:], queue[:])
        assert (len(tape), queue, tape.since(-9)) == (0, [good, bad], (0, 0, 0, 0.0))
    with pytest.raises(TypeError, match="no Tape"):
        intake_of_a_window().contents = type("Contents", (), {"direct": 5})()
    with pytest.raises(TypeError, match="window's time"):
        intake_of_a_window().time = 5


def intake_of_a_window() -> Any:
    recorder, _ = both(60.0, 5, Clock(0.0))
    return recorder.intake


def test_folding_twice_counts_once() -> None:
    """What was taken out of the queue is not entered again, nor is anything that stands there instead."""
    tape = speed.Tape(60.0, 5)
    first, second = (1.0, 0.5, "ok", "k"), (2.0, 0.5, "ok", "k")
    queue = [first, second]
    for _ in range(2):
        tape.fold(queue, [first], [first])
        assert (queue, len(tape)) == ([second], 1)


@pytest.mark.parametrize("most", [1, 100, 10_000])
@counts_alone
def test_memory_is_less_than_python_s(most: int) -> None:
    """Kept events take a quarter of what tuples of floats take; few events take no more than before."""
    sizes = []
    for which in (0, 1):
        tracemalloc.start()
        clock = Clock(0.0)
        recorder = both(86_400.0, most, clock).pop(which)
        for number in range(most):
            clock.now += 0.5
            recorder.intake.enter(clock.now - 1e-6 * number, clock.now, "ok", "alice")
        assert recorder.count() == most
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert sizes[0] <= sizes[1]
    if most == 10_000:
        assert sizes[0] < 0.3 * sizes[1]
        assert sys.getsizeof(recorder.intake.contents.kept.ring) > 0


@counts_alone
def test_nothing_grows_over_many_windows() -> None:
    """A window that is filled, emptied and dropped leaves no memory behind."""

    def fill() -> None:
        clock = FakeClock()

        @sliding_window("1m", max=100, clock=clock)
        def work(x: object) -> object:
            if x == "bad":
                raise LookupError(x)
            return x

        for number in range(300):
            clock.advance(0.5)
            work(f"key {number}")
        with pytest.raises(LookupError):
            work("bad")
        work.window.clear()
        work("again")

    fill()
    tracemalloc.start()
    before = after = 0
    for number in range(8):
        fill()
        if number == 2:
            before = tracemalloc.get_traced_memory()[0]
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 20_000


@pytest.mark.parametrize("filled", [0, 1, 3, CELLS])
def test_percentiles_in_c_are_those_in_python(filled: int) -> None:
    """Of any histogram both find the same cells for any shares, the ends of the scale among them."""
    chance = random.Random(filled)
    for _ in range(200):
        cells = [0] * CELLS
        for cell in chance.sample(range(CELLS), filled):
            cells[cell] = chance.choice([1, 2, 3, 1_000, 2**40])
        shares = [0, 50, 95, 99, 100, 0.001, 99.999, *[chance.uniform(0, 100) for _ in range(5)]]
        assert speed.percentile_cells(cells, *shares) == _reached(cells, *shares)


def test_what_is_no_histogram_is_refused_in_c() -> None:
    """More cells than there are, other numbers, and no list are errors, and so is a share that is no number."""
    for wrong in (([0] * (CELLS + 1), 50), ([0.5], 50), ((1, 2), 50), ([1], "50"), ()):
        with pytest.raises(TypeError):
            speed.percentile_cells(*wrong)

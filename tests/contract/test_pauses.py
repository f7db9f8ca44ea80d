"""What the benchmarks tell of waits can be believed: nothing of the library's is left out, and nothing is added."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kit.places import ROOT
from kit.processes import stopped
from kit.threads import Gate, Running

from memo._base import Pace

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/schedstat"), reason="of no other system than Linux it is known who waits for what"
)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the benchmarks that looks for waits."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import _pauses

    yield _pauses
    for name in ("_pauses", "_stalls"):
        sys.modules.pop(name, None)


def spin(seconds: float) -> None:
    """Have that time go by, while other threads of this process may run."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        os.sched_yield()


def test_one_call_that_keeps_the_interpreter_is_seen(pauses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done in one step of C is told as the wait of a hit, of a miss, and as a stretch."""
    # without any excuse, since other programs run meanwhile, and the machine may stand still
    monkeypatch.setattr(pauses._Waits, "since", lambda waits, before: 0.0)
    monkeypatch.setattr(pauses.Stalls, "within_s", lambda stalls, begin, end: 0.0)
    own: list[float] = []

    def work() -> None:
        began = time.thread_time()
        sum(range(4_000_000))
        own.append((time.thread_time() - began) * 1e3)

    found = pauses.while_it_runs("sum", work, lambda: None, lambda: None)
    assert found.stretch_ms >= own[0]
    assert min(found.hit_ms, found.miss_ms, found.late_ms) > own[0] - 1 > 5
    assert found.long_waits >= 2


def test_what_rests_is_no_stretch(pauses: Any) -> None:
    """Work that rests is told by the longest of its parts, however long it takes."""

    def work() -> None:
        pace = Pace()
        for _ in range(100):
            sum(range(5_000))
            pace.pause()

    found = pauses.while_it_runs("sums", work, lambda: None, lambda: None)
    assert found.stretch_ms < found.ms / 10


def test_a_machine_that_stands_still_is_seen(pauses: Any) -> None:
    """Time for which a witness did not run, and waited for no processor, is told, and no other."""
    stalls = pauses.Stalls()
    with stalls:
        (witness, *_) = stalls._witnesses
        before = pauses.now_s()
        with stopped(witness.pid):
            spin(0.02)
        after = pauses.now_s()
    assert 0.018 < stalls.within_s(before, after) <= after - before
    assert stalls.longest_s() >= 0.018
    assert stalls.within_s(after + 10, after + 20) == 0


def test_intervals_are_united_and_cut(pauses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two processors say of the same time counts once, and of an interval only the part that was asked for."""
    import _stalls

    stalls = pauses.Stalls()
    assert (stalls.longest_s(), stalls.within_s(0, 9)) == (0, 0)
    stalls.intervals = _stalls._united([(5.0, 6.0), (1.0, 3.0), (2.0, 4.0), (2.5, 2.6)])
    assert stalls.intervals == [(1.0, 4.0), (5.0, 6.0)]
    assert [stalls.within_s(*asked) for asked in ((0, 9), (2, 5.5), (4, 5), (3.5, 3.6), (0, 1))] == [
        4.0, 2.5, 0.0, pytest.approx(0.1), 0.0,
    ]  # fmt: skip
    assert stalls.longest_s() == 3.0


def test_the_larger_of_two_excuses_counts(pauses: Any) -> None:
    """A thread that waits for a processor which stands still does both at once: that is taken off once."""
    stalls = pauses.Stalls()
    stalls.intervals = [(1.0, 1.25)]
    assert pauses._Delay(0.0, 2.0, 1.0).own_s(stalls) == 0.75
    assert pauses._Delay(0.0, 2.0, 1.0, waited_s=0.125).own_s(stalls) == 0.75
    assert pauses._Delay(0.0, 2.0, 1.0, waited_s=0.5).own_s(stalls) == 0.5
    assert pauses._Delay(0.0, 0.5, 1.0).own_s(stalls) == 1.0


def test_two_threads_that_wait_at_once_are_one_excuse(pauses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what threads waited for a processor, that of the one that waited for longest is taken off."""
    gate = Gate()
    other = Running(gate.wait)
    gate.reached()  # and stays: of a thread that has ended nothing is known
    waits = pauses._Waits(threading.get_native_id(), other.thread.native_id)
    try:
        (_, others) = waits.read()
        waited = iter([0.5, others])
        monkeypatch.setattr(pauses, "waited_s", lambda file: next(waited) + 0.25)
        assert waits.since([0.125, others]) == pytest.approx(0.625)
        assert pauses._Waits().since([]) == 0.0
    finally:
        waits.close()
        gate.open()
        other.join()

"""The janitor cleans at its interval, in one thread."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.janitors import cached, threads
from kit.threads import LIMIT_S

from memo import CleanupReport, Janitor, Registry, dedupe_inflight, registry, sliding_window
from memo.testing import FakeClock

# -- starting, running, stopping


def test_nothing_runs_before_it_is_asked_for(own: Registry) -> None:
    """Neither a registry nor a decorated function starts a thread."""
    cached(own)(1)
    assert threads() == []
    assert "janitor" not in str(own)


def test_it_cleans_up_at_its_interval(own: Registry, clock: FakeClock) -> None:
    """Before the interval has passed nothing happens; then entries, flights and events go, and it is told what."""
    fetch = cached(own)
    running = threading.Event()
    leave = threading.Event()

    @sliding_window("30min", registry=own, name="w")
    def seen(x: int) -> int:
        return x

    @dedupe_inflight(timeout="30min", registry=own, name="d")
    def stuck(x: int) -> int:
        running.set()
        assert leave.wait(LIMIT_S)
        return x

    for x in range(3):
        fetch(x)
    seen(1)
    hanging = threading.Thread(target=stuck, args=(1,))
    hanging.start()
    try:
        assert running.wait(LIMIT_S)
        janitor = own.janitor(every="1h")
        assert isinstance(janitor, Janitor)
        assert (janitor.every, janitor.alive, janitor.last_run, janitor.last_report) == (3600.0, True, None, None)
        clock.advance("59min")
        assert (janitor.last_run, len(own["f"].cache._cache.store.index)) == (None, 3)  # type: ignore[union-attr]
        before = datetime.now(UTC)
        clock.advance("1min")
        report = janitor.last_report
        assert isinstance(report, CleanupReport)
        assert (report.expired, report.flights, report.events) == (3, 1, 1)
        assert dict(report.functions) == {"f": 3, "w": 1, "d": 1}
        assert janitor.last_run is not None
        assert janitor.last_run.utcoffset() == timedelta(0)
        assert before <= janitor.last_run <= datetime.now(UTC)
    finally:
        leave.set()
        hanging.join(LIMIT_S)


def test_advancing_over_several_intervals_runs_it_each_time(own: Registry, clock: FakeClock) -> None:
    """Each clean-up happens at its own time of the clock that is advanced, and is over when ``advance()`` returns."""
    times: list[float] = []
    fetch = cached(own, on_evict=lambda key, value, reason: (times.append(clock() - began), fetch(key)))
    fetch(1)
    began = clock()
    own.janitor(every=3600)
    clock.advance("3h 59min")
    assert times == [3600.0, 7200.0, 10800.0]
    assert threads() != []


def test_there_is_one_thread_however_many_stores(own: Registry, clock: FakeClock) -> None:
    """A second call gives the same janitor and begins an interval of another length."""
    functions = [cached(own, name=f"f{i}") for i in range(20)]
    for function in functions:
        function(1)
    janitor = own.janitor(every="1h")
    clock.advance("59min")
    assert own.janitor(every=timedelta(hours=2)) is janitor
    assert janitor.every == 7200.0
    assert len(threads()) == 1
    clock.advance("119min")
    assert janitor.last_run is None
    clock.advance("1min")
    assert janitor.last_report is not None
    assert janitor.last_report.expired == 20
    assert len(threads()) == 1


def test_two_registries_have_two_janitors(own: Registry, clock: FakeClock) -> None:
    """A janitor cleans up its own registry alone."""
    other = Registry()
    mine, others = cached(own), cached(other)
    mine(1)
    others(1)
    with own.janitor(every="1h"), other.janitor(every="2h"):
        assert len(threads()) == 2
        clock.advance("1h")
        stores = [function.cache._cache.store for function in (mine, others)]
        assert [len(store.index) for store in stores] == [0, 1]
    assert threads() == []


def test_stopping_joins_the_thread(own: Registry, clock: FakeClock) -> None:
    """After ``stop()`` the thread is gone and time may pass; stopping twice is no error; it can be started again."""
    fetch = cached(own)
    fetch(1)
    janitor = own.janitor(every="1h")
    janitor.stop()
    assert (threads(), janitor.alive) == ([], False)
    janitor.stop()
    clock.advance("5h")
    assert janitor.last_run is None
    assert clock.waiting() == 0
    assert own.janitor(every="1h") is janitor
    assert janitor.alive
    clock.advance("1h")
    assert janitor.last_report is not None
    assert janitor.last_report.expired == 1


def test_a_with_block_ends_it(own: Registry, clock: FakeClock) -> None:
    """The thread lives as long as the block, also if that raises."""
    with pytest.raises(OSError, match="inside"), own.janitor() as janitor:
        assert janitor.every == 3600.0
        assert len(threads()) == 1
        raise OSError("inside")
    assert threads() == []


@pytest.mark.parametrize("every", [0, -1, "", "2h5", float("inf"), float("nan"), None, True, object()])
def test_bad_intervals_are_refused_and_start_nothing(own: Registry, every: Any) -> None:
    """The message names the option and the value."""
    with pytest.raises((TypeError, ValueError), match=r"^registry\.janitor: every="):
        own.janitor(every=every)
    assert threads() == []
    assert "janitor" not in str(own)


def test_a_thread_that_cannot_be_started_is_the_callers_to_know(
    own: Registry, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error reaches who asked, and the next call tries again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start"):
        patch.setattr(threading.Thread, "start", refuse)
        own.janitor()
    janitor = own.janitor()
    assert janitor.alive
    clock.advance("1h")
    assert janitor.last_run is not None


# -- real time


def test_it_follows_real_time_by_itself(own: Registry) -> None:
    """Without a clock of a test's it runs by itself, again and again."""
    turn = threading.Semaphore(0)
    sweep = Registry._sweep_one_by_one

    def counted(registry: Registry, enough: Callable[[], bool]) -> CleanupReport:
        turn.release()
        return sweep(registry, enough)

    janitor = Janitor(own, counted)
    janitor.start(0.001)
    try:
        for _ in range(3):
            assert turn.acquire(timeout=LIMIT_S)
    finally:
        janitor.stop()
    assert not janitor.alive


def test_the_longest_interval_can_be_waited_for(own: Registry) -> None:
    """An interval beyond what the platform can wait for is waited for in parts."""
    janitor = own.janitor(every=1e12)
    assert janitor.alive
    janitor.stop()
    assert threads() == []


def test_a_clock_may_be_installed_and_given_back_meanwhile(own: Registry) -> None:
    """The interval begins anew with each clock, and a wait on real time turns into one on the test's clock."""
    fetch = cached(own)
    janitor = own.janitor(every="1h")
    with FakeClock() as clock:
        fetch(1)
        clock.advance("59min")
        assert janitor.last_run is None
        clock.advance("1min")
        assert janitor.last_report is not None
        assert janitor.last_report.expired == 1
    assert clock.waiting() == 0
    clock.advance("5h")
    when = janitor.last_run
    with FakeClock() as other:
        other.advance("1h")
        assert janitor.last_run is not when


def test_an_advance_does_not_wait_for_ever(own: Registry, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback that does not return keeps whoever advances the clock for a bounded time."""
    monkeypatch.setattr("memo._registry.janitor._PATIENCE_S", 0.01)
    entered, leave = threading.Event(), threading.Event()
    fetch = cached(own, on_evict=lambda key, value, reason: (entered.set(), leave.wait(LIMIT_S)))
    fetch(1)
    janitor = own.janitor()
    clock.advance("1h")
    assert entered.wait(LIMIT_S)
    assert janitor.last_run is None
    leave.set()
    janitor.stop()
    assert janitor.last_report is not None
    assert janitor.last_report.expired == 1


# -- what it shows


def test_its_last_run_shows_below_the_table(own: Registry, clock: FakeClock) -> None:
    """The line below the table, in text and in HTML, says how often, when, how long and what."""
    fetch = cached(own)
    assert "janitor" not in str(own)
    janitor = own.janitor("1h 30min")
    assert str(own).splitlines()[-1] == "janitor: every 1h 30m, has not run yet"
    assert repr(janitor) == "<janitor: every 1h 30m, has not run yet>"
    fetch(1)
    clock.advance("1h 30min")
    line = str(own).splitlines()[-1]
    assert janitor.last_run is not None
    when = janitor.last_run.strftime("%Y-%m-%d %H:%M:%S UTC")
    assert line.startswith(f"janitor: every 1h 30m, last run {when} took ")
    assert line.endswith("s: 1 entry, 0 flights, 0 events")
    assert f"<p>{line}</p>" in own._repr_html_()
    janitor.stop()
    assert str(own).splitlines()[-1].startswith(f"janitor: stopped, last run {when} took ")
    assert "janitor: every" not in repr(janitor)


def test_a_registry_without_functions_shows_it_too(own: Registry, clock: FakeClock) -> None:
    """The line is there though there is no table."""
    own.janitor()
    assert str(own).splitlines() == ["no decorated functions", "janitor: every 1h, has not run yet"]
    clock.advance("1h")
    assert str(own).endswith("0 entries, 0 flights, 0 events")


def test_a_view_has_no_janitor(own: Registry, clock: FakeClock) -> None:
    """Janitors belong to registries; a view neither has one nor shows its registry's."""
    function = cached(own)
    own.janitor()
    view = own.select("f*")
    assert function in view
    assert not hasattr(view, "janitor")
    assert "janitor" not in str(view)


def test_the_default_registry_has_one(clock: FakeClock) -> None:
    """``memo.registry`` is no exception."""
    with registry.janitor(every="1h") as janitor:
        clock.advance("1h")
        assert janitor.last_run is not None
    assert threads() == []


def test_its_figures_cannot_be_set(own: Registry, clock: FakeClock) -> None:
    """The interval changes by ``registry.janitor()`` alone."""
    janitor = own.janitor()
    for name in ("every", "last_run", "last_report", "alive"):
        with pytest.raises(AttributeError):
            setattr(janitor, name, 1)

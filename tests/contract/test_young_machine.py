"""A test's clock starts at the present, on a machine that has just started as on one that has been up for years."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from kit.places import ROOT

from memo import bounded, dedupe_inflight, sliding_window
from memo._base.clock import default_clock, exchange_default
from memo.testing import FakeClock

STEP_S = 1 / 1024


class Machine:
    """A default clock that shows what a test says."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=[0.0, 0.3, 1.0, 999.9999, 1e5 / 3, 1e9 / 7])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine that has been up so many seconds."""
    machine = Machine(request.param)
    exchange_default(machine)
    yield machine
    exchange_default(None)


def cached() -> Any:
    @bounded(max=10, ttl=10, idle=10)
    @dedupe_inflight
    @sliding_window(10)
    def load(x: int) -> int:
        return x

    return load


def test_starts_at_the_present(machine: Machine) -> None:
    """A clock that is given no time shows what functions without a clock show, but for a step of rounding."""
    assert machine.now <= FakeClock()() < machine.now + STEP_S
    machine.now += 5.5
    clock = FakeClock()
    assert machine.now <= clock() < machine.now + STEP_S
    assert clock() * 1024 == int(clock() * 1024)


def test_starts_where_another_is(machine: Machine) -> None:
    """A clock that is made while another is installed shows the time of that one."""
    with FakeClock() as outer:
        outer.advance("1h")
        inner = FakeClock()
        assert inner() == outer()
        with inner:
            inner.advance(1)
        assert outer() == inner() - 1


def test_installation_moves_no_time(machine: Machine) -> None:
    """What is stored and recorded ages by no more than a step when a clock is installed, and lives on as long."""
    load = cached()
    load(1)
    machine.now += 4.0
    with FakeClock() as clock:
        assert 4.0 <= load.cache.entry(1).age < 4.0 + 2 * STEP_S
        assert load.window.count() == load.window.count(4.1) == 1
        clock.advance(5.9)
        assert load.cache.entry(1) is not None
        assert load.window.count() == 1
        clock.advance(0.1)
        assert load.cache.entry(1) is None
        assert load.window.count() == 0


def test_installation_of_one_that_was_made_earlier(machine: Machine) -> None:
    """A clock that was made long before it is installed goes forward to the present then."""
    clock = FakeClock()
    machine.now += 1000.0
    load = cached()
    load(1)
    with clock:
        assert machine.now <= clock() < machine.now + STEP_S
        assert 0.0 <= load.cache.entry(1).age < STEP_S


def test_advanced_before_installation(machine: Machine) -> None:
    """A clock that was advanced before it is installed takes everything along."""
    load = cached()
    load(1)
    clock = FakeClock()
    clock.advance(6)
    with clock:
        assert 6.0 <= load.cache.entry(1).age < 6.0 + STEP_S


def test_a_time_of_one_s_own() -> None:
    """A clock that is given a time starts there, whatever time it is."""
    assert FakeClock(0)() == FakeClock(now=0.0)() == 0.0
    assert FakeClock(now=12.5)() == 12.5


@pytest.mark.parametrize("uptime", ["0.0", "1.0", "1e9"])
def test_a_machine_that_has_been_up_so_long(uptime: str) -> None:
    """Where the machine's own clock shows so little or so much, a clock that comes and goes ages nothing."""
    script = f"""
        import time
        true, begun = time.monotonic, time.monotonic()
        time.monotonic = lambda: true() - begun + {uptime}
        from memo import bounded, sliding_window
        from memo._base.clock import default_clock
        from memo.testing import FakeClock

        @bounded(max=10, ttl="10m")
        @sliding_window("10m")
        def load(x):
            return x

        load(1)
        assert load.cache.entry(1).age < 60
        with FakeClock() as clock:
            assert time.monotonic() - 60 <= clock() <= time.monotonic() + 1 / 1024
            assert load.cache.entry(1).age < 60
            assert load.window.count() == 1
            clock.advance("10m")
            assert load.cache.entry(1) is None
            load(2)
        assert default_clock() is time.monotonic
        assert load.cache.entry(2).age < 60
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(script)], cwd=ROOT, timeout=60, check=True)


def test_the_default_is_back() -> None:
    """These tests leave the clock that they found."""
    before = default_clock()
    with FakeClock():
        assert default_clock() is not before
    assert default_clock() is before

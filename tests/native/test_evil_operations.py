"""Whatever keys, values and callbacks do, in the midst of anything: nothing crashes, all stays whole, nothing leaks."""

import gc
import os
import subprocess
import sys

import pytest
from kit.counted_references import MOST, kept
from kit.evil_operations import Evil
from kit.places import ROOT

from memo import _native

__all__ = ()

PROGRAM = ROOT / "tests" / "kit" / "evil_operations.py"


def whole(first: int, last: int, steps: int) -> None:
    """Run the program in a process of its own: a crash ends that alone, and names the seed."""
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(PROGRAM), str(first), str(last), str(steps)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"ended with {ran.returncode}:\n{ran.stderr[-3000:]}"
    assert ran.stdout == ("whole, in Python" if _native.speed is None else "whole, in C")


def test_the_worst_at_the_worst_moment_breaks_nothing() -> None:
    """Keys, values, callbacks and clocks change, from within, what is being changed: each store is whole in the end."""
    whole(1, 6, 2000)


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_for_long_the_worst_breaks_nothing() -> None:
    """The same with a hundred other seeds, and ten times as long."""
    whole(100, 199, 20_000)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_evil_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program does the mischief that it is there for."""
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    world = Evil(7)
    before, number = world.mischief, [0]

    def counted(function: object) -> None:
        number[0] += 1
        before(function)

    world.mischief = counted  # type: ignore[method-assign]
    world.run(1000)
    assert number[0] > 100
    world.parts[1].kept.clear()
    gc.collect()  # what was never awaited says so here


# -- references


def test_references_are_given_back() -> None:
    """Ten thousand rounds of hits, misses, failures and wrong calls, in all placements, keep nothing for themselves."""
    assert kept() < MOST

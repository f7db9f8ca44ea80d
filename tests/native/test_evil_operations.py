"""Whatever keys, values and callbacks do, in the midst of anything: nothing crashes, all stays whole, nothing leaks."""

import gc
import os
import subprocess
import sys

import pytest
from kit.evil_operations import Evil
from kit.places import ROOT

from memo import Registry, _native, bounded, dedupe_inflight, sliding_window

__all__ = ()

PROGRAM = ROOT / "tests" / "kit" / "evil_operations.py"


def whole(first: int, last: int, steps: int) -> None:
    """Run the program in a process of its own: a crash ends that alone, and names the seed."""
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(PROGRAM), str(first), str(last), str(steps)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
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


def test_evil_is_done() -> None:
    """The program does the mischief that it is there for."""
    world = Evil(7)
    before, number = world.mischief, [0]

    def counted(function: object) -> None:
        number[0] += 1
        before(function)

    world.mischief = counted  # type: ignore[method-assign]
    world.run(1000)
    assert number[0] > 100


# -- references


class Odd:
    """A key whose hash and comparison are Python's."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd) and self.number == other.number


def counted() -> int:
    """Total references where the interpreter counts them, else blocks of memory that are in use."""
    gc.collect()
    return getattr(sys, "gettotalrefcount", sys.getallocatedblocks)()


def test_references_are_given_back() -> None:
    """Ten thousand rounds of hits, misses, failures and wrong calls, in all placements, keep nothing for themselves."""
    own = Registry()

    @bounded(max=20, ttl="24h", registry=own)
    def fetch(x: object, lang: str = "en", *, k: int = 1) -> list[object]:
        return [x, lang]

    @bounded(max=5, policy="lfu", registry=own, on_evict=lambda *gone: None)
    def counts(x: object) -> object:
        if x == 3:
            raise ValueError(x)
        return [x]

    @bounded(max=5, policy="lru", registry=own)
    def recent(x: object) -> object:
        return iter([x]) if x == 3 else [x]

    @dedupe_inflight(registry=own)
    def joined(x: object, y: int = 2) -> object:
        return [x] if x != 3 else joined(x, y=1 / 0)  # type: ignore[arg-type]

    @sliding_window("1h", max=10, registry=own, clock=lambda: 1.0)
    def seen(x: object) -> object:
        return [x]

    class Service:
        @bounded(max=9, ttl=60, registry=own)
        def method(self, x: object, y: int = 1) -> object:
            return [x]

    wrong = (
        lambda: fetch(), lambda: fetch(1, 2, 3), lambda: fetch([]), lambda: fetch(1, x=1), lambda: fetch(1, z=1),
        lambda: counts(3), lambda: recent(3), lambda: joined(3), lambda: joined([]), lambda: counts({}),
    )  # fmt: skip
    service = Service()

    def round_of_calls(number: int) -> None:
        key = number % 30
        fetch(key), fetch(key), fetch(x=key, k=2), fetch(key, lang="de"), fetch(Odd(key))
        for function in (counts, recent, joined, seen):
            if key != 3:
                function(key)
                function(x=key)
        counts(1), counts(1), recent("a"), service.method(key), service.method(key, y=key), Service.method(service, 1)
        if number % 10 == 0:
            Service().method(key)
            counts.cache.clear(), fetch.cache.put(1, key), recent.cache.invalidate(key)
        try:
            wrong[number % len(wrong)]()
        except (TypeError, ValueError, ZeroDivisionError):
            pass

    def rounds(many: int) -> int:
        for number in range(many):
            round_of_calls(number)
        return counted()

    before = rounds(5_000)  # until all that is kept for later is there
    after = rounds(10_200)
    assert after - before < 900  # less than one for each wrong call of a kind, of which each tenth round has one

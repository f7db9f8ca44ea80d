"""How long does a clean-up of a million entries ever hold up a hit, and how long does it hold the lock?

    python benchmarks/cleanup_pause.py [--entries 1000000] [--rounds 3] [--policy adaptive] [--gate]

A store holds so many expired entries and as many fresh ones. While one thread runs `registry.cleanup()`, another asks
every half millisecond for a fresh entry. Its delay counts from the moment when it meant to ask, so waiting for the
interpreter is in it, and so are the lateness of the system's timer and whatever else the machine does, which "idle",
the same without a clean-up, shows. "Held up" is what of it the clean-up can have caused: the processor time that the
cleaning thread spent from half a millisecond before that moment to the answer. (Where the system does not tell another
thread's processor time, it is the delay.) The hold of the lock is processor time of the cleaning thread, too.

Each round is a clean-up of its own. Against the bounds, held up for 5 ms and lock held for 1 ms, stands the longest
of the best round: whatever else runs on the machine, interrupts and a hypervisor included, can only add to it. With
--gate the exit status is 1 if one of them is over.
"""

from __future__ import annotations

import argparse
import functools
import gc
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from _ratios import headline

from memo import Registry, bounded
from memo.testing import FakeClock

__all__ = ("main",)

EVERY_S = 0.0005
DELAY_BOUND_S = 0.005
HOLD_BOUND_S = 0.001
TTL_S = 10


class TimedLock:
    """Stands in for a store's lock and measures how long one thread holds it."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.thread = 0
        self.depth = 0
        self.since = 0.0
        self.longest = 0.0
        self.holds = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        taken: bool = self.lock.acquire(blocking, timeout)
        if taken and threading.get_ident() == self.thread:
            self.depth += 1
            if self.depth == 1:
                self.holds += 1
                self.since = time.thread_time()
        return taken

    def release(self) -> None:
        if threading.get_ident() == self.thread:
            self.depth -= 1
            if self.depth == 0:
                self.longest = max(self.longest, time.thread_time() - self.since)
        self.lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Round:
    """What one clean-up did to a thread that hits."""

    seconds: float
    delays: list[float]
    held_up: float
    hold: float
    holds: int


def delays_during(work: Callable[[], object], hit: Callable[[], object]) -> tuple[list[float], float]:
    """How late each hit was answered while *work* ran in this thread, ascending; the longest that it held one up."""
    delays: list[float] = []
    longest = 0.0
    begun, over = threading.Event(), threading.Event()
    working = work_clock()

    def ask() -> None:
        nonlocal longest
        clock, sleep = time.perf_counter, time.sleep
        begun.set()
        while not over.is_set():
            worked = working()
            due = clock() + EVERY_S
            sleep(EVERY_S)
            hit()
            delays.append(clock() - due)
            longest = max(longest, working() - worked)

    asking = threading.Thread(target=ask)
    asking.start()
    begun.wait()
    try:
        work()
    finally:
        over.set()
        asking.join()
    return sorted(delays), longest


def work_clock() -> Callable[[], float]:
    """What reads the processor time of this thread from any thread; the real time where that cannot be had."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.perf_counter
    return functools.partial(time.clock_gettime, time.pthread_getcpuclockid(threading.get_ident()))


def rounds_of(policy: str, entries: int, rounds: int) -> list[Round]:
    """Clean up *entries* expired beside as many fresh ones, so many times."""
    registry, clock = Registry(), FakeClock()

    @bounded(max=2 * entries, ttl=TTL_S, policy=policy, registry=registry, clock=clock)
    def square(x: int) -> int:
        return x * x

    store = layer_store(square)
    lock = store.lock
    found = []
    first = 0
    for x in range(entries):
        square(x)
    for _ in range(rounds):
        clock.advance(TTL_S)
        first += entries
        for x in range(first, first + entries):
            square(x)
        gc.collect()
        timed = store.lock = store._changes.lock = TimedLock(lock)
        timed.thread = threading.get_ident()
        took = 0.0

        def clean(timed: TimedLock = timed) -> None:
            nonlocal took
            began = time.perf_counter()
            report = registry.cleanup()
            took = time.perf_counter() - began
            assert report.expired == entries, report

        delays, held_up = delays_during(clean, functools.partial(square, first))
        store.lock = store._changes.lock = lock
        assert len(square.cache) == entries
        found.append(Round(took, delays, held_up, timed.longest, timed.holds))
    return found


def layer_store(function: Any) -> Any:
    """The store behind a decorated function."""
    return function.cache._cache.store


def idle(seconds: float) -> list[float]:
    """The same delays while this thread only waits."""
    return delays_during(lambda: time.sleep(seconds), lambda: None)[0]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--policy", action="append", help="default: adaptive and lru")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a figure is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    over = False
    for policy in options.policy or ["adaptive", "lru"]:
        found = rounds_of(policy, options.entries, options.rounds)
        quiet = idle(2.0)
        best = min(one.held_up for one in found)
        hold = min(one.hold for one in found)
        for one in found:
            print(
                f"{policy}: {options.entries:,} expired beside as many fresh gone in {one.seconds:.2f} s; "
                f"delay of {len(one.delays):,} hits: median {_ms(one.delays, 0.5)}, 99.9 % {_ms(one.delays, 0.999)}, "
                f"longest {_ms(one.delays, 1.0)}, "
                f"held up at most {one.held_up * 1e3:.2f} ms; "
                f"lock held {one.holds:,} times, longest {one.hold * 1e3:.2f} ms"
            )
        print(f"{policy}: idle: median {_ms(quiet, 0.5)}, 99.9 % {_ms(quiet, 0.999)}, longest {_ms(quiet, 1.0)} ms")
        bad = best > DELAY_BOUND_S or hold > HOLD_BOUND_S
        print(
            f"{policy}: in the best round a hit was held up at most {best * 1e3:.2f} ms (bound 5), "
            f"the lock held at most {hold * 1e3:.2f} ms (bound 1): {'OVER' if bad else 'within'}"
        )
        over |= bad
    return int(options.gate and over)


def _ms(delays: list[float], share: float) -> str:
    return f"{delays[min(len(delays) - 1, int(share * len(delays)))] * 1e3:.2f}"


if __name__ == "__main__":
    sys.exit(main())

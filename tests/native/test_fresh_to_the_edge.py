"""Freshness is exact on both paths: ``now < stored + ttl`` by the function's clock, which is the machine's as a rule.

The path in C asks a coarser clock of the machine first.  To stand where the two disagree, a library that is put before
the system's own tells both of them what the test says.
"""

import itertools
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from kit.places import ROOT

from memo import Registry, _native, bounded

__all__ = ()

CLOCKS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

long long exact = -1, coarse = -1; /* nanoseconds that the two clocks show; -1: what they show by themselves */
int exact_reads, coarse_reads;

int
clock_gettime(clockid_t which, struct timespec *time)
{
    static int (*next)(clockid_t, struct timespec *);
    long long shown = which == CLOCK_MONOTONIC ? exact : which == CLOCK_MONOTONIC_COARSE ? coarse : -1;
    exact_reads += which == CLOCK_MONOTONIC;
    coarse_reads += which == CLOCK_MONOTONIC_COARSE;
    if (shown < 0) {
        if (next == 0) {
            next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        }
        return next(which, time);
    }
    time->tv_sec = shown / 1000000000;
    time->tv_nsec = shown % 1000000000;
    return 0;
}
"""
PROGRAM = """
import asyncio, ctypes, sys, time
from memo import Registry, _native, bounded

clocks = ctypes.CDLL(sys.argv[1])
exact, coarse = (ctypes.c_longlong.in_dll(clocks, name) for name in ("exact", "coarse"))
exact_reads, coarse_reads = (ctypes.c_int.in_dll(clocks, name) for name in ("exact_reads", "coarse_reads"))
registry = Registry()
SECOND = 1_000_000_000
TTL = 10
BEGUN = 5_000 * SECOND + 123_456_789

def at_once(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value

class Owner:
    @bounded(max=9, ttl=TTL, registry=registry)
    def method(self, x):
        runs.append(x)

@bounded(max=9, ttl=TTL, registry=registry)
def one(x):
    runs.append(x)

@bounded(max=9, ttl=TTL, registry=registry, typed=True)
def two(x, y=1):
    runs.append(x)

@bounded(max=9, ttl=TTL, registry=registry, idle=50)
def idle(x):
    runs.append(x)

@bounded(max=9, ttl=100, idle=TTL, registry=registry)
def used(x):
    runs.append(x)

@bounded(max=9, ttl=TTL, registry=registry, policy="lru", on_evict=lambda *gone: None)
def ordered(x):
    runs.append(x)

@bounded(max=9, ttl=TTL, registry=registry, work="caller")
async def awaited(x):
    runs.append(x)

runs = []
owner = Owner()
WAYS = {
    "one": (one, lambda: one(1)), "one, named": (one, lambda: one(x=1)), "two": (two, lambda: two(1, 2)),
    "default": (two, lambda: two(1, y=2)), "method": (Owner.method, lambda: owner.method(1)),
    "idle": (idle, lambda: idle(1)), "used": (used, lambda: used(1)), "ordered": (ordered, lambda: ordered(1)),
    "awaited": (awaited, lambda: at_once(awaited(1))),
}
OFF = sorted({sign * (near + far) for sign in (-1, 1) for near in (0, 1, 1000)
              for far in (0, SECOND // 20, SECOND // 10, SECOND // 5, 2 * SECOND)})
asyncio._set_running_loop(asyncio.new_event_loop())
print("in Python" if _native.speed is None else "in C")
for name, (function, call) in WAYS.items():
    for off in OFF:
        for late in (0, 4_000_000, 99_999_999):  # so much less the coarse clock shows
            function.cache.clear()
            exact.value, coarse.value = BEGUN, BEGUN - late
            call()
            stored = time.monotonic()
            now = exact.value = BEGUN + TTL * SECOND + off
            coarse.value = now - late
            fresh = time.monotonic() < stored + TTL
            runs.clear()
            exact_reads.value = coarse_reads.value = 0
            call()
            reads = exact_reads.value
            runs_then = len(runs)
            exact.value = coarse.value = -1
            print(name, off, late, runs_then, int(not fresh), reads if runs_then == 0 else "-")
asyncio._set_running_loop(None)
"""


def shown(library: Path, pure: str) -> list[list[str]]:
    """What a process tells whose clocks are those of the library."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(library)],
        env={**os.environ, "LD_PRELOAD": str(library), "MEMO_PURE": pure, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines.pop(0) == ("in Python" if pure == "1" else "in C")
    return [line.rsplit(" ", 5) for line in lines]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the coarse clock is Linux's")
@pytest.mark.parametrize("pure", ["1", "0"])
def test_the_coarse_clock_decides_nothing_near_the_edge(tmp_path: Path, pure: str) -> None:
    """At each nanosecond about the end of a life a call is a hit just if the exact clock says so, however late the
    coarse one is; which decides alone only where it shows 0.1 s or more to go."""
    if pure == "0" and _native.speed is None:
        pytest.skip(f"there is one path alone: {_native.why}")
    source, library = tmp_path / "clocks.c", tmp_path / "clocks.so"
    source.write_text(CLOCKS, encoding="utf-8")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    try:
        subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no C compiler here: {error}")
    told = shown(library, pure)
    wrong = [line for line in told if line[3] != line[4]]
    assert not wrong
    by_itself = [line for line in told if line[5] == "0"]
    assert all(int(off) - int(late) <= -100_000_000 for _, off, late, *_ in by_itself)
    assert {line[0] for line in by_itself} >= ({"one", "two", "method", "awaited"} if pure == "0" else set())


def test_no_call_is_answered_a_moment_too_late() -> None:
    """By the machine's own clocks: what a call after the end finds is never served, and what one before it finds is."""
    loads = []

    @bounded(max=5, ttl=0.02, registry=Registry())
    def fetch(x: int) -> None:
        loads.append(x)

    index, stored = fetch.cache._cache.store.index, 0
    for _ in itertools.count():
        before = len(loads)
        ends = index[1].deadline if before else 0.0
        begun = time.monotonic()
        fetch(1)
        if len(loads) > before:
            assert time.monotonic() >= ends
            stored += 1
        else:
            assert begun < ends
        if stored == 12:
            break

"""Forks find what is guarded whole, and locks are taken in one order."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kit.places import ROOT
from kit.processes import in_a_child
from kit.threads import Gate, Running

from memo._base import forks
from memo._base.forks import Stage, hold, renew

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Since 3.12 Python warns of forking with threads about, which is just what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


class Thing:
    """Two figures that are equal whenever nobody holds its lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.first = self.second = 0
        self.renewed = 0
        self.fails = False

    def renew(self) -> None:
        self.renewed += 1
        if self.fails:
            raise ValueError("cannot be renewed")


@pytest.fixture
def thing() -> Iterator[Thing]:
    thing = Thing()
    yield thing
    thing.fails = False


def test_a_fork_waits_for_a_lock_that_it_holds(thing: Thing) -> None:
    """A child finds whole what another thread was changing, and the lock free."""
    hold(Stage.WINDOWS, thing, thing.lock)
    gate, forked = Gate(), threading.Event()

    def change() -> None:
        with thing.lock:
            thing.first += 1
            gate.wait()
            assert not forked.is_set()
            thing.second += 1

    def is_whole() -> bool:
        return thing.lock.acquire(blocking=False) and thing.first == thing.second == 1

    def fork() -> int:
        status = in_a_child(is_whole)
        forked.set()
        return status

    changing = Running(change)
    gate.reached()
    forking = Running(fork)
    gate.open()
    changing.result()
    assert forking.result() == 0
    assert thing.lock.acquire(blocking=False)


def test_a_child_renews_and_the_parent_does_not(thing: Thing) -> None:
    """What is renewed is so once in each child."""
    renew(Stage.POOLS, thing)
    assert in_a_child(lambda: thing.renewed == 1) == 0
    assert in_a_child(lambda: thing.renewed == 1) == 0
    assert thing.renewed == 0


def test_what_cannot_be_renewed_keeps_nothing_else(thing: Thing) -> None:
    """A failure is logged, the others are renewed all the same, and every lock is given back."""
    failing, after = Thing(), Thing()
    failing.fails = True
    for one, stage in ((thing, Stage.CIRCLES), (failing, Stage.POOLS), (after, Stage.WINDOWS)):
        hold(stage, one, one.lock)
        renew(stage, one)

    def all_free() -> bool:
        return [one.renewed for one in (thing, failing, after)] == [1, 1, 1] and not forks._held._locks

    assert in_a_child(all_free) == 0
    assert not forks._held._locks


def test_nothing_is_kept_alive(thing: Thing) -> None:
    """What is gone is none of a fork's business."""
    before = [len(table) for tables in (forks._locks, forks._renewed) for table in tables.values()]
    one = Thing()
    hold(Stage.WINDOWS, one, one.lock)
    renew(Stage.WINDOWS, one)
    del one
    assert [len(table) for tables in (forks._locks, forks._renewed) for table in tables.values()] == before


# Every re-entrant lock that the package makes tells which others its thread holds when it is taken.
WATCHED = """
import os, sys, threading

PACKAGE = os.path.join(os.getcwd(), "memo", "")
PLACES = {  # the longest beginning that fits
    "_base/forks": "FORKS", "_base/clock": "CLOCKS", "_base/callers": "CALLERS", "_registry/": "REGISTRIES",
    "_registry/janitor": "JANITORS", "_flight/": "FLIGHTS", "_flight/circles": "CIRCLES", "_store/": "FLIGHTS",
    "_cache/": "POOLS", "_window/": "WINDOWS", "_call/listings": "LISTINGS", "testing.py": "WAITS",
    "testing.py:<module>": "TESTS",
}
make, held, nested, unknown = threading.RLock, threading.local(), set(), set()

class Watched:
    def __init__(self, place):
        known = max((start for start in PLACES if place.startswith(start)), key=len, default=None)
        self.lock, self.stage = make(), PLACES.get(known)
        if known is None:
            unknown.add(place)

    def acquire(self, *args, **kwargs):
        taken = self.lock.acquire(*args, **kwargs)
        if taken:
            mine = held.__dict__.setdefault("locks", [])
            if self not in mine:
                nested.update((other.stage, self.stage, forking) for other in mine)
            mine.append(self)
        return taken

    def release(self):
        self.lock.release()
        held.locks.reverse()
        held.locks.remove(self)
        held.locks.reverse()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *exception):
        self.release()

    def __getattr__(self, name):
        return getattr(self.lock, name)

def watched():
    frame = sys._getframe(1)
    code = (frame.f_back if frame.f_code.co_name == "rlock" else frame).f_code
    place = code.co_filename.removeprefix(PACKAGE)  # a clone may be called memo, and have an environment in it
    return make() if place == code.co_filename else Watched(f"{place}:{code.co_name}")

forking = False
threading.RLock = watched
import asyncio, os, tempfile
import memo, memo.testing
from memo._base.forks import Stage

def use(**options):
    f = memo.bounded(max=3, tags=("t",), on_evict=lambda key, value, reason: None, **options)(lambda x: x)
    for x in (1, 2, 3, 4, 1):
        f(x)
    f.cache.refresh(1); f.cache.put(5, 5); f.cache.invalidate(5); f.cache.resize(max=2); f.cache.cleanup()
    return f

async def main():
    @memo.dedupe_inflight(timeout=30)
    async def fetch(x):
        await asyncio.sleep(0)
        return x
    await asyncio.gather(*(fetch(1) for _ in range(3)))

for number in range(100):  # names of generated code, which come and go
    same = lambda x: x
    same.__qualname__ = f"same_{number}"
    memo.bounded(max=3)(same)(1)
functions = [use(), use(ttl=60), use(ttl=60, stale_while_revalidate=60), use(policy="lru"), use(max_bytes=10_000)]
window = memo.sliding_window("1h")(abs)
window(1)
lead = memo.dedupe_inflight(timeout=30)(lambda x: x and lead(x - 1))
lead(3)
threads = [threading.Thread(target=lead, args=(2,)) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
asyncio.run(main())
with memo.testing.FakeClock() as clock:
    memo.registry.janitor(every=60)
    functions[2](1)
    clock.advance(90)
    functions[2](1)
with memo.testing.isolated():
    use()
with memo.registry.disabled():
    functions[0](1)
memo.registry.cleanup(); memo.registry.stats(); str(memo.registry); memo.registry.report()
memo.registry.invalidate(tag="t"); memo.registry.clear()
window.window.stats()
forking = True
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
forking = False
memo.registry.janitor().stop()

assert not unknown, f"no stage is known for the locks made in {unknown}"
wrong = {pair for pair in nested if not (Stage[pair[0]] < Stage[pair[1]] or (pair[2] and pair[0] == pair[1]))}
assert not wrong, f"taken in the wrong order: {wrong}"
print(*sorted({f"{one}>{other}" for one, other, in_fork in nested if not in_fork}))
print(len({pair for pair in nested if pair[2]}) > 3)
"""


def test_locks_are_taken_in_one_order(tmp_path: Any) -> None:
    """Whoever holds a lock of a later stage takes none of an earlier one, in a fork as in every other operation."""
    script = tmp_path / "watched.py"
    script.write_text(textwrap.dedent(WATCHED))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nested, forked = done.stdout.splitlines()
    assert "CLOCKS>FLIGHTS" in nested.split()  # the watch does see locks within others
    assert forked == "True"

"""The page on the life of a call tells the rooms that a call passes through."""

import asyncio
import re
import sys
import time
from typing import Any

import pytest
from kit.entered import entered
from kit.paper_tier import PaperTier
from kit.places import ROOT
from kit.threads import Gate, Running, until

from memo import Registry, bounded, bounded_many, dedupe_inflight, sliding_window

PAGE = (ROOT / "docs" / "life_of_a_call.md").read_text(encoding="utf-8")


def told(heading: str) -> set[str]:
    """The rooms that the page names under one of its headings."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section, f"the page has no section {heading!r}"
    return set(re.findall(r"`((?:_\w+|policies)(?:/\w+)?\.py)`", section))


def test_every_room_is_there() -> None:
    """The page names no file that is not there."""
    named = set(re.findall(r"`((?:_\w+|policies)(?:/\w+)?\.py)`", PAGE))
    assert len(named) > 20
    assert [room for room in sorted(named) if not (ROOT / "memo" / room).is_file()] == []


def test_a_hit(own: Registry) -> None:
    """A hit stays in its wrapper."""
    f = bounded(max=2, ttl=60, registry=own)(lambda x: x)
    f(1)
    assert entered(lambda: f(1)) == told("A hit") == set()


@pytest.mark.pure_path("The page tells of the modules in Python that a call enters; C leads it past most of them.")
def test_a_miss(own: Registry) -> None:
    """A miss passes the rooms that the page tells, but for coroutines; where nobody is told, the policy's alone."""
    for told_of in (None, lambda key, value, reason: None):
        f = bounded(max=2, on_evict=told_of, registry=own)(lambda x: x)
        for x in range(3):
            f(x)
        met = entered(lambda f=f: f(9))
        if told_of is not None:
            assert met >= told("A miss") - {"_flight/tasks.py"}
        else:
            # where greenlet was imported, a function in Python tells who calls
            assert met - ({"_base/callers.py"} if "greenlet" in sys.modules else set()) == {"_store/entry_adaptive.py"}


@pytest.mark.pure_path("The page tells of the modules in Python that a call enters; C leads it past most of them.")
def test_a_miss_in_the_callers_task(own: Registry) -> None:
    """A miss of a coroutine function that runs in its caller's task passes the rooms that the page tells."""

    @bounded(max=2, work="caller", registry=own)
    async def f(x: int) -> int:
        return x

    async def main() -> set[str]:
        for x in range(3):
            await f(x)
        call: Any = f(9)
        return entered(lambda: next(call.__await__(), None))

    met = asyncio.run(main())
    named = told("A miss in the caller's task") - {"_flight/threads.py", "_flight/running.py"}
    assert met >= named
    assert met - named <= told("A miss")


@pytest.mark.pure_path("The page tells of the modules in Python that a call enters; C leads it past most of them.")
def test_a_load_of_a_shared_result(own: Registry) -> None:
    """A miss of a function whose results are shared, and an invalidation, pass the rooms that the page tells."""
    tier = PaperTier(time.monotonic)
    f = bounded(max=2, ttl=60, shared=tier, registry=own)(lambda x: x)
    for x in range(3):
        f(x)
    named = told("A load of a shared result") - {"_flight/tasks.py", "_flight/caller_work.py"}
    changes = {"_cache/everywhere.py", "_cache/local_results.py", "_cache/tier_link.py"}
    assert entered(lambda: f(9)) >= named - changes
    assert entered(lambda: f.cache.invalidate(9)) >= {"_cache/everywhere.py"}
    assert entered(lambda: tier.links[0].local.drop([9])) >= {"_cache/local_results.py"}


@pytest.mark.pure_path("The page tells of the modules in Python that a call enters; C leads it past most of them.")
def test_a_joined_call(own: Registry) -> None:
    """A call that waits for another's execution passes the rooms that the page tells."""
    gate = Gate()

    @dedupe_inflight(timeout=30, registry=own)
    def fetch(x: int) -> int:
        gate.wait()
        return x

    leading = Running(lambda: fetch(1))
    gate.reached()

    def open_then() -> None:
        until(lambda: fetch.inflight.stats().waiting == 1)
        gate.open()

    opening = Running(open_then)
    assert entered(lambda: fetch(1)) == told("A joined call")
    opening.result()
    leading.result()


def test_a_call_with_many_keys(own: Registry) -> None:
    """A call with many keys, some of them missing, passes the rooms that the page tells, and of its folder no other."""
    f: Any = bounded_many(max=2, registry=own)(lambda keys: {x: x for x in keys})
    f([1, 2])
    f([2, 3])
    of_coroutines = {"_many/task_batches.py", "_many/gatherer.py"}
    before_calls = {"_bounded_many.py", "_many/templates.py"}
    rooms, here = entered(lambda: f([3, 9])), told("A call with many keys") - of_coroutines - before_calls
    assert here <= rooms
    assert {room for room in rooms if room.startswith("_many/")} <= here


def test_a_recorded_event(own: Registry) -> None:
    """A recorded call stays in its wrapper."""
    f = sliding_window("1h", registry=own)(lambda x: x)
    f(1)
    assert entered(lambda: f(2)) == told("A recorded event") == set()


@pytest.mark.pure_path("The page tells of the modules in Python that a figure passes; a policy in C is none.")
def test_a_figure(own: Registry) -> None:
    """A snapshot of all functions passes the rooms that the page tells."""
    f = bounded(max=2, registry=own)(lambda x: x)
    f(1)
    own.stats()  # the first of a process writes the constructors of its figures, whichever test that is of
    assert entered(own.stats) == told("A figure")


@pytest.mark.parametrize("heading", re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
def test_every_way_is_walked(heading: str) -> None:
    """Each section has a test of its name."""
    name = "_".join(heading.lower().replace("'", "").split())
    assert f"test_{name}" in globals()

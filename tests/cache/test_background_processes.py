"""Background loads at a fork and at the end of the interpreter."""

import os
import random
import subprocess
import sys
import textwrap
import threading

import pytest
from kit.places import ROOT
from kit.processes import in_a_child
from kit.refresh_pool import rests
from kit.stale_flights import SWR, TTL, Fetch
from kit.threads import Running, until

from memo import Registry, bounded
from memo.testing import FakeClock

# -- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_begins_its_own_background_loads() -> None:
    """The parent's are not there, its threads neither; the lease passes, and the child refreshes by itself."""
    fetch = Fetch(**SWR)
    fetch.registry.configure(refresh_threads=1)
    fetch("a"), fetch("b")
    fetch.clock.advance(TTL)
    gate = fetch.hold()
    fetch("a")
    gate.reached()
    fetch("b")

    def act() -> bool:
        fetch.gate = None
        pool = fetch.registry.pool
        fresh = (pool.threads, pool.busy, pool.queued, fetch.cache._cache.jobs.by_loop) == (0, 0, 0, {})
        stale = fetch("a") == "a1"
        fetch.clock.advance(1)
        stale = stale and fetch("a") == "a1"
        until(lambda: fetch.cache.entry("a").value == "a4")
        return fresh and stale and fetch("a") == "a4" and fetch.cache.within(5).call("c") == "c5"

    assert in_a_child(act) == 0
    gate.open()
    fetch.settle()
    assert (fetch("a"), fetch("b")) == ("a3", "b4")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forks_in_the_midst_of_background_loads() -> None:
    """Whatever the other threads were at, the child's calls neither hang nor fail."""
    fetch = Fetch(**{**SWR, "ttl": 0.001, "clock": None, "max": 50})
    over = threading.Event()

    def churn() -> None:
        rng = random.Random(1)
        while not over.is_set():
            fetch(rng.choice("abcdef"))

    threads = [Running(churn) for _ in range(3)]
    try:
        for _ in range(20):
            assert in_a_child(lambda: all(fetch(name)[0] == name for name in "abcdef" * 20)) == 0
    finally:
        over.set()
        for thread in threads:
            thread.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_background_load_may_fork() -> None:
    """The child's copy of its thread ends quietly where the load ends."""
    clock, here = FakeClock(), Registry()
    statuses: list[int] = []

    @bounded(**SWR, clock=clock, registry=here)  # type: ignore[arg-type]
    def fetch(name: str) -> int:
        if fetch.cache.entry(name) is not None:
            statuses.append(in_a_child(lambda: fetch(name) == 0))
        return len(statuses)

    fetch("a")
    clock.advance(TTL)
    assert fetch("a") == 0
    until(lambda: len(statuses) == 1 and rests(here.pool))
    assert statuses == [0]
    assert fetch("a") == 1


# -- the end of the interpreter

PRELUDE = """\
import asyncio, logging, sys, threading, time
logging.getLogger("asyncio").setLevel(logging.ERROR)  # that the machine is slow is no fault of an ending
from memo import bounded, registry
from memo.testing import FakeClock
clock = FakeClock()
options = dict(max=8, ttl=10, stale_while_revalidate=20, clock=clock)
entered = threading.Event()
calls = []
"""

ENDINGS = {
    "sync, hung": """
        @bounded(**options)
        def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                entered.set()
                threading.Event().wait()
        fetch(1); clock.advance(10); fetch(1); assert entered.wait(20)
    """,
    "sync, failing while the interpreter ends": """
        import atexit
        late = threading.Event()
        @bounded(**options)
        def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                entered.set()
                late.wait()
                raise LookupError
        fetch(1); clock.advance(10); fetch(1); assert entered.wait(20)
        def at_the_end():
            late.set()
            until = time.monotonic() + 20
            while registry.pool.busy and time.monotonic() < until:
                threading.Event().wait(0.001)
            assert not registry.pool.busy
        atexit.register(at_the_end)
    """,
    "sync, begun while the interpreter ends": """
        import atexit
        @bounded(**options)
        def fetch(x):
            calls.append(x)
        fetch(1); clock.advance(10)
        atexit.register(fetch, 1)
    """,
    "sync, begun by a finalizer when no thread can run any more": """
        from memo import dedupe_inflight
        fetch = bounded(**options)(lambda x: calls.append(x) or len(calls))
        fetch(1); clock.advance(10)
        class Last:
            fetch = staticmethod(fetch)
            fresh = staticmethod(dedupe_inflight(lambda x: x))  # never called before
            is_finalizing = staticmethod(sys.is_finalizing)
            def __del__(self):
                assert self.is_finalizing()
                assert self.fetch(1) == 1
                assert self.fresh(2) == 2
                assert self.fetch.cache.invalidate(1)
        last = Last(); last.itself = last
    """,
    "sync, many queued": """
        @bounded(**{**options, "max": 500})
        def fetch(x):
            calls.append(x)
            if len(calls) > 300:
                entered.set()
                threading.Event().wait()
        for x in range(300): fetch(x)
        clock.advance(10)
        for x in range(300): fetch(x)
        assert entered.wait(20)
    """,
    "sync, an idle pool": """
        @bounded(**options)
        def fetch(x):
            calls.append(x)
        fetch(1); clock.advance(10); fetch(1)
        while len(calls) < 2: time.sleep(0)
    """,
    "asyncio.run": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
            while len(calls) < 2: await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "asyncio.run, at once": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        asyncio.run(main())
    """,
    "loop.close": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
            while len(calls) < 2: await asyncio.sleep(0)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    """,
    "loop.close, at once": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    """,
    "a loop that nobody closes": """
        import warnings
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        warnings.simplefilter("ignore", ResourceWarning)
    """,
    "a loop that nobody closes, in a daemon thread": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                entered.set()
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        loop = asyncio.new_event_loop()
        def run():
            loop.create_task(main())
            loop.run_forever()
        threading.Thread(target=run, daemon=True).start()
        assert entered.wait(20)
    """,
    "uvloop": """
        import uvloop
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
            while len(calls) < 2: await asyncio.sleep(0)
        uvloop.run(main()) if MODE == "run" else None
        if MODE == "close":
            loop = uvloop.new_event_loop()
            loop.run_until_complete(main())
            loop.close()
    """,
    "a class that typing keeps": """
        import typing
        T = typing.TypeVar("T")
        class Shop(typing.Generic[T]):
            @bounded(**options)
            def price(self, item: T) -> T:
                return item
            @bounded(**options)
            async def ask(self, item: T) -> T:
                return item
        Shop[int]().price(1)
        asyncio.run(Shop[str]().ask("tea"))
    """,
    "limited, sync": """
        from memo import InflightTimeout
        @bounded(max=8)
        def fetch(x):
            calls.append(x)
            threading.Event().wait()
        try:
            fetch.cache.within("20ms").call(1)
        except InflightTimeout:
            pass
        else:
            raise AssertionError
    """,
}


def ends_cleanly(code: str, develop: bool = True) -> None:
    options = ["-X", "dev"] if develop else []
    result = subprocess.run(
        [sys.executable, *options, "-W", "error", "-c", PRELUDE + textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending != "uvloop"])
def test_the_interpreter_ends_cleanly(ending: str) -> None:
    """Exit status 0, nothing said, no hang."""
    # an open loop complains of its own at the end of Python 3.13's development mode
    ends_cleanly(ENDINGS[ending], develop=ending != "a loop that nobody closes")


@pytest.mark.parametrize("mode", ["run", "close"])
def test_the_interpreter_ends_cleanly_with_uvloop(mode: str) -> None:
    """Exit status 0, nothing said, no hang."""
    pytest.importorskip("uvloop")
    ends_cleanly(f"MODE = {mode!r}\n" + textwrap.dedent(ENDINGS["uvloop"]))

"""Ages, waits and dates are the machine's, whatever a test does to the time that its program sees."""

import asyncio
import importlib
import pkgutil
import subprocess
import sys
import textwrap
import threading
import time
import types
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
from kit.freezes import FUTURE, freezegun
from kit.places import ROOT
from kit.processes import HANG_S
from kit.threads import Running

import memo
from memo import InflightTimeout, Registry, bounded, dedupe_inflight, sliding_window
from memo._base.real_time import real
from memo.testing import FakeClock


def until(condition: Callable[[], object]) -> None:
    ends = real.monotonic() + 20
    while not condition():
        assert real.monotonic() < ends, "the condition never came true"


def cached(**options: Any) -> Any:
    calls: list[int] = []

    @bounded(max=10, ttl="1h", **options)
    @sliding_window("1h")
    def load(x: int) -> int:
        calls.append(x)
        return x

    load.calls = calls
    return load


def is_young(load: Any, *keys: int) -> None:
    """All entries and events are there, and no older than this test."""
    assert sorted(key for key, _ in load.cache.items()) == sorted(keys)
    for key in keys:
        assert 0.0 <= load.cache.entry(key).age < 60
        assert 3540 < load.cache.entry(key).expires_in <= 3600
    assert load.window.count() == load.window.count("10m") == len(keys)
    assert load.calls == list(keys)


def test_neither_ages_nor_keeps_what_was_stored(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """Entries and events stored before, within and after a freeze live as long as any."""
    load = cached(idle="30m")
    load(1)
    with freeze():
        load(1)
        load(2)
        is_young(load, 1, 2)
    for x in (1, 2, 3):
        load(x)
    is_young(load, 1, 2, 3)


def test_decorated_within(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A function that is decorated while time is frozen follows the real time, within and after."""
    with freeze():
        load = cached()
        load(1)
        is_young(load, 1)
    load(2)
    load(1)
    is_young(load, 1, 2)


def test_expires_within(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """While the program's time is frozen, entries and events expire all the same."""
    with freeze():
        load = bounded(max=10, ttl="1ms")(sliding_window("1ms")(lambda x: x))
        load(1)
        until(lambda: load.cache.entry(1) is None and load.window.count() == 0)


def test_coroutines(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A coroutine function that is frozen between two calls answers the second from its entry."""
    calls = []

    @bounded(max=10, ttl="1h")
    async def load(x: int) -> int:
        calls.append(x)
        return x

    asyncio.run(load(1))
    with freeze():
        assert asyncio.run(load(1)) == asyncio.run(load(2)) - 1
    assert asyncio.run(load(2)) == 2
    assert calls == [1, 2]
    assert load.cache.entry(2).age < 60


def test_a_wait_for_a_thread_does_not_end_early(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A caller who waits for another's load when time jumps ahead goes on waiting for it."""
    go = threading.Event()
    results: list[int] = []

    @dedupe_inflight(timeout=100)
    def load() -> int:
        assert go.wait(20)
        return 7

    threads = [threading.Thread(target=lambda: results.append(load())) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: [flight.waiters for flight in load.inflight.pending()] == [2])
    with freeze():
        assert load.inflight.pending()[0].age < 60
        assert load.inflight.cleanup() == 0
        assert len(load.inflight) == 1
    go.set()
    for thread in threads:
        thread.join(20)
    assert results == [7, 7, 7]
    assert load.inflight.stats().timeouts == 0


def test_a_wait_for_a_thread_ends_within(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A deadline ends a wait while time is frozen."""
    go = threading.Event()
    leaders: list[Running] = []

    @dedupe_inflight(timeout=0.1)
    def load(number: int, running: threading.Event) -> None:
        if not running.is_set():
            running.set()
            assert go.wait(20)

    def is_given_up() -> bool:
        """Whether it was joined in time: on a busy machine a caller may come after the deadline, and leads anew."""
        number, running = len(leaders), threading.Event()
        leaders.append(Running(lambda: load(number, running)))
        assert running.wait(20)
        try:
            load(number, running)
        except InflightTimeout:
            return True
        return False

    try:
        with freeze():  # first: it may take longer than the deadline
            until(is_given_up)
    finally:
        go.set()
        for leader in leaders:
            leader.result()


def test_a_soft_timeout_ends_within(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A caller who would rather have a stale value than wait has it while time is frozen."""
    go = threading.Event()
    clock = FakeClock()
    first = True

    @bounded(max=10, ttl=1, stale_if_error=10, soft_timeout=0.01, clock=lambda: clock())
    def load() -> str:
        nonlocal first
        if first:
            first = False
            return "stale"
        assert go.wait(20)
        return "new"

    load()
    clock.advance(2)
    try:
        with freeze():
            assert load() == "stale"
    finally:
        go.set()
    until(lambda: load() == "new")


def test_dates_are_real(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """The dates of events do not depend on whether the program's time was frozen as they happened."""
    before = datetime.now(UTC)

    @sliding_window("1h")
    def load() -> None:
        pass

    load()
    with freeze():
        load()
    dates = [event.at for event in load.window.events()]
    assert all(before <= at <= datetime.now(UTC) for at in dates)


@pytest.mark.parametrize("reading", [1e12, -1e12, 1e300, -1e300])
def test_dates_that_the_calendar_has_not(reading: float) -> None:
    """A clock that jumped, or counts no seconds, leads to the ends of the calendar, and not to an error."""
    time = 0.0

    own = Registry()

    @sliding_window("1h", clock=lambda: time, registry=own)
    def load() -> None:
        pass

    load()
    time = reading
    load()
    assert real.utc(reading) == (datetime.max.replace(tzinfo=UTC) if reading > 0 else datetime.min.replace(tzinfo=UTC))
    assert {event.at.year for event in load.window.events()} <= {1, 9999, datetime.now(UTC).year}
    assert len(load.window.series()) == 24
    load.window.stats(), load.window.errors(), str(own)


@pytest.mark.parametrize("stands", ["freezegun", "a mock"])
def test_what_a_clean_up_takes_is_real(stands: str) -> None:
    """A clean-up reads the time from no stand-in: neither is it told of years, nor does it use up a mock's answers."""
    if stands == "freezegun":
        pytest.importorskip("freezegun")
        frozen = freezegun(FUTURE, auto_tick_seconds=1000)
    else:
        frozen = mock.patch("time.perf_counter", side_effect=[1.0, 2.0])
    own = Registry()
    load = cached(registry=own)
    load(1)
    with frozen:
        begun = time.perf_counter()
        assert 0.0 <= own.cleanup().seconds < 60
        assert load.cache.cleanup() == 0
        passed = time.perf_counter() - begun
    # freezegun's clock goes ahead at any thread's look, so it says of the clean-up only that it looked at no other
    assert passed == 1.0 or (stands == "freezegun" and passed >= 1000)


SCRIPTS = {
    "freezegun": "import freezegun; freeze = freezegun.freeze_time('2080-05-05')",
    "freezegun, ticking": "import freezegun; freeze = freezegun.freeze_time('2080-05-05', tick=True)",
    "time-machine": "import time_machine; freeze = time_machine.travel('2080-05-05')",
    "a function": "from unittest import mock; freeze = mock.patch('time.monotonic', lambda: 4e9)",
    "a mock": "from unittest import mock; freeze = mock.patch('time.monotonic', return_value=4e9)",
    "a mock that runs out": "from unittest import mock; freeze = mock.patch('time.monotonic', side_effect=[4e9])",
    "a counter": "import itertools; from unittest import mock; "
    "freeze = mock.patch('time.monotonic', lambda c=itertools.count(10**9): next(c))",
}


@pytest.mark.parametrize("tool", SCRIPTS)
def test_imported_within(tool: str) -> None:
    """Where the package is imported while time is frozen, it finds the machine's clock all the same."""
    for module in ("freezegun", "time_machine"):
        if module in SCRIPTS[tool]:
            pytest.importorskip(module)
    script = f"""
        import time
        begun = time.monotonic()
        {SCRIPTS[tool]}
        with freeze:
            from memo import bounded, sliding_window
            @bounded(max=10, ttl="1h")
            @sliding_window("1h")
            def load(x): return x
            load(1)
            inside = load.cache.entry(1).age, load.window.count()
            import memo._cache.dump_values
        load(2)
        assert [key for key, _ in load.cache.items()] == [1, 2]
        assert 0 <= inside[0] < 60 and inside[1] == 1
        assert 0 <= load.cache.entry(1).age < 60 and load.window.count() == 2
        assert 3540 < load.cache.entry(1).expires_in <= 3600
        import datetime
        from memo._base.shortened import short_text
        assert type(load.window.events()[0].at) is datetime.datetime
        assert short_text(datetime.datetime(2024, 1, 1)) == "datetime.datetime(2024, 1, 1, 0, 0)"
        dump = memo._cache.dump_values
        assert dump.decoded(dump.encoded(datetime.datetime(2024, 1, 1))) == datetime.datetime(2024, 1, 1)
        from memo._base.real_time import real
        assert begun <= real.monotonic() <= time.monotonic()
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(script)], cwd=ROOT, timeout=60, check=True)


def test_a_clock_that_somebody_arranged_is_the_machine_s() -> None:
    """A ``time.monotonic`` that was exchanged before the import and keeps step is the one that is read."""
    script = """
        import time
        true = time.monotonic
        time.monotonic = arranged = lambda: true() + 1e9
        import memo._base.clock
        assert memo._base.clock.default_clock() is arranged
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, timeout=60, check=True)


def test_ordinarily_it_is_the_function_of_time() -> None:
    """Where nobody exchanged anything, time is read by the interpreter's own functions, at no detour."""
    script = """
        import time
        from memo._base.real_time import real
        assert real.monotonic is time.monotonic and real.wall is time.time and real.fine is time.perf_counter
    """
    subprocess.run([sys.executable, "-S", "-c", textwrap.dedent(script)], cwd=ROOT, timeout=60, check=True)


def test_no_module_holds_a_function_that_tells_the_time() -> None:
    """No module binds such a function to a name of its own, where freezegun would exchange it."""
    told = {id(getattr(time, name)) for name in ("monotonic", "time", "perf_counter", "monotonic_ns", "time_ns")}
    told |= {id(real.monotonic), id(real.fine), id(real.wall)}
    for info in pkgutil.walk_packages(memo.__path__, "memo."):
        if info.name == "memo.__main__" or info.name.startswith("memo._demo"):
            continue
        module: types.ModuleType = importlib.import_module(info.name)
        assert [name for name, value in vars(module).items() if id(value) in told] == [], info.name


# -- coroutines


async def turns() -> None:
    """Let the loop run whatever it takes to be due."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_loop_keeps_its_deadlines(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """After calls while time was frozen, later calls on the same loop are still given up at their deadline."""

    async def main() -> None:
        go = asyncio.Event()

        async def load(x: int, wait: bool) -> int:
            for _ in range(3):
                await asyncio.sleep(0)
            if wait:
                await go.wait()
            return x

        patient = dedupe_inflight(timeout=HANG_S)(load)  # on a busy machine even three turns may take long
        brief = dedupe_inflight(timeout=0.05)(load)
        with freeze():
            assert await patient(1, False) == 1
            begun = asyncio.create_task(brief(2, True))
            await turns()
        with pytest.raises(InflightTimeout):
            await begun
        with pytest.raises(InflightTimeout):
            await brief(3, True)

    asyncio.run(main())


def test_a_deadline_comes_within(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A coroutine that is stuck while time is frozen is given up, by its caller and by who joined it."""

    async def main() -> None:
        @dedupe_inflight(timeout=0.05)
        async def load() -> None:
            await asyncio.Event().wait()

        with freeze():
            results = await asyncio.gather(load(), load(), return_exceptions=True)
        assert [type(result) for result in results] == [InflightTimeout] * 2

    asyncio.run(main())


def test_a_deadline_does_not_come_early(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A coroutine that runs when time jumps goes on, and its callers with it."""

    async def main() -> None:
        go = asyncio.Event()

        @bounded(max=10, ttl="1h", timeout=100)
        async def load() -> int:
            await go.wait()
            return 7

        calls = [asyncio.create_task(load()) for _ in range(3)]
        await turns()
        with freeze():
            await turns()
            assert [call.done() for call in calls] == [False] * 3
        await turns()
        go.set()
        assert await asyncio.gather(*calls) == [7, 7, 7]
        assert load.inflight.stats().timeouts == 0

    asyncio.run(main())


def test_a_soft_timeout_of_a_coroutine(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A caller who would rather have a stale value than wait has it while time is frozen, but not for its jump."""

    async def main(soft: float, jumps: bool) -> None:
        go = asyncio.Event()
        clock = FakeClock()
        values = iter(["stale", "new"])

        @bounded(max=10, ttl=1, stale_if_error=10, soft_timeout=soft, clock=lambda: clock())
        async def load() -> str:
            value = next(values)
            if value == "new":
                await go.wait()
            return value

        await load()
        clock.advance(2)
        if jumps:
            call = asyncio.create_task(load())
            await turns()
            with freeze():
                await turns()
            await turns()
            assert not call.done()
            go.set()
            assert await call == "new"
        else:
            with freeze():
                assert await load() == "stale"
            go.set()
            await turns()

    asyncio.run(main(0.02, False))
    asyncio.run(main(100, True))

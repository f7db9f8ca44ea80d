"""Time that is advanced by hand."""

import asyncio
import gc
import threading
import time
from typing import Any

import pytest
from kit.coroutines import until_async
from kit.testing_kit import counted, layer, through
from kit.threads import Gate, Running, until

import memo._base.clock
import memo._window.intake
from memo import InflightTimeout, Registry, bounded, dedupe_inflight, sliding_window
from memo._decorated.stack import layers_of
from memo.testing import FakeClock

pytestmark = pytest.mark.usefixtures("_real_time_before_and_after")


# -- FakeClock


def test_drives_what_was_decorated_before() -> None:
    """An installed clock takes entries to the end of their lives, also those stored before it came."""
    f, original = counted(bounded(max=10, ttl="1h"))
    f(1)
    with FakeClock() as clock:
        clock.advance("59m59s")
        f(1)
        assert original.calls == 1
        clock.advance("1s")
        f(1)
        assert original.calls == 2


def test_drives_what_is_decorated_while_it_is_installed() -> None:
    """To a function born under the clock, an entry is fresh until exactly its ttl."""
    with FakeClock() as clock:
        f, original = counted(bounded(max=10, ttl="1h"))
        f(1)
        for _ in range(3599):
            clock.advance(1)
        f(1)
        assert original.calls == 1
        clock.advance(1)
        f(1)
        assert original.calls == 2


def test_drives_idle_times() -> None:
    """An entry that is not used for its idle time by the installed clock is loaded again."""
    f, original = counted(bounded(max=10, idle="10m"))
    f(1)
    with FakeClock() as clock:
        clock.advance("9m")
        f(1)
        clock.advance("9m")
        f(1)
        assert original.calls == 1
        clock.advance("10m")
        f(1)
        assert original.calls == 2


def test_drives_windows() -> None:
    """A window forgets by the installed clock what was recorded before and under it."""
    f, _ = counted(sliding_window("1h"))
    f(1)
    with FakeClock() as clock:
        clock.advance("30m")
        f(2)
        assert f.window.count() == 2
        clock.advance("30m")
        assert f.window.count() == 1
        clock.advance("30m")
        assert f.window.count() == 0


def test_drives_cleanup() -> None:
    """What the registry's clean-up takes for expired goes by the installed clock."""
    own = Registry()
    f, _ = counted(bounded(max=10, ttl="1h", registry=own))
    f(1)
    with FakeClock() as clock:
        assert own.cleanup().expired == 0
        clock.advance("1h")
        assert own.cleanup().expired == 1


def test_given_clock_is_kept() -> None:
    """A function that was given a clock does not follow the installed one."""
    given = FakeClock()
    f, original = counted(bounded(max=10, ttl="1h", clock=given))
    f(1)
    with FakeClock() as clock:
        clock.advance("1 day")
        f(1)
        assert original.calls == 1
    given.advance("1h")
    f(1)
    assert original.calls == 2


def test_real_time_comes_back() -> None:
    """Once uninstalled, functions read the real clock itself, those decorated meanwhile too."""
    before, _ = counted(bounded(max=10))
    with FakeClock() as clock:
        inside, _ = counted(bounded(max=10), sliding_window("1h"), dedupe_inflight)
        for part in (*layers_of(before), *layers_of(inside)):
            assert part.clock.read is part.read("clock") is clock
    after, _ = counted(bounded(max=10))
    for part in (*layers_of(before), *layers_of(inside), *layers_of(after)):
        assert part.clock.read is part.read("clock") is time.monotonic


def test_what_was_there_before_is_as_if_the_clock_had_never_been() -> None:
    """Entries stored before the clock came live in real time again, however far it was advanced."""
    f, original = counted(bounded(max=10, ttl="1h"))
    f(1)
    real = f.cache.entry(1)
    with FakeClock() as clock:
        clock.advance("2h")
        assert f.cache.entry(1) is None
    again = f.cache.entry(1)
    assert again is not None
    assert again.expires_in <= real.expires_in
    f(1)
    assert original.calls == 1


def test_nothing_outlives_its_ttl_for_having_been_made_in_a_test() -> None:
    """An entry stored under an advanced clock counts as stored when that clock is uninstalled."""
    with FakeClock() as real:
        f, original = counted(bounded(max=10, ttl="1h"))
        with FakeClock() as clock:
            clock.advance("1 day")
            f(1)
            clock.advance("30m")
        entry = f.cache.entry(1)
        assert (entry.age, entry.expires_in) == (0.0, 3600.0)
        real.advance("59m59s")
        f(1)
        assert original.calls == 1
        real.advance("1s")
        f(1)
        assert original.calls == 2


def test_last_use_under_an_advanced_clock_counts_as_now() -> None:
    """An entry used under an advanced clock is idle from when that clock is uninstalled."""
    with FakeClock() as real:
        f, original = counted(bounded(max=10, ttl="1 day", idle="1h"))
        f(1)
        with FakeClock() as clock:
            for _ in range(10):
                clock.advance("30m")
                f(1)
        assert f.cache.entry(1).age == 0.0
        real.advance("59m")
        assert len(f.cache) == 1
        real.advance("1m")
        assert f.cache.items() == []
        assert original.calls == 1


def test_window_goes_on_from_the_latest_time_it_has_seen() -> None:
    """A window keeps what was recorded under an advanced clock, for its whole span from when that clock went."""
    with FakeClock() as real:
        f, _ = counted(sliding_window("1h"))
        f(1)
        with FakeClock() as clock:
            clock.advance("45m")
            f(2)
        assert f.window.count() == 2
        real.advance("15m")
        assert f.window.count() == 1
        real.advance("44m")
        assert f.window.count() == 1
        real.advance("1m")
        assert f.window.count() == 0


def test_releases_a_thread_that_waited_before() -> None:
    """A clock that is installed while a thread waits for a running call ends that wait at its deadline."""
    gate = Gate()
    f, _ = counted(lambda load: dedupe_inflight(timeout=3600)(lambda x: through(gate, load(x))))
    leader = Running(lambda: f(1))
    until(lambda: f.inflight.pending())
    joiner = Running(lambda: f(1))
    until(lambda: f.inflight.stats().waiting == 1)
    with FakeClock() as clock:
        clock.advance("59m")
        assert f.inflight.cleanup() == 0
        clock.advance("1m")
        with pytest.raises(InflightTimeout):
            joiner.result()
    gate.open()
    assert leader.result() == (1, 1)


def test_releases_coroutines_that_waited_before() -> None:
    """A clock that is installed while coroutines wait for a running call ends it at its deadline."""

    @dedupe_inflight(timeout=3600)
    async def f(x: int) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        calls = [asyncio.create_task(f(1)) for _ in range(3)]
        await until_async(lambda: f.inflight.stats().waiting == 2)
        with FakeClock() as clock:
            assert clock.waiting() == 1
            clock.advance("1h")
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(answer) for answer in answers] == [InflightTimeout] * 3
            assert clock.waiting() == 0

    asyncio.run(main())


def test_uninstalled_clock_ends_nothing() -> None:
    """A call begun under the clock and still running is let go by it, and is no older than real time says."""
    clock = FakeClock()

    async def main() -> None:
        over = asyncio.Event()

        @dedupe_inflight(timeout=3600)
        async def f(x: int) -> int:
            await over.wait()
            return x

        with clock:
            clock.advance("1 day")
            call = asyncio.create_task(f(1))
            await until_async(lambda: f.inflight.pending())
            assert clock.waiting() == 1
        assert clock.waiting() == 0
        clock.advance("2h")
        assert 0.0 <= f.inflight.pending()[0].age < 3600
        over.set()
        assert await call == 1
        assert f.inflight.stats().timeouts == 0

    asyncio.run(main())


def test_clocks_nest() -> None:
    """Of two clocks the one installed last drives, from where the other stood; then the other goes on."""
    with FakeClock() as outer:
        f, original = counted(bounded(max=10, ttl="1h"))
        f(1)
        outer.advance("30m")
        with FakeClock() as inner:
            assert inner() == outer()
            outer.advance("1h")
            f(1)
            assert original.calls == 1
            inner.advance("30m")
            assert f.cache.entry(1) is None
        assert f.cache.entry(1) is None  # an hour and a half by the outer clock


def test_clocks_may_leave_in_any_order() -> None:
    """A clock that is uninstalled below another leaves that one in force."""
    first, second = FakeClock().install(), FakeClock().install()
    first.uninstall()
    assert memo._base.clock.default_clock() is second
    second.uninstall()
    assert memo._base.clock.default_clock() is time.monotonic


def test_is_installed_once() -> None:
    """A clock refuses to be installed twice; to uninstall it twice does nothing."""
    with FakeClock() as clock:
        with pytest.raises(RuntimeError, match=r"installed already; uninstall\(\) it first"):
            clock.install()
        clock.uninstall()
        clock.uninstall()
        assert memo._base.clock.default_clock() is time.monotonic


def test_uninstalled_by_an_exception() -> None:
    """The real time is back after a with statement that raised."""
    with pytest.raises(KeyError), FakeClock():
        raise KeyError
    assert memo._base.clock.default_clock() is time.monotonic


def test_time_does_not_go_back_at_installation() -> None:
    """Installing brings a clock to the present, and leaves one that is ahead where it is."""
    late, ahead = FakeClock(5.0), FakeClock(1e12)
    began = time.monotonic()
    with late:
        assert began <= late() <= time.monotonic() + 1 / 1024
        assert late() * 1024 == int(late() * 1024)
        with ahead:
            assert ahead() == 1e12


def test_installation_releases_the_waits_that_it_passes() -> None:
    """A wait on a clock of its own that lies before the present ends when that clock is installed."""
    clock = FakeClock(0.0)
    rung: list[int] = []
    clock.call_at(0.001, lambda: rung.append(1))
    with clock:
        assert rung == [1]


def test_advances_of_two_threads_add_up() -> None:
    """Time advanced from several threads at once is the sum of what each asked for."""
    clock = FakeClock(0.0)
    threads = [Running(lambda: [clock.advance(1) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.result()
    assert clock() == 2000.0


def test_decorating_while_a_clock_comes_and_goes() -> None:
    """Functions decorated in other threads while clocks are installed and uninstalled read real time in the end."""
    stop = threading.Event()
    made: list[list[Any]] = [[], []]

    def decorate(functions: list[Any]) -> None:
        while not stop.is_set() or len(functions) < 20:
            functions.append(counted(bounded(max=1))[0])

    threads = [Running(lambda functions=functions: decorate(functions)) for functions in made]
    for _ in range(50):
        with FakeClock():
            pass
    stop.set()
    for thread in threads:
        thread.result()
    reads = {(layer(f).clock.read, layer(f).read("clock")) for functions in made for f in functions}
    assert reads == {(time.monotonic, time.monotonic)}


def test_dead_functions_are_not_kept() -> None:
    """A clock keeps none of the functions alive that it drives."""
    gc.collect()
    with FakeClock():
        before = len(memo._base.clock.following_default)
        f, _ = counted(bounded(max=10))
        f(1)  # until then it has looked at no clock
        assert len(memo._base.clock.following_default) == before + 1
        del f
        gc.collect()
        assert len(memo._base.clock.following_default) == before

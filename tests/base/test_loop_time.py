"""Timers of event loops ring after so much real time, whatever a test does to the time that the loop reads."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from kit.freezes import FREEZES
from kit.threads import LIMIT_S

from memo._base import loop_time
from memo._base.loop_time import call_elsewhere, call_in, now_of
from memo._base.real_time import real

SOON_S = 0.03
LATER_S = 100.0


async def turns() -> None:
    """Let the loop ring whatever it takes to be due."""
    for _ in range(5):
        await asyncio.sleep(0)


def play(main: Callable[[list[int]], Any]) -> list[int]:
    rung: list[int] = []
    asyncio.run(main(rung))
    return rung


async def rings(rung: list[int]) -> None:
    ends = real.monotonic() + 20
    while not rung:
        assert real.monotonic() < ends, "the timer never rang"
        await asyncio.sleep(0)


def test_asked_for_within(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A timer that is asked for while time is frozen rings while it is."""

    async def main(rung: list[int]) -> None:
        with freeze():
            begun = real.monotonic()
            call_in(asyncio.get_running_loop(), SOON_S, rung.append, 1)
            await rings(rung)
            assert real.monotonic() - begun > SOON_S / 2

    assert play(main) == [1]


def test_asked_for_within_and_due_after(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A timer that is asked for while time is frozen is not lost when it is not any more."""

    async def main(rung: list[int]) -> None:
        with freeze():
            call_in(asyncio.get_running_loop(), SOON_S, rung.append, 1)
            await turns()
        await rings(rung)

    assert play(main) == [1]


def test_does_not_ring_early(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A timer that waits while time jumps ahead goes on waiting."""

    async def main(rung: list[int]) -> None:
        late = call_in(asyncio.get_running_loop(), LATER_S, rung.append, 2)
        with freeze():
            await turns()
        await turns()
        assert rung == []
        late.cancel()

    assert play(main) == []


def test_rings_although_time_jumped(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A timer that time jumped past, or back behind, rings when it is due, within or after."""
    for outlasts in (True, False):

        async def main(rung: list[int], outlasts: bool = outlasts) -> None:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            call_in(loop, SOON_S, rung.append, 1)
            with freeze():
                await turns()
                # where its time jumped back: only the loop looks at its timer, and by its time it is not due
                if outlasts and loop.time() >= begun:
                    await rings(rung)
            await rings(rung)

        assert play(main) == [1]


def test_cancelled(freeze: Callable[[], AbstractContextManager[object]]) -> None:
    """A cancelled timer rings no more, and keeps neither what it would have called nor a thread."""

    class Thing:
        def ring(self) -> None:
            raise AssertionError

    async def main(rung: list[int]) -> None:
        thing = Thing()
        gone = weakref.ref(thing)
        timer = call_in(asyncio.get_running_loop(), 0.0, thing.ring)
        with freeze():
            other = call_in(asyncio.get_running_loop(), LATER_S, thing.ring)
            timer.cancel()
            other.cancel()
            other.cancel()
            del thing
            await turns()
        gc.collect()
        assert gone() is None

    before = set(threading.enumerate())
    play(main)
    for thread in set(threading.enumerate()) - before:
        thread.join(20)


def test_closed_while_a_thread_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that is closed before its timer rings is left alone."""
    freezegun = pytest.importorskip("freezegun")
    closed, left_alone = threading.Event(), list[None]()

    def later(*args: Any) -> None:
        assert closed.wait(LIMIT_S)
        left_alone.append(call_elsewhere(*args))

    monkeypatch.setattr(loop_time, "call_elsewhere", later)
    before = set(threading.enumerate())

    async def main(rung: list[int]) -> None:
        with freezegun.freeze_time("2080-01-01"):
            call_in(asyncio.get_running_loop(), SOON_S, rung.append, 1)

    assert play(main) == []
    closed.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(LIMIT_S)
    assert left_alone == [None]


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose time runs as fast as it likes."""

    def time(self) -> float:
        return super().time() * 1e5


def test_a_loop_with_a_time_of_its_own() -> None:
    """Its time is believed: a hundred seconds of it are over at once."""

    async def main(rung: list[int]) -> None:
        loop = asyncio.get_running_loop()
        assert abs(now_of(loop) - loop.time()) < 1e5
        call_in(loop, 100.0, rung.append, 1)
        await rings(rung)

    rung: list[int] = []
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(main(rung))
    assert rung == [1]


def test_uvloop() -> None:
    """Its own clock is nobody's to exchange."""
    uvloop = pytest.importorskip("uvloop")

    async def main(rung: list[int]) -> None:
        with FREEZES["exchanged, ahead"]():
            call_in(asyncio.get_running_loop(), SOON_S, rung.append, 1)
            await rings(rung)

    rung: list[int] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(rung))
    assert rung == [1]

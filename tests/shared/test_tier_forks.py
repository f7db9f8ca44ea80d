"""A forked child goes on with a tier where its copy of the stores stood, and its parent is not disturbed."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from kit.lines import Heard
from kit.processes import HANG_S, fork, in_a_child, status_of
from kit.servers import Room
from kit.threads import Gate, Running, until

from memo import bounded
from memo.shared import Tier
from memo.shared._names import function_label

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


class Process:
    """A tier and a function of it, as one process has them."""

    def __init__(self, room: Room, before: Callable[[Tier], object] = lambda tier: None) -> None:
        self.tier = Tier(room.url, prefix=room.prefix, timeout="2s", lease="10s")
        before(self.tier)
        self.gate: Gate | None = None
        self.loads = 0

        @bounded(max=100, ttl="1h", shared=self.tier, name="f")
        def f(key: object) -> object:
            self.loads += 1
            if self.gate is not None:
                self.gate.wait()
            return [key, os.getpid()]

        self.f = f

    def has(self, key: object) -> bool:
        return self.f.cache.entry(key) is not None


@pytest.fixture
def processes(valkey: Room) -> Iterator[tuple[Process, Process]]:
    one, other = Process(valkey), Process(valkey)
    with one.tier, other.tier:
        yield one, other


def waited(condition: Callable[[], object]) -> bool:
    until(condition)
    return True


def test_child_hears_though_it_only_hits(processes: tuple[Process, Process]) -> None:
    """Its copy of the store is told of what others change, before it has asked for anything."""
    one, other = processes
    one.f(1), one.f(2)
    read, write = os.pipe()

    def child() -> bool:
        os.read(read, 1)  # until somebody has changed something
        return waited(lambda: not one.has(1)) and one.has(2)

    forked = fork(child)
    other.f.cache.invalidate(1)
    os.write(write, b"x")
    assert status_of(forked) == 0
    os.close(read)
    os.close(write)


def test_child_applies_what_its_parent_was_just_at(valkey: Room) -> None:
    """A message that the parent's thread had read, and not applied yet, is not lost for the child."""
    parent, gate = os.getpid(), Gate()

    def hang(_: object) -> None:
        if os.getpid() == parent:
            gate.wait()

    first = Heard(hang)
    one = Process(valkey, lambda tier: tier._line.follow(function_label("f", ""), first))
    other = Process(valkey)
    with one.tier, other.tier:
        one.f(1)
        other.f.cache.invalidate(1)
        gate.reached()
        assert one.has(1)
        assert in_a_child(lambda: waited(lambda: not one.has(1)) and one.tier.stats().gaps == 0) == 0
        gate.open()
        until(lambda: not one.has(1))


def test_parent_is_told_by_its_child(processes: tuple[Process, Process]) -> None:
    """They are two processes: what the child changes its parent drops, and its own reads are right."""
    one, _ = processes
    one.f(1)
    thread = one.tier._line._thread.thread

    def child() -> bool:
        one.f.cache.invalidate(1)
        return bool(one.f(1) == [1, os.getpid()])

    assert in_a_child(child) == 0
    one.tier.catch_up()
    assert not one.has(1)
    assert one.f(1) != [1, os.getpid()]
    stats = one.tier.stats()
    assert (stats.reconnects, stats.gaps, stats.opened) == (0, 0, 0)
    assert one.tier._line._thread.thread is thread


@pytest.mark.parametrize("used", [True, False], ids=["used before", "not used"])
def test_child_of_a_program_that_does_not_tell(processes: tuple[Process, Process], *, used: bool) -> None:
    """Its first question tells that it is a process of its own: it has its own connections, and hears the others."""
    one, _ = processes
    if used:
        assert one.f("x") == ["x", os.getpid()]
    reading, writing = os.pipe()

    def act(number: int) -> bool:
        for each in range(100):
            assert one.f((number, each)) == [(number, each), os.getpid()]
        assert one.f("x") is not None
        os.write(writing, b"+")
        until(lambda: not one.has("x"))
        return one.f.cache.stats().l2_errors == one.tier.stats().gaps == 0

    children = [fork(partial(act, number), untold=True) for number in range(3)]
    os.close(writing)
    for each in range(100):  # at the same time, on connections of its own
        assert one.f(("parent", each)) == [("parent", each), os.getpid()]
    assert b"".join([os.read(reading, 1) for _ in children]) == b"+++"
    one.f.cache.invalidate("x")
    assert [status_of(child) for child in children] == [0, 0, 0]
    assert one.f.cache.stats().l2_errors == one.tier.stats().gaps == 0
    os.close(reading)


def test_leases_are_the_parents(processes: tuple[Process, Process], valkey: Room) -> None:
    """A child has none, and its end gives none back; the parent's load is stored."""
    one, other = processes
    one.f(0)
    one.gate = Gate()
    loading = Running(lambda: one.f(1))
    one.gate.reached()

    def child() -> bool:
        one.tier.close()
        return one.tier.stats().leases == 0

    assert in_a_child(child) == 0
    assert one.tier.stats().leases == 1
    one.gate.open()
    loading.join()
    assert other.f(1) == [1, os.getpid()]
    assert other.loads == 0


def test_child_of_a_tier_that_was_not_used(processes: tuple[Process, Process]) -> None:
    """It opens nothing either, before its first call."""
    one, other = processes

    def child() -> bool:
        if one.tier.stats().connections or any(thread.name == "memo-shared" for thread in threading.enumerate()):
            return False
        return bool(one.f(1) == other.f(1))

    assert in_a_child(child) == 0


def test_child_of_a_closed_tier(processes: tuple[Process, Process]) -> None:
    """It is closed there, too."""
    one, _ = processes
    one.f(1)
    one.tier.close()
    assert in_a_child(lambda: one.tier.state == "down" and one.f(2) == [2, os.getpid()]) == 0


def run(process: Process, answers: Any) -> None:
    answers.send(process.f(1))
    process.f.cache.put([1, "put"], 1)


def test_children_of_multiprocessing(processes: tuple[Process, Process]) -> None:
    """Children that multiprocessing forks are processes like others."""
    one, _ = processes
    first = one.f(1)
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    child: Any = context.Process(target=run, args=(one, theirs))
    child.start()
    assert mine.recv() == first
    child.join(20)
    assert child.exitcode == 0
    one.tier.catch_up()
    assert one.f(1) == [1, "put"]


def test_grandchild_hears(processes: tuple[Process, Process]) -> None:
    """A child of a child goes on where its own parent stood."""
    one, other = processes
    one.f(1)

    def child() -> bool:
        other.f.cache.invalidate(1)
        return in_a_child(lambda: waited(lambda: not one.has(1))) == 0 and waited(lambda: not one.has(1))

    assert in_a_child(child) == 0


class Leaving:
    """Changes results in an event loop, as a process of multiprocessing does that ends right behind it.

    As it ends it takes no longer than its ``timeout``, which is far more than three hundred changes take.
    """

    def __init__(self, room: Room) -> None:
        self.url, self.prefix = room.url, room.prefix

    def __call__(self) -> None:
        asyncio.run(self._change())

    async def _change(self) -> None:
        tier = Tier(self.url, prefix=self.prefix, timeout="15s", lease="1m")
        f = bounded(max=1_000, ttl="1h", shared=tier, name="f")(str)
        f.cache.invalidate(0)
        for key in range(1, 300):
            f.cache.put(str(key), key)


@pytest.mark.parametrize("how", ["fork", "forkserver", "spawn"])
def test_worker_of_multiprocessing_has_said_all_as_it_ends(valkey: Room, how: Any) -> None:
    """It ends past the functions of atexit, and what its event loop left to the tier's thread is delivered before."""
    with Tier(valkey.url, prefix=valkey.prefix, timeout="2s") as tier:
        tier.catch_up("10s")
        worker = multiprocessing.get_context(how).Process(target=Leaving(valkey))
        worker.start()
        worker.join(HANG_S)
        assert worker.exitcode == 0
        tier.catch_up("10s")
        assert tier.stats().received == 300

"""Processes that share a tier on a real server: one load for all, and changes that reach all."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.crews import Worker, crew
from kit.servers import Room
from kit.shops import Shop
from kit.threads import until
from kit.truths import Truth

pytest.importorskip("redis")

LEASE_S = 2.5  # longer than a busy machine keeps the thread that renews it from its work


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    """Versions of two hundred numbers."""
    return Truth(tmp_path / "truth", 200)


def of(truth: Truth) -> tuple[Path, int]:
    return truth.path, truth.keys


def loads(workers: list[Worker]) -> list[int]:
    return [worker.call("loads") for worker in workers]


# -- one load for all


@pytest.mark.parametrize(("how", "processes", "awaited"), [("forkserver", 8, False), ("spawn", 3, True)])
def test_a_stampede_is_one_load(valkey: Room, how: str, processes: int, awaited: bool) -> None:
    """Callers in processes that have just started, all at once, have one execution, and all get what it returned."""
    with crew(processes, Shop, valkey.url, valkey.prefix, load_s=0.1, awaited=awaited, how=how) as workers:
        for worker in workers:
            worker.begin("crowd", 7, 25)
        assert [worker.answer() for worker in workers] == [[7] * 25] * processes
        assert sum(loads(workers)) == 1


def test_the_lease_of_a_dead_leader_ends(valkey: Room) -> None:
    """Who waits for a process that is killed in mid-load leads when its lease has ended."""
    with crew(2, Shop, valkey.url, valkey.prefix, lease=LEASE_S) as (leader, waiter):
        _begin_both(leader, waiter)
        leader.kill()
        assert waiter.reached() == 1
        waiter.open()
        assert waiter.answer() == 1


def test_a_leader_that_was_stopped_is_refused(valkey: Room, truth: Truth) -> None:
    """One that wakes up after another process has loaded stores nothing, here or there; its caller gets its value."""
    with crew(2, Shop, valkey.url, valkey.prefix, of(truth), lease=LEASE_S) as (leader, waiter):
        _begin_both(leader, waiter)
        truth.change(1)  # which the leader has not read any more
        leader.pause()
        assert waiter.reached() == 1
        waiter.open()
        assert waiter.answer() == 1
        leader.open()
        leader.go_on()
        assert leader.answer() == 0
        assert leader.call("stats", "l2_refused") == 1
        assert not leader.call("has", 1)
        assert (leader.call("read", 1), waiter.call("read", 1)) == (1, 1)
        assert loads([leader, waiter]) == [1, 1]


def test_a_load_may_take_longer_than_its_lease(valkey: Room) -> None:
    """As long as its process lives the lease is renewed, and nobody else loads."""
    with crew(2, Shop, valkey.url, valkey.prefix, lease=LEASE_S) as (leader, waiter):
        _begin_both(leader, waiter)
        ends = time.perf_counter() + 1.5 * LEASE_S
        until(lambda: time.perf_counter() > ends)
        assert waiter.is_busy()
        assert not waiter.stands()
        leader.open()
        assert (leader.answer(), waiter.answer()) == (1, 1)
        assert loads([leader, waiter]) == [1, 0]


def test_each_waiter_leads_in_its_turn_where_loads_fail(valkey: Room) -> None:
    """The exception is the leader's; the next process loads, long before the lease would have ended."""
    with crew(2, Shop, valkey.url, valkey.prefix, lease="60s") as (leader, waiter):
        _begin_both(leader, waiter)
        leader.open("fail")
        with pytest.raises(AssertionError, match="LookupError: no price of 1"):
            leader.answer()
        assert waiter.reached() == 1
        waiter.open()
        assert waiter.answer() == 1


def _begin_both(leader: Worker, waiter: Worker) -> None:
    """Have one load, and stand there, and the other wait for it."""
    for worker in (leader, waiter):
        worker.call("stand", True)
    leader.begin("read", 1)
    assert leader.reached() == 1
    waiter.begin("read", 1)


# -- what is changed anywhere is changed everywhere


CHANGES: dict[str, Callable[[Worker, int], Any]] = {
    "invalidate": lambda worker, value: worker.call("invalidate", 1),
    "put": lambda worker, value: worker.call("put", 1, value),
    "refresh": lambda worker, value: worker.call("refresh", 1),
    "clear": lambda worker, value: worker.call("clear"),
    "tag": lambda worker, value: worker.call("drop_tag", "prices"),
}


@pytest.mark.parametrize("awaited", [False, True], ids=["threads", "loops"])
def test_changes_reach_all_processes(valkey: Room, truth: Truth, awaited: bool) -> None:
    """Whatever changes a result in one process: both have the new one, and keep nothing older."""
    with crew(2, Shop, valkey.url, valkey.prefix, of(truth), awaited=awaited) as (one, other):
        for name, change in CHANGES.items():
            assert (one.call("read", 1), other.call("read", 1)) == (truth.read(1),) * 2, name
            version = truth.change(1)
            change(one, version)
            assert one.call("read", 1) == version, name
            other.call("catch_up")
            assert not other.call("has", 1), name
            assert other.call("read", 1) == version, name


def test_a_change_meets_loads_on_their_way(valkey: Room, truth: Truth) -> None:
    """A load that had begun before is refused: its callers get what it read, and nobody else does."""
    with crew(2, Shop, valkey.url, valkey.prefix, of(truth)) as (leader, other):
        leader.call("stand", True)
        leader.begin("read", 1)
        leader.reached()
        truth.change(1)
        other.call("invalidate", 1)
        leader.open()
        assert leader.answer() == 0
        assert not leader.call("has", 1)
        assert other.call("read", 1) == 1
        assert leader.call("read", 1) == 1
        assert loads([leader, other]) == [1, 1]

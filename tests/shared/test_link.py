"""One function's questions to its tier, of both colours: what they find, and whom they wait for."""

import asyncio
import gc
import time
from typing import Any

import pytest
from kit.links import Caller, MakeMember
from kit.servers import Room
from kit.threads import Running, until

from memo._cache import Found
from memo.shared._grants import HeldGrant

# -- what is found


def test_what_one_stores_others_find(member: MakeMember, caller: Caller) -> None:
    """A miss is granted; after it was stored all find the value, with its age and what is left of its life."""
    one, other = member().link(stale_s=30.0), member().link(stale_s=30.0)
    grant = caller.ask(one, ("k", 1), ["users"])
    assert isinstance(grant, HeldGrant)
    assert grant.stale is None
    assert caller.store(one, grant, {"a": (1, 2)}, 60.0)
    for link in (one, other):
        found = caller.ask(link, ("k", 1), ["users"])
        assert found.value == {"a": (1, 2)}
        assert 0 <= found.age_s < 20
        assert 40 < found.left_s <= 60.0
        assert found.age_s + found.left_s == pytest.approx(60.0, abs=0.002)
    assert one.figures()._replace(seconds=0) == (1, 1, 0, 0, 0, 0, 0, 0)
    assert other.figures()._replace(seconds=0) == (1, 0, 0, 0, 0, 0, 0, 0)
    assert one.figures().seconds > 0


def test_a_released_key_is_granted_again(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """A load that failed leaves its key to the next; what is released twice, or after it was stored, is nothing."""
    one, other = member().link(), member().link()
    grant = caller.ask(one)
    one.release(grant)
    one.release(grant)
    again = caller.ask(other)
    assert isinstance(again, HeldGrant)
    assert not caller.store(one, grant, "late")
    assert caller.store(other, again, "good")
    other.release(again)
    assert caller.ask(one).value == "good"
    assert valkey.leases() == []


def test_a_grant_that_nobody_has_is_given_back(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """Whoever loses his grant loses the lease with it."""
    grant = caller.ask(member().link())
    assert len(valkey.leases()) == 1
    del grant
    gc.collect()
    until(lambda: valkey.leases() == [])


def test_a_stale_value_comes_along(member: MakeMember, caller: Caller) -> None:
    """Past its ttl, within the stale window, a value is no answer, but is there in case the load fails."""
    one, other = member().link(stale_s=60.0), member().link(stale_s=60.0)
    caller.load(one, "old", life_s=0.001)
    asked: list[Any] = [None]

    def is_past() -> bool:
        asked.append(caller.ask(other))
        return isinstance(asked[-1], HeldGrant)

    until(is_past)
    stale = asked[-1].stale
    assert stale.value == "old"
    assert stale.left_s <= 0
    assert stale.age_s >= 0.001
    assert other.figures().misses >= 1


def test_local_ttl_shortens_what_is_left(member: MakeMember, caller: Caller) -> None:
    """What is found is kept for ``local_ttl`` at most; what is stored lives as long as the loader said."""
    one, other = member().link(), member().link(local_ttl=5)
    caller.load(one, "v", life_s=60.0)
    assert caller.ask(other).left_s == 5
    assert other.local_s == 5
    assert caller.ask(one).left_s > 5


def test_a_life_of_ages_is_shared_for_long(member: MakeMember, caller: Caller) -> None:
    """A ``ttl`` beyond what a server can count is cut to what it can."""
    one, other = member().link(stale_s=1e300), member().link(stale_s=1e300)
    caller.load(one, "v", life_s=1e300)
    assert caller.ask(other).left_s > 1e8
    one.put("k", "w", 1e200, ())
    assert caller.ask(other).value == "w"


# -- others


def test_who_comes_meanwhile_waits_for_the_value(member: MakeMember, caller: Caller) -> None:
    """Two processes ask for what a third loads: both get what it stores, and none of them is granted the key."""
    loader, *waiters = (member().link() for _ in range(3))
    grant = caller.ask(loader)
    waiting = [Running(lambda link=link: caller.ask(link)) for link in waiters]
    until(lambda: all(link.figures().waits == 1 for link in waiters))
    assert caller.store(loader, grant, "loaded")
    assert [one.result().value for one in waiting] == ["loaded", "loaded"]
    assert {link.figures()._replace(seconds=0) for link in waiters} == {(1, 0, 1, 0, 0, 0, 0, 0)}
    assert all(link.figures().seconds < 10 for link in waiters)


def test_the_next_in_turn_leads_if_a_load_fails(member: MakeMember, caller: Caller) -> None:
    """Of those who wait for a load that fails one is granted the key, and the others wait for that one."""
    loader, *waiters = (member().link() for _ in range(3))
    grant = caller.ask(loader)
    answers: list[Any] = []
    waiting = [Running(lambda link=link: answers.append(caller.ask(link))) for link in waiters]
    until(lambda: all(link.figures().waits == 1 for link in waiters))
    loader.release(grant)
    until(lambda: answers)
    leader = next(link for link in waiters if link.figures().misses == 1)
    assert caller.store(leader, answers[0], "second")
    for one in waiting:
        one.join()
    assert answers[1].value == "second"
    assert sum(link.figures().misses for link in waiters) == 1


def test_a_lease_whose_process_died_ends(member: MakeMember, caller: Caller) -> None:
    """A lease that nobody renews ends by itself, and one who waits leads; nobody says so."""
    dead, alive = member(timeout_s=2.0).link(lease=2.5), member().link()
    grant = caller.ask(dead)
    grant.close()  # as if its process were gone: it is neither renewed nor given back
    waiting = Running(lambda: caller.ask(alive))
    until(lambda: alive.figures().waits == 1)
    assert isinstance(waiting.result(), HeldGrant)
    assert not caller.store(dead, grant, "late")


def test_a_load_whose_loop_was_closed_keeps_nobody_waiting(member: MakeMember, caller: Caller) -> None:
    """Its lease is given back within a third of its life, though nothing of it was collected, and nobody asked."""
    loader, waiter = member().link(lease=6.0), member().link(lease=60.0)
    grant = asyncio.run(loader.ask_awaited("k", ()))
    assert isinstance(caller.ask(waiter), HeldGrant)
    assert waiter.figures().waits == 1
    assert grant.is_open, "it was not this that has given it back"


def test_a_load_longer_than_its_lease_keeps_it(member: MakeMember, caller: Caller, valkey: Room) -> None:
    """The line's thread renews the lease for as long as the load takes, so that others go on waiting."""
    # long enough that a busy machine stops that thread for less
    loader, waiter = member(timeout_s=2.0).link(lease=2.5), member().link()
    grant = caller.ask(loader)
    waiting = Running(lambda: caller.ask(waiter))
    ends = time.monotonic() + 3.5
    until(lambda: time.monotonic() > ends)
    assert waiter.figures().waits == 1
    assert caller.store(loader, grant, "v")
    assert waiting.result().value == "v"


def test_one_waits_so_long_and_then_loads_alone(member: MakeMember, caller: Caller) -> None:
    """After ``wait``, or at once with ``wait=0``, the answer is to load alone; the other load goes on undisturbed."""
    loader = member().link()
    grant = caller.ask(loader)
    for wait in (0, 0.05):
        link = member().link(wait=wait)
        assert caller.ask(link) is None
        assert link.figures()._replace(seconds=0) == (0, 1, 1, 0, 0, 0, 0, 0)
    assert caller.store(loader, grant, "v")


def test_no_event_loop_is_held_up_by_another_load(member: MakeMember) -> None:
    """A plain function's question in a loop's thread does not wait: the other process may need that loop."""
    loader, link = member().link(), member().link()
    grant = loader.ask("k", ())

    async def ask() -> Any:
        return link.ask("k", ())

    assert asyncio.run(ask()) is None
    assert link.figures()._replace(seconds=0) == (0, 1, 0, 0, 0, 0, 0, 0)
    assert loader.store(grant, "v", 60.0)


def test_a_load_that_nobody_waits_for_here_is_taken_over(member: MakeMember, caller: Caller) -> None:
    """Who asks while his own process holds the lease (its flight was detached) does not wait: the lease goes over."""
    link = member().link()
    stuck = caller.ask(link)
    fresh = caller.ask(link)
    assert isinstance(fresh, HeldGrant)
    assert not caller.store(link, stuck, "old")
    assert caller.store(link, fresh, "new")
    assert caller.ask(link).value == "new"
    assert link.figures()._replace(seconds=0) == (1, 2, 0, 0, 0, 1, 0, 0)


# -- many at once


def test_one_link_serves_many_threads_and_loops(member: MakeMember) -> None:
    """Threads and several loops ask one link for the same keys at once; each gets the right values, none an error."""
    link = member().link()
    for number in range(20):
        link.put(number, {"n": number}, 60.0, ())
    wrong: list[Any] = []

    def check(number: int, found: Any) -> None:
        if not isinstance(found, Found) or found.value != {"n": number}:
            wrong.append((number, found))

    def in_thread() -> None:
        for number in range(20):
            check(number, link.ask(number, ()))

    async def one(number: int) -> None:
        check(number, await link.ask_awaited(number, ()))

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(20) for _ in range(3)))

    calls = [Running(in_thread) for _ in range(4)] + [Running(lambda: asyncio.run(all_of_them())) for _ in range(3)]
    for call in calls:
        call.result()
    assert wrong == []
    assert link.figures()._replace(seconds=0) == (4 * 20 + 3 * 60, 0, 0, 0, 0, 0, 0, 0)

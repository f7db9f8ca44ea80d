"""What a forked child does with entries whose values are its parent's."""

import itertools
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.bounded import POLICIES, check
from kit.leased import Cache, Client, Closer
from kit.processes import fork, in_a_child, status_of
from kit.strikes import Struck, strike

from memo import Registry, bounded

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


def holds(*conditions: object) -> bool:
    """Whether all are true; a child shows which is not."""
    if not all(conditions):
        sys.stderr.write(f"not true: {[i for i, condition in enumerate(conditions) if not condition]}\n")
    return all(conditions)


WAYS: dict[str, Callable[[Cache], int]] = {
    "handle": lambda cache: cache.fetch.cache.forget_inherited(),
    "registry": lambda cache: cache.registry.forget_inherited(),
    "view": lambda cache: cache.registry.select("*fetch").forget_inherited(),
    "record": lambda cache: cache.registry[cache.fetch].cache.forget_inherited(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_child_forgets_what_its_parent_owns_and_keeps_its_own(way: str) -> None:
    """Inherited entries go without on_evict; what the child stored, by a clock that stands still, is told as ever."""
    cache = Cache(max=10)
    mine = cache.fetch("a"), cache.fetch("b")
    cache.fetch("a")
    before = cache.fetch.cache.stats()

    def act() -> bool:
        own = cache.fetch("c")
        dropped = WAYS[way](cache)
        after = cache.fetch.cache.stats()
        again = WAYS[way](cache)
        new = cache.fetch("a")
        cache.fetch.cache.clear()
        return holds(
            (dropped, again) == (2, 0),
            (after.size, after.hits, after.misses) == (1, before.hits, before.misses + 1),
            after.evictions == before.evictions,
            not mine[0].closed and not mine[1].closed,
            new is not mine[0] and new.closed == own.closed == 1,
        )

    assert in_a_child(act) == 0
    assert cache.fetch("a") is mine[0], "the parent has what it had"
    assert WAYS[way](cache) == 0, "a parent inherited nothing"
    cache.fetch.cache.clear()
    assert [client.closed for client in mine] == [1, 1]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("drop", [False, True])
def test_the_store_is_whole_afterwards_under_every_policy(policy: Any, drop: bool) -> None:
    """Sums, tags and order follow, and the child evicts its own from then on."""
    options = {"tags": lambda name: ["all"], "max_bytes": 4000, "sizeof": lambda client: 10} if drop else {}
    cache = Cache(policy=policy, max=4, fork="drop" if drop else "keep", **options)
    for i in range(9):
        cache.fetch(f"parent's {i}")
    cache.closer.take()

    def act() -> bool:
        dropped = cache.fetch.cache.forget_inherited()
        check(cache.fetch)
        empty = len(cache.fetch.cache)
        for i in range(9):
            cache.fetch(f"child's {i}")
        check(cache.fetch)
        told = cache.closer.take()
        tagged = cache.registry.invalidate(tag="all")
        return holds(
            dropped == (0 if drop else 4),
            empty == 0,
            len(told) >= 5 and not any("parent" in key for key, _, _ in told),
            not drop or tagged == len(cache.closer.told),
        )

    assert in_a_child(act) == 0
    assert len(cache.fetch.cache) == 4


def test_a_child_of_a_child_forgets_what_both_own() -> None:
    """For each process inherited is what was there at its own fork."""
    cache = Cache(max=10)
    cache.fetch("grandparent")

    def act() -> bool:
        cache.fetch("parent")

        def act_within() -> bool:
            cache.fetch("child")
            return holds(cache.fetch.cache.forget_inherited() == 2, list(cache.fetch.cache) == ["child"])

        return holds(in_a_child(act_within) == 0, cache.fetch.cache.forget_inherited() == 1)

    assert in_a_child(act) == 0


def test_without_on_evict_the_child_forgets_all_the_same() -> None:
    """Of a function that tells nobody, too, what is older than the fork goes."""

    @bounded(max=5, cache_errors=ValueError, error_ttl=60)
    def fetch(name: str) -> str:
        if name == "bad":
            raise ValueError(name)
        return name

    fetch("a")
    with pytest.raises(ValueError, match="bad"):
        fetch("bad")

    def act() -> bool:
        fetch("b")
        return holds(fetch.cache.forget_inherited() == 1, list(fetch.cache) == ["b"], len(fetch.cache) == 1)

    assert in_a_child(act) == 0


class Host:
    """Has clients."""

    closer = Closer()

    @bounded(max=10, on_evict=closer)
    def fetch(self, name: str) -> Client:
        return Client(name)


def test_instances_that_die_in_the_child() -> None:
    """By a method's handle those of one instance are forgotten; what is left of another is told when that dies."""
    one, other = Host(), Host()
    one.fetch("one")
    other.fetch("other")

    def act() -> bool:
        nonlocal one, other
        dropped = one.fetch.cache.forget_inherited()
        dead = weakref.ref(one), weakref.ref(other)
        del one, other
        return holds(
            dropped == 1,
            dead[0]() is dead[1]() is None,
            Host.closer.take() == [("other", "other", "collected")],
        )

    assert in_a_child(act) == 0


@pytest.mark.parametrize("drop", [False, True])
def test_leases_that_a_child_inherited(drop: bool) -> None:
    """What is leased is the parent's like the rest: in the child neither its end nor anything else tells of it."""
    cache = Cache(max=10, fork="drop" if drop else "keep")
    lease, other = cache.fetch.cache.lease("a"), cache.fetch.cache.lease("b")
    a, b = lease.__enter__(), other.__enter__()

    def act() -> bool:
        cache.fetch.cache.invalidate("b")
        cache.fetch.cache.forget_inherited()
        lease.__exit__(None, None, None)
        other.__exit__(None, None, None)
        cache.fetch.cache.clear()
        with cache.fetch.cache.lease("a") as own:
            cache.fetch.cache.clear()
            waits = own.closed == 0
        return holds(not a.closed, not b.closed, waits, own.closed == 1, cache.fetch.cache.stats().leases == 0)

    assert in_a_child(act) == 0
    cache.fetch.cache.clear()
    lease.__exit__(None, None, None)
    assert (a.closed, b.closed) == (1, 0)
    other.__exit__(None, None, None)
    assert (a.closed, b.closed) == (1, 1)


def test_values_that_a_child_drops_may_do_as_they_like_as_they_die() -> None:
    """With fork="drop" finalizers run when no lock of the package is held, and may use the cache."""
    registry = Registry()
    seen: list[int] = []

    class Final:
        def __del__(self) -> None:
            seen.append(len(fetch.cache))
            lock = fetch.__memo_record__.parts[0].cache.store.lock  # type: ignore[attr-defined]
            assert not lock._is_owned()
            fetch("of a finalizer")

    @bounded(max=10, fork="drop", registry=registry)
    def fetch(name: str) -> Any:
        return Final() if name == "a" else name

    fetch("a")

    def act() -> bool:
        return holds(seen == [0], list(fetch.cache) == ["of a finalizer"])

    child = fork(act)
    assert status_of(child) == 0
    assert seen == []
    fetch.cache.put("something else", "a")
    registry.clear()


def test_a_clock_that_raises_in_the_child_breaks_no_fork(caplog: pytest.LogCaptureFixture) -> None:
    """What was inherited cannot be told then, and is kept."""
    fails = False

    def clock() -> float:
        if fails:
            raise OSError("no time")
        return 1.0

    @bounded(max=10, fork="drop", clock=clock)
    def fetch(name: str) -> str:
        return name

    fetch("a")
    fails = True

    def act() -> bool:
        nonlocal fails
        fails = False
        return holds(len(fetch.cache) == 1, "could not be renewed" in caplog.text)

    assert in_a_child(act) == 0


@pytest.mark.parametrize("policy", ["adaptive", "lru", "lirs"])
def test_cut_short_it_is_done_by_the_next(policy: Any) -> None:
    """Wherever an exception strikes, nobody is told, the store is whole, and once more drops the rest."""
    for at in itertools.count(0, 3):
        cache = Cache(policy=policy, max=4)
        for name in "abc":
            cache.fetch(name)
        cache.fetch.__memo_record__.parts[0].cache.inherited.renew()  # as in a child
        lease = cache.fetch.cache.lease("a")
        lease.__enter__()
        cache.fetch.cache.invalidate("a")
        where, raised = strike(lambda cache=cache: cache.fetch.cache.forget_inherited(), at)  # type: ignore[misc]
        check(cache.fetch)
        cache.fetch.cache.forget_inherited()
        assert len(cache.fetch.cache) == 0, where
        assert cache.closer.told == [], where
        lease.__exit__(None, None, None)
        if where is None:
            assert at > 30
            break
        assert raised is None or isinstance(raised, Struck), "of strikes in finalizers nobody learns"

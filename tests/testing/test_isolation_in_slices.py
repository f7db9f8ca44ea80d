"""isolated() of what has many entries that are listed with instances: slice by slice, and nobody notices."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from kit.large import all_large
from kit.own_policies import POLICIES
from kit.testing_kit import check

from memo import EvictionReason, Registry, bounded
from memo._base import pacing
from memo._store.owners import Listing, Owners
from memo.testing import isolated

MOST = 4
MANY = 30


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of more than four entries are large, and slices have four."""
    all_large(monkeypatch, MOST)


class World:
    """A method with many entries, and what it was called for."""

    def __init__(self, is_async: bool = False, **options: Any) -> None:
        self.loads: list[int] = []
        self.told: list[tuple[Any, EvictionReason]] = []
        world = self
        keep: Any = bounded(max=1_000, registry=Registry(), on_evict=self.tell, **options)

        class Service:
            if is_async:

                @keep
                async def fetch(self, x: int) -> int:
                    world.loads.append(x)
                    return x
            else:

                @keep
                def fetch(self, x: int) -> int:
                    world.loads.append(x)
                    return x

        self.method: Any = Service.fetch
        self.store = self.method.cache._cache.store
        self.one: Any = Service()
        self.two: Any = Service()
        self.is_async = is_async
        for x in range(MANY):
            self.call(self.one, x), self.call(self.two, x)

    def tell(self, key: Any, value: Any, reason: EvictionReason) -> None:
        self.told.append((key, reason))

    def call(self, instance: Any, x: int) -> Any:
        if not self.is_async:
            return instance.fetch(x)
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(instance.fetch(x))
        finally:
            loop.close()


def at_rests(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen whenever others get their turn."""
    busy: list[None] = []

    def rest(pace: object) -> None:
        if not busy:
            busy.append(None)
            act()
            busy.clear()

    patch.setattr(pacing.Pace, "rest", rest)


@pytest.mark.parametrize("kind", ["method", "weak"])
def test_no_hold_of_the_lock_touches_more_than_a_slice(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two turns of other threads, when no lock is held, a bounded number of entries is struck out or listed."""

    class Thing:
        @bounded(max=1_000, registry=Registry())
        def fetch(self, x: int) -> int:
            return x

    @bounded(max=1_000, registry=Registry(), weak=("thing",))
    def about(thing: Thing, x: int) -> int:
        return x

    thing = Thing()
    subject: Any = Thing.fetch if kind == "method" else about
    call: Any = thing.fetch if kind == "method" else lambda x: about(thing, x)
    for x in range(MANY):
        call(x)
    store = subject.cache._cache.store
    touched = [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            touched[-1] += 1
            return real(*args)

        return noted

    def turn() -> None:
        assert not store.lock._is_owned()
        touched.append(0)

    with monkeypatch.context() as patch:
        for name in ("add", "remove"):
            patch.setattr(Owners, name, counted(getattr(Owners, name)))
        at_rests(patch, turn)
        with isolated(subject):
            assert sum(touched) == MANY
            assert len(subject.cache) == 0
        assert sum(touched) == 2 * MANY
    assert max(touched) <= MOST
    check(subject)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("policy", POLICIES)
def test_calls_in_between_find_what_is_there(policy: str, is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While entries are struck out, and listed again, each of them answers as before: no call leads a load."""
    world = World(is_async, policy=policy)
    seen: set[Listing] = set()

    def look() -> None:
        listing = world.store._shelf.owners.listing
        if listing is Listing.ALL:  # what came inside leaves
            return
        seen.add(listing)
        begun = len(world.loads)
        for x in (0, 7, MANY - 1):
            assert world.call(world.one, x) == x
        assert world.loads[begun:] == []

    with monkeypatch.context() as patch:
        at_rests(patch, look)
        hits = world.method.cache.stats().hits
        with isolated(world.method):
            assert world.method.cache.stats().requests == 0
            begun = len(world.loads)
            for x in range(MANY):
                world.call(world.one, x)
            assert len(world.loads) == begun + MANY
    assert seen == {Listing.NONE, Listing.SOME}
    assert world.method.cache.stats().hits > hits
    assert [why for _, why in world.told] == [EvictionReason.CLEARED] * MANY
    begun = len(world.loads)
    for x in range(MANY):
        world.call(world.one, x), world.call(world.two, x)
    assert len(world.loads) == begun
    check(world.method)


def test_what_is_stored_as_a_context_begins_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that ends between two slices stores outside: it is not found inside, and is there afterwards."""
    world = World()
    came = iter(range(1_000, 1_010))
    stored: list[int] = []

    def load() -> None:
        x = next(came, None)
        if x is not None:
            stored.append(x)
            world.one.fetch(x)

    with monkeypatch.context() as patch:
        at_rests(patch, load)
        context = isolated(world.method)
        context.__enter__()
    assert len(stored) == 10
    assert len(world.method.cache) == len(world.one.fetch.cache) == 0
    world.one.fetch(stored[0])
    assert len(world.one.fetch.cache) == 1
    context.__exit__(None, None, None)
    assert len(world.one.fetch.cache) == MANY + len(stored)
    check(world.method)


@pytest.mark.parametrize("after", [0, 3, 9])
def test_an_instance_that_dies_as_it_is_listed_again(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entries, those listed and those not yet, leave as collected, each told once; the other's are back."""
    world = World()
    world.told.clear()
    context = isolated(world.method)
    context.__enter__()
    turns = iter(range(after))

    def end() -> None:
        if world.store._shelf.owners.listing is Listing.SOME and next(turns, None) is None:
            world.one = None
            gc.collect()

    with monkeypatch.context() as patch:
        at_rests(patch, end)
        context.__exit__(None, None, None)
    world.method.cache.cleanup()
    assert sorted(key for key, _ in world.told) == list(range(MANY))
    assert {why for _, why in world.told} == {EvictionReason.COLLECTED}
    assert len(world.method.cache) == len(world.two.fetch.cache) == MANY
    check(world.method)


def test_in_the_middle_of_a_change_nothing_is_struck_out() -> None:
    """What a change runs cannot set its store aside, which stays as it is."""
    world = World()
    context = isolated(world.method)
    with pytest.raises(RuntimeError, match="in the middle of a change"):
        world.store.change(lambda gone: context.__enter__())
    assert len(world.one.fetch.cache) == MANY
    check(world.method)

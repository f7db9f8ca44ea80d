"""What an exception that strikes as ``isolated()`` is entered or left leaves: all of it outside, or all inside."""

from collections.abc import Callable
from typing import Any

import pytest
from kit.large import all_large
from kit.strikes import Struck, StruckError, every, held_locks, locks_of, points, strike

from memo import Registry, bounded, dedupe_inflight, sliding_window
from memo._decorated.stack import layers_of
from memo.testing import FakeClock, isolated

EACH = 23
"""Every so many points are struck in a quick run."""


class World:
    """Some functions that hold and have counted something."""

    def __init__(self, policy: str) -> None:
        self.here = here = Registry()
        self.clock = clock = FakeClock()
        self.told: list[Any] = []
        self.made: list[list[Any]] = []

        def load(x: Any) -> list[Any]:
            self.made.append([x])
            return self.made[-1]

        def on_evict(key: Any, value: Any, reason: Any) -> None:
            self.told.append(value)

        class Bot:
            """An instance of it is part of keys."""

            @bounded(max=3, registry=here, clock=clock, policy=policy, on_evict=on_evict)
            def method(self, x: Any) -> Any:
                return load(x)

        self.bot = Bot()
        self.f = bounded(max=3, registry=here, clock=clock, policy=policy, on_evict=on_evict)(
            sliding_window("1h", registry=here, clock=clock)(load)
        )
        self.g = bounded(max=3, ttl=60, stale_if_error=60, registry=here, clock=clock, on_evict=on_evict)(load)
        self.h = dedupe_inflight(registry=here, clock=clock)(load)
        self.unmade = bounded(max=3, registry=here, clock=clock, on_evict=on_evict)(load)
        self.methods = (self.bot.method, self.f, self.g)
        for call in (*self.methods, self.h):
            for x in (0, 1, 2, 3, 3):
                call(x)
        self.layers = [layer for one in (Bot.__dict__["method"], self.f, self.g, self.h) for layer in layers_of(one)]
        self.inside: list[Any] = []

    def look(self) -> Any:
        """What is held and was counted, as users see it."""
        held = [sorted((key, id(value)) for key, value in call.cache.items()) for call in self.methods]
        stats = [(call.cache.stats(), call.inflight.stats()) for call in self.methods]
        return held, stats, self.h.inflight.stats(), self.f.window.stats()

    def use(self) -> None:
        """Use the functions within."""
        for call in (*self.methods, self.h, self.unmade):
            begun = len(self.made)
            for x in (7, 8, 7):
                call(x)
            if call is not self.h:
                self.inside += self.made[begun:]

    def check(self, where: str | None) -> None:
        """Every lock is free, every structure whole."""
        assert not held_locks(locks_of(self.here, self.clock, *self.layers)), where
        for layer in self.layers:
            if layer.kind == "cache":
                layer.cache.store._check()  # type: ignore[attr-defined]
                assert layer.read("index") is layer.cache.store.index, where  # type: ignore[attr-defined]
            if layer.kind == "window":
                layer.recorder._check()  # type: ignore[attr-defined]
            else:
                assert not layer.flights.table, where  # type: ignore[attr-defined]


def check_outside(world: World, before: Any, where: str | None) -> None:
    """It is as it was: nothing that was put in within is there, and calls hit what was there before."""
    world.check(where)
    assert world.look() == before, where
    for call in world.methods:
        hits = call.cache.stats().hits
        made = len(world.made)
        assert call(3) == [3], where
        assert (len(world.made), call.cache.stats().hits) == (made, hits + 1), where
    world.f(9), world.g(9), world.bot.method(9), world.unmade(9), world.h(9)
    world.check(where)


def entered_in_part(policy: str, error: type[BaseException], everywhere: bool, each: int) -> None:
    at = len(policy) % each
    while True:
        world = World(policy)
        before, told = world.look(), list(world.told)
        context = isolated(world.here)
        where, raised = strike(context.__enter__, at, error, everywhere)
        if where is not None and "Intake.folded at" in where:  # in its ``finally``: nothing strikes or fails there
            at += each
            continue
        if where is None:
            assert raised is None
            assert not len(world.f.cache)
            context.__exit__(None, None, None)
            check_outside(world, before, where)
            return
        if raised is None:  # it struck where exceptions are logged: all is inside
            assert not len(world.f.cache), where
            context.__exit__(None, None, None)
        else:
            assert isinstance(raised, error), where
        del raised
        assert world.told == told, where
        check_outside(world, before, where)
        at += each


def left_in_part(policy: str, error: type[BaseException], everywhere: bool, each: int) -> None:
    at = len(policy) % each
    while True:
        world = World(policy)
        before, told = world.look(), len(world.told)
        context = isolated(world.here)
        context.__enter__()
        world.use()
        where, raised = strike(lambda c=context: c.__exit__(None, None, None), at, error, everywhere)  # type: ignore[misc]
        if where is not None and "Intake.folded at" in where:
            at += each
            continue
        assert raised is None or isinstance(raised, error), where  # None: a finalizer was struck
        del raised
        if repr(context).endswith("entered 1 time>"):  # struck before it began
            context.__exit__(None, None, None)
        missed = where is not None and "on_evict" in where
        left = sorted(map(id, world.told[told:]))
        assert len(left) + missed >= len(world.inside), where
        assert set(left) <= set(map(id, world.inside)), where
        assert len(set(left)) == len(left), where
        assert not len(world.unmade.cache), where
        check_outside(world, before, where)
        if where is None:
            return
        at += each


@pytest.mark.parametrize("way", [entered_in_part, left_in_part])
def test_isolation_in_slices_that_is_cut_short(way: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where a store of more than one entry is large, so that instances' entries go and come in slices."""
    all_large(monkeypatch)
    way("adaptive", Struck, False, 2 * EACH)


@pytest.mark.parametrize("way", [entered_in_part, left_in_part])
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru", "lfu"])
def test_some_points(policy: str, way: Callable[..., None]) -> None:
    """Entered in part it is not entered, left in part it is left: all is as before, and what was within was told."""
    way(policy, Struck, everywhere=False, each=EACH)


@pytest.mark.stress
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", [entered_in_part, left_in_part])
@pytest.mark.parametrize("error", [Struck, StruckError])
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random"])
def test_all_points(policy: str, error: type[BaseException], way: Callable[..., None]) -> None:
    """So it is at more of them, all in the longest run."""
    way(policy, error, everywhere=False, each=every(60_000))


@pytest.mark.stress
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", [entered_in_part, left_in_part])
def test_all_instructions(way: Callable[..., None]) -> None:
    """So it is at instructions that can fail at all."""
    way("lru", Struck, everywhere=True, each=every(300_000))


def test_there_are_points() -> None:
    """What is struck is what is meant."""
    world = World("lru")  # held: a registry holds no function
    context = isolated(world.here)
    assert points(context.__enter__) > 100
    assert points(lambda: context.__exit__(None, None, None)) > 100

"""Many instances of a class with a decorated method: what a function knows of them goes without a stall."""

import gc
import weakref
from typing import Any

import pytest

from memo import bounded
from memo._base import Pace
from memo._call import instances

__all__ = ()


class Resting(Pace):
    """A pace that tells how often it was asked for a rest, and after how much."""

    def __init__(self, rests: list[int], watched: list[Any]) -> None:
        super().__init__(blocking=True)
        self.rests, self.watched = rests, watched

    def rest(self) -> None:
        self.rests.append(sum(map(weakref.getweakrefcount, self.watched)))
        super().rest()


class Owner:
    """Has many instances."""


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[Owner]]:
    rests: list[int] = []
    watched: list[Owner] = []
    monkeypatch.setattr(instances, "Pace", lambda blocking: Resting(rests, watched[::1000]))
    return rests, watched


@pytest.mark.parametrize("count", [100, 25_000])
def test_what_a_dead_function_knew_of_instances_goes_by_and_by(
    rests: tuple[list[int], list[Owner]], count: int
) -> None:
    """All of it goes; of many, some at a time, while others get their turn."""

    class Fetching(Owner):
        """Has a method for a while."""

        @bounded(max=10)
        def fetch(self) -> None:
            pass

    for _ in range(count):
        owner = Fetching()
        owner.fetch()
        rests[1].append(owner)
    assert all(weakref.getweakrefcount(owner) for owner in rests[1])
    del Fetching.fetch
    gc.collect()
    assert not any(weakref.getweakrefcount(owner) for owner in rests[1])
    if count == 100:
        assert rests[0] == []
    else:  # of 25 that are looked at, hardly two go between the same two rests
        assert len(set(rests[0])) > 10


def test_what_dies_meanwhile_is_no_matter(
    rests: tuple[list[int], list[Owner]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instances may die, and their tokens with them, while the function's go."""
    known = instances.Instances("f", lambda token: None)
    owners = [Owner() for _ in range(12_000)]
    for owner in owners:
        known.token(owner)
    del owner

    class Deadly(Resting):
        """A pace in whose rests others let go of instances."""

        def rest(self) -> None:
            del owners[-1000:]
            super().rest()

    monkeypatch.setattr(instances, "Pace", lambda blocking: Deadly(rests[0], []))
    refs = known.refs
    del known
    gc.collect()
    assert not owners
    assert rests[0]
    assert len(refs) == 0

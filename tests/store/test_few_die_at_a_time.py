"""Of what leaves a large store together few values die between two turns of other threads, whoever looks at it."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
from kit.large import all_large
from kit.own_policies import POLICIES

from memo import Registry, bounded
from memo._base import pacing
from memo._store import crumbs, figures, lots
from memo.testing import FakeClock, isolated

MOST = 4
MANY = 60


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of more than four entries are large, lots, parts and slices have four, and looks end half-way."""
    all_large(monkeypatch, MOST)
    monkeypatch.setattr(figures, "LOOK", MANY // 2)


class Turns:
    """How many values died between two turns of other threads."""

    def __init__(self) -> None:
        self.deaths = [0]
        turns = self

        class Value:
            def __del__(self) -> None:
                turns.deaths[-1] += 1

        self.value = Value


def made(turns: Turns, **options: Any) -> Any:
    own = Registry()

    @bounded(max=1_000, registry=own, **options)
    def fetch(x: int) -> Any:
        return turns.value()

    for x in range(MANY):
        fetch(x)
    return fetch


def looked_at(fetch: Any) -> Any:
    """Have somebody be in the middle of each way of going through the store."""
    fetch.cache.stats()
    str(fetch.__memo_record__.registry)
    parts = fetch.cache._cache.store.index.lots()
    next(parts)
    return parts


ENDS: dict[str, Callable[[list[Any]], object]] = {
    "clear": lambda box: box[0].cache.clear(),
    "registry.clear": lambda box: box[0].__memo_record__.registry.clear(),
    "tag": lambda box: box[0].__memo_record__.registry.invalidate(tag="all"),
    "invalidate_where": lambda box: box[0].cache.invalidate_where(lambda key, value: True),
    "death": lambda box: box.clear(),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("end", ENDS)
def test_few_values_die_between_two_turns(end: str, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They die before it ends, by reference counts alone, though figures and an iterator were half-way."""
    turns = Turns()
    box = [made(turns, policy=policy, tags=("all",))]
    iterator = looked_at(box[0])
    gc.collect()
    gc.disable()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(pacing.Pace, "rest", lambda pace: turns.deaths.append(0))
            ENDS[end](box)
    finally:
        gc.enable()
    assert max(turns.deaths) <= 2 * MOST
    assert sum(turns.deaths) >= MANY - 2 * MOST  # the iterator has its part, and no more
    del iterator
    assert sum(turns.deaths) == MANY


def test_few_values_of_a_tag_die_between_two_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that bear it are so few that they are listed at one moment; they die few at a time all the same."""
    turns = Turns()
    fetch = made(turns, tags=lambda x: ["all"])
    monkeypatch.setattr(lots, "WHOLE", MANY)
    with monkeypatch.context() as patch:
        patch.setattr(pacing.Pace, "rest", lambda pace: turns.deaths.append(0))
        assert fetch.__memo_record__.registry.invalidate(tag="all") == MANY
    assert sum(turns.deaths) == MANY
    assert max(turns.deaths) <= MOST


@pytest.mark.parametrize("end", ["clear", "death", "isolated"])
def test_few_values_of_an_instance_die_between_two_turns(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is with the entries of an instance, and with what came within isolated()."""
    turns = Turns()

    class Service:
        @bounded(max=1_000, registry=Registry())
        def fetch(self, x: int) -> Any:
            return turns.value()

    box: list[Any] = [Service()]
    aside = isolated(Service.fetch)
    if end == "isolated":
        aside.__enter__()
    for x in range(MANY):
        box[0].fetch(x)
    method: Any = Service.fetch
    iterator = looked_at(method)
    gc.collect()
    with monkeypatch.context() as patch:
        patch.setattr(pacing.Pace, "rest", lambda pace: turns.deaths.append(0))
        if end == "clear":
            box[0].fetch.cache.clear()
        elif end == "death":
            box.clear()
        else:
            aside.__exit__(None, None, None)
    assert max(turns.deaths) <= 2 * MOST
    assert sum(turns.deaths) >= MANY - 2 * MOST  # the iterator has its part, and no more
    del iterator
    assert sum(turns.deaths) == MANY


# -- whatever is told, or taken out, in one go

ALSO: dict[str, Callable[[list[Any]], object]] = {
    **ENDS,
    "resize": lambda box: box[0].cache.resize(max=1),
    "cleanup": lambda box: (box[0].clock.advance(100), box[0].cache.cleanup()),
    "instance's death": lambda box: box.clear(),
}


@pytest.mark.parametrize("end", ALSO)
@pytest.mark.parametrize("told", [False, True])
def test_fewer_values_die_than_are_taken_out(end: str, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lots and slices are larger than what dies between two turns of other threads, also of what on_evict was told."""
    turns = Turns()
    all_large(monkeypatch, 30)
    monkeypatch.setattr(crumbs, "_CRUMB", pacing._FEW)
    clock = FakeClock()
    options: dict[str, Any] = {"ttl": 50, "clock": clock, "registry": Registry(), "tags": ("all",)}
    if told:
        options["on_evict"] = lambda key, value, reason: None
    if end == "instance's death":

        class Service:
            @bounded(max=1_000, **options)
            def fetch(self, x: int) -> Any:
                return turns.value()

        owner: Any = Service()
        fetch, box = owner.fetch, [owner]
        del owner
    else:

        @bounded(max=1_000, **options)
        def fetch(x: int) -> Any:
            return turns.value()

        fetch.clock = clock  # type: ignore[attr-defined]
        box = [fetch]
    for x in range(120):
        fetch(x)
    del fetch
    gc.collect()
    with monkeypatch.context() as patch:
        patch.setattr(pacing.Pace, "rest", lambda pace: turns.deaths.append(0))
        ALSO[end](box)
    assert sum(turns.deaths) >= 119
    assert max(turns.deaths) <= 2 * pacing._FEW

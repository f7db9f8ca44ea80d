"""Stores that may become large keep their tables in parts: nothing else about them differs."""

import copy
import functools
import gc
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import cachetools
import pytest
from kit.instructions import WRAPPER, at_every_instruction, stopped
from kit.own_policies import POLICIES
from kit.parts import keep_in_parts, largest_part
from kit.strikes import StruckError
from kit.struck import Subject, strike_everywhere
from kit.testing_kit import check

from memo import Registry, bounded
from memo._store import figures
from memo._store.large_table import LargeTable
from memo._store.parted import MOST, WHOLE
from memo.testing import FakeClock, isolated

own = Registry()
every_policy = pytest.mark.parametrize("policy", POLICIES)


def index_of(function: Any) -> Any:
    return function.cache._cache.store.index


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every store has its tables in parts as soon as there are three entries."""
    keep_in_parts(monkeypatch)


# -- which are


@pytest.mark.parametrize("bounds", [{"max": WHOLE}, {"max": WHOLE, "max_bytes": "1GB"}, {"max_bytes": 400 * WHOLE}])
def test_what_can_never_be_large_is_one_dictionary(bounds: dict[str, Any]) -> None:
    """A hit on a store of at most 10,000 entries, or of the bytes that those take at least, looks into a dictionary."""
    fetch = bounded(**bounds, registry=own)(lambda x: None)
    for x in range(WHOLE + 5):
        fetch(x)
    assert type(index_of(fetch)) is dict
    assert len(fetch.cache) >= WHOLE / 2
    check(fetch)


@pytest.mark.parametrize("bounds", [{"max": WHOLE + 1}, {"max_bytes": 401 * WHOLE}])
def test_what_may_become_large_is_in_parts_once_it_has_some(bounds: dict[str, Any]) -> None:
    """Up to MOST entries it is one dictionary all the same; from then on no part has more than that and a few."""
    fetch = bounded(**bounds, registry=own)(lambda x: x)
    for x in range(MOST):
        fetch(x)
    assert type(index_of(fetch)) is dict
    for x in range(MOST, 3 * WHOLE):
        fetch(x)
        fetch(x - 7)
    index = index_of(fetch)
    assert type(index) is LargeTable
    assert largest_part(index) <= MOST + 10
    assert fetch.cache.stats().hits >= 2 * WHOLE
    check(fetch)


def test_a_bound_that_changes() -> None:
    """resize() beyond 10,000 divides what is there, and back below makes one dictionary of it, which calls read."""
    fetch = bounded(max=WHOLE, registry=own)(lambda x: object())
    values = [fetch(x) for x in range(WHOLE)]
    fetch.cache.resize(max=2 * WHOLE)
    index = index_of(fetch)
    assert largest_part(index) <= MOST
    check(fetch)
    assert [fetch(x) for x in range(WHOLE)] == values
    fetch.cache.resize(max=WHOLE)
    assert type(index_of(fetch)) is dict
    assert len(index) == 0
    check(fetch)
    assert [fetch(x) for x in range(WHOLE)] == values


def test_a_policy_of_the_users_keeps_one_dictionary() -> None:
    """Its own tables are its own affair."""
    fetch = bounded(max=2 * WHOLE, policy=cachetools.FIFOCache, registry=own)(lambda x: x)
    for x in range(2 * MOST):
        fetch(x)
    assert type(index_of(fetch)) is dict
    check(fetch)


# -- what is the same


def played(policy: str, seed: int, rounds: int = 600, **options: Any) -> list[Any]:
    """What a function answers, tells and counts while at random it is called and changed in every way."""
    chance = random.Random(seed)
    random.seed(seed)  # for the policy of that name
    heard: list[Any] = []
    here = Registry()
    tags: Any = () if policy == "random" else lambda x: (f"t{x % 3}",)  # the order in which they leave is in its draws
    fetch = bounded(
        policy=policy, registry=here, on_evict=lambda *left: heard.append(left), tags=tags,
        **{"max": 12, **options},
    )(lambda x: -x)  # fmt: skip
    for _ in range(rounds):
        x = int(chance.paretovariate(0.6)) % 40
        act = chance.random()
        before = len(heard)
        if act < 0.85:
            heard.append(fetch(x))
        elif act < 0.9:
            heard.append(fetch.cache.invalidate(x))
        elif act < 0.93:
            fetch.cache.put(x, x)
        elif act < 0.95:
            heard.append(here.invalidate(tag=f"t{x % 3}"))
            heard[before:] = sorted(heard[before:], key=repr)  # in which order all of a tag leave is not said
        elif act < 0.97:
            fetch.cache.resize(max=chance.randrange(3, 20))
        elif act < 0.98:
            heard.append(sorted(map(repr, fetch.cache.items())))
        elif act < 0.985:
            heard.append(fetch.cache.clear())
            heard[before:] = sorted(heard[before:], key=repr)  # nor in which order all leave
        heard.append(len(fetch.cache))
    check(fetch)
    stats = fetch.cache.stats()
    return [heard, stats.hits, stats.misses, stats.evictions, sorted(map(repr, fetch.cache.items()))]


@every_policy
def test_every_policy_does_as_with_one_dictionary(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers, what leaves and in which order, and counts are the same."""
    seeds = range(3)
    whole = [played(policy, seed) for seed in seeds]
    weighed = [played(policy, seed, max_bytes=12 * 1000, sizeof=lambda value: 300) for seed in seeds]
    keep_in_parts(monkeypatch)
    assert [played(policy, seed) for seed in seeds] == whole
    assert [played(policy, seed, max_bytes=12 * 1000, sizeof=lambda value: 300) for seed in seeds] == weighed


@pytest.mark.usefixtures("in_parts")
def test_methods_and_tags() -> None:
    """Tables of instances and of tags are in parts too; entries go with their instance, and with their tag."""

    class Shop:
        @bounded(max=50, registry=own, tags=lambda x: ("all", f"even={x % 2 == 0}"))
        def price(self, x: int) -> int:
            return x

    here, there = Shop(), Shop()
    prices = {x: here.price(x) for x in range(20)}
    for x in range(10):
        there.price(x)
    cache = Shop.__dict__["price"].cache._cache
    tables = {type(entry.key[0].table) for entry in cache.store.snapshot()}
    assert tables == {LargeTable}
    assert {here.price(x) for x in prices} == set(prices.values())
    assert (len(here.price.cache), len(there.price.cache), Shop.price.cache.stats().hits) == (20, 10, 20)
    cache.store._check()
    del there
    gc.collect()
    assert len(Shop.price.cache) == 20
    assert own.invalidate(tag="even=True") == 10
    assert sorted(value for _, value in here.price.cache.items()) == list(range(1, 20, 2))
    here.price.cache.clear()
    assert (len(here.price.cache), here.price(1)) == (0, 1)
    cache.store._check()


@pytest.mark.usefixtures("in_parts")
def test_what_is_set_aside_comes_back() -> None:
    """Within isolated() the store is empty, and begins as one dictionary; afterwards all is as it was."""
    fetch = bounded(max=50)(lambda x: object())
    values = [fetch(x) for x in range(20)]
    with isolated():
        check(fetch)
        assert fetch(1) is not values[1]
        assert type(index_of(fetch)) is dict
    check(fetch)
    assert [fetch(x) for x in range(20)] == values


@pytest.mark.usefixtures("in_parts")
def test_figures_copies_and_clean_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """stats() goes on from part to part though entries come and go; a copied store is whole; a clean-up sees all."""
    monkeypatch.setattr(figures, "LOOK", 10)
    clock = FakeClock()
    fetch = bounded(max=60, ttl=60, clock=clock, registry=own)(lambda x: x)
    for x in range(60):
        fetch(x)
    for x in range(60):
        fetch(x)
    for new in range(100, 140):
        fetch(new)  # which one part less, and another more, has
        fetch.cache.stats()
    assert fetch.cache.stats().hits == 60
    copied = copy.copy(fetch.cache.store)
    copied._check()
    assert set(copied) == set(index_of(fetch))
    clock.advance(61)
    assert fetch.cache.cleanup() == 60
    check(fetch)


# -- others meanwhile


def where_others_run(call: Callable[[], Any], at: int, act: Callable[[Any], object], within: str) -> Callable[[], Any]:
    """*call* so that *act* runs where others may, as ``stopped()`` has it run between any two instructions.

    That is where a function of our own begins, or one in C has returned.
    """

    def run() -> Any:
        count = -1

        def profile(frame: Any, event: str, arg: object) -> None:
            nonlocal count
            if within in frame.f_code.co_filename and event in ("call", "c_return"):
                count += 1
                if count == at:
                    sys.setprofile(None)
                    act(frame)

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            value = call()
        finally:
            sys.setprofile(before)
        return value, count >= at

    return run


@pytest.mark.pure_path("stops within the wrapper, which no hit comes by in C")
@pytest.mark.parametrize(
    ("policy", "stop", "least"),
    [("adaptive", stopped, 8), *((policy, where_others_run, 1) for policy in POLICIES)],
    ids=["adaptive, anywhere", *POLICIES],
)
def test_a_hit_meanwhile(policy: str, stop: Any, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a hit the index may be put in parts, be divided, and lose the entry."""
    keep_in_parts(monkeypatch, most=3)

    def trial(at: int, within: str, before: int, more: range) -> bool:
        fetch = bounded(max=40, policy=policy, registry=Registry())(lambda x: -x)
        for x in range(before):
            fetch(x)
        assert fetch(0) == 0

        def act(frame: Any) -> None:
            for x in more:
                fetch(x)
            fetch.cache.invalidate(0)

        answer, reached = stop(lambda: fetch(0), at, act, within)()
        assert answer == 0, f"at {at}"
        check(fetch)
        return bool(reached)

    for before, more in ((3, range(4, 8)), (4, range(4, 9)), (20, range(20, 30))):
        for within in (WRAPPER, "parted.py") if before > 3 else (WRAPPER,):
            steps = at_every_instruction(functools.partial(trial, within=within, before=before, more=more))
            assert steps >= least


@pytest.mark.usefixtures("in_parts")
def test_threads_hit_and_miss_while_it_grows() -> None:
    """Every call gets the right answer, and is counted once."""
    fetch = bounded(max=300, registry=own)(lambda x: -x)
    wrong: list[Any] = []
    begin = threading.Barrier(4)

    def run(seed: int) -> None:
        chance = random.Random(seed)
        begin.wait()
        for _ in range(3000):
            x = int(chance.paretovariate(0.3)) % 1000
            if fetch(x) != -x:
                wrong.append(x)
            if not x % 97:
                fetch.cache.invalidate(x)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    check(fetch)
    stats = fetch.cache.stats()
    assert stats.hits + stats.misses + stats.joins == 12_000
    assert type(index_of(fetch)) is LargeTable


def miss(s: Subject) -> object:
    return s.function(50)


def put_again(s: Subject) -> object:
    return s.function.cache.put(s.make(1), 1)


def clear(s: Subject) -> object:
    return s.function.cache.clear()


def larger(s: Subject) -> object:
    return s.function.cache.resize(max=9), s.function(51), s.function(52)


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("operation", [miss, put_again, clear, larger])
@pytest.mark.parametrize("policy", ["adaptive", "lru"])
def test_struck_at_any_point(policy: str, operation: Callable[[Subject], object]) -> None:
    """Whatever is cut short, at whichever point, the store is whole, and what left was told: as with one dictionary."""

    def make() -> Subject:
        return Subject(
            lambda function, given, on_evict: bounded(
                max=6, policy=policy, tags=lambda x: (f"t{x}", "all"), **given, on_evict=on_evict
            )(function)
        )

    for filled in (2, 6):  # about to be put in parts; in parts
        for step, error, everywhere in ((13, StruckError, False), (97, StruckError, True)):
            _, wrong = strike_everywhere(
                make, lambda s, filled=filled: [s.call(x) for x in range(filled)], operation,  # type: ignore[misc]
                error=error, everywhere=everywhere, step=step, first=filled + len(policy),
            )  # fmt: skip
            wrong = [text for text in wrong if "Subject._on_evict" not in text and "flights do not add up" not in text]
            assert not wrong, "\n".join(wrong)

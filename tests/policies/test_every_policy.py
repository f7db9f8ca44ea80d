"""Every public policy is a cachetools cache like any: what it holds, weighs, copies and pickles, whatever it evicts."""

import copy
import gc
import inspect
import math
import pickle
import random
import re
import sys
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import cachetools
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import memo.policies

__all__ = ()

POLICIES = [getattr(memo.policies, name) for name in memo.policies.__all__]
COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda cache: pickle.loads(pickle.dumps(cache)),
}

every_policy = pytest.mark.parametrize("kind", POLICIES)
every_copy = pytest.mark.parametrize("how", COPIES)


def weight(value: Any) -> Any:
    """What ``getsizeof`` says of the values here: (anything, weight)."""
    return value[1]


def stored(cache: Any) -> dict[Hashable, Any]:
    """What it holds, without using any of it."""
    return {key: cachetools.Cache.__getitem__(cache, key) for key in cache}


class Watched:
    """Mixed into a policy: a list of what it evicted, and for each whether it had to."""

    def popitem(self: Any) -> Any:
        key, value = super().popitem()  # type: ignore[misc]
        self.evicted.append((key, value))
        return key, value


WATCHED = {kind: type(f"Watched{kind.__name__}", (Watched, kind), {"__module__": __name__}) for kind in POLICIES}
globals().update({kind.__name__: kind for kind in WATCHED.values()})  # for pickle


class Mapping(RuleBasedStateMachine):
    """Drives a policy and a dictionary alike; what leaves is asked of the policy, all else must agree."""

    kind: type[Any]
    weighed = False

    @initialize(maxsize=st.integers(1, 200) | st.integers(1, 8))
    def start(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.made = 0
        self.cache: Any = WATCHED[self.kind](maxsize, weight if self.weighed else None)
        self.cache.evicted = []
        self.model: dict[int, Any] = {}

    def price(self, value: Any) -> int:
        return weight(value) if self.weighed else 1

    def size(self) -> int:
        return sum(map(self.price, self.model.values()))

    def leave(self, room: int, key: int | None = None) -> None:
        """Take from the model what the policy evicted; each time there was less than *room* left for *key*."""
        for gone, value in self.cache.evicted:
            old = self.price(self.model[key]) if key in self.model else 0
            assert self.size() - old + room > self.maxsize, f"{gone} left though there was room"
            assert self.model.pop(gone) is value
        self.cache.evicted.clear()

    @rule(key=st.integers(0, 300) | st.integers(0, 12), size=st.integers(0, 6))
    def put(self, key: int, size: int) -> None:
        self.made += 1
        value = (self.made, size)
        if self.price(value) > self.maxsize:
            with pytest.raises(ValueError, match="too large"):
                self.cache[key] = value
            return
        self.cache[key] = value
        self.leave(self.price(value), key)
        self.model[key] = value

    @rule(start=st.integers(0, 300), count=st.integers(1, 60), uses=st.integers(0, 3))
    def scan(self, start: int, count: int, uses: int) -> None:
        for key in range(start, start + count):
            self.put(key, 1)
            for _ in range(uses):
                self.get(key)

    @rule(key=st.integers(0, 300) | st.integers(0, 12))
    def get(self, key: int) -> None:
        if key in self.model:
            assert self.cache[key] is self.model[key]
        else:
            with pytest.raises(KeyError):
                self.cache[key]
        assert self.cache.get(key) is self.model.get(key)

    @rule(key=st.integers(0, 12))
    def delete(self, key: int) -> None:
        if key in self.model:
            del self.cache[key], self.model[key]
        else:
            with pytest.raises(KeyError):
                del self.cache[key]

    @rule(which=st.floats(0, 1, exclude_max=True), again=st.integers(0, 6))
    def replace(self, which: float, again: int) -> None:
        if self.model:
            self.put(list(self.model)[int(which * len(self.model))], again)

    @rule(key=st.integers(0, 12))
    def pop(self, key: int) -> None:
        assert self.cache.pop(key, None) is self.model.pop(key, None)

    @rule(key=st.integers(0, 12))
    def setdefault(self, key: int) -> None:
        self.made += 1
        default = (self.made, 1)
        found = self.cache.setdefault(key, default)
        if key in self.model:
            assert found is self.model[key]
        else:
            assert found is default
            self.leave(1, key)
            self.model[key] = default

    @precondition(lambda self: self.model)
    @rule(times=st.integers(1, 30))
    def popitem(self, times: int) -> None:
        for _ in range(min(times, len(self.model))):
            key, value = self.cache.popitem()
            assert self.model.pop(key) is value
        self.cache.evicted.clear()

    @precondition(lambda self: not self.model)
    @rule()
    def popitem_of_none(self) -> None:
        with pytest.raises(KeyError):
            self.cache.popitem()

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.clear()

    @rule(how=st.sampled_from(list(COPIES)))
    def go_on_with_a_copy(self, how: str) -> None:
        other = COPIES[how](self.cache)
        assert type(other) is type(self.cache)
        assert stored(other) == self.model
        self.cache.clear()  # the copy must not notice
        self.cache = other
        other.evicted = []
        self.model = {key: stored(other)[key] for key in self.model}

    @invariant()
    def same(self) -> None:
        self.cache._check()
        held = stored(self.cache)
        assert held.keys() == self.model.keys()
        assert all(held[key] is value for key, value in self.model.items())
        assert len(self.cache) == len(self.model)
        assert self.cache.currsize == self.size() <= self.maxsize == self.cache.maxsize


def machine(of: type[Any], weighed: bool) -> Any:
    made = type(f"{of.__name__}{'Weighed' * weighed}", (Mapping,), {"kind": of, "weighed": weighed})
    made.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
    return made.TestCase


# one class of tests for each policy, without weights and with
for _kind in POLICIES:
    for _weighed in (False, True):
        globals()[f"Test{_kind.__name__}{'Weighed' * _weighed}"] = machine(_kind, _weighed)


@every_policy
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_long_runs(kind: type[Any], weighed: bool, seed: int) -> None:
    """Through scans, loops, noise and popular keys, with deletions and replacements, invariants and bounds hold."""
    dice = random.Random(seed)
    maxsize = dice.choice((1, 2, 3, 5, 10, 50, 200))
    cache = kind(maxsize, weight if weighed else None)
    patterns: list[Callable[[int], int]] = [
        lambda i: dice.randrange(4 * maxsize),
        lambda i: i,
        lambda i: i % (maxsize + maxsize // 3 + 1),
        lambda i: int(dice.paretovariate(0.8)),
    ]
    for i in range(4000):
        if i % 400 == 0:
            pattern = dice.choice(patterns)
        key = pattern(i)
        chance = dice.random()
        if chance < 0.9:
            if cache.get(key) is None:
                cache[key] = (i, dice.randint(0, min(4, maxsize)))
                assert key in cache
        elif chance < 0.95:
            cache.pop(key, None)
        elif chance < 0.99:
            cache[key] = (i, dice.randint(0, min(4, maxsize)))
        elif cache:
            cache.popitem()
        if i % 50 == 0:
            cache._check()
        assert cache.currsize <= maxsize
    cache._check()
    assert len(cache) > 0


@every_policy
def test_as_cached(kind: type[Any]) -> None:
    """``cachetools.cached`` works with it, its ``cache_info`` included."""
    calls: list[int] = []

    @cachetools.cached(kind(100), info=True)
    def square(n: int) -> int:
        calls.append(n)
        return n * n

    assert [square(n) for n in (3, 4, 3, 3)] == [9, 16, 9, 9]
    assert calls == [3, 4]
    assert square.cache_info() == (2, 2, 100, 2)
    for n in range(1000):
        square(n)
    assert square.cache_info().currsize == 100
    square.cache_clear()
    assert square.cache_info().currsize == 0


@every_policy
def test_missing(kind: type[Any]) -> None:
    """``__missing__`` answers for absent keys, stored or not; ``get`` and ``pop`` do not ask it."""

    class Squares(kind):  # type: ignore[misc]
        def __missing__(self, key: int) -> int:
            if key > 0:
                self[key] = key * key
            return key * key

    cache = Squares(2)
    assert [cache[key] for key in (3, 4, 5, -6)] == [9, 16, 25, 36]
    assert len(cache) == 2
    assert -6 not in cache
    assert cache.get(7) is None
    assert cache.pop(7, "none") == "none"
    with pytest.raises(KeyError):
        cache.pop(7)
    with pytest.raises(KeyError):
        del cache[7]
    cache._check()


@every_policy
def test_what_is_refused_changes_nothing(kind: type[Any]) -> None:
    """A value too large, of negative weight, or whose weighing fails leaves old values and sums as they were."""
    cache = kind(10, weight)
    cache[1] = ("a", 4)
    cache[2] = ("b", 6)
    for key in (1, 3):
        for value, error in ((("c", 11), ValueError), (("c", -1), ValueError), ("no", TypeError), (None, TypeError)):
            with pytest.raises(error):
                cache[key] = value
            assert stored(cache) == {1: ("a", 4), 2: ("b", 6)}
            assert cache.currsize == 10
            cache._check()
    with pytest.raises(TypeError, match="unhashable"):
        cache[[]] = ("d", 1)
    with pytest.raises(ValueError, match="negative"):
        kind(-1)
    assert len(cache) == 2
    cache._check()


@every_policy
def test_a_value_that_grows_may_evict_itself(kind: type[Any]) -> None:
    """A value that grows makes room, be it at the cost of its own old self, and is in the cache afterwards."""
    cache = kind(10, weight)
    for key in range(5):
        cache[key] = ("old", 2)
    for key in range(5):
        cache[key] = ("new", 10)
        assert list(cache) == [key]
        cache._check()
    cache[4] = ("small", 1)
    for key in range(9):
        cache[10 + key] = ("more", 1)
    assert len(cache) == cache.currsize == 10
    cache._check()


@every_policy
def test_getsizeof_of_a_subclass(kind: type[Any]) -> None:
    """A subclass may bring its own ``getsizeof``."""

    class Texts(kind):  # type: ignore[misc]
        @staticmethod
        def getsizeof(value: str) -> int:
            return len(value)

    cache = Texts(10)
    for word in ("aaa", "bbbb", "cc", "ddddd", "eeeeeeeeee", "f"):
        cache[word] = word
        assert cache.currsize == sum(map(len, cache)) <= 10
        cache._check()


@every_policy
@pytest.mark.parametrize("maxsize", [0, 0.5, 2.5, math.inf])
def test_bounds_that_are_no_whole_numbers(kind: type[Any], maxsize: float) -> None:
    """A cache of less than 1, of a fraction or without bound holds what weighs as little."""
    cache = kind(maxsize, lambda value: value)
    each = min(maxsize, 3) / 2
    for key in range(40):
        cache[key] = each
        cache.get(key)
        cache._check()
    if 0 < maxsize < math.inf:
        assert len(cache) == 2
    else:
        assert len(cache) == 40
    assert cache.popitem()[1] == each
    cache._check()


@every_policy
@every_copy
def test_copies_stand_alone(kind: type[Any], how: str) -> None:
    """A copy holds the same, with what a subclass added, goes on within the bound; neither sees the other change."""
    cache = kind(50, weight)
    for key in range(500):
        cache[key % 70] = (key, 1)
        cache.get(key % 7)
    before = stored(cache)
    cache.label = "mine"
    other = COPIES[how](cache)
    other._check()
    assert stored(other) == before
    assert (other.label, other.maxsize, other.currsize) == ("mine", 50, 50)
    for key in range(200):
        other[-key] = (key, 2)
        other.get(-key)
    other._check()
    cache._check()
    assert stored(cache) == before
    other.clear()
    other._check()
    assert stored(cache) == before
    assert cache.popitem()[0] in before


@every_policy
def test_long_caches_pickle(kind: type[Any]) -> None:
    """Pickling and deep-copying nest no deeper the longer the cache is."""
    cache = kind(5000)
    for key in range(6000):
        cache[key] = key
    for how in COPIES.values():
        other = how(cache)
        other._check()
        assert stored(other) == stored(cache)


@every_policy
def test_an_eviction_goes_through_popitem_and_delitem(kind: type[Any]) -> None:
    """A subclass sees each eviction, as in cachetools' own policies."""
    seen: list[Any] = []

    class Seen(kind):  # type: ignore[misc]
        def popitem(self) -> Any:
            seen.append("popitem")
            return super().popitem()

        def __delitem__(self, key: int) -> None:
            seen.append(key)
            super().__delitem__(key)

    cache = Seen(1)
    cache[1] = 1
    cache[2] = 2
    assert seen == ["popitem", 1]


class Value:
    """Can be referred to weakly."""


@every_policy
def test_what_left_is_let_go_of_at_once(kind: type[Any]) -> None:
    """Evicted, replaced, deleted and cleared keys and values go by reference counts alone."""
    gc.collect()
    gc.disable()
    try:
        cache = kind(20)
        keys, values = [], []
        for i in range(300):
            key, value = Value(), Value()
            keys.append(weakref.ref(key))
            values.append(weakref.ref(value))
            cache[key] = value
            if i % 3 == 0:
                cache[key] = Value()
            elif i % 7 == 0:
                del cache[key]
        del key, value
        assert sum(ref() is not None for ref in keys) == len(cache)
        assert sum(ref() is not None for ref in values) <= len(cache)
        cache.clear()
        assert not any(ref() is not None for ref in keys + values)
    finally:
        gc.enable()


@every_policy
def test_as_the_policy_of_a_function(kind: type[Any]) -> None:
    """Given as ``policy=``, it keeps a function's results, by number or by bytes."""
    for bound in ({"max": 20}, {"max_bytes": 20_000}):

        @memo.bounded(**bound, policy=kind, registry=memo.Registry())  # type: ignore[call-overload, untyped-decorator]
        def fetch(x: int) -> list[int]:
            return [x]

        for x in range(200):
            assert fetch(x % 30) == [x % 30]
        assert 0 < len(fetch.cache) <= 20 + 20 * ("max_bytes" in bound)
        assert type(fetch.cache.store) is kind
        for part in (4, 2):
            fetch.cache.resize(**{option: most // part for option, most in bound.items()})
            fetch.cache.store._check()
            for x in range(100):
                assert fetch(x % 30) == [x % 30]
                fetch.cache.store._check()
        assert fetch.cache.clear() > 0


@every_policy
def test_its_head_tells_what_a_reader_needs(kind: type[Any]) -> None:
    """The file of each policy names its paper, its invariants and its complexity at the head."""
    head = sys.modules[next(filter(inspect.isfunction, vars(kind).values())).__module__].__doc__ or ""
    for wanted in (r"\b(19|20)\d\d\b", r"^Invariants, checked by ``_check\(\)``:", r"^Complexity:"):
        assert re.search(wanted, head, re.MULTILINE), f"{kind.__name__} has no {wanted}"

"""Every policy keeps a store within bounds, and its own order."""

import functools
import random
import re
from typing import Any, get_args

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.bounded import POLICIES, Gone, check

from memo import EvictionReason, Registry, bounded
from memo._bounded import Policy
from memo.policies import AdaptiveCache, LIRSCache, S3FIFOCache, SieveCache


@settings(max_examples=60, deadline=None)
@given(
    bound=st.integers(1, 8),
    trace=st.lists(
        st.tuples(st.integers(0, 12), st.booleans()) | st.sampled_from(["clear", "info"]),
        max_size=200,
    ),
)
def test_lru_evicts_and_counts_exactly_as_functools(bound: int, trace: list[Any]) -> None:
    """For any trace, policy "lru" runs the function for the same calls as functools.lru_cache and counts alike."""
    ours: list[int] = []
    theirs: list[int] = []

    @bounded(max=bound, policy="lru", registry=Registry())
    def fetch(x: int) -> int:
        ours.append(x)
        return x

    @functools.lru_cache(maxsize=bound)
    def reference(x: int) -> int:
        theirs.append(x)
        return x

    for step in trace:
        if step == "clear":
            assert fetch.cache_clear() is reference.cache_clear() is None
        elif step != "info":
            x, by_keyword = step
            # functools keeps both spellings apart, so it is always given one
            assert (fetch(x=x) if by_keyword else fetch(x)) == reference(x)
        assert tuple(fetch.cache_info()) == tuple(reference.cache_info())
    assert ours == theirs
    check(fetch)


@pytest.mark.parametrize("typed", [False, True])
@settings(max_examples=40, deadline=None)
@given(trace=st.lists(st.sampled_from([0, 0.0, False, 1, 1.0, True, 2, "clear", "fail"]), max_size=60))
def test_without_evictions_every_policy_counts_as_functools(typed: bool, trace: list[Any]) -> None:
    """While nothing is evicted, every policy answers and counts as functools.lru_cache, typed or not."""

    def function(x: Any) -> list[Any]:
        if x == "fail":
            raise LookupError("no")
        return [type(x)]

    reference = functools.lru_cache(maxsize=50, typed=typed)(function)
    for policy in POLICIES:
        fetch = bounded(max=50, typed=typed, policy=policy, registry=Registry())(function)
        reference.cache_clear()
        for x in trace:
            if x == "clear":
                fetch.cache_clear()
                reference.cache_clear()
            elif not typed and type(x) in (float, bool):
                continue  # functools keeps an int apart from an equal float even then
            elif x == "fail":
                for call in (fetch, reference):
                    with pytest.raises(LookupError):
                        call(x)
            else:
                assert fetch(x) == reference(x)
            assert tuple(fetch.cache_info()) == tuple(reference.cache_info())
        assert fetch.cache_parameters() == reference.cache_parameters()


def test_cache_info_reads_like_that_of_functools() -> None:
    """cache_info() has the fields and repr of functools, and None for `maxsize` when only bytes are bounded."""

    @bounded(max=3)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(1)
    info = fetch.cache_info()
    assert repr(info) == "CacheInfo(hits=1, misses=1, maxsize=3, currsize=1)"
    assert info._fields == ("hits", "misses", "maxsize", "currsize")

    @bounded(max_bytes=100)
    def weighed(x: int) -> int:
        return x

    assert weighed.cache_info().maxsize is None
    assert weighed.cache_parameters() == {"maxsize": None, "typed": False}


def test_cache_clear_resets_the_counters_and_clear_does_not() -> None:
    """Both report CLEARED for each entry, and only cache_clear() puts the counters to zero."""
    gone: Gone = []

    @bounded(max=3, on_evict=lambda *what: gone.append(what))
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(1)
    assert fetch.cache.clear() == 1
    assert fetch.cache_info() == (1, 1, 3, 0)
    fetch(2)
    fetch(2)
    fetch.cache_clear()
    assert fetch.cache_info() == (0, 0, 3, 0)
    assert fetch.cache.stats().requests == 0
    assert [reason for _, _, reason in gone] == [EvictionReason.CLEARED] * 2
    fetch(1)
    fetch(1)
    assert fetch.cache_info() == (1, 1, 3, 1)


def test_fifo_evicts_the_oldest_whatever_its_use() -> None:
    """Under "fifo" the entry stored first goes, though it was hit last."""

    @bounded(max=2, policy="fifo")
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    fetch(1)
    fetch(3)
    assert list(fetch.cache) == [2, 3]


def test_lfu_evicts_the_least_used() -> None:
    """Under "lfu" the entry with the fewest uses makes room."""

    @bounded(max=3, policy="lfu")
    def fetch(x: int) -> int:
        return x

    for x in (1, 1, 1, 2, 3, 3):
        fetch(x)
    fetch(4)
    assert sorted(fetch.cache) == [1, 3, 4]


def test_s3fifo_keeps_what_is_used_through_a_scan() -> None:
    """By default nine in ten of the results in use survive a scan of twenty times `max`."""

    @bounded(max=100)
    def fetch(x: int) -> int:
        return x

    for _ in range(4):
        for x in range(50):
            fetch(x)
    for x in range(1000, 3000):
        fetch(x)
    before = fetch.cache.stats()
    for x in range(50):
        fetch(x)
    assert (fetch.cache.stats() - before).hits >= 45, "a scan washed out what was in use"


def test_the_store_is_the_policy_s_cache() -> None:
    """`store` is a cachetools cache of the policy's kind, which shows size, bound and keys."""
    kinds = {"lru": cachetools.LRUCache, "lfu": cachetools.LFUCache, "fifo": cachetools.FIFOCache}
    for policy in POLICIES:
        function = bounded(max=3, policy=policy)(abs)
        assert isinstance(function.cache.store, kinds.get(policy, cachetools.Cache))
        function(-1)
        function(-2)
        assert function.cache.store.currsize == len(function.cache.store) == 2
        assert function.cache.store.maxsize == 3
        assert list(function.cache.store) == [-1, -2]


def test_the_names_are_those_of_the_annotation() -> None:
    """Type checkers allow each name that is taken, and no other, and a wrong one is answered with all of them."""
    names = get_args(Policy)
    for name in names:
        assert bounded(max=3, policy=name)(abs)(-1) == 1
    with pytest.raises(ValueError, match="unknown") as caught:
        bounded(max=3, policy="arc")  # type: ignore[call-overload]
    assert re.findall(r"'(\w+)'", str(caught.value)) == ["arc", *names]


@pytest.mark.parametrize(
    ("policy", "kind"),
    [("adaptive", AdaptiveCache), ("s3fifo", S3FIFOCache), ("sieve", SieveCache), ("lirs", LIRSCache)],
)
def test_names_lead_to_the_public_classes(policy: Any, kind: type[Any]) -> None:
    """By name or as a class a public policy has about the same hits, and the store is a cache of its kind."""
    named = bounded(max=200, policy=policy, registry=Registry())(abs)
    given = bounded(max=200, policy=kind, registry=Registry())(abs)
    dice = random.Random(12)
    for i in range(10_000):
        key = -int(dice.paretovariate(0.8)) % 700 if i % 3 else i % 300
        assert named(key) == given(key) == key
    assert abs(named.cache_info().hits - given.cache_info().hits) <= 100, "more than one in a hundred"
    assert isinstance(named.cache.store, kind)
    assert isinstance(given.cache.store, kind)
    check(named)


class Newest(cachetools.Cache[Any, Any]):
    """Evicts what came last."""

    def popitem(self) -> Any:
        key = next(reversed(list(self)))
        return key, self.pop(key)


class Watching(cachetools.LRUCache[Any, Any]):
    """Notes what it is shown."""

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.shown: list[Any] = []

    def __getitem__(self, key: Any) -> Any:
        self.shown.append(key)
        return super().__getitem__(key)


class Dropping(cachetools.FIFOCache[Any, Any]):
    """Drops everything else, unasked, whenever a multiple of 5 comes."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if key % 5 == 0:
            for other in [other for other in self if other != key]:
                del self[other]


class Declining(cachetools.LRUCache[Any, Any]):
    """Does not take odd keys."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key % 2 == 0:
            super().__setitem__(key, value)


class Forgetful(cachetools.LRUCache[Any, Any]):
    """Drops an entry unasked while it is looked up."""

    def __getitem__(self, key: Any) -> Any:
        if key % 3 == 0 and key in self:
            del self[key]
        return super().__getitem__(key)


def test_a_policy_of_the_user_decides_what_goes() -> None:
    """A cachetools class given as policy becomes the store, and its popitem() chooses what makes room."""

    @bounded(max=2, policy=Newest)
    def fetch(x: int) -> int:
        return x

    for x in (1, 2, 3, 4):
        fetch(x)
    assert sorted(fetch.cache) == [1, 4]
    assert type(fetch.cache.store) is Newest


def test_a_policy_of_the_user_sees_every_hit() -> None:
    """Each hit of a key reaches the methods of a policy class that watches them."""

    @bounded(max=3, policy=Watching)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    fetch(1)
    fetch(1)
    store = fetch.cache.store
    assert isinstance(store, Watching)
    assert [x for x in store.shown if x == 1] == [1, 1]


@pytest.mark.parametrize("policy", [Newest, Watching, Dropping, Declining, Forgetful])
@settings(max_examples=25, deadline=None)
@given(trace=st.lists(st.integers(0, 20), max_size=100))
def test_whatever_a_policy_of_the_user_does_values_are_right_and_bounds_hold(policy: Any, trace: list[int]) -> None:
    """Under any policy class, callers get their own results, and calls and evictions add up."""
    gone: Gone = []

    @bounded(max=6, policy=policy, registry=Registry(), on_evict=lambda *what: gone.append(what))
    def fetch(x: int) -> tuple[int]:
        return (x,)

    for x in trace:
        assert fetch(x) == (x,)
        assert len(fetch.cache) <= 6
        assert len(fetch.cache.store) <= 6
    fetch.cache.cleanup()
    stats = fetch.cache.stats()
    assert stats.requests == len(trace)
    assert stats.misses == len(gone) + stats.size
    assert {reason for _, _, reason in gone} <= {EvictionReason.SIZE, EvictionReason.REPLACED}
    check(fetch)


def test_a_policy_that_fails_leaves_nothing_half_done() -> None:
    """An error of popitem() reaches the caller, and the cache works again when the policy does."""

    class Failing(cachetools.LRUCache[Any, Any]):
        broken = False

        def popitem(self) -> Any:
            if Failing.broken:
                raise RuntimeError("out of order")
            return super().popitem()

    gone: Gone = []

    @bounded(max=2, policy=Failing, on_evict=lambda *what: gone.append(what))
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    Failing.broken = True
    with pytest.raises(RuntimeError, match="out of order"):
        fetch(3)
    Failing.broken = False
    assert len(fetch.inflight) == 0
    check(fetch)
    for x in range(10):
        assert fetch(x) == x
    assert len(fetch.cache) == 2
    check(fetch)


def test_a_policy_that_wants_more_than_a_size_is_refused_at_decoration() -> None:
    """A policy class that needs more than a size raises TypeError, which points to `ttl=`."""
    with pytest.raises(TypeError, match=r"policy=.*TTLCache.*ttl="):
        bounded(max=3, policy=cachetools.TTLCache)(abs)

"""The handles in every placement act on what is the instance's own."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from kit.placed import Build, Placed, finished
from kit.placed_methods import on_alias_in_class_body, on_function_set_on_class
from kit.placements import (
    ALL,
    CLASS_METHODS,
    METHODS,
    on_partialmethod,
    on_wrapped,
    over,
    placed,
    skip_inner_class_methods_that_python_binds,
)

from memo import EvictionReason, bounded, limit, sliding_window

pytestmark = pytest.mark.usefixtures("_nothing_left_running")


@over(*ALL)
def test_the_handle_takes_the_arguments_of_the_call(build: Build) -> None:
    """In every placement, the handle's operations name an entry by the call's own arguments."""
    skip_inner_class_methods_that_python_binds(build)
    fetch = placed(build)
    first = fetch("a")
    cache = fetch.get().cache
    entry = cache.entry(name="a")
    assert entry is not None
    assert entry.value is first
    assert entry.hits == 0
    assert cache.entry("b") is None
    assert len(cache) == 1
    assert cache
    assert [value for _, value in cache.items()] == [first]
    assert cache.invalidate("a", lang="en") is True
    assert cache.invalidate("a") is False
    assert len(cache) == 0
    assert cache
    assert fetch("a") is not first
    cache.put("other", "a")
    assert fetch("a") == "other"
    refreshed = finished(cache.refresh("a"))
    assert fetch("a") is refreshed
    assert refreshed != "other"
    assert cache.invalidate_where(lambda key, value: value is refreshed) == 1
    assert cache.clear() == 0
    fetch("a")
    fetch("b")
    assert fetch.get().cache.clear() == 2
    assert len(fetch.get().cache) == 0


@over(*(build for build in ALL if build is not on_wrapped))
def test_the_handle_refuses_what_the_call_would(build: Build) -> None:
    """Too many or no arguments raise TypeError in invalidate(), entry() and forget()."""
    fetch = placed(build)
    for operation in (fetch.get().cache.invalidate, fetch.get().cache.entry, fetch.get().inflight.forget):
        with pytest.raises(TypeError):
            operation("a", "b", "c", "d")
        with pytest.raises(TypeError):
            operation()


@over(*ALL)
def test_keys_that_users_see_have_no_instance(build: Build) -> None:
    """items(), iteration, predicates and `on_evict` show keys without instance or class."""
    gone: list[tuple[Any, Any]] = []
    fetch = placed(build, on_evict=lambda key, value, reason: gone.append((key, reason)))
    fetch("a")
    assert [key for key, _ in fetch.get().cache.items()] == [("a", "en")]
    assert list(fetch.get().cache) == [("a", "en")]
    keys: list[Any] = []
    fetch.get().cache.invalidate_where(lambda key, value: keys.append(key))
    assert keys == [("a", "en")]
    fetch.get().cache.invalidate("a")
    assert gone == [(("a", "en"), EvictionReason.INVALIDATED)]


@over(*METHODS, *CLASS_METHODS[:2], on_partialmethod)
def test_the_handle_of_an_instance_acts_on_its_entries_alone(build: Build) -> None:
    """Length, items and removals through one instance leave another's, and stats are of all."""
    skip_inner_class_methods_that_python_binds(build)
    fetch = placed(build)
    assert fetch.another is not None
    other = Placed(fetch.calls, fetch.another)
    mine, theirs = fetch("a"), other("a")
    fetch("b")
    assert mine is not theirs
    assert fetch("a") is mine
    assert other("a") is theirs
    assert (len(fetch.get().cache), len(other.get().cache)) == (2, 1)
    assert [value for _, value in other.get().cache.items()] == [theirs]
    assert fetch.get().cache.clear() == 2
    assert (len(fetch.get().cache), len(other.get().cache)) == (0, 1)
    assert other("a") is theirs
    fetch("a")
    assert other.get().cache.invalidate_where(lambda key, value: True) == 1
    assert (len(fetch.get().cache), len(other.get().cache)) == (1, 0)
    assert fetch.get().cache.invalidate("a") is True
    stats = fetch.get().cache.stats()
    assert stats == other.get().cache.stats()
    assert stats.requests == 7


@over(*METHODS)
def test_the_bound_is_that_of_all_instances_together(build: Build) -> None:
    """The entries of two instances together never exceed `max`."""
    fetch = placed(build, max=3)
    assert fetch.another is not None
    other = Placed(fetch.calls, fetch.another)
    for name in "abcd":
        fetch(name)
        other(name)
        assert len(fetch.get().cache) + len(other.get().cache) <= 3
        assert len(fetch.get().cache.store) <= 3
    assert fetch.get().cache.stats().size == 3


@over(*(build for build in METHODS if build not in (on_alias_in_class_body, on_function_set_on_class)))
def test_a_call_through_the_class_has_the_key_of_the_bound_one(build: Build) -> None:
    """A method called on the class with an instance shares that instance's entry."""
    fetch = placed(build)
    bound = fetch("a")
    assert finished(fetch.owner.fetch(fetch.instance, "a")) is bound
    assert fetch.owner.fetch.cache.entry(fetch.instance, "a").value is bound
    assert len(fetch.owner.fetch.cache) == 1
    assert fetch.owner.fetch.cache.invalidate(fetch.instance, "a")
    assert fetch("a") is not bound


@over(*ALL)
@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
def test_handles_say_that_they_do_not_travel(build: Build, take: Callable[[Any], object]) -> None:
    """Pickled or deep-copied, a handle of any kind names its function and the remedy; a copy of it is itself."""
    fetch = build(lambda function: bounded(max=9)(sliding_window("1h")(limit("99/1h")(function))))
    target = fetch.get()
    handles = [target.cache, target.inflight, target.window, target.limit]
    if "CacheOfEveryClass" not in type(target.cache).__name__:
        handles.append(target.cache.within("1s"))
    for handle in handles:
        with pytest.raises(TypeError, match=r"\w: a handle stands for .* pickled or deep-copied; hand on the function"):
            take(handle)
        assert copy.copy(handle) is handle


@over(*ALL)
@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_leases_say_that_there_is_one_of_each(build: Build, take: Callable[[Any], object]) -> None:
    """A lease is neither pickled nor copied, before it begins, or while it lasts: it would end twice."""
    skip_inner_class_methods_that_python_binds(build)
    fetch = placed(build)
    lease = fetch.get().cache.lease("a")
    for _ in range(2):
        with pytest.raises(TypeError, match=r"^lease: a lease of .*\w\(\) is ended once, so it cannot be copied"):
            take(lease)
        if "not begun" in repr(lease):
            finished(lease.__aenter__()) if hasattr(lease, "__aenter__") else lease.__enter__()

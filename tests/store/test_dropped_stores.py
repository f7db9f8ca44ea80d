"""A store that nobody can reach any more goes at once, with what it holds, by reference counts alone."""

import asyncio
import builtins
import gc
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cachetools
import pytest
from kit.own_policies import POLICIES
from kit.processes import in_a_child

from memo import Registry, bounded
from memo._decorated.stack import layers_of
from memo._native import speed

__all__ = ()

pytestmark = pytest.mark.usefixtures("nothing_collected")


class Own(cachetools.LFUCache[Any, Any]):
    """A policy of the user's own."""


class Value:
    """Something that can be watched."""


OPTIONS: dict[str, dict[str, Any]] = {
    "bare": {},
    "told": {"ttl": 60, "on_evict": lambda *what: None},
    "idle": {"idle": 60},
    "weighed": {"max_bytes": "1MB"},
    "stale": {"ttl": 60, "stale_if_error": 60, "stale_while_revalidate": 5},
    "tagged": {"tags": lambda *args: ("a", "b")},
    "copied": {"copy": lambda value: value},
}
every_policy = pytest.mark.parametrize("policy", [*POLICIES, Own])
every_option = pytest.mark.parametrize("options", OPTIONS)


class Watch:
    """Makes values, and knows which of them are alive."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Value] = weakref.WeakSet()

    def make(self) -> Value:
        value = Value()
        self.alive.add(value)
        return value


def alive() -> int:
    """How many entries live, in all stores: those that the collector knows, and those that it does not."""
    known = sum(type(one).__name__.endswith("Entry") for one in gc.get_objects())
    return known + (0 if speed is None else speed.visited_for())


def exercise(call: Callable[[Any], Any], cache: Any) -> None:
    """Use everything that might hold on to something."""
    for x in range(9):
        call(x)
        call(x)
    cache.put(call(3), 3)
    cache.invalidate(4)
    cache.resize(max=4)
    cache.stats(), cache.items(), cache.cleanup(), len(cache)
    cache.invalidate_where(lambda key, value: key == 8)
    assert len(cache) > 0


@every_policy
@every_option
def test_a_dropped_function_takes_its_store_and_values_along(policy: Any, options: str) -> None:
    """When nobody holds a decorated function, its store, cache, rings and values go at once."""
    watch = Watch()
    registry = Registry()

    @bounded(max=5, policy=policy, registry=registry, **OPTIONS[options])
    def fetch(x: int) -> Value:
        return watch.make()

    exercise(fetch, fetch.cache)
    store = fetch.cache._cache.store
    gone = [weakref.ref(store), weakref.ref(store.cache)]
    entries = alive()
    del store, fetch
    assert not watch.alive
    assert [ref() for ref in gone] == [None, None]
    assert alive() < entries


@every_policy
@every_option
def test_so_does_a_coroutine_function(policy: Any, options: str) -> None:
    """When nobody holds a decorated coroutine function, and its calls have ended, its values go at once."""
    watch = Watch()

    @bounded(max=5, policy=policy, registry=Registry(), **OPTIONS[options])
    async def fetch(x: int) -> Value:
        return watch.make()

    loop = asyncio.new_event_loop()
    exercise(lambda x: loop.run_until_complete(fetch(x)), fetch.cache)  # noqa: F821  # it is there still
    loop.close()
    store = weakref.ref(fetch.cache._cache.store)
    del fetch
    assert store() is None
    assert not watch.alive


def standard_modules() -> set[ModuleType]:
    """Those that stores and policies refer to as modules, which the interpreter empties before its own two."""
    ours = ("memo._store", "memo._rings", "memo.policies")
    names = [
        value for name, module in list(sys.modules.items()) if name.startswith(ours) for value in vars(module).values()
    ]
    found = {value for value in names if isinstance(value, ModuleType) and not value.__name__.startswith("memo")}
    return found - {sys, builtins}


@every_policy
@every_option
def test_a_store_goes_where_the_interpreter_has_emptied_modules(policy: Any, options: str) -> None:
    """A store that outlives the modules that it uses, as that of a generic class at the interpreter's end, complains
    of nothing."""
    watch = Watch()

    @bounded(max=5, policy=policy, registry=Registry(), **OPTIONS[options])
    def fetch(x: int) -> Value:
        return watch.make()

    exercise(fetch, fetch.cache)

    def goes_quietly() -> bool:
        nonlocal fetch
        said: list[str] = []
        sys.unraisablehook = lambda what: said.append(f"{what.object}: {what.exc_value!r}")
        for module in standard_modules():
            for name, value in list(vars(module).items()):
                if callable(value) and not name.startswith("__"):
                    vars(module)[name] = None
        del fetch
        sys.stderr.write("\n".join(said))
        return not said and not watch.alive

    assert in_a_child(goes_quietly) == 0  # in which no other thread needs those modules


@every_policy
@every_option
def test_entries_go_with_their_instance_and_with_their_method(policy: Any, options: str) -> None:
    """An instance that dies takes its entries along, and a method that goes those of instances that live on."""
    watch = Watch()

    class Service:
        @bounded(max=6, policy=policy, registry=Registry(), **OPTIONS[options])
        def fetch(self, x: int) -> Value:
            return watch.make()

    one, two = Service(), Service()
    exercise(one.fetch, one.fetch.cache)
    Service.fetch.cache.clear()
    one.fetch(1), one.fetch(2), two.fetch(1)
    assert len(watch.alive) == 3
    instances = weakref.ref(next(layers_of(Service.__dict__["fetch"])).tokens.instances)
    del one
    assert len(watch.alive) == 1
    del Service.fetch
    assert not watch.alive
    assert instances() is None
    del two


@every_policy
def test_nothing_that_left_is_held(policy: Any) -> None:
    """Evicted, replaced, expired, cleared and invalidated values, and their keys, die as the operation returns."""

    class Key:
        pass

    watch = Watch()
    keys: weakref.WeakSet[Key] = weakref.WeakSet()

    @bounded(max=3, policy=policy, registry=Registry(), on_evict=lambda *what: None)
    def fetch(key: Any) -> Value:
        return watch.make()

    def new() -> Key:
        key = Key()
        keys.add(key)
        return key

    for _ in range(10):
        fetch(new())
        assert len(watch.alive) == len(keys) == len(fetch.cache)
    held = next(iter(fetch.cache))
    fetch.cache.put(watch.make(), held)
    assert len(watch.alive) == 3
    fetch.cache.invalidate(held)
    del held
    assert len(watch.alive) == len(keys) == 2
    fetch.cache.resize(max=1)
    assert len(watch.alive) == len(keys) == 1
    fetch.cache.clear()
    assert len(watch.alive) == len(keys) == 0


def test_a_large_store_goes_within_its_time() -> None:
    """Clearing and dropping a store of many entries takes no more than a few times what filling a dictionary takes."""
    watch: list[weakref.ref[Any]] = []

    @bounded(max=100_000, registry=Registry())
    def fetch(x: int) -> Value:
        return Value()

    for x in range(100_000):
        fetch(x)
    watch.append(weakref.ref(fetch(5)))
    assert fetch.cache.clear() == 100_000
    assert watch[0]() is None
    for x in range(100_000):
        fetch(x)
    watch.append(weakref.ref(fetch(5)))
    del fetch
    assert watch[1]() is None


class _Farewell:
    """Goes with what it refers to, and does *last* with that as it goes."""

    def __init__(self, last: Callable[[Any], object]) -> None:
        self.last = last
        self.own: Any = None
        self.me = self  # so that the collector finds it, and what is its own alone


def _goodbyes(troubles: list[BaseException]) -> type[_Farewell]:
    class Goodbye(_Farewell):
        def __del__(self) -> None:
            try:
                self.last(self.own)
            except BaseException as error:
                troubles.append(error.with_traceback(None))

    return Goodbye


@every_policy
@every_option
@pytest.mark.parametrize("is_late", [False, True], ids=["made before", "made after"])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("number", [1, 4, 20])
def test_a_function_may_be_used_by_a_finalizer_that_goes_with_it(
    policy: Any, options: str, is_late: bool, is_async: bool, number: int
) -> None:
    """Collected together, in whatever order, a function answers, stores and drops as long as somebody calls on it."""
    troubles: list[BaseException] = []
    kind = _goodbyes(troubles)

    def last(function: Any) -> None:
        for key in (0, 1, 50, 51, 52, 53, 54):
            if is_async:
                function.cache.put(key, key)
            else:
                assert function(key) == key
        function.cache.invalidate(50)
        function.cache.resize(max=3)
        assert len(function.cache) <= 3
        assert function.cache.cleanup() == 0
        function.cache.clear()
        assert function.cache.items() == []

    def make() -> Any:
        if is_async:

            async def awaited(key: int) -> int:
                return key

            return awaited
        return lambda key: key

    def goes() -> None:
        goodbye = None if is_late else kind(last)
        function: Any = bounded(max=4, policy=policy, registry=Registry(), **OPTIONS[options])(make())
        for key in range(number):
            asyncio.run(function(key)) if is_async else function(key)
        goodbye = goodbye or kind(last)
        goodbye.own = function

    goes()
    gc.collect()
    assert troubles == []

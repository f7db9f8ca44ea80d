"""Which caches of others are taken in, and which are refused."""

import asyncio
import dataclasses
import functools
import gc
import threading
from collections.abc import Callable
from typing import Any

import cachetools
import cachetools.func
import pytest
from kit.adopted import AsyncDuck, Info, Service, cells, passing, stats_of

from memo import AdoptedStats, Registry, bounded, dedupe_inflight, limit, sliding_window

pytestmark = pytest.mark.usefixtures("empty_methods")


# -- what is taken in


def test_an_lru_cache_function_shows_its_figures(own: Registry) -> None:
    """A functools cache appears under its qualified name with hits, misses, size and bound."""

    @functools.lru_cache(maxsize=4)
    def fetch(x: int) -> list[int]:
        return [x]

    fetch(1), fetch(1), fetch(2)
    record = own.adopt(fetch)
    assert record.name == f"{__name__}.{fetch.__qualname__}"
    assert stats_of(record) == AdoptedStats(record.name, "functools", hits=1, misses=2, size=2, max=4, bounded=True)
    own.adopt(fetch, "fetch")  # the qualified name is too long to be shown in full
    row = cells(own, "fetch")
    assert row["entries"] == "2/4"
    assert (row["hits"], row["misses"], row["hit_ratio"]) == ("1", "2", "33.3%")


def test_an_unbounded_cache_is_shown_as_such(own: Registry) -> None:
    """``functools.cache`` has no bound, which its figures and the table say."""

    @functools.cache
    def fetch(x: int) -> list[int]:
        return [x]

    fetch(1)
    stats = stats_of(own.adopt(fetch, "endless"))
    assert (stats.max, stats.bounded, stats.size) == (None, False, 1)
    assert cells(own, "endless")["entries"] == "1/unbounded"


def test_a_bounded_cache_without_room_is_bounded(own: Registry) -> None:
    """``lru_cache(maxsize=0)`` stores nothing, and zero is its bound, not none."""
    function = functools.lru_cache(maxsize=0)(abs)
    function(-1)
    stats = stats_of(own.adopt(function))
    assert (stats.max, stats.bounded, stats.size, stats.misses) == (0, True, 0, 1)


@pytest.mark.parametrize(
    "reach",
    [
        lambda service: Service.c_method,
        lambda service: service.c_method,
        lambda service: Service.__dict__["c_method"],
        lambda service: passing(passing(Service.c_method)),
    ],
)
def test_a_method_is_the_same_however_it_is_reached(own: Registry, reach: Callable[[Service], Any]) -> None:
    """A cached method seen through class, instance or another's decorator is one record, and is found again."""
    service = Service()
    record = own.adopt(reach(service))
    assert record.name == f"{Service.__module__}.Service.c_method"
    assert own[Service.c_method] is own[service.c_method] is own.adopt(Service.c_method) is record
    assert len(own) == 1


def test_properties_and_static_methods_are_taken_in(own: Registry) -> None:
    """A cache below ``@property`` or ``@staticmethod`` is adopted."""
    assert own.adopt(Service.c_property).name == f"{Service.__module__}.Service.c_property"
    assert own.adopt(Service.__dict__["c_static"]).name == f"{Service.__module__}.Service.c_static"
    assert Service().c_static in own


def test_a_duck_of_async_lru_is_taken_in(own: Registry) -> None:
    """What has ``cache_info()`` and ``cache_clear()`` is adopted without a look at its class."""

    @AsyncDuck
    async def fetch(x: int) -> list[int]:
        return [x]

    async def use() -> None:
        await fetch(1), await fetch(1), await fetch(2)

    asyncio.run(use())
    record = own.adopt(fetch)
    assert record.name.endswith(".<locals>.fetch")
    assert stats_of(record) == AdoptedStats(
        record.name, AsyncDuck.__module__.partition(".")[0], hits=1, misses=2, size=2, max=128, bounded=True
    )
    record.clear()
    assert fetch.cache_info() == (0, 0, 128, 0)


def test_a_view_that_is_made_at_each_access_leads_to_what_lives(own: Registry) -> None:
    """An ``async_lru`` method seen through class or instance is the function behind the passing view."""
    record = own.adopt(Service.async_method)
    gc.collect()
    assert list(own) == [record]
    assert record.adopted is not None
    assert record.adopted.cache is Service.__dict__["async_method"]
    service = Service()
    assert own[service.async_method] is own[Service.async_method] is record
    asyncio.run(service.async_method(1))
    assert stats_of(record).size == 1


def test_the_real_async_lru(own: Registry) -> None:
    """What holds for the duck holds for the library, where it is installed."""
    library = pytest.importorskip("async_lru")

    class Remote:
        @library.alru_cache(maxsize=7)
        async def load(self, x: int) -> list[int]:
            return [x]

    async def use() -> None:
        remote = Remote()
        await remote.load(1), await remote.load(1)
        record = own.adopt(Remote.load)
        gc.collect()
        assert own[remote.load] is own[Remote.__dict__["load"]] is record
        assert stats_of(record) == AdoptedStats(record.name, "async_lru", hits=1, misses=1, size=1, max=7, bounded=True)
        assert own.report().stores[0].key_instances == {Remote.__qualname__: 1}
        record.clear()
        assert Remote.load.cache_info().currsize == 0

    asyncio.run(use())


@pytest.mark.parametrize("info", [False, True])
@pytest.mark.parametrize("lock", [None, threading.Lock()])
def test_a_cachetools_function_shows_what_it_counts(own: Registry, info: bool, lock: Any) -> None:
    """A ``cached`` function has hits and misses with ``info=True``, and dashes without."""

    @cachetools.cached(cachetools.LRUCache[Any, Any](8), info=info, lock=lock)
    def fetch(x: int) -> list[int]:
        return [x]

    fetch(1), fetch(1)
    stats = stats_of(own.adopt(fetch, "fetch"))
    assert stats == AdoptedStats(
        "fetch", "cachetools", hits=1 if info else None, misses=1 if info else None, size=1, max=8, bounded=True
    )
    assert stats.hit_ratio == (0.5 if info else None)
    assert stats.requests == (2 if info else None)


def test_unknown_figures_are_dashes(own: Registry) -> None:
    """The table shows a dash, never a zero, for what a cache does not count."""

    @cachetools.cached(cachetools.LRUCache[Any, Any](8))
    def quiet(x: int) -> int:
        return x

    counting = functools.lru_cache(maxsize=8)(abs)
    counting(-1), quiet(1)
    own.adopt(quiet, "quiet")
    own.adopt(counting, "counting")
    assert cells(own, "quiet") == {"function": "quiet", "entries": "1/8", "hit_ratio": "-", "hits": "-", "misses": "-"}
    assert cells(own, "counting")["misses"] == "1"
    assert "<td>quiet</td><td>1/8</td><td>-</td><td>-</td><td>-</td>" in own._repr_html_()


def test_a_cached_function_with_a_plain_dict_is_unbounded(own: Registry) -> None:
    """``cached({})`` and ``lru_cache(maxsize=None)`` of cachetools never drop anything, which is known."""
    plain = cachetools.cached({})(abs)
    ready = cachetools.func.lru_cache(maxsize=None)(lambda x: x)
    plain(-1), ready(1)
    assert stats_of(own.adopt(plain, "plain")).bounded is False
    assert stats_of(own.adopt(ready, "ready")).bounded is False
    timed = cachetools.func.ttl_cache(maxsize=None)(lambda x: x)
    assert stats_of(own.adopt(timed, "timed")).bounded is False


def test_a_mapping_that_does_not_tell_its_bound_is_of_unknown_bound(own: Registry) -> None:
    """A mapping of somebody's own without ``maxsize`` may be bounded or not: None."""

    class Own(dict[Any, Any]):
        pass

    function = cachetools.cached(Own())(abs)
    stats = stats_of(own.adopt(function))
    assert (stats.bounded, stats.max, stats.size) == (None, None, 0)


def test_a_cachedmethod_is_adopted_for_each_instance(own: Registry) -> None:
    """Each instance's cache is a record of its own, and the second one has a number."""
    one, two = Service(), Service()
    one.of_instance(1)
    records = [own.adopt(one.of_instance), own.adopt(two.of_instance)]
    base = f"{Service.__module__}.Service.of_instance"
    assert [record.name for record in records] == [base, f"{base}#2"]
    assert [stats_of(record).size for record in records] == [1, 0]
    del one
    gc.collect()
    assert [record.name for record in own] == [f"{base}#2"]


def test_a_cache_object_is_named_after_its_class(own: Registry) -> None:
    """A bare cache has its class's name unless it is given one, and a number if that is taken."""
    caches: list[Any] = [cachetools.LRUCache(3), cachetools.LRUCache(4), cachetools.TTLCache(5, 60)]
    assert [own.adopt(cache).name for cache in caches] == ["LRUCache", "LRUCache#2", "TTLCache"]
    assert [own.adopt(cache, "x").name for cache in caches] == ["x", "x#2", "x#3"]
    assert all(cache in own for cache in caches)
    assert cachetools.LRUCache(3) not in own


def test_a_cache_bounded_by_weight_shows_weight(own: Registry) -> None:
    """With ``getsizeof=`` the bound is a weight: the entries are counted, and no bound of theirs is claimed."""
    cache = cachetools.LRUCache[Any, Any](1000, getsizeof=len)
    cache["a"], cache["b"] = "xxx", "yyyy"
    stats = stats_of(own.adopt(cache, "weighed"))
    assert (stats.size, stats.max, stats.weight, stats.max_weight, stats.bounded) == (2, None, 7, 1000, True)


def test_a_mapping_with_maxsize_and_currsize_is_taken_in(own: Registry) -> None:
    """What looks like a cachetools cache is adopted, whoever made it."""

    class Ring:
        maxsize = 3

        def __init__(self) -> None:
            self.data = {"a": 1}

        @property
        def currsize(self) -> int:
            return len(self.data)

        def __len__(self) -> int:
            return len(self.data)

        def __getitem__(self, key: str) -> int:
            return self.data[key]

        def clear(self) -> None:
            self.data.clear()

    ring = Ring()
    record = own.adopt(ring)
    assert record.name.endswith("Ring")
    assert (stats_of(record).size, stats_of(record).max, stats_of(record).bounded) == (1, 3, True)
    record.clear()
    assert ring.data == {}


def test_an_adopted_cache_outside_a_decorated_function_is_a_record_of_its_own(own: Registry) -> None:
    """An ``lru_cache`` around a decorated function is adopted beside that function's own record."""
    inner = bounded(max=3, registry=own, name="inner")(abs)
    outer = functools.lru_cache(maxsize=3)(inner)
    record = own.adopt(outer, "outer")
    assert own[outer] is record
    assert own[inner].name == "inner"
    assert len(own) == 2


# -- what is refused


class Slotted:
    __slots__ = ("data",)
    maxsize = 3
    currsize = 0

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def clear(self) -> None:
        pass


@dataclasses.dataclass(slots=True)
class OfData(Slotted):
    more: int = 0


class OfTuples(tuple[int, ...]):
    __slots__ = ()
    maxsize, currsize, clear = Slotted.maxsize, Slotted.currsize, Slotted.clear


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: 3, r"^adopt: an object of type 'int' is no cache that can be adopted; give a functools.lru_cache or "),
        (lambda: None, r"^adopt: an object of type 'NoneType' is no cache"),
        (dict, r"^adopt: an object of type 'dict' is no cache"),
        (lambda: len, r"^adopt: builtins.len is no cache"),
        (lambda: Info(1, 2, 3, 4), r"^adopt: an object of type 'Info' is no cache"),
        (lambda: cachetools.TTLCache, r"^adopt: TTLCache is a class; give a cache that was made of it"),
        (lambda: Service.of_instance, r"of_instance is a cachedmethod seen through its class.*: obj\.of_instance\.$"),
        (Slotted, r"^adopt: an object of type 'Slotted' allows no weak reference.*add '__weakref__' to Slotted"),
        (OfData, r"allows no weak reference.*; write @dataclass\(slots=True, weakref_slot=True\) for OfData, or adopt"),
        (OfTuples, r"allows no weak reference, so the registry would keep it alive; adopt a function that uses it\.$"),
        (lambda: bounded(max=3, registry=Registry())(abs), r"belongs to this package"),
        (lambda: passing(bounded(max=3, registry=Registry())(abs)), r"belongs to this package"),
        (lambda: bounded(max=3, registry=Registry())(functools.lru_cache(abs)), r"belongs to this package"),
        (lambda: dedupe_inflight(registry=Registry())(abs), r"belongs to this package"),
        (lambda: sliding_window("1h", registry=Registry())(abs), r"belongs to this package"),
        (lambda: bounded(max=3, registry=Registry())(abs).cache, r"belongs to this package"),
        (lambda: limit("1/1m", registry=Registry())(abs).limit, r"belongs to this package"),
        (Registry, r"belongs to this package"),
    ],
)
def test_what_cannot_be_adopted_is_refused(own: Registry, make: Callable[[], Any], message: str) -> None:
    """A TypeError says what was given and what can be given, and nothing is listed."""
    given = make()
    with pytest.raises(TypeError, match=message):
        own.adopt(given)
    assert len(own) == 0


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
def test_the_store_of_a_decorated_function_is_refused(own: Registry, policy: str) -> None:
    """A store that the registry shows already is not shown twice."""
    function = bounded(max=3, policy=policy, registry=own)(abs)
    with pytest.raises(TypeError, match=r"^adopt: this is the store of a decorated function"):
        own.adopt(function.cache.store)
    assert len(own) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": 3}, TypeError, r"^adopt: name=3 is not text"),
        ({"name": ""}, ValueError, r"^adopt: name='' is empty"),
        ({"lock": 3}, TypeError, r"^adopt: lock=3 is no lock; give the threading.Lock"),
    ],
)
def test_bad_options_are_refused(own: Registry, options: Any, error: type[Exception], message: str) -> None:
    """The message names the option, its value and the remedy."""
    cache = cachetools.LRUCache[Any, Any](3)
    with pytest.raises(error, match=message):
        own.adopt(cache, **options)
    assert len(own) == 0


def test_a_function_knows_its_own_lock(own: Registry) -> None:
    """``lock=`` is for cache objects alone."""
    function = functools.lru_cache(abs)
    with pytest.raises(TypeError, match=r"knows its own; leave it out"):
        own.adopt(function, lock=threading.Lock())


def test_things_that_raise_when_looked_at_are_refused(own: Registry) -> None:
    """An attribute that raises counts as one that is not there."""

    class Touchy:
        @property
        def cache_clear(self) -> Any:
            raise RuntimeError("do not touch")

        def __call__(self) -> None: ...

    with pytest.raises(TypeError, match="is no cache that can be adopted"):
        own.adopt(Touchy())

"""Caches that others made, in a registry: what is taken in, what is shown, how it leaves, what is left alone."""

import asyncio
import collections
import copy
import functools
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import cachetools
import cachetools.func
import pytest

import memo
from memo import AdoptedStats, Record, Registry, bounded, dedupe_inflight, sliding_window
from memo.testing import FakeClock

Info = collections.namedtuple("Info", "hits misses maxsize currsize")


class AsyncDuck:
    """The surface of ``async_lru``: a coroutine function that remembers, and makes a view of itself at each access."""

    def __init__(self, function: Callable[..., Any], maxsize: int | None = 128) -> None:
        functools.update_wrapper(self, function)
        self._maxsize = maxsize
        self._table: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self._hits = self._misses = 0

    async def __call__(self, *args: Any) -> Any:
        if args in self._table:
            self._hits += 1
        else:
            self._misses += 1
            self._table[args] = await self.__wrapped__(*args)
        return self._table[args]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return AsyncDuckView(self, instance)

    def cache_info(self) -> Info:
        return Info(self._hits, self._misses, self._maxsize, len(self._table))

    def cache_clear(self) -> None:
        self._table.clear()
        self._hits = self._misses = 0

    def cache_parameters(self) -> dict[str, Any]:
        return {"maxsize": self._maxsize, "typed": False, "tasks": 0, "closed": False}


class AsyncDuckView:
    """What is made anew at each access of a method."""

    def __init__(self, duck: AsyncDuck, instance: Any) -> None:
        functools.update_wrapper(self, duck.__wrapped__)
        self._duck, self._instance = duck, instance

    async def __call__(self, *args: Any) -> Any:
        return await self._duck(self._instance, *args)

    def cache_info(self) -> Info:
        return self._duck.cache_info()

    def cache_clear(self) -> None:
        self._duck.cache_clear()

    def cache_parameters(self) -> dict[str, Any]:
        return self._duck.cache_parameters()


class Service:
    """Adoptable methods of each make."""

    def __init__(self) -> None:
        self.store = cachetools.LRUCache[Any, Any](5)

    @functools.lru_cache(maxsize=10)  # noqa: B019  # what keeps self alive is what is to be found
    def c_method(self, x: int) -> list[int]:
        return [x]

    @AsyncDuck
    async def async_method(self, x: int) -> list[int]:
        return [x]

    @cachetools.cachedmethod(lambda self: self.store)
    def of_instance(self, x: int) -> list[int]:
        return [x]

    @property
    @functools.cache  # noqa: B019
    def c_property(self) -> list[int]:
        return []

    @staticmethod
    @functools.cache
    def c_static(x: int) -> list[int]:
        return [x]


@pytest.fixture(autouse=True)
def empty_methods() -> Iterator[None]:
    """The functions of the class above begin each test without entries or figures."""
    yield
    for function in (Service.c_method, Service.__dict__["async_method"], Service.c_property.fget, Service.c_static):
        function.cache_clear()


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of somebody else."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def stats_of(record: Record) -> AdoptedStats:
    stats = record.stats().adopted
    assert stats is not None
    return stats


def cells(own: Registry, name: str) -> dict[str, str]:
    """One row of the printed table, by column."""
    lines = str(own).splitlines()
    columns = ["function", *(word for word in lines[0].replace("hit ratio", "hit_ratio").split()[1:])]
    (row,) = [line.split() for line in lines[2:] if line.split()[0] == name]
    return dict(zip(columns, row, strict=True))


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
    assert record.name == f"{__name__}.Service.c_method"
    assert own[Service.c_method] is own[service.c_method] is own.adopt(Service.c_method) is record
    assert len(own) == 1


def test_properties_and_static_methods_are_taken_in(own: Registry) -> None:
    """A cache below ``@property`` or ``@staticmethod`` is adopted."""
    assert own.adopt(Service.c_property).name == f"{__name__}.Service.c_property"
    assert own.adopt(Service.__dict__["c_static"]).name == f"{__name__}.Service.c_static"
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
        record.name, __name__.partition(".")[0], hits=1, misses=2, size=2, max=128, bounded=True
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
    base = f"{__name__}.Service.of_instance"
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
        (lambda: bounded(max=3, registry=Registry())(abs), r"belongs to this package"),
        (lambda: passing(bounded(max=3, registry=Registry())(abs)), r"belongs to this package"),
        (lambda: bounded(max=3, registry=Registry())(functools.lru_cache(abs)), r"belongs to this package"),
        (lambda: dedupe_inflight(registry=Registry())(abs), r"belongs to this package"),
        (lambda: sliding_window("1h", registry=Registry())(abs), r"belongs to this package"),
        (lambda: bounded(max=3, registry=Registry())(abs).cache, r"belongs to this package"),
        (Registry, r"belongs to this package"),
    ],
)
def test_what_cannot_be_adopted_is_refused(own: Registry, make: Callable[[], Any], message: str) -> None:
    """A TypeError says what was given and what can be given, and nothing is listed."""
    given = make()
    with pytest.raises(TypeError, match=message):
        own.adopt(given)
    assert len(own) == 0


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
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


# -- identity, names, weakness


def test_adopting_twice_gives_the_same_record(own: Registry) -> None:
    """The second adoption changes nothing but the name, if one is given."""
    function = functools.lru_cache(abs)
    record = own.adopt(function, "first")
    assert own.adopt(function) is record
    assert record.name == "first"
    assert own.adopt(function, "second") is record
    assert ("first" in own, "second" in own) == (False, True)
    assert stats_of(record).name == "second"
    assert repr(record.adopted) == "<adopted cache second>"


def test_two_registries_may_adopt_one_cache(own: Registry) -> None:
    """Each registry has a record of its own, and the adopted function knows of neither."""
    function = functools.lru_cache(abs)
    attributes = dict(vars(function))
    other = Registry()
    assert own.adopt(function) is not other.adopt(function)
    assert function in own
    assert function in other
    assert function not in memo.registry
    assert vars(function) == attributes


def test_nothing_is_written_into_a_cache(own: Registry) -> None:
    """Attributes, entries and order of an adopted cache are as they were after every reading."""
    cache = cachetools.LRUCache[Any, Any](3)
    cache.update({"a": 1, "b": 2, "c": 3})
    attributes = set(vars(cache))
    own.adopt(cache)
    for _ in range(2):
        str(own), own.stats(), own.report(), own.cleanup()
    assert set(vars(cache)) == attributes
    cache["d"] = 4
    assert "a" not in cache, "a reading counted as a use"


@pytest.mark.parametrize(
    "make",
    [
        lambda: functools.lru_cache(maxsize=3)(lambda x: x),
        lambda: AsyncDuck(passing(abs)),
        lambda: cachetools.cached(cachetools.LRUCache[Any, Any](3))(lambda x: x),
        lambda: cachetools.TTLCache[Any, Any](3, 60),
    ],
)
def test_the_record_dies_with_the_cache(own: Registry, make: Callable[[], Any]) -> None:
    """The registry does not keep a cache alive, and its row is gone with it, also from the hands of who keeps it."""
    cache = make()
    dead = weakref.ref(cache)
    kept = own.adopt(cache, "short-lived")
    gone = weakref.ref(own.adopt(make(), "at once"))
    gc.collect()
    assert gone() is None
    assert [record.name for record in own] == ["short-lived"]
    del cache
    gc.collect()
    assert dead() is None
    assert len(own) == 0
    assert "short-lived" not in own
    assert own.stats() == {}
    assert stats_of(kept).size is None
    assert kept.adopted is not None
    assert kept.adopted.cache is None
    assert kept.cleanup().total == 0
    kept.clear()
    assert own.adopt(cachetools.LRUCache[Any, Any](1), "short-lived").name == "short-lived", "the dead have no names"


def test_a_registry_may_go_before_the_cache() -> None:
    """An adopted cache outlives the registry and does not keep it alive."""
    own = Registry()
    gone = weakref.ref(own)
    function = functools.lru_cache(abs)
    own.adopt(function)
    del own
    gc.collect()
    assert gone() is None
    assert function(-1) == 1


def test_a_thousand_caches_come_and_go(own: Registry) -> None:
    """Caches that were adopted and dropped leave neither record nor table entry."""
    for _ in range(1000):
        own.adopt(functools.lru_cache(lambda x: x))
    gc.collect()
    assert len(own) == 0
    assert own._adopted == {}
    assert len(own._by_name) == 0


def test_threads_that_adopt_one_cache_get_one_record(own: Registry) -> None:
    """Of simultaneous adoptions of one function one makes the record."""
    function = functools.lru_cache(abs)
    start = threading.Barrier(8)
    records: list[Record] = []

    def adopt() -> None:
        start.wait(20)
        records.append(own.adopt(function))

    threads = [threading.Thread(target=adopt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(records) == 8
    assert len({id(record) for record in records}) == 1
    assert len(own) == 1


# -- figures


def test_snapshots_subtract(own: Registry) -> None:
    """Known counters are differences, gauges the later value, unknown figures None."""

    @functools.lru_cache(maxsize=5)
    def fetch(x: int) -> int:
        return x

    quiet = cachetools.cached(cachetools.LRUCache[Any, Any](5))(lambda x: x)
    own.adopt(fetch, "fetch")
    own.adopt(quiet, "quiet")
    fetch(1), quiet(1)
    before = own.stats()
    fetch(1), fetch(2), quiet(2)
    after = own.stats()
    change = (after["fetch"] - before["fetch"]).adopted
    assert change == AdoptedStats("fetch", "functools", hits=1, misses=1, size=2, max=5, bounded=True)
    silent = (after["quiet"] - before["quiet"]).adopted
    assert silent is not None
    assert (silent.hits, silent.misses, silent.hit_ratio, silent.size) == (None, None, None, 2)
    assert after["fetch"].cache is None
    assert copy.copy(change) == change
    with pytest.raises(ValueError, match="do not subtract"):
        _ = after["fetch"] - after["quiet"]


def test_figures_of_a_cache_that_raises_are_unknown(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """A cache that cannot tell its figures is logged and shown with dashes; the table still prints."""

    class Broken(cachetools.LRUCache[Any, Any]):
        @property
        def maxsize(self) -> int:
            if vars(self).get("broken"):
                raise RuntimeError("no figures today")
            return 3

    cache = Broken(3)
    record = own.adopt(cache, "broken")
    vars(cache)["broken"] = True
    with caplog.at_level(logging.ERROR, "memo"):
        assert "broken" in str(own)
    assert "no figures today" in caplog.text
    assert stats_of(record).max is None


def test_reading_expires_nothing(own: Registry) -> None:
    """Figures count what is past its life until something removes it, and reading them does not."""
    clock = FakeClock()
    cache = cachetools.TTLCache[Any, Any](5, 10, timer=clock)
    cache["a"] = 1
    clock.advance(10)
    record = own.adopt(cache)
    str(own), own.report()
    assert stats_of(record).size == 1
    assert own.cleanup().expired == 1
    assert stats_of(record).size == 0


# -- cleaning up


class Watched:
    """A lock that tells whether it is held."""

    def __init__(self) -> None:
        self.held = False
        self.times = 0

    def __enter__(self) -> None:
        assert not self.held, "taken twice"
        self.held = True
        self.times += 1

    def __exit__(self, *exception: object) -> None:
        self.held = False


class Guarded(cachetools.TTLCache[Any, Any]):
    """Insists that its lock is held when it changes."""

    lock: Watched | None = None

    def expire(self, time: Any = None) -> Any:
        assert self.lock is None or self.lock.held
        return super().expire(time)

    def clear(self) -> None:
        assert self.lock is None or self.lock.held
        super().clear()


def test_cleanup_expires_under_the_lock(own: Registry) -> None:
    """A ttl cache is expired by ``cleanup()``, under the lock of the function or the one given with the cache."""
    clock = FakeClock()
    locks = Watched(), Watched()
    caches = [Guarded(9, 10, timer=clock) for _ in locks]
    function = cachetools.cached(caches[0], lock=locks[0])(abs)
    own.adopt(function, "function")
    own.adopt(caches[1], "bare", lock=locks[1])
    function(-1), function(-2)
    caches[1]["a"] = 1
    clock.advance(5)
    function(-3)
    clock.advance(5)
    for cache, lock in zip(caches, locks, strict=True):
        cache.lock = lock
    report = own.cleanup()
    assert (report.expired, dict(report.functions)) == (3, {"function": 2, "bare": 1})
    assert own.cleanup().total == 0
    taken = [lock.times for lock in locks]
    own.clear()
    assert [lock.times for lock in locks] == [times + 1 for times in taken]
    assert [stats_of(record).size for record in own] == [0, 0]


def test_without_a_lock_only_the_thread_that_adopted_expires(own: Registry) -> None:
    """No other thread changes a cache of which nothing tells whether somebody else is changing it."""
    clock = FakeClock()
    cache = cachetools.TTLCache[Any, Any](5, 10, timer=clock)
    cache["a"] = 1
    record = own.adopt(cache)
    clock.advance(10)
    reports: list[int] = []
    thread = threading.Thread(target=lambda: reports.append(own.cleanup().total))
    thread.start()
    thread.join(20)
    assert reports == [0]
    assert stats_of(record).size == 1
    assert record.adopted is not None
    assert record.adopted.cleanup() == 1


def test_cleanup_goes_on_after_a_cache_that_raises(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """A cache whose ``expire()`` fails is logged, and the others are cleaned up."""
    clock = FakeClock()

    class Broken(cachetools.TTLCache[Any, Any]):
        def expire(self, time: Any = None) -> Any:
            raise RuntimeError("not today")

    broken, sound = Broken(5, 10, timer=clock), cachetools.TTLCache[Any, Any](5, 10, timer=clock)
    sound["a"] = 1
    own.adopt(broken, "a broken one")
    own.adopt(sound, "b sound one")
    clock.advance(10)
    with caplog.at_level(logging.ERROR, "memo"):
        assert own.cleanup().functions == {"b sound one": 1}
    assert "not today" in caplog.text


def test_clear_empties_every_kind(own: Registry) -> None:
    """``clear()`` is ``cache_clear()`` of a function and ``clear()`` of a cache object."""
    plain = functools.cache(lambda x: x)
    cached = cachetools.cached(cachetools.LRUCache[Any, Any](5), lock=threading.Lock())(lambda x: x)
    bare = cachetools.LRUCache[Any, Any](5)
    plain(1), cached(1), bare.update(a=1)
    for cache in (plain, cached, bare):
        own.adopt(cache)
    own.clear()
    assert plain.cache_info().currsize == len(cached.cache) == len(bare) == 0
    assert all(record.adopted for record in own)


def test_clear_goes_on_after_a_cache_that_raises(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """A cache that cannot be cleared is logged, and the others are cleared; its own handle lets the error through."""

    class Broken(cachetools.LRUCache[Any, Any]):
        def clear(self) -> None:
            raise RuntimeError("not today")

    broken, sound = Broken(5), cachetools.LRUCache[Any, Any](5)
    sound["a"] = 1
    record = own.adopt(broken, "a broken one")
    own.adopt(sound, "b sound one")
    with caplog.at_level(logging.ERROR, "memo"):
        own.clear()
    assert "not today" in caplog.text
    assert len(sound) == 0
    assert record.adopted is not None
    with pytest.raises(RuntimeError, match="not today"):
        record.adopted.clear()


# -- together with the rest of the registry


def test_selections_find_adopted_functions(own: Registry) -> None:
    """A view finds what it selects, by name and by function, and not what it leaves out."""
    one, two = functools.lru_cache(abs), functools.lru_cache(len)
    own.adopt(one, "bot.one")
    own.adopt(two, "web.two")
    view = own.select("bot.*")
    assert [record.name for record in view] == ["bot.one"]
    assert view[one] is own["bot.one"]
    assert two not in view
    assert view.stats().keys() == {"bot.one"}


def test_options_of_this_package_pass_it_by(own: Registry) -> None:
    """Tags, the off switch and a decorated function's handles do not concern an adopted cache."""
    calls: list[int] = []
    function = functools.lru_cache(calls.append)
    record = own.adopt(function)
    with own.disabled():
        function(1), function(1)
    assert calls == [1]
    assert own.invalidate(tag="x") == 0
    assert function.cache_info().currsize == 1
    assert (record.cache, record.inflight, record.window, record.tags) == (None, None, None, ())


def test_adopted_and_decorated_stand_in_one_table(own: Registry) -> None:
    """Both kinds are rows of one aligned table, each with a dash for what it lacks."""
    decorated = bounded(max=8, registry=own, name="decorated")(abs)
    adopted = cachetools.LRUCache[Any, Any](4)
    own.adopt(adopted, "adopted")
    decorated(-1), decorated(-1)
    assert cells(own, "decorated")["hits"] == "1"
    assert cells(own, "adopted")["hits"] == cells(own, "adopted")["joins"] == "-"
    assert len({len(line.split()) for line in str(own).replace("hit ratio", "hit_ratio").splitlines()}) == 1

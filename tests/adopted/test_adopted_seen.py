"""Adopted caches in a registry: their names, their figures, what cleans them."""

import copy
import functools
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import cachetools
import cachetools.func
import pytest
from kit.adopted import AsyncDuck, cells, passing, stats_of

import memo
from memo import AdoptedStats, Record, Registry, bounded
from memo.testing import FakeClock

pytestmark = pytest.mark.usefixtures("empty_methods")


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

"""Keys are compared while no lock is held, whatever comes in meanwhile: their ``__eq__`` may do anything."""

import asyncio
import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cachetools
import pytest
from kit.threads import switching_often, until

from memo import Registry, bounded
from memo._base import rlock
from memo._call.stored_keys import Known, stored_key

POLICIES: dict[str, Any] = {
    **{name: {"policy": name} for name in ("adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random")},
    "cachetools": {"policy": cachetools.LRUCache},
    "ttl": {"ttl": 60, "stale_if_error": 60},
    "bytes": {"max_bytes": "1MB"},
    "idle": {"idle": 60},
    "tags": {"tags": lambda *args: "t"},
    "apart": {"dedupe": False},
}
every_policy = pytest.mark.parametrize("options", POLICIES.values(), ids=POLICIES)


class Watched:
    """A key that calls ``asked`` in each comparison."""

    asked: Callable[[], object] | None = None

    def __init__(self, name: int, code: int | None = None) -> None:
        self.name = name
        self.code = hash(name) if code is None else code

    def __hash__(self) -> int:
        return self.code

    def __eq__(self, other: object) -> bool:
        if Watched.asked is not None:
            Watched.asked()
        return isinstance(other, Watched) and other.name == self.name


@pytest.fixture(autouse=True)
def asleep() -> Iterator[None]:
    yield
    Watched.asked = None


def elsewhere(act: Callable[[], object]) -> None:
    """Do something in another thread, and wait for its end: for ever, if this thread holds what that needs."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "another thread waits for what this one holds"


@every_policy
def test_other_threads_may_use_the_cache_in_every_comparison(options: Any) -> None:
    """Whatever operation compares, of keys that are equal or only hash alike: no lock is held meanwhile."""

    @bounded(max=4, registry=Registry(), **options)
    def fetch(key: Any) -> int:
        return 1

    class Service:
        @bounded(max=4, registry=Registry(), **options)
        def load(self, key: Any, more: int = 0) -> int:
            return 1

    service = Service()
    asked = 0

    def use() -> None:
        nonlocal asked
        asked += 1
        asking, Watched.asked = Watched.asked, None

        def act() -> None:
            for call in (fetch, service.load):
                call.cache.put(2, asked)
                call.cache.invalidate(asked)

        elsewhere(act)
        Watched.asked = asking

    for call in (fetch, service.load):
        handle: Any = call.cache
        for name in range(3):
            call(Watched(name, 7))
        Watched.asked = use
        for name in (3, 2, 4, 2):
            call(Watched(name, 7))
        handle.put(5, Watched(4, 7))
        handle.put(5, Watched(5, 7))
        handle.refresh(Watched(4, 7))
        handle.invalidate(Watched(4, 7))
        handle.entry(Watched(2, 7))
        handle.fresh(Watched(2, 7))
        handle.within(20).call(Watched(2, 7))
        handle.within(20).call(Watched(8, 7))
        handle.__contains__(Watched(2, 7))
        handle.put_many([(Watched(2, 7), 3), (Watched(6, 7), 3)])
        call.inflight.forget(Watched(2, 7))
        call.cache_clear()
        Watched.asked = None
    assert asked > 20
    fetch.cache._check()


def watched(step: int, code: int | None) -> Any:
    return Watched(10 + step, code)


def number(step: int, code: int | None) -> int:
    """A number that hashes like *code*: a key that tables hold as it is."""
    return (0 if code is None else code) + step * sys.hash_info.modulus


@every_policy
@pytest.mark.parametrize("code", [None, 7], ids=["equal", "alike"])
@pytest.mark.parametrize("another", [watched, number])
def test_a_key_that_comes_in_during_a_comparison_is_not_compared_under_the_lock(
    options: Any, code: int | None, another: Callable[[int, int | None], Any]
) -> None:
    """What another thread loads or puts between a look-up and the change that it is for is known to the change."""

    @bounded(max=9, registry=Registry(), **options)
    def fetch(key: Any) -> int:
        if running is not None and not running.is_set():
            running.set()
            assert go.wait(20)
        return 1

    running: threading.Event | None = None
    for operation in ("call", "put", "invalidate", "refresh"):
        go = threading.Event()
        fetch(Watched(0, code)), fetch(Watched(1, code))
        running = threading.Event()
        loader = threading.Thread(target=fetch, args=(Watched(2, code),), daemon=True)
        step = 0

        def meddle(loader: Any = loader, running: Any = running) -> None:
            nonlocal step
            step += 1
            asking, Watched.asked = Watched.asked, None
            if step == 1:
                loader.start()
                assert running.wait(20)
            elsewhere(lambda: fetch.cache.put(3, another(step, code)))
            elsewhere(fetch.cache.stats)
            Watched.asked = asking

        Watched.asked = meddle
        try:
            if operation == "put":
                fetch.cache.put(4, Watched(1, code))
            elif operation == "invalidate":
                fetch.cache.invalidate(Watched(1, code))
            elif operation == "refresh":
                fetch.cache.refresh(Watched(1, code))
            else:
                fetch(Watched(1, code))
        finally:
            Watched.asked = None
            go.set()
        assert step
        loader.join(20)
        assert fetch(Watched(2, code)) == 1
        fetch.cache._check()
        fetch.cache.clear()
        running = None


@every_policy
@pytest.mark.parametrize("alike", [False, True])
def test_two_caches_whose_keys_use_each_other_s_cache(options: Any, alike: bool) -> None:
    """Threads end that compare keys of one cache, which use another, whose keys use the first: as with functools."""
    local = threading.local()

    class Using:
        def __init__(self, name: int, other: Any) -> None:
            self.name, self.other = name, other

        def __hash__(self) -> int:
            return self.name % 2 if alike else self.name

        def __eq__(self, key: object) -> bool:
            if any(call.cache._cache.store.lock._is_owned() for call in (first, second)):
                failed.append(AssertionError("compared under a lock"))
            if not getattr(local, "within", False):
                local.within = True
                try:
                    self.other(self.name)
                finally:
                    local.within = False
            return isinstance(key, Using) and key.name == self.name

    first: Any = bounded(max=4, registry=Registry(), **options)(lambda key: 1)
    second: Any = bounded(max=4, registry=Registry(), **options)(lambda key: 2)
    failed: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        here, there = ((first, second), (second, first))[seed % 2]
        try:
            for _ in range(120):
                name = chance.randrange(9)
                key = chance.choice([Using(name, there), Using(name, there), name, name % 2])
                operation = chance.choice(["call", "call", "call", "put", "invalidate", "refresh"])
                if operation == "put":
                    here.cache.put(3, key)
                else:
                    (here if operation == "call" else getattr(here.cache, operation))(key)
        except BaseException as error:
            failed.append(error)

    with switching_often():
        threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads), "they wait for each other"
    assert failed == []
    for call in (first, second):
        call.cache._check()


def test_loads_compare_keys_without_a_lock() -> None:
    """Neither a call that joins a load, nor one of another key that hashes alike, compares under the lock."""
    go = threading.Event()

    @bounded(max=3, registry=Registry())
    def fetch(key: Any) -> int:
        assert go.wait(20)
        return 1

    asked = 0

    def use() -> None:
        nonlocal asked
        asked += 1
        asking, Watched.asked = Watched.asked, None
        elsewhere(fetch.inflight.stats)
        Watched.asked = asking

    threads = [threading.Thread(target=fetch, args=(Watched(name, 7),)) for name in (1, 1, 2, 1)]
    Watched.asked = use
    try:
        for number, thread in enumerate(threads, 1):
            thread.start()
            until(lambda number=number: fetch.inflight.stats().waiting + len(fetch.inflight) == number)
        fetch.inflight.forget(Watched(1, 7))
    finally:
        go.set()
        for thread in threads:
            thread.join(20)
    assert asked >= 3
    assert fetch.inflight.stats().started == 2


def test_coroutines_compare_keys_without_a_lock() -> None:
    """Tasks that join, load and evict leave other threads to their work while keys are compared."""

    @bounded(max=2, registry=Registry())
    async def fetch(key: Any) -> int:
        await asyncio.sleep(0)
        return 1

    asked = 0

    def use() -> None:
        nonlocal asked
        asked += 1
        asking, Watched.asked = Watched.asked, None
        elsewhere(fetch.inflight.stats)
        Watched.asked = asking

    async def play() -> None:
        Watched.asked = use
        for names in ((1, 1, 2), (2, 3, 3), (1, 2, 4)):
            assert await asyncio.gather(*[fetch(Watched(name, 7)) for name in names]) == [1, 1, 1]

    asyncio.run(play())
    assert asked > 5


@every_policy
def test_what_is_known_of_keys_goes_with_them(options: Any) -> None:
    """A function remembers of keys only what its entries and running loads hold, by reference counts alone."""

    @bounded(max=4, registry=Registry(), **options)
    def fetch(key: Any, more: Any = None) -> int:
        if key == Watched(-1):
            raise ZeroDivisionError
        return 1

    known = fetch.cache._cache.table.known
    for name in range(30):
        fetch(Watched(name, name % 3), more=Watched(-name))
    with pytest.raises(ZeroDivisionError):
        fetch(Watched(-1))
    assert len(known) <= 2 * 4
    fetch.cache.clear()
    assert len(known) == 0
    fetch(Watched(1))

    def fail() -> None:
        raise ZeroDivisionError

    Watched.asked = fail
    with pytest.raises(ZeroDivisionError):
        fetch.cache.put(1, Watched(1))
    Watched.asked = None
    assert len(known) == 1
    assert fetch(Watched(1)) == 1


def test_keys_of_ones_own_are_known_in_many_tables() -> None:
    """Where there may be many, no table of them is rebuilt at length, and still equal ones are one."""

    class Key:
        def __init__(self, name: int) -> None:
            self.name = name

        def __hash__(self) -> int:
            return hash(("key", self.name))

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and other.name == self.name

    count = 20_000
    known = Known(rlock(), many=True)
    held = [stored_key(Key(n), known) for n in range(count)]
    assert stored_key(Key(7), known) is held[7]
    assert len(known) == count
    assert max(len(known.table(hash(key))) for key in held) < 3 * count / 509
    del held
    assert len(known) == 0

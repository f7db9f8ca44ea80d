"""The policies of the stores: exact, whole after every step, and asking a key for its hash no more than they must."""

import asyncio
import collections
import copy
import functools
import gc
import pickle
import random
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memo import Registry, bounded
from memo._call.stored_keys import HashedValue, plain_key, stored_key
from memo._store.entries import Entry, WeighedEntry
from memo._store.entry_policy import EntryPolicy
from memo._store.entry_s3fifo import EntryS3FIFO
from memo._store.frequency import EntryLFU
from memo._store.orders import EntryFIFO, EntryLRU, EntryRandom
from memo._store.policy import POLICIES

__all__ = ()

OWN = (EntryLRU, EntryLFU, EntryFIFO, EntryRandom, EntryS3FIFO)
every_own = pytest.mark.parametrize("kind", OWN)
every_policy = pytest.mark.parametrize("policy", POLICIES)
TWINS = {EntryLRU: cachetools.LRUCache, EntryLFU: cachetools.LFUCache, EntryFIFO: cachetools.FIFOCache}

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["get", "get", "put", "put", "del", "pop", "clear"]), st.integers(0, 9), st.integers(0, 4)
    ),
    max_size=120,
)


def make_entry(value: Any, size: int | None = None) -> Any:
    entry: Any = Entry() if size is None else WeighedEntry()
    entry.value, entry.deadline, entry.stored, entry.hits, entry.counted = value, 10.5, 0.5, 0, 0
    if size is not None:
        entry.size = size
    return entry


def size_of(entry: Any) -> int:
    return entry.size  # type: ignore[no-any-return]


# -- exactness


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("weighed", [False, True])
@settings(max_examples=150, deadline=None)
@given(bound=st.integers(1, 8), steps=STEPS)
def test_the_order_is_that_of_cachetools(
    kind: type[EntryPolicy[int]], weighed: bool, bound: int, steps: list[tuple[str, int, int]]
) -> None:
    """Driven alike, policy and cachetools' class of the same name hold the same keys and evict the same, ties too."""
    ours: Any = kind(bound, size_of if weighed else None)
    theirs: Any = TWINS[kind](bound, size_of if weighed else None)
    for step, key, size in steps:
        if step == "get":
            assert ours.get(key) is theirs.get(key)
        elif step == "put":
            entry = make_entry(key, min(size, bound) if weighed else None)
            ours[key] = theirs[key] = entry
        elif step == "del":
            assert (key in ours) == (key in theirs)
            if key in ours:
                del ours[key], theirs[key]
        elif step == "pop" and ours:
            assert ours.popitem() == theirs.popitem()
        elif step == "clear" and key == 0:
            ours.clear()
            theirs.clear()
        ours._check()
        assert dict(ours.nodes) == {key: cachetools.Cache.__getitem__(theirs, key) for key in theirs}
        assert ours.currsize == theirs.currsize
    assert [ours.popitem() for _ in range(len(ours))] == [theirs.popitem() for _ in range(len(theirs))]


def run(functions: list[Callable[[int], Any]], seed: int, keys: int) -> Iterator[None]:
    dice = random.Random(seed)
    for _ in range(3000):
        key = int(dice.paretovariate(0.8)) % keys
        for function in functions:
            function(key)
        yield


def test_lru_evicts_as_lru_cache() -> None:
    """Under a random load exactly the calls that miss in functools.lru_cache miss here."""
    for size in (1, 2, 5, 17):
        ran: list[int] = []
        ran_there: list[int] = []
        ours = bounded(max=size, policy="lru", registry=Registry())(ran.append)
        theirs = functools.lru_cache(maxsize=size)(ran_there.append)
        for _ in run([ours, theirs], size, 40):
            assert ran == ran_there
        ours.cache._check()


def test_lfu_evicts_as_lfu_cache() -> None:
    """Under a random load exactly the calls that miss in a cachetools.LFUCache miss here, ties included."""
    for size in (1, 2, 5, 17):
        ran: list[int] = []
        ran_there: list[int] = []
        ours = bounded(max=size, policy="lfu", registry=Registry())(ran.append)
        theirs = cachetools.cached(cachetools.LFUCache(size), key=lambda x: x)(ran_there.append)
        for _ in run([ours, theirs], size, 40):
            assert ran == ran_there
        ours.cache._check()


def test_methods_and_coroutines_move_their_entries_too() -> None:
    """A hit through an instance, and one that is awaited, keeps its entry from being evicted next."""
    for policy in ("lru", "lfu"):

        class Service:
            @bounded(max=3, policy=policy, registry=Registry())
            def fetch(self, x: int) -> int:
                return x

            @bounded(max=3, policy=policy, registry=Registry())
            async def fetch_later(self, x: int) -> int:
                return x

        service = Service()

        async def play(service: Service) -> None:
            for x in (1, 2, 3, 1, 4):
                service.fetch(x)
                await service.fetch_later(x)

        asyncio.run(play(service))
        assert sorted(service.fetch.cache) == sorted(service.fetch_later.cache) == [1, 3, 4]


def test_random_evicts_each_alike() -> None:
    """Of ten entries each is evicted about as often as the others."""
    counts: collections.Counter[int] = collections.Counter()
    for _ in range(3000):
        cache: EntryRandom[int] = EntryRandom(10)
        for key in range(10):
            cache[key] = make_entry(key)
        counts[cache.popitem()[0]] += 1
    assert min(counts.values()) > 200
    assert max(counts.values()) < 400


# -- as caches


@every_own
@pytest.mark.parametrize("weighed", [False, True])
@settings(max_examples=60, deadline=None)
@given(bound=st.integers(1, 8), steps=STEPS)
def test_it_is_a_cache_and_its_copies_are_apart(
    kind: type[EntryPolicy[int]], weighed: bool, bound: int, steps: list[tuple[str, int, int]]
) -> None:
    """Whatever is done, the invariants hold; copies, deep copies and pickles evict in the same order."""
    cache: Any = kind(bound, size_of if weighed else None)
    for step, key, size in steps:
        if step == "get":
            assert (cache.get(key) is None) == (key not in cache)
        elif step == "put":
            cache[key] = make_entry(key, min(size, bound) if weighed else None)
            assert key in cache
        elif step == "del":
            assert (cache.pop(key, None) is None) or key not in cache
        elif step == "pop" and cache:
            cache.popitem()
        elif step == "clear" and key == 0:
            cache.clear()
        cache._check()
        assert len(cache) == len(cache.nodes)
    others = [copy.copy(cache), copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))]
    orders = []
    for other in others:
        other._check()
        assert {entry.value for entry in other.nodes.values()} == {entry.value for entry in cache.nodes.values()}
        assert not {id(entry) for entry in other.nodes.values()} & {id(entry) for entry in cache.nodes.values()}
        if kind is not EntryRandom:
            orders.append([other.popitem()[0] for _ in range(len(other))])
    cache._check()
    if orders:
        assert orders == [[cache.popitem()[0] for _ in range(len(cache))]] * 3


@every_own
def test_what_does_not_fit_is_refused(kind: type[EntryPolicy[int]]) -> None:
    """A value larger than the whole, or smaller than nothing, is an error, and changes nothing."""
    cache = kind(5, size_of)
    cache[1] = make_entry(1, 3)
    for size in (6, -1):
        with pytest.raises(ValueError, match=r"too large|non-negative"):
            cache[2] = make_entry(2, size)
    assert list(cache) == [1]
    with pytest.raises(KeyError):
        cache[2]
    with pytest.raises(KeyError):
        del cache[2]
    cache.popitem()
    with pytest.raises(KeyError, match="is empty"):
        cache.popitem()
    cache._check()


@every_own
@pytest.mark.parametrize("seed", range(20))
def test_mending_keeps_every_entry(kind: type[EntryPolicy[int]], seed: int) -> None:
    """However the links of the rings were torn, afterwards each entry hangs in one, and the torn ones in some order."""
    dice = random.Random(seed)
    cache: Any = kind(20)
    for _ in range(60):
        key = dice.randrange(30)
        if cache.get(key) is None:
            cache[key] = make_entry(key)
    before = dict(cache.nodes)
    for entry in dice.sample(list(before.values()), seed // 2):
        for way in ("newer", "older"):
            if dice.random() < 0.3:
                delattr(entry, way)
            elif dice.random() < 0.5:
                setattr(entry, way, dice.choice([*before.values(), cache.ring]))
    cache.mend()
    cache._check()
    assert dict(cache.nodes) == before
    for _ in range(100):
        cache[dice.randrange(40)] = make_entry(0)
        cache._check()


# -- hashes


class Counted:
    """A key that counts how often it is hashed and compared."""

    hashes = comparisons = 0

    def __init__(self, name: Hashable) -> None:
        self.name = name

    def __hash__(self) -> int:
        Counted.hashes += 1
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return isinstance(other, Counted) and other.name == self.name


OPTIONS: dict[str, dict[str, Any]] = {
    "bare": {},
    "ttl, told": {"ttl": 60, "on_evict": lambda *what: None},
    "idle": {"idle": 60},
    "weighed": {"max_bytes": "1GB"},
    "stale": {"ttl": 60, "stale_if_error": 60},
    "tagged": {"tags": lambda *args: "t"},
    "not shared": {"dedupe": False},
}


@every_policy
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", ["function", "coroutine", "method", "two parameters", "tuple"])
def test_a_key_is_hashed_twice_in_a_miss_and_once_in_a_hit(policy: str, options: str, shape: str) -> None:
    """A miss that evicts hashes no key more than twice, all keys together; a hit once; the policy does not matter."""
    decorate = bounded(max=20, policy=policy, registry=Registry(), **OPTIONS[options])
    loop = asyncio.new_event_loop()

    @decorate
    def plain(x: Any) -> int:
        return 1

    @decorate
    async def awaited(x: Any) -> int:
        return 1

    class Service:
        @decorate
        def fetch(self, x: Any) -> int:
            return 1

    @decorate
    def two(x: Any, y: int = 7) -> int:
        return 1

    service = Service()
    call: Callable[[Any], Any] = {
        "function": plain,
        "coroutine": lambda x: loop.run_until_complete(awaited(x)),
        "method": service.fetch,
        "two parameters": lambda x: two(x, 7),
        "tuple": lambda x: plain((x, 7)),
    }[shape]
    try:
        for number in range(60):
            call(Counted(number))
        Counted.hashes = Counted.comparisons = 0
        key = Counted("new")
        call(key)
        assert Counted.hashes <= 2, "in a miss"
        assert Counted.comparisons == 0, "in a miss"
        Counted.hashes = 0
        call(key)
        assert Counted.hashes == 1, "in a hit"
        assert Counted.comparisons == 0, "in a hit by the same object"
        call(Counted("new"))
        assert Counted.comparisons == 1, "in a hit by an equal object"
    finally:
        loop.close()


def test_only_what_may_cost_something_is_boxed() -> None:
    """Built-in values, and objects that are only equal to themselves, are their own stored key; what shows is plain."""

    class Bare:
        pass

    for key in (1, "a", b"a", None, 1.5, True, (1, "a"), ((1, 2), "b"), (), Bare(), (Bare(), 1), int, frozenset({1})):
        assert stored_key(key) is key or isinstance(key, frozenset)
    for key in (Counted(1), (Counted(1), 2), ((Counted(1),), 2), frozenset({Counted(1)})):
        stored = stored_key(key)
        assert stored is not key
        assert stored == key
        assert hash(stored) == hash(key)
        assert {stored: 1}[key] == {stored: 1}[stored_key(key)] == 1
        assert stored_key(stored) == stored
        assert plain_key(stored) == key
        assert type(plain_key(stored)) is type(key)
        assert pickle.loads(pickle.dumps(HashedValue(3))) == 3
    with pytest.raises(TypeError, match="unhashable"):
        stored_key(([], Counted(1)))


@every_policy
def test_users_see_the_keys_that_they_gave(policy: str) -> None:
    """on_evict, items(), predicates, running loads and iteration show the key itself, in every shape."""
    seen: list[Any] = []

    @bounded(max=1, policy=policy, registry=Registry(), on_evict=lambda key, *what: seen.append(key))
    def one(x: Any) -> int:
        seen.append(one.inflight.pending()[0].key)
        return 1

    first, second = Counted("a"), Counted("b")
    one(first)
    one(second)
    assert [id(key) for key in seen] == [id(first), id(second), id(first)]
    assert [key for key, _ in one.cache.items()] == list(one.cache) == [second]
    seen.clear()
    assert one.cache.invalidate_where(lambda key, value: seen.append(key) or True) == 1
    assert seen == [second, second]

    @bounded(max=2, policy=policy, registry=Registry(), typed=True)
    def two(x: Any, y: Any = 3) -> int:
        return 1

    two(first)
    assert list(two.cache) == [(first, 3)]
    assert two.cache.entry(Counted("a")) is not None
    assert two.cache.invalidate(Counted("a"), 3)


# -- keys that do what they like


class Sly:
    """A key of a hash that all share, whose comparison does what it is told."""

    asked: Callable[[], object] | None = None

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        ask, Sly.asked = Sly.asked, None
        if ask is not None:
            ask()
        return isinstance(other, Sly) and other.name == self.name


@pytest.fixture(autouse=True)
def meek() -> Iterator[None]:
    """No key is left with something to do."""
    yield
    Sly.asked = None


@every_policy
@pytest.mark.parametrize("what", ["clear", "invalidate", "call", "put", "resize", "items", "cleanup", "refresh"])
def test_a_comparison_may_use_the_cache(policy: str, what: str) -> None:
    """Whatever a key's comparison asks of the cache, at whichever comparison of a call, the store stays whole."""
    for nth in range(1, 40):
        loads: list[int] = []

        @bounded(max=3, policy=policy, registry=Registry())
        def fetch(key: Sly) -> int:
            loads.append(key.name)  # noqa: B023
            return key.name

        deeds: dict[str, Callable[[], object]] = {
            "clear": fetch.cache.clear,
            "invalidate": lambda: fetch.cache.invalidate(Sly(1)),
            "call": lambda: fetch(Sly(7)),
            "put": lambda: fetch.cache.put(8, Sly(8)),
            "resize": lambda: fetch.cache.resize(max=2),
            "items": fetch.cache.items,
            "cleanup": fetch.cache.cleanup,
            "refresh": lambda: fetch.cache.refresh(Sly(2)),
        }
        for name in (1, 2, 3):
            fetch(Sly(name))
        countdown = [nth]

        def wait(countdown: list[int] = countdown, deed: Callable[[], object] = deeds[what]) -> None:
            countdown[0] -= 1
            if countdown[0]:
                Sly.asked = wait
            else:
                deed()

        Sly.asked = wait
        assert fetch(Sly(9)) == 9
        Sly.asked = None
        fetch.cache._check()
        assert fetch(Sly(9)) == 9
        assert not fetch.cache._cache.store.lock._is_owned()  # type: ignore[attr-defined]
        fetch.cache._check()
        if countdown[0] > 0:
            break  # there were fewer comparisons than that
    else:
        pytest.fail("a call compares without end")


@every_policy
def test_a_comparison_that_raises_loses_nothing(policy: str) -> None:
    """At whichever comparison a key raises, the caller gets that, and all other entries stay or are told of."""

    def fail() -> None:
        raise ZeroDivisionError

    for nth in range(1, 40):
        gone: list[int] = []

        @bounded(max=3, policy=policy, registry=Registry(), on_evict=lambda key, value, why: gone.append(value))
        def fetch(key: Sly) -> int:
            return key.name

        for name in (1, 2, 3):
            fetch(Sly(name))
        countdown = [nth]

        def wait(countdown: list[int] = countdown) -> None:
            countdown[0] -= 1
            if countdown[0]:
                Sly.asked = wait
            else:
                fail()

        Sly.asked = wait
        try:
            fetch(Sly(9))
        except ZeroDivisionError:
            pass
        Sly.asked = None
        store = fetch.cache._cache.store
        store._check()
        held = [entry.value for entry in store.index.values()]
        assert sorted(held + gone) in ([1, 2, 3], [1, 2, 3, 9])
        assert len(gone) <= 1
        assert fetch(Sly(9)) == 9
        store._check()
        if countdown[0] > 0:
            break
    else:
        pytest.fail("a call compares without end")


@every_policy
def test_equal_keys_are_compared_outside_the_lock(policy: str) -> None:
    """A key that is loaded, put, invalidated or refreshed again is compared, but not while the store is locked."""
    held: list[bool] = []

    class Watched:
        def __init__(self, name: int) -> None:
            self.name = name

        def __hash__(self) -> int:
            held.append(fetch.cache._cache.store.lock._is_owned())  # type: ignore[attr-defined]
            return hash(self.name)

        def __eq__(self, other: object) -> bool:
            held.append(fetch.cache._cache.store.lock._is_owned())  # type: ignore[attr-defined]
            return isinstance(other, Watched) and other.name == self.name

    @bounded(max=3, policy=policy, ttl=60, registry=Registry())
    def fetch(key: Watched, more: int = 0) -> int:
        return key.name

    for name in range(6):
        fetch(Watched(name))
    fetch(Watched(5))
    fetch.cache.refresh(Watched(5))
    fetch.cache.put(7, Watched(5))
    assert fetch.cache.entry(Watched(5)) is not None
    fetch.cache.invalidate(Watched(5))
    fetch.cache.clear()
    assert len(held) > 10
    assert not any(held)


@every_policy
def test_a_hit_that_comes_too_late_changes_nothing(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who found an entry that was cleared before the policy was told neither fails nor brings it back."""

    @bounded(max=3, policy=policy, registry=Registry())
    def fetch(x: int) -> int:
        return x

    for x in (1, 2, 3, 2):
        fetch(x)
    store = fetch.cache._cache.store
    entries = list(store.index.values())
    let_go = store._changes._let_go

    def late(*args: Any) -> None:
        for entry in entries:
            store.touch(entry)
        assert store.use(2, 0.0) is None
        fetch(7)
        store._check()
        let_go(*args)

    monkeypatch.setattr(store._changes, "_let_go", late)
    fetch.cache.clear()
    monkeypatch.undo()
    store._check()
    assert list(fetch.cache) == [7]
    assert fetch(7) == 7


@every_own
def test_a_dropped_cache_goes_at_once(kind: type[EntryPolicy[int]]) -> None:
    """What was cleared or taken out is kept by nobody, with the cyclic collector off."""
    alive = 0

    class Value:
        def __init__(self) -> None:
            nonlocal alive
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    gc.disable()
    try:
        cache: Any = kind(5)
        for key in range(20):
            cache[key] = make_entry(Value())
            cache.get(key)
        assert alive == 5
        cache.popitem()
        assert alive == 4
        cache.clear()
        assert alive == 0
    finally:
        gc.enable()

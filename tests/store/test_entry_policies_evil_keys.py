"""Keys that do what they like harm no policy."""

import asyncio
import gc
import pickle
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from kit.entry_policies import Sly, every_own, make_entry
from kit.own_policies import POLICIES

from memo import Registry, bounded
from memo._call.stored_keys import HashedValue, plain_key, stored_key
from memo._store.entry_policy import EntryPolicy

pytestmark = pytest.mark.usefixtures("meek")


every_policy = pytest.mark.parametrize("policy", POLICIES)


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

    def late(changes: Any, *args: Any) -> None:
        assert changes is store._changes
        for entry in entries:
            store.touch(entry)
        assert store.use(2, 0.0) is None
        fetch(7)
        store._check()
        let_go(*args)

    with monkeypatch.context() as patch:
        patch.setattr(type(store._changes), "_let_go", late)
        fetch.cache.clear()
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

"""Leases that nobody ends, and leases of what was never stored."""

import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import finished
from kit.leased import Cache, Client, Closer
from kit.threads import Gate, Running

from memo import bounded, bounded_many

# -- garbage


def test_a_lease_that_is_dropped_has_ended() -> None:
    """Without an exit it ends with the last reference to it, once."""
    cache = Cache()
    lease = cache.fetch.cache.lease("a")
    client = lease.__enter__()
    cache.fetch.cache.clear()
    assert client.closed == 0
    del lease
    assert client.closed == 1
    assert cache.fetch.cache.stats().leases == 0


def test_a_lease_that_is_dropped_where_a_lock_is_held_is_told_by_whatever_comes_next() -> None:
    """No user code runs under the store's lock, not even that of a finalizer."""
    cache = Cache()
    lock = cache.fetch.__memo_record__.parts[0].cache.store.lock
    gate = Gate()

    def hold_it() -> None:
        with lock:
            gate.wait()

    for holds in (contextlib.nullcontext, lambda: lock):
        lease = cache.fetch.cache.lease("a")
        client = lease.__enter__()
        cache.fetch.cache.clear()
        elsewhere = None
        with holds():
            if holds is contextlib.nullcontext:
                elsewhere = Running(hold_it)
                gate.reached()
            del lease
            assert client.closed == 0
        gate.open()
        if elsewhere is not None:
            elsewhere.join()
        cache.fetch.cache.cleanup()
        assert client.closed == 1


def test_leases_in_a_circle_end_with_the_next_collection(nothing_collected: None) -> None:
    """A lease that its own value holds is garbage like any other."""
    cache = Cache()
    client: Any = None
    lease = cache.fetch.cache.lease("a")
    client = lease.__enter__()
    client.lease = lease
    cache.fetch.cache.clear()
    told = cache.closer
    del lease, client
    assert told.told == []
    gc.collect()
    assert told.take() == [("a", "a", "cleared")]


def test_a_lease_outlives_its_function() -> None:
    """What left before the function went is told, under the key that users see; what did not leave is not, as ever."""
    cache = Cache()
    closer, fetch = cache.closer, cache.fetch
    first, second = fetch.cache.lease("a"), fetch.cache.lease("b")
    gone, kept = first.__enter__(), second.__enter__()
    fetch.cache.invalidate("a")
    bystander = weakref.ref(fetch("c"))
    function = weakref.ref(fetch)
    cache.fetch = None
    del fetch
    assert function() is None, "a lease keeps the function alive"
    assert bystander() is None, "a lease keeps the store alive"
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert closer.take() == [("a", "a", "invalidated")]
    assert (gone.closed, kept.closed) == (1, 0)


KINDS_OF_KEYS: dict[str, tuple[dict[str, Any], Any]] = {
    "one value": ({}, ("a", 1)),
    "typed": ({"typed": True}, ("a", 1)),
    "made": ({"key": lambda name, default: name}, "a"),
    "of one parameter": ({"ignore": ("default",)}, "a"),
    "by identity": ({"weak": ("name",)}, None),
}


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("kind", KINDS_OF_KEYS)
def test_a_lease_keeps_neither_the_original_nor_its_defaults(kind: str, is_async: bool) -> None:
    """Told after all of that is gone, a key is shown as ever."""
    options, shown = KINDS_OF_KEYS[kind]
    closer = Closer()

    def original(name: Any, default: Any = 1) -> Client:
        return Client("a")

    async def original_async(name: Any, default: Any = 1) -> Client:
        return Client("a")

    function: Any = original_async if is_async else original
    default = Client("default")
    function.__defaults__ = (default,)
    decorated = bounded(max=2, on_evict=closer, **options)(function)
    name: Any = Client() if kind == "by identity" else "a"
    lease: Any = decorated.cache.lease(name, 1)
    finished(lease.__aenter__()) if is_async else lease.__enter__()
    decorated.cache.clear()
    refs = [weakref.ref(function), weakref.ref(default), weakref.ref(decorated)]
    del decorated, function, default, original, original_async
    assert [ref() for ref in refs] == [None, None, None]
    finished(lease.__aexit__(None, None, None)) if is_async else lease.__exit__(None, None, None)
    ((key, *told),) = closer.take()
    assert told == ["a", "cleared"]
    assert key == shown or (key[0]() is name and key[1] == 1)


def test_a_lease_does_not_keep_what_it_told() -> None:
    """An ended lease that somebody keeps refers neither to the value nor to the function."""
    cache = Cache()
    lease = cache.fetch.cache.lease("a")
    with lease as client:
        cache.fetch.cache.clear()
    dead, fetch = weakref.ref(client), weakref.ref(cache.fetch)
    del client
    cache.fetch = None
    assert dead() is None
    assert fetch() is None
    assert repr(lease).endswith("over>")


class Host:
    """Has clients, and is not kept alive by them."""

    closer = Closer()

    @bounded(max=10, on_evict=closer)
    def fetch(self, name: str) -> Client:
        return Client(name)


def test_a_lease_of_an_instance_that_dies() -> None:
    """What is collected with its instance waits for its lease as well; the lease does not keep the instance."""
    host = Host()
    lease = host.fetch.cache.lease("a")
    client = lease.__enter__()
    host.fetch("b")
    alive = weakref.ref(host)
    del host
    assert alive() is None
    assert Host.closer.take() == [("b", "b", "collected")]
    lease.__exit__(None, None, None)
    assert Host.closer.take() == [("a", "a", "collected")]
    assert client.closed == 1


# -- what was never stored


@pytest.mark.parametrize(
    ("fence", "reason"),
    [
        (lambda cache: cache.invalidate("a"), "invalidated"),
        (lambda cache: cache.clear(), "invalidated"),
        (lambda cache: cache.put(Client("better"), "a"), "invalidated"),
    ],
    ids=["invalidate", "clear", "put"],
)
@pytest.mark.parametrize("options", [{}, {"ttl": 60, "stale_if_error": 60}, {"copy": lambda client: client}])
def test_what_is_outdated_before_it_is_stored_is_told_at_the_end_of_its_lease(
    fence: Callable[[Any], object], reason: str, options: dict[str, Any]
) -> None:
    """Its lease was all that ever knew it: the end of that is the moment to close it, once."""
    cache = Cache(**options)
    cache.during = lambda name: fence(cache.fetch.cache)
    with cache.fetch.cache.lease("a") as client:
        assert client.name == "a" or options.get("copy")
        cache.closer.take()
    if not options.get("copy"):
        assert cache.closer.take() == [("a", "a", reason)]
    assert sum(cache.fetch.cache.stats().evictions.values()) == 0, "it has not left the store"


def test_without_a_lease_what_was_never_stored_is_not_told() -> None:
    """Nobody knows when a caller without a lease is done with it."""
    cache = Cache()
    cache.during = lambda name: cache.fetch.cache.clear()
    cache.fetch("a")
    with cache.fetch.cache.lease("b"):
        cache.fetch("a")
        cache.closer.take()
    assert cache.closer.take() == [("b", "b", "invalidated")]


def test_what_is_too_large_is_told_and_what_was_refused_is_not() -> None:
    """A good value that does not fit must be closed; one that cache_if does not want is none of on_evict's."""
    large = Cache(max_bytes=1000, sizeof=lambda client: 5000)
    with large.fetch.cache.lease("a"):
        assert large.closer.told == []
    assert large.closer.take() == [("a", "a", "size")]
    refused = Cache(cache_if=lambda client: False)
    with refused.fetch.cache.lease("a"):
        pass
    short = Cache(ttl=lambda client: 0)
    with short.fetch.cache.lease("a"):
        pass
    assert refused.closer.told == short.closer.told == []


def test_two_leases_share_one_load_that_is_outdated() -> None:
    """The value that neither of them found in the store is told once, when both have ended."""
    cache = Cache()
    gate, entered, leave = Gate(), threading.Barrier(3), threading.Barrier(3)

    def use() -> Client:
        with cache.fetch.cache.lease("a") as client:
            entered.wait(20)
            leave.wait(20)
            assert client.closed == 0
        return client  # type: ignore[no-any-return]

    cache.during = lambda name: gate.wait()
    first = Running(use)
    gate.reached()
    cache.fetch.cache.invalidate("a")
    cache.during = lambda name: None
    second = Running(use)
    gate.open()
    entered.wait(20)
    leave.wait(20)
    assert first.result().closed == 1
    assert second.result().closed == 0
    assert second.result() is cache.fetch("a")


# -- batches


def test_values_that_came_in_a_batch_are_leased_each_by_itself() -> None:
    """Of ``bounded_many`` a lease is of the value of one key; the others of its batch are told as they leave."""
    closer = Closer()

    @bounded_many(max=10, on_evict=closer, lease_timeout="1h")
    def fetch(names: list[str]) -> dict[str, Client]:
        return {name: Client(name) for name in names}

    fetch(["a", "b"])
    with fetch.cache.lease("a"), fetch.cache.lease("c"):
        fetch.cache.clear()
        assert closer.take() == [("b", "b", "cleared")]
    assert sorted(closer.take()) == [("a", "a", "cleared"), ("c", "c", "cleared")]

"""``f.cache.lease()``: ``on_evict`` waits for the last lease of a value, whatever takes the value out."""

import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.bounded import POLICIES, check
from kit.leased import Cache, Client, Closer
from kit.processes import in_a_child
from kit.threads import Gate, Running

from memo import bounded
from memo.testing import FakeClock, isolated

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_value_that_is_evicted_in_use_is_told_at_the_end_of_its_lease(policy: Any) -> None:
    """Under every policy what is leased leaves when its turn comes, and is told afterwards."""
    cache = Cache(policy=policy, max=3)
    names = [f"client {i}" for i in range(3)]
    leases = [cache.fetch.cache.lease(name) for name in names]
    clients = [lease.__enter__() for lease in leases]
    for i in range(50):
        cache.fetch(f"other {i}")
    assert not any(client.closed for client in clients)
    assert len(cache.fetch.cache) == 3
    left = [client for client in clients if client.name not in cache.fetch.cache]
    assert left, "none was evicted"
    for lease in leases:
        lease.__exit__(None, None, None)
    assert [client.closed for client in clients] == [client in left for client in clients]
    check(cache.fetch)
    evicted = sum(cache.fetch.cache.stats().evictions.values())
    assert evicted == len(cache.closer.told), "counted as it left, told once"


def _expire(cache: Cache) -> None:
    cache.clock.advance(60)
    cache.fetch.cache.cleanup()


@pytest.mark.parametrize(
    ("take_out", "reason"),
    [
        (lambda cache: [cache.fetch("b"), cache.fetch("c")], "size"),
        (_expire, "expired"),
        (lambda cache: cache.fetch.cache.put(Client("new"), "a"), "replaced"),
        (lambda cache: cache.fetch.cache.refresh("a"), "replaced"),
        (lambda cache: cache.fetch.cache.invalidate("a"), "invalidated"),
        (lambda cache: cache.fetch.cache.invalidate_where(lambda key, value: True), "invalidated"),
        (lambda cache: cache.registry.invalidate(tag="clients"), "invalidated"),
        (lambda cache: cache.fetch.cache.clear(), "cleared"),
        (lambda cache: cache.fetch.cache.resize(max=1) or cache.fetch("b"), "size"),
    ],
    ids=["evicted", "expired", "put", "refreshed", "invalidated", "where", "tag", "cleared", "resized"],
)
@pytest.mark.parametrize("rich", [False, True])
def test_whatever_takes_a_value_out_is_told_once_when_the_last_lease_ends(
    take_out: Callable[[Cache], object], reason: str, rich: bool
) -> None:
    """Of two leases of one value the first end tells nothing, the second tells it with the reason that it left for."""
    cache = Cache(ttl=60, tags=(lambda name: ["clients"]) if rich else "clients")
    with cache.fetch.cache.lease("a") as client:
        with cache.fetch.cache.lease("a") as again:
            assert again is client
            take_out(cache)
            assert client.closed == 0
        assert client.closed == 0
    assert ("a", "a", reason) in cache.closer.told
    assert client.closed == 1
    cache.fetch.cache.clear()
    assert client.closed == 1


def test_only_the_value_in_use_waits() -> None:
    """Another value of the same key, and one that was leased before, are told at once."""
    cache = Cache()
    with cache.fetch.cache.lease("b"):
        pass
    with cache.fetch.cache.lease("a"):
        cache.fetch.cache.put(Client("second"), "a")
        cache.fetch.cache.put(Client("third"), "a")
        cache.fetch.cache.invalidate("b")
        assert cache.closer.take() == [("a", "second", "replaced"), ("b", "b", "invalidated")]
    assert cache.closer.take() == [("a", "a", "replaced")]


def test_a_value_that_did_not_leave_is_not_told() -> None:
    """The end of a lease of what is still stored does nothing; the value is told when it leaves."""
    cache = Cache()
    with cache.fetch.cache.lease("a") as client:
        pass
    assert cache.closer.take() == []
    assert cache.fetch("a") is client
    cache.fetch.cache.clear()
    assert cache.closer.take() == [("a", "a", "cleared")]


def test_a_value_under_two_keys_is_in_use_under_both() -> None:
    """A lease counts for the object: what is leased as "a" is not closed as "b", and each key is told once."""
    cache = Cache()
    client = Client("shared")
    cache.fetch.cache.put_many({"a": client, "b": client})
    with cache.fetch.cache.lease("a"):
        cache.fetch.cache.invalidate("b")
        with cache.fetch.cache.lease("a"):
            cache.fetch.cache.invalidate("a")
        assert client.closed == 0
    assert sorted(cache.closer.take()) == [("a", "shared", "invalidated"), ("b", "shared", "invalidated")]


def test_a_value_that_is_put_back_has_not_left() -> None:
    """What is in the store again when its lease ends is not told until it leaves for good, and then once."""
    cache = Cache()
    with cache.fetch.cache.lease("a") as client:
        cache.fetch.cache.clear()
        cache.fetch.cache.put(client, "a")
    assert cache.closer.take() == []
    with cache.fetch.cache.lease("a"):
        cache.fetch.cache.clear()
        cache.fetch.cache.put(client, "a")
        cache.fetch.cache.invalidate("a")
    assert cache.closer.take() == [("a", "a", "invalidated")]


def test_a_lease_loads_or_hits_as_a_call_does() -> None:
    """Entering one counts as one call; what the load raises comes out, and leaves no lease."""
    cache = Cache()
    with cache.fetch.cache.lease("a"), cache.fetch.cache.lease(name="a"):
        assert (cache.fetch.cache.stats().hits, cache.fetch.cache.stats().misses) == (1, 1)

    def fail(name: str) -> None:
        raise ConnectionError(name)

    cache.during = fail
    lease = cache.fetch.cache.lease("b")
    with pytest.raises(ConnectionError, match="b"):
        lease.__enter__()
    assert cache.fetch.cache.stats().leases == 0
    assert repr(lease).endswith("fetch: over>")


def test_a_lease_is_entered_once() -> None:
    """Once more is an error that says what to do, also after its end."""
    cache = Cache()
    lease = cache.fetch.cache.lease("a")
    assert "not begun" in repr(lease)
    with lease:
        assert "under way" in repr(lease)
        with pytest.raises(RuntimeError, match=r"entered before.*f\.cache\.lease"):
            lease.__enter__()
        assert cache.fetch.cache.stats().leases == 1, "the failed attempt ended it"
    with pytest.raises(RuntimeError, match="entered before"):
        lease.__enter__()
    with pytest.raises(TypeError, match=r"^unhashable type.*freeze"):
        cache.fetch.cache.lease(["a"])


def test_a_body_that_raises_ends_its_lease() -> None:
    """The error comes out, and what left is told before."""
    cache = Cache()
    with pytest.raises(KeyError, match="body"), cache.fetch.cache.lease("a"):
        cache.fetch.cache.clear()
        raise KeyError("body")
    assert cache.closer.take() == [("a", "a", "cleared")]


def test_what_on_evict_raises_at_the_end_of_a_lease_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It does not reach the one who ends the lease; what is no Exception does, and the rest is told all the same."""

    def fail() -> None:
        raise errors.pop()

    errors: list[BaseException] = [KeyboardInterrupt(), ValueError("cannot be closed")]
    closer = Closer(fail)

    @bounded(max=5, on_evict=closer)
    def fetch(name: str) -> Client:
        return Client(name)

    with fetch.cache.lease("a"):
        fetch.cache.clear()
    assert "cannot be closed" in caplog.text
    errors[:] = [ValueError(), KeyboardInterrupt()]
    client = Client("shared")
    fetch.cache.put_many({"a": client, "b": client})
    with pytest.raises(KeyboardInterrupt), fetch.cache.lease("a"):
        fetch.cache.clear()
    assert len(closer.told) == 3


def test_the_thread_that_ends_the_last_lease_tells() -> None:
    """Whoever took the value out goes on without waiting, and on_evict runs where the last lease ends."""
    threads = []
    cache = Cache(on_evict=lambda key, value, reason: threads.append(threading.get_ident()))
    gate = Gate()

    def use() -> int:
        with cache.fetch.cache.lease("a"):
            gate.wait()
        return threading.get_ident()

    using = Running(use)
    gate.reached()
    with cache.fetch.cache.lease("a"):
        cache.fetch.cache.clear()
    assert threads == []
    gate.open()
    assert [using.result()] == threads


# -- copies, the switch, isolation, files


def test_a_lease_of_a_copy_keeps_the_stored_value() -> None:
    """With copy= the caller has a copy of his own, and on_evict waits for him with what is stored."""
    copies = []

    def copy(client: Client) -> Client:
        copies.append(Client(f"copy of {client.name}"))
        return copies[-1]

    cache = Cache(copy=copy)
    with cache.fetch.cache.lease("a") as client:
        assert client is copies[-1]
        cache.fetch.cache.clear()
        assert cache.closer.told == []
    assert cache.closer.take() == [("a", "copy of a", "cleared")]
    assert client.closed == 0


def test_switched_off_a_lease_is_of_what_the_function_returned() -> None:
    """Calls that go straight to the function store nothing, so that on_evict hears nothing."""
    cache = Cache(copy="shallow")
    stored = cache.fetch("a")
    with cache.registry.disabled(), cache.fetch.cache.lease("a") as client:
        assert client is not stored
        assert cache.fetch.cache.stats().leases == 1
    assert cache.closer.told == []


def test_a_lease_goes_on_in_an_isolated_block_and_after_it() -> None:
    """What is set aside has not left; what leaves with the block is told when its lease has ended."""
    cache = Cache()
    with cache.fetch.cache.lease("a") as outer:
        block = isolated(cache.fetch)
        block.__enter__()
        inner = cache.fetch.cache.lease("a")
        assert inner.__enter__() is not outer
        block.__exit__(None, None, None)
        assert cache.closer.take() == []
        inner.__exit__(None, None, None)
        assert cache.closer.take() == [("a", "a", "cleared")]
        assert cache.fetch("a") is outer
    cache.fetch.cache.clear()
    assert outer.closed == 1


def test_a_dump_holds_leased_values_like_others(tmp_path: Path) -> None:
    """A lease is no part of what is written, and what is restored is leased by nobody."""
    told: list[str] = []

    @bounded(max=3, on_evict=lambda key, value, reason: told.append(key))
    def fetch(name: str) -> str:
        return name * 2

    with fetch.cache.lease("ab"):
        assert fetch.cache.dump(tmp_path / "dump") == 1
        fetch.cache.clear()
        assert fetch.cache.load(tmp_path / "dump") == 1
        fetch.cache.clear()
        assert told == ["ab"], "the restored one is another object"
    assert told == ["ab", "ab"]


# -- time


def test_the_oldest_lease_is_told() -> None:
    """Figures and the leak report show how many leases there are and how old the oldest is."""
    cache = Cache()
    none = cache.fetch.cache.stats()
    assert (none.leases, none.oldest_lease) == (0, None)
    assert "leases" not in str(cache.registry.report())
    first = cache.fetch.cache.lease("a")
    first.__enter__()
    cache.clock.advance(7200)
    with cache.fetch.cache.lease("a"):
        some = cache.fetch.cache.stats()
        assert (some.leases, some.oldest_lease) == (2, 7200)
        assert re.search(r"^  oldest_lease +2h$", str(some), re.MULTILINE)
        (store,) = cache.registry.report().stores
        assert (store.leases, store.oldest_lease) == (2, 7200)
        (finding,) = (one for one in store.findings if "lease" in one.what)
        assert "2h" in finding.what
        assert "2, 2h" in str(cache.registry.report())
        assert "2, 2h" in cache.registry.report()._repr_html_()
    first.__exit__(None, None, None)
    assert cache.fetch.cache.stats().oldest_lease is None
    assert (some - none).leases == 2, "a gauge"


def test_a_lease_keeps_on_evict_waiting_no_longer_than_its_timeout(caplog: pytest.LogCaptureFixture) -> None:
    """At the timeout the value is told all the same, logged and counted, by clean-up, and not again at the end."""
    cache = Cache(lease_timeout="30s")
    with cache.fetch.cache.lease("a") as client:
        cache.fetch.cache.invalidate("a")
        cache.clock.advance(29)
        cache.registry.cleanup()
        assert client.closed == 0
        cache.clock.advance(1)
        with caplog.at_level(logging.WARNING, "memo"):
            cache.registry.cleanup()
        assert client.closed == 1
        assert "lease_timeout (30s)" in caplog.text
        assert cache.fetch.cache.stats().overruled == 1
        assert cache.fetch.cache.stats().leases == 1, "it has not ended"
    assert client.closed == 1
    cache.fetch.cache_clear()
    assert cache.fetch.cache.stats().overruled == 0


def test_an_overdue_lease_is_noticed_where_a_lease_is_concerned() -> None:
    """What leaves and is leased, and the end of a lease of what had left, notice it; what nobody leases does not."""
    cache = Cache(lease_timeout=30)
    overdue = cache.fetch.cache.lease("a")
    client = overdue.__enter__()
    cache.fetch.cache.invalidate("a")
    cache.clock.advance(30)
    cache.fetch("b")
    assert cache.fetch.cache.invalidate("b")
    with cache.fetch.cache.lease("c"):
        pass
    assert client.closed == 0, "no lease of what had left was concerned"
    with cache.fetch.cache.lease("d"):
        assert cache.fetch.cache.invalidate("d")
        assert client.closed == 1, "what is leased left"

    again = cache.fetch.cache.lease("a")
    client = again.__enter__()
    cache.fetch.cache.invalidate("a")
    cache.clock.advance(15)
    with cache.fetch.cache.lease("e"):
        cache.fetch.cache.invalidate("e")
        cache.clock.advance(15)
        assert client.closed == 0
    assert client.closed == 1, "a lease of what had left ended"
    overdue.__exit__(None, None, None)
    again.__exit__(None, None, None)
    assert client.closed == 1


def test_a_lease_past_its_timeout_does_not_keep_what_leaves_later() -> None:
    """What leaves then is told at once, but for a value that a younger lease has in use."""
    cache = Cache(lease_timeout=30)
    with cache.fetch.cache.lease("a") as a, cache.fetch.cache.lease("b") as b:
        cache.clock.advance(20)
        young = cache.fetch.cache.lease("b")
        young.__enter__()
        cache.clock.advance(10)
        cache.fetch.cache.clear()
        assert (a.closed, b.closed) == (1, 0)
        young.__exit__(None, None, None)
        assert b.closed == 1, "what is left of its leases is too old"
        assert cache.fetch.cache.stats().overruled == 2
    assert (a.closed, b.closed) == (1, 1)


def test_a_lease_follows_a_clock_that_is_put_back() -> None:
    """What began at a time that lies ahead counts as begun now."""
    clock = FakeClock()

    @bounded(max=1)
    def fetch() -> Client:
        return Client()

    with clock:
        clock.advance("10h")
        lease = fetch.cache.lease()
        lease.__enter__()
    oldest = fetch.cache.stats().oldest_lease
    assert oldest is not None
    assert 0 <= oldest < 3600


# -- forks


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_inherits_the_lease_of_its_own_thread_alone() -> None:
    """Leases of threads that are not there do not count; what left before the fork is told by the parent alone."""
    cache = Cache(max=4)
    gate = Gate()

    def use() -> None:
        with cache.fetch.cache.lease("theirs"):
            gate.wait()

    using = Running(use)
    gate.reached()
    lease = cache.fetch.cache.lease("ours")
    lease.__enter__()
    before = cache.fetch.cache.lease("before")
    before.__enter__()
    cache.fetch.cache.invalidate("before")

    def act() -> bool:
        counted = cache.fetch.cache.stats().leases == 2
        cache.fetch.cache.invalidate("theirs")
        at_once = cache.closer.take() == [("theirs", "theirs", "invalidated")]
        cache.fetch.cache.invalidate("ours")
        waits = cache.closer.take() == []
        before.__exit__(None, None, None)
        not_ours = cache.closer.take() == []
        lease.__exit__(None, None, None)
        return counted and at_once and waits and not_ours and cache.closer.take() == [("ours", "ours", "invalidated")]

    assert in_a_child(act) == 0
    gate.open()
    using.join()
    before.__exit__(None, None, None)
    assert cache.closer.take() == [("before", "before", "invalidated")]
    lease.__exit__(None, None, None)


def test_a_lease_holds_its_function_until_it_begins() -> None:
    """What is asked of a function that nobody else holds is answered all the same."""
    lease = bounded(max=3)(lambda x: [x]).cache.lease(1)
    with lease as value:
        assert value == [1]

"""``weak=``: arguments that count by identity and are not kept alive, whose entries go with them."""

import asyncio
import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import cachetools
import pytest

from memo import EvictionReason, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock, isolated

pytestmark = pytest.mark.usefixtures("nothing_collected")


class Client:
    """Equal to all others, and not to be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client)


class Service:
    """Has methods that take clients."""

    @bounded(max=8, weak=("client",))
    def load(self, client: Client | None, name: str = "a") -> list[str]:
        return [name]

    @bounded(max=8, weak=("client",), ignore=("self",))
    async def shared(self, client: Any) -> list[int]:
        return []

    @bounded(max=8, weak=("client",))
    @classmethod
    def of_class(cls, client: Client) -> list[int]:
        return []

    @staticmethod
    @bounded(max=8, weak=("client",))
    def alone(client: Client) -> list[int]:
        return []

    @bounded(max=8, weak=("other",))
    def meet(self, other: "Service | None") -> list[int]:
        return []


POLICIES = ("adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs", cachetools.LRUCache)


@pytest.mark.parametrize("policy", POLICIES)
def test_entries_go_with_the_argument(policy: Any, own: Registry) -> None:
    """Under each policy an argument counts by identity, is not kept alive, and takes its entries along."""
    left: list[Any] = []

    @bounded(max=8, policy=policy, weak=("client",), registry=own, on_evict=lambda *what: left.append(what))
    def load(name: str, client: Client) -> list[str]:
        return [name]

    one, two = Client(), Client()
    first = load("a", one)
    assert load("a", client=one) is load(client=one, name="a") is first
    assert load("a", two) is not first
    load("b", one)
    assert load.cache_info() == (2, 3, 8, 3)
    gone = weakref.ref(one)
    del one
    assert gone() is None
    assert [(key[0], key[1](), value, reason) for key, value, reason in left] == [
        ("a", None, ["a"], EvictionReason.COLLECTED),
        ("b", None, ["b"], EvictionReason.COLLECTED),
    ]
    assert [(key[0], key[1]()) for key, _ in load.cache.items()] == [("a", two)]
    load.cache._check()


def test_in_every_placement() -> None:
    """Beside an instance's or a class's identity, without it, and shared between instances."""
    service, other, client = Service(), Service(), Client()
    assert service.load(client) is service.load(client, "a") is Service.load(service, client)
    assert service.load(client) is not other.load(client)
    assert Service.of_class(client) is Service.of_class(client=client)
    assert Service.alone(client) is Service.alone(client) is service.alone(client)

    async def share(client: Client) -> None:
        assert await service.shared(client) is await other.shared(client)
        assert await service.shared(client) is not await other.shared(None)

    asyncio.run(share(client))
    assert len(service.load.cache) == 1
    assert [key[0]() for key, _ in service.load.cache.items()] == [client]
    assert service.load.cache.invalidate(client)
    service.load(client)
    del client
    counts = [len(one.cache) for one in (Service.load, Service.of_class, Service.alone, Service.shared)]
    assert counts == [0, 0, 0, 1]
    Service.shared.cache.clear()


def test_instance_and_argument_go_each_by_itself() -> None:
    """An entry goes with its instance or with its argument, whichever goes first; they may be the same object."""
    one, two = Service(), Service()
    for pair in ((one, one), (one, two), (two, one), (two, two), (two, None)):
        assert pair[0].meet(pair[1]) is pair[0].meet(pair[1])
    assert len(Service.meet.cache) == 5
    assert [len(each.meet.cache) for each in (one, two)] == [2, 3]
    Service.meet.cache._check()
    del one, pair
    assert [key for key, _ in Service.meet.cache.items()][1] is None
    assert len(Service.meet.cache) == 2
    assert two.meet.cache.clear() == 2
    Service.meet.cache._check()


def test_several_weak_arguments(own: Registry) -> None:
    """An entry goes with the first of several arguments that goes; one object may be given for both."""

    @bounded(max=8, weak=("a", "b"), registry=own)
    def load(a: Any, b: Any, /) -> list[int]:
        return []

    one, two, three = Client(), Client(), Client()
    for a in (one, two, three):
        for b in (one, two):
            assert load(a, b) is load(a, b)
    assert load.cache_info() == (6, 6, 8, 6)
    del one, a, b
    assert [[part() for part in key] for key, _ in load.cache.items()] == [[two, two], [three, two]]
    load.cache._check()


def test_none_stands_for_itself(own: Registry) -> None:
    """None is a value like any other, also as default, and its entries stay."""

    @bounded(max=8, weak=("client",), registry=own)
    def load(name: str, client: Client | None = None) -> list[str]:
        return [name]

    assert load("a") is load("a", None) is not load("a", Client())
    assert load.cache_info().hits == 1
    assert load.cache.items() == [(("a", None), ["a"])]


def test_among_keyword_arguments(own: Registry) -> None:
    """A name among ``**`` arguments counts by identity, is told from none, and is shown among the others."""

    @bounded(max=8, weak=("client", "session"), registry=own)
    def load(**options: Any) -> list[Any]:
        return []

    client = Client()
    assert load(client=client, b=1) is load(b=1, client=client) is not load(client=Client(), b=1)
    assert load() is not load(client=None)
    assert load(client=client, a=1, z=2) is load(z=2, a=1, client=client)
    shown = [tuple((name, value() if name == "client" and value else value) for name, value in key)
             for key, _ in load.cache.items()]  # fmt: skip
    assert shown == [
        (("b", 1), ("client", client)), (), (("client", None),), (("a", 1), ("client", client), ("z", 2)),
    ]  # fmt: skip
    with pytest.raises(TypeError, match=r"'session'.*'int'.*leave 'session' out of weak="):
        load(session=5)
    shown.clear()
    del client
    assert len(load.cache) == 2


def test_key_makes_the_rest(own: Registry) -> None:
    """What key= makes is the key of the argument's own entries, as it is of an instance's."""

    class Host:
        @bounded(max=8, weak=("client",), key=lambda client, name: name.lower(), registry=own)
        def load(self, client: Client, name: str) -> list[str]:
            return [name]

    host, one, two = Host(), Client(), Client()
    assert host.load(one, "A") is host.load(one, "a") is not host.load(two, "a")
    assert [key for key, _ in host.load.cache.items()] == ["a", "a"]
    assert Host().load(one, "a") is not host.load(one, "a")
    del one
    assert len(host.load.cache) == 1


def test_typed_and_other_decorators(own: Registry) -> None:
    """Types of other arguments count with ``typed``; behind other decorators keys are those of the signature."""

    def passing(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, extra: int = 0, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @bounded(max=8, weak=("client",), typed=True, registry=own)
    @passing
    def load(client: Client, number: Any) -> list[Any]:
        return [number]

    client = Client()
    assert load(client, 1) is load(number=1, client=client) is not load(client, True)
    assert [key[1] for key, _ in load.cache.items()] == [1, True]
    del client
    assert len(load.cache) == 0
    with pytest.raises(TypeError, match="extra"):  # nothing tells which of its arguments is the weak one
        load(Client(), 1, extra=3)


class Slotted:
    __slots__ = ()


@pytest.mark.parametrize(("value", "way"), [((), ""), (3, ""), ({}, ""), (Slotted(), "add '__weakref__' to Slotted.")])
def test_what_cannot_be_weakly_referenced(value: Any, way: str, own: Registry) -> None:
    """Such an argument is a TypeError that says what to do, in calls and handles, and leaves nothing behind."""

    @bounded(max=8, weak=("client",), registry=own)
    def load(client: Any) -> int:
        return 1

    @dedupe_inflight(weak=("client",), registry=own)
    async def joined(client: Any) -> int:
        return 1

    for call in (load, load.cache.entry, load.cache.invalidate, lambda v: asyncio.run(joined(v))):
        with pytest.raises(TypeError) as raised:
            call(value)
        text = str(raised.value)
        assert all(part in text for part in ("'client'", type(value).__name__, "out of weak=", way))
        assert text.startswith((load.__qualname__, joined.__qualname__))
    assert len(load.inflight) == len(joined.inflight) == load.cache_info().currsize == 0


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "text": ({"weak": "client"}, TypeError, r"write weak=\('client',\)"),
    "no collection": ({"weak": 3}, TypeError, "weak=3 is no collection; give"),
    "no text": ({"weak": (3,)}, TypeError, "contains 3; give"),
    "unknown": ({"weak": ("clinet",)}, ValueError, "'clinet'.*no such parameter; it has client, name, names"),
    "several": ({"weak": ("names",)}, ValueError, r"\*names.*single"),
    "the instance": ({"weak": ("self",)}, ValueError, "'self'.*without that; leave"),
    "ignored": ({"weak": ("client",), "ignore": ("client",)}, TypeError, "'client' is in ignore= and in weak="),
    "default": ({"weak": ("name",)}, TypeError, "'name'.*default 'a' cannot be weakly referenced; give"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_at_decoration(case: str, own: Registry) -> None:
    """Names that are none, or cannot be weak, fail at decoration with the name and the remedy."""
    options, error, text = REFUSED[case]

    class Host:
        def load(self, client: Any, name: str = "a", *names: str) -> int:
            return 1

    for decorator, more in ((bounded, {"max": 8}), (dedupe_inflight, {})):
        with pytest.raises(error, match=f"^{decorator.__name__}: .*{text}"):
            decorator(**options, **more, registry=own)(Host.load)
    assert len(own) == 0


def test_an_argument_that_only_the_call_holds(own: Registry) -> None:
    """A result whose argument nobody holds any more is handed out, and does not stay."""
    left: list[Any] = []

    noting = bounded(max=8, weak=("client",), registry=own, on_evict=lambda key, value, reason: left.append(reason))

    @noting
    def load(client: Any) -> list[int]:
        return [1]

    @noting
    async def later(client: Any) -> list[int]:
        return [1]

    assert load(Client()) == [1]  # which dies as the call returns
    load.cache.put([2], Client())
    asyncio.run(later(Client()))
    assert len(load.cache) == len(later.cache) == 0
    assert left == [EvictionReason.COLLECTED] * 3
    load.cache._check()


def test_calls_join_by_identity(own: Registry) -> None:
    """Running calls with the same object are one, with an equal one they are two, and none stays in the table."""
    begun, go = threading.Semaphore(0), threading.Event()

    @dedupe_inflight(weak=("client",), registry=own)
    def load(client: Client) -> list[int]:
        begun.release()
        go.wait()
        return []

    one, two, results = Client(), Client(), list[Any]()
    threads = [threading.Thread(target=lambda c=c: results.append(load(c)), daemon=True) for c in (one, two)]
    for thread in threads:
        thread.start()
    try:
        begun.acquire()
        begun.acquire()
        assert {id(flight.key()) for flight in load.inflight.pending()} == {id(one), id(two)}
        assert load.inflight.forget(one)
    finally:
        go.set()
    for thread in threads:
        thread.join()
    assert results[0] is not results[1]
    gone = weakref.ref(one)
    del one, threads, thread
    assert gone() is None
    assert len(load.inflight) == 0


def test_other_ways_out_of_the_store_leave_no_trace(own: Registry, tmp_path: Any) -> None:
    """Entries that leave otherwise are forgotten with the argument's; a dump refuses, a measure and a copy do not."""
    clock = FakeClock()

    @bounded(
        max=3, max_bytes="1MB", ttl=60, stale_if_error=60, tags=lambda client, x: [f"x:{x}"], weak=("client",),
        registry=own, clock=clock,
    )  # fmt: skip
    def load(client: Client, x: int) -> list[int]:
        return [x]

    client = Client()
    for x in range(6):
        load(client, x)
    entry = load.cache.entry(client, 5)
    assert entry is not None
    assert entry.bytes is not None
    assert 400 < entry.bytes < 1000
    with isolated(own):
        assert load(client, 5) == [5]
        assert len(load.cache) == 1
        load.cache._check()
    assert own.invalidate(tag="x:5") == 1
    load.cache._check()
    clock.advance(121)
    assert load.cache.cleanup() == 2
    load(client, 1)
    with pytest.raises(TypeError, match=r"dump: .*weak=.*no other process"):
        load.cache.dump(tmp_path / "entries")
    assert own.report().findings == ()
    load.cache.clear()
    load.cache._check()
    load(client, 1)
    del client, entry
    assert len(load.cache) == 0


def test_the_report_finds_results_that_hold_the_argument(own: Registry) -> None:
    """A result that refers to a weak argument of its own keeps it alive, and the leak report says so."""

    @bounded(max=8, weak=("client",), registry=own)
    def load(client: Client, holds: bool) -> list[Any]:
        return [{"client": client if holds else other}]

    other, clients = Client(), [Client(), Client(), Client()]
    for client in clients:
        load(client, client is not clients[0])
    del client
    clients.clear()
    assert len(load.cache) == 2
    assert [(finding.severity, finding.what) for finding in own.report().findings] == [
        ("medium", "values keep 2 Client alive, so that these outlive whoever else used them."),
    ]
    load.cache.clear()


def test_a_function_that_goes_leaves_the_argument_alone(own: Registry) -> None:
    """A decorated function that nobody holds goes at once with its entries, though their argument lives on."""

    class Value:
        pass

    def decorated() -> Any:
        @bounded(max=8, weak=("client",), registry=own)
        def load(client: Client) -> Value:
            return Value()

        return load

    client, load = Client(), decorated()
    value = weakref.ref(load(client))
    assert value() is not None
    del load
    assert value() is None
    assert len(own) == 0
    assert weakref.getweakrefcount(client) == 0

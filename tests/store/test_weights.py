"""``max_bytes``: what an entry weighs, and that nothing gets in for nothing."""

import asyncio
import enum
import functools
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import cachetools
import pytest

from memo import EvictionReason, Registry, bounded, sizeof
from memo._store.weights import ENTRY_BYTES, weight

POLICIES = ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs", cachetools.LRUCache]


class Colour(enum.Enum):
    RED = 1


class Large:
    def __init__(self) -> None:
        self.data = bytes(100_000)

    def method(self) -> None: ...


def closure() -> Callable[[], bytes]:
    data = bytes(100_000)
    return lambda: data


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("value", [Colour.RED, print, Large, sys, None, True, ""], ids=repr)
def test_what_costs_nothing_fills_the_store(own: Registry, policy: Any, value: Any) -> None:
    """Values that every entry shares do not let a store grow beyond the bound: each entry counts itself and its key."""
    fetch = bounded(max_bytes="100kB", policy=policy, registry=own)(lambda x: value)
    for x in range(1_000):
        fetch(x)
    assert 40 < len(fetch.cache) <= 100_000 / ENTRY_BYTES
    stats = fetch.cache.stats()
    assert stats.bytes is not None
    assert 90_000 < stats.bytes <= 100_000
    fetch.cache._check()


@pytest.mark.parametrize(
    "make",
    [lambda: Large().method, closure, lambda: functools.partial(print, bytes(100_000)), lambda: Large().__str__],
)
def test_what_keeps_much_alive_counts_it(own: Registry, make: Callable[[], Any]) -> None:
    """A bound method counts its object, a function its closure, a partial its arguments."""
    fetch = bounded(max_bytes="1MB", registry=own)(lambda x: make())
    for x in range(100):
        fetch(x)
    assert 0 < len(fetch.cache) < 10


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("price", [None, len, lambda value: 0])
def test_keys_count(own: Registry, policy: Any, price: Any) -> None:
    """A thousand prompts of 50 kB do not fit in 1 MB, whatever prices the answers."""

    @bounded(max_bytes="1MB", sizeof=price, policy=policy, registry=own)
    def answer(prompt: str) -> str:
        return "yes"

    @bounded(max_bytes="1MB", sizeof=price, policy=policy, registry=own, key=lambda prompt: ("v1", prompt))
    async def awaited(prompt: str) -> str:
        return "yes"

    for number in range(100):
        prompt = f"{number:50000}"
        answer(prompt)
        asyncio.run(awaited(prompt))
    for function in (answer, awaited):
        assert 10 < len(function.cache) < 20
        function.cache._check()


def test_keys_of_methods_count_without_the_instance(own: Registry) -> None:
    """An instance that its entries do not keep alive is not theirs to count; one that they do keep alive is."""

    class Model:
        def __init__(self) -> None:
            self.weights = bytes(500_000)

        @bounded(max_bytes="100kB", registry=own)
        def answer(self, prompt: str) -> str:
            return "yes"

        @classmethod
        @bounded(max_bytes="100kB", registry=own)
        def of_class(cls, prompt: str) -> str:
            return "yes"

    class Heavy:
        __slots__ = ("weights",)

        def __init__(self) -> None:
            self.weights = bytes(500_000)

        @bounded(max_bytes="100kB", registry=own)
        def answer(self, prompt: str) -> str:
            return "yes"

    model, heavy = Model(), Heavy()
    for call in (model.answer, Model.of_class):
        for number in range(100):
            call(f"{number:10000}")
        assert 5 <= len(call.cache) < 10
    entry = model.answer.cache.entry(f"{99:10000}")
    assert entry is not None
    assert entry.bytes is not None
    assert 10_000 < entry.bytes < 11_000
    heavy.answer("hello")
    assert len(heavy.answer.cache) == 0
    assert heavy.answer.cache.stats().rejected == 1


def test_what_key_and_value_share_counts_once(own: Registry) -> None:
    """A function that returns its argument keeps it once."""
    echo = bounded(max_bytes="1MB", registry=own)(lambda text: text)
    echo("x" * 100_000)
    assert 100_000 < (echo.cache.stats().bytes or 0) < 101_000
    explicit = bounded(max_bytes="1MB", sizeof=sizeof, registry=own)(lambda text: [text])
    explicit("x" * 100_000)
    assert 100_000 < (explicit.cache.stats().bytes or 0) < 101_000


def test_tags_count(own: Registry) -> None:
    """An entry counts the tags that it bears, and the places where it is found by them."""
    fetch = bounded(max_bytes="1MB", registry=own, tags=lambda x: [f"{x} {tag}" for tag in range(1_000)])(lambda x: x)
    for x in range(20):
        fetch(x)
    assert 0 < len(fetch.cache) < 5
    fetch.cache._check()


def test_what_is_counted_is_told(own: Registry) -> None:
    """``entry()``, ``stats()`` and the report tell one figure: key, value as it was priced, and the entry itself."""
    gone: list[Any] = []
    fetch = bounded(
        max_bytes=3 * weight("a", ()) + 30, sizeof=lambda value: 10, registry=own,
        on_evict=lambda *what: gone.append(what),
    )(lambda name: name)  # fmt: skip
    for name in "abc":
        fetch(name)
        entry = fetch.cache.entry(name)
        assert entry is not None
        assert entry.bytes == weight(name, ()) + 10 == ENTRY_BYTES + sys.getsizeof(name) + 10
    assert fetch.cache.stats().bytes == 3 * weight("a", ()) + 30
    (report,) = own.report().stores
    assert report.bytes == fetch.cache.stats().bytes
    fetch("d")
    assert [reason for _, _, reason in gone] == [EvictionReason.SIZE]


def test_remembered_failures_count_their_keys(own: Registry) -> None:
    """What is remembered of failed loads stays within ``max_bytes`` with its keys."""

    @bounded(max_bytes="1MB", cache_errors=LookupError, error_ttl="1h", registry=own)
    def fetch(prompt: str) -> str:
        raise LookupError("no")

    for number in range(100):
        with pytest.raises(LookupError):
            fetch(f"{number:50000}")
    assert 10 < fetch.cache.stats().size < 20


@pytest.mark.parametrize("policy", POLICIES[:-2])
@pytest.mark.parametrize("more", [{}, {"idle": 60}, {"ttl": 60, "stale_if_error": 60}], ids=["plain", "idle", "stale"])
@pytest.mark.usefixtures("traced")
def test_what_the_interpreter_allocates_is_counted(own: Registry, policy: str, more: dict[str, Any]) -> None:
    """A full store of small entries takes about what it says, and never half as much again."""
    fetch = bounded(max_bytes="1MB", policy=policy, registry=own, **more)(lambda x: f"value {x}")
    fetch("first")
    before = tracemalloc.get_traced_memory()[0]
    for x in range(3_000):
        fetch(f"key {x}")
    taken = tracemalloc.get_traced_memory()[0] - before
    counted = fetch.cache.stats().bytes
    assert counted is not None
    assert 950_000 < counted <= 1_000_000
    assert counted / 3 < taken < counted * 1.5


def test_a_decorated_function_as_value_does_not_count_its_store(own: Registry) -> None:
    """A decorated function, as an argument or a result, counts itself, not the stores and registries behind it."""
    inner = bounded(max=10, registry=own)(lambda x: bytes(100_000))
    inner(1)
    others = [bounded(max=10, registry=own, name=f"other {number}")(len) for number in range(100)]
    outer = bounded(max_bytes="50kB", registry=own)(lambda function: function)
    outer(inner)
    assert len(outer.cache) == 1
    assert 0 < sizeof(inner) < 20_000
    assert len(own) == 2 + len(others)


def test_the_report_says_what_it_counts(own: Registry) -> None:
    """Where a store with ``max_bytes=`` is among them, the title says that keys and entries are in the sum."""
    plain = bounded(max=5, registry=own, name="plain")(lambda x: x)
    plain(1)
    assert "in values, " in str(own.report())
    weighed = bounded(max_bytes="1MB", registry=own, name="weighed")(lambda x: x)
    weighed(1)
    assert "in values (with max_bytes=: in keys and entries, too), " in str(own.report())
    assert {store.name: store.max_bytes for store in own.report().stores} == {"plain": None, "weighed": 1_000_000}

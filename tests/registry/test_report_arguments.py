"""The leak report names the arguments that keys keep alive, with their bytes."""

import enum
import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import memo
from memo import Registry, bounded, freeze, sizeof
from memo._registry.leak_report import StoreReport


def only(own: Registry) -> StoreReport:
    (store,) = own.report().stores
    return store


class Session:
    """Equals nothing but itself."""


class Point:
    """Equals others of its value."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    def __hash__(self) -> int:
        return hash(self.x)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("policy", ["lru", "lfu", "adaptive", "s3fifo", "fifo", "random"])
@pytest.mark.parametrize("typed", [False, True])
def test_bytes_of_each_parameter(own: Registry, policy: str, typed: bool) -> None:
    """Each parameter has the bytes of its values in all keys, equal ones once for each object, the most first."""

    @bounded(max=100, policy=policy, typed=typed, registry=own)
    def ask(model: str, prompt: str, temperature: float = 0.5) -> int:
        return len(prompt)

    prompts = [f"{n}" + "x" * 50_000 for n in range(20)]
    for prompt in prompts:
        ask("small", prompt)
    store = only(own)
    assert list(store.arguments) == ["prompt", "model", "temperature"]
    assert store.arguments["prompt"] == sum(map(sizeof, prompts))
    assert store.arguments["model"] == sizeof("small")
    assert store.key_bytes == sum(store.arguments.values())
    assert "keys keep 1MB of arguments alive: 'prompt' 1MB, 'model'" in str(own.report())
    assert store.as_dict()["key_bytes"] == store.key_bytes
    ask.cache.clear()
    assert only(own).arguments == {}


def test_one_parameter_methods_and_keywords(own: Registry) -> None:
    """A single parameter, ``*args``, ``**kwargs`` and those of methods go by their names; ``self`` is none of them."""

    class Shop:
        @bounded(max=10, registry=own, name="price")
        def price(self, item: str) -> int:
            return 1

    one = bounded(max=10, registry=own, name="one")(lambda text: 1)
    rest = bounded(max=10, registry=own, name="rest")(lambda *a, **k: 1)
    none = bounded(max=10, registry=own, name="none")(lambda: 1)
    shop = Shop()
    shop.price("tea"), one("t" * 1000), rest(1, 2, x="y"), none()
    found = {store.name: store.arguments for store in own.report().stores}
    assert found["price"] == {"item": sizeof("tea")}
    assert found["one"] == {"text": sizeof("t" * 1000)}
    assert set(found["rest"]) == {"a", "k"}
    assert sum(found["none"].values()) < 100


def test_what_key_returned_goes_by_that_name(own: Registry) -> None:
    """Where ``key=`` makes the keys its results are what is kept, and ignored parameters are not."""
    made = bounded(max=10, registry=own, name="made", key=freeze)(lambda names: 1)
    ignoring = bounded(max=10, registry=own, name="ignoring", ignore=("big",))(lambda x, big: 1)
    made(["a" * 1_000]), ignoring(1, b"x" * 1_000_000)
    found = {store.name: store.arguments for store in own.report().stores}
    assert found["made"]["key="] > 1_000
    assert list(found["ignoring"]) == ["x"]
    assert found["ignoring"]["x"] < 100


@pytest.mark.parametrize(
    ("make", "severity", "kind"),
    [
        (lambda n: Session(), "medium", "Session"),
        (lambda n: lambda: n, "medium", "function"),
        (lambda n: weakref.ref, None, ""),
        (lambda n: len, None, ""),
        (lambda n: Session, None, ""),
        (lambda n: memo, None, ""),
        (lambda n: Colour.RED, None, ""),
        (lambda n: Point(n), None, ""),
        (lambda n: n, None, ""),
        (lambda n: str(n), None, ""),
        (lambda n: None, None, ""),
        (lambda n: (n, n), None, ""),
    ],
)
def test_objects_that_equal_only_themselves_are_named(
    own: Registry, make: Callable[[int], Any], severity: str | None, kind: str
) -> None:
    """Sessions and callbacks, of which each call has its own, are a finding; values and constants are none."""
    fetch = bounded(max=100, registry=own)(lambda thing, n: n)
    for n in range(5):
        fetch(make(n), n), fetch(1, n)
    found = [finding for finding in only(own).findings if "'thing'" in finding.what]
    assert [finding.severity for finding in found] == ([] if severity is None else [severity])
    if found:
        assert found[0].what.startswith(f"keys keep 5 {kind} alive as 'thing' (")
        assert "ignore=" in found[0].advice


def test_one_object_that_all_calls_share_is_waste_at_most(own: Registry) -> None:
    """A client that every call is given is named too, but lower: it is one object."""
    fetch = bounded(max=2_000, registry=own)(lambda client, n: n)
    client = Session()
    for n in range(1_500):
        fetch(client, n)
    store = only(own)
    (finding,) = [finding for finding in store.findings if "'client'" in finding.what]
    assert finding.severity == "low"
    assert "keep 1 Session alive" in finding.what
    assert "the very same object." in finding.what
    assert store.arguments["client"] < 2 * sizeof(client) + 100, "one object is not counted for each entry"
    assert store.arguments["n"] == pytest.approx(1_500 * 28, rel=0.1)


def test_few_bytes_are_no_finding(own: Registry) -> None:
    """Ordinary keys are listed in the figures and say nothing in the findings."""
    fetch = bounded(max=100, registry=own)(lambda name: name)
    for n in range(10):
        fetch(f"name {n}"), fetch(f"name {n}")
    store = only(own)
    assert store.findings == ()
    assert store.arguments["name"] > 0


def test_the_report_keeps_no_argument_alive(own: Registry) -> None:
    """Arguments go when their entries go, though a report on them is kept."""
    fetch = bounded(max=100, registry=own)(lambda session: 1)
    session = Session()
    fetch(session)
    gone = weakref.ref(session)
    report = own.report()
    del session
    assert gone() is not None, "the key holds it"
    fetch.cache.clear()
    gc.collect()
    assert gone() is None
    assert report.stores[0].arguments["session"] > 0


def test_adopted_caches_do_not_name_theirs(own: Registry) -> None:
    """The keys of others' caches tell no names."""
    cached = functools.lru_cache(maxsize=3)(lambda x: x)
    cached("x" * 1_000)
    own.adopt(cached, "cached")
    assert only(own).arguments == {}
    assert only(own).key_bytes == 0

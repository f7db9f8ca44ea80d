"""The leak report: what a store holds, and what is to be said of it."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import cachetools
import pytest
from kit.reports import only

import memo
from memo import Registry, StoreReport, bounded, dedupe_inflight, sizeof, sliding_window
from memo._store.weights import weight
from memo.testing import FakeClock


class Page:
    """An instance whose methods are remembered."""

    __slots__ = ("__weakref__", "text")

    @bounded(max=2000)
    def plain(self, x: int) -> list[int]:
        return [x]

    @bounded(max=2000)
    def itself(self, x: int) -> dict[str, Any]:
        return {"page": self, "also": [self]}

    @bounded(max=2000)
    def bound(self, x: int) -> Callable[[], str]:
        return self.show

    @bounded(max=2000)
    def wrapper(self, x: int) -> Callable[[], str]:
        return self.__str__

    def show(self) -> str:
        return self.text

    @functools.cache  # noqa: B019  # the leak that is to be found
    def leaking(self, x: int) -> dict[str, Any]:
        return {"page": self}

    @functools.lru_cache(maxsize=2000)  # noqa: B019
    def kept(self, x: int) -> int:
        return x


class Longer(Page):
    """A subclass, whose instances are instances of the methods' class as well."""


class Stiff:
    """Instances that allow no weak reference."""

    __slots__ = ("x",)

    @bounded(max=10)
    def plain(self, x: int) -> list[int]:
        return [x]


def store_of(function: Any) -> StoreReport:
    """The report on one function of the default registry."""
    return only(memo.registry.select(memo.registry[function].name).report())


def whats(store: StoreReport) -> list[str]:
    return [finding.what for finding in store.findings]


# -- what a store holds


def test_a_store_is_told_of_exactly_while_it_is_small(own: Registry) -> None:
    """Up to a thousand entries every value is measured, and every figure is exact."""
    clock = FakeClock()
    fetch = bounded(max=50, ttl="1h", registry=own, name="fetch", clock=clock)(lambda x: "x" * x)
    fetch(1)
    clock.advance(90)
    fetch(2), fetch(3), fetch(3)
    store = only(own.report())
    assert (store.name, store.kind, store.entries, store.max, store.bounded) == ("fetch", "bounded", 3, 50, True)
    assert store.bytes == sum(sizeof("x" * x) for x in (1, 2, 3))
    assert (store.measured, store.unmeasured, store.sampled) == (3, 0, False)
    assert (store.oldest, store.never_hit, store.expired) == (90.0, 2, 0)
    assert store.instances == store.key_instances == store.value_instances == {}
    assert store.findings == ()
    assert store.severity is None


def test_a_large_store_is_sampled_and_says_so(own: Registry) -> None:
    """Above a thousand entries a thousand values, evenly spread, stand for all of them, each time the same ones."""
    fetch = bounded(max=5000, policy="fifo", registry=own, name="fetch")(lambda x: bytes(x % 500))
    for x in range(2500):
        fetch(x)
    with mock.patch("memo._registry.leak_search.sizeof", side_effect=sizeof) as measure:
        report = own.report()
    store = only(report)
    assert measure.call_count == store.measured == 1000
    assert store.sampled
    assert store.entries == 2500
    sample = [bytes(x % 500) for x in (i * 2500 // 1000 for i in range(1000))]
    assert store.bytes == round(sum(map(sizeof, sample)) * 2500 / 1000)
    assert dataclasses.replace(only(own.report()), oldest=store.oldest) == store
    row, note = str(report).splitlines()[3:5]
    assert f"~{memo._base.units.format_bytes(store.bytes)}" in row.split()  # type: ignore[attr-defined]
    assert note == "~ estimated from 1,000 values, evenly spread over the store"
    assert note in report._repr_html_()


def test_a_store_that_counts_bytes_is_not_measured(own: Registry) -> None:
    """With ``max_bytes=`` the bytes are what the entries weighed when they came in."""
    fetch = bounded(max_bytes="2MB", sizeof=len, registry=own, name="fetch")(lambda x: "x" * x)
    for x in range(1, 1201):
        fetch(x)
    with mock.patch("memo._registry.leak_search.sizeof") as measure:
        store = only(own.report())
    assert not measure.called
    assert store.bytes == sum(x + weight(x, ()) for x in range(1, 1201))
    assert (store.measured, store.sampled, store.max) == (1200, False, None)


def test_empty_and_storeless_functions(own: Registry) -> None:
    """An empty store holds nothing and has no oldest entry; functions without a store are left out."""
    empty = bounded(max=5, registry=own, name="empty")(abs)
    others = dedupe_inflight(registry=own)(len), sliding_window("1h", registry=own)(len)
    store = only(own.report())
    assert len(own) == 1 + len(others)
    assert (store.name, store.entries, store.bytes, store.oldest, store.never_hit) == ("empty", 0, 0, None, 0)
    assert store.findings == ()
    assert len(empty.cache) == 0


def test_each_layer_of_a_stack_is_a_store(own: Registry) -> None:
    """A function that is bounded twice has two stores, told apart by their layer."""
    inner = bounded(max=4)(lambda x: [x])
    outer = bounded(max=8, registry=own, name="stack")(inner)
    outer(1)
    assert sorted((store.name, store.max) for store in own.report().stores) == [("stack", 8), ("stack (layer 2)", 4)]


# -- findings


def test_what_is_past_its_life_is_found(own: Registry) -> None:
    """Entries that nothing has removed yet are counted, and the advice is to clean up."""
    clock = FakeClock()
    fetch = bounded(max=50, ttl=10, registry=own, clock=clock)(abs)
    fetch(-1)
    clock.advance(10)
    store = only(own.report())
    assert store.expired == 1
    assert whats(store) == ["1 entry is kept past its life."]
    assert "registry.cleanup()" in store.findings[0].advice
    assert store.severity == "low"
    own.cleanup()
    assert only(own.report()).findings == ()


@pytest.mark.parametrize(("calls", "again", "found"), [(19, 0, False), (20, 0, True), (40, 4, True), (40, 5, False)])
def test_entries_without_a_hit_are_found(own: Registry, calls: int, again: int, found: bool) -> None:
    """A store of at least twenty entries nine tenths of which were never hit does not pay."""
    fetch = bounded(max=50, registry=own)(abs)
    for x in range(calls):
        fetch(-x)
    for x in range(again):
        fetch(-x)
    store = only(own.report())
    assert store.never_hit == calls - again
    assert [f"{calls - again} of {calls} entries were never hit."] * found == whats(store)


@pytest.mark.parametrize("kind", [Page, Longer])
@pytest.mark.parametrize("method", ["itself", "bound", "wrapper"])
def test_values_that_keep_self_alive_are_found(kind: type[Page], method: str) -> None:
    """Instances of the method's class in values count once each, however often they are met."""
    pages = [kind() for _ in range(3)]
    for page in pages:
        getattr(page, method)(1), getattr(page, method)(2)
    store = store_of(getattr(Page, method))
    assert store.value_instances == store.instances == {kind.__qualname__: 3}
    assert store.key_instances == {}
    assert store.severity == "medium"
    assert whats(store) == [f"values keep 3 {kind.__qualname__} alive, so that these outlive whoever else used them."]
    getattr(Page, method).cache_clear()


def test_instances_that_entries_do_not_hold_are_not_found() -> None:
    """Keys hold instances weakly, so that a method whose values are plain data keeps nobody alive."""
    page = Page()
    page.plain(1)
    store = store_of(Page.plain)
    assert store.entries == 1
    assert store.instances == {}
    Page.plain.cache_clear()


def test_instances_of_the_sample_are_said_to_be_so() -> None:
    """Where not every value was looked at, the finding says in how many."""
    page = Page()
    for x in range(1500):
        page.itself(x)
    store = store_of(Page.itself)
    assert store.value_instances == {"Page": 1}
    assert any("1 Page alive (seen in 1,000 of its values)" in what for what in whats(store))
    Page.itself.cache_clear()


def test_strong_keys_are_found() -> None:
    """An instance that allows no weak reference is held by its keys, and the advice is how to allow one."""
    stiff = [Stiff(), Stiff()]
    for one in stiff:
        one.plain(1), one.plain(2)
    store = store_of(Stiff.plain)
    assert store.key_instances == store.instances == {"Stiff": 2}
    assert store.severity == "medium"
    assert "'__weakref__'" in store.findings[0].advice
    Stiff.plain.cache_clear()
    assert store_of(Stiff.plain).instances == {}


def test_an_unbounded_adopted_method_is_found_with_what_it_keeps_alive(own: Registry) -> None:
    """``functools.cache`` on a method is the classic leak: unbounded, and every instance is in its keys."""
    pages = [Page(), Page()]
    for page in pages:
        page.leaking(1), page.leaking(2)
    own.adopt(Page.leaking)
    store = only(own.report())
    assert (store.kind, store.entries, store.max, store.bounded) == ("functools", 4, None, False)
    assert store.bytes == 4 * sizeof({"page": pages[0]})
    assert store.key_instances == store.value_instances == store.instances == {"Page": 2}
    assert (store.oldest, store.never_hit, store.expired) == (None, None, None)
    assert [finding.severity for finding in store.findings] == ["high"] * 3
    assert whats(store)[0] == "it is unbounded: no entry ever leaves."
    assert "@bounded(max=...)" in store.findings[0].advice
    Page.leaking.cache_clear()
    assert only(own.report()).severity == "high", "it may grow again"


def test_a_bounded_adopted_method_keeps_its_instances_too(own: Registry) -> None:
    """The keys of a bounded ``lru_cache`` are seen as well, and weigh less than those of an unbounded one."""
    page = Page()
    for x in range(1500):
        page.kept(x)
    own.adopt(Page.kept)
    store = only(own.report())
    assert (store.entries, store.max, store.measured) == (1500, 2000, 1000)
    assert store.sampled
    assert store.key_instances == {"Page": 1}
    assert store.value_instances == {}
    assert store.severity == "medium"
    Page.kept.cache_clear()


@pytest.mark.parametrize(
    ("make", "severity"),
    [
        (lambda: functools.cache(lambda x: x), "high"),
        (lambda: functools.cache(lambda: 1), None),
        (lambda: functools.lru_cache(maxsize=9)(lambda x: x), None),
        (lambda: cachetools.cached({})(lambda x: x), "high"),
        (lambda: cachetools.LRUCache[Any, Any](9), None),
        (lambda: cachetools.TTLCache[Any, Any](float("inf"), 60), "medium"),
        (lambda: cachetools.LRUCache[Any, Any](float("inf")), "high"),
    ],
)
def test_unbounded_adopted_caches_are_found(own: Registry, make: Callable[[], Any], severity: str | None) -> None:
    """A cache that can grow without end is a finding, unless its function has no parameters."""
    cache = make()
    own.adopt(cache)
    assert only(own.report()).severity == severity


def test_a_cachetools_cache_is_looked_into(own: Registry) -> None:
    """The values of a cachetools cache are measured, those past their life included."""
    clock = FakeClock()
    cache = cachetools.TTLCache[Any, Any](10, 60, timer=clock)
    cache["a"], cache["b"] = [1], "text"
    own.adopt(cache)
    clock.advance(60)
    store = only(own.report())
    assert (store.kind, store.entries, store.measured) == ("cachetools", 2, 2)
    assert store.bytes == sizeof([1]) + sizeof("text")


def test_a_cache_that_shows_nothing_has_dashes(own: Registry) -> None:
    """What lets nobody see its entries is listed with the figures that it has."""

    class Closed:
        maxsize = 3
        currsize = 2

        def __len__(self) -> int:
            return 2

        def __getitem__(self, key: str) -> int:
            raise AssertionError("this would count as a use")

        def clear(self) -> None: ...

    cache = Closed()
    own.adopt(cache, "closed")
    store = only(own.report())
    assert (store.entries, store.max, store.bytes, store.measured) == (2, 3, None, 0)
    assert str(own.report()).splitlines()[-1].split()[3:] == ["-"] * 6


def test_a_value_that_cannot_be_measured_is_logged_and_said(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """Measuring that raises costs the value's figure alone: the others stand for it."""
    fetch = bounded(max=5, registry=own, name="fetch")(lambda x: x)
    fetch("bad"), fetch("good")

    def measure(value: Any) -> int:
        if value == "bad":
            raise RuntimeError("cannot be weighed")
        return 100

    with caplog.at_level(logging.ERROR, "memo"), mock.patch("memo._registry.leak_search.sizeof", measure):
        store = only(own.report())
    assert (store.bytes, store.measured, store.unmeasured) == (200, 1, 1)
    assert whats(store) == ["1 of 2 values could not be measured."]
    assert "cannot be weighed" in caplog.text
    with mock.patch("memo._registry.leak_search.sizeof", side_effect=RuntimeError):
        assert only(own.report()).bytes is None


def test_a_store_that_cannot_be_looked_at_is_left_out(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that raises is logged, and the others are reported all the same."""
    broken = False

    def clock() -> float:
        if broken:
            raise RuntimeError("no time")
        return 0.0

    one = bounded(max=5, ttl=1, registry=own, name="one", clock=clock)(abs)
    two = bounded(max=5, registry=own, name="two")(abs)
    one(-1), two(-1)
    broken = True
    with caplog.at_level(logging.ERROR, "memo"):
        assert only(own.report()).name == "two"
    assert "no time" in caplog.text

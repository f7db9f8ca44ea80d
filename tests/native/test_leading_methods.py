"""Misses of methods: C leads them, and lists their results with the instances that they belong to."""

import gc
import random
import weakref
from typing import Any

import pytest
from kit.parts import keep_in_parts
from kit.testing_kit import check
from kit.wrappers import wrappers_entered

from memo import Registry, bounded, dedupe_inflight
from memo._native import speed, why

pytestmark = [
    pytest.mark.skipif(speed is None, reason=why),
    pytest.mark.usefixtures("without_greenlets"),
]


def made(most: int, **options: Any) -> Any:
    """A class whose methods take one, three and no arguments."""

    class Shop:
        @bounded(max=most, registry=Registry(), **options)
        def one(self, name: object) -> object:
            return [name]

        @bounded(max=most, registry=Registry(), **options)
        def three(self, name: object, lang: str = "en", *, size: int = 1) -> object:
            return [name, lang, size]

        @bounded(max=most, registry=Registry(), **options)
        def none(self) -> object:
            return [self.__class__]

        @dedupe_inflight(registry=Registry())
        def joined(self, name: object) -> object:
            return [name]

    return Shop


def in_python(call: Any, keys: Any) -> int:
    """How many calls of a wrapper in Python these calls came by."""
    with wrappers_entered() as entered:
        for key in keys:
            call(key)
    return len(entered)


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo"])
def test_misses_of_methods_are_led_in_c(policy: Any) -> None:
    """An instance's first call goes to the wrapper, which makes its token; no other does, and every entry is listed."""
    kind = made(20, policy=policy, ttl="1h")
    shop = kind()
    assert in_python(lambda key: shop.one(key), range(100)) == 1
    assert in_python(lambda key: shop.three(key), range(100)) == 1
    assert in_python(lambda key: shop.three(key, size=2), range(100)) == 0
    assert in_python(lambda key: shop.joined(key), range(100)) == 1
    check(kind.one)
    check(kind.three)
    stats = kind.one.cache.stats()
    assert (stats.misses, stats.size, sum(stats.evictions.values())) == (100, 20, 80)
    assert len(shop.one.cache) == 20
    assert shop.none() is shop.none()


@pytest.mark.parametrize("parted", [False, True])
def test_entries_of_many_instances_are_listed(monkeypatch: pytest.MonkeyPatch, parted: bool) -> None:
    """Misses and hits of several instances leave each with its own entries, tables in parts or not."""
    if parted:
        keep_in_parts(monkeypatch)
    kind = made(30)
    shops = [kind() for _ in range(4)]
    draw = random.Random(7)
    for _ in range(3000):
        shop = draw.choice(shops)
        name = draw.randrange(15)
        assert shop.one(name) == [name]
        assert shop.three(name, "de") == [name, "de", 1]
        if draw.random() < 0.01:
            shop.one.cache.invalidate(name)
        if draw.random() < 0.003:
            shop.three.cache.clear()
        if draw.random() < 0.01:
            shops[draw.randrange(4)] = kind()
    check(kind.one)
    check(kind.three)
    assert sum(len(shop.one.cache) for shop in shops) == len(kind.one.cache) <= 30


def test_entries_go_with_their_instance() -> None:
    """What C stored for an instance leaves when that dies, and no value is held beyond."""
    kind = made(50, ttl="1h")
    shop, other = kind(), kind()

    class Value:
        pass

    held = []
    for key in range(20):
        value = Value()
        held.append(weakref.ref(value))
        shop.one(key).append(value)
        other.one(key)
    del shop, value
    assert len(kind.one.cache) == 20
    assert [ref() for ref in held] == [None] * 20
    check(kind.one)


def test_an_instance_may_die_within_its_own_miss() -> None:
    """A load whose function drops the last reference but the call's leaves nothing behind once the call has ended."""
    shops: list[Any] = []

    class Shop:
        @bounded(max=8, registry=Registry())
        def fetch(self, key: int) -> int:
            shops.clear()
            return key

    shops.append(Shop())
    shops[0].fetch(0)
    shops.append(Shop())
    for key in range(3):
        assert (shops or [Shop()])[0].fetch(key) == key
    gc.collect()
    assert len(Shop.fetch.cache) == 0
    check(Shop.fetch)


def test_collector_is_as_it_was() -> None:
    """A miss of a method leaves the garbage collector on, or off, as it found it."""
    kind = made(4)
    shop = kind()
    for enabled in (False, True):
        (gc.enable if enabled else gc.disable)()
        try:
            for key in range(10):
                shop.three(key)
            assert gc.isenabled() is enabled
        finally:
            gc.enable()

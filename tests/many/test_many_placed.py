"""Functions of many keys as methods, beside other decorators, and sent elsewhere."""

import asyncio
import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from kit.coroutines import play

from memo import Registry, bounded_many, dedupe_inflight, sliding_window

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _forget_calls() -> None:
    calls.clear()


class Shop:
    """Every placement."""

    def __init__(self, name: str) -> None:
        self.name = name

    @bounded_many(max=100)
    def method(self, ids: Iterable[int], size: int = 1) -> dict[int, str]:
        calls.append((self.name, list(ids)))
        return {number: f"{self.name}{number * size}" for number in ids}

    @bounded_many(max=100, gather="30m", max_batch=2)
    async def awaited(self, ids: Iterable[int]) -> dict[int, str]:
        calls.append((self.name, list(ids)))
        return {number: f"{self.name}{number}" for number in ids}

    @classmethod
    @bounded_many(max=100)
    def class_inner(cls, ids: Iterable[int]) -> dict[int, str]:
        calls.append((cls.__name__, list(ids)))
        return {number: f"{cls.__name__}{number}" for number in ids}

    @bounded_many(max=100)
    @classmethod
    def class_outer(cls, ids: Iterable[int]) -> dict[int, str]:
        calls.append((cls.__name__, list(ids)))
        return {number: f"{cls.__name__}{number}" for number in ids}

    @staticmethod
    @bounded_many(max=100)
    def static_inner(ids: Iterable[int]) -> dict[int, str]:
        calls.append(("", list(ids)))
        return {number: f"{number}" for number in ids}

    @bounded_many(max=100)
    @staticmethod
    def static_outer(ids: Iterable[int]) -> dict[int, str]:
        calls.append(("", list(ids)))
        return {number: f"{number}" for number in ids}

    @bounded_many(max=100)
    def unusual(this, ids: Iterable[int]) -> dict[int, str]:  # noqa: N805
        calls.append((this.name, list(ids)))  # type: ignore[attr-defined]
        return {number: f"{this.name}{number}" for number in ids}  # type: ignore[attr-defined]


class Lonely:
    """Has no subclass."""

    @classmethod
    @bounded_many(max=100)
    def many(cls, ids: Iterable[int]) -> dict[int, str]:
        return {number: f"{cls.__name__}{number}" for number in ids}


class Market(Shop):
    """Inherits all."""


@pytest.mark.parametrize("name", ["method", "unusual"])
def test_methods(name: str) -> None:
    """Each instance has its own entries, and its handle takes the keys without it."""
    one, two = Shop("one"), Market("two")
    assert getattr(one, name)([1, 2]) == {1: "one1", 2: "one2"}
    assert getattr(two, name)([2, 3]) == {2: "two2", 3: "two3"}
    assert getattr(Shop, name)(one, [2, 1]) == {2: "one2", 1: "one1"}
    assert getattr(one, name).one(2) == "one2"
    assert getattr(one, name).one(4) == "one4"
    assert calls == [("one", [1, 2]), ("two", [2, 3]), ("one", [4])]
    assert getattr(one, name).cache.invalidate(2) is True
    assert 2 in getattr(two, name).cache
    assert len(getattr(one, name).cache) == 2
    assert getattr(one, name)([1, 2, 4]) == {1: "one1", 2: "one2", 4: "one4"}
    assert calls[3:] == [("one", [2])]
    assert getattr(one, name).cache.clear() == 3


@pytest.mark.parametrize("name", ["class_inner", "class_outer", "static_inner", "static_outer"])
def test_class_and_static_methods(name: str) -> None:
    """Through the class and through an instance they are the same."""
    shop = Shop("one")
    class_name = "Shop" if name.startswith("class") else ""
    assert getattr(shop, name)([1, 2]) == {1: f"{class_name}1", 2: f"{class_name}2"}
    assert getattr(Shop, name)([2, 3]) == {2: f"{class_name}2", 3: f"{class_name}3"}
    assert calls == [(class_name, [1, 2]), (class_name, [3])]
    if name != "class_inner":  # whose one cannot know the class from Python 3.13 on, where there are several
        assert getattr(Shop, name).one(3) == f"{class_name}3"
        assert 3 in getattr(Shop, name).cache
    getattr(Shop, name)([3])
    assert len(calls) == 2


def test_inner_class_methods_of_one_class() -> None:
    """Where only one class has a class method, ``@classmethod`` may stand above, for calls with one key too."""
    assert Lonely.many([1]) == {1: "Lonely1"}
    assert Lonely.many.one(2) == "Lonely2"  # type: ignore[attr-defined]
    assert Lonely.many.cache.invalidate(2) is True  # type: ignore[attr-defined]


def test_gathered_methods() -> None:
    """Calls of different instances are never gathered together."""
    one, two = Shop("one"), Shop("two")

    async def main() -> list[str]:
        return await asyncio.gather(one.awaited.one(1), two.awaited.one(1), one.awaited.one(2), two.awaited.one(3))

    assert play(main) == ["one1", "two1", "one2", "two3"]
    assert calls == [("one", [1, 2]), ("two", [1, 3])]


def test_entries_go_with_their_instance() -> None:
    """An instance is not kept alive, and its entries go when it goes."""
    shop = Shop("one")
    shop.method([1, 2])
    before = len(Shop.method.cache)
    gone = weakref.ref(shop)
    del shop
    assert gone() is None
    assert len(Shop.method.cache) == before - 2


def test_nothing_is_held(own: Registry) -> None:
    """When nobody holds it, it goes at once, with what it remembered; the function of one key may outlive it."""

    class Value:
        """Can be referred to weakly."""

    for use_one in (False, True):
        for colour in ("plain", "coroutine"):
            value = Value()

            def plain(names: list[str], value: Value = value) -> dict[str, Value]:
                return dict.fromkeys(names, value)

            async def awaited(names: list[str], value: Value = value) -> dict[str, Value]:
                return dict.fromkeys(names, value)

            if colour == "plain":
                many: Any = bounded_many(max=3, registry=own)(plain)
                assert many(["a"]) == {"a": value}
            else:
                many = bounded_many(max=3, registry=own, gather="1ms")(awaited)
                assert asyncio.run(many(["a"])) == {"a": value}
                assert asyncio.run(many.one("b")) is value
            gone, one = weakref.ref(value), many.one
            gc.disable()
            try:
                del value, plain, awaited, many
                if use_one and colour == "plain":
                    assert one("a") is gone()
                del one
                assert gone() is None, (colour, use_one)
            finally:
                gc.enable()
    assert len(own) == 0


@bounded_many(max=3)
def of_module(names: list[str]) -> dict[str, str]:
    return {name: name for name in names}


def test_sent_elsewhere() -> None:
    """It is pickled and copied by reference, and so is the function of one key."""
    assert pickle.loads(pickle.dumps(of_module)) is of_module
    assert pickle.loads(pickle.dumps(of_module.one)) is of_module.one
    assert copy.deepcopy(of_module) is of_module


def test_sent_by_value() -> None:
    """cloudpickle sends one that cannot be imported decorated and empty, and the function of one key with it."""
    cloudpickle = pytest.importorskip("cloudpickle")

    @bounded_many(max=3)
    def local(names: list[str]) -> dict[str, str]:
        return {name: name for name in names}

    local(["a"])
    sent = pickle.loads(cloudpickle.dumps(local))
    assert len(sent.cache) == 0
    assert sent(["b"]) == {"b": "b"}
    assert pickle.loads(cloudpickle.dumps(local.one))("c") == "c"


def test_beside_other_decorators(own: Registry) -> None:
    """A window around it counts calls with many keys; it finds its handles through what stands around it."""

    def build(function: Callable[..., Any]) -> Any:
        return sliding_window("1h", registry=own)(bounded_many(max=10, registry=own)(function))

    many = build(lambda names: {name: name for name in names})
    assert many(["a", "b"]) == {"a": "a", "b": "b"}
    assert many(["a", "b"]) == {"a": "a", "b": "b"}
    assert many.one("a") == "a"
    assert many.window.count() == 2
    assert many.cache.stats().hits == 3
    below: Any = bounded_many(max=10, registry=own)(
        sliding_window("1h", registry=own)(lambda names: {name: name for name in names})
    )
    below(["a", "b"])
    below(["a", "b"])
    below.cache.invalidate("a")
    below(["a", "b"])
    assert below.window.count() == 2
    shared: Any = dedupe_inflight(key=tuple, registry=own)(bounded_many(max=10, registry=own)(lambda names: {"a": 1}))
    assert shared(["a"]) == {"a": 1}
    assert shared.cache.invalidate("a") is True
    assert shared.cache.refresh("a") == 1


@pytest.mark.parametrize("gather", [None, "1ms"])
def test_weak_arguments_and_loops(own: Registry, gather: str | None) -> None:
    """What counts by identity is part of each key, and each loop has entries of its own where that is wanted."""

    class Client:
        """Can be referred to weakly."""

    decorate: Any = bounded_many(max=10, weak=("client",), scope="loop", gather=gather, registry=own)

    @decorate
    async def many(names: list[str], client: Client) -> dict[str, int]:
        calls.append(names)
        return {name: id(client) for name in names}

    clients = [Client(), Client()]

    async def main() -> None:
        one, two = clients
        assert await many(["a", "b"], one) == {"a": id(one), "b": id(one)}
        assert await many(["a", "c"], client=one) == {"a": id(one), "c": id(one)}
        assert await many.one("a", two) == id(two)
        assert len(many.cache) == 4

    play(main)
    play(main)
    assert calls == [["a", "b"], ["c"], ["a"]] * 2
    clients.pop(0)
    assert len(many.cache) <= 1


def test_an_attribute_of_ones_own(own: Registry) -> None:
    """Functions that are not of many keys keep an attribute that is called ``one``."""
    from memo import bounded

    @bounded(max=3, registry=own)
    def function(x: int) -> int:
        return x

    untyped: Any = function
    assert not hasattr(function, "one")
    untyped.one = 1
    assert untyped.one == 1

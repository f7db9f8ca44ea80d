"""Shapes of decorated functions that type checkers find hard; checked by mypy --strict and pyright, never run."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, assert_type

import cachetools

from memo import bounded, dedupe_inflight, sliding_window

T = TypeVar("T")


class Base:
    """Methods that speak of their own class."""

    @bounded(max=3)
    @classmethod
    def made_outer(cls) -> Self:
        return cls()

    @classmethod
    @bounded(max=3)
    def made_inner(cls, x: int) -> Self:
        return cls()

    @classmethod
    @dedupe_inflight
    async def made_awaited(cls, x: int) -> Self:
        return cls()

    @bounded(max=3)
    def method(self, x: int) -> str:
        return ""

    @bounded(max=3)
    @dedupe_inflight
    @sliding_window("1h")
    async def stacked(self, x: int) -> str:
        return ""


class Sub(Base):
    """A subclass."""


class Box(Generic[T]):
    """A generic class."""

    @bounded(max=3)
    def item(self, x: T) -> list[T]:
        return [x]

    @bounded(max=3)
    async def awaited(self, x: T) -> list[T]:
        return [x]

    @property
    @bounded(max=3)
    def inner(self) -> int:
        return 1


class Interface(ABC):
    """What is to be implemented."""

    @abstractmethod
    def fetch(self, x: int) -> str: ...


class Implementation(Interface):
    """An implementation: pyright takes what is no function for no method, whatever can be called."""

    @bounded(max=3)
    def fetch(self, x: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ""


class Fetches(Protocol):
    """An object with such a method."""

    def fetch(self, x: int) -> str: ...


class Callback(Protocol):
    """Whatever can be called so."""

    def __call__(self, x: int) -> float: ...


@bounded(max=3)
def function(x: int) -> float:
    return 1.0


@bounded(max=3)
async def coroutine(x: int) -> str:
    return ""


@bounded(max=3)
@dedupe_inflight
def stacked(x: int) -> float:
    return 1.0


def own_class() -> None:
    assert_type(Sub.made_outer(), Sub)
    assert_type(Sub.made_inner(1), Sub)
    assert_type(Sub().method(1), str)
    Sub.made_inner("no")  # type: ignore[arg-type]


async def own_class_awaited() -> None:
    assert_type(await Sub.made_awaited(1), Sub)
    assert_type(await Sub().stacked(1), str)
    Sub().stacked.cache.put("value", 1)
    Sub().stacked.cache.put(2, 1)  # type: ignore[arg-type]


async def generics(box: Box[int]) -> None:
    assert_type(box.item(1), list[int])
    assert_type(await box.awaited(1), list[int])
    assert_type(box.inner, int)
    assert_type(box.item.cache.refresh(1), list[int])
    box.item("no")  # type: ignore[arg-type]


def puts() -> None:
    function.cache.put(1.0, 1)
    function.cache.put("wrong", 1)  # type: ignore[arg-type]
    function.cache.put_many({1: "wrong"})  # type: ignore[arg-type]
    coroutine.cache.put("right", 1)
    coroutine.cache.put(1.0, 1)  # type: ignore[arg-type]
    stacked.cache.put(1.0, 1)
    stacked.cache.put("wrong", 1)  # type: ignore[arg-type]


def taken_for_callables(each: Callable[[int], float], one: Callback) -> None:
    taken_for_callables(function, function)
    taken_for_callables(stacked, stacked)
    taken_for_callables(coroutine, function)  # type: ignore[arg-type]
    assert_type(functools.partial(function, 1)(), float)
    assert_type(list(map(function, [1, 2])), list[float])


def protocols(fetcher: Fetches) -> None:
    protocols(Implementation())  # pyright: ignore[reportArgumentType]  # it does not bind descriptors there


def bounds(policy: type[cachetools.Cache[Any, Any]]) -> None:
    bounded(max=3)
    bounded(max_bytes="1MB")
    bounded(max=3, max_bytes=1_000, policy="lru")
    bounded(max=3, policy=policy)
    bounded()  # type: ignore[call-overload]
    bounded(ttl="1h")  # type: ignore[call-overload]
    bounded(max=3, policy="mru")  # type: ignore[call-overload]
    bounded(max=3, copy="sideways")  # type: ignore[call-overload]

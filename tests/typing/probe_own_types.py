"""Decorated functions that keep type variables of their own, and methods that return ``Self``; checked, never run."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NoReturn, Self, TypeVar, assert_type

from memo import bounded, dedupe_inflight, sliding_window

T = TypeVar("T")
U = TypeVar("U")
Bounded = TypeVar("Bounded", bound=Sequence[int])
Either = TypeVar("Either", int, str)


@bounded(max=3)
def same(x: T) -> T:
    return x


@bounded(max=3)
def pair(x: T, y: U, *, times: int = 1) -> dict[T, U]:
    return {x: y}


@bounded(max=3)
async def awaited(x: T) -> list[T]:
    return [x]


@dedupe_inflight
def made(kind: type[T]) -> T:
    return kind()


@sliding_window("1h")
def limited(x: Bounded) -> Bounded:
    return x


@bounded(max=3)
@dedupe_inflight
@sliding_window("1h")
def either(*xs: Either) -> list[Either]:
    return list(xs)


class Base:
    """Methods that speak of their own class."""

    @bounded(max=3)
    def itself(self, x: int) -> Self:
        return self

    @dedupe_inflight
    def several(self, x: int) -> list[Self]:
        return [self]

    @sliding_window("1h")
    async def itself_awaited(self, x: int) -> Self:
        return self

    @bounded(max=3)
    @dedupe_inflight
    def parent(self) -> Self | None:
        return None

    @bounded(max=3)
    def is_like(self, other: Self) -> bool:
        return True

    @bounded(max=3)
    def old_style(self: T, x: int) -> T:
        return self

    @bounded(max=3)
    def other(self, x: int) -> "Base":
        return self

    @bounded(max=3)
    def anything(self, x: int) -> Any:
        return x

    @bounded(max=3)
    def nothing(self) -> NoReturn:
        raise NotImplementedError

    @classmethod
    @bounded(max=3)
    def made(cls, x: int) -> Self:
        return cls()

    @bounded(max=3)
    @classmethod
    def made_outer(cls, x: int) -> Self:
        return cls()

    @classmethod
    @bounded(max=3)
    async def made_awaited(cls, x: int) -> Self:
        return cls()

    @classmethod
    @dedupe_inflight
    def several_made(cls, x: int) -> list[Self]:
        return [cls()]

    @classmethod
    @bounded(max=3)
    def anything_made(cls, x: int) -> Any:
        return x

    @staticmethod
    @bounded(max=3)
    def of_anything(x: object) -> str:
        return ""

    @dedupe_inflight
    @staticmethod
    def static_outer(x: int) -> str:
        return ""

    @dedupe_inflight
    @classmethod
    def class_outer(cls, x: int) -> str:
        return ""

    @property
    @bounded(max=3)
    def self_property(self) -> Self:
        return self

    def within(self) -> None:
        assert_type(self.other(1), Base)
        self.itself(1).itself(2).made(1).made_outer(1)
        self.parent()
        self.several(1)
        self.several_made(1)

    @classmethod
    def within_class(cls) -> None:
        cls.made(1).itself(1)
        cls.several_made(1)


class Sub(Base):
    """A subclass."""

    def above(self) -> None:
        super().itself(1)
        super().parent()
        super().several(1)


class Box(Generic[T]):
    """A generic class."""

    @bounded(max=3)
    def itself(self) -> Self:
        return self

    @bounded(max=3)
    def item(self, x: T) -> T:
        return x


async def functions() -> None:
    assert_type(same(1), int)
    assert_type(same(x=""), str)
    assert_type(pair(1, "", times=2), dict[int, str])
    assert_type(await awaited(1), list[int])
    assert_type(made(bytes), bytes)
    assert_type(limited([1]), list[int])
    assert_type(either(1, 2), list[int])
    assert_type(either(""), list[str])
    assert_type(list(map(same, [1])), list[int])
    pair(1, "", times="2")  # type: ignore[arg-type]
    limited(1)  # type: ignore[type-var]
    made(1)  # type: ignore[arg-type]


async def handles_of_functions() -> None:
    assert_type(same.cache.call(1), int)
    assert_type(same.cache.invalidate(1), bool)
    assert_type(await awaited.cache.call(1), list[int])
    assert_type(pair.cache.invalidate(1, "", times=2), bool)
    assert_type(made.inflight.forget(int), bool)
    same.cache.put(1, 1)
    awaited.cache.put([1], 1)
    pair.cache.put({1: ""}, 1, "")
    pair.cache.put(1, 1, "")  # type: ignore[arg-type]
    pair.cache.invalidate(1, "", times="2")  # type: ignore[arg-type]


async def methods(sub: Sub, box: Box[int]) -> None:
    assert_type(sub.itself(1), Sub)
    assert_type(Sub.itself(sub, 1), Sub)
    assert_type(await sub.itself_awaited(1), Sub)
    assert_type(sub.several(1), list[Sub])
    assert_type(sub.parent(), Sub | None)
    assert_type(sub.is_like(sub), bool)
    assert_type(sub.old_style(1), Sub)
    assert_type(sub.other(1), Base)
    assert_type(Sub.other(self=sub, x=1), Base)
    assert_type(sub.anything(1), Any)
    assert_type(sub.self_property, Sub)
    assert_type(box.itself(), Box[int])
    assert_type(box.item(1), int)
    sub.itself("no")  # type: ignore[arg-type]
    Sub.itself(sub, "no")  # type: ignore[arg-type]
    sub.several("no")  # type: ignore[arg-type]
    sub.is_like(1)  # type: ignore[arg-type]
    sub.anything("no")  # type: ignore[arg-type]


def never_returns(sub: Sub) -> NoReturn:
    sub.nothing()


async def handles_of_methods(sub: Sub) -> None:
    assert_type(sub.itself.cache.call(1), Sub)
    assert_type(sub.itself_awaited.window.count(), int)
    assert_type(sub.parent.cache.call(), Sub | None)
    sub.itself.cache.put(sub, 1)
    sub.parent.cache.put(None)
    sub.itself.cache.put(1, 1)  # type: ignore[arg-type]
    sub.itself.cache.invalidate("no")  # type: ignore[arg-type]


async def class_methods(sub: Sub) -> None:
    assert_type(Sub.made(1), Sub)
    assert_type(sub.made(1), Sub)
    assert_type(Sub.made_outer(1), Sub)
    assert_type(sub.made_outer(1), Sub)
    assert_type(await Sub.made_awaited(1), Sub)
    assert_type(await sub.made_awaited(1), Sub)
    assert_type(Sub.several_made(1), list[Sub])
    assert_type(sub.several_made(1), list[Sub])
    assert_type(Sub.anything_made(1), Any)
    assert_type(sub.anything_made(1), Any)
    assert_type(Sub.class_outer(1), str)
    assert_type(Sub.made.cache.call(1), Sub)
    assert_type(sub.made.cache.call(1), Sub)
    sub.made("no")  # type: ignore[arg-type]
    Sub.made("no")  # type: ignore[arg-type]
    Sub.class_outer("no")  # type: ignore[arg-type]
    sub.made.cache.put(1, 1)  # type: ignore[arg-type]


def static_methods(sub: Sub) -> None:
    assert_type(Sub.of_anything(1), str)
    assert_type(Sub.static_outer(1), str)
    assert_type(sub.static_outer(1), str)
    Sub.static_outer("no")  # type: ignore[arg-type]


def taken_for_callables(each: Callable[[int], int], sub: Sub) -> None:
    taken_for_callables(same, sub)
    taken_for_callables(sub.itself, sub)  # type: ignore[arg-type]

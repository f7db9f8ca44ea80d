"""What type checkers must see of calls on a caller's own terms; checked by mypy --strict and pyright, never run."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, TypeVar, assert_type

from memo import bounded

T = TypeVar("T")


class Missing:
    """Stands for what is not there."""


missing = Missing()


@bounded(max=3)
def function(x: int, *, lang: str = "en") -> float:
    return 1.0


@bounded(max=3)
async def coroutine(x: int) -> str:
    return ""


@bounded(max=3)
def generic(items: Sequence[T]) -> list[T]:
    return list(items)


async def elsewhere(x: int) -> str | None:
    return None


@bounded(max=3, fallback=elsewhere, fallback_on=(LookupError, TimeoutError))
async def optional(x: int) -> str | None:
    return ""


@bounded(max=3, fallback=None, fallback_on=LookupError)
def maybe(x: int) -> str | None:
    return ""


class C:
    """Every placement."""

    @bounded(max=3)
    def method(self, x: int) -> str:
        return ""

    @bounded(max=3)
    async def async_method(self, x: int) -> str:
        return ""

    @classmethod
    @bounded(max=3)
    async def class_inner(cls, x: int) -> str:
        return ""

    @bounded(max=3)
    @classmethod
    def class_outer(cls, x: int) -> str:
        return ""

    @bounded(max=3)
    @staticmethod
    async def static_outer(x: int) -> str:
        return ""


def functions(c: C) -> None:
    assert_type(function.cache.within("50ms", max_age="5m").call(1), float)
    assert_type(function.cache.within(max_age=timedelta(minutes=5)).fresh(1), float)
    assert_type(function.cache.within("50ms", max_age="5m", default=None).call(1, lang="de"), float | None)
    assert_type(function.cache.within(default=missing).fresh(1), float | Missing)
    assert_type(function.cache.within("50ms", default=0.0).call(1), float)
    assert_type(generic.cache.within("50ms", default=None).call([1]), list[int] | None)
    assert_type(c.method.cache.within("50ms", default=None).call(1), str | None)
    assert_type(C.method.cache.within("50ms", default=None).call(c, 1), str | None)
    assert_type(C.class_outer.cache.within("50ms", default=b"").call(1), str | bytes)
    assert_type(maybe(1), str | None)
    bounded(max=3, fallback=None, fallback_on=5)  # type: ignore[call-overload]
    function.cache.within("50ms", default=None).call("no")  # type: ignore[arg-type]
    function.cache.within(max_age=[5])  # type: ignore[call-overload]
    function.cache.within("50ms", None)  # type: ignore[call-overload]
    c.method.cache.within("50ms", default=None).call()  # type: ignore[call-arg]


async def coroutines(c: C) -> None:
    assert_type(await coroutine.cache.within("50ms", max_age="5m").call(1), str)
    assert_type(await coroutine.cache.within("50ms", max_age=0, default=None).call(1), str | None)
    assert_type(await coroutine.cache.within(default=missing).fresh(1), str | Missing)
    assert_type(await optional(1), str | None)
    assert_type(await c.async_method.cache.within("50ms", default=None).call(1), str | None)
    assert_type(await C.async_method.cache.within("50ms", default=None).call(c, 1), str | None)
    assert_type(await C.class_inner.cache.within("50ms", default=None).call(1), str | None)
    assert_type(await c.static_outer.cache.within("50ms", default=None).call(1), str | None)
    only: Literal["no"] = "no"
    assert_type(await coroutine.cache.within(1, default=only).call(1), str)
    await coroutine.cache.within("50ms", default=None).call("no")  # type: ignore[arg-type]

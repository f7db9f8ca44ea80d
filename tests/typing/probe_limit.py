"""What type checkers must see of ``@limit``, in every placement; for mypy --strict and pyright, never run."""

from datetime import timedelta
from typing import assert_type

from memo import LimitStats, RateLimited, Record, bounded, limit


@limit("100/1m")
def function(x: int, *, lang: str = "en") -> float:
    return 1.0


@limit((5, timedelta(seconds=1)), key=lambda x: x, when_full="delay", max_delay="30s", max_waiting=10, keys=100)
async def coroutine(x: int) -> str:
    return ""


@bounded(max=3)
@limit("5/second")
def stacked(x: int) -> float:
    return 1.0


class C:
    """Methods."""

    @limit("5/second", ignore=("self",))
    def method(self, x: int) -> str:
        return ""

    @limit("5/second")
    @classmethod
    def outer(cls, x: int) -> str:
        return ""

    @property
    @limit("5/second")
    def prop(self) -> int:
        return 1


async def placements(c: C) -> None:
    """Parameters and results stay the function's own, and the handle takes its arguments."""
    assert_type(function(1, lang="de"), float)
    assert_type(await coroutine(1), str)
    assert_type(stacked(1), float)
    assert_type(c.method(1), str)
    assert_type(C.outer(1), str)
    assert_type(c.prop, int)
    assert_type(function.limit.remaining(1, lang="de"), int)
    assert_type(coroutine.limit.retry_after(1), float)
    assert_type(stacked.limit.forget(1), bool)
    assert_type(c.method.limit.reset(), int)
    assert_type(function.limit.stats() - function.limit.stats(), LimitStats)
    assert_type(len(C.outer.limit), int)
    function("no")  # type: ignore[arg-type]
    function.limit.remaining("no")  # type: ignore[arg-type]
    c.method.limit.forget()  # type: ignore[call-arg]


def of_others(record: Record, error: RateLimited) -> None:
    """What registry and error tell."""
    assert_type(record.stats().limit, LimitStats | None)
    assert_type(error.retry_after, float | None)
    limit()  # type: ignore[call-arg]
    limit(function)  # type: ignore[arg-type]
    limit("5/second", when_full="wait")  # type: ignore[arg-type]

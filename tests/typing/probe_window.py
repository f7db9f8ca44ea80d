"""What type checkers must see of ``@sliding_window``, in every placement; for mypy --strict and pyright, never run."""

from datetime import timedelta
from typing import assert_type

from memo import Bucket, Event, KeyCount, Record, WindowStats, bounded, dedupe_inflight, sliding_window


@sliding_window("24h")
def function(x: int, *, lang: str = "en") -> float:
    return 1.0


@sliding_window(timedelta(hours=1), max=100, only=(ValueError, LookupError), key=lambda x: [x])
async def coroutine(x: int) -> str:
    return ""


@sliding_window(60, only=ValueError, ignore=("x",))
@bounded(max=3)
@dedupe_inflight
def stacked(x: int) -> float:
    return 1.0


@bounded(max=3)
@sliding_window("24h")
def stacked_inside(x: int) -> float:
    return 1.0


class C:
    """Every placement."""

    @sliding_window("24h")
    def method(self, x: int) -> str:
        return ""

    @sliding_window("24h")
    async def async_method(self, x: int) -> str:
        return ""

    @classmethod
    @sliding_window("24h")
    def class_inner(cls, x: int) -> str:
        return ""

    @sliding_window("24h")
    @classmethod
    def class_outer(cls, x: int) -> str:
        return ""

    @staticmethod
    @sliding_window("24h")
    def static_inner(x: int) -> str:
        return ""

    @sliding_window("24h")
    @staticmethod
    def static_outer(x: int) -> str:
        return ""

    @property
    @sliding_window("24h")
    def prop(self) -> int:
        return 1


async def placements(c: C) -> None:
    """Parameters and results stay the function's own, and the handle is reached everywhere."""
    assert_type(function(1, lang="de"), float)
    assert_type(await coroutine(1), str)
    assert_type(stacked(1), float)
    assert_type(stacked_inside(1), float)
    assert_type(c.method(1), str)
    assert_type(await c.async_method(1), str)
    assert_type(C.class_inner(1), str)
    assert_type(c.class_inner(1), str)
    assert_type(C.class_outer(1), str)
    assert_type(c.class_outer(1), str)
    assert_type(C.static_inner(1), str)
    assert_type(c.static_inner(1), str)
    assert_type(C.static_outer(1), str)
    assert_type(c.static_outer(1), str)
    assert_type(c.prop, int)
    function("no")  # type: ignore[arg-type]
    c.method("no")  # type: ignore[arg-type]
    for count in (
        coroutine.window.count(),
        stacked.window.count(),
        stacked_inside.window.count(),
        c.method.window.count(),
        C.method.window.count(),
        c.async_method.window.count(),
        C.class_inner.window.count(),
        C.class_outer.window.count(),
        C.static_inner.window.count(),
        C.static_outer.window.count(),
    ):
        assert_type(count, int)
    assert_type(stacked.cache.invalidate(1), bool)
    assert_type(stacked.inflight.forget(1), bool)


def handle(record: Record) -> None:
    """What the handle takes and returns."""
    window = function.window
    assert_type(window.count("15m"), int)
    assert_type(window.errors(last=900), list[Event])
    assert_type(window.events(timedelta(minutes=15)), list[Event])
    assert_type(window.rate(per="1m", last="15m"), float)
    assert_type(window.error_ratio(), float)
    assert_type(window.percentile(95), float | None)
    assert_type(window.by_key(3), list[tuple[str, int]])
    assert_type(window.count("15m", key=(1, "en")), int)
    assert_type(window.errors(key=1), list[Event])
    assert_type(window.rate(per="1m", key=1), float)
    assert_type(window.of_key(1, last="15m"), KeyCount)
    assert_type(window.top(3), list[KeyCount])
    assert_type(window.series(buckets=12), list[Bucket])
    assert_type(window.sparkline(), str)
    assert_type(window.stats() - window.stats(), WindowStats)
    assert_type(window.cleanup(), int)
    assert_type(len(window), int)
    assert_type(record.stats().window, WindowStats | None)
    window.record_error(ValueError(), key=["anything"])
    window.record_error("no")  # type: ignore[arg-type]
    window.count([15])  # type: ignore[arg-type]
    window.count("15m", "alice")  # type: ignore[call-arg]
    sliding_window("24h", keys="1000")  # type: ignore[arg-type]
    sliding_window()  # type: ignore[call-arg]
    sliding_window(function)  # type: ignore[arg-type]
    sliding_window("24h", only=(int,))  # type: ignore[arg-type]

"""What type checkers must see of ``@bounded_many``, in every placement; checked by mypy and pyright, never run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_type

from memo import CacheStats, EntryInfo, InflightStats, bounded_many


@bounded_many(max=3)
def function(names: Sequence[str], lang: str = "en") -> Mapping[str, float]:
    return {}


@bounded_many(max_bytes="1MB", ttl="1h", absent_ttl="5m", gather="5ms", max_batch=100)
async def coroutine(ids: Iterable[int], *, deep: bool = False) -> dict[int, bytes]:
    return {}


class C:
    """Every placement."""

    @bounded_many(max=3)
    def method(self, names: Sequence[str], lang: str = "en") -> Mapping[str, float]:
        return {}

    @bounded_many(max=3)
    async def async_method(self, ids: Iterable[int]) -> dict[int, bytes]:
        return {}

    @bounded_many(max=3)
    @classmethod
    def class_outer(cls, names: Sequence[str], lang: str = "en") -> Mapping[str, float]:
        return {}

    @bounded_many(max=3)
    @staticmethod
    def static_outer(names: Sequence[str], lang: str = "en") -> Mapping[str, float]:
        return {}

    @classmethod
    @bounded_many(max=3)
    def class_inner(cls, names: Sequence[str], lang: str = "en") -> Mapping[str, float]:
        return {}

    @staticmethod
    @bounded_many(max=3)
    def static_inner(names: Sequence[str], lang: str = "en") -> Mapping[str, float]:
        return {}


def functions() -> None:
    """A call returns a dict of what the mapping holds; handles and ``one`` take a key in place of the keys."""
    assert_type(function(["a"]), dict[str, float])
    assert_type(function({"a": 1}, lang="de"), dict[str, float])
    assert_type(function.one("a", "de"), float)
    assert_type(function.one("a", lang="de"), float)
    assert_type(function.cache.entry("a"), EntryInfo[float] | None)
    assert_type(function.cache.refresh("a"), float)
    assert_type(function.cache.invalidate("a", "de"), bool)
    assert_type(function.cache.stats(), CacheStats)
    assert_type(function.inflight.stats(), InflightStats)
    assert_type(function.one.cache.call("a"), float)
    function.cache.put(1.0, "a")
    function([1])  # type: ignore[list-item]
    function.one(1)  # type: ignore[arg-type]
    function(["a"], 1)  # type: ignore[arg-type]
    function.cache.invalidate(["a"])  # type: ignore[arg-type]
    function.cache.put("", "a")  # type: ignore[arg-type]


async def coroutines() -> None:
    """The same of a coroutine function, awaited."""
    assert_type(await coroutine([1]), dict[int, bytes])
    assert_type(await coroutine.one(1, deep=True), bytes)
    assert_type(await coroutine.cache.refresh(1), bytes)
    assert_type(coroutine.cache.entry(1), EntryInfo[bytes] | None)
    coroutine.cache.put(b"", 1)
    await coroutine(["a"])  # type: ignore[list-item]


async def methods(c: C) -> None:
    """The instance is not among the arguments."""
    assert_type(c.method(["a"], "de"), dict[str, float])
    assert_type(c.method.one("a"), float)
    assert_type(c.method.cache.entry("a"), EntryInfo[float] | None)
    assert_type(C.method(c, ["a"]), dict[str, float])
    assert_type(await c.async_method([1]), dict[int, bytes])
    assert_type(await c.async_method.one(1), bytes)
    assert_type(C.class_outer(["a"]), dict[str, float])
    assert_type(C.class_outer.one("a"), float)
    assert_type(C.static_outer(["a"]), dict[str, float])
    assert_type(C.static_outer.one("a"), float)
    assert_type(C.class_inner(["a"]), dict[str, float])
    assert_type(C.static_inner(["a"]), dict[str, float])
    c.method([1])  # type: ignore[list-item]


def refused() -> None:
    """What takes no keys, or returns no mapping, is refused."""

    @bounded_many(max=3)  # type: ignore[arg-type]
    def scalar(name: str) -> float:
        return 1.0

    bounded_many(ttl="1h")  # type: ignore[call-overload]

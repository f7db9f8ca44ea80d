"""What type checkers must see of ``@bounded``, in every placement; checked by mypy --strict and pyright, never run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import cachetools

from memo import (
    CacheInfo,
    CacheStats,
    CallInfo,
    EntryInfo,
    EvictionReason,
    InflightStats,
    Record,
    Recording,
    Registry,
    bounded,
    dedupe_inflight,
    read_recording,
    registry,
)
from memo.exporters.http import Server


def note(key: object, value: object, reason: EvictionReason) -> None:
    """An observer."""


@bounded(max=3)
def function(x: int, *, lang: str = "en") -> float:
    return 1.0


@bounded(max=3, work="caller")
async def in_its_callers_task(x: int) -> str:
    return ""


@bounded(max=3, work="shared", keep="30s")
@dedupe_inflight(work="shared", keep=5)
async def going_on(x: int) -> str:
    return ""


async def in_tasks() -> None:
    assert_type(await in_its_callers_task(3), str)
    assert_type(await going_on(3), str)
    bounded(max=3, work="callers")  # type: ignore[call-overload]
    dedupe_inflight(work="mine")  # type: ignore[call-overload]


@bounded(
    max=3,
    ttl="24h",
    jitter=0.1,
    stale_while_revalidate="1h",
    stale_if_error="6h",
    soft_timeout="100ms",
    cache_errors=(LookupError, ValueError),
    error_ttl="30s",
    tags=lambda x: f"x:{x}",
    on_evict=note,
)
async def coroutine(x: int) -> str:
    return ""


@bounded(max_bytes="64MB", sizeof=len, policy=cachetools.LRUCache)
def variable(*args: int, **kwargs: str) -> bytes:
    return b""


@bounded(max=3)
@bounded(max=2)
def stacked(x: int) -> float:
    return 1.0


@bounded(max=3, ttl=lambda value: None, cache_errors=LookupError, error_ttl=1, tags=("a", "b"))
def optional(x: int) -> str | None:
    return None


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
    def class_inner(cls, x: int) -> str:
        return ""

    @bounded(max=3)
    @classmethod
    def class_outer(cls, x: int) -> str:
        return ""

    @bounded(max=3)
    @classmethod
    async def async_class_outer(cls, x: int) -> str:
        return ""

    @staticmethod
    @bounded(max=3)
    def static_inner(x: int) -> str:
        return ""

    @bounded(max=3)
    @staticmethod
    def static_outer(x: int) -> str:
        return ""

    @property
    @bounded(max=3)
    def property_inner(self) -> int:
        return 1


class D(C):
    """An override."""

    @bounded(max=3)
    def method(self, x: int) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # ParamSpecs are invariant
        return super().method(x)


def functions() -> None:
    assert_type(function(1), float)
    assert_type(function(x=1, lang="de"), float)
    assert_type(variable(1, 2, a="b"), bytes)
    assert_type(stacked(1), float)
    assert_type(optional(1), str | None)
    assert_type(function.cache_info(), CacheInfo)
    assert_type(function.cache_parameters(), dict[str, Any])
    function("no")  # type: ignore[arg-type]
    function()  # type: ignore[call-arg]
    function(1, language="de")  # type: ignore[call-arg]
    variable("no")  # type: ignore[arg-type]
    stacked("no")  # type: ignore[arg-type]


def handle() -> None:
    assert_type(function.cache.invalidate(1), bool)
    assert_type(function.cache.invalidate(1, lang="de"), bool)
    assert_type(function.cache.invalidate_where(lambda key, value: True), int)
    assert_type(function.cache.refresh(1), float)
    assert_type(function.cache.call(1, lang="de"), float)
    assert_type(function.cache.fresh(1), float)
    assert_type(function.cache.within("50ms").call(1), float)
    assert_type(function.cache.within(0.05).fresh(1), float)
    with function.cache.lease(1, lang="de") as leased:
        assert_type(leased, float)
    assert_type(registry.invalidate(tag="t"), int)
    assert_type(len(registry.select("bot.*", tag="t")), int)
    with registry.disabled("bot.*"):
        pass
    assert_type(function.cache.entry(1), EntryInfo[float] | None)
    assert_type(function.cache.clear(), int)
    assert_type(function.cache.cleanup(), int)
    assert_type(function.cache.stats(), CacheStats)
    assert_type(function.cache.items(), list[tuple[Any, Any]])
    assert_type(len(function.cache), int)
    assert_type(function.cache.store, cachetools.Cache[Any, Any])
    assert_type(function.inflight.forget(1), bool)
    assert_type(function.inflight.stats(), InflightStats)
    assert_type(stacked.cache.entry(1), EntryInfo[float] | None)
    assert_type(optional.cache.entry(1), EntryInfo[str | None] | None)
    function.cache.put(2.0, 1, lang="de")
    function.cache.resize(max=5)
    function.cache.resize(max_bytes="1MB")
    function.cache.invalidate("no")  # type: ignore[arg-type]
    function.cache.invalidate()  # type: ignore[call-arg]
    function.cache.refresh("no")  # type: ignore[arg-type]
    function.cache.call("no")  # type: ignore[arg-type]
    function.cache.fresh("no")  # type: ignore[arg-type]
    function.cache.within("50ms").call("no")  # type: ignore[arg-type]
    function.cache.lease("no")  # type: ignore[arg-type]
    registry.invalidate("t")  # type: ignore[call-arg]
    function.cache.resize("5")  # type: ignore[arg-type]
    function.inflight.forget("no")  # type: ignore[arg-type]
    function.cache.entry("no")  # type: ignore[arg-type]
    function.cache.put(2.0, "no")  # type: ignore[arg-type]
    function.cache.put(2.0)  # type: ignore[call-arg]
    assert_type(function.cache.put_many({1: 2.0}), int)
    assert_type(function.cache.put_many((x, float(x)) for x in range(3)), int)
    assert_type(function.cache.dump("path"), int)
    assert_type(function.cache.dump(Path("path"), encode=float.hex), int)
    assert_type(function.cache.load("path", decode=float.fromhex), int)
    function.cache.put_many(5)  # type: ignore[arg-type]
    function.cache.dump()  # type: ignore[call-arg]
    function.cache.dump(5)  # type: ignore[arg-type]
    function.cache.dump("path", encode=str.lower)  # type: ignore[arg-type]
    function.cache.load(5)  # type: ignore[arg-type]
    assert_type(function.cache.record("path"), Recording)
    with function.cache.record(Path("path"), max_bytes=1_000_000) as recording:
        assert_type(recording, Recording)
        assert_type((recording.requests, recording.bytes, recording.is_full), tuple[int, int, bool])
    assert_type(list(read_recording("path")), list[int])
    function.cache.record()  # type: ignore[call-arg]
    function.cache.record("path", max_bytes=1.5)  # type: ignore[arg-type]


async def coroutines(c: C) -> None:
    assert_type(await coroutine(1), str)
    assert_type(coroutine.cache.invalidate(1), bool)
    assert_type(await coroutine.cache.refresh(1), str)
    assert_type(await coroutine.cache.within("50ms").call(1), str)
    async with coroutine.cache.lease(1) as leased, c.async_method.cache.lease(1) as of_method:
        assert_type(leased, str)
        assert_type(of_method, str)
    assert_type(await coroutine.cache.drain(), None)
    with coroutine.cache.lease(1):  # type: ignore[attr-defined]
        pass
    assert_type(coroutine.cache.entry(1), EntryInfo[str] | None)
    coroutine.cache.put("value", 1)
    assert_type(coroutine.cache.put_many({1: "value"}), int)
    assert_type(coroutine.cache.dump("path", encode=str.lower), int)
    assert_type(coroutine.cache.load("path", decode=str), int)
    assert_type(coroutine.cache.record("path", max_bytes="1MB"), Recording)
    assert_type(await c.async_method(1), str)
    assert_type(await c.async_method.cache.refresh(1), str)
    assert_type(c.async_method.cache.entry(1), EntryInfo[str] | None)
    c.async_method.cache.put("value", 1)
    assert_type(await C.async_class_outer(1), str)
    assert_type(C.async_class_outer.cache.entry(1), EntryInfo[str] | None)
    await coroutine("no")  # type: ignore[arg-type]
    await c.async_method("no")  # type: ignore[arg-type]
    await coroutine.cache.refresh("no")  # type: ignore[arg-type]


def methods(c: C, d: D) -> None:
    assert_type(c.method(1), str)
    assert_type(c.method(x=1), str)
    assert_type(d.method(1), str)
    assert_type(C.method(c, 1), str)
    assert_type(c.method.cache.invalidate(1), bool)
    assert_type(c.method.cache.refresh(1), str)
    assert_type(c.method.cache.within("50ms").call(1), str)
    with c.method.cache.lease(1) as leased:
        assert_type(leased, str)
    assert_type(c.method.cache.fresh(1), str)
    assert_type(c.method.cache.entry(1), EntryInfo[str] | None)
    assert_type(c.method.cache_info(), CacheInfo)
    assert_type(c.method.inflight.forget(1), bool)
    assert_type(C.method.cache.invalidate(c, 1), bool)
    c.method.cache.put("value", 1)
    c.method("no")  # type: ignore[arg-type]
    c.method()  # type: ignore[call-arg]
    c.method.cache.invalidate("no")  # type: ignore[arg-type]
    c.method.cache.invalidate(c, 1)  # type: ignore[call-arg, arg-type]
    c.method.cache.refresh("no")  # type: ignore[arg-type]


def class_methods(c: C) -> None:
    assert_type(C.class_inner(1), str)
    assert_type(c.class_inner(1), str)
    assert_type(C.class_inner.cache.invalidate(1), bool)
    assert_type(C.class_inner.cache.entry(1), EntryInfo[str] | None)
    assert_type(C.class_outer(1), str)
    assert_type(c.class_outer(1), str)
    assert_type(C.class_outer.cache.invalidate(1), bool)
    assert_type(C.class_outer.cache.refresh(1), str)
    assert_type(D.class_outer(1), str)
    C.class_inner("no")  # type: ignore[arg-type]
    C.class_outer("no")  # type: ignore[arg-type]
    C.class_outer.cache.invalidate("no")  # type: ignore[arg-type]


def static_methods(c: C) -> None:
    assert_type(C.static_inner(1), str)
    assert_type(c.static_inner(1), str)
    assert_type(C.static_inner.cache.invalidate(1), bool)
    assert_type(C.static_outer(1), str)
    assert_type(c.static_outer(1), str)
    assert_type(C.static_outer.cache.entry(1), EntryInfo[str] | None)
    C.static_inner("no")  # type: ignore[arg-type]
    C.static_outer("no")  # type: ignore[arg-type]
    C.static_outer.cache.invalidate("no")  # type: ignore[arg-type]


def properties(c: C) -> None:
    assert_type(c.property_inner, int)
    c.property_inner = 2  # type: ignore[misc]


def served() -> None:
    with registry.serve(http=("127.0.0.1", 0), hosts=["web"]) as server:
        assert_type(server, Server)
        assert_type(server.url, str | None)
    registry.serve(8080)  # type: ignore[call-arg]


def in_the_registry() -> None:
    record = registry[function]
    assert_type(record, Record)
    assert_type(registry["module.function"], Record)
    assert_type(len(registry), int)
    bounded(max=3, registry=Registry())(abs)


def options() -> None:
    bounded(max="3")  # type: ignore[call-overload]
    bounded(max=3, maximum=4)  # type: ignore[call-overload]
    bounded(max=3, on_evict=print)
    bounded(max=3, key=str.lower, ignore=("x",))
    bounded(max=3, weak=("x",), scope="loop")
    bounded(max=3, scope="task")  # type: ignore[call-overload]
    bounded(max=3, weak=3)  # type: ignore[call-overload]


def life(value: str, call: CallInfo) -> int | None:
    assert_type(call.arguments, Mapping[str, Any])
    return 60 if call["x"] else None


def kept(value: str, call: CallInfo) -> bool:
    return call.instance is None


def wrong(value: str, call: int) -> bool:
    return True


def of_the_call() -> None:
    bounded(max=3, ttl=life, cache_if=kept)
    bounded(max=3, ttl=lambda value, call: call["x"] and "1h", cache_if=lambda value, call: bool(call.arguments))
    bounded(max=3, ttl=lambda value: "1h", cache_if=bool)
    bounded(max=3, cache_if=wrong)  # type: ignore[arg-type]
    bounded(max=3, ttl=note)  # type: ignore[arg-type]
    dedupe_inflight(weak=("x",), scope="loop")

"""``ttl=`` and ``cache_if=`` that ask about the call: when they are told of it, and of what."""

import asyncio
import functools
import gc
import operator
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.other_decorators import taking_extra

from memo import CallInfo, Registry, bounded
from memo.testing import FakeClock


def told(call: CallInfo) -> tuple[Any, dict[str, Any]]:
    return call.instance, dict(call.arguments)


def test_what_is_told_of_a_call(own: Registry) -> None:
    """Every parameter by its name, defaults filled in, and the instance apart, in every placement."""
    seen: list[Any] = []

    def ttl(value: Any, call: CallInfo) -> int:
        seen.append(told(call))
        return 60

    keeping = bounded(max=9, ttl=ttl, registry=own)

    class Host:
        @keeping
        def method(self, a: int, /, b: int = 2, *rest: int, c: int = 3, **more: int) -> int:
            return 1

        @keeping
        @classmethod
        def of_class(cls, a: int = 1) -> int:
            return 1

        @staticmethod
        @keeping
        def alone(a: int) -> int:
            return 1

        @keeping
        @property
        def size(self) -> int:
            return 1

        @keeping
        async def later(self, a: int) -> int:
            return 1

        @keeping
        @taking_extra
        def wrapped(self, a: int = 1) -> int:
            return 1

        @keeping
        def anything(*args: int, **more: int) -> int:
            return 1

    host = Host()
    cases: list[tuple[Callable[[], Any], Any, dict[str, Any]]] = [
        (lambda: host.method(1), host, {"a": 1, "b": 2, "rest": (), "c": 3, "more": {}}),
        (lambda: host.method(1, 5, 6, c=7, d=8), host, {"a": 1, "b": 5, "rest": (6,), "c": 7, "more": {"d": 8}}),
        (lambda: Host.of_class(), Host, {"a": 1}),
        (lambda: host.alone(a=4), None, {"a": 4}),
        (lambda: host.size, host, {}),
        (lambda: asyncio.run(host.later(4)), host, {"a": 4}),
        (lambda: host.wrapped(), host, {"a": 1}),
        (lambda: host.wrapped(3, extra=4), host, {"args": (3,), "kwargs": {"extra": 4}}),
        (lambda: host.anything(1, b=2), host, {"args": (1,), "more": {"b": 2}}),
    ]
    for call, instance, arguments in cases:
        assert call() == call() == 1
        assert seen == [(instance, arguments)]
        seen.clear()


def test_a_call_is_shown(own: Registry) -> None:
    """It is indexed by names, refuses others, and its text tells the arguments."""
    call = CallInfo(None, {"name": "a", "lang": "en"})
    assert call["lang"] == "en"
    assert repr(call) == "<call with name='a', lang='en'>"
    with pytest.raises(KeyError, match="nome"):
        call["nome"]


def test_every_way_into_the_store(own: Registry, tmp_path: Path) -> None:
    """Loads, refreshes, background loads and what is put ask about their own calls; what a file holds asks nobody."""
    clock, runs, asked = FakeClock(), list[str](), list[str]()

    def ttl(value: str, call: CallInfo) -> int | None:
        asked.append(f"ttl {call['name']}")
        return {"short": 10, "long": 1000, "never": 0}.get(call["name"])

    def cache_if(value: str, call: CallInfo) -> bool:
        asked.append(f"if {call['name']}")
        return call["name"] != "unwanted"

    @bounded(max=9, ttl=ttl, cache_if=cache_if, stale_while_revalidate=500, tags=lambda name: [f"name:{name}"],
             name="keeping", registry=own, clock=clock)  # fmt: skip
    async def load(name: str) -> str:
        runs.append(name)
        return f"{name}{len(runs)}"

    def lives() -> dict[str, Any]:
        entries = [(name, load.cache.entry(name)) for name in ("short", "long", "never", "unwanted", "endless")]
        return {name: entry.expires_in for name, entry in entries if entry is not None}

    async def fill() -> None:
        for name in ("short", "long", "never", "unwanted", "endless"):
            assert await load(name) == f"{name}{len(runs)}"

    asyncio.run(fill())
    assert lives() == {"short": 10, "long": 1000, "endless": None}
    assert asked == ["ttl short", "if short", "ttl long", "if long", "ttl never", "ttl unwanted", "if unwanted",
                     "ttl endless", "if endless"]  # fmt: skip
    clock.advance(20)

    async def revalidate() -> None:
        assert await load("short") == "short1"
        while await load("short") == "short1":
            await asyncio.sleep(0)
        await load.cache.refresh("long")

    asyncio.run(revalidate())
    assert lives() == {"short": 10, "long": 1000, "endless": None}
    load.cache.put("put", "short")
    assert load.cache.put_many({"long": "put", "unwanted": "put", "never": "put"}) == 1
    assert own.invalidate(tag="name:long") == 1
    asyncio.run(load.cache.refresh("long"))
    clock.advance(4)
    asked.clear()
    assert load.cache.dump(tmp_path / "entries") == 3
    load.cache.clear()
    assert load.cache.load(tmp_path / "entries") == 3
    assert asked == []
    assert {name: life and round(life) for name, life in lives().items()} == {"short": 6, "long": 996, "endless": None}


@pytest.mark.parametrize("options", [{}, {"stale_if_error": 9}, {"dedupe": False}], ids=str)
@pytest.mark.parametrize("work", ["shared", "caller"])
def test_whoever_runs_the_load(work: Any, options: dict[str, Any], own: Registry) -> None:
    """A load asks about its call in a task of its own and in the caller's, alone and with other options."""
    ttl = {"ttl": 60} if "stale_if_error" in options else {}

    @bounded(max=9, work=work, cache_if=lambda value, call: call["name"] != "no", registry=own, **ttl, **options)
    async def load(name: str) -> list[str]:
        return [name]

    async def twice(name: str) -> bool:
        return await load(name) is await load(name)

    assert [asyncio.run(twice(name)) for name in ("yes", "no")] == [True, False]


OF_ONE: dict[str, Callable[..., object]] = {
    "builtin type": bool,
    "builtin": len,
    "method of a builtin": str.isalpha,
    "with a default": lambda value, least=1: len(value) >= least,
    "of any number": lambda *values: len(values) == 1,
    "partial": functools.partial(lambda least, value: len(value) >= least, 1),
    "by name alone": lambda value, *, call="nothing": call == "nothing",
}


@pytest.mark.parametrize("function", OF_ONE.values(), ids=OF_ONE)
def test_functions_of_a_result_alone_stay_that(function: Callable[..., Any], own: Registry) -> None:
    """What can be called with a result, and names no call, is called with that."""

    @bounded(max=8, cache_if=function, ttl=lambda value, seconds=60: seconds, registry=own)
    def load(name: str) -> str:
        return name

    assert load("abc") is load("abc")
    assert load.cache_info().hits == 1
    assert load.cache.entry("abc").expires_in > 50  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "function", [lambda value, call=None: call is not None, lambda value, of: of["name"] == "a", operator.is_not]
)
def test_functions_that_ask_about_the_call(function: Callable[..., Any], own: Registry) -> None:
    """A second parameter asks if it has no default, whatever its name, or is named so."""

    @bounded(max=8, cache_if=function, registry=own)
    def load(name: str) -> str:
        return name

    assert load("a") == load("a") == "a"
    assert load.cache_info().misses == 1


@pytest.mark.parametrize("option", ["ttl", "cache_if"])
def test_functions_of_neither_are_refused(option: str, own: Registry) -> None:
    """One that takes nothing, or needs more, fails at decoration with both ways to write it."""
    for function, shown in (
        (lambda: 5, r"\(\)"),
        (lambda value, call, more: 5, r"\(value, call, more\)"),
        (lambda value, *, call: 5, r"\(value, \*, call\)"),
    ):
        with pytest.raises(TypeError, match=rf"^bounded: {option}=.*takes {shown}, .*write {option}=lambda value: "):
            bounded(max=8, **{option: function})


@pytest.mark.parametrize("option", ["ttl", "cache_if"])
def test_what_they_raise_is_logged(option: str, own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """An error about the call is logged as one about the result, and the result is returned and not stored."""

    @bounded(max=8, registry=own, **{option: lambda value, call: call["nome"]})
    def load(name: str) -> str:
        return name

    assert load("a") == "a"
    load.cache.put("b", "a")
    assert (len(load.cache), load.cache.stats().rejected) == (0, 2)
    assert [option in record.getMessage() for record in caplog.records] == [True, True]


class Token:
    """May be weakly referenced."""


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("options", [{}, {"stale_if_error": 9, "cache_errors": LookupError, "error_ttl": 9}], ids=str)
def test_nothing_of_the_call_is_held(options: dict[str, Any], fails: bool, own: Registry) -> None:
    """When a load has ended, and its result is stored, neither store nor flight holds its arguments."""

    def run(token: Token) -> str:
        if fails:
            raise LookupError
        return "value"

    async def later(token: Token) -> str:
        return run(token)

    keeping: Any = bounded(max=8, key=id, ttl=lambda value, call: call["token"] and 60, registry=own, **options)

    async def awaited(function: Any, token: Token) -> None:
        try:
            await function(token)
        except LookupError:
            pass
        await asyncio.sleep(0)
        ref = weakref.ref(token)
        del token
        tokens.clear()
        assert ref() is None

    gc.collect()
    gc.disable()
    try:
        tokens = [Token()]
        asyncio.run(awaited(keeping(later), tokens[0]))
        token = Token()
        try:
            keeping(run)(token)
        except LookupError:
            pass
        ref = weakref.ref(token)
        del token
        assert ref() is None
    finally:
        gc.enable()

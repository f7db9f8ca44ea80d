"""A call is passed on as it came, whatever stands between."""

import asyncio
import functools
import inspect
from typing import Any

import pytest
from kit.other_decorators import (
    Deco,
    Passing,
    check_one_key,
)

from memo import bounded, dedupe_inflight, sliding_window


def test_a_call_is_passed_on_as_it_came() -> None:
    """What stands between sees the spelling of the caller, and no default that the caller left out."""
    seen: list[Any] = []

    def watching(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(first: Any, *rest: Any, **named: Any) -> Any:
            seen.append((first, rest, named))
            return function(first, *rest, **named)

        return wrapper

    @bounded(max=8)
    @watching
    def load(name: str, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name]

    @dedupe_inflight
    @watching
    def deduped(name: str, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name]

    @sliding_window("1h")
    @watching
    def windowed(name: str, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name]

    for call in (load, deduped, windowed):
        seen.clear()
        call("a")
        call("b", lang="en")
        call("c", "de", deep=True)
        assert seen == [("a", (), {}), ("b", (), {"lang": "en"}), ("c", ("de",), {"deep": True})]
    seen.clear()
    load.cache.refresh("a", lang="en")
    assert seen == [("a", (), {"lang": "en"})]


@pytest.mark.parametrize("typed", [False, True])
def test_a_call_that_does_not_fit_is_keyed_by_its_spelling(typed: bool) -> None:
    """What a wrapper takes without documenting it is passed on, has keys of its own, and is found again by them."""

    def with_retries(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*a: Any, retries: int = 3, **kw: Any) -> Any:
            return [function(*a, **kw), retries]

        return wrapper

    class Service:
        @bounded(max=8, typed=typed)
        @with_retries
        def load(self, name: str, lang: str = "en") -> str:
            return name

    @bounded(max=8, typed=typed)
    @with_retries
    def load(name: str, lang: str = "en") -> str:
        return name

    service = Service()
    for call in (load, service.load):
        assert call("a", retries=5) is call("a", retries=5)
        assert call("a") == ["a", 3]
        assert sorted(map(str, (key for key, _ in call.cache.items()))) == [
            "('a', 'en')",
            "(('a',), (('retries', 5),))",
        ]
        assert (call("a", retries=5.0) is call("a", retries=5)) is not typed
        assert call.cache.invalidate("a", retries=5)
        assert call.cache.entry("a") is not None
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            call()
        with pytest.raises(TypeError, match=r"^unhashable type: 'list': .*"):
            call([], retries=2)
    assert Service().load("a", retries=5) is not service.load("a", retries=5)


def test_defaults_are_those_that_are_documented() -> None:
    """A wrapper that changes a default says so; its own default, and not what it hides, is in the key."""

    def in_german(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(name: str, lang: str = "de") -> Any:
            return function(name, lang)

        signature = inspect.signature(function)
        lang = signature.parameters["lang"].replace(default="de")
        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[signature.parameters["name"], lang]
        )
        return wrapper

    def silently_in_german(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(name: str, lang: str = "de") -> Any:
            return function(name, lang)

        return wrapper

    def load(name: str, lang: str = "en") -> list[str]:
        return [name, lang]

    german = bounded(max=8)(in_german(load))
    assert german("a") is german("a", "de")
    assert german("a") == ["a", "de"]
    silent = bounded(max=8)(silently_in_german(load))
    assert silent("a") == ["a", "de"]  # the call is passed on as it came


def test_parameters_that_no_source_can_name() -> None:
    """A documented parameter that is given by position alone may be called ``from``."""

    def between(*ends: int) -> list[int]:
        return list(ends)

    names = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("from", "to")]
    between.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    decorated = bounded(max=8)(between)
    assert decorated(1, 2) is decorated(1, 2)
    assert decorated.cache.invalidate(1, 2)


def test_a_single_dispatch_function() -> None:
    """The implementation is chosen below; overloads can still be registered."""

    @bounded(max=8)
    @functools.singledispatch
    def shown(value: Any, width: int = 8) -> list[str]:
        return ["any"]

    @shown.register
    def _(value: int, width: int = 8) -> list[str]:
        return ["int"]

    assert shown("a") is shown("a", 8) is shown("a", width=8)
    assert shown(1) == ["int"]
    assert len(shown.cache) == 2


@pytest.mark.parametrize("decorate", [bounded(max=8), bounded(max=8, ttl=60, stale_if_error=60), dedupe_inflight])
def test_a_single_dispatch_of_coroutine_functions(decorate: Deco) -> None:
    """It gives coroutines, as all its implementations do, so its results are awaited and shared."""

    @decorate
    @functools.singledispatch
    async def shown(value: Any, width: int = 8) -> list[str]:
        return ["any"]

    @shown.register
    async def _(value: int, width: int = 8) -> list[str]:
        return ["int"]

    async def use() -> None:
        await asyncio.sleep(0)
        one, other = await asyncio.gather(shown(1), shown(1, width=8))
        assert one is other
        assert one == ["int"]
        assert await shown("a") == ["any"]

    asyncio.run(use())


@pytest.mark.parametrize("decorate", [bounded(max=8), dedupe_inflight, sliding_window("1h")])
def test_what_stands_in_a_class_for_a_function(decorate: Deco) -> None:
    """Partial methods and single dispatches of methods are decorated with and without options."""

    class Service:
        def load(self, x: int, y: int = 2) -> list[int]:
            return [x, y]

        first = decorate(functools.partialmethod(load, 1))

        @decorate
        @functools.singledispatchmethod
        def shown(self, value: Any) -> str:
            return "any"

        @shown.register
        def _(self, value: int) -> str:
            return "int"

    service = Service()
    assert service.first() == service.first(y=2) == [1, 2]
    assert [service.shown("a"), service.shown(1)] == ["any", "int"]


def test_a_hidden_coroutine_function_is_refused_with_the_remedy() -> None:
    """A plain wrapper around a coroutine function may make anything of its coroutine, and says that it is plain."""

    def hiding(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*a: Any, **kw: Any) -> Any:
            return function(*a, **kw)

        return inner

    @bounded(max=8)
    @hiding
    async def load(name: str) -> list[str]:
        return [name]

    with pytest.raises(TypeError, match=r"load\(\) returned a coroutine object.*write that decorator on top"):
        load("a")

    @hiding
    @bounded(max=8)
    async def below(name: str) -> list[str]:
        return [name]

    async def use() -> None:
        assert await below("a") is await below(name="a")

    asyncio.run(use())


def test_a_click_command_above_and_below() -> None:
    """A command can be made of a decorated function, and its callback is found in the store."""
    click = pytest.importorskip("click")
    testing = pytest.importorskip("click.testing")
    calls = []

    @click.command()
    @click.option("--name", default="a")
    @bounded(max=8)
    def command(name: str) -> None:
        calls.append(name)
        click.echo(name)

    for _ in range(2):
        result = testing.CliRunner().invoke(command, ["--name", "b"])
        assert result.exception is None
    assert calls == ["b"]


def test_dependency_injection() -> None:
    """What a container injects is not given by the caller, and not in the key."""
    calls = []
    service = object()

    def inject(function: Any) -> Any:
        """As dependency-injector, FastDepends or injector do it: fill in what the caller left out."""

        @functools.wraps(function)
        def patched(*args: Any, **kwargs: Any) -> Any:
            kwargs.setdefault("service", service)
            return function(*args, **kwargs)

        return patched

    @bounded(max=8)
    @inject
    def load(name: str, service: Any = "provided") -> list[str]:
        calls.append(service)
        return [name]

    assert load("a") is load(name="a")
    assert calls == [service]


@pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="Python 3.12 added the mark")
def test_a_plain_wrapper_marked_as_coroutine_function() -> None:
    """What is marked as a coroutine function is one, whatever parameters it takes."""

    def around(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*a: Any, **kw: Any) -> Any:
            return function(*a, **kw)

        return inspect.markcoroutinefunction(inner)

    @bounded(max=8)
    @around
    async def load(name: str, lang: str = "en") -> list[str]:
        return [name]

    async def use() -> None:
        assert await load("a") is await load(name="a", lang="en")

    asyncio.run(use())


def test_callables_that_document_more_than_they_are() -> None:
    """A wrapper that is an object, of which only ``__wrapped__`` tells the parameters."""
    calls: list[Any] = []

    @bounded(max=8)
    @Passing
    def load(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    check_one_key(load, calls)

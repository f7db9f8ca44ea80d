"""The key is that of the documented signature, whatever stands between."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import finished
from kit.other_decorators import (
    Deco,
    by_wrapt,
    check_one_key,
    context,
    library,
    positional_first,
    spellings,
    starred,
    tracing,
    twice,
    with_hidden_parameters,
    with_internal_names,
    with_signature,
)

from memo import bounded, dedupe_inflight, sliding_window

# -- decorators as others write them; each passes on what it was given

LIBRARIES = [
    library("tenacity", lambda m: m.retry(stop=m.stop_after_attempt(2))),
    library("backoff", lambda m: m.on_exception(m.expo, ValueError, max_tries=2)),
    library("stamina", lambda m: m.retry(on=ValueError, attempts=2)),
    library("deprecated", lambda m: m.deprecated(reason="old", action="ignore")),
    library("beartype", lambda m: m.beartype),
    library("pydantic", lambda m: m.validate_call),
    library("typeguard", lambda m: m.typechecked),
    library("decorator", lambda m: m.decorator(lambda f, *args, **kwargs: f(*args, **kwargs))),
    library("opentelemetry.trace", lambda m: m.get_tracer("memo").start_as_current_span("span")),
]

DECORATORS = [
    starred, with_hidden_parameters, with_internal_names, by_wrapt, with_signature, context, twice,
    tracing, *LIBRARIES,
]  # fmt: skip

over = pytest.mark.parametrize("other", DECORATORS, ids=lambda other: other.__name__)

MEMO: list[Callable[[], Deco]] = [
    lambda: bounded(max=8),
    lambda: bounded(max=8, ttl=60, policy="lru"),
    lambda: bounded(max=8, ttl=60, stale_if_error=60, cache_errors=KeyError, error_ttl=60),
    lambda: bounded(max_bytes="1MB", typed=True, idle=60),
    lambda: bounded(max=8, tags=lambda name, lang: [f"lang:{lang}"]),
]


@over
@pytest.mark.parametrize("make", MEMO)
@pytest.mark.parametrize("is_async", [False, True])
def test_one_call_has_one_key_above_other_decorators(other: Deco, make: Callable[[], Deco], is_async: bool) -> None:
    """A function, plain or coroutine, above a decorator of others, under each kind of store."""
    calls: list[Any] = []

    def load(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    async def load_later(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    below = other(load_later if is_async else load)
    if is_async and not inspect.iscoroutinefunction(below):
        pytest.skip("this decorator makes a plain function of a coroutine function")
    check_one_key(make()(below), calls)


@pytest.mark.parametrize("other", [positional_first, *DECORATORS], ids=lambda other: other.__name__)
@pytest.mark.parametrize("is_async", [False, True])
def test_methods_above_other_decorators(other: Deco, is_async: bool) -> None:
    """A method above a decorator of others has the keys of a method: by the instance's identity."""
    calls: list[Any] = []

    class Service:
        if is_async:

            @bounded(max=8)
            @other
            async def load(self, name: str, lang: str = "en") -> list[str]:
                calls.append((name, lang))
                return [name, lang]

        else:

            @bounded(max=8)
            @other
            def load(self, name: str, lang: str = "en") -> list[str]:
                calls.append((name, lang))
                return [name, lang]

        __hash__ = None  # type: ignore[assignment]

    if is_async and not inspect.iscoroutinefunction(Service.load):
        pytest.skip("this decorator makes a plain function of a coroutine function")
    service = Service()
    check_one_key(service.load, calls)
    first = finished(service.load("a"))
    assert finished(Service().load("a")) is not first
    assert finished(Service.load(service, name="a")) is first
    assert Service.load.cache.invalidate(service, "a")


@over
@pytest.mark.parametrize("wrap", [classmethod, staticmethod])
@pytest.mark.parametrize("outside", [False, True])
def test_class_and_static_methods_above_other_decorators(other: Deco, wrap: Any, outside: bool) -> None:
    """Class and static methods, with their own decorator above or below."""
    calls: list[Any] = []

    def of_class(cls: Any, name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    def static(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    function = other(of_class if wrap is classmethod else static)
    decorated: Any = bounded(max=8)(wrap(function)) if outside else wrap(bounded(max=8)(function))
    service: Any = type("Service", (), {"load": decorated})
    answers = spellings(service.load)
    assert all(answer is answers[0] for answer in answers)
    assert calls == [("a", "en")]


@over
def test_windows_and_flights_above_other_decorators(other: Deco) -> None:
    """A window names one key for one call, and a flight passes the call on as it came."""

    def load(name: str, lang: str = "en") -> list[str]:
        return [name, lang]

    windowed = sliding_window("1h")(other(load))
    deduped = dedupe_inflight(other(load))
    stacked = bounded(max=8)(dedupe_inflight(sliding_window("1h")(other(load))))
    for call in (windowed, deduped, stacked):
        assert spellings(call) == [["a", "en"]] * 5
    assert dict(windowed.window.by_key()) == {"('a', 'en')": 5}
    assert dict(stacked.window.by_key()) == {"('a', 'en')": 1}
    assert deduped.inflight.stats().completed == 5


@over
def test_other_decorators_above(other: Deco) -> None:
    """Below a decorator of others nothing changes."""
    if other.__name__ == "typeguard":
        pytest.skip("typeguard compiles the source of a function anew, and knows no other wrappers than its own")
    calls: list[Any] = []

    @bounded(max=8)
    def load(name: str, lang: str = "en") -> list[str]:
        calls.append((name, lang))
        return [name, lang]

    answers = spellings(other(load))
    assert all(answer == answers[0] for answer in answers)
    assert calls == [("a", "en")]

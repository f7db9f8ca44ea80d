"""Functions in every placement."""

import functools
import sys
from typing import Any

import pytest

from kit.placed import Build, Decorate, Log, Placed, of
from kit.placed_methods import (
    on_alias_in_class_body,
    on_async_class_method_outer,
    on_async_method,
    on_async_static_method_inner,
    on_class_method_inner,
    on_class_method_outer,
    on_frozen_dataclass,
    on_frozen_dataclass_with_slots,
    on_function_set_on_class,
    on_inherited,
    on_method,
    on_method_of_odd_self,
    on_method_of_positional_self,
    on_named_tuple,
    on_override,
    on_slots,
    on_slots_without_weakref,
    on_static_method_inner,
    on_static_method_outer,
    on_unhashable,
)
from memo import bounded

__all__ = (
    "ALL",
    "CLASS_METHODS",
    "FUNCTIONS",
    "METHODS",
    "OTHERS",
    "STACKS",
    "on_async_callable_object",
    "on_async_partial",
    "on_bound_method",
    "on_callable_object",
    "on_coroutine",
    "on_function",
    "on_partial",
    "on_partialmethod",
    "on_stack",
    "on_wrapped",
    "over",
    "placed",
    "plain",
    "skip_inner_class_methods_that_python_binds",
)


def on_function(decorate: Decorate) -> Placed:
    calls = Log()

    @decorate
    def fetch(name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    return Placed(calls, lambda: fetch)


def on_coroutine(decorate: Decorate) -> Placed:
    calls = Log()

    @decorate
    async def fetch(name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    return Placed(calls, lambda: fetch)


def on_partial(decorate: Decorate) -> Placed:
    calls = Log()

    def base(log: list[Any], name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        log.append((name, lang))
        return [name, lang]

    fetch = decorate(functools.partial(base, calls))
    return Placed(calls, lambda: fetch)


def on_async_partial(decorate: Decorate) -> Placed:
    calls = Log()

    async def base(log: list[Any], name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        log.append((name, lang))
        return [name, lang]

    fetch = decorate(functools.partial(base, calls))
    return Placed(calls, lambda: fetch)


def on_partialmethod(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        def _fetch(self, log: list[Any], name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            log.append((name, lang))
            return [name, lang]

        fetch = decorate(functools.partialmethod(_fetch, calls))

    return of(Service, calls)


def on_bound_method(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    fetch = decorate(Service().fetch)
    return Placed(calls, lambda: fetch)


def on_callable_object(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        """Fetches."""

        def __call__(self, name: str, lang: str = "en") -> list[str]:
            calls.append((name, lang))
            return [name, lang]

    fetch = decorate(Service())
    return Placed(calls, lambda: fetch)


def on_async_callable_object(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        """Fetches."""

        async def __call__(self, name: str, lang: str = "en") -> list[str]:
            calls.append((name, lang))
            return [name, lang]

    fetch = decorate(Service())
    return Placed(calls, lambda: fetch)


def on_wrapped(decorate: Decorate) -> Placed:
    calls = Log()

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    class Service:
        @decorate
        @passing
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_stack(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


FUNCTIONS = (on_function, on_coroutine, on_static_method_inner, on_static_method_outer, on_async_static_method_inner)

CLASS_METHODS = (on_class_method_inner, on_class_method_outer, on_async_class_method_outer)

METHODS = (
    on_method,
    on_async_method,
    on_method_of_odd_self,
    on_method_of_positional_self,
    on_slots,
    on_slots_without_weakref,
    on_frozen_dataclass,
    on_frozen_dataclass_with_slots,
    on_unhashable,
    on_named_tuple,
    on_override,
    on_inherited,
    on_alias_in_class_body,
    on_function_set_on_class,
    on_wrapped,
)

STACKS = (on_stack,)

OTHERS = (
    on_partial,
    on_async_partial,
    on_partialmethod,
    on_bound_method,
    on_callable_object,
    on_async_callable_object,
)

ALL = FUNCTIONS + CLASS_METHODS + METHODS + OTHERS


def over(*builds: Build) -> Any:
    return pytest.mark.parametrize("build", builds, ids=[build.__name__.removeprefix("on_") for build in builds])


def plain(function: Any) -> Any:
    return function


def placed(build: Build, **options: Any) -> Placed:
    return build(bounded(**{"max": 8, **options}))


def skip_inner_class_methods_that_python_binds(build: Build) -> None:
    """From 3.13 on, ``@classmethod`` above ``@bounded`` binds by itself: a limit that docs/guarantees.md names."""
    if build is on_class_method_inner and sys.version_info >= (3, 13):
        pytest.skip("classmethod binds without asking what it wraps from Python 3.13 on")

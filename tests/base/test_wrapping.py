"""What things are around: decorators, bound methods, properties, partials; one walk for whoever asks."""

import functools
import inspect
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from memo import Registry, bounded
from memo._base.wrapping import run_by, wrapped_by


def plain(value: Any) -> Any:
    return value


def decorator(function: Callable[..., Any]) -> Any:
    """What anybody's decorator makes."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Owner:
    """A method, and what is made of it."""

    method = decorator(plain)
    static = staticmethod(decorator(plain))
    shown = property(decorator(plain))


WRAPPED: dict[str, Any] = {
    "a function": plain,
    "a decorator": decorator(plain),
    "two decorators": decorator(decorator(plain)),
    "a bound method": Owner().method,
    "a static method": vars(Owner)["static"],
    "a property": vars(Owner)["shown"],
    "a cached function": functools.lru_cache(plain),
}


@pytest.mark.parametrize("thing", WRAPPED.values(), ids=WRAPPED)
def test_a_walk_ends_at_what_is_wrapped(thing: Any) -> None:
    """The last that a walk comes by is the plain function, and the first is the thing itself."""
    first, *_ = links = list(wrapped_by(thing))
    assert first is thing
    assert links[-1] is plain


def test_a_circle_ends() -> None:
    """A walk through what wraps itself ends."""

    def one() -> None: ...
    def other() -> None: ...

    one.__wrapped__, other.__wrapped__ = other, one  # type: ignore[attr-defined]
    assert len(list(wrapped_by(one))) == 100


def test_a_stranger_that_raises_ends_a_walk() -> None:
    """What raises when it is asked what it wraps, wraps nothing."""

    class Stranger:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    stranger = Stranger()
    assert list(wrapped_by(stranger)) == [stranger]


def test_a_mock_is_not_asked_for_what_it_would_make_up() -> None:
    """A mock is around nothing, and has no more attributes for having been asked."""
    double = mock.Mock()
    assert list(wrapped_by(double)) == [double]
    assert not vars(double)["_mock_children"]


def test_nothing_wraps_nothing() -> None:
    """There is nothing to walk through in None."""
    assert list(wrapped_by(None)) == []
    assert list(run_by(None)) == []


@pytest.mark.parametrize(
    "look", [lambda f: f, decorator, lambda f: decorator(decorator(f)), property, lambda f: property(decorator(f))]
)
def test_a_registry_finds_a_function_below_what_others_made(look: Callable[[Any], Any], own: Registry) -> None:
    """Whatever a walk looks through, a registry finds the record of the decorated function below."""
    decorated = bounded(max=8, registry=own)(plain)
    assert own[look(decorated)] is own[decorated]


def test_a_registry_finds_a_method_below_a_decorator(own: Registry) -> None:
    """A record is found from a bound method, with a decorator of others between it and the decorated method."""

    class Client:
        @decorator
        @bounded(max=8, registry=own)
        def load(self, name: str) -> str:
            return name

    (record,) = own
    assert own[Client().load] is record
    assert own[Client.load] is record


async def awaited(value: Any) -> Any:
    return value


class Runs:
    """Objects that run a coroutine function, when called."""

    async def __call__(self, value: Any) -> Any:
        return value


class RunsMethod:
    __call__ = functools.partialmethod(awaited)


RUN: dict[str, Any] = {
    "a coroutine function": awaited,
    "a partial": functools.partial(awaited, 1),
    "a partial of a partial": functools.partial(functools.partial(awaited), 1),
    "a bound method": Runs().__call__,
    "an object": Runs(),
    "a partial of an object": functools.partial(Runs(), 1),
    "a partialmethod": RunsMethod(),
    "a generic function": functools.singledispatch(awaited),
}


@pytest.mark.parametrize("thing", RUN.values(), ids=RUN)
def test_what_a_call_ends_in_tells_its_colour(thing: Any) -> None:
    """Among what a call goes on to is the coroutine function that it ends in."""
    assert any(inspect.iscoroutinefunction(one) for one in run_by(thing))


def test_what_a_decorator_shows_is_not_what_it_runs() -> None:
    """A plain function around a coroutine function runs what it likes: no walk looks through that."""
    assert list(run_by(decorator(awaited)))[1:] == []

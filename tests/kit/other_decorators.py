"""Decorators as others write them, for the tests of what stands between."""

import contextlib
import functools
import inspect
import logging
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wrapt

from kit.coroutines import finished

__all__ = (
    "Deco",
    "Passing",
    "by_wrapt",
    "check_one_key",
    "context",
    "coroutine",
    "is_marked",
    "library",
    "positional_first",
    "spellings",
    "starred",
    "taking_extra",
    "tracing",
    "twice",
    "with_hidden_parameters",
    "with_internal_names",
    "with_signature",
)

Deco = Callable[[Any], Any]


def starred(function: Any) -> Any:
    """Stars of other names than ``args`` and ``kwargs``."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def inner(*a: Any, **kw: Any) -> Any:
            return await function(*a, **kw)

        return inner

    @functools.wraps(function)
    def plain(*a: Any, **kw: Any) -> Any:
        return function(*a, **kw)

    return plain


def positional_first(function: Any) -> Any:
    """The first parameter has a name of its own."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await function(self, *args, **kwargs)

        return inner

    @functools.wraps(function)
    def plain(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return plain


def with_hidden_parameters(function: Any) -> Any:
    """Parameters with defaults that no caller knows of, as code generators add them."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def inner(*args: Any, __hidden: Any = [], **kwargs: Any) -> Any:  # noqa: B006
            return await function(*args, **kwargs)

        return inner

    @functools.wraps(function)
    def plain(*args: Any, __hidden: Any = [], **kwargs: Any) -> Any:  # noqa: B006
        return function(*args, **kwargs)

    return plain


def taking_extra(function: Any) -> Any:
    """An ``extra`` that it takes for itself, and does not document."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("extra", None)
        return function(*args, **kwargs)

    return inner


def with_internal_names(function: Any) -> Any:
    """Stars with the names that generated code likes to have for itself."""

    @functools.wraps(function)
    def inner(*_memo_args: Any, **_memo_kwargs: Any) -> Any:
        return function(*_memo_args, **_memo_kwargs)

    return inspect.markcoroutinefunction(inner) if is_marked(function) else inner


def is_marked(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) and hasattr(inspect, "markcoroutinefunction")


@wrapt.decorator
def by_wrapt(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


def with_signature(function: Any) -> Any:
    """No ``__wrapped__``: the signature is set by hand."""

    def inner(*everything: Any, **named: Any) -> Any:
        return function(*everything, **named)

    async def inner_async(*everything: Any, **named: Any) -> Any:
        return await function(*everything, **named)

    made: Any = inner_async if inspect.iscoroutinefunction(function) else inner
    made.__signature__ = inspect.signature(function)
    made.__name__, made.__qualname__, made.__module__ = (
        function.__name__, function.__qualname__, function.__module__
    )  # fmt: skip
    return made


class Passing:
    """A decorator that is a class with ``__call__``, and binds like a function."""

    def __init__(self, function: Any, instance: Any = None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.instance = instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)


def context(function: Any) -> Any:
    """A context manager as decorator."""

    @contextlib.contextmanager
    def nothing() -> Iterator[None]:
        yield

    @contextlib.asynccontextmanager
    async def nothing_async() -> Any:
        yield

    return (nothing_async() if inspect.iscoroutinefunction(function) else nothing())(function)


def twice(function: Any) -> Any:
    return starred(with_hidden_parameters(function))


def tracing(function: Any) -> Any:
    """A fixed parameter in front, injected by the wrapper."""

    @functools.wraps(function)
    def inner(*parameters: Any, **by_name: Any) -> Any:
        logging.getLogger("tracing").debug("%s", function)
        return function(*parameters, **by_name)

    async def inner_async(*parameters: Any, **by_name: Any) -> Any:
        return await function(*parameters, **by_name)

    return functools.wraps(function)(inner_async) if inspect.iscoroutinefunction(function) else inner


def library(module: str, make: Callable[[Any], Deco]) -> Deco:
    """The decorator of a library, if that is installed."""

    def decorate(function: Any) -> Any:
        return make(pytest.importorskip(module))(function)

    decorate.__name__ = module
    return decorate


def spellings(call: Callable[..., Any], prefix: tuple[Any, ...] = ()) -> list[Any]:
    """What one call answers in each of its spellings."""
    return [
        finished(call(*prefix, "a")),
        finished(call(*prefix, "a", "en")),
        finished(call(*prefix, "a", lang="en")),
        finished(call(*prefix, name="a")),
        finished(call(*prefix, lang="en", name="a")),
    ]


def check_one_key(call: Any, calls: list[Any]) -> None:
    """Every spelling of a call, by whichever handle, is one key."""
    answers = spellings(call)
    assert all(answer is answers[0] for answer in answers)
    assert calls == [("a", "en")]
    assert [key for key, _ in call.cache.items()] == [("a", "en")]
    assert all(entry.value is answers[0] for entry in spellings(call.cache.entry))
    for spelled in (("a",), ("a", "en")):
        assert call.cache.invalidate(*spelled)
        assert not call.cache.invalidate(name="a", lang="en")
        finished(call(name="a"))
    call.cache.put(["put"], lang="en", name="a")
    assert spellings(call) == [["put"]] * 5
    assert finished(call.cache.refresh("a", lang="en")) == ["a", "en"]
    assert spellings(call) == [["a", "en"]] * 5
    assert len(call.cache) == 1


async def coroutine(name: Any) -> Any:
    return name

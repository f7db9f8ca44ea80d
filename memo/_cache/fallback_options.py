"""What ``bounded`` was told about what stands in for errors: ``fallback`` and ``fallback_on``, checked."""

import inspect
from collections.abc import Callable
from typing import Any

from memo._base import check_error_types, generates, given_text, is_awaited, refuser, short_text
from memo._cache.terms import NOT_GIVEN

__all__ = ("check_colour", "fallback_options", "without_arguments")


def fallback_options(where: str, fallback: Any, fallback_on: Any, one_shot: Any) -> dict[str, Any]:
    """The options by their names in ``CacheOptions``.

    Raises:
        TypeError: One is of the wrong type, or has no effect without the other.
        ValueError: A type is none of ``Exception``, or none is named.
    """
    errors = check_error_types(where, "fallback_on", fallback_on)
    if fallback is NOT_GIVEN:
        if fallback_on is not Exception:
            raise TypeError(
                f"{where}: fallback_on={given_text(fallback_on)} has no effect without fallback=; give both."
            )
        return {"fallback": fallback, "fallback_on": ()}
    if not errors:
        raise ValueError(
            f"{where}: fallback_on={given_text(fallback_on)} names no type; leave it out for every Exception."
        )
    if isinstance(fallback, type):
        _check_class(where, fallback)
    elif not callable(fallback):
        try:
            refuser(where, one_shot)(where, fallback)
        except TypeError:
            raise TypeError(
                f"{where}: fallback={short_text(fallback)} can be used only once, and is to answer many calls; give a "
                f"function that makes a new one."
            ) from None
    return {"fallback": fallback, "fallback_on": errors}


def _check_class(where: str, fallback: type) -> None:
    """Check that *fallback* makes an instance of nothing, as ``list`` does."""
    try:
        inspect.signature(fallback).bind()
    except TypeError:
        raise TypeError(
            f"{where}: fallback={short_text(fallback)} is a class, which is called without arguments, and needs some; "
            "give a function of the call that makes an instance."
        ) from None
    except ValueError:  # it does not tell, as few classes written in C do
        pass


def check_colour(where: str, name: str, fallback: Any, *, is_async: bool) -> None:
    """Check that whoever calls the function *name* can await what *fallback* returns.

    Raises:
        TypeError: It is a coroutine function, and that is a plain one; or a generator function.
    """
    if generates(fallback):
        raise TypeError(
            f"{where}: fallback={short_text(fallback)} is a generator function; give one that returns a list."
        )
    if not is_async and is_awaited(fallback):
        raise TypeError(
            f"{where}: fallback={short_text(fallback)} is a coroutine function, which nobody would await, since "
            f"{name}() is a plain function; give a plain function."
        )


def without_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function*; if it is a class, or has no parameter at all, a function of any call that calls it."""
    try:
        if not isinstance(function, type) and inspect.signature(function).parameters:
            return function
    except Exception:  # a builtin without a signature, or whatever a stranger's __signature__ does
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        return function()

    return call

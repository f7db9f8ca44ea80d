"""What things of anybody's are around: the walks through decorators, bound methods, properties, partials.

Two questions look alike.  What a thing *wraps* is what it stands for: so a record, a layer, the original is found.
What it *runs* is what a call of it ends in, whatever it shows of that: so its colour is found.
"""

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ("attribute", "generates", "is_awaited", "run_by", "wrapped_by")

_LINKS = 100
"""After so many a walk ends: it may go in a circle."""
_DISPATCHES = frozenset({"dispatch", "register", "registry", "__wrapped__"})
"""What a function has that ``functools.singledispatch`` made: its implementations are all of one colour."""


def attribute(thing: Any, name: str) -> Any:
    """An attribute, or None: of things that nobody knows, reading one may raise anything."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def wrapped_by(thing: Any, step: Callable[[Any], Any] | None = None) -> Iterator[Any]:
    """*thing* and what it wraps, outermost first.

    What is looked through: bound methods and what is like them, decorators that leave ``__wrapped__``, properties.

    Args:
        thing: Anything.
        step: Asked first what a thing wraps; None if it does not know.
    """
    for _ in range(_LINKS):
        if thing is None:
            return
        yield thing
        known = None if step is None else step(thing)
        thing = _wrapped(thing) if known is None else known


def _wrapped(thing: Any) -> Any:
    if type(thing) is types.FunctionType:
        return thing.__dict__.get("__wrapped__")
    inner = [attribute(thing, "__func__"), attribute(thing, "__wrapped__")]
    if hasattr(type(thing), "__get__"):  # a property; a mock would make up what it is asked for
        inner.append(attribute(thing, "fget"))
    return next((one for one in inner if one is not None), None)  # whether it is true may be its own affair


def run_by(function: Any) -> Iterator[Any]:
    """*function* and what a call of it goes on to, as far as types tell.

    What is looked through: partials, bound methods, callable objects, ``functools.singledispatch``.
    """
    for _ in range(_LINKS):
        if function is None:
            return
        yield function
        if type(function) is types.FunctionType and function.__dict__.keys() >= _DISPATCHES:
            function = function.__dict__["__wrapped__"]
        elif isinstance(function, functools.partial | functools.partialmethod):
            function = function.func
        elif isinstance(function, types.MethodType | staticmethod | classmethod):
            function = function.__func__
        elif isinstance(function, type | types.FunctionType) or inspect.isroutine(function):
            return
        else:  # an object: of a proxy, __class__ tells what it stands for
            function = inspect.getattr_static(function.__class__, "__call__", None)


def is_awaited(function: Any) -> bool:
    """Whether a call of *function* returns a coroutine, as far as ``run_by()`` tells."""
    return any(map(inspect.iscoroutinefunction, run_by(function)))


def generates(function: Any) -> bool:
    """Whether a call of *function* returns a generator, or an asynchronous one, as far as ``run_by()`` tells."""
    return any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in run_by(function))

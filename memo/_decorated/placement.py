"""Putting a layer on whatever stands below a decorator: function, method, property, or another layer."""

import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from memo._base import check_clock, given_text, refuse_class, short_text
from memo._call import called_in_class, called_with_class, called_without_instance
from memo._decorated.holders import DecoratedClassMethod, DecoratedProperty, DecoratedStaticMethod
from memo._decorated.inner_class_methods import InnerClassMethod
from memo._decorated.layer import Layer
from memo._decorated.object_proxy import Recipe, object_class, remember, sendable
from memo._decorated.proxy import Decorated, UnplacedFunction
from memo._decorated.shipping import teach_picklers
from memo._decorated.stack import layers_of
from memo._registry import Membership, Registry, enrol

teach_picklers()

__all__ = ("Decorator", "Placement", "check_common", "make_decorator")

if TYPE_CHECKING:
    from memo._decorated.typed import Function, Method

P = ParamSpec("P")
AnyProperty = TypeVar("AnyProperty", bound=property)
R = TypeVar("R")


class Placement:
    """Puts one decorator's layer on whatever stands below it.

    Args:
        where: The decorator's name, for messages.
        make: Makes the layer, of a function and of whether it takes an instance (None: guess).
        name: The record's explicit name, or None.
        registry: The record's explicit registry, or None.
    """

    def __init__(
        self,
        where: str,
        make: Callable[[Callable[..., Any], bool | None], Layer],
        name: str | None,
        registry: Registry | None,
    ) -> None:
        self._where = where
        self._make = make
        self._wanted = Membership(where, name, registry)

    def __call__(self, function: Any) -> Any:
        """The decorated object, in the same placement as *function*."""
        refuse_class(self._where, function)
        if isinstance(function, staticmethod):
            # what only claims to be one is a decorator of others around it, whose the call is
            real = issubclass(type(function), staticmethod)
            called = function.__func__ if real else called_without_instance(function)
            return DecoratedStaticMethod(self._decorate(called, None, takes_instance=False))
        if isinstance(function, classmethod):
            called = function.__func__ if issubclass(type(function), classmethod) else called_with_class(function)
            return DecoratedClassMethod(self._decorate(called, Decorated, takes_instance=True))
        if isinstance(function, property):
            if function.fget is None:
                raise TypeError(f"{self._where}: this property has no getter; decorate one that has.")
            getter = self._decorate(function.fget, Decorated, takes_instance=True)
            decorated = DecoratedProperty(getter, function.fset, function.fdel)
            decorated.__doc__ = function.__doc__
            return decorated
        if isinstance(function, functools.cached_property):
            raise TypeError(
                f"{self._where}: {function.attrname or function.func.__qualname__!r} is a cached_property, which keeps "
                f"its value in the instance already; decorate a property instead."
            )
        if isinstance(function, functools.partialmethod | functools.singledispatchmethod):
            dispatches = isinstance(function, functools.singledispatchmethod)
            if dispatches and isinstance(function.func, classmethod | staticmethod):
                raise TypeError(
                    f"{self._where}: this singledispatchmethod is about a {type(function.func).__name__}; decorate the "
                    f"functions that it calls instead (singledispatchmethod above {self._where})."
                )
            return self._decorate(called_in_class(function), Decorated, takes_instance=True)
        return self._decorate(function, None, None)

    def again(self, function: Any, takes_instance: bool) -> Any:
        """What stands below a decorated function that was made elsewhere, decorated as it was there."""
        return self._decorate(function, None, takes_instance)

    def _decorate(self, function: Any, kind: Any, takes_instance: bool | None) -> Any:
        layer = self._make(function, takes_instance)
        if kind is None:
            kind = Decorated if layer.shape.takes_instance else UnplacedFunction
            if sys.version_info >= (3, 13) and layer.shape.takes_class:
                kind = InnerClassMethod
            if not isinstance(function, types.FunctionType | type):
                kind = object_class(function, takes_class=layer.shape.takes_class)
        decorated = kind(layer)
        below = list(layers_of(function))
        self._check_tags(layer, below)
        enrol(layer, below, self._wanted)
        layer.enrolled(self._wanted.name)
        return decorated

    def _check_tags(self, layer: Layer, inner: list[Layer]) -> None:
        """Refuse a stack in which one layer computes tags and a store of entries does not."""
        stack = [layer, *inner]
        untold = next((one for one in stack if one.kind == "cache" and one.tags.function is None), None)
        if untold is not None and any(one.tags.function is not None for one in stack):
            raise TypeError(
                f"{self._where}: tags= of one decorator on {layer.shape.qualname} is a function, but @bounded has "
                f"none, so that its entries could not be found by their tags; give the function to @bounded as well."
            )


def check_common(where: str, name: Any, registry: Any, clock: Any) -> None:
    """Check the options that every decorator has.

    Raises:
        TypeError: One of them is of the wrong type.
        ValueError: The name is empty, or the clock tells no moment.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"{where}: name={given_text(name)} is not text; give the name that the registry is to show.")
    if name == "":
        raise ValueError(f"{where}: name='' is empty; leave it out or give a name.")
    if registry is not None and not isinstance(registry, Registry):
        raise TypeError(f"{where}: registry={given_text(registry)} is no Registry; make one with memo.Registry().")
    if clock is not None:
        check_clock(where, clock)


class Decorator:
    """What ``bounded(...)`` and its siblings return: decorates a function in any placement.

    Args:
        placement: Puts the layer on a function.
        made_by: The decorator that was called.
        given: Its options, also those at their default; what else there is in it does not matter.
    """

    def __init__(self, placement: Placement, made_by: Callable[..., Any], given: Mapping[str, Any]) -> None:
        self._placement = placement
        options = tuple((name, given[name]) for name, default in _options(made_by) if given[name] is not default)
        self._recipe: Recipe = made_by, options

    def __repr__(self) -> str:
        """The call that made it, without what was left at its default."""
        made_by, options = self._recipe
        return f"{made_by.__name__}({', '.join(f'{name}={short_text(value)}' for name, value in options)})"

    def __reduce__(self) -> Any:
        return make_decorator, sendable(self._recipe)

    def again(self, function: Any, takes_instance: bool) -> Any:
        """What stands below a decorated function that was made elsewhere, decorated as it was there."""
        decorated = self._placement.again(function, takes_instance)
        remember(decorated, self._recipe)
        return decorated

    @overload
    def __call__(self, function: "staticmethod[P, R]", /) -> "Method[P, R]": ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, function: "classmethod[Any, P, R]", /) -> "Method[P, R]": ...
    @overload
    def __call__(self, function: AnyProperty, /) -> AnyProperty: ...
    @overload
    def __call__(self, function: "functools.partialmethod[R]", /) -> "Method[..., R]": ...
    @overload
    def __call__(self, function: "Function[P, R]", /) -> "Function[P, R]": ...
    @overload
    def __call__(self, function: "Method[P, R]", /) -> "Method[P, R]": ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[P, R], /) -> "Function[P, R]": ...
    def __call__(self, function: Any, /) -> Any:
        """Decorate *function*."""
        placed = self._placement(function)
        remember(placed, self._recipe)
        return placed


def make_decorator(made_by: Callable[..., Any], options: dict[str, Any]) -> Any:
    """The decorator that a call makes."""
    return made_by(**options)


@functools.cache  # of a handful
def _options(made_by: Callable[..., Any]) -> tuple[tuple[str, Any], ...]:
    """The options of a decorator, and their defaults."""
    parameters = inspect.signature(made_by).parameters.values()
    return tuple((p.name, p.default) for p in parameters if p.kind is not p.POSITIONAL_ONLY)

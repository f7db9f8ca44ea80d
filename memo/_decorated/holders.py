"""What stands in a class body in place of a decorated function: static methods, class methods, properties."""

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from memo._decorated.handles import SHOWN
from memo._decorated.stack import layers_of

if TYPE_CHECKING:
    _static_method = staticmethod[..., Any]
    _class_method = classmethod[Any, ..., Any]
else:
    _static_method = staticmethod
    _class_method = classmethod

__all__ = ("DecoratedClassMethod", "DecoratedProperty", "DecoratedStaticMethod", "Holder", "held", "hold")


def _refuse(name: str, thing: object) -> None:
    raise AttributeError(f"{type(thing).__name__!r} object has no attribute {name!r}")


class Holder:
    """What stands in a class body in place of a function, and carries the handles of the decorated one in it."""

    if not TYPE_CHECKING:

        @property
        def __class__(self):  # by which some tools look up what to do with it
            return type(self).__mro__[2]

        def __getattr__(self, name):
            if name in SHOWN:
                return getattr(self._held(), name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __dir__(self):
            held = dir(self._held())
            return sorted({*dir(type(self).__mro__[2]), *vars(self), *(name for name in SHOWN if name in held)})

        def _parts(self):
            return (self._held(),)


def hold(kind: str, parts: tuple[Any, ...]) -> Any:
    """What stands in a class body in place of a function, made anew from what is in it."""
    return _HOLDERS[kind](*parts)


def held(holder: Any) -> tuple[Any, ...]:
    """How that is pickled."""
    return hold, (type(holder).__name__, holder._parts())


class DecoratedStaticMethod(Holder, _static_method):
    """A static method whose function is decorated: ``C.f`` is the decorated function itself."""

    if not TYPE_CHECKING:

        def _held(self):
            return self.__func__


class DecoratedClassMethod(Holder, _class_method):
    """A class method whose function is decorated; ``C.f`` has the handles of the class it is reached through."""

    if not TYPE_CHECKING:

        def _held(self):
            return self.__func__

        def __get__(self, obj, owner=None, /):
            return self.__func__.__get__(type(obj) if owner is None else owner)


class DecoratedProperty(Holder, property):
    """A property whose getter is decorated; through the class it carries the getter's handles.

    Who sets or deletes it changes what the getter returns: the value that is stored is dropped, even if that fails.
    """

    if not TYPE_CHECKING:

        def _held(self):
            return self.fget

        # A property has none of these, and doctest takes the module of its class for the property's.
        __annotations__ = property(functools.partial(_refuse, "__annotations__"))
        __module__ = property(functools.partial(_refuse, "__module__"))

        def __set__(self, obj, value):
            with _dropping_values(self.fget if self.fset is not None else None, obj):
                super().__set__(obj, value)

        def __delete__(self, obj):
            with _dropping_values(self.fget if self.fdel is not None else None, obj):
                super().__delete__(obj)

        def __copy__(self):
            return self

        def __deepcopy__(self, memo):
            return self

        def _parts(self):
            return self.fget, self.fset, self.fdel, self.__doc__


@contextlib.contextmanager
def _dropping_values(getter: Any, instance: object) -> Iterator[None]:
    """Drop what *getter* has stored for *instance*, innermost first, as that is changed.

    It goes before, so that what a setter itself puts into the cache stays; and once more if a load began meanwhile,
    which may have read half of the change.
    """
    caches = [layer.handle_for((instance,)) for layer in layers_of(getter) if layer.kind == "cache"][::-1]
    begun = [cache.inflight.stats().started for cache in caches]
    for cache in caches:
        cache.clear()
    try:
        yield
    finally:
        for cache, before in zip(caches, begun, strict=True):
            if len(cache.inflight) or cache.inflight.stats().started != before:
                cache.clear()


_HOLDERS: dict[str, Any] = {
    "staticmethod": DecoratedStaticMethod,
    "classmethod": DecoratedClassMethod,
    "property": DecoratedProperty,
}
for _shown, _kind in _HOLDERS.items():
    _kind.__name__ = _kind.__qualname__ = _shown  # for reprs, messages and help()

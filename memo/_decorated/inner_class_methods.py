"""What ``@classmethod`` may be going to wrap, and not to ask which class it is reached through."""

import functools
from typing import Any, ParamSpec, TypeVar

import memo._rate  # whose handle is imported where somebody asks for the annotations
from memo._cache import CacheHandle
from memo._decorated.every_class import CacheOfEveryClass, InflightOfEveryClass, OneOfEveryClass
from memo._decorated.layer import layer_of
from memo._decorated.proxy import Decorated, Transparent, call_directly
from memo._decorated.stack import find_handle, find_one, found_at, layers_of
from memo._flight import InflightHandle
from memo._late import in_time

__all__ = ("InnerClassMethod", "OfAnyClass")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@functools.cache  # held, since nothing can be imported any more as the interpreter ends
def _limit_of_every_class() -> type[Any]:
    with in_time("the limit of a class method"):
        from memo._decorated.limit_of_every_class import LimitOfEveryClass  # here: it needs what no other function has

    return LimitOfEveryClass


class OfAnyClass(Transparent[P, R_co]):
    """What ``@classmethod`` may be going to wrap, as its place and its ``cls`` tell, and is not going to ask.

    ``classmethod`` binds what it wraps by itself: from Python 3.13 on anything, before that what cannot be bound.
    ``C.load.cache`` then arrives here without the class.  It is the class in whose body it stands if that has no
    subclass; else the handle is that of every class.
    """

    __slots__ = ()

    def __set_name__(self, owner: type, name: str) -> None:
        self._self_placed = True  # it stands in the class body by itself: a method of a metaclass, a __new__
        tell: Any = getattr(super(), "__set_name__", None)
        if tell is not None:
            tell(owner, name)

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        owner = None if hasattr(self, "_self_placed") else _defining_class(self)
        return self, () if owner is None or type.__subclasses__(owner) else (owner,)

    def _one(self) -> Any:
        function, prefix = self._place()
        one = find_one(function, prefix)
        of_one = prefix or hasattr(self, "_self_placed")
        return one if one is None or of_one else OneOfEveryClass(one, self)

    @property
    def cache(self) -> CacheHandle[P, R_co, Any]:
        function, prefix = self._place()
        handle = find_handle(function, prefix, "cache")
        of_one = prefix or hasattr(self, "_self_placed")
        return handle if of_one else CacheOfEveryClass(handle, functools.partial(self._each, "cache"))

    @property
    def inflight(self) -> InflightHandle[P, R_co]:
        function, prefix = self._place()
        handle = find_handle(function, prefix, "inflight")
        of_one = prefix or hasattr(self, "_self_placed")
        return handle if of_one else InflightOfEveryClass(handle, functools.partial(self._each, "inflight"))

    @property
    def limit(self) -> "memo._rate.LimitHandle[P, R_co]":
        function, prefix = self._place()
        handle = find_handle(function, prefix, "limit")
        of_one = prefix or hasattr(self, "_self_placed")
        if of_one:
            return handle  # type: ignore[no-any-return]
        return _limit_of_every_class()(handle, functools.partial(self._each, "limit"))  # type: ignore[no-any-return]

    def _each(self, kind: str) -> list[Any]:
        # without any, it is still to be told that a call does not fit
        return [find_handle(self, (owner,), kind) for owner in _classes_called(self) or [_NoClass]]


class _NoClass:
    """Stands for a class on which nobody calls anything."""


def _classes_called(function: OfAnyClass[..., Any]) -> list[type]:
    """The classes on which *function* was called."""
    called = (ref() for layer in layers_of(function) for ref in list(layer.tokens.instances.refs.values()))
    return list(dict.fromkeys(one for one in called if isinstance(one, type) and one is not _NoClass))


def _defining_class(function: OfAnyClass[..., Any]) -> type | None:
    """The class in whose body *function* stands inside a class method; None while it cannot be found."""
    places = [base for owner in _classes_called(function) for base in owner.__mro__]
    layer = layer_of(function)
    assert layer is not None
    shape = layer.shape
    found = found_at(shape.module, shape.qualname.rpartition(".")[0])
    if isinstance(found, type):
        places.append(found)
    this: Any = function
    for place in places:
        for attribute in vars(place).values():
            if isinstance(attribute, classmethod) and attribute.__func__ is this:
                return place
    return None


class InnerClassMethod(OfAnyClass[P, R_co], Decorated[P, R_co]):
    """A function that ``@classmethod`` may be going to wrap."""

    __slots__ = ()


call_directly(InnerClassMethod)

"""The decorated function: a transparent proxy that binds and carries the handles.

A ``Decorated`` is a wrapt proxy around the *generated* wrapper, so that a call goes to it
through C alone; to everyone who looks, it is the *original*: ``__wrapped__``, code, defaults,
attributes, equality and hash are the original's.
"""

import copy
import functools
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import wrapt

from memo._cache import CacheHandle
from memo._inflight_handle import InflightHandle
from memo._layer import HANDLES, Layer, become_method, find_handle, layer_of, original_of
from memo._records import Record
from memo._stats import CacheInfo
from memo._window_handle import WindowHandle

if TYPE_CHECKING:
    _Proxy = object
    _Partial = object
else:
    _Proxy = wrapt.CallableObjectProxy
    _Partial = functools.partial

__all__ = (
    "Bound",
    "Decorated",
    "DecoratedProperty",
    "InnerClassMethod",
    "OfClassFunction",
    "StaticFunction",
    "UnplacedFunction",
)

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class _Handles(Generic[P, R_co]):
    """The attributes that decorating adds, of a function and of a bound method alike."""

    __slots__ = ()

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        """The decorated function, and what it is bound to."""
        raise NotImplementedError

    @property
    def cache(self) -> CacheHandle[P, R_co]:
        """Its store; AttributeError if it is not decorated with ``bounded``."""
        return find_handle(*self._place(), kind="cache")  # type: ignore[no-any-return]

    @property
    def inflight(self) -> InflightHandle[P, R_co]:
        """Its running calls; AttributeError if it has neither ``dedupe_inflight`` nor ``bounded``."""
        return find_handle(*self._place(), kind="inflight")  # type: ignore[no-any-return]

    @property
    def window(self) -> WindowHandle[P, R_co]:
        """What happened of late; AttributeError if it is not decorated with ``sliding_window``."""
        return find_handle(*self._place(), kind="window")  # type: ignore[no-any-return]

    def cache_info(self) -> CacheInfo:
        """Hits, misses, maxsize and currsize of the whole function, as ``functools.lru_cache`` tells them."""
        return self.cache._loads.cache_info()

    def cache_clear(self) -> None:
        """Drop every entry of the whole function and set its counters to zero, as ``functools.lru_cache`` does."""
        cache = self.cache
        loads = cache._loads
        with cache._fence_others(None):
            loads.clear(None)
        loads.forget_counts()

    def cache_parameters(self) -> dict[str, Any]:
        """``maxsize`` and ``typed``, as ``functools.lru_cache`` tells them."""
        loads = self.cache._loads
        return {"maxsize": loads.store.max_entries, "typed": loads.options.typed}

    @property
    def __memo_record__(self) -> Record | None:
        layer = layer_of(self._place()[0])
        return None if layer is None else layer.record


def _layer(function: Any) -> Layer:
    return function._self_layer  # type: ignore[no-any-return]


class Decorated(_Handles[P, R_co], _Proxy):
    """A decorated function, looked at from outside or bound to nothing yet.

    Binding knows that the first parameter takes the instance: ``Decorated`` is for what was found
    in a class body.  See ``UnplacedFunction`` for the rest.
    """

    __slots__ = ("_self_layer",)

    if TYPE_CHECKING:
        # properties, not annotated names: a class with those has an __annotations__ that hides the function's
        @property
        def __name__(self) -> str: ...
        @property
        def __qualname__(self) -> str: ...
        @property
        def __wrapped__(self) -> Callable[P, R_co]: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

        @overload
        def __get__(  # type: ignore[misc]  # a class method: the first parameter is the owner
            self: Callable[Concatenate[type[T], Q], R], obj: T | None, owner: type[T], /
        ) -> "Bound[Q, R]": ...
        @overload
        def __get__(self, obj: None, owner: type[Any] | None = None, /) -> Self: ...
        @overload
        def __get__(  # a method: the first parameter is the instance
            self: Callable[Concatenate[T, Q], R], obj: T, owner: type[Any] | None = None, /
        ) -> "Bound[Q, R]": ...
        @overload
        def __get__(self, obj: object, owner: type[Any] | None = None, /) -> "Bound[P, R_co]": ...
        def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

    else:

        def __init__(self, layer: Layer) -> None:
            super().__init__(layer.generated.wrapper)
            self._self_layer = layer

        def __get__(self, obj, owner=None, /):
            # on the path of every method call: the bound object is made of what is at hand here,
            # since reading an attribute of a proxy costs as much as all of this
            if obj is None:
                return self
            return Bound(self, obj)

        @property
        def __wrapped__(self):
            return self._self_layer.shape.function

        @property
        def __class__(self):
            kind = self._self_layer.shape.function.__class__
            return types.FunctionType if issubclass(kind, type) else kind  # a decorated class is one no longer

        def __getattr__(self, name):
            if name in HANDLES:
                return find_handle(self, (), name)
            original = self._self_layer.shape.function
            try:
                return getattr(original, name)
            except AttributeError:
                if isinstance(original, types.FunctionType):
                    raise
                return super().__getattr__(name)  # set on the proxy of something that is no function

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        return self, ()

    def __set_name__(self, owner: type, name: str) -> None:
        become_method(self)

    def __eq__(self, other: object) -> bool:
        return bool(original_of(self) == original_of(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(original_of(self))

    def __repr__(self) -> str:
        layer = _layer(self)
        return f"<{layer.shape.where} {layer.shape.module}.{layer.shape.qualname}>"

    def __str__(self) -> str:
        return repr(self)

    def __reduce__(self) -> str:
        return _layer(self).shape.qualname

    def __reduce_ex__(self, protocol: Any) -> str:
        return _layer(self).shape.qualname

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class InnerClassMethod(Decorated[P, R_co]):
    """A function that ``@classmethod`` is going to wrap, as its place and its ``cls`` tell.

    From Python 3.13 on, ``classmethod`` binds without asking what it wraps, and ``C.load.cache`` arrives
    here without the class.  Then the handle is that of the class whose body it stands in.  (To have
    one for each subclass, decorate above ``@classmethod``.)
    """

    __slots__ = ()

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        owner = _defining_class(self)
        return self, () if owner is None else (owner,)


def _defining_class(function: InnerClassMethod[..., Any]) -> type | None:
    """The class in whose body *function* stands inside a class method; None while it cannot be found."""
    layer = _layer(function)
    known = [ref() for ref in list(layer.instances.refs.values())]
    places = [base for owner in known if isinstance(owner, type) for base in owner.__mro__]
    found: Any = sys.modules.get(layer.shape.module)
    for part in layer.shape.qualname.split(".")[:-1]:
        found = getattr(found, part, None)
    if isinstance(found, type):
        places.append(found)
    for place in places:
        for attribute in vars(place).values():
            if isinstance(attribute, classmethod) and attribute.__func__ is function:
                return place
    return None


class UnplacedFunction(Decorated[P, R_co]):
    """A function that did not look like a method when it was decorated, but may be made one later."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __get__(self, obj, owner=None, /):
            if obj is None:
                return self
            become_method(self)
            return Bound(self, obj)


class StaticFunction(Decorated[P, R_co]):
    """``bounded`` above ``@staticmethod``: bound to nothing."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __get__(self, obj, owner=None, /):
            return self

    def __set_name__(self, owner: type, name: str) -> None:
        pass


class OfClassFunction(Decorated[P, R_co]):
    """``bounded`` above ``@classmethod``: bound to the class."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __get__(self, obj, owner=None, /):
            return Bound(self, type(obj) if owner is None else owner)

    def __set_name__(self, owner: type, name: str) -> None:
        pass


class Bound(_Handles[P, R_co], _Partial):
    """A decorated method with its instance, or a class method with its class.

    A ``functools.partial`` at heart, which is the cheapest thing that can be made at each access
    and still carry the handles; to everyone who looks, a bound method.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, func: Any, instance: Any, /) -> None: ...
        @property
        def func(self) -> Any: ...
        @property
        def args(self) -> tuple[Any, ...]: ...
        @property
        def __name__(self) -> str: ...
        @property
        def __qualname__(self) -> str: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    else:

        @property
        def __class__(self):
            return types.MethodType

        @property
        def __doc__(self):
            return self.func.__doc__

        @property
        def __module__(self):
            return self.func.__module__

        @property
        def __dict__(self):
            return self.func.__dict__

        def __getattr__(self, name):
            if name in HANDLES:
                return find_handle(*self._place(), name)
            return getattr(self.func, name)

    @property
    def __self__(self) -> Any:
        return self.args[0]

    @property
    def __func__(self) -> Any:
        return self.func

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        owner = self.args[0]
        return self.func.__wrapped__.__get__(owner, type(owner))  # type: ignore[no-any-return]

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        return self.func, self.args

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, types.MethodType):
            return NotImplemented
        return self.args[0] is other.__self__ and bool(self.func == other.__func__)

    def __hash__(self) -> int:
        return hash((id(self.args[0]), self.func))

    def __repr__(self) -> str:
        return f"<bound {self.func!r} of {self.args[0]!r}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self.func, copy.deepcopy(self.args[0], memo))

    def __reduce__(self) -> Any:
        return getattr, (self.args[0], self.func.__name__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()


class DecoratedProperty(property):
    """A property whose getter is decorated; through the class it carries the getter's handles."""

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name in HANDLES or name in ("cache_info", "cache_clear", "cache_parameters", "__memo_record__"):
                return getattr(self.fget, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

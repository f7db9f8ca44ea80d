"""The decorated function: a transparent proxy that binds and carries the handles.

A ``Decorated`` is a wrapt proxy around the *generated* wrapper, so that a call goes to it
through C alone (where the path in C is there, to a ``speed.Call``, which holds the wrapper); to
everyone who looks, it is the *original*: ``__wrapped__``, code, defaults, attributes, equality
and hash are the original's.
"""

import inspect
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

import wrapt

from memo._base import HELD
from memo._call import LAYER, Through
from memo._decorated.assignments import assign, unassign
from memo._decorated.bound_method import Bound
from memo._decorated.handles import SHOWN, Handles
from memo._decorated.holders import DecoratedClassMethod
from memo._decorated.layer import Layer
from memo._decorated.stack import (
    ADDED,
    become_method,
    find_below,
    find_one,
    original_of,
    tell_name,
)
from memo._native import speed

if TYPE_CHECKING:
    _Proxy = object
    _Binding = object
else:
    _Proxy = wrapt.CallableObjectProxy if speed is None else speed.Proxy
    _Binding = _Proxy if speed is None else speed.Binding

__all__ = (
    "ABILITIES",
    "ASKED_OF_OBJECTS",
    "LIKE_FUNCTION",
    "BoundReference",
    "Decorated",
    "Transparent",
    "UnplacedFunction",
    "bind",
    "call_directly",
    "described_anew",
    "set_class",
    "special_names",
)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


def _layer(function: Any) -> Layer:
    return _layer_in(function)  # type: ignore[no-any-return]


class Transparent(Handles[P, R_co], _Proxy):
    """What looks like the original and is called as the generated wrapper."""

    __slots__ = ("_self_bound", "_self_described", "_self_layer", "_self_placed", "_self_recipe", "_self_through")

    if not TYPE_CHECKING:

        def __init_subclass__(cls) -> None:
            if "__orig_bases__" in vars(cls):
                super().__init_subclass__()
            else:  # made as the program runs, maybe as it ends, when Generic can no longer import what it needs
                cls.__parameters__ = ()

        def __init__(self, layer: Layer) -> None:
            super().__init__(None)  # what it wraps is made when it is needed: see __wrapped_get__
            _set_layer(self, layer)
            _set_bound(self, Bound)
            layer.decorated = weakref.ref(self)
            _set_own(self, "__doc__", getattr(layer.shape.function, "__doc__", None))  # where inspect and pydoc look
            _set_own(self, "__module__", layer.shape.module)

        # wrapt asks for these two, at the first call, when it finds nothing to call: so that no frame of ours stands
        # between the caller and the wrapper, then either
        __wrapped_factory__ = True

        def __wrapped_get__(self):
            return _layer(self).wrapper

        def __getattribute__(self, name):
            if name in _ASKED_OF_FUNCTIONS:
                original = _layer(self).shape.function
                if isinstance(original, type) and name == "__dict__":  # which a function has, and can be added to
                    return object.__getattribute__(self, name)
                described = described_anew(self)
                return described[name] if name in described else getattr(original, name)
            return object.__getattribute__(self, name)  # of the proxy's own, at once; __getattr__ knows the rest

        @property
        def __wrapped__(self):
            return _layer(self).shape.function

        @property
        def __class__(self):
            kind = _layer(self).shape.function.__class__
            return types.FunctionType if issubclass(kind, type) else kind  # a decorated class is one no longer

        def __getattr__(self, name):
            if name in ADDED:
                return find_below(self, name)
            if name == "one" and (one := self._one()) is not None:
                return one
            original = _layer(self).shape.function
            try:
                return getattr(original, name)
            except AttributeError:
                if isinstance(original, types.FunctionType) or (name[:2] == "__" and not isinstance(original, type)):
                    raise
                return super().__getattr__(name)  # set on the proxy of something that is no function

        def __setattr__(self, name, value):
            if name.startswith("_self_") or name in SHOWN:
                super().__setattr__(name, value)
                return
            if name == "__wrapped__" and type(value) is types.FunctionType and LAYER in value.__globals__:
                if speed is not None:
                    speed.attach(self, _layer(self).generated.native_call(value))
                _set_called(self, value)  # what wrapt had made
                return
            if name in _DESCRIPTIONS and not _takes_attributes(original_of(self)):
                _describe(self, name, value)
                return
            try:
                assign(self, name, value)
                if name in ("__doc__", "__module__"):
                    _set_own(self, name, value)
            except AttributeError:
                if name.startswith("__") or isinstance(original_of(self), types.FunctionType):
                    raise
                super().__setattr__(name, value)  # of something that is no function and takes no attributes

        def __delattr__(self, name):
            if name.startswith("_self_") or name in SHOWN:
                super().__delattr__(name)
                return
            described = described_anew(self)
            if name in described:
                _set_described(self, {one: value for one, value in described.items() if one != name})
                return
            try:
                unassign(self, name)
                if name == "__doc__":
                    _set_own(self, name, None)
            except AttributeError:
                if name.startswith("__") or isinstance(original_of(self), types.FunctionType):
                    raise
                super().__delattr__(name)

    def __dir__(self) -> list[str]:
        original = _layer(self).shape.function
        handles = [name for name in ADDED if hasattr(self, name)]
        more = () if find_one(self, ()) is None else ("one",)
        return sorted({*dir(original), *handles, *more, "__wrapped__"})

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        return self, ()

    def _one(self) -> Any:
        """Of a function of many keys: that of one; None of any other."""
        return find_one(*self._place())

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

    def __format__(self, form: str) -> str:
        return format(repr(self), form)

    def __reduce__(self) -> str:
        return _layer(self).shape.qualname

    def __reduce_ex__(self, protocol: Any) -> str:
        return self.__reduce__()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


setattr(Transparent, HELD, property(lambda decorated: _layer(decorated).shape.function))
_set_own: Any = None if TYPE_CHECKING else _Proxy.__self_setattr__
_set_called = inspect.getattr_static(_Proxy, "__wrapped__").__set__ if not TYPE_CHECKING else None
_layer_in = Transparent.__dict__["_self_layer"].__get__
_set_layer = Transparent.__dict__["_self_layer"].__set__
_set_bound = Transparent.__dict__["_self_bound"].__set__
_bound_in = Transparent.__dict__["_self_bound"].__get__
_through_in = Transparent.__dict__["_self_through"].__get__
_set_described = Transparent.__dict__["_self_described"].__set__
_described_in = Transparent.__dict__["_self_described"].__get__


def described_anew(function: Any) -> dict[str, Any]:
    """What was assigned to a decorated thing that takes no attributes, to describe it anew.

    ``functools.update_wrapper()`` assigns a name and a documentation to whatever it is given: to a builtin or to a
    bound method as well, once a decorator made an object of it.  These are everybody's, and stay as they are.
    """
    try:
        return _described_in(function)  # type: ignore[no-any-return]
    except AttributeError:
        return {}


def _takes_attributes(original: Any) -> bool:
    if isinstance(original, types.FunctionType):
        return True
    try:
        object.__getattribute__(original, "__dict__")  # its own: a bound method has that of its function
    except AttributeError:
        return False
    return not isinstance(original, type)


def _describe(function: Any, name: str, value: Any) -> None:
    _set_described(function, {**described_anew(function), name: value})
    if name in ("__doc__", "__module__"):
        _set_own(function, name, value)  # where inspect and pydoc look


def special_names(kind: type) -> set[str]:
    """What instances of *kind* have of the names that the interpreter knows."""
    return {name for name in dir(kind) if name.startswith("__") and name.endswith("__")}


# A proxy can whatever anything can: it has a length, may be entered, added, indexed.  A function has none of these, so
# whoever asks for them is told so: hasattr() by these names, issubclass() and isinstance() by None in the class.
_OUR_OWN = frozenset({"__wrapped__", "__memo_record__", "__copy__", "__deepcopy__"})
_DESCRIBES = frozenset({"__annotations__", "__doc__", "__module__", "__name__", "__qualname__", "__type_params__"})
_DESCRIBES |= {"__dict__"}  # the wrapper's, which is the same one, would have to be made first
_OF_PROXIES = special_names(Transparent) - _OUR_OWN | {"__del__", "__set_name__"}
_ASKED_OF_FUNCTIONS = _OF_PROXIES - special_names(types.FunctionType) | _DESCRIBES
LIKE_FUNCTION = frozenset({"__annotations__", "__code__", "__defaults__", "__kwdefaults__", "__name__"})
ASKED_OF_OBJECTS = (_OF_PROXIES | special_names(types.FunctionType)) - special_names(object) | _DESCRIBES
ASKED_OF_OBJECTS = ASKED_OF_OBJECTS - {"__dict__"} | {"__signature__"}
_DESCRIPTIONS = _DESCRIBES - {"__dict__"} | {"__signature__", "__wrapped__"}
ABILITIES = _ASKED_OF_FUNCTIONS & special_names(wrapt.CallableObjectProxy) - _DESCRIBES - {
    "__bool__", "__class_getitem__", "__getattr__",
}  # fmt: skip
for _name in ABILITIES:
    setattr(Transparent, _name, None)


class Decorated(Transparent[P, R_co], _Binding):
    """A decorated function, looked at from outside or bound to nothing yet.

    Binding knows that the first parameter takes the instance: ``Decorated`` is for what was found
    in a class body.  See ``UnplacedFunction`` for the rest.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        # properties, not annotated names: a class with those has an __annotations__ that hides the function's
        @property
        def __name__(self) -> str: ...
        @property
        def __qualname__(self) -> str: ...
        @property
        def __wrapped__(self) -> Callable[P, R_co]: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

        def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

    elif speed is None:

        def __get__(self, obj, owner=None, /):
            return self if obj is None else _class_of_bound(self)(self, obj)  # the first time alone: see there

    def __set_name__(self, owner: type, name: str) -> None:
        become_method(self, owner)
        tell_name(self, owner, name)
        if name in ("__class_getitem__", "__init_subclass__"):  # class methods, as the interpreter makes of functions
            kind: Any = DecoratedClassMethod
            setattr(owner, name, kind(self))


class UnplacedFunction(Decorated[P, R_co]):
    """A function that did not look like a method when it was decorated.

    It is one if the class in whose body it was defined says so (``__set_name__``).  Any other class merely refers to
    it: then how the attribute binds is the attribute's affair, and the function stays what it is.
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __get__(self, obj, owner=None, /):
            return self if obj is None else bind(self, obj)


class BoundReference(Bound[P, R_co]):
    """A plain decorated function, bound by a class that merely refers to it.

    Its calls are the instance's own; ``__func__`` is the function, whose plain calls are not touched.
    """

    __slots__ = ("_call",)

    if not TYPE_CHECKING:
        __annotations__, __doc__, __module__ = Bound.__annotations__, Bound.__doc__, Bound.__module__

        def __init__(self, function, instance, /):
            super().__init__(function, instance)
            self._call = _call_through(function)

        def __call__(self, /, *args, **kwargs):
            return self._call(self.__self__, *args, **kwargs)

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        return self.__func__, (Through(self.__self__),)


_REFERENCE: Any = BoundReference
_REFERENCE.__name__ = _REFERENCE.__qualname__ = "method"


def _call_through(function: Any) -> Any:
    """What answers calls through instances; made once, and held by the decorated function as its wrapper is."""
    try:
        return _through_in(function)
    except AttributeError:
        call = function._self_through = _layer(function).wrapper_through
        return call


def _cut_loose(
    function: Any, bound_in: Callable[[Any], Any] = _bound_in, bare: Any = Bound
) -> None:  # which are at hand here also when the interpreter has emptied the module
    """Let *function* go by reference counts alone.

    A class is always in a cycle: that of the bound methods must not hold the wrapper, and with it the store, until
    the collector finds it.
    """
    try:
        bound_class = bound_in(function)
    except AttributeError:  # it is blank
        return
    if bound_class is not bare:
        del bound_class.__call__


if not TYPE_CHECKING:
    Transparent.__del__ = _cut_loose


def call_directly(kind: type, *, binds: bool = False) -> None:
    """Have the path in C call decorated functions of *kind*, one that does not inherit that on all versions.

    Args:
        kind: A class of decorated functions.
        binds: They are bound to the instance as functions are, so that ``obj.f(x)`` may become ``f(obj, x)``.
    """
    if speed is not None:
        speed.enable(kind, binds)


call_directly(Transparent)
call_directly(Decorated, binds=True)
call_directly(UnplacedFunction)


def bind(function: Any, instance: object) -> Bound[..., Any]:
    """What did not look like a method when it was decorated, bound to *instance*."""
    kind = BoundReference if _layer(function).needs_through else _class_of_bound(function)
    return kind(function, instance)


_new = object.__new__
set_class = object.__dict__["__class__"].__set__


def _class_of_bound(function: Any) -> type[Bound[..., Any]]:
    """The class of the bound methods of *function*, whose call takes no detour: of all functions, where C makes them.

    From then on the function makes them without looking anything up: reading an attribute of a proxy would cost
    as much as all the rest.  So it gets a class of its own, too.
    """
    known = _bound_in(function)
    if known is not Bound or speed is not None:
        return known  # type: ignore[no-any-return]
    layer = _layer(function)
    call = layer.generated.bound_wrapper(layer)
    shown = {name: Bound.__dict__[name] for name in ("__annotations__", "__doc__", "__module__")}
    # in each class, which else would have its own
    bound_class: Any = type("method", (Bound,), {"__slots__": (), "__call__": call, **shown})

    def __get__(self: Any, obj: Any, owner: Any = None, /) -> Any:  # noqa: N807  # it is one
        if obj is None:
            return self
        bound = _new(bound_class)
        bound.__func__ = self
        bound.__self__ = obj
        return bound

    function._self_bound = bound_class
    kind: Any = type(function)
    if kind.__get__ is Decorated.__get__:
        set_class(function, type(kind.__name__, (kind,), {"__slots__": (), "__get__": __get__}))
    return bound_class  # type: ignore[no-any-return]

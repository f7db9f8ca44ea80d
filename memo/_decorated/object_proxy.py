"""Decorated things that are no functions, and how decorated things are pickled by value."""

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import wrapt

from memo._decorated.holders import Holder
from memo._decorated.inner_class_methods import OfAnyClass
from memo._decorated.layer import layer_of
from memo._decorated.proxy import (
    ABILITIES,
    ASKED_OF_OBJECTS,
    LIKE_FUNCTION,
    Decorated,
    Transparent,
    bind,
    call_directly,
    described_anew,
    set_class,
    special_names,
)
from memo._decorated.stack import become_method, found_at, original_of, tell_name

__all__ = (
    "DecoratedObject", "Recipe", "become", "blank", "by_value", "decorate_blank", "object_class", "remember",
    "sendable",
)  # fmt: skip

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

Recipe = tuple[Callable[..., Any], tuple[tuple[str, Any], ...]]
"""How a decorator was made: what was called, and the options that it was given and that are not its defaults."""


def _layer(function: Any) -> Any:
    return layer_of(function)


class DecoratedObject(Transparent[P, R_co]):
    """What is no function: a partial, an object with a ``__call__``, a builtin, a bound method.

    ``object_class()`` gives it the abilities that that has, to be bound among them.
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattribute__(self, name):
            if name not in ASKED_OF_OBJECTS:
                return object.__getattribute__(self, name)
            shape = _layer(self).shape
            described = described_anew(self)
            if name in described:
                return described[name]
            if name == "__signature__":
                return _signature(described.get("__wrapped__", shape.function))
            if name in LIKE_FUNCTION and shape.is_async and not inspect.iscoroutinefunction(shape.function):
                # for inspect, which knows coroutine functions by these alone
                return wrapt.CallableObjectProxy.__getattr__(self, name)
            return getattr(shape.function, name)

        def __bool__(self):
            return bool(_layer(self).shape.function)

        def __reduce__(self):
            shape = _layer(self).shape
            return shape.qualname if found_at(shape.module, shape.qualname) is self else by_value(self)


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError as error:  # a builtin that tells nothing of it: as it is asked for an attribute, it has none
        raise AttributeError(str(error)) from error


class _DecoratedDescriptor(DecoratedObject[P, R_co]):
    """What is no function, but is bound to the instance as if it were one."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __get__(self, obj, owner=None, /):
            if obj is None or original_of(self).__get__(obj, owner) is original_of(self):  # as a bound method does
                return self
            return bind(self, obj)

        def __set_name__(self, owner, name):
            become_method(self, owner)
            tell_name(self, owner, name)


_PASSED_ON = ABILITIES - special_names(type) | {"__iter__", "__next__", "__await__", "__aiter__", "__anext__"}


def object_class(original: Any, *, takes_class: bool = False) -> type[DecoratedObject[..., Any]]:
    """The class for a decorated object that can what *original* can, be it entering, iterating or adding.

    It bears the name of the original's, by which pydoc and others describe an object.
    """
    kind = original.__class__
    abilities = frozenset(name for name in _PASSED_ON if getattr(kind, name, None) is not None)
    binds = hasattr(kind, "__get__")
    inner = takes_class and (not binds or sys.version_info >= (3, 13))
    return _class_with(kind.__name__, kind.__module__, binds, inner, abilities)


@functools.lru_cache(maxsize=64)
def _class_with(
    name: str, module: str, binds: bool, inner: bool, abilities: frozenset[str]
) -> type[DecoratedObject[..., Any]]:
    base: Any = _DecoratedDescriptor if binds else DecoratedObject
    bases = (OfAnyClass, base) if inner else (base,)
    passed_on = {one: _passing_on(one) for one in abilities}
    made: Any = type(name, bases, {"__slots__": (), "__module__": module, **passed_on})
    call_directly(made)
    return made  # type: ignore[no-any-return]


def _passing_on(name: str) -> Callable[..., Any]:
    def ability(self: Any, /, *args: Any) -> Any:
        return getattr(_layer(self).shape.function, name)(*args)

    return ability


# -- by value


def blank() -> Decorated[..., Any]:
    """A decorated function that ``become()`` is going to make one."""
    return Decorated.__new__(Decorated)


def become(function: Any, made: Any) -> None:
    """Make *function*, which is blank, what *made* is, for which nobody else has a use."""
    set_class(function, type(made))
    function.__init__(layer_of(made))
    function._self_recipe = made._self_recipe


def remember(placed: Any, recipe: Recipe) -> None:
    """Note how *placed*, a decorated function or what holds one, was made."""
    kind: Any = Holder
    decorated = placed._held() if isinstance(placed, kind) else placed
    decorated._self_recipe = recipe


_OF_THE_PROCESS = ("registry", "clock")
"""Options of which, if they cannot be sent, the default is right in another process."""


def by_value(function: Any) -> tuple[Any, ...]:
    """How a decorated function is pickled by value: as what it decorates, and the decorator, without what is stored.

    It is made blank first and decorated in the end, so that it may refer to itself.
    """
    whole = _layer(function).whole()
    if whole is not None:
        return getattr, (whole, "one")
    shape = _layer(function).shape
    state = (*sendable(function._self_recipe), shape.function, shape.takes_instance)
    return blank, (), state, None, None, decorate_blank


def decorate_blank(function: Any, state: tuple[Any, Any, Any, bool]) -> None:
    """Make a blank decorated function what *state* says."""
    made_by, options, original, takes_instance = state
    become(function, made_by(**options).again(original, takes_instance))


def sendable(recipe: Recipe) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The call that makes a decorator as it can be made in another process."""
    made_by, options = recipe
    return made_by, {name: value for name, value in options if name not in _OF_THE_PROCESS or _can_be_sent(value)}


def _can_be_sent(value: Any) -> bool:
    if isinstance(value, types.FunctionType):
        return True
    try:
        import pickle  # here: few decorated objects are sent anywhere, and it takes long to import

        pickle.dumps(value)
    except Exception:
        return False
    return True

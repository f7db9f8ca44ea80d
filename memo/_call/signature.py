"""What is to be known of a callable before its calls get keys: its parameters, its colour, whether it is a method.

Two signatures matter.  A callable *takes* what its code says; it *documents* what ``inspect.signature`` says.
Keys are those of the documented signature, so that one call has one key whatever decorators of others stand
between; the call itself is passed on as it came.  Where both are the same, as for any plain function, the
interpreter may bind the call to the parameters on the way (see ``wrapper``).
"""

import asyncio
import functools
import inspect
import types
from collections.abc import Callable, Hashable
from inspect import Parameter
from types import FunctionType
from typing import Any, Literal

from memo._base import attribute, check_plain, generates, given_text, run_by, wrapped_by

__all__ = (
    "INSTANCE_NAMES", "ExactSignature", "KeyOptions", "Scope", "Shape", "check_key_options", "is_coroutine_function",
    "is_exact", "is_generator_function", "stands_in_a_class", "taken_by",
)  # fmt: skip

_CLASS_NAMES = frozenset({"cls", "kls", "klass", "mcs", "mcls", "metacls"})
INSTANCE_NAMES = _CLASS_NAMES | {"self"}
"""What the first parameter of a method is called."""
_ANY_CALL = (Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD))
_SHOWN_OTHERWISE = ("__wrapped__", "__signature__")
_NO_METHODS = (
    type, functools.partial, types.MethodType, types.BuiltinFunctionType, types.MethodDescriptorType,
    types.ClassMethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType,
)  # fmt: skip
"""Types of what is called as it stands, whatever its name is and it takes: bound or filled in already, or a builtin."""


class ExactSignature(inspect.Signature):
    """The ``__signature__`` of a function of this package that passes on everything to what takes just this."""


Scope = Literal["loop"]
"""What ``scope=`` takes."""


class KeyOptions:
    """What a decorator was told about its keys, already checked."""

    __slots__ = ("apart", "ignore", "key", "scope", "typed", "weak")

    apart: bool
    ignore: frozenset[str]
    key: Callable[..., Hashable] | None
    scope: Scope | None
    typed: bool
    weak: frozenset[str]

    def __init__(
        self,
        key: Callable[..., Hashable] | None,
        ignore: frozenset[str],
        typed: bool,
        weak: frozenset[str] = frozenset(),
        scope: Scope | None = None,
    ) -> None:
        self.key = key
        self.ignore = ignore
        self.typed = typed
        self.weak = weak
        self.scope = scope
        self.apart = True  # whether the instance is part of the key


def check_key_options(where: str, key: Any, ignore: Any, typed: Any, weak: Any = (), scope: Any = None) -> KeyOptions:
    """Check ``key``, ``ignore``, ``typed``, ``weak`` and ``scope`` as far as that is possible without the function."""
    if key is not None and not callable(key):
        raise TypeError(f"{where}: key={given_text(key)} cannot be called; give a function of the call's arguments.")
    if key is not None:
        check_plain(where, "key", key)
    ignored, weakly = _names(where, "ignore", ignore), _names(where, "weak", weak)
    both = sorted(ignored & weakly)
    if both:
        raise TypeError(
            f"{where}: {given_text(both[0])} is in ignore= and in weak=, but what is left out of the key does not "
            "count by identity either; leave it out of one of them."
        )
    if scope is not None and scope != "loop":
        raise (ValueError if isinstance(scope, str) else TypeError)(
            f"{where}: scope={given_text(scope)} is no scope; write scope='loop' to keep event loops apart, or leave "
            "it out."
        )
    if not isinstance(typed, bool):
        raise TypeError(f"{where}: typed={given_text(typed)} is not a bool; write True or False.")
    if key is not None and typed:
        raise TypeError(f"{where}: typed=True has no effect together with key=; let key= return the types.")
    return KeyOptions(key, ignored, typed, weakly, scope)


def _names(where: str, option: str, given: Any) -> frozenset[str]:
    """Names of parameters."""
    if isinstance(given, str):
        raise TypeError(f"{where}: {option}={given_text(given)} is one string; write {option}=({given_text(given)},).")
    try:
        names = tuple(given)
    except TypeError:
        raise TypeError(
            f"{where}: {option}={given_text(given)} is no collection; give names of parameters in a tuple."
        ) from None
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"{where}: {option}={given_text(given)} contains {given_text(name)}; give names of parameters as text."
            )
    return frozenset(names)


class Shape:
    """What is to be known of a callable.

    Args:
        function: What is decorated.
        where: The decorator's name, for messages.
        takes_instance: The first parameter is an instance or a class; None: guess by where the
            function was defined and by the parameter's name.
        below: The shape of what *function* decorates, if this package has decorated it before.

    Attributes:
        parameters: The documented ones; those of any call where nothing is documented.
        exact: It takes just these, so that a call may be bound to them before it is passed on.

    Raises:
        TypeError: It cannot be called, or is a generator function.
    """

    __slots__ = ("_below", "_known", "function", "is_async", "module", "name", "qualname", "takes_instance", "where")

    function: Callable[..., Any]
    where: str

    def __init__(
        self,
        function: Callable[..., Any],
        where: str,
        takes_instance: bool | None = None,
        below: "Shape | None" = None,
    ) -> None:
        self.function = function
        self.where = where
        if below is not None:
            self.is_async: bool = below.is_async
            self.takes_instance: bool = below.takes_instance if takes_instance is None else takes_instance
            self.read(below)
            return
        if not callable(function):
            raise TypeError(f"{where}: {given_text(function)} cannot be called; decorate a function or a method.")
        self.is_async = is_coroutine_function(function)
        self.read(None)
        self.takes_instance = self._looks_like_method() if takes_instance is None else takes_instance

    def read(self, below: "Shape | None") -> None:
        """Read what may change while the function is the same object; *below* as of the constructor.

        Raises:
            TypeError: It is a generator function.
            ValueError: It is a coroutine function and was none, or the reverse.
        """
        function, where = self.function, self.where
        self._below = below
        self._known: tuple[tuple[Parameter, ...], bool] | None = None
        if below is not None:
            self.name: str = below.name
            self.qualname: str = below.qualname
            self.module: str = below.module
            return
        qualname = getattr(function, "__qualname__", None)
        if is_generator_function(function):
            raise TypeError(
                f"{where}: {qualname or given_text(function)} is a generator function, whose result can be used only "
                "once; return a list instead."
            )
        if is_coroutine_function(function) is not self.is_async:
            was, now = ("a coroutine", "a plain") if self.is_async else ("a plain", "a coroutine")
            raise ValueError(
                f"{where}: {qualname or given_text(function)} was {was} function when it was decorated and would now "
                f"be {now} function; decorate it anew."
            )
        self.name = getattr(function, "__name__", None) or type(function).__name__
        self.qualname = qualname or type(function).__qualname__
        self.module = getattr(function, "__module__", None) or type(function).__module__

    def _looks_like_method(self) -> bool:
        """Whether its place and its first parameter say so, also those of what decorators of others wrap."""
        if issubclass(type(self.function), _NO_METHODS):
            return False
        return stands_in_a_class(self.function) and self.first_name in INSTANCE_NAMES

    @property
    def known(self) -> tuple[tuple[Parameter, ...], bool]:
        """The parameters and whether they are exact: found out when they are needed, and of plain functions seldom."""
        if self._known is None:
            self._known = _parameters(self.function) if self._below is None else self._below.known
        return self._known

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.known[0]

    @property
    def exact(self) -> bool:
        return self.known[1]

    @property
    def first_name(self) -> str | None:
        """What the first parameter is called; None if there is none."""
        if self._below is not None:
            return self._below.first_name
        if self._known is None and _is_plain(self.function):
            code = self.function.__code__
            if code.co_argcount:
                return code.co_varnames[0]
        return self.parameters[0].name if self.parameters else None

    @property
    def takes_class(self) -> bool:
        """Whether the instance is a class, as the parameter's name tells."""
        return self.takes_instance and self.first_name in _CLASS_NAMES


def stands_in_a_class(function: Any) -> bool:
    """Whether a callable, or what it wraps if that alone tells, was defined in the body of a class."""
    for link in wrapped_by(function):
        qualname = attribute(link, "__qualname__")
        place = qualname.rpartition(".")[0] if isinstance(qualname, str) else ""
        if place:
            return not place.endswith("<locals>")
    return False


def _is_plain(function: Any) -> bool:
    """Whether *function* documents what its code takes."""
    if type(function) is not FunctionType:
        return False
    attributes = function.__dict__
    return not attributes or not any(name in attributes for name in _SHOWN_OTHERWISE)


_GENERATES = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def is_generator_function(function: Any) -> bool:
    """Whether calls give generators, as far as the code that a call ends in tells."""
    if type(function) is FunctionType and not function.__dict__:
        return bool(function.__code__.co_flags & _GENERATES)
    return generates(function)


def is_coroutine_function(function: Any) -> bool:
    """Whether calls give coroutines, as far as the code that a call ends in tells."""
    if type(function) is FunctionType and not function.__dict__:  # unmarked
        return bool(function.__code__.co_flags & inspect.CO_COROUTINE)
    return any(inspect.iscoroutinefunction(one) or _is_marked(one) for one in run_by(function))


def _is_marked(function: Any) -> bool:
    """Whether it bears the mark by which ``asyncio`` knew coroutine functions before ``inspect`` had one."""
    mark = getattr(asyncio.coroutines, "_is_coroutine", None)
    return mark is not None and getattr(function, "_is_coroutine", None) is mark


def _parameters(function: Callable[..., Any]) -> tuple[tuple[Parameter, ...], bool]:
    """The parameters that a callable documents, and whether it is known to take just those."""
    if _is_plain(function):
        return taken_by(function), True  # type: ignore[arg-type]
    try:
        documented = tuple(inspect.signature(function).parameters.values())
    except Exception:  # a builtin without one, or whatever a stranger's __signature__ does
        documented = None
    if type(function) is FunctionType:
        if documented is not None and type(function.__dict__.get("__signature__")) is ExactSignature:
            return documented, True
        taken = taken_by(function)
        if documented is None or _alike(taken, documented):
            return taken, True
        return documented, False
    return (_ANY_CALL, False) if documented is None else (documented, is_exact(function))


def is_exact(function: Any) -> bool:
    """Whether a callable takes what it documents, as far as that can be known."""
    kind = type(function)
    if kind is FunctionType:
        return _parameters(function)[1]
    try:
        if any(hasattr(function, name) for name in _SHOWN_OTHERWISE):
            return False
    except Exception:  # whatever a stranger's __getattr__ does
        return False
    if kind is types.MethodType:
        return is_exact(function.__func__)
    if kind is functools.partial:
        return is_exact(function.func)
    if isinstance(function, type):
        new: Any = function.__new__
        return kind is type and new is object.__new__ and is_exact(vars(function).get("__init__"))
    call = next((vars(base)["__call__"] for base in kind.__mro__ if "__call__" in vars(base)), None)
    return type(call) is FunctionType and is_exact(call)


def taken_by(function: FunctionType) -> tuple[Parameter, ...]:
    """The parameters of a function's code, with their defaults."""
    code = function.__code__
    names = code.co_varnames
    count, named = code.co_argcount, code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    named_defaults = function.__kwdefaults__ or {}
    first_default = count - len(defaults)
    parameters = [
        Parameter(
            name,
            Parameter.POSITIONAL_ONLY if i < code.co_posonlyargcount else Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if i < first_default else defaults[i - first_default],
        )
        for i, name in enumerate(names[:count])
    ]
    rest = count + named
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append(Parameter(names[rest], Parameter.VAR_POSITIONAL))
        rest += 1
    parameters += [
        Parameter(name, Parameter.KEYWORD_ONLY, default=named_defaults.get(name, Parameter.empty))
        for name in names[count : count + named]
    ]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append(Parameter(names[rest], Parameter.VAR_KEYWORD))
    return tuple(parameters)


def _alike(one: tuple[Parameter, ...], other: tuple[Parameter, ...]) -> bool:
    """Whether calls bind to both in the same way, whatever the annotations say."""
    return [(p.name, p.kind, id(p.default)) for p in one] == [(p.name, p.kind, id(p.default)) for p in other]

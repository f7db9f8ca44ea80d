"""Calls of what is no function, and is called only once it is bound, as functions of what it is bound to.

A decorator of others may ask to what it was bound (wrapt hands the instance to it), and some things cannot be called
unbound at all.  So a call of a method goes on as the class would have passed it on: to what binding gives.
"""

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from memo._call.signature import ExactSignature, is_coroutine_function, is_exact, is_generator_function

__all__ = ("called_in_class", "called_with_class", "called_with_instance", "called_without_instance")

_CALLED_AS_THEY_ARE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)


def called_with_instance(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method's function, as a function whose first argument it is bound to."""
    if issubclass(type(function), _CALLED_AS_THEY_ARE):
        return function
    bind = getattr(type(function), "__get__", None)
    if bind is None:
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        if not args:  # the instance is given by its name, or it is called through the class without one
            return function(**kwargs)
        return bind(function, args[0], type(args[0]))(*args[1:], **kwargs)

    return call


def called_with_class(method: Any) -> Callable[..., Any]:
    """What stands for a class method, as a function of the class."""
    return _like(method, method.__func__, lambda args: (method.__get__(None, args[0]), args[1:]))


def called_without_instance(method: Any) -> Callable[..., Any]:
    """What stands for a static method, as a function."""
    return _like(method, method.__func__, lambda args: (method.__get__(None, object), args))


def called_in_class(method: Any) -> Callable[..., Any]:
    """A partialmethod or a singledispatchmethod, as a function of the instance."""
    call: Any = _like(method, None, lambda args: (method.__get__(args[0], type(args[0])), args[1:]))
    if isinstance(method, functools.singledispatchmethod):
        functools.update_wrapper(call, method.func)
        call.register = method.register
        return call  # type: ignore[no-any-return]
    try:
        rest = inspect.signature(functools.partial(method.func, None, *method.args, **method.keywords))
    except (ValueError, TypeError):  # a builtin without a signature: its calls are told apart as they are spelled
        pass
    else:
        kind = ExactSignature if is_exact(method.func) else inspect.Signature
        instance = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        shown = kind([instance, *rest.parameters.values()], return_annotation=rest.return_annotation)
        call.__signature__ = shown
    call.__name__ = getattr(method.func, "__name__", call.__name__)
    call.__qualname__ = getattr(method.func, "__qualname__", call.__qualname__)
    call.__module__ = getattr(method.func, "__module__", call.__module__)
    return call  # type: ignore[no-any-return]


def _like(method: Any, shown: Any, bind: Callable[[Any], tuple[Any, Any]]) -> Callable[..., Any]:
    """A function that calls what *bind* makes of *method* and the arguments, and looks like *shown*."""

    def call_plain(*args: Any, **kwargs: Any) -> Any:
        bound, rest = bind(args)
        return bound(*rest, **kwargs)

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        bound, rest = bind(args)
        return await bound(*rest, **kwargs)

    def call_generating(*args: Any, **kwargs: Any) -> Any:  # which is refused as what it stands for would be
        bound, rest = bind(args)
        yield from bound(*rest, **kwargs)

    ends_in = method.func if shown is None else shown
    call: Callable[..., Any] = call_async if is_coroutine_function(ends_in) else call_plain
    if is_generator_function(ends_in):
        call = call_generating
    return call if shown is None else functools.update_wrapper(call, shown)

"""Whether what a user gave can be called as it is going to be.

Where it surely cannot, it is refused as it is given: else the first call would fail, or each would where only the log
hears of it.  Sure is what code says of itself, not what is documented.  A decorator of others (``functools.wraps``) may
show the parameters of what it wraps and fill in some of them; a ``__signature__`` says anything; of what is written in
C only that of functions and methods is known.  What tells nothing for sure is taken as it is.
"""

import inspect
import types
from collections.abc import Callable
from inspect import Parameter
from operator import attrgetter, itemgetter, methodcaller
from typing import Any

from memo._base import short_text
from memo._call.signature import is_exact, taken_by

__all__ = ("OF_ONE", "check_takes", "surely_taken", "why_misfit")

OF_ONE = (attrgetter, itemgetter, methodcaller)
"""What takes one object, though its signature says that it takes anything."""
_OF_ONE_SIGNATURE = inspect.Signature([Parameter("obj", Parameter.POSITIONAL_ONLY)])
_IN_C = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType)


def surely_taken(function: Any) -> inspect.Signature | None:
    """What calls of *function* have to bind to, whatever it shows; None where that is not known for sure."""
    kind = type(function)
    try:
        if kind is types.FunctionType:
            return inspect.Signature(taken_by(function))
        if kind in OF_ONE:
            return _OF_ONE_SIGNATURE
        if kind is types.MethodType:
            return _bound(surely_taken(function.__func__))
        if kind in _IN_C or (kind is not type and is_exact(function)):
            return inspect.signature(function)
        if kind is type and is_exact(function):
            return _bound(surely_taken(function.__init__))
    except Exception:  # a builtin without a signature, or whatever a stranger's attributes do
        pass
    return None


def _bound(signature: inspect.Signature | None) -> inspect.Signature | None:
    """*signature* once its first argument is given; None where it is not known what takes that."""
    if signature is None:
        return None
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind is Parameter.VAR_POSITIONAL:
        return signature
    if not parameters or parameters[0].kind not in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        return None
    return signature.replace(parameters=parameters[1:])


def why_misfit(function: Any, positional: int, named: tuple[str, ...] = (), *, whole: bool = True) -> str | None:
    """Why *function* surely cannot be called with so many positional arguments and the *named* ones; None: it may.

    Args:
        function: What a user gave; something that can be called.
        positional: How many.
        named: Names of others.
        whole: These are all; else there may be more, by position or by name.
    """
    signature = surely_taken(function)
    if signature is None:
        return None
    try:
        (signature.bind if whole else signature.bind_partial)(*[None] * positional, **dict.fromkeys(named))
    except TypeError as error:
        return str(error)
    return None


def check_takes(where: str, option: str, function: Callable[..., Any], *given: str, remedy: str = "") -> None:
    """Check that *function* can be called with what it is going to be given, by position, as far as it tells.

    Args:
        where: Whom the option was given to.
        option: Its name; empty if the function has no name there.
        function: What was given; something that can be called.
        given: Names for what it is called with.
        remedy: What to write instead; empty: a lambda of these.

    Raises:
        TypeError: It surely cannot.
    """
    if why_misfit(function, len(given)) is None:
        return
    name = f"{option}=" if option else ""
    form = f"lambda {', '.join(given)}: ..." if given else "lambda: ..."
    raise TypeError(
        f"{where}: {name}{short_text(function)} takes {surely_taken(function)}, but is called with "
        f"({', '.join(given)}); {remedy or f'write {name}{form}'}"
    )

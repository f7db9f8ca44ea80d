"""A call as functions of a user's are told of it that are about its result: ``ttl=`` and ``cache_if=``."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from memo._base import short_text
from memo._call.fits import surely_taken, why_misfit
from memo._call.source import POSITIONAL

__all__ = ("CallInfo", "takes_call")


class CallInfo:
    """A call of a decorated function, as ``ttl=`` and ``cache_if=`` are told of it.

    ``call["name"]`` is ``call.arguments["name"]``.  Made anew for each load, and not kept.

    Attributes:
        instance: The instance or class of a method; of any other function None.
        arguments: The values of the other parameters by name, in the order of the signature and with defaults filled
            in; of ``*args`` a tuple, of ``**kwargs`` a dictionary.  Of a call that does not fit the documented
            signature "args" and "kwargs", as they were given.
    """

    __module__ = "memo"
    __slots__ = ("arguments", "instance")

    def __init__(self, instance: Any, arguments: Mapping[str, Any]) -> None:
        self.instance: Any = instance
        self.arguments: Mapping[str, Any] = arguments

    def __getitem__(self, name: str, /) -> Any:
        """The value of one parameter.

        Raises:
            KeyError: There is none of that name.
        """
        return self.arguments[name]

    def __repr__(self) -> str:
        return f"<call with {', '.join(f'{name}={short_text(value)}' for name, value in self.arguments.items())}>"


def takes_call(where: str, option: str, function: Callable[..., Any]) -> bool:
    """Whether *function*, which is asked about results, is to be told of the call as well.

    Its second positional parameter tells, if that has no default or is named "call".  What it takes by name alone is
    its own affair, whatever the name: it keeps its default.

    Raises:
        TypeError: It can be called neither with a result nor with a result and a call.
    """
    try:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
    except Exception:  # a builtin without a signature, or whatever a stranger's __signature__ does
        return False
    positional = [p for p in parameters if p.kind in POSITIONAL]
    wants = len(positional) > 1 and (positional[1].default is positional[1].empty or positional[1].name == "call")
    if why_misfit(function, 1 + wants) is not None:
        raise TypeError(
            f"{where}: {option}={short_text(function)} takes {surely_taken(function)}, but is called by position "
            f"with a result, or with a result and its call; write {option}=lambda value: ... or "
            f"{option}=lambda value, call: ..."
        )
    return wants

"""How the functions that users give to look at calls (``key=``, ``tags=``) are called themselves.

They are called as the function was, with its defaults filled in: what the function takes by position by
position, what it takes by name alone by name; a parameter for which they have no position left by name, if they
take that.  The instance or class of a method comes first where their own first parameter bears its name
(``key=lambda self: self.pk``), or where they need an argument and the call has no other
(``key=operator.attrgetter("pk")`` of a property), and is left out otherwise.
"""

import inspect
from collections.abc import Callable
from inspect import Parameter
from operator import attrgetter, itemgetter, methodcaller
from types import FunctionType
from typing import Any

from memo._call.signature import INSTANCE_NAMES
from memo._call.source import POSITIONAL

__all__ = ("asked_arguments", "instance_value")

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class _Asked:
    """What a user's function takes, as far as that can be known."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        try:
            found = [_ONE] if type(function) in _OF_ONE else inspect.signature(function).parameters.values()
            parameters = list(found)
        except Exception:  # a builtin without a signature, or whatever a stranger's __signature__ does
            parameters = list(_ANYTHING)
        self.positional = [p for p in parameters if p.kind in POSITIONAL]
        self.by_name = {p.name for p in parameters if p.kind in _NAMED}
        self.any_position = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
        self.any_name = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many positional arguments and no others."""
        needed = sum(p.default is Parameter.empty for p in self.positional)
        return needed <= count and (self.any_position or count <= len(self.positional))

    def wants(self, instance: Parameter, others: tuple[Parameter, ...], place: str) -> bool:
        """Whether its first argument is to be the instance of a method that was defined in *place*.

        Its first parameter tells, or that there is nothing else to call it with.
        A method of something else (``key=str.lower``) has a ``self`` of its own.
        """
        if not others and self.takes(1) and not self.takes(0):
            return True
        first = self.positional[0].name if self.positional else None
        own_name = None if instance.kind is Parameter.VAR_POSITIONAL else instance.name
        usual = first in INSTANCE_NAMES and all(p.name != first for p in others)
        if first is None or not (first == own_name or usual):
            return False
        count = sum(p.kind in POSITIONAL for p in others)
        home = getattr(self.function, "__qualname__", "").rpartition(".")[0]
        own = isinstance(self.function, FunctionType) and (not home or home.endswith("<locals>") or home == place)
        return own or self.takes(count + 1) or not self.takes(count)


_OF_ONE = (attrgetter, itemgetter, methodcaller)
"""What takes one object, though its signature says that it takes anything."""
_ONE = Parameter("obj", Parameter.POSITIONAL_ONLY)
_ANYTHING = (Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD))


def asked_arguments(
    function: Callable[..., Any], valued: tuple[Parameter, ...], instance: Parameter | None, place: str
) -> str:
    """The source of the arguments with which *function* is asked about a call, bound to its parameters' names.

    Args:
        function: What the user gave.
        valued: The parameters of the call; without the instance, unless that is the first of ``*args``.
        instance: The one that takes the instance, or None.
        place: The qualified name of the class in which the method stands.
    """
    asked = _Asked(function)
    others = tuple(p for p in valued if p is not instance)
    parts: list[str] = []
    room: float = len(asked.positional)
    if instance is not None and asked.wants(instance, others, place):
        parts.append(instance_value(instance))
        room -= 1
    if asked.any_position:
        room = float("inf")
    named: list[str] = []
    taken = {p.name for p in asked.positional[: len(parts)]}  # by position already
    for p in valued:
        if p.kind is Parameter.VAR_POSITIONAL:
            parts.append(f"*{p.name}[1:]" if p is instance else f"*{p.name}")
            continue
        if p.kind is Parameter.VAR_KEYWORD:
            named.append(f"**{p.name}")
            continue
        by_name = p.name not in taken and (p.name in asked.by_name or asked.any_name)
        if (p.kind in POSITIONAL and (room > 0 or not by_name)) or (not by_name and room > 0):
            if room > 0 and len(parts) < len(asked.positional):
                taken.add(asked.positional[len(parts)].name)
            parts.append(p.name)
            room -= 1
        else:
            named.append(f"{p.name}={p.name}")
    return ", ".join([*parts, *named])


def instance_value(instance: Parameter) -> str:
    """The source of the instance of a call, by the parameter that takes it."""
    return f"{instance.name}[0]" if instance.kind is Parameter.VAR_POSITIONAL else instance.name

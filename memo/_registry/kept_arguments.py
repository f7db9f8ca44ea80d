"""The arguments that the keys of a store keep alive: of which parameters, how many bytes, and what is told apart by
identity alone.

A key holds the arguments that it is made of until its entry leaves.  Text and numbers are only large.  An object that
equals nothing but itself (a session, a request, a callback) lives on for no use: once its caller has let go of it, no
call can come that hits its entry.
"""

import types
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from memo._base import OfTheProgram, Pace, sizeof

__all__ = ("Arguments",)

_OF_THE_PROGRAM = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.NoneType,
    types.EllipsisType,
    types.NotImplementedType,
    OfTheProgram,
)


class Arguments:
    """What some keys, which stand for all of a store, hold of the arguments of its calls.

    Args:
        keys: The keys that are looked at.
        arguments_of: The names and values of what a key consists of.
        count: How many keys there are in all.
        pace: Lets other threads have their turn.
    """

    def __init__(
        self, keys: list[Hashable], arguments_of: Callable[[Any], Iterable[tuple[str, Any]]], count: int, pace: Pace
    ) -> None:
        held: dict[str, dict[int, Any]] = {}
        for key in keys:
            for name, value in arguments_of(key):
                held.setdefault(name, {})[id(value)] = value  # the key is held meanwhile, and so its parts are
        self._looked_at = len(keys)
        self._objects = {name: [*filter(_is_itself_alone, values.values())] for name, values in held.items()}
        sizes = {name: self._estimate([*values.values()], count, pace) for name, values in held.items()}
        self.bytes = dict(sorted(sizes.items(), key=lambda item: -item[1]))
        """Of each parameter, the most first."""

    def _estimate(self, values: list[Any], count: int, pace: Pace) -> int:
        """Bytes of one parameter's values in all keys: what was looked at, and for the others as much as differed."""
        size = 0
        for value in values:
            size += sizeof(value)
            pace.rest()
        return round(size * (1 + (count / self._looked_at - 1) * len(values) / self._looked_at))

    def by_identity(self) -> Iterable[tuple[str, Counter[str], bool]]:
        """Of each parameter the values that equal nothing but themselves: how many by type, and whether most calls
        have one of their own."""
        for name, values in self._objects.items():
            if values:
                kinds = Counter(type(value).__qualname__ for value in values)
                yield name, kinds, len(values) > 1 and 2 * len(values) >= self._looked_at


def _is_itself_alone(value: Any) -> bool:
    kind: Any = type(value)
    if isinstance(value, _OF_THE_PROGRAM) or kind.__hash__ is not object.__hash__:
        return False
    return kind is not types.FunctionType or "<" in value.__qualname__  # of closures and lambdas there come others

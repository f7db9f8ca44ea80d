"""What all handles of calls have in common: how they were reached, and which calls are meant by their arguments."""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from memo._base import StayingHandle
from memo._call.wrapper import Generated

__all__ = ("Call", "FenceOthers", "Handle")


class Call(NamedTuple):
    """The arguments of a call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


FenceOthers = Callable[[Call | None], AbstractContextManager[None]]
"""Fences the running calls of the other layers of a stack while something is changed: those of one call, or
all (None)."""


class Handle(StayingHandle):
    """Reached through an instance or a class, a handle takes the arguments without ``self``, and is always true.

    Args:
        generated: The wrapper of the calls.
        name: Tells the function's name in the registry.
        fence_others: Fences the other layers.
        prefix: The arguments that it was reached through.
    """

    __slots__ = ("_fence_others", "_generated", "_name", "_prefix")

    def __init__(
        self, generated: Generated, name: Callable[[], str], fence_others: FenceOthers, prefix: tuple[Any, ...] = ()
    ) -> None:
        self._generated = generated
        self._name = name
        self._fence_others = fence_others
        self._prefix = prefix

    def _with_prefix(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """A call with all its arguments."""
        return Call((*self._prefix, *args), kwargs)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        return self._generated.checked_key_of(*self._prefix, *args, **kwargs)

    def _fencing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AbstractContextManager[None]:
        """While this lasts, one call is changed: no other layer of the stack lets newcomers join what was before."""
        return self._fence_others(self._with_prefix(args, kwargs))

    def _scope(self) -> Hashable | None:
        """What stands in keys for the instance that it was reached through; None: it is the whole function's."""
        return self._generated.keys.scope(self._prefix)

    def _whose(self) -> str:
        return self._name()

    def __bool__(self) -> bool:
        return True

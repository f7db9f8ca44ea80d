"""What tells how keys look, without the function that they are keys of: whoever shows keys may outlive that."""

from collections.abc import Hashable
from operator import itemgetter
from typing import Any

from memo._call.key_marks import came_through, is_spelled
from memo._call.key_plan import KeyPlan, takes_any
from memo._call.key_types import untold
from memo._call.stored_keys import plain_key
from memo._call.tokens import ABSENT

__all__ = ("KeyForm", "Revealer", "through")


class KeyForm:
    """How the keys of one plan look.

    It holds no parameter, since that holds its default and its annotation.

    Args:
        plan: What they consist of.
    """

    __slots__ = ("_alone", "_count", "_is_made", "_is_tuple", "_start", "_takes_any", "_typed", "_weak_named")

    def __init__(self, plan: KeyPlan) -> None:
        self._is_tuple: bool = plan.is_tuple
        self._is_made: bool = plan.options.key is not None
        self._typed: bool = plan.options.typed
        self._start: int = plan.start
        self._count: int = plan.count
        self._takes_any: bool = takes_any(plan.values)
        self._weak_named: tuple[str, ...] = plan.weak_named
        self._alone: Any = None if plan.alone is None else plan.alone.kind

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it: without instance, event loop and types; weak arguments as weak references."""
        key = plain_key(key)
        if type(key) is not tuple and not self._is_tuple:
            return key
        if is_spelled(key):
            end = -3 if self._typed else -1
            return key[end - 2 : end]  # type: ignore[index]
        values: Any = key[self._start : self._start + self._count] if self._is_tuple else (key,)  # type: ignore[index]
        if self._alone is not None:
            values = (untold(values[0], self._alone), *values[1:])
        if self._weak_named and not self._is_made:
            values = self._with_named(values, key[self._start + self._count :])  # type: ignore[index]
        return values[0] if self._count == 1 else values

    def _with_named(self, values: tuple[Any, ...], tokens: tuple[Any, ...]) -> tuple[Any, ...]:
        """*values* with the weak ones of the ``**`` arguments, whose *tokens* follow, among the others."""
        if not self._takes_any:
            return values
        given = [pair for pair in zip(self._weak_named, tokens, strict=False) if pair[1] is not ABSENT]
        return (*values[:-1], tuple(sorted((*values[-1], *given), key=itemgetter(0))))


class Revealer:
    """Makes of a function's keys what users see, and keeps nothing of the function alive.

    Args:
        plan: What the keys consist of.
    """

    __slots__ = ("_form", "_through")

    def __init__(self, plan: KeyPlan) -> None:
        self._form = KeyForm(plan)
        self._through = None if plan.instance is not None else KeyForm(through(plan))

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it."""
        form = self._form if self._through is None or not came_through(plain_key(key)) else self._through
        return form.reveal(key)


def through(plan: KeyPlan) -> KeyPlan:
    """The plan of calls through the instances of a class that refers to a plain function, given that of its others."""
    return KeyPlan(plan.shape, plan.options, through=True)

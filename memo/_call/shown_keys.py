"""Keys as others see them: users, the leak report, files, and whoever asks why one cannot be hashed.

A ``Revealer`` may outlive the function, of which it holds nothing: a lease shows keys at its end.
"""

import functools
from collections.abc import Callable, Hashable, Iterable
from inspect import Parameter
from operator import itemgetter
from typing import Any

from memo._base import short_text
from memo._call.key_marks import came_through, is_spelled
from memo._call.key_plan import KeyPlan, takes_any
from memo._call.key_types import tell, untold
from memo._call.stored_keys import plain_key
from memo._call.tokens import ABSENT

__all__ = ("Revealer", "ShownKeys")


class _KeyForm:
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
        self._form = _KeyForm(plan)
        self._through = None if plan.instance is not None else _KeyForm(_through(plan))

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it."""
        form = self._form if self._through is None or not came_through(plain_key(key)) else self._through
        return form.reveal(key)


def _through(plan: KeyPlan) -> KeyPlan:
    """The plan of calls through the instances of a class that refers to a plain function, given that of its others."""
    return KeyPlan(plan.shape, plan.options, through=True)


class ShownKeys:
    """The keys of one function's calls, as others see them.

    Args:
        plan: What they consist of.
    """

    def __init__(self, plan: KeyPlan) -> None:
        self.plan: KeyPlan = plan
        self._form = _KeyForm(plan)

    @functools.cached_property
    def _through(self) -> "ShownKeys":
        """Those of calls through the instances of a class that refers to a plain function."""
        return ShownKeys(_through(self.plan))

    @functools.cached_property
    def revealer(self) -> Revealer:
        """What shows keys when the function is gone."""
        return Revealer(self.plan)

    def _came_through(self, key: Hashable) -> bool:
        return self.plan.instance is None and came_through(key)

    def reveal(self, key: Hashable) -> Any:
        """The key as users see it: without instance, event loop and types; weak arguments as weak references."""
        key = plain_key(key)
        return self._through.reveal(key) if self._came_through(key) else self._form.reveal(key)

    def arguments(self, key: Hashable) -> list[tuple[str, Any]]:
        """What a key holds of its call: names of parameters and their values; what ``key=`` returned is called so."""
        plan = self.plan
        made = self.reveal(key)
        if plan.options.key is not None:
            return [("key=", made)]
        if plan.count == 0 or is_spelled(key):
            return [("arguments", made)]
        values = (made,) if plan.count == 1 else made
        return [(p.name, value) for p, value in zip(plan.values, values, strict=False) if p.name not in plan.weak]

    def fits(self, key: Hashable) -> bool:
        """Whether *key*, from a file, has the shape of a key of this function; one with a token never has."""
        plan = self.plan
        if plan.has_token or plan.has_refs:
            return False
        count = plan.count + (len(plan.values) if plan.options.typed else 0)
        return not plan.is_tuple or (type(key) is tuple and len(key) == count)

    def plain(self, key: Hashable) -> Hashable:
        """*key*, of a function of no instance, without the types that tell values apart which are not typed."""
        return self._each_alone(plain_key(key), untold)  # type: ignore[no-any-return]

    def told(self, key: Hashable) -> Hashable:
        """The key that ``plain()`` was given."""
        return self._each_alone(key, tell)  # type: ignore[no-any-return]

    def _each_alone(self, key: Any, change: Callable[[Any, Any], Any]) -> Any:
        plan = self.plan
        if plan.alone is None or is_spelled(key) or self._came_through(key):
            return key
        kind = plan.alone.kind
        return (change(key[0], kind), *key[1:]) if plan.is_tuple else change(key, kind)

    def explain(self, key: Hashable) -> TypeError | None:
        """The error to raise because *key* cannot be hashed; None if it can.

        It begins as the interpreter's own message does, which programs look for.
        """
        if self._came_through(key):
            return self._through.explain(key)
        try:
            hash(key)
        except TypeError as error:
            reason = str(error)
        else:
            return None
        name = self.plan.shape.qualname
        part = _unhashable_part(key)
        kind = "object" if part is None else type(part[0]).__qualname__
        reason = reason if part is None else part[1]
        begin = reason if reason.startswith("unhashable type:") else f"unhashable type: {kind!r}: {reason}"
        if self.plan.options.key is not None and not is_spelled(key):
            made = self.reveal(key)
            return TypeError(
                f"{begin}: {name}(): key= returned {short_text(made)} of type {type(made).__qualname__!r}, which "
                f"cannot be hashed; let it return a hashable, or use key=memo.freeze."
            )
        for parameter, value in self._valued_in(key):
            part = _unhashable_part(value)
            if part is not None:
                return TypeError(
                    f"{begin}: {name}(): the value of parameter {parameter.name!r} contains or is a {kind!r}, which "
                    f"cannot be hashed; give key=memo.freeze or a key= of your own, or leave the parameter out of the "
                    f"key with ignore=({parameter.name!r},)."
                )
        return TypeError(
            f"{begin}: {name}(): an argument contains or is a {kind!r}, which cannot be hashed; "
            f"give key=memo.freeze or a key= of your own."
        )

    def _valued_in(self, key: Hashable) -> Iterable[tuple[Parameter, Any]]:
        if is_spelled(key):
            return ()
        plan = self.plan
        values = key[plan.start :] if plan.is_tuple and isinstance(key, tuple) else (key,)
        return zip(plan.values, values, strict=False)


def _unhashable_part(value: Any) -> tuple[Any, str] | None:
    """The innermost part of *value* that cannot be hashed, and what it says; None if all can."""
    try:
        hash(value)
    except TypeError as error:
        if isinstance(value, tuple):
            for item in value:
                part = _unhashable_part(item)
                if part is not None:
                    return part
        return value, str(error)
    return None

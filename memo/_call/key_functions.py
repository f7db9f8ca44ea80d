"""How the functions that users give to look at calls (``key=``, ``tags=``) are called themselves.

They are called as the function was, with its defaults filled in: what the function takes by position by
position, what it takes by name alone by name; a parameter for which they have no position left by name, if they
take that.  The instance or class of a method goes to the parameter of theirs that bears its name, wherever that stands
(``key=lambda self: self.pk``, ``key=lambda name, *, self: ...``); or, where the call has no other argument and they
need one, to their first (``key=operator.attrgetter("pk")`` of a property).  Others do not get it.

A call that does not fit the documented parameters is handed to them as it was spelled, if they take that.

What ``key=`` made of a call is looked at, by its type alone.  ``key=lambda names: (n.lower() for n in names)`` reads
like a tuple, and makes a generator: no call would ever be found again under it, and no two would count together,
without a word.  Arguments as they are need no look: nobody said that they make a key by what is in them.
"""

import collections
import inspect
import itertools
from collections.abc import Callable
from inspect import Parameter
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any, NoReturn

from memo._base import attribute, short_text
from memo._call.fits import OF_ONE, why_misfit
from memo._call.signature import INSTANCE_NAMES
from memo._call.source import POSITIONAL, Block

__all__ = (
    "DRAWN",
    "LOOK",
    "Asked",
    "instance_value",
    "is_drawn",
    "is_looked_at",
    "looked_at",
    "refuse_drawn",
)

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class Asked:
    """A function that a user gave, as it is asked about calls: what it takes, as far as that can be known.

    Args:
        function: What the user gave.
        valued: The parameters of the call; without the instance, unless that is the first of ``*args``.
        instance: The one that takes the instance, or None.
        place: The qualified name of the class in which the method stands.

    Attributes:
        arguments: The source of what it is given of a call that fits, bound to the parameters' names.
    """

    def __init__(
        self, function: Callable[..., Any], valued: tuple[Parameter, ...], instance: Parameter | None, place: str
    ) -> None:
        self._function = function
        self._is_method = instance is not None
        try:
            found = [_ONE] if type(function) in OF_ONE else inspect.signature(function).parameters.values()
            parameters = list(found)
        except Exception:  # a builtin without a signature, or whatever a stranger's __signature__ does
            parameters = list(_ANYTHING)
        self.names_alike: bool = bool(parameters) and {p.name for p in parameters} <= {p.name for p in valued}
        """Whether it has parameters, and names them as the call does."""
        self._positional = [p for p in parameters if p.kind in POSITIONAL]
        self._by_name = {p.name for p in parameters if p.kind in _NAMED}
        self._any_position = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
        self._any_name = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
        self._for_instance: Parameter | None = None
        """What gets the instance."""
        if instance is not None:
            others = tuple(p for p in valued if p is not instance)
            if self._begins_with(instance, others, place):
                self._for_instance = parameters[0]
            else:
                named = (p for p in parameters if p not in self._positional[:1] and _names(p, instance, others))
                self._for_instance = next(named, None)
        self._parts, self._given_by_name = self._arguments(valued, instance)
        self.arguments: str = ", ".join([*self._parts, *self._given_by_name])

    def _begins_with(self, instance: Parameter, others: tuple[Parameter, ...], place: str) -> bool:
        """Whether its first argument is to be the instance.

        Its first parameter tells, or that there is nothing else to call it with.
        A method of something else (``key=str.lower``) has a ``self`` of its own.
        """
        if not others and self._takes_positional(1) and not self._takes_positional(0):
            return True
        if not self._positional or not _names(self._positional[0], instance, others):
            return False
        count = sum(p.kind in POSITIONAL for p in others)
        home = getattr(self._function, "__qualname__", "").rpartition(".")[0]
        own = isinstance(self._function, FunctionType) and (not home or home.endswith("<locals>") or home == place)
        return own or self._takes_positional(count + 1) or not self._takes_positional(count)

    def _takes_positional(self, count: int) -> bool:
        """Whether it can be called with so many positional arguments and no others."""
        needed = sum(p.default is Parameter.empty for p in self._positional)
        return needed <= count and (self._any_position or count <= len(self._positional))

    # -- calls that fit the documented parameters

    def misfit(self) -> str | None:
        """Why it surely cannot be asked about any such call; None: it may."""
        parts = [part for part in self._parts if not part.startswith("*")]
        named = [part.partition("=")[0] for part in self._given_by_name if not part.startswith("*")]
        whole = len(parts) + len(named) == len(self._parts) + len(self._given_by_name)
        why = why_misfit(self._function, len(parts), tuple(named), whole=whole)
        return None if why is None else f"{why} if it is called with ({self.arguments})"

    def _arguments(self, valued: tuple[Parameter, ...], instance: Parameter | None) -> tuple[list[str], list[str]]:
        """The source of what it is given by position, and of what by name."""
        of_others = [p for p in self._positional if p is not self._for_instance]
        parts: list[str] = []
        named: list[str] = []
        room = float("inf") if self._any_position else len(of_others)
        taken: set[str] = set()  # by position already
        for p in valued:
            if p.kind is Parameter.VAR_POSITIONAL:
                parts.append(f"*{p.name}[1:]" if p is instance else f"*{p.name}")
                continue
            if p.kind is Parameter.VAR_KEYWORD:
                named.append(f"**{p.name}")
                continue
            by_name = p.name not in taken and (p.name in self._by_name or self._any_name)
            if (p.kind in POSITIONAL and (room > 0 or not by_name)) or (not by_name and room > 0):
                if room > 0 and len(parts) < len(of_others):
                    taken.add(of_others[len(parts)].name)
                parts.append(p.name)
                room -= 1
            else:
                named.append(f"{p.name}={p.name}")
        if instance is not None and self._for_instance is not None:
            self._give_instance(self._for_instance, instance_value(instance), parts, named)
        return parts, named

    def _give_instance(self, taker: Parameter, value: str, parts: list[str], named: list[str]) -> None:
        """Put *value* among the arguments by position where it has its place there, else among those by name."""
        place = self._positional.index(taker) if taker in self._positional else len(parts) + 1
        if place <= len(parts) and not any(part.startswith("*") for part in parts[:place]):
            parts.insert(place, value)
        else:
            named.insert(0, f"{taker.name}={value}")

    # -- calls that do not, as they were spelled

    def about(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What it says of such a call."""
        args, kwargs = self._spelled(args, kwargs)
        return self._function(*args, **kwargs)

    def takes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether it can be asked about such a call, as far as that can be known."""
        args, kwargs = self._spelled(args, kwargs)
        try:
            inspect.signature(self._function).bind(*args, **kwargs)
        except TypeError:
            return False
        except ValueError:  # a builtin that does not tell
            pass
        return True

    def _spelled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not self._is_method or not args:
            return args, kwargs
        first, *rest = args
        taker, positional = self._for_instance, self._positional
        if taker is None:
            return tuple(rest), kwargs
        if taker in positional and positional.index(taker) <= len(rest):
            rest.insert(positional.index(taker), first)
            return tuple(rest), kwargs
        return tuple(rest), {**kwargs, taker.name: first}


def _names(p: Parameter, instance: Parameter, others: tuple[Parameter, ...]) -> bool:
    """Whether *p*, a parameter of a user's function, bears the name of an instance, and no other argument's."""
    if p.kind not in (*POSITIONAL, *_NAMED) or any(other.name == p.name for other in others):
        return False
    return p.name in INSTANCE_NAMES or (p.name == instance.name and instance.kind is not Parameter.VAR_POSITIONAL)


_ONE = Parameter("obj", Parameter.POSITIONAL_ONLY)
_ANYTHING = (Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD))


def instance_value(instance: Parameter) -> str:
    """The source of the instance of a call, by the parameter that takes it."""
    return f"{instance.name}[0]" if instance.kind is Parameter.VAR_POSITIONAL else instance.name


# -- what key= made

_EMPTY: dict[str, int] = {}
_DRAWN_FROM: tuple[Any, ...] = (
    (), [], set(), "", "é", b"", bytearray(), range(0), range(1 << 99), _EMPTY, _EMPTY.values(), _EMPTY.items(),
    collections.OrderedDict(),
)  # fmt: skip
_REVERSED: tuple[Any, ...] = ((), [], _EMPTY, range(0))
DRAWN: frozenset[type] = frozenset(
    {
        *(type(iter(each)) for each in _DRAWN_FROM),
        *(type(reversed(each)) for each in _REVERSED),
        *(kind for kind in vars(itertools).values() if isinstance(kind, type)),
        *(type(_EMPTY.values()), type(collections.OrderedDict().values())),
        *(enumerate, filter, map, reversed, zip, type(iter(int, 1))),
        *(AsyncGeneratorType, CoroutineType, GeneratorType),
    }
)
"""Types of the interpreter's own, whose instances equal nothing but themselves and are used up, or change."""

LOOK: Block = ["if $type($k) in $DRAWN: $refuse_drawn($k)"]
"""The line of a wrapper that looks at what ``key=`` made, as ``is_drawn()`` does."""


def is_drawn(made: Any) -> bool:
    """Whether no call would be found again under what ``key=`` made.  Its ``__class__`` may be code: not asked."""
    return type(made) in DRAWN


def looked_at(name: str, made: Any) -> Any:
    """What ``key=`` of the function *name* made of a call.

    Raises:
        TypeError: It is refused.
    """
    if is_drawn(made):
        refuse_drawn(name, made)
    return made


def is_looked_at(function: Any) -> bool:
    """Whether what *function*, given as ``key=``, makes needs a look: what this package's own make does not."""
    module = attribute(function, "__module__")
    return not (isinstance(module, str) and module.partition(".")[0] == "memo")


def refuse_drawn(name: str, made: Any) -> NoReturn:
    """Refuse what ``key=`` of the function *name* made of a call."""
    if isinstance(made, CoroutineType):
        made.close()  # or it would warn that it was never awaited
    raise TypeError(
        f"{name}(): key= returned {short_text(made)} of type {type(made).__qualname__!r}, which equals nothing but "
        f"itself, so that no call would be found again; let it return a tuple, or use key=memo.freeze."
    )

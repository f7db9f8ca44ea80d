"""Values whose type is part of the key: of an argument that a call may consist of alone.

``functools.lru_cache`` keeps ``f("a")`` and ``f(Markup("a"))`` apart, though the two arguments are equal, and programs
count on it: else a function that escapes text would hand what it made of the one to a caller with the other.  So does
this package, wherever such a call is possible, whatever other parameters have defaults:

- A value of exactly one of the types in ``BARE``, of which no two have equal instances, stands for itself.  Any other
  is *told*: it stands in a tuple with its type and a mark that no caller has.
- The type is what the value says it is, ``__class__``, so that a proxy counts as what it stands for.  To ask for it is
  also what costs a hit the least.
- To find it among ``BARE`` would cost a hit more than to find the entry does.  So a wrapper guesses: ``$usual`` is the
  type of a value that stands for itself and was hit since the last miss, and False after a miss.  Keys do not depend
  on it.
- So a miss that follows another knows that it is no usual call, and asks in a way that costs a hit a little more, but
  raises no KeyError: that would be a tenth of what such a miss takes.

In functions that need more arguments, values count as they compare, as in ``functools``.
"""

from collections.abc import Hashable
from datetime import date, datetime
from inspect import Parameter
from typing import Any, NamedTuple

from memo._call.source import Block

__all__ = ("BARE", "TOLD", "Guess", "guess", "stands_alone", "tell", "told", "untold")

BARE = frozenset({str, int, bytes, type(None), tuple, frozenset, date, datetime})
"""Types whose exact instances stand for themselves in keys: none equals one of another of these."""


class TOLD:
    """Ends what stands for a value that is told; a class, since tables hold those as they are."""


def stands_alone(values: tuple[Parameter, ...], instance: Parameter | None) -> Parameter | None:
    """The parameter, of those in the key, whose argument a call may consist of; None if there is none."""
    if not values or values[0] is instance or values[0].kind is Parameter.VAR_KEYWORD:
        return None
    return values[0] if all(map(_may_be_left_out, values[1:])) else None


def _may_be_left_out(p: Parameter) -> bool:
    return p.default is not Parameter.empty or p.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


# -- source


def told(p: Parameter) -> str:
    """The source of what stands for the value of *p*, of ``*args`` for the first of them, in a key."""
    name = p.name
    if p.kind is not Parameter.VAR_POSITIONAL:
        return f"({name} if {name}.__class__ in $BARE else ({name}, {name}.__class__, $TOLD))"
    first = f"{name}[0]"
    pair = f"({first}, {first}.__class__, $TOLD)"
    return f"({name} if not {name} or {first}.__class__ in $BARE else ({pair}, *{name}[1:]))"


class Guess(NamedTuple):
    """The source of a hit that guesses the type of a value that is told."""

    holds: str
    """Whether the value stands for itself; if it does not say so, nothing is known."""
    kind: str
    """The type, once ``unusual`` has run."""
    unusual: Block
    """What runs where the guess does not hold."""
    learn: Block
    """What runs when that has hit: makes the next guess a better one."""
    unlearn: Block
    """What runs when the guess held, and missed."""


def guess(p: Parameter) -> Guess | None:
    """The guess of the type of *p*; None for ``*args``."""
    if p.kind is Parameter.VAR_POSITIONAL:
        return None
    return Guess(
        holds=f"{p.name}.__class__ is $usual",
        kind="$kind",
        unusual=[f"$kind = {p.name}.__class__"],
        learn=["if $usual is False and $kind in $BARE: $usual = $kind"],
        unlearn=["$usual = False"],
    )


# -- keys


def untold(part: Any, kind: Any) -> Any:
    """The value of a parameter of that kind, given what stands for it in a key."""
    if kind is not Parameter.VAR_POSITIONAL:
        return part[0] if _is_told(part) else part
    return (part[0][0], *part[1:]) if part and _is_told(part[0]) else part


def _is_told(part: Any) -> bool:
    return type(part) is tuple and len(part) == 3 and part[2] is TOLD


def tell(value: Any, kind: Any) -> Hashable:
    """What stands for a value of a parameter of that kind in a key."""
    if kind is not Parameter.VAR_POSITIONAL:
        return _told(value)
    return (_told(value[0]), *value[1:]) if type(value) is tuple and value else value


def _told(value: Any) -> Hashable:
    kind = value.__class__
    return value if kind in BARE else (value, kind, TOLD)

"""A call as source: what a decorator's template, which knows no parameters, makes the body of a wrapper of."""

from inspect import Parameter
from typing import NamedTuple

from memo._call.key_types import Guess
from memo._call.source import Block, sign_of, tuple_of

__all__ = ("CallSource", "passed_arguments", "spelled_call", "tuple_and_dict")


class CallSource(NamedTuple):
    """The parts of a call as a template spells them."""

    is_async: bool
    prelude: Block
    """The lines that the other parts need before them."""
    key: str
    """The key; KeyError where the instance has no token yet."""
    whole_key: str
    """The key, making the token where there is none."""
    is_tuple: bool
    """The key is a tuple, or may be one."""
    lookup: str
    """The entry in the store that ``$index`` indexes; KeyError where there is none."""
    guess: Guess | None
    """That the value that is told with its type stands for itself; None: there is none, or no guess."""
    guessed: str
    """That entry too, where the guess holds."""
    asked_for: str
    """That entry too, where the guess does not hold; None where there is none, or KeyError."""
    values: tuple[str, ...]
    """What the key is made of, one by one (``*args`` is a tuple there)."""
    passed: str
    """The arguments as the function takes them."""
    args: str
    """The arguments given by position, as a tuple."""
    kwargs: str
    """The others, as a dictionary."""

    @property
    def awaited(self) -> str:
        """What stands before a call of the function."""
        return "await " if self.is_async else ""

    @property
    def answer(self) -> str:
        """What calls the function alone."""
        return f"{self.awaited}$function({self.passed})"


_SPELL: Block = [
    "try:", ["$k = $bind(*$args, **$kwargs)"],
    "except $TypeError as $error:", ["$k = $spelled($error, $args, $kwargs)"],
]  # fmt: skip


def spelled_call(*, is_async: bool, through: bool) -> CallSource:
    """A call of a function that takes other parameters than it documents: passed on as it came."""
    args = "($Through($args[0]), *$args[1:])" if through else "$args"
    return CallSource(
        is_async, _SPELL, "$k", "$k", True, "$index[$k]", None, "", "", ("$k",), "*$args, **$kwargs", args, "$kwargs"
    )


def passed_arguments(parameters: tuple[Parameter, ...]) -> str:
    """The source of a call's arguments as the function takes them."""
    return ", ".join(
        [f"{p.name}={p.name}" if p.kind is Parameter.KEYWORD_ONLY else sign_of(p) + p.name for p in parameters]
    )


def tuple_and_dict(parameters: tuple[Parameter, ...], marked: Parameter | None) -> tuple[str, str]:
    """The arguments as the source of a tuple and of a dictionary, the instance in *marked* as one come through."""
    positional, named = [], []
    for p in parameters:
        if p.kind is Parameter.VAR_KEYWORD:
            named.append(f"**{p.name}")
        elif p.kind is Parameter.KEYWORD_ONLY:
            named.append(f"{p.name!r}: {p.name}")
        elif p is marked:
            several = p.kind is Parameter.VAR_POSITIONAL
            positional.append(f"$Through({p.name}[0]), *{p.name}[1:]" if several else f"$Through({p.name})")
        else:
            positional.append(sign_of(p) + p.name)
    return tuple_of(positional), f"{{{', '.join(named)}}}" if named else "$nothing"

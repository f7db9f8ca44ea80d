"""Generated code: from a list of lines to a code object, whose lines a traceback shows and a debugger steps through.

A template makes a *block*: a list of lines, in which a list stands for the lines that are one level deeper than the
line before it.  Conditions decide what is in it; nothing reads it again.  In a line, ``$word`` is an internal name: it
becomes one that no parameter bears, and is looked up in the globals of the function that has the code.

Invariants:

- Functions of one shape share what was compiled for it; each has a copy with names of its own, since the interpreter
  notes in the code what it found in the function's globals.
- The lines of code can be shown as long as the code is there: it holds their *listing* among its constants.
"""

import functools
import keyword
import re
from collections.abc import Iterable
from inspect import Parameter
from types import CodeType
from typing import Any, NamedTuple

from memo._call.listings import listed

__all__ = (
    "POSITIONAL", "PREFIX", "Block", "Titles", "code_of", "free_prefix", "keyword_defaults", "nameable",
    "positional_defaults", "sign_of", "tuple_of",
)  # fmt: skip

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
"""Kinds of single parameters that can be given by position."""
PREFIX = "_memo_"
"""What the names of internals begin with, unless a parameter's name does."""

Block = list["str | Block"]
"""Lines, and blocks of them that are one level deeper than the line before."""


class Titles(NamedTuple):
    """What code is called: the names of its function, and what a traceback shows for a file."""

    name: str
    qualname: str
    file: str


def code_of(
    parameters: tuple[Parameter, ...], body: Block, prefix: str, titles: Titles, *, is_async: bool = False
) -> CodeType:
    """The code of a function with these parameters, whose body names internals ``$word`` for *prefix* + word."""
    head = f"{'async ' if is_async else ''}def $wrapper({_declaration(parameters)}):"
    # for a replacement with a group in it, 3.11 imports: wrong in what is called as the interpreter ends
    source = re.sub(r"\$(?=\w)", prefix, _written([head, body], ""))
    code = _compiled(source)
    listing = listed(titles.file, source)
    return code.replace(
        co_name=titles.name,
        co_qualname=titles.qualname,
        co_filename=listing.file,
        co_consts=(*code.co_consts, listing),
    )


def _written(block: Block, indent: str) -> str:
    deeper = indent + "    "
    return "\n".join([indent + part if part.__class__ is str else _written(part, deeper) for part in block])  # type: ignore[arg-type]


@functools.lru_cache(maxsize=512)  # functions of one shape share what is compiled
def _compiled(source: str) -> CodeType:
    module = compile(source, "<memo>", "exec", dont_inherit=True)
    return next(const for const in module.co_consts if isinstance(const, CodeType))


# -- parameters


def free_prefix(names: Iterable[str]) -> str:
    """A prefix that no parameter's name begins with."""
    prefix = PREFIX
    taken = tuple(names)
    while any(name.startswith(prefix) for name in taken):
        prefix = "_" + prefix
    return prefix


def nameable(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """*parameters* with names that source can have: what is given by position alone may be called ``from``."""
    if not any(keyword.iskeyword(p.name) for p in parameters):
        return parameters
    return tuple(p.replace(name=f"{p.name}_{i}") if keyword.iskeyword(p.name) else p for i, p in enumerate(parameters))


def _declaration(parameters: tuple[Parameter, ...]) -> str:
    """The parameter list as source, with None in place of each default."""
    parts: list[str] = []
    last_positional_only = max(
        (i for i, p in enumerate(parameters) if p.kind is Parameter.POSITIONAL_ONLY), default=None
    )
    star_seen = False
    for i, p in enumerate(parameters):
        if p.kind is Parameter.KEYWORD_ONLY and not star_seen:
            parts.append("*")
            star_seen = True
        sign = sign_of(p)
        star_seen = star_seen or sign == "*"
        parts.append(f"{sign}{p.name}{'' if p.default is Parameter.empty else '=None'}")
        if i == last_positional_only:
            parts.append("/")
    return ", ".join(parts)


def sign_of(p: Parameter) -> str:
    """What stands before the name of a parameter."""
    return "*" if p.kind is Parameter.VAR_POSITIONAL else "**" if p.kind is Parameter.VAR_KEYWORD else ""


def positional_defaults(parameters: tuple[Parameter, ...]) -> tuple[Any, ...] | None:
    """What ``__defaults__`` of a function with these parameters holds."""
    return tuple(p.default for p in parameters if p.kind in POSITIONAL and p.default is not Parameter.empty) or None


def keyword_defaults(parameters: tuple[Parameter, ...]) -> dict[str, Any] | None:
    """What ``__kwdefaults__`` of a function with these parameters holds."""
    return {
        p.name: p.default for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.default is not Parameter.empty
    } or None


def tuple_of(parts: list[str]) -> str:
    """The source of a tuple."""
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

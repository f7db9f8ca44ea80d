"""Generated code: from a list of lines to a code object, whose lines a traceback shows and a debugger steps through.

A template makes a *block*: a list of lines, in which a list stands for the lines that are one level deeper than the
line before it.  Conditions decide what is in it; nothing reads it again.  In a line, ``$word`` is an internal name: it
becomes one that no parameter bears, and is looked up in the globals of the function that has the code.

Invariants:

- Functions of one shape share what was compiled for it; each has a copy with its own name and file name, since the
  interpreter notes in the code what it found in the function's globals.
- The lines of code stand in ``linecache`` as long as the code is there: the code holds its *listing* among its
  constants, and what is called when that goes, is written in C, so that nothing runs between the end of a listing and
  of its lines.  Nothing else holds one.
- Two listings of one file name have the same lines: functions of one name share theirs, or are numbered.
"""

import functools
import keyword
import re
from collections.abc import Iterable, Iterator
from inspect import Parameter
from types import CodeType
from typing import Any

__all__ = (
    "PREFIX", "Block", "code_of", "free_prefix", "keyword_defaults", "nameable", "named", "positional_defaults",
    "sign_of", "tuple_of",
)  # fmt: skip

PREFIX = "_memo_"
"""What the names of internals begin with, unless a parameter's name does."""

Block = list["str | Block"]
"""Lines, and blocks of them that are one level deeper than the line before."""


def code_of(parameters: tuple[Parameter, ...], body: Block, prefix: str, *, is_async: bool = False) -> CodeType:
    """The code of a function with these parameters, whose body names internals ``$word`` for *prefix* + word."""
    head = f"{'async ' if is_async else ''}def $wrapper({_declaration(parameters)}):"
    return _compiled(re.sub(r"\$(\w)", rf"{prefix}\1", "\n".join(_written([head, body], ""))))


def named(code: CodeType, name: str, qualname: str, file: str) -> CodeType:
    """A copy of *code* with a name and a file name of its own."""
    return code.replace(co_name=name, co_qualname=qualname, co_filename=file)


def _written(block: Block, indent: str) -> Iterator[str]:
    for line in block:
        if isinstance(line, str):
            yield indent + line
        else:
            yield from _written(line, indent + "    ")


@functools.lru_cache(maxsize=512)  # functions of one shape share the code, but for its name
def _compiled(source: str) -> CodeType:
    module = compile(source, "<memo wrapper>", "exec", dont_inherit=True)
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
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.default for p in parameters if p.kind in positional and p.default is not Parameter.empty) or None


def keyword_defaults(parameters: tuple[Parameter, ...]) -> dict[str, Any] | None:
    """What ``__kwdefaults__`` of a function with these parameters holds."""
    return {
        p.name: p.default for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.default is not Parameter.empty
    } or None


def tuple_of(parts: list[str]) -> str:
    """The source of a tuple."""
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

"""Keys and errors of a window as short text, made so that no key and no error can do harm.

What is kept of a call refers to no argument, result, exception, traceback or frame: only to numbers, short text, and
small immutable scalars, which are made text when somebody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, TypeAlias

__all__ = ("BIG", "ITEMS", "LONGEST", "Failure", "KeyText", "failure_text", "label", "short_text", "stored_key")

Failure: TypeAlias = tuple[str | None, str | None]
"""The type's name and the message of an error; None where there was no exception to ask."""

LONGEST = 200  # longest text of a key or a message, in characters
BIG = 1 << 63  # integers from here on are kept as text
ITEMS = 8  # elements shown of a container
_DEPTH = 3  # containers shown within each other


class KeyText(str):
    """Text made of a key already; tells it from a key that is a str."""

    __slots__ = ()


def _cut(text: str) -> str:
    # Through str itself: a subclass may slice differently, and must not be kept.
    return str.__getitem__(text, slice(0, LONGEST))


def _joined(parts: Iterator[str], total: int) -> str:
    shown: list[str] = []
    room = LONGEST
    for part in islice(parts, ITEMS):
        shown.append(part)
        room -= len(part)
        if room < 0:
            break
    if len(shown) < total:
        shown.append("...")
    return ", ".join(shown)


def _container_text(value: Any, depth: int) -> str:
    kind = type(value)
    if depth == 0:
        return "..."
    if isinstance(value, dict):
        pairs = (f"{_repr(key, depth - 1)}: {_repr(item, depth - 1)}" for key, item in value.items())
        body = "{" + _joined(pairs, len(value)) + "}"
    else:
        body = _joined((_repr(item, depth - 1) for item in value), len(value))
        if isinstance(value, tuple):
            body = f"({body},)" if len(value) == 1 else f"({body})"
        elif isinstance(value, set | frozenset):
            body = "{" + body + "}" if value else ""
        else:
            body = f"[{body}]"
    plain = kind is dict or kind is list or kind is tuple or (kind is set and len(value))
    return body if plain else f"{kind.__name__}({body})"


def _repr(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is str or kind is bytes:
        return _cut(repr(value[:LONGEST]))
    if kind is int:
        # Digits of a huge integer take quadratic time, and beyond 4,300 an error.
        return repr(value) if value.bit_length() < 512 else f"<int of {value.bit_length()} bits>"
    with suppress(Exception):  # whatever a stranger's __repr__ does, recording goes on
        if isinstance(value, str | bytes | bytearray) and len(value) > LONGEST:
            return _cut(f"{kind.__name__}({_plain_slice(value)!r})")
        if isinstance(value, list | tuple | set | frozenset | dict | deque):
            built_in = kind in (list, tuple, set, frozenset, dict)
            if built_in or len(value) > ITEMS:
                return _cut(_container_text(value, depth))
        return _cut(repr(value))
    return _cut(f"<unprintable {kind.__name__}>")


def _plain_slice(value: str | bytes | bytearray) -> str | bytes | bytearray:
    base = str if isinstance(value, str) else bytes if isinstance(value, bytes) else bytearray
    part: str | bytes | bytearray = base.__getitem__(value, slice(0, LONGEST))  # type: ignore[index]
    return part


def short_text(value: object) -> str:
    """A `repr` of at most 200 characters that does no harm.

    Long strings and containers are cut before they are made text, so the cost does not grow with their size; a
    `__repr__` that raises gives "<unprintable Name>". Any other object's own `__repr__` runs in full, once, in
    the calling thread.
    """
    return str(_repr(value, _DEPTH))


def stored_key(key: Any) -> object:
    """What to keep of a key: itself if it is small, immutable and refers to nothing, or a tuple of such; else text."""
    # On the path of every call: the kinds are told apart in place, the most frequent first.
    kind = type(key)
    if kind is str or kind is bytes:
        if len(key) <= LONGEST:
            return key
    elif kind is int:
        if -BIG < key < BIG:
            return key
    elif kind is tuple:
        if len(key) <= ITEMS:
            for part in key:
                kind = type(part)
                if kind is str or kind is bytes:
                    if len(part) > LONGEST:
                        break
                elif kind is int:
                    if not -BIG < part < BIG:
                        break
                elif part is not None and kind is not bool and kind is not float:
                    break
            else:
                return key
    elif key is None or kind is bool or kind is float or kind is KeyText:
        return key
    return KeyText(short_text(key))


def failure_text(error: BaseException | None) -> Failure:
    """The type's qualified name and the message of an error."""
    if error is None:
        return None, None
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    message = f"<unprintable {kind.__name__}>"
    with suppress(Exception):  # likewise: the call has its own failure already
        message = str(error)
    return _cut(name), _cut(message)


def label(key: object) -> str:
    """The text of a key as stored_key() left it."""
    return str(key) if type(key) is KeyText else short_text(key)

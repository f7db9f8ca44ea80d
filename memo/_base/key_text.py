"""Keys and errors of a window as short text, made so that no key and no error can do harm.

What is kept of a call refers to no argument, result, exception, traceback or frame: only to numbers, short text, and
small immutable scalars, which are made text when somebody looks.
"""

from __future__ import annotations

from types import WrapperDescriptorType
from typing import Any, TypeAlias

from memo._base.shortened import LONGEST, class_name, cut, method_of, qualified_name, said, short_text

__all__ = ("BIG", "ITEMS", "Failure", "KeyText", "failure_text", "label", "stored_key")

Failure: TypeAlias = tuple[str | None, str | None]
"""The type's name and the message of an error; None where there was no exception to ask."""

_CAUSES = 3  # exceptions that are the only argument of another: how many of them are opened
_args_of = BaseException.__dict__["args"].__get__
_PLAIN = BaseException.__dict__["__str__"]
_KEY_ERROR = KeyError.__dict__["__str__"]
_GROUP = BaseExceptionGroup.__dict__["__str__"]
_ATOMS = (str, bytes, int, float, bool, type(None))

BIG = 1 << 63  # integers from here on are kept as text
ITEMS = 8  # longest tuple that is kept as it is


class KeyText(str):
    """Text made of a key already; tells it from a key that is a str."""

    __slots__ = ()


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
    """The type's qualified name and the message of an error.

    The message is what ``str(error)`` is where that is the builtin exceptions' own: made of the arguments without
    running their code. A ``__str__`` that is written for an exception does run, once: it is there to be shown, and
    often all that tells what happened.
    """
    return (None, None) if error is None else (qualified_name(type(error)), _message(error, _CAUSES))


def _may_be_asked(method: Any, args: tuple[Any, ...]) -> bool:
    """Whether ``str()`` of an exception with that ``__str__`` runs no code but what was written for the exception."""
    if type(method) is not WrapperDescriptorType or method.__objclass__.__module__ != "builtins":
        return True
    if method is _GROUP:
        return type(args[0]) is str  # of the others it tells how many they are
    parts = [part for arg in args for part in (arg if type(arg) is tuple else (arg,))]
    return all(any(type(part) is kind for kind in _ATOMS) for part in parts)


def _message(error: BaseException, depth: int) -> str:
    kind = type(error)
    method = method_of(kind, "__str__")
    args: tuple[Any, ...] = _args_of(error)
    try:
        if method is _KEY_ERROR and len(args) == 1:
            return short_text(args[0])
        if method is not _PLAIN and method is not _KEY_ERROR and _may_be_asked(method, args):
            return cut(str(error))
    except Exception:  # whatever a stranger's __str__ does, recording goes on: the call has its own failure already
        return cut(f"<unprintable {class_name(kind)}>")
    if len(args) != 1:
        return short_text(args) if args else ""
    (only,) = args
    return _message(only, depth - 1) if issubclass(type(only), BaseException) and depth > 0 else said(only)


def label(key: object) -> str:
    """The text of a key as stored_key() left it."""
    return str(key) if type(key) is KeyText else short_text(key)

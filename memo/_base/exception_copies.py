"""Exceptions of users: copies, so that many callers can raise one without adding to one traceback; notes."""

import copy as copying
import types
from collections.abc import Callable
from typing import Any

__all__ = ("frameless_copy", "note_on", "renewed", "shared_copy")

_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_HEAP_TYPE = 1 << 9  # of types made by a class statement
_NOT_COPIED = frozenset({"__dict__", "__weakref__", "__traceback__", "args"})


def note_on(error: BaseException, note: str) -> None:
    """Add *note* to *error*, a user's, which may be raised many times: once.

    What is told beside an error never takes its place: one that cannot have notes, such as that of a frozen dataclass,
    stays as it is.
    """
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:
        pass


def shared_copy(error: BaseException, traceback: types.TracebackType | None) -> BaseException:
    """An exception like *error*: its type, arguments, attributes, notes and cause, with *traceback*.

    Neither ``__init__`` nor ``__reduce__`` of the type runs, unless there is no other way: they may ask for arguments
    that nobody kept.  An exception that cannot be copied is returned itself.
    """
    copy = _alike(error, type(error).__new__)
    if copy is None:  # whether an exception is true is its own affair
        copy = _reduced(error)
    return (error if copy is None else copy).with_traceback(traceback)


def _alike(error: BaseException, make: Callable[..., Any]) -> BaseException | None:
    """A copy of *error* without a traceback, made by the ``__new__`` *make*; None if that cannot be."""
    kind = type(error)
    try:
        copy: BaseException = make(kind, *error.args)
        if copy is error or type(copy) is not kind:
            return None
        _copy_state(error, copy)
    except Exception:
        return None
    return copy


def _reduced(error: BaseException) -> BaseException | None:
    """A copy of *error* as its type copies itself, for types that are not written in Python; None if it cannot."""
    try:
        copy: BaseException = copying.copy(error)
        if copy is error or type(copy) is not type(error) or str(copy) != str(error):
            return None
        _copy_state(error, copy)
    except Exception:
        return None
    return copy.with_traceback(None)


def _copy_state(error: BaseException, copy: BaseException) -> None:
    copy.args = error.args
    for base in type(error).__mro__:
        for name, descriptor in vars(base).items():
            if isinstance(descriptor, _DESCRIPTORS) and name not in _NOT_COPIED:
                _copy_attribute(error, copy, name)
    attributes = getattr(error, "__dict__", None)
    if attributes:
        copy.__dict__.update(attributes)
    if isinstance(getattr(error, "__notes__", None), list):
        copy.__notes__ = list(error.__notes__)  # add_note() appends to it


def _builtin_new(kind: type[BaseException]) -> Callable[..., Any]:
    """The ``__new__`` of the nearest type that is not written in Python: it asks for nothing of its own."""
    return next(base for base in kind.__mro__ if not base.__flags__ & _HEAP_TYPE).__new__


def renewed(error: BaseException) -> BaseException:
    """A copy of *error*, which is the frameless copy of another, to be raised: *error* itself stays without frames."""
    copy = _copied(error)
    return error if copy is None else copy


def _copied(error: BaseException) -> BaseException | None:
    kind = type(error)
    for make in (kind.__new__, _builtin_new(kind)):
        copy = _alike(error, make)
        if copy is not None:
            return copy
    return _reduced(error)


def frameless_copy(error: BaseException) -> BaseException | None:
    """A copy of *error*, its causes and its parts that holds no traceback, so no frame and nobody's ``self``.

    Returns:
        None if it cannot be copied.  A cause or context that cannot be is left out.
    """
    return _frameless(error, {})


def _frameless(error: BaseException, made: dict[int, BaseException | None]) -> BaseException | None:
    if id(error) in made:
        return made[id(error)]
    made[id(error)] = None  # should it be its own cause
    copy = _copied(error)
    if copy is None:
        return None
    made[id(error)] = copy
    if isinstance(error, BaseExceptionGroup):
        copies = [_frameless(part, made) for part in error.exceptions]
        parts = [part for part in copies if part is not None]  # whether one is true is its own affair
        try:
            bare: BaseException = type(error).__new__(type(error), error.message, parts)
        except Exception:  # a type of its own making, or no part is left
            return None
        bare.__dict__.update(copy.__dict__)
        made[id(error)] = copy = bare
    suppressed = error.__suppress_context__
    cause, context = error.__cause__, error.__context__
    copy.__cause__ = None if cause is None else _frameless(cause, made)
    copy.__context__ = None if context is None else _frameless(context, made)
    copy.__suppress_context__ = suppressed
    return copy


def _copy_attribute(error: BaseException, copy: BaseException, name: str) -> None:
    try:
        value: Any = getattr(error, name)
        if getattr(copy, name, None) is not value:
            setattr(copy, name, value)
    except (AttributeError, TypeError):  # unset, or read-only
        pass

"""Copies of an exception, so that many callers can raise it without adding to one traceback."""

import types
from typing import Any

__all__ = ("frameless_copy", "shared_copy")

_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_NOT_COPIED = frozenset({"__dict__", "__weakref__", "__traceback__", "args"})


def shared_copy(error: BaseException, traceback: types.TracebackType | None) -> BaseException:
    """An exception like *error*: its type, arguments, attributes, notes and cause, with *traceback*.

    Neither ``__init__`` nor ``__reduce__`` of the type runs: they may ask for arguments that nobody
    kept.  An exception that cannot be copied is returned itself.
    """
    kind = type(error)
    try:
        copy: BaseException = kind.__new__(kind, *error.args)
        copy.args = error.args
        for base in kind.__mro__:
            for name, descriptor in vars(base).items():
                if isinstance(descriptor, _DESCRIPTORS) and name not in _NOT_COPIED:
                    _copy_attribute(error, copy, name)
        copy.__dict__.update(error.__dict__)
        if isinstance(getattr(error, "__notes__", None), list):
            copy.__notes__ = list(error.__notes__)  # add_note() appends to it
    except Exception:
        return error.with_traceback(traceback)
    return copy.with_traceback(traceback)


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
    traceback = error.__traceback__
    copy = shared_copy(error, None)
    if copy is error:
        error.__traceback__ = traceback
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

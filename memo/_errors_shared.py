"""Copies of an exception, so that many callers can raise it without adding to one traceback."""

import types
from typing import Any

__all__ = ("shared_copy",)

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


def _copy_attribute(error: BaseException, copy: BaseException, name: str) -> None:
    try:
        value: Any = getattr(error, name)
        if getattr(copy, name, None) is not value:
            setattr(copy, name, value)
    except (AttributeError, TypeError):  # unset, or read-only
        pass

"""The deep size of a value in bytes: the default weigher of ``max_bytes``."""

import sys
import types
from collections import deque
from collections.abc import Iterable
from typing import Any

__all__ = ("sizeof",)

_LEAVES = frozenset({str, bytes, bytearray, int, float, complex, bool, type(None), range, memoryview})
_NOT_FOLLOWED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_ATTEMPTS = 3


def sizeof(value: Any) -> int:
    """Bytes that *value* holds: itself, what its built-in containers hold, and its attributes.

    Follows lists, tuples, dicts, sets, frozensets, deques and their subclasses, ``__dict__`` and
    ``__slots__``; counts each object once, cycles and shared parts too.  Classes, modules and
    functions count nothing: they are not held by the value alone.  Objects that keep their
    memory elsewhere are as large as ``sys.getsizeof`` says.  Runs no code of the objects but their
    ``__sizeof__``; never raises for what that raises.
    """
    if type(value) in _LEAVES:
        return sys.getsizeof(value)
    total = 0
    seen: set[int] = set()
    to_see: list[Any] = [value]
    while to_see:
        item = to_see.pop()
        if id(item) in seen or isinstance(item, _NOT_FOLLOWED):
            continue
        seen.add(id(item))
        total += _own_size(item)
        if type(item) not in _LEAVES:
            to_see.extend(_held(item))
    return total


def _own_size(item: Any) -> int:
    try:
        return max(0, sys.getsizeof(item, 0))
    except Exception:
        return object.__sizeof__(item)


def _held(item: Any) -> Iterable[Any]:
    """What *item* holds, read by the built-in types' own means, whatever a subclass overrides."""
    held: list[Any] = []
    if isinstance(item, dict):
        for pair in _snapshot(dict.items, item):
            held += pair
    elif isinstance(item, list | tuple | set | frozenset | deque):
        base = next(kind for kind in (list, tuple, set, frozenset, deque) if isinstance(item, kind))
        held += _snapshot(base.__iter__, item)
    try:
        attributes = object.__getattribute__(item, "__dict__")
    except Exception:
        attributes = None
    if type(attributes) is dict:
        held.append(attributes)
    for kind in type(item).__mro__:
        for descriptor in vars(kind).values() if kind.__module__ != "builtins" else ():
            if type(descriptor) is types.MemberDescriptorType:
                try:
                    held.append(descriptor.__get__(item))
                except Exception:  # an unset slot
                    continue
    return held


def _snapshot(read: Any, container: Any) -> list[Any]:
    """The items of a container that another thread may be changing."""
    for _ in range(_ATTEMPTS):
        try:
            return list(read(container))
        except RuntimeError:  # it changed size meanwhile
            continue
    return []

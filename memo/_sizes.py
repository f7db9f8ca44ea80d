"""``sizeof``: how many bytes a value and what it holds take."""

import gc
import sys
import types
from collections import deque
from enum import EnumType
from typing import Any, NamedTuple

__all__ = ("reachable", "sizeof")

# Types are looked up by id: the hash of a class may be its metaclass's own, and so user code.
_ATOMS = frozenset(map(id, (str, bytes, int, float, bool, type(None), complex, bytearray, range, type(...))))

# Shared by the whole program, however many values point at them.
_SHARED = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)

_REFERENT_HOLDERS = (list, tuple, set, frozenset, deque, types.MappingProxyType)

# What other builtins hold: the buffer that a view keeps alive, the arguments of an exception.
_MEMBERS: tuple[tuple[type, Any], ...] = (
    (memoryview, vars(memoryview)["obj"]),
    (BaseException, vars(BaseException)["args"]),
)

# The interpreter's own answers, which no metaclass can replace.
_mro_of = type.__dict__["__mro__"].__get__
_namespace_of = type.__dict__["__dict__"].__get__

_ATTEMPTS = 10


class _Shape(NamedTuple):
    """Where the instances of a type keep what they hold."""

    shared: bool
    is_dict: bool
    has_referents: bool
    attributes: tuple[Any, ...]
    """Descriptors of ``__dict__`` and of the slots."""


def sizeof(value: Any) -> int:
    """Bytes of *value* and of all that it holds.

    Follows lists, tuples, dicts, sets, frozensets and deques, their subclasses, and the ``__dict__``
    and slots of any instance.  An object that is reached twice counts once.  Modules, classes,
    functions and enum members count nothing and are not followed, for they are not the value's own;
    names of attributes do count.  Other objects count what ``sys.getsizeof`` says; what a C extension
    holds beyond that is unknown.

    Runs no code of the value's classes but ``__sizeof__``, whose failure is made good by the
    interpreter's own figure.  Depth does not matter.  Safe from any thread; of a value that others
    change meanwhile, the answer lies somewhere between before and after.

    Args:
        value: Any object.

    Returns:
        Bytes, as ``sys.getsizeof`` counts them.
    """
    if id(type(value)) in _ATOMS:
        return sys.getsizeof(value)
    return _deep_size(value)


def _deep_size(value: Any) -> int:
    # All is found before the first ``__sizeof__`` runs: that of a mock makes further mocks, without end.
    found = reachable(value)
    try:
        return sum(map(sys.getsizeof, found))
    except Exception:
        return sum(map(_size_at_any_rate, found))


def _size_at_any_rate(item: Any) -> int:
    try:
        return sys.getsizeof(item)
    except Exception:
        return object.__sizeof__(item)


def reachable(value: Any) -> list[Any]:
    """*value* and all objects that it holds, each once, as ``sizeof`` counts them."""
    # Holds the objects themselves: an id that is free again would hide the next object there.
    seen: dict[int, Any] = {}
    shared: list[int] = []
    shapes = _BUILTIN_SHAPES.copy()
    pending = [value]
    while pending:
        item = pending.pop()
        identity = id(item)
        if identity in seen:
            continue
        seen[identity] = item
        kind = type(item)
        if id(kind) in _ATOMS:
            continue
        shape = shapes.get(id(kind))
        if shape is None:
            shape = shapes[id(kind)] = _shape_of(kind)
        if shape.shared:
            shared.append(identity)
            continue
        if shape.is_dict:
            pending += _dict_content(item)
        elif shape.has_referents:
            # One step of the interpreter, so that no other thread comes between.
            pending += gc.get_referents(item)
        for descriptor in shape.attributes:
            try:
                pending.append(descriptor.__get__(item))
            except Exception:  # an empty slot, a released view
                continue
    for identity in shared:
        del seen[identity]
    return list(seen.values())


def _shape_of(kind: type) -> _Shape:
    attributes: list[Any] = []
    has_dict = False
    for base in _mro_of(kind):
        names = _namespace_of(base)
        if not has_dict and type(names.get("__dict__")) is types.GetSetDescriptorType:
            has_dict = True
            attributes.append(names["__dict__"])
        if "__slots__" in names:  # else they are members of a type written in C
            attributes += [entry for entry in names.values() if type(entry) is types.MemberDescriptorType]
    return _Shape(
        shared=issubclass(kind, _SHARED) or issubclass(type(kind), EnumType),
        is_dict=issubclass(kind, dict),
        has_referents=issubclass(kind, _REFERENT_HOLDERS),
        attributes=(*attributes, *(member for base, member in _MEMBERS if issubclass(kind, base))),
    )


def _dict_content(item: dict[Any, Any]) -> list[Any]:
    """The keys and values; the collector's view will not do, as it leaves out keys that are text."""
    for _ in range(_ATTEMPTS):
        try:
            return [*dict.keys(item), *dict.values(item)]
        except RuntimeError:  # it was changed meanwhile
            continue
    return gc.get_referents(item)


# Nobody can change these types, and nearly every value is made of them.
_BUILTIN_SHAPES: dict[int, _Shape] = {id(kind): _shape_of(kind) for kind in (list, tuple, dict, set, frozenset, deque)}

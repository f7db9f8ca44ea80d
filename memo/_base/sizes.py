"""``sizeof``: how many bytes a value and what it holds take."""

import asyncio
import contextvars
import gc
import io
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterable
from enum import EnumType
from typing import Any, NamedTuple

__all__ = ("HELD", "OfTheProgram", "reachable", "sizeof", "total_size")

# Types are looked up by id: the hash of a class may be its metaclass's own, and so user code.
_ATOMS = frozenset(map(id, (str, bytes, int, float, bool, type(None), complex, bytearray, range, type(...))))

# Shared by the whole program, however many values point at them: a reference to one is all that it costs.
_SHARED = (
    type,
    types.ModuleType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)

_HOLDERS = frozenset(map(id, (list, tuple, set, frozenset)))

# In these the collector sees more than they are there for: the frames that an exception passed, the module of a
# function, the loop of a future, what a running generator works on.  A weak reference holds nothing.
_CLOSED = (
    BaseException,
    memoryview,
    types.FunctionType,
    types.FrameType,
    types.TracebackType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    contextvars.Context,
    contextvars.ContextVar,
    contextvars.Token,
    asyncio.Future,
    asyncio.Task,
    weakref.ref,
    weakref.ProxyType,
    weakref.CallableProxyType,
)

# What builtins hold that the collector does not show, or not alone: the buffer that a view keeps alive, the arguments
# of an exception, what a function has for itself.
_MEMBERS: tuple[tuple[type, str], ...] = (
    (memoryview, "obj"),
    (BaseException, "args"),
    (BaseException, "__cause__"),
    (BaseException, "__context__"),
    (types.FunctionType, "__closure__"),
    (types.FunctionType, "__defaults__"),
    (types.FunctionType, "__kwdefaults__"),
)

# The interpreter's own answers, which no metaclass can replace.
_mro_of = type.__dict__["__mro__"].__get__
_namespace_of = type.__dict__["__dict__"].__get__

_ATTEMPTS = 10


class OfTheProgram:
    """Base of classes whose instances belong to the whole program, whoever refers to them."""

    __slots__ = ()


HELD = "_memo_held"
"""Under this name a class may have a descriptor of what its instances hold beside what belongs to the program."""


class _Shape(NamedTuple):
    """Where the instances of a type keep what they hold."""

    shared: bool
    is_dict: bool
    has_referents: bool
    """What the collector sees is what they hold."""
    is_builtin: bool
    """... and nothing else: not their type."""
    attributes: tuple[Any, ...]
    """Descriptors of ``__dict__``, of the slots, and of what the collector does not see."""
    counts_all: bool
    """Their ``__sizeof__`` counts what they hold, which is followed and counted anyway."""


class _ObjectsOfArray:
    """Stands for an attribute: the Python objects that an array of numpy's holds, which the collector does not see."""

    def __get__(self, array: Any, owner: type | None = None) -> list[Any] | None:
        return array.ravel().tolist() if array.dtype.hasobject else None


class _TextOfStream:
    """Stands for an attribute: the text that an ``io.StringIO`` holds, which its size does not show."""

    def __get__(self, stream: Any, owner: type | None = None) -> str:
        return io.StringIO.getvalue(stream)


class _Memory:
    """Stands for memory that is no object."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    def __sizeof__(self) -> int:
        return self._size


class _MemoryOfBuffer:
    """Stands for an attribute: the memory of an array or a structure of ctypes, or of an anonymous ``mmap``."""

    def __get__(self, buffer: Any, owner: type | None = None) -> _Memory:
        with memoryview(buffer) as memory:
            return _Memory(memory.nbytes)


def sizeof(value: Any) -> int:
    """Bytes of *value* and of all that it holds.

    Follows what the garbage collector sees of containers, views, iterators, ``functools.partial`` and other objects,
    and the ``__dict__`` and slots of any instance; names of attributes count.  A bound method counts what it is bound
    to; a function its closure, defaults and attributes, not the module around it, and a decorated one its wrapper, too,
    not what is stored; an exception its arguments and causes, not the frames that it passed; a numpy array its objects,
    and the array that it is a view of; a buffer of ctypes and an ``mmap`` their memory.  A weak reference and a future
    count as themselves.  An object that is reached twice counts once.  Classes, modules and enum members, which the
    whole program shares, are not followed: a reference to one costs what it takes, and *value* itself its own bytes, so
    that nothing is free.  Other objects count what ``sys.getsizeof`` says; what a C extension holds beyond that is
    unknown.

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
    return total_size((value,))


def total_size(values: Iterable[Any]) -> int:
    """Bytes of several objects and of all that they hold, what they share once."""
    roots = [*values]
    # All is found before the first ``__sizeof__`` runs: that of a mock makes further mocks, without end.
    held, apart = _walk(roots)
    found = held + list({id(root): root for root in roots if apart.get(id(root)) is _SHARED}.values())
    bare = sum(object.__sizeof__(item) for item in apart.values() if item is not _SHARED)
    try:
        return bare + sum(map(sys.getsizeof, found))
    except Exception:
        return bare + sum(map(_size_at_any_rate, found))


def _size_at_any_rate(item: Any) -> int:
    try:
        return sys.getsizeof(item)
    except Exception:
        return object.__sizeof__(item)


def reachable(value: Any) -> list[Any]:
    """*value* and all objects that it holds, each once, without those that the whole program shares."""
    held, apart = _walk([value])
    return held + [item for item in apart.values() if item is not _SHARED]


def _walk(roots: list[Any]) -> tuple[list[Any], dict[int, Any]]:
    """All that *roots* hold, themselves included, each once; and apart, by id, what is not to be asked for its size.

    Apart is what the program shares, for which ``_SHARED`` stands, and what counts all that it holds.
    """
    # Holds the objects themselves: an id that is free again would hide the next object there.
    seen: dict[int, Any] = {}
    apart: dict[int, Any] = {}
    shapes = _BUILTIN_SHAPES.copy()
    pending = [*roots]
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
            apart[identity] = _SHARED
            continue
        if shape.counts_all:
            apart[identity] = item
        if shape.is_dict:
            pending += _dict_content(item)
        if shape.is_builtin:
            # One step of the interpreter, so that no other thread comes between.
            pending += gc.get_referents(item)
        elif shape.has_referents:
            pending += [held for held in gc.get_referents(item) if held is not kind]
        for descriptor in shape.attributes:
            try:
                pending.append(descriptor.__get__(item))
            except Exception:  # an empty slot, a released view
                continue
    for identity in apart:
        del seen[identity]
    return list(seen.values()), apart


def _shape_of(kind: type) -> _Shape:
    attributes: list[Any] = []
    has_dict = False
    for base in _mro_of(kind):
        names = _namespace_of(base)
        if not has_dict and type(names.get("__dict__")) in (types.GetSetDescriptorType, types.MemberDescriptorType):
            has_dict = True
            attributes.append(names["__dict__"])
        if HELD in names:
            attributes.append(names[HELD])
        if "__slots__" in names:  # else they are members of a type written in C
            attributes += [entry for entry in names.values() if type(entry) is types.MemberDescriptorType]
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    if isinstance(array, type) and issubclass(kind, array):  # a view of an array keeps that array alive
        attributes += [_namespace_of(array)["base"], _ObjectsOfArray()]
    if issubclass(kind, io.StringIO):
        attributes.append(_TextOfStream())
    if issubclass(kind, _buffers()):
        attributes.append(_MemoryOfBuffer())
    pandas = getattr(sys.modules.get("pandas.core.base"), "PandasObject", None)
    return _Shape(
        shared=issubclass(kind, _SHARED) or issubclass(type(kind), EnumType) or issubclass(kind, OfTheProgram),
        is_dict=issubclass(kind, dict),
        has_referents=kind is not dict and not issubclass(kind, _CLOSED),
        is_builtin=id(kind) in _HOLDERS,
        attributes=(*attributes, *(_namespace_of(base)[name] for base, name in _MEMBERS if issubclass(kind, base))),
        counts_all=isinstance(pandas, type) and issubclass(kind, pandas),
    )


def _buffers() -> tuple[type, ...]:
    """Types whose instances have memory that no object stands for, as far as the program has imported them."""
    found = [getattr(sys.modules.get("ctypes"), name, None) for name in ("Array", "Structure", "Union")]
    return tuple(one for one in (*found, getattr(sys.modules.get("mmap"), "mmap", None)) if isinstance(one, type))


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

"""``freeze``: a hashable key of values that cannot be hashed themselves.

Containers become tuples that begin with a private mark, so that no value a caller has equals them by
chance, and so that hashing and comparing them stays the interpreter's work.
"""

import dataclasses
import operator
import reprlib
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Any

__all__ = ("freeze",)


class _Mark:
    """What kind of value a frozen tuple was; equal to itself alone, also after pickling and copying."""

    __slots__ = ("_name", "_shown")

    def __init__(self, name: str, shown: str) -> None:
        self._name = name
        self._shown = shown

    def __repr__(self) -> str:
        return f"<{self._shown}>"

    def __reduce__(self) -> str:
        return self._name  # the module's global of that name


_CALL = _Mark("_CALL", "call")
_DEQUE = _Mark("_DEQUE", "deque")
_DICT = _Mark("_DICT", "dict")
_INSTANCE = _Mark("_INSTANCE", "instance")
_LIST = _Mark("_LIST", "list")

# By id: the hash of a class may be its metaclass's own.
_ATOMS = frozenset(map(id, (str, int, float, bool, type(None), bytes, complex, frozenset, range, type(...))))
_BUILTINS = frozenset(map(id, (list, tuple, dict, set, deque, bytearray)))


def freeze(*values: Any, **named: Any) -> Hashable:
    """A hashable key of values that may hold lists, dicts, sets and dataclass instances.

    As ``key=memo.freeze`` it makes keys of calls with such arguments.  The keys of two values are
    equal if the values are: of the same kind with equal content, whatever the order in which dicts
    were filled.  As everywhere in Python 1, 1.0 and True are equal, so are a set and a frozenset,
    a bytearray and bytes, and a container and one of a subclass of its type; a list equals neither
    a tuple nor a deque.  Instances of dataclasses that cannot be hashed are equal if their types are
    the same and the fields that the dataclass compares are equal.

    What is hashable is part of the key as it is: ``freeze("a") == "a"``.  The key of a container is
    a copy, so that later changes do not reach it; the container must not be changed meanwhile.

    Args:
        *values: One value, whose key is returned; or several, which form one key.
        **named: Further values; their order does not matter.  ``freeze(1)`` and ``freeze(a=1)`` differ.

    Returns:
        The key; it can be pickled if what it holds can.

    Raises:
        TypeError: A value can neither be hashed nor be taken apart.
        ValueError: A value contains itself, or is nested beyond the interpreter's recursion limit.
    """
    try:
        if len(values) == 1 and not named:
            return _frozen(values[0], set())
        return (_CALL, _frozen(values, set()), _frozen(named, set()))
    except RecursionError:
        # Not chained: its traceback has a thousand lines.
        raise ValueError(
            f"freeze: {reprlib.repr(values[0] if values else named)} contains itself or is nested too deeply; "
            f"give a key= that picks out what tells the calls apart."
        ) from None


def _frozen(value: Any, path: set[int]) -> Hashable:
    kind = type(value)
    if id(kind) in _ATOMS:
        return value  # type: ignore[no-any-return]
    failure: Exception | None = None
    if id(kind) not in _BUILTINS:
        try:
            hash(value)
        except RecursionError:
            raise
        except Exception as error:  # a writable memoryview raises ValueError
            failure = error
        else:
            return value  # type: ignore[no-any-return]
    # The ids of the containers that this one is in: all of them are held by the caller's value.
    if id(value) in path:
        raise ValueError(
            f"freeze: {reprlib.repr(value)} of type {kind.__qualname__!r} contains itself; "
            f"give a key= that picks out what tells the calls apart."
        )
    path.add(id(value))
    try:
        return _taken_apart(value, kind, path)
    except _NoContainer:
        raise TypeError(
            f"freeze: {reprlib.repr(value)} of type {kind.__qualname__!r} can neither be hashed nor be taken apart; "
            f"give a key= that makes a hashable of it, or leave its parameter out of the key with ignore=."
        ) from failure
    finally:
        path.discard(id(value))


class _NoContainer(Exception):
    """The value is of no kind that can be taken apart."""


def _taken_apart(value: Any, kind: type, path: set[int]) -> Hashable:
    # Dataclasses first: one that derives from a container is compared by its fields all the same.
    if dataclasses.is_dataclass(kind):
        compared = [getattr(value, field.name) for field in dataclasses.fields(kind) if field.compare]
        return (_INSTANCE, kind, *_each(compared, path))
    # Their own iterators: a subclass may show something else than it holds, and equality ignores that.
    if issubclass(kind, list):
        return (_LIST, *_each(list.__iter__(value), path))
    if issubclass(kind, dict):
        return (_DICT, frozenset([(key, _frozen(content, path)) for key, content in dict.items(value)]))
    if issubclass(kind, tuple):
        items = tuple(_each(tuple.__iter__(value), path))
        # The tuple itself where nothing in it had to be replaced.
        return value if all(map(operator.is_, items, tuple.__iter__(value))) else items
    if issubclass(kind, set):
        return frozenset(set.__iter__(value))
    if issubclass(kind, deque):
        return (_DEQUE, *_each(deque.__iter__(value), path))
    if issubclass(kind, bytearray):
        return bytes(memoryview(value))
    raise _NoContainer


def _each(values: Iterable[Any], path: set[int]) -> list[Hashable]:
    return [_frozen(item, path) for item in values]

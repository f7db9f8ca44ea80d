"""``freeze``: a hashable key of values that cannot be hashed themselves.

Containers become tuples that begin with a private mark, so that no value a caller has equals them by
chance, and so that hashing and comparing them stays the interpreter's work.
"""

import operator
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Any, cast

from memo._base import short_text
from memo._call.fields import parts_of
from memo._freeze import _CALL, _DEQUE, _DICT, _INSTANCE, _LIST, _TYPED

__all__ = ("freeze", "freeze_typed")


# By id: the hash of a class may be its metaclass's own.
_ATOMS = frozenset(map(id, (str, int, float, bool, type(None), bytes, complex, frozenset, range, type(...))))
# Of these types nothing is equal to anything of another type that is not told from it by a mark.
_PLAIN = frozenset(map(id, (str, int, type(None), bytes, range, type(...), list, tuple, dict, set, deque)))
_BUILTINS = frozenset(map(id, (list, tuple, dict, set, deque, bytearray)))


def freeze(*values: Any, **named: Any) -> Hashable:
    """A hashable key of values that may hold lists, dicts, sets, arrays and instances with fields.

    As ``key=memo.freeze`` it makes keys of calls with such arguments.  The keys of two values are
    equal if the values are: of the same kind with equal content, whatever the order in which dicts
    were filled.  As everywhere in Python 1, 1.0 and True are equal (``freeze_typed`` tells them apart), so are a
    set and a frozenset, a bytearray and bytes, and a container and one of a subclass of its type; a list equals
    neither a tuple nor a deque.  Instances of dataclasses, attrs classes, pydantic models and msgspec structs that
    cannot be hashed are equal if their types are the same and the fields that these compare are equal; numpy arrays
    if their types, dtypes, shapes and content are.

    What is hashable is part of the key as it is: ``freeze("a") == "a"``; so an instance that can be hashed has
    another key than an equal one that cannot.  The key of a container is a copy, so that later changes do not reach
    it, and that of an array of 1 kB or more a digest; neither must be changed meanwhile.

    Args:
        *values: One value, whose key is returned; or several, which form one key.
        **named: Further values; their order does not matter.  ``freeze(1)`` and ``freeze(a=1)`` differ.

    Returns:
        The key; it can be pickled if what it holds can.

    Raises:
        TypeError: A value can neither be hashed nor be taken apart.
        ValueError: A value contains itself, or is nested beyond the interpreter's recursion limit.
    """
    return _key(values, named, typed=False)


def freeze_typed(*values: Any, **named: Any) -> Hashable:
    """The key that ``freeze`` makes, but with the types of all that it holds: 1, 1.0 and True have different keys.

    As ``key=memo.freeze_typed`` it is to ``key=memo.freeze`` what ``typed=True`` is to the keys that ``bounded`` makes
    itself, and goes on within: so do ``[1]`` and ``[1.0]``, a set and a frozenset, a dict and an ``OrderedDict``.

    Args:
        *values: As for ``freeze``.
        **named: As for ``freeze``.

    Returns:
        The key; it can be pickled if what it holds can.

    Raises:
        TypeError: A value can neither be hashed nor be taken apart.
        ValueError: A value contains itself, or is nested beyond the interpreter's recursion limit.
    """
    return _key(values, named, typed=True)


def _key(values: tuple[Any, ...], named: dict[str, Any], typed: bool) -> Hashable:
    try:
        if len(values) == 1 and not named:
            return _frozen(values[0], set(), typed)
        return (_CALL, _frozen(values, set(), typed), _frozen(named, set(), typed))
    except RecursionError:
        # Not chained: its traceback has a thousand lines.
        raise ValueError(
            f"freeze: {short_text(values[0] if values else named)} contains itself or is nested too deeply; "
            f"give a key= that picks out what tells the calls apart."
        ) from None


def _frozen(value: Any, path: set[int], typed: bool) -> Hashable:
    kind = type(value)
    if typed:
        if id(kind) in _PLAIN and id(kind) not in _BUILTINS:
            return value  # type: ignore[no-any-return]
    elif id(kind) in _ATOMS:
        return value  # type: ignore[no-any-return]
    failure: Exception | None = None
    hashed: tuple[Hashable, ...] = ()
    if id(kind) not in _BUILTINS:
        try:
            hash(value)
        except RecursionError:
            raise
        except Exception as error:  # a writable memoryview raises ValueError
            failure = error
        else:
            if not typed:
                return value  # type: ignore[no-any-return]
            hashed = (value,)
    # The ids of the containers that this one is in: all of them are held by the caller's value.
    if id(value) in path:
        raise ValueError(
            f"freeze: {short_text(value)} of type {kind.__qualname__!r} contains itself; "
            f"give a key= that picks out what tells the calls apart."
        )
    path.add(id(value))
    try:
        made = _taken_apart(value, kind, path, typed)
    except _NoContainer:
        if not hashed:
            reason = str(failure)  # programs look for the interpreter's own words
            begin = reason if reason.startswith("unhashable type:") else f"unhashable type: {kind.__qualname__!r}"
            raise TypeError(
                f"{begin}: freeze: {short_text(value)} of type {kind.__qualname__!r} can neither be hashed nor be "
                f"taken apart; give a key= that makes a hashable of it, or leave its parameter out of the key with "
                f"ignore=."
            ) from failure
        return (_TYPED, *hashed, kind)
    except TypeError:
        if not hashed:
            raise
        return (_TYPED, *hashed, kind)  # it compares by something else than the part that cannot be hashed
    finally:
        path.discard(id(value))
    if not typed or id(kind) in _PLAIN:
        return made
    # What is hashable stays in the key: its own equality may look at more than its parts.
    return _TYPED, *hashed, cast(Hashable, kind), made


class _NoContainer(Exception):
    """The value is of no kind that can be taken apart."""


def _taken_apart(value: Any, kind: type, path: set[int], typed: bool) -> Hashable:
    # Those with fields first: one that derives from a container is compared by its fields all the same.
    parts = None if id(kind) in _BUILTINS else parts_of(value, kind)
    if parts is not None:
        return (_INSTANCE, parts.kind, *_each(parts.values, path, typed))
    # Their own iterators: a subclass may show something else than it holds, and equality ignores that.
    if issubclass(kind, list):
        return (_LIST, *_each(list.__iter__(value), path, typed))
    if issubclass(kind, dict):
        return (
            _DICT,
            frozenset([
                (_frozen(key, path, True) if typed else key, _frozen(content, path, typed))
                for key, content in dict.items(value)
            ]),
        )  # fmt: skip
    if issubclass(kind, tuple):
        items = tuple(_each(tuple.__iter__(value), path, typed))
        # The tuple itself where nothing in it had to be replaced.
        return value if all(map(operator.is_, items, tuple.__iter__(value))) else items
    if issubclass(kind, set | frozenset):
        members = set.__iter__(value) if issubclass(kind, set) else frozenset.__iter__(value)
        return frozenset(_each(members, path, typed) if typed else members)
    if issubclass(kind, deque):
        return (_DEQUE, *_each(deque.__iter__(value), path, typed))
    if issubclass(kind, bytearray):
        return bytes(memoryview(value))
    raise _NoContainer


def _each(values: Iterable[Any], path: set[int], typed: bool) -> list[Hashable]:
    return [_frozen(item, path, typed) for item in values]

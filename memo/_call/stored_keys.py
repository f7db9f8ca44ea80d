"""Keys as tables hold them: what a hash costs the user is asked once, and remembered.

A miss looks a key up in a good half dozen places: among the running loads, in the store, in the policy, in the ghost,
and once more when it leaves.  Each would call the ``__hash__`` that the user wrote.  So each value whose hash or
comparison is anybody's code is held in a box that remembers the hash.

- A box equals the value, and hashes like it: a call looks up by the bare value, and hashes that once.
- The boxes of one function are known to each other: of those that are equal there is only one at a time, which
  ``stored_key()`` finds, without a lock, by comparing.  So tables tell them apart by identity, and no comparison of the
  user's runs under a lock, nor a second time.
- A box remembers how it compares with a number that hashes alike.  Who is about to take a lock looks up before it.
- Values of built-in types are held as they are.
"""

from collections.abc import Hashable
from datetime import date, datetime, timedelta
from enum import Enum
from types import WrapperDescriptorType
from typing import Any, TypeAlias
from weakref import ref

from memo._call.instances import InstanceRef

__all__ = ("PLAIN_KEYS", "HashedValue", "Known", "plain_key", "stored_key")

PLAIN_KEYS = frozenset({int, str, bytes, float, bool, complex, type(None), type, InstanceRef})
"""Types that need no box, which are most of those that keys are made of."""

_OWNERS = frozenset({*PLAIN_KEYS, object, date, datetime, timedelta})
"""Whoever has hash and comparison of one of these has none of the user's."""


_NUMBERS = frozenset({int, float, bool, complex})
_NOTHING: tuple[Any, bool] = object(), False


class HashedValue:
    """A part of a key, or all of one, with its hash."""

    __slots__ = ("__weakref__", "code", "known", "told", "value")

    value: Any
    code: int
    known: "Known | None"
    """Where it is the only one of those that are equal."""
    told: tuple[Any, bool]
    """The number that it was compared with last, and whether they are equal."""

    def __init__(self, value: Any) -> None:
        self.code = hash(value)
        self.value = value
        self.known = None
        self.told = _NOTHING

    def __hash__(self) -> int:
        return self.code

    def __eq__(self, other: object) -> bool:
        value = self.value
        if value is other:
            return True
        if type(other) is not HashedValue:
            number, equal = self.told
            if type(other) is not type(number) or other != number:
                equal = bool(value == other)
                if type(other) in _NUMBERS:
                    self.told = other, equal
            return equal
        if other.value is value:
            return True
        if self.known is other.known is not None:
            return False
        if other.code != self.code or not value == other.value:
            return False
        other.value = value  # the one that is looked for takes what is held, and is known to be equal from now on
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return HashedValue, (self.value,)  # the hash may be another in another process

    def __repr__(self) -> str:
        return repr(self.value)


Known: TypeAlias = dict[ref[HashedValue], ref[HashedValue]]
"""The boxes of one function that are alive."""


def stored_key(key: Any, known: Known | None = None) -> Hashable:
    """*key* as tables hold it.

    Args:
        key: What a call is told by.
        known: The boxes of the function, for a key that is to be looked up under a lock, or to be held.

    Raises:
        TypeError: It cannot be hashed.
    """
    kind = type(key)
    if kind in PLAIN_KEYS:
        return key  # type: ignore[no-any-return]
    if kind is tuple:
        for part in key:
            if type(part) not in PLAIN_KEYS:
                break
        else:
            return key  # type: ignore[no-any-return]
        parts = [part if _is_plain(part) else _boxed(part, known) for part in key]
        for part in parts:
            if type(part) is HashedValue:
                return tuple(parts)
        return key  # type: ignore[no-any-return]
    return key if _is_plain(key) else _boxed(key, known)


def _boxed(value: Any, known: Known | None) -> HashedValue:
    box = HashedValue(value)
    if known is None:
        return box
    while True:
        mine = ref(box, known.pop)  # which the dictionary does itself, so that nothing strikes it
        try:
            # one step: what another thread adds while this compares lies where it looks next
            found = known.setdefault(mine, mine)()
        finally:
            del mine  # before the box: if it is not held, there is nothing to take out
        if found is not None:  # else it died meanwhile
            found.known = known
            return found


def plain_key(key: Any) -> Any:
    """The key that ``stored_key`` was given."""
    kind = type(key)
    if kind is HashedValue:
        return key.value
    if kind is tuple:
        for part in key:
            if type(part) is HashedValue:
                return tuple([part.value if type(part) is HashedValue else part for part in key])
    return key


def _is_plain(value: Any) -> bool:
    """Whether hashing and comparing *value* runs no code but the interpreter's own."""
    kind: Any = type(value)
    if kind in PLAIN_KEYS or kind is HashedValue:
        return True
    if kind is tuple:
        return all(map(_is_plain, value))
    return (_owner(kind.__hash__) in _OWNERS or kind.__hash__ is Enum.__hash__) and _owner(kind.__eq__) in _OWNERS


def _owner(method: Any) -> Any:
    return method.__objclass__ if type(method) is WrapperDescriptorType else None

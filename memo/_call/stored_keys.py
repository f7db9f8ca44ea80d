"""Keys as tables hold them: what a hash costs the user is asked once, and remembered.

A miss looks a key up in a good half dozen places: among the running loads, in the store, in the policy, in the ghost,
and once more when it leaves.  Each would call the ``__hash__`` that the user wrote.  So each value whose hash or
comparison is anybody's code is held in a box that remembers the hash.

- A box equals the value, and hashes like it: a call looks up by the bare value, and hashes that once.
- Two boxes that turned out equal share one value from then on, so that they are not compared a second time: who is
  about to take a lock looks up before it, and under the lock no comparison of the user's runs, but among keys that
  differ and hash alike.
- Values of built-in types are held as they are.
"""

from collections.abc import Hashable
from datetime import date, datetime, timedelta
from enum import Enum
from types import WrapperDescriptorType
from typing import Any

from memo._call.instances import InstanceRef

__all__ = ("PLAIN_KEYS", "HashedValue", "plain_key", "stored_key")

PLAIN_KEYS = frozenset({int, str, bytes, float, bool, complex, type(None), type, InstanceRef})
"""Types that need no box, which are most of those that keys are made of."""

_OWNERS = frozenset({*PLAIN_KEYS, object, date, datetime, timedelta})
"""Whoever has hash and comparison of one of these has none of the user's."""


class HashedValue:
    """A part of a key, or all of one, with its hash."""

    __slots__ = ("code", "value")

    value: Any
    code: int

    def __init__(self, value: Any) -> None:
        self.code = hash(value)
        self.value = value

    def __hash__(self) -> int:
        return self.code

    def __eq__(self, other: object) -> bool:
        value = self.value
        if value is other:
            return True
        if type(other) is not HashedValue:
            return bool(value == other)
        if other.value is value:
            return True
        if other.code != self.code or not value == other.value:
            return False
        other.value = value  # the one that is looked for takes what is held, and is known to be equal from now on
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return HashedValue, (self.value,)  # the hash may be another in another process

    def __repr__(self) -> str:
        return repr(self.value)


def stored_key(key: Any) -> Hashable:
    """*key* as tables hold it.

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
        parts = [part if _is_plain(part) else HashedValue(part) for part in key]
        for part in parts:
            if type(part) is HashedValue:
                return tuple(parts)
        return key  # type: ignore[no-any-return]
    return key if _is_plain(key) else HashedValue(key)


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

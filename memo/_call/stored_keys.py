"""Keys as tables hold them: what a hash costs the user is asked once, and remembered.

A miss looks a key up in a good half dozen places: among the running loads, in the store, in the policy, in the ghost,
and once more when it leaves.  Each would call the ``__hash__`` that the user wrote.  So each value whose hash or
comparison is anybody's code is held in a box that remembers the hash.

- A box equals the value, and hashes like it: a call looks up by the bare value, and hashes that once.
- The boxes of one function are known to each other: of those that are equal there is only one at a time, which
  ``stored_key()`` finds, without a lock, by comparing.  So tables tell them apart by identity, and no comparison of the
  user's runs under a lock, nor a second time.
- Values of built-in types are held as they are.  A box remembers how it compares with those that hash alike, and who is
  about to take a lock looks up before it.
- Still one may come in between.  So whoever looks up under the lock is prepared that a pair was never compared
  (``Undecided``): that happens then without the lock, and he begins again (``comparing_outside()``).  It strikes where
  a key is put in, or is missing: keys that a table holds were compared with each other when the later one came.
"""

import threading
from collections.abc import Callable, Hashable
from datetime import date, datetime, timedelta
from enum import Enum
from types import WrapperDescriptorType
from typing import Any, TypeVar
from weakref import ref

from memo._call.instances import ArgumentRef, InstanceRef

__all__ = ("PLAIN_KEYS", "HashedValue", "Known", "Undecided", "comparing_outside", "plain_key", "stored_key")

T = TypeVar("T")

PLAIN_KEYS = frozenset({int, str, bytes, float, bool, complex, type(None), type, InstanceRef, ArgumentRef})
"""Types that need no box, which are most of those that keys are made of."""

_MANY = 509
"""Tables of boxes where there may be many, a prime: with five million boxes each is rebuilt in half a millisecond."""

_OWNERS = frozenset({*PLAIN_KEYS, object, date, datetime, timedelta})
"""Whoever has hash and comparison of one of these has none of the user's."""


class HashedValue:
    """A part of a key, or all of one, with its hash."""

    __slots__ = ("__weakref__", "code", "known", "told", "value")

    value: Any
    code: int
    known: "Known | None"
    """Where it is the only one of those that are equal."""
    told: dict[tuple[type, Any], bool] | None
    """The values of built-in types that it was compared with, and whether they are equal: few hash like it."""

    def __init__(self, value: Any) -> None:
        self.code = hash(value)
        self.value = value
        self.known = None
        self.told = None

    def __hash__(self) -> int:
        return self.code

    def __eq__(self, other: object) -> bool:
        value = self.value
        if value is other:
            return True
        if type(other) is not HashedValue:
            kind = type(other)
            if (kind is type(value) and kind is not tuple) or not _is_plain(other):
                return bool(value == other)
            return self._equals_plain(other)
        if other.value is value:
            return True
        if self.known is other.known is not None:
            return False
        if other.code != self.code or not value == other.value:
            return False
        other.value = value  # the one that is looked for takes what is held, and is known to be equal from now on
        return True

    def _equals_plain(self, other: Any) -> bool:
        pair = type(other), other
        equal = None if self.told is None else self.told.get(pair)
        if equal is None:
            if self.known is not None and self.known.lock._is_owned():  # type: ignore[attr-defined]
                raise Undecided(self, other)
            equal = bool(self.value == other)
            if self.told is None:
                self.told = {}
            self.told[pair] = equal
        return equal

    def __reduce__(self) -> tuple[Any, ...]:
        return HashedValue, (self.value,)  # the hash may be another in another process

    def __repr__(self) -> str:
        return repr(self.value)


class Known:
    """The boxes of one function that are alive.

    Args:
        lock: Nothing of the user's is compared while it is held.
        many: There may be so many that they are in several tables by their hashes, none of which is rebuilt at length.
    """

    __slots__ = ("_count", "_tables", "lock")

    def __init__(self, lock: threading.RLock, many: bool = False) -> None:
        self.lock: threading.RLock = lock
        self._count = _MANY if many else 1
        self._tables: dict[int, dict[ref[HashedValue], ref[HashedValue]]] = {}
        """Those that have had a box so far; no box is ever moved to another, since who looks there holds no lock."""

    def __len__(self) -> int:
        return sum(map(len, self._tables.copy().values()))

    def table(self, code: int) -> dict[ref[HashedValue], ref[HashedValue]]:
        """The boxes of this hash, and others."""
        number = code % self._count
        found = self._tables.get(number)
        return self._tables.setdefault(number, {}) if found is None else found


class Undecided(BaseException):
    """Two keys that hash alike met under the lock and were never compared.

    No ``Exception``: it is no failure, and whoever handles those must not take it for one.
    """

    def __init__(self, box: HashedValue, other: object) -> None:
        super().__init__(box, other)
        self._pair = box, other

    def decide(self, lock: threading.RLock) -> None:
        """Compare the two; where this thread holds *lock* still, raise again, for whoever took it."""
        if lock._is_owned():  # type: ignore[attr-defined]
            raise self
        box, other = self._pair
        box.__eq__(other)


def comparing_outside(lock: threading.RLock, look: Callable[..., T], *args: Any) -> T:
    """What *look* returns, which takes *lock* and looks keys up there; it begins again after each ``Undecided``.

    Raises:
        BaseException: What *look*, or a comparison, raises.
    """
    while True:
        try:
            return look(*args)
        except Undecided as met:
            met.decide(lock)


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
    alive = known.table(box.code)
    while True:
        mine = ref(box, alive.pop)  # which the dictionary does itself, so that nothing strikes it
        try:
            # one step: what another thread adds while this compares lies where it looks next
            found = alive.setdefault(mine, mine)()
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

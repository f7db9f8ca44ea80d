"""Instances as parts of keys: by identity, without keeping them alive.

A key that began with ``id(instance)`` would be inherited by whatever object comes to live at
the same address.  A key that began with the instance would keep it alive and would need it to
be hashable.  So each instance gets a token, an ``InstanceRef``, found by its address:

- ``refs`` maps ``id(instance)`` to the token as long as the instance lives.  A weak
  reference's callback removes it before the interpreter can reuse the address.
- That callback, and the one that notes the death in ``dead``, are functions in C, so that no exception strikes
  before they are done.  The third, in Python, has the entries go at once; should it be cut short, they go with the
  next change of the store, which looks at ``dead``.  The interpreter calls the newest callback first.
- A token is equal to itself alone, so keys of a dead instance never match a later one.
- The third callback takes no lock: the collector may run it anywhere, also in a thread that holds one.

What else is in keys by identity alone (weak arguments, event loops) has tokens of the same making, an ``ArgumentRef``;
see ``tokens``.
"""

import functools
import itertools
import sys
import weakref
from collections.abc import Callable, Hashable, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar

from memo._base import Pace, Weakly, is_open_class, way_to_weak_references
from memo._native import speed

__all__ = (
    "ArgumentRef", "InstanceRef", "Instances", "belongs_to", "held_parts", "owner_of", "refs_in", "rest_of",
)  # fmt: skip


_numbers = itertools.count()
_WHOLE = 10_000
"""The tokens of more instances are not given up in one go, which takes about a microsecond for each."""
_LOT = 100
"""So many are taken out at a time."""


class InstanceRef(weakref.ref[Any]):
    """A weak reference that compares and hashes by its own identity, not its referent's."""

    __slots__ = ("bell", "forget", "number", "table")

    bell: weakref.ref[Any]
    forget: weakref.ref[Any]
    """More weak references to the instance, which have callbacks of their own."""
    number: int
    """What no other token has, also none that comes to live where this one did."""
    table: MutableMapping[Any, Any]
    """The entries that bear this token, by the rest of their key: what a hit on a method reads without a
    lock.  Changed under the lock of the store that holds them."""

    if TYPE_CHECKING:

        def __eq__(self, other: object, /) -> bool: ...
        def __ne__(self, other: object, /) -> bool: ...
        def __hash__(self) -> int: ...

    else:  # the interpreter's own, since these run at each look-up
        __eq__ = object.__eq__
        __ne__ = object.__ne__
        __hash__ = object.__hash__


class ArgumentRef(InstanceRef):
    """The token of a weak argument, or of an event loop; it stands anywhere in a key but within its parts.

    Its ``table`` lists the entries whose keys hold it by their own ids.
    """

    __slots__ = ()

    def __copy__(self) -> "ArgumentRef":
        return self

    def __deepcopy__(self, memo: object) -> "ArgumentRef":
        return self


class Instances:
    """The tokens of the live instances on which one decorated function was called.

    Args:
        name: The function's name, for messages.
        died: Called with the token of an instance that was collected, in whatever thread the
            collector ran; must neither block nor raise.
        dead: Where those that died are noted, if others note theirs there too.
    """

    __slots__ = ("__weakref__", "_died", "_forget", "_name", "_note", "_ring", "dead", "refs")

    kind: ClassVar[type[InstanceRef]] = InstanceRef

    def __init__(self, name: str, died: Callable[[InstanceRef], object], dead: list[InstanceRef] | None = None) -> None:
        self._ring = Weakly(self.bury)
        self.refs: Any = {} if speed is None else speed.Refs()
        self.dead: list[InstanceRef] = [] if dead is None else dead
        """The tokens of instances that died, until that has been told."""
        self._forget, self._note = self.refs.pop, self.dead.append  # one of each for all tokens
        self._name = name
        self._died = died

    def token(self, instance: Any) -> Hashable:
        """What stands for *instance* in a key: its token, or itself if it allows no weak reference.

        Raises:
            TypeError: The instance can be neither weakly referenced nor hashed.
        """
        address = id(instance)
        ref = self.refs.get(address)
        if ref is not None:
            return ref  # type: ignore[no-any-return]
        try:
            bell = weakref.ref(instance, self._ring)
            ref = self.kind(instance, self._note)
        except TypeError:
            return self._itself(instance)
        ref.bell = bell
        ref.forget = weakref.ref(instance, functools.partial(self._forget, address))
        ref.number = next(_numbers)
        ref.table = {}
        return self.refs.setdefault(address, ref)  # type: ignore[no-any-return]  # two threads may get here with one

    def _itself(self, instance: Any) -> Hashable:
        try:
            hash(instance)
        except TypeError as error:
            kind = type(instance)
            name = kind.__qualname__
            reason = str(error)
            begin = reason if reason.startswith("unhashable type:") else f"unhashable type: {name!r}: {reason}"
            way = way_to_weak_references(kind)
            if way is None and is_open_class(kind):
                way = f"give {name} a __hash__, so that equal instances share entries"
            raise TypeError(
                f"{begin}: {self._name}(): the instance of type {name!r} can be neither weakly referenced nor hashed, "
                f"so it cannot be part of a key; {f'{way}, or ' if way else ''}leave it out of the key with "
                f"ignore=('self',)."
            ) from None
        return instance  # type: ignore[no-any-return]  # hashable, as just tried

    def bury(self, _: object = None) -> None:
        """Tell of the instances that have died; what is cut short stays noted."""
        taken: list[InstanceRef] = []
        try:
            while self.dead:
                taken.extend(map(self.dead.pop, (0,)))  # one step, which knows what it took
                self._died(taken[0])
                taken.clear()
        except IndexError:  # another thread took the last one
            if taken:
                raise
        except BaseException:
            self.dead.extend(taken)
            raise

    def __del__(self) -> None:
        try:
            refs = self.refs
            if len(refs) > _WHOLE and not sys.is_finalizing():
                _thin_out(refs)
            refs.clear()  # whose tokens hold it, by what forgets them
        except AttributeError:  # its making was cut short before it had any
            pass


def _thin_out(refs: Any) -> None:
    """Give up the tokens of many instances, some at a time: all at once would keep every other thread waiting."""
    pace = Pace(blocking=True)  # it is a finalizer
    while refs:
        pace.let_go(_some_of(refs))
        pace.rest()


def _some_of(refs: Any) -> list[Any]:
    """Some tokens, which *refs* has no more."""
    if speed is not None:
        return refs.take(_LOT)  # type: ignore[no-any-return]
    try:
        return [refs.popitem()[1] for _ in range(min(_LOT, len(refs)))]
    except KeyError:  # others died meanwhile
        return []


def owner_of(key: Hashable) -> InstanceRef | None:
    """The token that *key*, a key of a method, begins with; None if its instance has none."""
    if type(key) is tuple and key and type(key[0]) is InstanceRef:
        return key[0]
    return None


_TOKENS = frozenset({ArgumentRef, InstanceRef})


def refs_in(key: Hashable) -> list[ArgumentRef]:
    """The tokens of weak arguments and event loops that *key* holds."""
    return [part for part in key if type(part) is ArgumentRef] if type(key) is tuple else []


def held_parts(key: Hashable) -> tuple[Any, ...]:
    """What *key* holds beside tokens, which belong to whatever they stand for."""
    if type(key) is not tuple or _TOKENS.isdisjoint(map(type, key)):
        return (key,)
    return tuple([part for part in key if type(part) not in _TOKENS])


def belongs_to(key: Hashable, token: Hashable | None) -> bool:
    """Whether *key*, a key of a method, is one of the instance that *token* stands for; None: of any."""
    return token is None or (type(key) is tuple and bool(key) and (key[0] is token or key[0] == token))


def rest_of(key: Hashable) -> Any:
    """A method's *key* without the token that it begins with: the one value, or a tuple of them."""
    assert isinstance(key, tuple)
    return key[1] if len(key) == 2 else key[1:]

"""The forms of an entry: a stored value that is its own node in the rings of a policy."""

from typing import TYPE_CHECKING, Any

from memo._native import speed
from memo._rings import StoreNode

__all__ = ("Entry", "Failure", "IdleEntry", "LoopEntry", "RichEntry", "TrackedEntry", "WeighedEntry")


if TYPE_CHECKING or speed is None:

    class Entry(StoreNode):
        """A stored value, its own node in the rings of a policy.

        It is born empty: who makes it sets ``value``, ``deadline`` (the time from which on it is stale),
        ``stored`` (the time at which it was stored), ``hits`` and ``counted``.

        Made in C it is no object of the garbage collector: the queue in which it hangs visits what it holds, while the
        index is the only one to hold the entry.
        """

        __slots__ = ("counted", "deadline", "stored", "value")

        counted: int
        """Those of its hits that the figures of the store have; guarded by the store's lock."""
        value: Any
        deadline: float
        stored: float

        def __getstate__(self) -> tuple[None, dict[str, Any]]:
            names = (name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ()))
            state = {n: getattr(self, n) for n in names if n not in ("newer", "older", "loop") and hasattr(self, n)}
            if not isinstance(state.get("mark"), int):  # a place, too
                state.pop("mark", None)
            return None, state

    TrackedEntry = Entry
    """An entry that more tables hold than the index: the garbage collector knows it in any case."""
else:
    Entry = speed.Entry
    TrackedEntry = speed.TrackedEntry


class IdleEntry(TrackedEntry):
    """An entry that knows when it was last used."""

    __slots__ = ("size", "used")

    size: int
    used: float


class WeighedEntry(TrackedEntry):
    """An entry that knows what ``sizeof`` said of its value."""

    __slots__ = ("size",)

    size: int


class RichEntry(IdleEntry):
    """An entry with tags of its own, one that may serve past its deadline, or a remembered failure."""

    __slots__ = ("counted_stale", "ends", "failure", "paused", "retry", "stale_hits", "tags")

    ends: float
    """The time from which on it may serve nobody."""
    failure: bool
    """Its value is a ``Failure``; its deadline lies behind, so that no hit finds it fresh."""
    retry: float
    """Until then whoever finds it stale is answered at once, and nobody begins a load."""
    paused: float
    """Until then a load that failed is not tried again."""
    stale_hits: int
    """Those of its hits that found it stale."""
    counted_stale: int
    """Those of its stale hits that the figures of the store have."""
    tags: tuple[str, ...]
    loop: Any = None
    """Where its value belongs, for who is told of it as it leaves; of most, nowhere."""


class LoopEntry(RichEntry):
    """A ``RichEntry`` whose value belongs to an event loop."""

    __slots__ = ("loop",)


class Failure:
    """What is remembered of a load that failed."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

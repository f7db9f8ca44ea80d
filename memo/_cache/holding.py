"""What a lease holds: references that keep something that left from being told; see ``leases``."""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from memo._base import thread_ident
from memo._store import Gone

__all__ = ("Bell", "Guard", "Hold", "Untold")


class Untold:
    """Something that left and is due once nobody holds this."""

    fall: Callable[[], object] = int
    """Called then; it does nothing as long as this is held by nobody but its maker."""
    bell: "Bell | None" = None

    __del__ = property(attrgetter("fall"))
    """So that no bytecode runs, and nothing strikes, before it is where it is to fall."""

    def __init__(self, item: Gone) -> None:
        self.item: Gone = item


class Bell:
    """Goes with something untold: that may have to be told now.

    Args:
        ring: Called then.
    """

    __slots__ = ("_ring",)

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring

    def __del__(self) -> None:
        getattr(self, "_ring", int)()  # it may never have been whole


class Guard:
    """What all hold who have one value in use, or who stand at one key."""

    __slots__ = ("__weakref__", "newer", "untold", "value")

    def __init__(self, value: Any = None) -> None:
        self.value: Any = value
        self.untold: list[Untold] = []
        self.newer: Guard | None = None
        """That of those who came to the key later: what they hold, those who came before them hold too."""

    def all_untold(self) -> Iterator[Untold]:
        """What is held here and behind."""
        guard: Guard | None = self
        while guard is not None:
            yield from guard.untold
            guard = guard.newer

    def let_be(self) -> None:
        """Tell nobody of what is held here."""
        for untold in self.untold:
            untold.fall = int
        self.untold.clear()


class Hold:
    """One lease that is under way.

    Attributes:
        began: When it got its value; None as long as it stands at its key.
        guard: What it holds; None once it has ended.
        thread: Whose it is.
    """

    __slots__ = ("__weakref__", "began", "guard", "thread")

    def __init__(self, guard: Guard) -> None:
        self.began: float | None = None
        self.guard: Guard | None = guard
        self.thread: int = thread_ident()

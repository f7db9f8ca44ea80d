"""What a clean-up drops, counted in one form for stores, running calls, windows and limits."""

from typing import NamedTuple, Self

__all__ = ("Swept",)


class Swept(NamedTuple):
    """How much one slice of a clean-up dropped, or all of it."""

    entries: int = 0
    """Entries past their life."""
    flights: int = 0
    """Calls that were stuck, or whose thread or loop had died."""
    events: int = 0
    """Window events past their span."""
    keys: int = 0
    """Keys that a limit need not follow any more."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)

    def plus(self, more: "Swept") -> Self:
        """Both together."""
        return type(self)(*map(int.__add__, self, more))

"""All that a large store had, given away in one step: told and freed bit by bit, without the lock.

Nothing of it is reached from the store any more.  To free ten million entries in one go would keep every other thread
waiting for seconds, though no lock is held: the interpreter does nothing else meanwhile.
"""

from collections.abc import Iterator
from typing import Any

from memo._store.clearing import Exodus
from memo._store.crumbs import crumbs
from memo._store.eviction import EvictionReason

__all__ = ("Giveaway",)

LOT = 50
"""Most entries that are told in one go."""


class Giveaway:
    """What a large store is to give away, in the hands of who has it emptied before it gets anything.

    It stays in step whatever strikes: a lot is in its place until ``done()``, for the one who goes on then.

    Args:
        reason: Why.
        now: When.
        counted: What leaves counts in the store that it left.

    Attributes:
        reason: Why its entries leave.
        tables: The heirs of the index; as their turn comes, lists of their entries; None once those were told.
        remains: What else is large: of the policy, and of the index of tags.
        number: Values that were told so far as having left for that reason.
        is_over: Nobody waits for it any more.
    """

    __slots__ = ("_now", "_place", "counted", "is_over", "number", "reason", "remains", "tables")

    def __init__(self, reason: EvictionReason, now: float, counted: bool = True) -> None:
        self.reason: EvictionReason = reason
        self.counted: bool = counted
        self._now = now
        self.tables: list[Any] = []
        self.remains: list[Any] = []
        self.number: int = 0
        self.is_over: bool = False
        self._place: tuple[int, int, Exodus | None] = 0, 0, None
        """Which heir, which of its entries is next, and the lot that begins there, once it was made."""

    def lot(self) -> Exodus | None:
        """Those whose turn it is; None if all have had it."""
        number, begin, lot = self._place
        while lot is None and number < len(self.tables):
            heir = self.tables[number]
            if type(heir) is dict:
                self.tables[number] = list(heir.values())
                heir.clear()  # who goes through the table at this moment would keep all of it until its own end
            elif type(heir) is not list and heir:  # a table in C, of which each lot is taken
                self.tables.insert(number, [])
                heir.take(LOT, self.tables[number])
            listed = self.tables[number]
            entries = listed[begin : begin + LOT] if type(listed) is list else []
            if entries:
                lot = Exodus(entries, self.reason, self._now)
                self._place = number, begin, lot
            else:
                self._place = number + 1, 0, None
                self.tables[number] = None
                number, begin = number + 1, 0
        return lot

    def done(self, number: int) -> None:
        """Those whose turn it was have been told; *number* of them left for the reason that all do.

        The lot and what was told of it hold them now, and nothing else does.
        """
        table, begin, _ = self._place
        self.number += number
        end = begin + LOT
        self._place = table, end, None
        self.tables[table][begin:end] = [None] * len(self.tables[table][begin:end])

    def crumbs(self) -> Iterator[int]:
        """Free what else there is, a bit at a time; how many items."""
        return crumbs(self.remains)

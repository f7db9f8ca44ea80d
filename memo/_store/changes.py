"""How a store is changed: one change at a time, whole or not at all, and what leaves is told.

Invariants:

- Everything but the look-up of a hit happens under ``lock``, in ``change()`` or in ``put_lean()``.
- What is about to leave is in the hands of the caller before it leaves, so that ``on_evict`` hears of it even if an
  exception comes in between; should it not have left after all, it is taken back.  So a change that is cut short, at
  whichever instruction, is done in part or not at all, nothing leaves untold, and the next one finds a whole store:
  what is *torn* is mended before it begins.
- What left is let go of outside the lock.
- ``change()`` is not re-entered: what a finalizer, or a policy of the user's own, asks for in the middle of a change is
  done at its end.
- Under the lock no code of the user's runs but that of a ``policy=`` of the user's own, and finalizers.  Keys come as
  ``stored_key()`` makes them with what is known of the function: to look one up compares nothing.  Should it have to,
  the operation ends (``Undecided``), and begins again once that is compared without the lock.
- An exception is handled with as little of the stack as there may be left: no deeper than the operation itself began.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from memo._base import rlock
from memo._call import comparing_outside
from memo._store.clearing import Exodus
from memo._store.departures import Departures, Gone
from memo._store.figures import Figures
from memo._store.foreign_shelf import ForeignShelf
from memo._store.serving import Serving
from memo._store.shelf import Operation, PutOff, Shelf

__all__ = ("Changes", "nothing")

T = TypeVar("T")


class Changes:
    """The changes of one store.

    Args:
        shelf: What is changed.
        serving: Tells what is past its life.
        put_off: Where others put what is to be done at the end of a change.
    """

    __slots__ = (
        "_figures", "_foreign", "_lost", "_owners", "_serving", "_shelf", "_show", "busy", "lock", "put_off", "torn"
    )  # fmt: skip

    lock: threading.RLock

    def __init__(self, shelf: Shelf, serving: Serving, put_off: PutOff) -> None:
        self.lock = rlock()
        self.put_off = put_off
        """What was asked for in the middle of a change."""
        self.busy = False
        """A change is under way, in the thread that holds the lock."""
        self.torn = False
        """A change was cut short: what follows from the index is made anew before the next one."""
        self._shelf = shelf
        self._show = shelf.show
        self._figures = shelf.figures
        self._owners = shelf.owners
        self._foreign = isinstance(shelf, ForeignShelf)
        self._serving = serving
        self._lost: Any = None
        """An entry that left in a ``put_lean`` that was cut short, for its caller to tell."""

    def change(self, operation: Operation, *args: Any, gone: list[Gone] | None = None) -> list[Gone]:
        """Run an operation of the shelf under the lock; returns what left the store.

        Args:
            operation: Called with a list to add to what leaves, and with *args*; perhaps again, if it comes upon keys
                that were not compared.
            args: More arguments.
            gone: The list, for who must know of what left though this raises.
        """
        gone = Departures() if gone is None else gone
        return comparing_outside(self.lock, self._change, [operation, args], gone)

    def _change(self, to_do: list[Any], gone: list[Gone]) -> list[Gone]:
        """Do that; *to_do*, the operation and its arguments, is left to be ``nothing`` once it is done."""
        operation, args = to_do
        away = None
        told = len(gone)
        try:
            with self.lock:
                if self.busy:
                    self.put_off.append((operation, args))
                    return gone
                shelf = self._shelf
                late = False
                try:
                    self.busy = True
                    if self.torn or shelf.ring.key is True:
                        shelf.mend(gone)
                        self.torn = False
                    if self._owners.dead:
                        shelf.bury()
                    operation(gone, *args)
                    late = True
                    to_do[:] = nothing, ()
                    self._catch_up(gone)
                    told = len(gone)
                    away, shelf.away = shelf.away, None
                    self.busy = False
                except BaseException as error:
                    self.torn = True
                    try:  # one call deep, as the operation was: where there is no room for it, none has begun
                        away = shelf.recover(gone, away)
                        if late and self.put_off and _would_fail_again(error):
                            self.put_off.popleft()
                        if self._foreign:
                            self._mend_foreign(gone)
                        told = len(gone)
                    finally:
                        self.busy = False
                    raise
            if away is not None:
                self._let_go(gone, told, away)
                away = None
        except BaseException:
            if away is not None:
                self._let_go(gone, told, away)
            raise
        return gone

    def _catch_up(self, gone: list[Gone]) -> None:
        """Do what was put off; what is struck stays in the queue, for the one who mends."""
        while self.put_off:
            operation, args = self.put_off[0]
            operation(gone, *args)
            self.put_off.popleft()
        if self._shelf.lingering:
            self._shelf.bury_some(gone)

    def settle(self, gone: list[Gone]) -> None:
        """Do now, in the middle of a change, what was put off until its end."""
        while self.put_off:
            operation, args = self.put_off.popleft()
            operation(gone, *args)

    def walk(self, step: Callable[..., T], *args: Any) -> T:
        """What *step* returns, the beginning or a step of a walk; called under the lock, between two changes."""
        with self.lock:
            try:
                return step(*args)
            except BaseException:
                self.torn = True  # its marker may hang in the ring in part
                raise

    def put_lean(self, key: Hashable, entry: Any, now: float) -> Any:
        """Put *entry* in for another, without detours; called with the lock held, for a ``lean`` store.

        Returns:
            The entry that left; None if this is no case for short cuts, and nothing was done.
        """
        if self._owners.apart or self.put_off or self.busy or self.torn:
            return None
        shelf, figures = self._shelf, self._figures
        index = shelf.index
        cache = shelf.cache
        victim = None
        count = figures.left_for_size
        try:
            self.busy = True
            # the look-up first: it may run a comparison, which may ask for anything, and gets it afterwards
            if key in index or cache._Cache__currsize < shelf.most:  # each counts 1, and len() may be a call
                self.busy = False
                return None
            victim = cache.exchange(key, entry)
            hits = victim.hits
            if hits is not victim.counted:  # counted here, as below: a call would cost more
                figures.seen_hits += hits - victim.counted
                victim.counted = hits
            if now < victim.deadline:
                figures.left_for_size = count + 1
            else:
                figures.left["expired"] += 1
            cache.leaving = None
            self.busy = False
        except BaseException:
            # no call into Python from here: there may be no stack left for it
            self.torn = True
            lost = victim
            if cache.leaving is not None and cache.leaving not in index.values():
                lost = cache.leaving
                if now < lost.deadline:
                    figures.left_for_size = count + 1
                elif victim is None:
                    figures.left["expired"] += 1
            cache.leaving = None
            self._lost = lost
            self.busy = False
            raise
        return victim

    def take_lost(self) -> Any:
        """The entry that left in a ``put_lean`` that was cut short, if one did."""
        with self.lock:
            lost, self._lost = self._lost, None
            return lost

    def show(self, entry: Any, now: float) -> bool:
        """Show the policy a use of *entry*; whether it is still there.  Called with the lock held."""
        if self.busy or (self.torn and not self._foreign):
            return True
        try:
            self.busy = True
            there = self._show(entry, now)
            self.busy = False
        except BaseException:
            self.torn = True
            self.busy = False
            raise
        return there

    def _mend_foreign(self, gone: list[Gone]) -> None:
        """Have told what a policy of the user's own let go of, if it can be: else it is torn still."""
        try:
            self._shelf.mend(gone)
            self.torn = False
        except BaseException:
            pass

    def _let_go(self, gone: list[Gone], told: int, away: Exodus) -> None:
        """Tell what left all together, after the first *told* of *gone*: without the lock, and again if cut short."""
        shelf = self._shelf
        items, counts = away.told_apart(self._serving, shelf.figures, shelf.rich)
        with self.lock:
            away.count(shelf.figures, counts)
            gone[told:] = items

    def tell_apart(self, lot: Exodus, counted: bool = True) -> Departures:
        """What is told of *lot*, which left with all others; once more if that was cut short.

        Args:
            lot: What left.
            counted: It counts here; it does not if the store that it left is no more.
        """
        if lot.gone is None:
            shelf = self._shelf
            figures = shelf.figures if counted else Figures(shelf.rich)
            items, counts = lot.told_apart(self._serving, figures, shelf.rich)
            with self.lock:
                lot.count(figures, counts)
            lot.gone = Departures(items)
        return lot.gone


def _would_fail_again(error: BaseException) -> bool:
    """Whether what was put off failed by itself, and not by what struck it."""
    return isinstance(error, Exception) and type(error) is not RecursionError


def nothing(*args: Any) -> None:
    """An operation for who wants done what was put off."""

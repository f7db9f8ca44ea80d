"""Who is told of what happens in the functions of one registry.

Functions learn who there is, all at once when that changes, and write it into their wrappers: while nobody is there,
nothing looks.
"""

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from memo._base import Audience, Seat, Weakly
from memo._registry.parts import Part

__all__ = ("Audiences",)

_UNKNOWN: Any = object()


class Audiences:
    """The audience of one registry, and what its functions know of it.

    Args:
        lock: The registry's.
        parts: Gives the parts of its functions, as they are; does nothing once the registry is gone.
    """

    def __init__(self, lock: threading.RLock, parts: Callable[[], Iterator[Part]]) -> None:
        self._lock = lock
        self._parts = parts
        self.audience: Audience = Audience()
        """Replaced as a whole, under the lock."""
        self._shown: Audience | None = None
        """What all functions were told; None: that there is nobody."""

    def admit(self, part: Part) -> None:
        """Tell *part*, of a function that joins, who there is.  Lock held."""
        part.be_watched(self.audience if self.audience.is_there else None)

    def seat(self, row: str, seat: Seat[Any]) -> Callable[[], None]:
        """Have *seat* be told from now on what that row is told of; returns what ends that, again without effect.

        Whoever holds that holds nothing of ours.
        """
        try:
            with self._lock:
                self._change(row, (*getattr(self.audience, row), seat))
        except BaseException:  # interrupted: nobody could end it
            self._let_go(row, lambda: seat)
            raise
        return functools.partial(Weakly(self._let_go), row, weakref.ref(seat))

    def _let_go(self, row: str, seat: Callable[[], Seat[Any] | None]) -> None:
        """Have that one hear no more; cut short, or after that, it can be done again."""
        with self._lock:
            gone = seat()
            self._change(row, _without(gone, getattr(self.audience, row)))

    def _change(self, row: str, seats: tuple[Seat[Any], ...]) -> None:
        """Exchange a row, and tell all functions; cut short, they are told by the next change.  Lock held."""
        self.audience = self.audience._replace(**{row: seats})
        audience = self.audience if self.audience.is_there else None
        if self._shown is audience:
            return
        self._shown = _UNKNOWN
        self._show(audience)
        self._shown = audience

    def _show(self, audience: Audience | None) -> None:
        for part in self._parts():
            part.be_watched(audience)


def _without(gone: Seat[Any] | None, seats: tuple[Seat[Any], ...]) -> tuple[Seat[Any], ...]:
    return tuple([one for one in seats if one is not gone])

"""Long work in small slices: how other threads get their turn in between."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from memo._base.real_time import real

__all__ = ("SEVERAL", "Pace", "in_slices", "unhurried")

T = TypeVar("T")

_RUN_S = 0.00025
_REST_S = 0.0001
_FEW = 4
"""Objects that are let go of in a row.  Each may hold some others, and each of those may be the last in a stretch of
memory, a megabyte of which the interpreter gives back to the system then, in 0.1 ms: where millions die, all of the
last hundreds do that."""
SEVERAL = 4
"""For work that is to be over soon, though somebody waits: so many times as long between two rests, a millisecond."""


class Pace:
    """Measures a thread's work and rests when others have waited long enough.

    A thread that computes keeps the interpreter for 5 ms (``sys.getswitchinterval()``) if others want it, however
    often it releases a lock.  So it gives up the interpreter itself, every quarter of a millisecond.  The rest is a
    real, if short, sleep: after ``sleep(0)`` the thread is back before one that waited has woken up.

    For one thread.

    Args:
        blocking: Other threads get their turn, but no greenlets of this one: in a finalizer, or where the collector
            calls, nobody expects that.
        runs: How many times as long as usual it works before it rests.
    """

    __slots__ = ("_blocking", "_run_s", "_since")

    def __init__(self, blocking: bool = False, runs: int = 1) -> None:
        self._blocking = blocking
        self._run_s = runs * _RUN_S
        self._since = real.fine()

    def rest(self) -> None:
        """Let others run, if it is time to; called between two slices, with no lock held."""
        if real.fine() - self._since >= self._run_s:
            self.pause()

    def pause(self) -> None:
        """Let others run, in any case."""
        if self._blocking:
            real.sleep(_REST_S)
        else:
            time.sleep(_REST_S)
        self._since = real.fine()

    def let_go(self, items: list[Any]) -> None:
        """Let go of what *items* holds, as the last to hold it, few at a time, and let others run in between."""
        del items[-_FEW:]
        while items:
            self.rest()
            del items[-_FEW:]


def unhurried(lots: Iterable[T], blocking: bool = False, runs: int = 1, pace: Pace | None = None) -> Iterator[T]:
    """*lots* as they are; between what is done with one and the next others get their turn; see ``Pace``.

    Args:
        lots: What is gone through.
        blocking: As for ``Pace``.
        runs: As for ``Pace``.
        pace: That of what came before in this thread, which goes on; None: one of its own.
    """
    for lot in lots:
        if pace is None:
            pace = Pace(blocking, runs)
        else:
            pace.rest()
        yield lot
        del lot


def in_slices(slices: Iterable[int]) -> int:
    """The sum of what is done slice by slice, while others get their turn."""
    pace = Pace()
    total = 0
    for number in slices:
        total += number
        pace.rest()
    return total

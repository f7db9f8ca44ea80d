"""Who waits for what: nobody may wait for himself, by whichever detour.

Before a wait begins, ``graph`` is asked whether it would close a circle, of threads (who waits for whose flight) or of
flights (whose work waits for which).
"""

import sys

from memo._base import Caller, Stage, hold, renew, rlock
from memo._flight.flight import RUNNING, InFlight, TaskFlight, Work

__all__ = ("circle_of_callers", "depend", "graph", "no_longer_depend", "still_running", "waiting")

graph = rlock()
hold(Stage.CIRCLES, sys.modules[__name__], graph)
"""Guards ``waiting`` and every work's ``awaits``: who waits for what, to see circles."""


waiting: dict[Caller, InFlight] = {}
"""The flight that each caller of a plain function waits for who waits now."""


class _Nobody:
    """In a forked child nobody waits: the only thread there forked."""

    def renew(self) -> None:
        waiting.clear()


_nobody = _Nobody()
renew(Stage.CIRCLES, _nobody)


def still_running(work: Work | None) -> Work | None:
    """The innermost of *work* and those that it is within that has not ended; forgets between them those that have.

    What was begun by work that has ended, by which again something was begun, would hold them all else.
    """
    while work is not None and work.over:
        work = work.within
    outer = work
    while outer is not None:
        further: Work | None = outer.within
        while further is not None and further.over:
            further = further.within
        outer.within = further
        outer = further
    return work


def depend(inside: Work, flight: TaskFlight) -> bool:
    """Note that the work *inside* which the caller is waits for *flight*; False: that closes a circle."""
    ours = {inside}
    outer = still_running(inside.within)
    while outer is not None:
        ours.add(outer)
        outer = outer.within
    with graph:
        if _waits_for(flight.work, ours):
            return False
        inside.awaits[flight] = inside.awaits.get(flight, 0) + 1
    return True


def _waits_for(begin: Work, ours: set[Work]) -> bool:
    """Whether work from *begin* on waits for one of *ours*.  Holds ``graph``.

    A function of its own: from 3.12 on the compiler leaves the jump of an ``if`` that ends a loop out of the ``with``
    around that, and there, too, an exception may strike.
    """
    seen: set[Work] = set()
    to_see = [begin]
    while to_see:
        work = to_see.pop()
        if work in ours:
            return True
        if work not in seen:
            seen.add(work)
            to_see += [awaited.work for awaited in work.awaits]
    return False


def no_longer_depend(inside: Work, flight: TaskFlight) -> None:
    with graph:
        times = inside.awaits.get(flight, 0)
        if times > 1:
            inside.awaits[flight] = times - 1
        else:
            inside.awaits.pop(flight, None)


def circle_of_callers(flight: InFlight, me: Caller) -> bool:
    """Whether *flight* cannot end before *me* goes on.  Holds ``graph``."""
    seen = set()
    current: InFlight | None = flight
    while current is not None and current.state is RUNNING and current.leader not in seen:
        if current.leader == me:
            return True
        seen.add(current.leader)
        current = waiting.get(current.leader)
    return False

"""All entries of a table in lots of bounded size, while the table goes on changing in between.

Up to ``WHOLE`` entries are copied at one moment, under the lock.  More are gone through piece by piece, and no lock is
held, nor is any list of all of them made, which would keep every other thread waiting as long as a lock does.  Then an
entry that is there from the first lot to the last is met, once; one that comes, leaves or is replaced meanwhile may be.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

from memo._rings import StoreQueue
from memo._store.large_table import LOT, LargeTable
from memo._store.parted import WHOLE
from memo._store.walks import RingWalk

__all__ = ("LOT", "along", "lots_of", "undivided")


def undivided(table: MutableMapping[Any, Any]) -> Iterator[list[Any]]:
    """The values of *table*, part by part; begun and gone on with under the lock that it is changed under."""
    return table.lots() if type(table) is LargeTable else iter([list(table.values())])


def lots_of(table: MutableMapping[Any, Any], lock: threading.RLock) -> Iterator[list[Any]]:
    """The values of *table*, which is changed under *lock* alone."""
    if type(table) is LargeTable and len(table) > WHOLE:
        return _divided(table.lots())
    return _divided([_at_one_moment(table, lock)])


def _at_one_moment(table: MutableMapping[Any, Any], lock: threading.RLock) -> list[Any]:
    with lock:
        return list(table.values())


def _divided(lists: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """The same items in smaller lists, which have the last references to what has left meanwhile."""
    for one in lists:
        one.reverse()  # so that it is used up from its end
        while one:
            lot = one[-LOT:]
            del one[-LOT:]
            lot.reverse()
            yield lot
            del lot


def along(ring: StoreQueue, size: int, walk: Callable[..., Any], lock: threading.RLock) -> Iterator[list[Any]]:
    """The entries of a store under a policy of the user's own, which keeps them in a dictionary of its own.

    Args:
        ring: Where they hang.
        size: How many there are.
        walk: Has a walk begin, and go on, between two changes of the store.
        lock: That of the store.
    """
    walker: RingWalk = walk(RingWalk, ring, size)
    try:
        while not walker.over:
            spent: list[Any] = []
            yield walk(walker.step, LOT, spent)
            del spent  # without the lock
    finally:
        with lock:
            walker.close()

"""The leases that this process holds: renewed while loads go on, given back when they end without a value.

A load ends without a word where its event loop was closed: until it is collected, which may be never, its lease would
be renewed, and other processes wait for it.  So whose loop is closed is given back in place of being renewed.
"""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from memo._base import ReadClock

__all__ = ("AT_ONCE", "Held", "Lease")

_MOST_RELEASES = 10_000
"""Leases that wait to be given back; of more the earliest are forgotten, and end by themselves."""
AT_ONCE = 500
"""How many are renewed by one command, or given back in a row."""


class Lease(NamedTuple):
    """Leave to load a key for all processes."""

    key: bytes
    """The name of the lease on the server."""
    token: bytes
    """What it holds there, as long as it is ours."""
    function: bytes
    """The ``function_label()``."""
    digest: bytes
    """Of the key."""
    lease_ms: int
    """How long it lasts unless it is renewed."""
    loop: Callable[[], AbstractEventLoop | None] | None = None
    """The event loop of the load, held weakly; None: it is no coroutine's."""

    @property
    def is_dead(self) -> bool:
        """Whether the load cannot come to an end any more."""
        if self.loop is None:
            return False
        loop = self.loop()
        return loop is None or loop.is_closed()


class Held:
    """The leases of one tier that this process holds.

    ``release()`` may be called by a finalizer, which runs wherever it likes: nothing here takes a lock, and each change
    of a table is one step.

    Args:
        clock: Tells the time.
        ring: Wakes the thread that renews and releases; takes no lock.
    """

    def __init__(self, clock: ReadClock, ring: Callable[[], object]) -> None:
        self._clock = clock
        self._ring = ring
        self._leases: dict[int, dict[bytes, Lease]] = {}
        """By how long they last, and their tokens: of as many lengths as functions were given."""
        self._due_at: dict[int, float] = {}
        """When all of one length are to be renewed; none was taken more than a third of its life before."""
        self._returned: deque[tuple[Lease, float]] = deque(maxlen=_MOST_RELEASES)
        self.lost = 0
        """Leases that were not there any more as they were to be renewed."""

    def __len__(self) -> int:
        return sum(map(len, list(self._leases.values())))

    def __contains__(self, lease: Lease) -> bool:
        return lease.token in self._leases.get(lease.lease_ms, {})

    def hold(self, lease: Lease) -> None:
        """Renew *lease*, which was granted, from now on."""
        length_ms = lease.lease_ms
        same = self._leases.setdefault(length_ms, {})
        is_first = not same
        if is_first:
            self._due_at[length_ms] = self._clock() + length_ms / 3000
        same[lease.token] = lease
        if is_first and length_ms < 3000:  # the thread may be resting for longer than a third of that
            self._ring()

    def let_go(self, lease: Lease) -> None:
        """Forget *lease*, which has ended on the server."""
        self._forget(lease)

    def release(self, lease: Lease) -> None:
        """Give *lease* back, whether or not it was granted; once more does no harm."""
        self._forget(lease)
        self._returned.append((lease, self._clock() + lease.lease_ms / 1000))
        self._ring()

    def _forget(self, lease: Lease) -> bool:
        """Whether it was held."""
        return self._leases.get(lease.lease_ms, {}).pop(lease.token, None) is not None

    # -- for the thread

    def rest_s(self, most_s: float) -> float:
        """How long the thread may rest: until leases are to be renewed, at most *most_s*."""
        dues = [self._due_at[length_ms] for length_ms, same in list(self._leases.items()) if same]
        return max(0.0, min(dues) - self._clock()) if dues and min(dues) < self._clock() + most_s else most_s

    def due(self) -> Iterator[Sequence[Lease]]:
        """Those that are to be renewed now, at most ``AT_ONCE`` of one length together; the dead are given back."""
        for length_ms, same in list(self._leases.items()):
            if not same or self._clock() < self._due_at[length_ms]:
                continue
            leases = self._living(list(same.values()))
            for start in range(0, len(leases), AT_ONCE):
                yield leases[start : start + AT_ONCE]
            self._due_at[length_ms] = self._clock() + length_ms / 3000

    def _living(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        living = []
        for lease in leases:
            if lease.is_dead:
                self.release(lease)
            else:
                living.append(lease)
        return living

    def renewed(self, leases: Sequence[Lease], kept: Sequence[bool]) -> None:
        """The server has prolonged those that are *kept*."""
        for lease, is_kept in zip(leases, kept, strict=True):
            if not is_kept and self._forget(lease):
                self.lost += 1

    def returned(self) -> Sequence[tuple[Lease, float]]:
        """Those that are to be given back now, at most ``AT_ONCE``, with when each ends by itself; forgotten with this.

        Those that have ended are left out.
        """
        taken = [self._returned.popleft() for _ in range(min(len(self._returned), AT_ONCE))]
        now = self._clock()
        return [item for item in taken if now < item[1]]

    def not_returned(self, items: Sequence[tuple[Lease, float]]) -> None:
        """These could not be given back: once more, later."""
        self._returned.extend(items)

    def return_all(self) -> None:
        """Give all that are held back."""
        for same in list(self._leases.values()):
            for lease in list(same.values()):
                self.release(lease)

    def forget_all(self) -> None:
        """In a forked child: they are its parent's."""
        self._leases = {}
        self._returned.clear()

"""The leave to load one key for all processes, from before it is asked for until it has ended."""

import os
from collections.abc import Callable

from memo._base import real
from memo._cache import Found
from memo.shared._held import Lease
from memo.shared._marks import Mark
from memo.shared._own_leases import OwnLeases

__all__ = ("HeldGrant",)


class HeldGrant:
    """A leave, or what may become one.

    From when the server is asked for it, it may have it, whatever comes of the question: who asked may be struck,
    cancelled, or wait in vain for the answer.  So from then on it is *open*, until the server is known to have none,
    and an open one that nobody has any more is given back.  In a forked child it is the parent's.

    Args:
        leases: Gives it back.
        mark: The key.
        lease: Its lease.
        is_newer: It is taken from whoever has it, and others drop what they have once a value is stored.
    """

    __slots__ = (
        "__weakref__", "_leases", "_process", "_stale", "_stale_at", "is_newer", "is_open", "lease", "mark", "under",
    )  # fmt: skip

    def __init__(self, leases: OwnLeases, mark: Mark, lease: Lease, *, is_newer: bool) -> None:
        self.is_open = False
        self.mark = mark
        self.lease = lease
        self.is_newer = is_newer
        self.under = b""
        """The generations that it was granted under."""
        self._leases = leases
        self._process = os.getpid()
        self._stale: Callable[[], Found | None] | None = None
        self._stale_at = 0.0

    def have_stale(self, read: Callable[[], Found | None]) -> None:
        """There is a stale value, which *read* reads."""
        self._stale, self._stale_at = read, real.monotonic()

    @property
    def stale(self) -> Found | None:
        """A value past its ``ttl`` that the tier had when it was granted; read anew each time, for few loads fail."""
        found = None if self._stale is None else self._stale()
        if found is None:
            return None
        since_s = real.monotonic() - self._stale_at
        return found._replace(age_s=found.age_s + since_s, left_s=found.left_s - since_s)

    def begin(self, under: bytes) -> None:
        """It was granted, under these generations."""
        self.under = under
        self._leases.hold(self.lease, self._process)

    def close(self) -> None:
        """The server has no lease of it, or not any more."""
        self._leases.let_go(self.lease)
        self.is_open = False

    def give_back(self) -> None:
        """Have the line's thread give it back, whether or not the server has it; never blocks."""
        if self.is_open:
            if self._process == os.getpid():
                self._leases.release(self.lease)
            self.is_open = False  # last: whoever is struck before has it done once more

    def give_back_late(self) -> None:
        """The same once the server has surely seen the question."""
        self._leases.release(self.lease)
        self.is_open = False

    def __del__(self) -> None:
        if getattr(self, "is_open", False):  # it may have been struck as it was made
            self.give_back()

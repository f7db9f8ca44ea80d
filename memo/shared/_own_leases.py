"""The leases of one function that this process holds: renewed by the line, and known here by their keys."""

import os

from memo.shared._held import Lease
from memo.shared._line import Line

__all__ = ("OwnLeases",)


class OwnLeases:
    """Those of one function.  Takes no lock, so that finalizers may use it.

    Args:
        line: Renews leases, and gives them back.
    """

    __slots__ = ("_held", "_line")

    def __init__(self, line: Line) -> None:
        self._line = line
        self._held: dict[bytes, tuple[Lease, int]] = {}
        """By the digests of their keys, and for which process: to a forked child they are another's."""

    def holds(self, digest: bytes) -> bool:
        """Whether a load of the key goes on here, though perhaps nobody waits for it any more."""
        held = self._held.get(digest)
        return held is not None and held[1] == os.getpid() and self._line.is_held(held[0])

    def hold(self, lease: Lease, process: int) -> None:
        """Have *lease* renewed, which was granted to this process."""
        self._held[lease.digest] = lease, process
        self._line.hold(lease)

    def let_go(self, lease: Lease) -> None:
        """Forget *lease*, which has ended on the server."""
        self._forget(lease)
        self._line.let_go(lease)

    def release(self, lease: Lease) -> None:
        """Have *lease* given back, whether or not it was granted; never blocks."""
        self._forget(lease)
        self._line.release(lease)

    def _forget(self, lease: Lease) -> None:
        held = self._held.get(lease.digest)
        if held is not None and held[0].token == lease.token:
            self._held.pop(lease.digest, None)

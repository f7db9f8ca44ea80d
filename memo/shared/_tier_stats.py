"""Frozen snapshots of a tier: what its counters say at one moment, in this process."""

from memo._base import Snapshot, counter, frozen_dataclass

__all__ = ("TierStats",)


@frozen_dataclass
class TierStats(Snapshot):
    """One tier, as this process has it: ``tier.stats()``.  Snapshots of one tier subtract."""

    __module__ = "memo.shared"

    name: str
    """Its prefix."""
    server: str = ""
    """The server's address, without a secret."""
    state: str = "up"
    """Gauge: "up", "behind" or "down", as ``tier.state``."""
    connections: int = 0
    """Gauge: connections to the server, the log's included."""
    waiting: int = counter()
    """Operations that had to wait for one of the connections to be free: if these are many, raise ``connections``."""
    sent: int = counter()
    """Messages of this process that came back in the log, one for each change that others are to hear of; not those
    that a gap skipped."""
    received: int = counter()
    """Messages of other processes that were read and applied, also those of functions unknown here."""
    lag: float | None = None
    """Gauge: seconds since the moment up to which this process is known to have heard everything; about 1 at most while
    the tier is idle and up.  None before the log was first looked at."""
    gaps: int = counter()
    """How often messages may have been lost, and all stores of the tier were emptied: the log was trimmed, the server
    lost its memory or fell back to an older copy, a message could not be applied, the thread had to be replaced."""
    reconnects: int = counter()
    """Connections for the log after the first one."""
    opened: int = counter()
    """How often the server was given up as down, until it was back."""
    pending: int = 0
    """Gauge: changes of this process that are still to be sent."""
    replayed: int = counter()
    """Changes that were sent after an outage, as part of the recovery."""
    overflowed: int = counter()
    """Changes that found 10,000 others pending, so that whole functions were invalidated in place of keys or tags."""
    leases: int = 0
    """Gauge: loads of this process that others wait for or would: their leases are renewed."""
    lost_leases: int = counter()
    """Leases that were gone as they were to be renewed: they had expired, or somebody invalidated, put or refreshed the
    key.  What such a load returns is not stored."""
    seconds: float = counter(0.0)
    """Seconds that all operations together took, waiting for a connection included."""

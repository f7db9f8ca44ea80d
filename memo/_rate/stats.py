"""The figures of a limit.  Each counter is defined once, beside its field."""

from memo._base import Snapshot, counter, frozen_dataclass

__all__ = ("LimitStats",)


@frozen_dataclass
class LimitStats(Snapshot):
    """The figures of a limit at one moment; of all keys together."""

    __module__ = "memo"

    name: str
    """Name of the decorated function."""

    calls: int = 0
    """Most calls of a key that may begin in any span."""

    span: float = 0.0
    """That span, in seconds."""

    allowed: int = counter()
    """Calls that began, at once or after a wait."""

    delayed: int = counter()
    """Those of them that had to wait."""

    refused: int = counter()
    """Calls that raised `RateLimited`. One whose wait was cut short (a cancelled task) counts nowhere."""

    crowded: int = counter()
    """Those of them that were refused though their key had room: since `keys` others are followed, all of them called
    within the span, or since `max_waiting` calls wait."""

    delay_seconds: float = counter(0.0)
    """Seconds that the delayed calls waited, together, by the limit's clock."""

    waiting: int = 0
    """Calls that wait now."""

    keys: int = 0
    """Keys that are followed now, those that were not called within the span and are not cleaned up yet included."""

    max_keys: int = 0
    """Most keys that are followed at a time."""

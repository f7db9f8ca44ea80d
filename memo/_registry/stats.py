"""Frozen snapshots of what a registry sees: one function's figures, and what a clean-up removed."""

from collections.abc import Mapping
from typing import Any, Self

from memo._adopted import AdoptedStats
from memo._base import Frozen, FrozenDict, freeze_fields, frozen_dataclass, in_lines
from memo._cache import CacheStats
from memo._flight import InflightStats
from memo._rate import LimitStats
from memo._window import WindowStats

__all__ = ("CleanupReport", "FunctionStats")

_NO_COUNTS: Mapping[str, int] = FrozenDict()


@frozen_dataclass
class FunctionStats(Frozen):
    """The figures of one decorated function; a part that it does not have is None."""

    __module__ = "memo"

    name: str
    tags: tuple[str, ...]
    cache: CacheStats | None = None
    inflight: InflightStats | None = None
    window: WindowStats | None = None
    adopted: AdoptedStats | None = None
    """Those of a cache that others made; it has no other part."""
    limit: LimitStats | None = None

    def __sub__(self, earlier: Self) -> Self:
        """What happened between two snapshots of one function."""
        if type(earlier) is not type(self):
            return NotImplemented
        if self.name != earlier.name:
            raise ValueError(
                f"snapshots of {self.name!r} and {earlier.name!r} do not subtract; take both of one function."
            )
        return type(self)(
            self.name,
            self.tags,
            _minus(self.cache, earlier.cache),
            _minus(self.inflight, earlier.inflight),
            _minus(self.window, earlier.window),
            _minus(self.adopted, earlier.adopted),
            _minus(self.limit, earlier.limit),
        )

    def __str__(self) -> str:
        """A line for each figure."""
        return in_lines(self)


def _minus(later: Any, earlier: Any) -> Any:
    return later - earlier if later is not None and earlier is not None else later


@frozen_dataclass
class CleanupReport(Frozen):
    """What one clean-up removed."""

    __module__ = "memo"

    expired: int = 0
    """Entries past their life."""
    flights: int = 0
    """Calls detached because they were stuck, or because their thread or loop had died."""
    events: int = 0
    """Window events past their span."""
    seconds: float = 0.0
    """How long it took, in real time."""
    functions: Mapping[str, int] = _NO_COUNTS
    """How much went, by name of the function; functions that had nothing to clean are left out."""
    keys: int = 0
    """Keys that limits need not follow any more."""

    def __post_init__(self) -> None:
        freeze_fields(self, "functions")

    def __str__(self) -> str:
        """A line for each figure."""
        return in_lines(self)

    @property
    def total(self) -> int:
        """Everything that went."""
        return self.expired + self.flights + self.events + self.keys

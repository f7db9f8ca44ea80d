"""The tiers that functions share their results through, a line for each."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from memo._base import counted
from memo._commands.amounts import span
from memo._commands.text import plain

__all__ = ("Tier", "tier_of", "tiers_of")


class Tier(NamedTuple):
    """What a server told of one tier, of all its processes together or of one.  What was not told is None."""

    name: str
    server: str
    state: str
    states: Mapping[str, int]
    """How many processes find it in which state, where several tell."""
    lag: float | None
    pending: int | None
    leases: int | None
    gaps: int | None
    process: int | None

    @property
    def is_well(self) -> bool:
        """Whether there is nothing out of the ordinary with it."""
        return self.state == "up"

    @property
    def condition(self) -> str:
        """Its state; where processes differ, how many find it in which."""
        if len(self.states) < 2:
            return plain(self.state)
        return ", ".join(f"{plain(state)} in {number}" for state, number in self.states.items())

    @property
    def line(self) -> str:
        """All of it."""
        told = [self.condition]
        if self.lag is not None:
            told.append(f"lag {span(self.lag)}")
        if self.pending is not None:
            told.append(f"{self.pending:,} pending")
        if self.leases is not None:
            told.append(counted(self.leases, "lease"))
        if self.gaps is not None:
            told.append(counted(self.gaps, "gap"))
        where = f" at {plain(self.server)}" if self.server else ""
        whose = "" if self.process is None else f" in {self.process}"
        return f"tier {plain(self.name)}{where}{whose}: {', '.join(told)}"


def tier_of(told: Mapping[str, Any]) -> Tier:
    """One tier, of what ``/stats.json`` tells of it."""
    return Tier(
        str(told["name"]),
        str(told.get("server") or ""),
        str(told.get("state") or "?"),
        dict(told.get("states") or {}),
        told.get("lag"),
        told.get("pending"),
        told.get("leases"),
        told.get("gaps"),
        told.get("process"),
    )


def tiers_of(told: Iterable[Mapping[str, Any]] | None) -> list[Tier]:
    """Those that an answer tells of; a server of an earlier version tells of none."""
    return [tier_of(one) for one in told or ()]

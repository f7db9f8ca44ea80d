"""The tiers of several processes, taken together.

Each process tells what it itself does there, and how well it hears of others.  So what they did adds up, and of how
they hear the worst is told.
"""

from collections.abc import Iterable
from typing import Any

from memo.exporters._families import STATES
from memo.exporters._snapshot import Tier

__all__ = ("together",)

_GREATEST = frozenset({"lag"})
"""Figures of which the greatest is told: no process is behind by more."""
_SAME = frozenset({"name", "server"})
"""What tiers are one by."""


def together(tiers: Iterable[Tier]) -> list[Tier]:
    """A row for each tier, by name and server, with how many processes tell of it.

    Counters, connections, leases and what is pending are added; the state is the worst of all processes, and how many
    are in which is told as well.  A figure that one process does not know, of another version, is that of the others.
    """
    found: dict[tuple[str, str], list[Tier]] = {}
    for tier in tiers:
        found.setdefault((str(tier.get("name")), str(tier.get("server", ""))), []).append(tier)
    return [_as_one(rows) for _, rows in sorted(found.items())]


def _as_one(rows: list[Tier]) -> Tier:
    names = dict.fromkeys(name for row in rows for name in row if name != "process")
    states = [row["state"] for row in rows if "state" in row]
    return {
        **{name: _added(name, [value for row in rows if (value := row.get(name)) is not None]) for name in names},
        "process": None,
        "processes": len({row.get("process") for row in rows}),
        "states": {state: states.count(state) for state in dict.fromkeys((*STATES, *states)) if state in states},
    }


def _added(name: str, known: list[Any]) -> Any:
    if not known:
        return None
    if name == "state":
        return max(known, key=lambda state: STATES.index(state) if state in STATES else len(STATES))
    if name in _SAME or isinstance(known[0], str | bool):
        return known[0]
    return max(known) if name in _GREATEST else sum(known)

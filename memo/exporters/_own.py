"""The figures of the functions of this process, as JSON tells them, and what changed in them."""

from typing import Any

from memo import Registry
from memo._base import short_text
from memo.exporters._changes import Changes
from memo.exporters._figures_json import fingerprint, row_of
from memo.exporters._snapshot import Snapshot

__all__ = ("MOST_FLIGHTS", "Own", "flights_of")

MOST_FLIGHTS = 200
"""Running calls that are told of one by one, those that run longest."""


class Own:
    """The rows of one registry's functions.

    Whoever has it guards it: one thread at a time.
    """

    def __init__(self) -> None:
        self._prints: dict[str, tuple[Any, ...]] = {}
        self._last: Snapshot | None = None
        self.changes: Changes = Changes()

    def take(self, snapshot: Snapshot) -> None:
        """Take in a snapshot, unless a later one was."""
        if self._last is not None and snapshot.taken <= self._last.taken:
            return
        self._last = snapshot
        present: dict[str, tuple[Any, ...]] = {}
        for name, stats, sparkline in snapshot.rows:
            present[name] = print_ = sparkline, fingerprint(stats)
            if self._prints.get(name) != print_:
                self.changes.put(name, row_of(stats, sparkline))
        self.changes.keep_only(present)
        self._prints = present


def flights_of(registry: Registry, snapshot: Snapshot, pid: int) -> tuple[list[dict[str, Any]], int]:
    """The calls that run now, with their keys as text, those that run longest first; and how many there are.

    Only of functions that had some in *snapshot*: the others are not looked at.
    """
    found: list[dict[str, Any]] = []
    for name, stats, _ in snapshot.rows:
        if stats.inflight is None or not stats.inflight.active:
            continue
        try:
            handle = registry[name].inflight
            running = [] if handle is None else handle.pending()
        except Exception:  # it has gone, or its clock fails, which the snapshot has logged
            continue
        found += [
            {
                "function": name,
                "process": pid,
                "age": flight.age,
                "waiters": flight.waiters,
                "leader": flight.leader,
                "key": flight.key,
            }
            for flight in running
        ]
    found.sort(key=_age, reverse=True)
    for one in found[:MOST_FLIGHTS]:
        one["key"] = short_text(one["key"])
    return found[:MOST_FLIGHTS], len(found)


def _age(flight: dict[str, Any]) -> float:
    age: float = flight["age"]
    return age

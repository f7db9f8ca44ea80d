"""Figures that another process told as JSON, as those of this process are: snapshots of functions."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from memo import AdoptedStats, CacheStats, FunctionStats, InflightStats, LimitStats, WindowStats

__all__ = ("stats_of",)

_KINDS: dict[str, type[Any]] = {
    "cache": CacheStats,
    "inflight": InflightStats,
    "window": WindowStats,
    "limit": LimitStats,
    "adopted": AdoptedStats,
}
_FIELDS = {kind: frozenset(one.name for one in dataclasses.fields(kind)) for kind in _KINDS.values()}


def stats_of(name: str, row: Mapping[str, Any]) -> FunctionStats:
    """What a row of ``/stats.json`` tells of the function *name*.

    Derived figures, and what only another version of this package knows, are left out; what it does not know is as in
    a function that was never called.
    """
    parts = {part: _part(kind, given) for part, kind in _KINDS.items() if (given := row.get(part)) is not None}
    return FunctionStats(name, tuple(row.get("tags", ())), **parts)


def _part(kind: type[Any], given: Mapping[str, Any]) -> Any:
    return kind(**{field: value for field, value in given.items() if field in _FIELDS[kind]})

"""The tiers that functions share their results through: which there are, and what each tells of itself."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from memo._base import counted, format_seconds
from memo._cache import Link
from memo._registry.parts import HasParts

__all__ = ("line_of", "lines_below", "links_of", "stats_of", "tiers_of")

log = logging.getLogger("memo")


def tiers_of(records: Iterable[HasParts]) -> tuple[Any, ...]:
    """Each tier once, in the order of the functions."""
    found = [part.link.tier for record in records for part in record.parts if part.link is not None]
    return tuple({id(tier): tier for tier in found}.values())


def links_of(records: Iterable[HasParts], is_apart: Callable[[Any], bool]) -> list[Link]:
    """A way to each tier of those functions whose results are not set aside."""
    found = [part.link for record in records if not is_apart(record) for part in record.parts if part.link is not None]
    return list({id(link.tier): link for link in found}.values())


def stats_of(tiers: Iterable[Any]) -> tuple[Any, ...]:
    """The figures of each tier now, by name and server; one that cannot tell them is logged, and left out."""
    told = []
    for tier in tiers:
        try:
            told.append(tier.stats())
        except Exception:
            log.exception("%r is left out: its figures cannot be read", tier)
    return tuple(sorted(told, key=lambda stats: (stats.name, stats.server)))


def lines_below(records: Iterable[HasParts]) -> list[str]:
    """A line for each tier of these functions, to stand below a table."""
    return [line_of(stats) for stats in stats_of(tiers_of(records))]


def line_of(stats: Any) -> str:
    """What one tier's figures say, on one line."""
    lag = "nothing heard yet" if stats.lag is None else f"lag {format_seconds(stats.lag)}"
    server = f" at {stats.server}" if stats.server else ""
    return (
        f"tier {stats.name}{server}: {stats.state}, {lag}, {stats.pending:,} pending, "
        f"{counted(stats.leases, 'lease')}, {counted(stats.gaps, 'gap')}"
    )

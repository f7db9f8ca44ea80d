"""An overview as an aligned text table and as HTML."""

import functools
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

from memo._adopted import AdoptedStats
from memo._base import (
    MOST,
    SEVERAL,
    SHORTEST,
    Pace,
    aligned_columns,
    escaped,
    fitted_columns,
    format_bytes,
    format_seconds,
    html_rows,
    unhurried,
    width,
    widths,
)
from memo._cache import CacheStats
from memo._registry.overview import Row
from memo._registry.record import Record

__all__ = ("Table",)

_NONE = "-"
_NOTHING = (None, None, None, None)
_COLUMNS = (
    "entries", "bytes", "hit ratio", "hits", "stale", "failures", "misses", "joins", "evicted", "load", "running",
    "timeouts", "from tier", "unshared", "allowed", "delayed", "refused", "calls", "errors", "p95", "window",
)  # fmt: skip
_OF_WINDOWS = ("calls", "errors", "p95", "window")  # the last of them
_SHORT = {
    "hit ratio": "ratio",
    "failures": "fails",
    "misses": "miss",
    "joins": "join",
    "evicted": "out",
    "running": "run",
    "timeouts": "late",
    "from tier": "tier",
    "unshared": "alone",
    "allowed": "ok",
    "delayed": "delay",
    "refused": "full",
}

_seconds = functools.lru_cache(1_000)(format_seconds)
"""Of thousands of functions many show the same spans, and percentiles have few values."""


def _cells(row: Row) -> dict[str, Any]:
    """What is known of one function, by column; None: nothing, as of a count that is rare while it is zero."""
    stats = row.stats
    cache, inflight, window = stats.cache, stats.inflight, stats.window
    cells: dict[str, Any] = {}
    if inflight is not None:
        cells |= {"misses": inflight.started, "joins": inflight.joined}
        cells |= {"running": inflight.active, "timeouts": inflight.timeouts or None}
    if cache is not None:
        cells |= {
            "entries": _entries(cache),
            "bytes": _share(cache.bytes, cache.max_bytes),
            "hit ratio": f"{cache.hit_ratio:.1%}" if cache.requests else None,
            "hits": cache.hits,
            "stale": cache.stale_hits or None,
            "failures": cache.error_hits or None,
            "misses": cache.misses,
            "joins": cache.joins,
            "evicted": sum(cache.evictions.values()),
            "load": _seconds(cache.load_mean) if cache.loads else None,
        }
        if cache.l2_hits is not None:
            cells |= _shared_cells(cache)
    if stats.adopted is not None:
        cells |= _adopted_cells(stats.adopted)
    if stats.limit is not None:
        cells |= {"allowed": stats.limit.allowed, "delayed": stats.limit.delayed or None}
        cells |= {"refused": stats.limit.refused or None}
    if window is not None:
        cells |= {
            "calls": window.count,
            "errors": window.errors or None,
            "p95": None if window.p95 is None else _seconds(window.p95),
            "window": f"{row.sparkline} {_seconds(window.span)}".lstrip(),
        }
    return cells


def _entries(cache: CacheStats) -> str:
    if cache.max is not None:
        return f"{cache.size}/{cache.max}"
    return f"{cache.size}/unbounded" if cache.max_bytes is None else f"{cache.size}"


def _share(held: int | None, most: int | None) -> str | None:
    """Bytes that are held of those that may be."""
    return None if held is None or most is None else f"{format_bytes(held)}/{format_bytes(most)}"


def _shared_cells(cache: CacheStats) -> dict[str, Any]:
    """What came of the tier that a function shares its results through."""
    hits, misses = cache.l2_hits or 0, cache.l2_misses or 0
    unshared = (cache.l2_errors or 0) + (cache.l2_skipped or 0) + (cache.l2_rejected or 0)
    return {"from tier": f"{hits}/{hits + misses}" if hits + misses else None, "unshared": unshared or None}


def _adopted_cells(stats: AdoptedStats) -> dict[str, Any]:
    """What is known of a cache that others made."""
    entries = _NONE if stats.size is None else str(stats.size)
    if stats.max is not None or stats.bounded is False:
        entries += "/unbounded" if stats.max is None else f"/{stats.max}"
    ratio = f"{stats.hit_ratio:.1%}" if stats.requests else None
    return {"entries": entries, "hit ratio": ratio, "hits": stats.hits, "misses": stats.misses}


class Table:
    """The figures of some functions, as text by column, and how they are shown.

    Thousands of rows are neither held together nor let go of in one go, and others get their turn in between.

    Args:
        rows: The functions' figures, each let go of before the next is asked for.

    Attributes:
        names: Of the functions.
        sharing: The records of those that share their results through a tier.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.names: list[str] = []
        self.sharing: list[Record] = []
        self._windows: list[bool] = []
        """Whether a function has a window, and whether it has something else to show, or nothing at all."""
        self._others: list[bool] = []
        self._columns: dict[str, list[str]] = {}
        self._pace = Pace(runs=SEVERAL)
        for row in rows:
            self._add(row)
        for column in self._columns.values():
            column += [_NONE] * (len(self.names) - len(column))

    def _add(self, row: Row) -> None:
        stats, place = row.stats, len(self.names)
        self.names.append(stats.name)
        columns = self._columns
        for name, cell in _cells(row).items():
            if cell is not None:
                column = columns.get(name)
                if column is None:
                    column = columns[name] = []
                if len(column) < place:
                    column += [_NONE] * (place - len(column))
                column.append(str(cell))
        self._windows.append(stats.window is not None)
        parts = stats.cache, stats.inflight, stats.adopted, stats.limit
        self._others.append(stats.window is None or parts != _NOTHING)
        if stats.cache is not None and stats.cache.l2_hits is not None:
            self.sharing.append(row.record)

    def text(self, note: str = "") -> str:
        """One line per function, the columns aligned; columns without any figure are left out.

        What would be wider than 80 characters has shorter heads, then names that are shortened in the middle, then a
        table of its own for what windows tell.  (HTML has all of it in one.)

        Args:
            note: Lines below the table; empty for none.
        """
        if not self.names:
            return "\n".join(filter(None, ["no decorated functions", note]))
        if self._may_fit():
            whole = fitted_columns(self._chosen(_COLUMNS), _SHORT, self._pace)
            if width(widths(whole, self._pace)) <= MOST:
                return "\n".join(filter(None, [aligned_columns(whole, self._pace), note]))
        parts = [
            aligned_columns(fitted_columns(self._chosen(columns, chosen), _SHORT, self._pace), self._pace)
            for chosen, columns in ((self._others, _COLUMNS[: -len(_OF_WINDOWS)]), (self._windows, _OF_WINDOWS))
            if any(chosen)
        ]
        return "\n".join(filter(None, ["\n\n".join(parts), note]))

    def html(self, note: str = "") -> str:
        """One table for notebooks, nothing shortened."""
        notes = [f"<p>{escaped(line)}</p>" for line in note.splitlines()]
        return "".join([html_rows(zip(*self._chosen(_COLUMNS), strict=True)), *notes])

    def _chosen(self, names: Sequence[str], rows: list[bool] | None = None) -> list[list[str]]:
        """The names of the functions, and those of these columns in which one of them has a figure, with their heads.

        Args:
            names: Of the columns.
            rows: Which functions; None: all.
        """
        found = [("function", self.names), *[(name, self._columns[name]) for name in names if name in self._columns]]
        chosen = []
        for head, column in unhurried(found, pace=self._pace):
            cells = column if rows is None else [*compress(column, rows)]
            if column is self.names or cells.count(_NONE) < len(cells):
                chosen.append([head, *cells])
        return chosen

    def _may_fit(self) -> bool:
        """Whether a line of one table of these may have no more than 80 characters: that is cheap to see."""
        sizes = [min(SHORTEST, max(map(len, self.names)))]
        for name, column in unhurried(self._columns.items(), pace=self._pace):
            if column.count(_NONE) < len(column):
                sizes.append(max(len(_SHORT.get(name, name)), len(max(column, key=len))))
        return width(sizes) <= MOST

    def let_go(self) -> None:
        """Let go of the text bit by bit, while others get their turn."""
        for _ in unhurried(range(len(self._columns)), pace=self._pace):
            self._columns.popitem()

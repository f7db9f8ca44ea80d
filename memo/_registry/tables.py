"""An overview as an aligned text table and as HTML."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from memo._adopted import AdoptedStats
from memo._base import (
    MOST,
    SEVERAL,
    SHORTEST,
    aligned,
    escaped,
    fitted,
    format_bytes,
    format_seconds,
    html_rows,
    unhurried,
    width,
)
from memo._cache import CacheStats
from memo._registry.overview import Row

__all__ = ("html_table", "text_table")

_NONE = "-"
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

_Line = tuple[str, dict[str, str]]
"""A function's name, and its figures by column."""


def _cells(row: Row) -> dict[str, str]:
    """What is known of one function, by column; a count that is rare is left out while it is zero."""
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
    return {column: str(cell) for column, cell in cells.items() if cell is not None}


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


def _lines(rows: Iterable[Row]) -> list[_Line]:
    """What is known of each, while other threads get their turn."""
    return [(row.stats.name, _cells(row)) for row in unhurried(rows, runs=SEVERAL)]


def _table(lines: list[_Line], columns: Sequence[str]) -> list[list[str]]:
    """The head and a line for each function, without the columns in which nobody has a figure."""
    slow = unhurried(lines, runs=SEVERAL)
    known = {column for _, cells in slow for column, cell in cells.items() if cell != _NONE}
    told = [column for column in columns if column in known]
    rows = [[name, *[cells.get(column, _NONE) for column in told]] for name, cells in unhurried(lines, runs=SEVERAL)]
    return [["function", *told], *rows]


def _may_fit(lines: list[_Line]) -> bool:
    """Whether a line of one table of these may have no more than 80 characters: that is cheap to see for thousands."""
    longest: dict[str, int] = {}
    for _, cells in unhurried(lines, runs=SEVERAL):
        for column, cell in cells.items():
            if len(cell) > longest.get(column, 0) and cell != _NONE:
                longest[column] = len(cell)
    heads = [2 + max(size, len(_SHORT.get(column, column))) for column, size in longest.items()]
    return sum(heads) + min(SHORTEST, max(len(name) for name, _ in lines)) <= MOST


def text_table(rows: Sequence[Row], note: str = "") -> str:
    """One line per function, the columns aligned; columns without any figure are left out.

    What would be wider than 80 characters has shorter heads, then names that are shortened in the middle, then a
    table of its own for what windows tell.  (HTML has all of it in one.)

    Args:
        rows: The functions' figures.
        note: Lines below the table; empty for none.
    """
    lines = _lines(rows)
    if not lines:
        return "\n".join(filter(None, ["no decorated functions", note]))
    if _may_fit(lines):
        whole = fitted(_table(lines, _COLUMNS), _SHORT)
        if width(whole) <= MOST:
            return "\n".join(filter(None, [aligned(whole), note]))
    windows = [line for line in lines if not line[1].keys().isdisjoint(_OF_WINDOWS)]
    others = [line for line in lines if not line[1] or not line[1].keys() <= {*_OF_WINDOWS}]
    parts = [
        aligned(fitted(_table(part, columns), _SHORT))
        for part, columns in ((others, _COLUMNS[: -len(_OF_WINDOWS)]), (windows, _OF_WINDOWS))
        if part
    ]
    return "\n".join(filter(None, ["\n\n".join(parts), note]))


def html_table(rows: Sequence[Row], note: str = "") -> str:
    """One table for notebooks, nothing shortened."""
    notes = [f"<p>{escaped(line)}</p>" for line in note.splitlines()]
    lines = _lines(rows)
    return "".join([html_rows(_table(lines, _COLUMNS)), *notes])

"""The registry's figures as an aligned text table and as HTML."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memo._base import MOST, aligned, fitted, format_bytes, format_seconds, html_rows, width

__all__ = ("html_table", "text_table")

_NONE = "-"
_NO_LINES: Mapping[str, str] = {}
_COLUMNS = (
    "entries", "bytes", "hit ratio", "hits", "stale", "failures", "misses", "joins", "evicted", "load", "running",
    "timeouts", "calls", "errors", "p95", "window",
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
}

_Row = tuple[str, dict[str, str]]
"""A function's name, and its figures by column."""


def _cells(function: Any, line: str) -> dict[str, str]:
    """What is known of one function, by column; a count that is rare is left out while it is zero."""
    cache, inflight, window, adopted = function.cache, function.inflight, function.window, function.adopted
    row: dict[str, Any] = {}
    if inflight is not None:
        row |= {"misses": inflight.started, "joins": inflight.joined}
        row |= {"running": inflight.active, "timeouts": inflight.timeouts or None}
    if cache is not None:
        row |= {
            "entries": cache.size if cache.max is None else f"{cache.size}/{cache.max}",
            "bytes": None if cache.bytes is None else f"{format_bytes(cache.bytes)}/{format_bytes(cache.max_bytes)}",
            "hit ratio": f"{cache.hit_ratio:.1%}" if cache.requests else None,
            "hits": cache.hits,
            "stale": cache.stale_hits or None,
            "failures": cache.error_hits or None,
            "misses": cache.misses,
            "joins": cache.joins,
            "evicted": sum(cache.evictions.values()),
            "load": format_seconds(cache.load_mean) if cache.loads else None,
        }
    if adopted is not None:
        row |= _adopted_cells(adopted)
    if window is not None:
        row |= {
            "calls": window.count,
            "errors": window.errors or None,
            "p95": None if window.p95 is None else format_seconds(window.p95),
            "window": f"{line} {format_seconds(window.span)}".lstrip(),
        }
    return {column: str(cell) for column, cell in row.items() if cell is not None}


def _adopted_cells(stats: Any) -> dict[str, Any]:
    """What is known of a cache that others made."""
    entries = _NONE if stats.size is None else str(stats.size)
    if stats.max is not None or stats.bounded is False:
        entries += "/unbounded" if stats.max is None else f"/{stats.max}"
    ratio = f"{stats.hit_ratio:.1%}" if stats.requests else None
    return {"entries": entries, "hit ratio": ratio, "hits": stats.hits, "misses": stats.misses}


def _rows(stats: Iterable[Any], lines: Mapping[str, str]) -> list[_Row]:
    return [(function.name, _cells(function, lines.get(function.name, ""))) for function in stats]


def _table(rows: list[_Row], columns: Sequence[str]) -> list[list[str]]:
    """The head and a row for each function, without the columns in which nobody has a figure."""
    told = [column for column in columns if any(row.get(column, _NONE) != _NONE for _, row in rows)]
    return [["function", *told], *([name, *(row.get(column, _NONE) for column in told)] for name, row in rows)]


def text_table(stats: Iterable[Any], lines: Mapping[str, str] = _NO_LINES, note: str = "") -> str:
    """One line per function, the columns aligned; columns without any figure are left out.

    What would be wider than 80 characters has shorter heads, then names that are shortened in the middle, then a
    table of its own for what windows tell.  (HTML has all of it in one.)

    Args:
        stats: The functions' figures.
        lines: Sparklines of windows, by the function's name.
        note: Lines below the table; empty for none.
    """
    rows = _rows(stats, lines)
    if not rows:
        return "\n".join(filter(None, ["no decorated functions", note]))
    whole = fitted(_table(rows, _COLUMNS), _SHORT)
    if width(whole) <= MOST:
        return "\n".join(filter(None, [aligned(whole), note]))
    windows = [row for row in rows if not row[1].keys().isdisjoint(_OF_WINDOWS)]
    others = [row for row in rows if row not in windows or not row[1].keys() <= {*_OF_WINDOWS}]
    parts = [
        aligned(fitted(_table(part, columns), _SHORT))
        for part, columns in ((others, _COLUMNS[: -len(_OF_WINDOWS)]), (windows, _OF_WINDOWS))
        if part
    ]
    return "\n".join(filter(None, ["\n\n".join(parts), note]))


def html_table(stats: Iterable[Any], lines: Mapping[str, str] = _NO_LINES, note: str = "") -> str:
    """The same for notebooks, nothing shortened."""
    notes = [f"<p>{html.escape(line)}</p>" for line in note.splitlines()]
    return "".join([html_rows(_table(_rows(stats, lines), _COLUMNS)), *notes])

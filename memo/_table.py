"""The registry's figures as an aligned text table and as HTML."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from memo._units import format_bytes, format_seconds

__all__ = ("aligned", "html_rows", "html_table", "text_table")

_NONE = "-"
_NO_LINES: Mapping[str, str] = {}
_COLUMNS = (
    "entries", "bytes", "hit ratio", "hits", "stale", "failures", "misses", "joins", "evicted", "load", "running",
    "timeouts", "calls", "errors", "p95", "window",
)  # fmt: skip


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


def _table(stats: Iterable[Any], lines: Mapping[str, str]) -> list[list[str]]:
    """The head and a row for each function, without the columns in which nobody has a figure."""
    rows = [(function.name, _cells(function, lines.get(function.name, ""))) for function in stats]
    told = [column for column in _COLUMNS if any(row.get(column, _NONE) != _NONE for _, row in rows)]
    return [["function", *told], *([name, *(row.get(column, _NONE) for column in told)] for name, row in rows)]


def text_table(stats: Iterable[Any], lines: Mapping[str, str] = _NO_LINES, note: str = "") -> str:
    """One line per function, the columns aligned; columns without any figure are left out.

    Args:
        stats: The functions' figures.
        lines: Sparklines of windows, by the function's name.
        note: Lines below the table; empty for none.
    """
    head, *rows = _table(stats, lines)
    if not rows:
        return "\n".join(filter(None, ["no decorated functions", note]))
    return "\n".join(filter(None, [aligned([head, *rows]), note]))


def html_table(stats: Iterable[Any], lines: Mapping[str, str] = _NO_LINES, note: str = "") -> str:
    """The same for notebooks."""
    notes = [f"<p>{html.escape(line)}</p>" for line in note.splitlines()]
    return "".join([html_rows(_table(stats, lines)), *notes])


def aligned(rows: list[list[str]]) -> str:
    """The first row as a head, a rule below it, and the others; the first column flush left, the rest flush right."""
    head, *others = rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    text = []
    for row in [head, ["-" * width for width in widths], *others]:
        figures = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        text.append("  ".join([row[0].ljust(widths[0]), *figures]).rstrip())
    return "\n".join(text)


def html_rows(rows: list[list[str]]) -> str:
    """The first row as a head, and the others, as an HTML table."""
    head, *others = rows
    parts = ["<table><thead><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr></thead><tbody>"]
    for row in others:
        parts += ["<tr>", *(f"<td>{html.escape(cell)}</td>" for cell in row), "</tr>"]
    parts.append("</tbody></table>")
    return "".join(parts)

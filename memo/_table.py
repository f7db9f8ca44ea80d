"""The registry's figures as an aligned text table and as HTML."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from memo._units import format_bytes, format_seconds

__all__ = ("aligned", "html_rows", "html_table", "text_table")

_NONE = "-"
_NO_LINES: Mapping[str, str] = {}
_HEAD = (
    "function", "entries", "bytes", "hit ratio", "hits", "misses", "joins", "evicted", "load", "running", "timeouts",
    "calls", "errors", "p95", "window",
)  # fmt: skip


def _cells(function: Any, line: str) -> list[str]:
    cache, inflight, window = function.cache, function.inflight, function.window
    row = [function.name, *[_NONE] * (len(_HEAD) - 1)]
    if inflight is not None:
        row[5:7] = [str(inflight.started), str(inflight.joined)]
        row[9:11] = [str(inflight.active), str(inflight.timeouts) if inflight.timeouts else _NONE]
    if cache is not None:
        row[1:9] = [
            f"{cache.size}" if cache.max is None else f"{cache.size}/{cache.max}",
            _NONE if cache.bytes is None else f"{format_bytes(cache.bytes)}/{format_bytes(cache.max_bytes)}",
            f"{cache.hit_ratio:.1%}" if cache.requests else _NONE,
            str(cache.hits),
            str(cache.misses),
            str(cache.joins),
            str(sum(cache.evictions.values())),
            format_seconds(cache.load_mean) if cache.loads else _NONE,
        ]
    if function.adopted is not None:
        row[1:6] = _adopted_cells(function.adopted)
    if window is not None:
        row[11:15] = [
            str(window.count),
            str(window.errors) if window.errors else _NONE,
            _NONE if window.p95 is None else format_seconds(window.p95),
            f"{line} {format_seconds(window.span)}".lstrip(),
        ]
    return row


def _adopted_cells(stats: Any) -> list[str]:
    """Entries to misses of a cache that others made: dashes for what it does not know."""
    entries = _NONE if stats.size is None else str(stats.size)
    if stats.max is not None or stats.bounded is False:
        entries += "/unbounded" if stats.max is None else f"/{stats.max}"
    return [
        entries,
        _NONE,
        f"{stats.hit_ratio:.1%}" if stats.requests else _NONE,
        *(_NONE if figure is None else str(figure) for figure in (stats.hits, stats.misses)),
    ]


def _table(stats: Iterable[Any], lines: Mapping[str, str]) -> list[list[str]]:
    """The head and a row for each function, without the columns in which nobody has a figure."""
    rows = [_cells(function, lines.get(function.name, "")) for function in stats]
    told = [i for i in range(len(_HEAD)) if i == 0 or any(row[i] != _NONE for row in rows)]
    return [[row[i] for i in told] for row in [list(_HEAD), *rows]]


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

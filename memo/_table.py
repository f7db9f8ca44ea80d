"""The registry's figures as an aligned text table and as HTML."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from memo._units import format_bytes, format_seconds

__all__ = ("html_table", "text_table")

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
    if window is not None:
        row[11:15] = [
            str(window.count),
            str(window.errors) if window.errors else _NONE,
            _NONE if window.p95 is None else format_seconds(window.p95),
            f"{line} {format_seconds(window.span)}".lstrip(),
        ]
    return row


def _table(stats: Iterable[Any], lines: Mapping[str, str]) -> list[list[str]]:
    """The head and a row for each function, without the columns in which nobody has a figure."""
    rows = [_cells(function, lines.get(function.name, "")) for function in stats]
    told = [i for i in range(len(_HEAD)) if i == 0 or any(row[i] != _NONE for row in rows)]
    return [[row[i] for i in told] for row in [list(_HEAD), *rows]]


def text_table(stats: Iterable[Any], lines: Mapping[str, str] = _NO_LINES) -> str:
    """One line per function, the columns aligned; columns without any figure are left out.

    Args:
        stats: The functions' figures.
        lines: Sparklines of windows, by the function's name.
    """
    head, *rows = _table(stats, lines)
    if not rows:
        return "no decorated functions"
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    text = []
    for row in [head, ["-" * width for width in widths], *rows]:
        figures = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        text.append("  ".join([row[0].ljust(widths[0]), *figures]).rstrip())
    return "\n".join(text)


def html_table(stats: Iterable[Any], lines: Mapping[str, str] = _NO_LINES) -> str:
    """The same for notebooks."""
    head, *rows = _table(stats, lines)
    parts = ["<table><thead><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr></thead><tbody>"]
    for row in rows:
        parts += ["<tr>", *(f"<td>{html.escape(cell)}</td>" for cell in row), "</tr>"]
    parts.append("</tbody></table>")
    return "".join(parts)

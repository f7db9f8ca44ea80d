"""The registry's figures as an aligned text table and as HTML."""

import html
from collections.abc import Iterable
from typing import Any

from memo._units import format_bytes, format_seconds

__all__ = ("html_table", "text_table")

_NONE = "-"


def _rows(stats: Iterable[Any]) -> tuple[list[str], list[list[str]]]:
    head = ["function", "entries", "bytes", "hit ratio", "hits", "misses", "joins", "evicted", "load mean", "running"]
    rows = []
    for function in stats:
        cache, inflight = function.cache, function.inflight
        row = [function.name]
        if cache is None:
            row += [_NONE] * 8
        else:
            row += [
                f"{cache.size}" if cache.max is None else f"{cache.size}/{cache.max}",
                _NONE if cache.bytes is None else f"{format_bytes(cache.bytes)}/{format_bytes(cache.max_bytes)}",
                f"{cache.hit_ratio:.1%}" if cache.requests else _NONE,
                str(cache.hits),
                str(cache.misses),
                str(cache.joins),
                str(sum(cache.evictions.values())),
                format_seconds(cache.load_mean) if cache.loads else _NONE,
            ]
        row.append(_NONE if inflight is None else str(inflight.active))
        rows.append(row)
    return head, rows


def text_table(stats: Iterable[Any]) -> str:
    """One line per function, the columns aligned."""
    head, rows = _rows(stats)
    if not rows:
        return "no decorated functions"
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        figures = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *figures]).rstrip())
    return "\n".join(lines)


def html_table(stats: Iterable[Any]) -> str:
    """The same for notebooks."""
    head, rows = _rows(stats)
    parts = ["<table><thead><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr></thead><tbody>"]
    for row in rows:
        parts += ["<tr>", *(f"<td>{html.escape(cell)}</td>" for cell in row), "</tr>"]
    parts.append("</tbody></table>")
    return "".join(parts)

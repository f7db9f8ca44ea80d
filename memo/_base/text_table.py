"""Tables as aligned text, fitted to a terminal's width, and as HTML."""

from collections.abc import Mapping

from memo._base.pacing import SEVERAL, unhurried

__all__ = ("MOST", "SHORTEST", "aligned", "escaped", "fitted", "html_rows", "width")

_GAP = "  "
MOST = 80
"""Characters of a line, as many as a terminal has at least."""
SHORTEST = 14
"""Characters that are left of a name."""


def width(rows: list[list[str]]) -> int:
    """Characters of the longest line."""
    return sum(_widths(rows)) + len(_GAP) * (len(rows[0]) - 1)


def _widths(rows: list[list[str]]) -> list[int]:
    """Characters of the longest cell of each column."""
    return [max(map(len, column)) for column in unhurried(zip(*rows, strict=True), runs=SEVERAL)]


def fitted(rows: list[list[str]], short: Mapping[str, str]) -> list[list[str]]:
    """*rows* such that they take no more than 80 characters, if that can be had.

    Args:
        rows: The head and the others.
        short: Shorter words for heads, which are used if it is too wide.
    """
    if width(rows) <= MOST:
        return rows
    rows = [[short.get(head, head) for head in rows[0]], *rows[1:]]
    excess = width(rows) - MOST
    if excess <= 0:
        return rows
    names = [row[0] for row in rows]
    room = max(SHORTEST, max(map(len, names)) - excess)
    shortened = [_shortened(name, room) for name in unhurried(names, runs=SEVERAL)]
    if len(set(shortened)) < len(set(names)):
        return rows  # better too wide than two functions that look like one
    slow = unhurried(zip(shortened, rows, strict=True), runs=SEVERAL)
    return [[name, *row[1:]] for name, row in slow]


def _shortened(name: str, most: int) -> str:
    """*name* with what is in the middle left out; more of its end is kept, which says more."""
    if len(name) <= most:
        return name
    end = (most - 1) * 2 // 3
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def aligned(rows: list[list[str]]) -> str:
    """The first row as a head, a rule below it, and the others; the first column flush left, the rest flush right.

    Of thousands of rows, other threads get their turn in between.
    """
    head, *others = rows
    widths = _widths(rows)
    line = _GAP.join([f"%-{widths[0]}s", *[f"%{width}s" for width in widths[1:]]])
    rows = [head, ["-" * width for width in widths], *others]
    return "\n".join([(line % tuple(row)).rstrip() for row in unhurried(rows, runs=SEVERAL)])


def escaped(text: str) -> str:
    """*text* as HTML shows it."""
    from html import escape  # here: it takes a thirtieth of the time in which all else is imported, for few readers

    return escape(text)


def html_rows(rows: list[list[str]]) -> str:
    """The first row as a head, and the others, as an HTML table."""
    head, *others = rows
    parts = ["<table><thead><tr>", *(f"<th>{escaped(cell)}</th>" for cell in head), "</tr></thead><tbody>"]
    for row in unhurried(others, runs=SEVERAL):
        parts += ["<tr>", *(f"<td>{escaped(cell)}</td>" for cell in row), "</tr>"]
    parts.append("</tbody></table>")
    return "".join(parts)

"""Tables as aligned text, fitted to a terminal's width, and as HTML.

A table of many rows is worked on column by column, each a list with its head first: a step is a call of C for a whole
column, and others get their turn between two columns.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from memo._base.pacing import SEVERAL, Pace, unhurried

__all__ = (
    "MOST", "SHORTEST", "aligned", "aligned_columns", "escaped", "fitted", "fitted_columns", "html_rows", "width",
    "widths",
)  # fmt: skip

T = TypeVar("T")

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_GAP = "  "
MOST = 80
"""Characters of a line, as many as a terminal has at least."""
SHORTEST = 14
"""Characters that are left of a name."""
_LINES = 100
"""Lines that are made between two turns of others."""


def width(sizes: Iterable[int]) -> int:
    """Characters of a line whose columns have so many."""
    return sum(size + len(_GAP) for size in sizes) - len(_GAP)


def widths(columns: list[list[str]], pace: Pace) -> list[int]:
    """Characters of the longest cell of each column."""
    return [max(map(len, column)) for column in unhurried(columns, pace=pace)]


def fitted(rows: list[list[str]], short: Mapping[str, str]) -> list[list[str]]:
    """*rows* such that they take no more than 80 characters, if that can be had.

    Args:
        rows: The head and the others.
        short: Shorter words for heads, which are used if it is too wide.
    """
    return [list(row) for row in zip(*fitted_columns(_columns(rows), short, Pace(runs=SEVERAL)), strict=True)]


def _columns(rows: list[list[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def fitted_columns(columns: list[list[str]], short: Mapping[str, str], pace: Pace) -> list[list[str]]:
    """*columns*, which are altered, such that a line takes no more than 80 characters; the first has the names."""
    if width(widths(columns, pace)) <= MOST:
        return columns
    for column in columns:
        column[0] = short.get(column[0], column[0])
    sizes = widths(columns, pace)
    excess = width(sizes) - MOST
    if excess <= 0:
        return columns
    names = columns[0]
    room = max(SHORTEST, sizes[0] - excess)
    shortened = [_shortened(name, room) for lot in _lots(names, pace) for name in lot]
    different = [len(set(all_)) for all_ in unhurried((shortened, names), pace=pace)]
    if different[0] < different[1]:
        return columns  # better too wide than two functions that look like one
    pace.rest()
    return [shortened, *columns[1:]]


def _lots(items: Iterable[T], pace: Pace) -> Iterator[list[T]]:
    """*items*, some lines of them at a time, between which others get their turn."""
    source = iter(items)
    while lot := list(islice(source, _LINES)):
        yield lot
        pace.rest()


def _shortened(name: str, most: int) -> str:
    """*name* with what is in the middle left out; more of its end is kept, which says more."""
    if len(name) <= most:
        return name
    end = (most - 1) * 2 // 3
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def aligned(rows: list[list[str]]) -> str:
    """The first row as a head, a rule below it, and the others; the first column flush left, the rest flush right."""
    return aligned_columns(_columns(rows), Pace(runs=SEVERAL))


def aligned_columns(columns: list[list[str]], pace: Pace) -> str:
    """The same of columns, which are used up.  Of thousands of rows, other threads get their turn in between."""
    sizes = widths(columns, pace)
    line = _GAP.join([f"%-{sizes[0]}s", *[f"%{size}s" for size in sizes[1:]]])
    rows = zip(*columns, strict=True)
    lines = [(line % next(rows)).rstrip(), line % tuple(["-" * size for size in sizes])]
    lines += [(line % row).rstrip() for lot in _lots(rows, pace) for row in lot]
    while columns:  # to free all of them in one go would take milliseconds
        columns.pop()
        pace.rest()
    return "\n".join(lines)


def escaped(text: str) -> str:
    """*text* as HTML shows it."""
    return text.translate(_ESCAPES)


def html_rows(rows: Iterable[Iterable[str]]) -> str:
    """The first row as a head, and the others, as an HTML table."""
    others = iter(rows)
    parts = ["<table><thead><tr>", *(f"<th>{escaped(cell)}</th>" for cell in next(others)), "</tr></thead><tbody>"]
    for row in unhurried(others, runs=SEVERAL):
        parts += ["<tr>", *(f"<td>{escaped(cell)}</td>" for cell in row), "</tr>"]
    parts.append("</tbody></table>")
    return "".join(parts)

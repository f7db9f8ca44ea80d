"""The table: the columns that there is room for, its head, and a line for each row."""

from collections.abc import Sequence
from dataclasses import dataclass

from memo._commands.amounts import bar
from memo._commands.columns import COLUMNS, Column, Totals, column_of
from memo._commands.rows import Row
from memo._commands.text import Line, Span, cells, padded, plain

__all__ = ("Fitted", "fitted", "head_line", "row_line")

_BAR = 6
_SHORTEST_NAME = 12
_LONGEST_NAME = 200  # as all exporters cut names; where width is no matter, one name is not to blow all lines up
# What comes first where there is little room: columns, bars of columns ("hit|"), and a wider name ("name|18").
_RANKS = (
    "calls", "hit", "entries", "name|18", "running", "load", "evicted", "oldest", "shared", "hit|", "bytes", "errors",
    "p95", "bytes|", "waiting", "name|36", "spark", "reasons",
)  # fmt: skip


@dataclass(slots=True)
class Fitted:
    """A column as it is drawn."""

    column: Column
    width: int
    bar: int = 0

    @property
    def cells(self) -> int:
        """Its cells, with those of its bar."""
        return self.width + (self.bar + 1 if self.bar else 0)


def fitted(rows: Sequence[Row], totals: Totals, width: int | None, sort: str) -> list[Fitted]:
    """The columns that there is room for in so many cells, in their order.

    The name is always there, and so is the column that is sorted by.  Which columns there are depends on the width and
    on which figures there are, never on how long these are, so that the table stands still.

    Args:
        rows: All rows.
        totals: What they are seen beside.
        width: Cells; None: as many as it takes.
        sort: The column that is sorted by.
    """
    longest = min(_LONGEST_NAME, max((cells(plain(row.label)) for row in rows), default=0))
    known = {one.key for one in COLUMNS if not one.optional or any(one.value(row, totals) is not None for row in rows)}
    room = 10_000 if width is None else width
    name = Fitted(COLUMNS[0], min(_SHORTEST_NAME, room))
    chosen = {"name": name}
    room -= name.width
    for rank in dict.fromkeys((sort, *_RANKS)):
        if rank == sort or rank.partition("|")[0] in known:
            room -= _taken(rank, chosen, longest, room)
    name.width += min(room, max(0, max(longest, len(name.column.head) + 1) - name.width))
    return [chosen[column.key] for column in COLUMNS if column.key in chosen]


def _taken(rank: str, chosen: dict[str, Fitted], longest: int, room: int) -> int:
    """Put in what stands at a rank, if there is room for it; how many cells it takes."""
    key, more, wider = rank.partition("|")
    if wider:  # of the longest name as much as is worth it here
        taken = min(room, max(0, min(longest, int(wider)) - chosen[key].width))
        chosen[key].width += taken
        return taken
    if more:
        if key not in chosen or room < _BAR + 1:
            return 0
        chosen[key].bar = _BAR
        return _BAR + 1
    column = column_of(key)
    if key in chosen or column.width + 1 > room:
        return 0
    chosen[key] = Fitted(column, column.width)
    return column.width + 1


def head_line(columns: Sequence[Fitted], totals: Totals, sort: str, *, reverse: bool) -> Line:
    """The head; the column that is sorted by is marked, by which way it goes."""
    down, up = ("v", "^") if totals.ascii_only else ("▼", "▲")
    # Names begin with A, figures with the greatest.
    mark = down if reverse == (sort == "name") else up
    line: Line = []
    for at, one in enumerate(columns):
        head, style = one.column.head_for(totals), "head"
        if one.column.key == sort:
            head, style = f"{head}{mark}" if at == 0 else f"{mark}{head}", "sorted"
        if at:
            line.append(Span(" "))
        flush_left = at == 0 or one.column.key == "reasons"
        line.append(Span(padded(head, one.cells, right=not flush_left), style))
    return line


def row_line(row: Row, columns: Sequence[Fitted], totals: Totals) -> Line:
    """A row's line."""
    idle = "dim" if not row.running and row.calls_per_second == 0 else ""
    line: Line = []
    for at, one in enumerate(columns):
        column = one.column
        style = column.style(row, totals) or idle
        if at == 0:
            line.append(Span(padded(column.text(row, totals), one.width), idle or "name"))
            continue
        line.append(Span(" "))
        if one.bar and column.share is not None:
            line.append(Span(bar(column.share(row, totals), one.bar, ascii_only=totals.ascii_only), style))
            line.append(Span(" "))
        flush_left = column.key == "reasons"
        line.append(Span(padded(column.text(row, totals), one.width, right=not flush_left), style))
    return line

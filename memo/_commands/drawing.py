"""What the terminal shows: header, table, running calls, footer, in so many lines of so many cells."""

import textwrap
from collections.abc import Iterable, Sequence

from memo._base import counted
from memo._commands.amounts import bytes_text, percent, rate, span, uptime
from memo._commands.columns import COLUMNS, Totals, column_of, sorted_rows
from memo._commands.readings import Flying, Readings
from memo._commands.rows import Row
from memo._commands.table import fitted, head_line, row_line
from memo._commands.text import Line, Span, cells, line_cells, padded, plain, trimmed
from memo._commands.tiers import Tier
from memo._commands.view import KEYS, View

__all__ = ("draw", "draw_choice", "totals_of")

_LONG_S = 1.0
"""Calls that have been running for less come and go too fast to be read."""
_MOST_FLIGHTS = 5
_MOST_TIERS = 2
_KEY = 7  # cells for a key, where keys are explained
_SMALL, _LOW = 8, 14  # heights below which there is one line of header, and one of footer


def draw(
    readings: Readings, view: View, width: int, height: int, status: str, *, ascii_only: bool = False
) -> list[Line]:
    """The whole screen, at most *height* lines.

    Args:
        readings: What the server told.
        view: How it is looked at; scrolled back if there is nothing to see where it was.
        width: Cells of a line.
        height: Lines.
        status: What is to be known beside, such as that the server is gone; empty: nothing is.
        ascii_only: Whether the terminal knows ASCII alone.
    """
    totals = totals_of(readings, view, ascii_only=ascii_only)
    rows = sorted_rows(view.chosen(readings.rows), column_of(view.sort), totals, reverse=view.reverse)
    columns = fitted(readings.rows, totals, width, view.sort)
    header = _header(readings, width)[: 1 if height < _SMALL else None]
    footer = _footer([one.column.key for one in columns], view, width)[1 if height < _LOW else 0 :]
    longest = _longest(readings.flights, height, width) if not view.helping else []
    around = len(header) + 2 + len(longest) + len(footer)  # the status, the head of the table
    page = max(1, height - around)
    if view.helping:
        head, body = [Span("keys", "head")], _help(width)
        view.keep_in_sight(len(body), page)
        shown, count = body[view.offset : view.offset + page], len(body)
    else:
        head = head_line(columns, totals, view.sort, reverse=view.reverse)
        view.keep_in_sight(len(rows), page)
        shown = [row_line(row, columns, totals) for row in rows[view.offset : view.offset + page]]
        shown, count = shown or [[Span(_nothing(readings, view), "dim")]], len(rows)
    lines = [*header, _status(status or _silent(readings), view, count, width), head, *shown]
    lines += [[] for _ in range(height - len(lines) - len(longest) - len(footer))]
    lines += [*longest, *footer]
    return [trimmed(line, width) for line in lines[:height]]


def totals_of(readings: Readings, view: View, *, ascii_only: bool = False) -> Totals:
    """What the rows are seen beside."""
    return Totals(sum(row.bytes or 0 for row in readings.rows), view.since_start, ascii_only)


def _silent(readings: Readings) -> str:
    """Which processes do not tell their figures at present."""
    silent = [one for one in readings.processes if one.error is not None]
    return f"{counted(len(silent), 'process', 'processes')} silent: {silent[0].error}" if silent else ""


def _nothing(readings: Readings, view: View) -> str:
    if view.filter:
        return f"no function of {len(readings.rows):,} has {plain(view.filter)!r} in its name"
    return "no decorated function there yet" if readings.taken is not None else "asking..."


def _joined(pieces: Iterable[Line], width: int, gap: str = "  ") -> Line:
    """As many of the pieces as there is room for, in their order."""
    line: Line = []
    for piece in pieces:
        more = [Span(gap), *piece] if line else list(piece)
        if line_cells(line) + line_cells(more) > width:
            break
        line += more
    return line


def _header(readings: Readings, width: int) -> list[Line]:
    process, rows = readings.process, readings.rows
    pieces: list[Line] = [[Span("memo top", "title")]]
    if process:
        pieces.append([Span(plain(str(process.get("name") or "?")), "title")])
        others = len(readings.processes) - 1
        pieces.append([Span(f"pid {process.get('pid')}" + (f" and {others} more" if others > 0 else ""))])
        pieces.append([Span(f"up {uptime(process.get('uptime') or 0)}")])
        functions = {row.name.removesuffix(f"@{row.process}") for row in rows}
        pieces.append([Span(counted(len(functions), "function"))])
        python = process.get("python")
        pieces.append([Span(f"Python {plain(str(python))}, calls run in {plain(str(process.get('path')))}", "dim")])
    return [_joined(pieces, width), _joined(_sums(rows, readings.seconds), width), *_tiers(readings.tiers, width)]


def _tiers(tiers: Sequence[Tier], width: int) -> list[Line]:
    """A line for each tier, those that are not well first, as far as there is room for so many."""
    shown = sorted(tiers, key=lambda tier: tier.is_well)[:_MOST_TIERS]
    lines = [[Span(tier.line, "" if tier.is_well else "bad")] for tier in shown]
    if lines and len(tiers) > len(shown):
        lines[-1].append(Span(f"  and {counted(len(tiers) - len(shown), 'tier')} more", "dim"))
    return [trimmed(line, width) for line in lines]


def _sums(rows: Sequence[Row], seconds: float | None) -> list[Line]:
    """The figures of all functions together."""
    asked = sum(row.recent_asked or 0 for row in rows)
    answered = sum(row.recent_answered or 0 for row in rows)
    running = sum(row.running or 0 for row in rows)
    oldest = max((row.oldest for row in rows if row.oldest is not None), default=None)
    held = [row.bytes for row in rows if row.bytes is not None]
    known = [row.calls_per_second for row in rows if row.calls_per_second is not None]
    pieces: list[Line] = [
        [Span(f"{rate(sum(known) if seconds else None)} calls/s")],
        [Span(f"hit {percent(answered / asked if asked else None)}")],
        [Span(f"{counted(sum(row.size or 0 for row in rows), 'entry', 'entries')}")],
        [Span(f"{running:,} running" + (f", oldest {span(oldest)}" if oldest is not None else ""))],
    ]
    if held:
        pieces.append([Span(f"{bytes_text(sum(held))} counted")])
    return pieces


def _status(status: str, view: View, lines: int, width: int) -> Line:
    """The line that says what is out of the ordinary, and which part of the table is shown."""
    where = ""
    if lines > view.page:
        where = f"{view.offset + 1:,}-{min(lines, view.offset + view.page):,} of {lines:,}"
    left: Line = []
    if view.typing:
        left = [Span("filter: ", "key"), Span(plain(view.filter)), Span(" ", "cursor")]
    elif view.paused:
        left = [Span("paused; space goes on", "alert")]
    elif status:
        left = [Span(plain(status), "alert")]
    elif view.filter:
        left = [Span(f"only {plain(view.filter)!r}; escape shows all", "key")]
    room = width - cells(where) - (1 if where else 0)
    left = trimmed(left, room)
    return [*left, Span(" " * (width - line_cells(left) - cells(where))), Span(where, "dim")]


def _longest(flights: Sequence[Flying], height: int, width: int) -> list[Line]:
    """The calls that have been running longest, if some have been for long and there is room to tell."""
    room = min(_MOST_FLIGHTS, (height - 12) // 4)
    flights = [flight for flight in flights if flight.age >= _LONG_S][: max(0, room)]
    lines: list[Line] = [[]]
    for flight in flights:
        waits = f"{flight.waiters:,} wait for it" if flight.waiters else ""
        told = [flight.function, waits, f"in {flight.leader}" if flight.leader else ""]
        if flight.key is not None:
            told.insert(1, flight.key)
        pieces = [[Span(plain(piece))] for piece in told if piece]
        lines.append(_joined([[Span(padded(span(flight.age), 7, right=True), "bad")], *pieces], width))
    return lines if flights else []


def _footer(shown: Sequence[str], view: View, width: int) -> list[Line]:
    """What keys do: those that sort by a column that is shown, and the others."""
    if view.typing:
        return [[], _joined([_key("enter", "keep it"), _key("escape", "show all")], width)]
    sorts = [_key(column.letter, column.key) for column in COLUMNS if column.key in shown]
    # The way out comes first where there is no room for all.
    others = {letter: _key(letter, word) for letter, word, _ in KEYS}
    line = _joined(others.values(), width)
    if len(line) < 4 * len(others) - 1:
        line = _joined([others.pop("?"), others.pop("q"), *others.values()], width)
    return [_joined(sorts, width), line]


def _key(letter: str, word: str) -> Line:
    return [Span(letter, "key"), Span(" "), Span(word)]


def _help(width: int) -> list[Line]:
    """What each key does, in lines of so many cells."""
    told = [
        *((letter, says) for letter, _, says in KEYS),
        ("arrows", "scroll, as do page up, page down, home and end"),
        *((one.letter, f"sort by {one.key}: {one.says}") for one in COLUMNS),
    ]
    lines: list[Line] = []
    for letter, says in told:
        for part in textwrap.wrap(says, max(20, width - _KEY)):
            lines.append([Span(padded(letter, _KEY), "key"), Span(part)])
            letter = ""
    return lines


def draw_choice(names: Sequence[str], at: int, width: int, height: int) -> list[Line]:
    """A screen to choose one of several servers on.

    Args:
        names: A line for each of them.
        at: The one that is pointed at.
        width: Cells of a line.
        height: Lines.
    """
    page = max(1, height - 4)
    first = max(0, min(at - page // 2, len(names) - page))
    lines: list[Line] = [[Span("memo top", "title"), Span("  several serve; which one?")], []]
    for number, name in enumerate(names[first : first + page], first):
        lines.append(
            [Span(padded(f"{'>' if number == at else ' '} {plain(name)}", width), "sorted" if number == at else "")]
        )
    lines += [[] for _ in range(height - len(lines) - 1)]
    lines.append(_joined([_key("arrows", "choose"), _key("enter", "look"), _key("q", "quit")], width))
    return [trimmed(line, width) for line in lines[:height]]

"""Text for a terminal: with nothing in it that a terminal obeys, measured and cut in the cells that it takes there."""

import unicodedata
from typing import NamedTuple, TypeAlias

__all__ = ("Line", "Span", "cells", "cut", "line_cells", "padded", "plain", "text_of", "trimmed")


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    style: str = ""
    """A word that the screen has colours for, such as "dim"; text that goes into a file has none."""


Line: TypeAlias = list[Span]


def plain(text: str) -> str:
    r"""*text* on one line, and such that no terminal obeys it: what does not print is shown as ``\x1b``.

    Names of functions, processes, tasks and threads are whatever a program made of its input.  Escapes would colour,
    move and rename; line ends and marks of direction would have one row look like another.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def cells(text: str) -> int:
    """How many cells of a terminal *text* takes: two for a wide character, none for an accent on another."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(one: str) -> int:
    if unicodedata.category(one) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(one) in ("W", "F") else 1


def cut(text: str, most: int) -> str:
    """*text* in at most so many cells, the middle left out; more of its end is kept, which says more."""
    if cells(text) <= most:
        return text
    if most < 2:
        return _first(text, most)
    end = _last(text, (most - 1) * 2 // 3)
    return f"{_first(text, most - 1 - cells(end))}…{end}"


def _first(text: str, most: int) -> str:
    taken = 0
    for at, one in enumerate(text):
        taken += _cells_of(one)
        if taken > most:
            return text[:at]
    return text


def _last(text: str, most: int) -> str:
    taken = 0
    for at in range(len(text) - 1, -1, -1):
        taken += _cells_of(text[at])
        if taken > most:
            return text[at + 1 :]
    return text


def padded(text: str, width: int, *, right: bool = False) -> str:
    """*text* in exactly so many cells, flush left or *right*, cut if it is longer."""
    text = cut(text, width)
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def line_cells(line: Line) -> int:
    """How many cells a line takes."""
    return sum(cells(span.text) for span in line)


def trimmed(line: Line, width: int) -> Line:
    """*line* in at most so many cells: what is beyond them is left out."""
    kept: Line = []
    for text, style in line:
        if width <= 0:
            break
        text = _first(text, width)
        width -= cells(text)
        kept.append(Span(text, style))
    return kept


def text_of(line: Line) -> str:
    """A line without its styles, and without blanks at its end."""
    return "".join(span.text for span in line).rstrip()

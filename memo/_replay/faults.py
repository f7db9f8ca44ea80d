"""What is wrong with an input: too much to go on, or a line that is left out."""

from typing import NamedTuple

from memo.errors import MemoError

__all__ = ("BadInputError", "BadLine", "BadLines", "ended", "shown", "spelled")

_SHOWN_LINES = 3
_SHOWN_CHARACTERS = 48


class BadInputError(MemoError, ValueError):
    """An input that no keys can be had from; the message names it and says what to do."""


class BadLine(NamedTuple):
    """A line that is no request."""

    source: str
    number: int
    text: str
    """Its beginning, fit to be shown."""
    why: str
    """Words that follow "which", such as "is empty"."""


class BadLines:
    """The lines that are left out: how many, and the first few of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[BadLine] = []

    @property
    def shows_more(self) -> bool:
        """Whether the next one will be among those that are shown."""
        return len(self.first) < _SHOWN_LINES

    def add(self, source: str, number: int, line: bytes, why: str) -> None:
        """Leave out line *number* of *source*."""
        self.count += 1
        if self.shows_more:
            self.first.append(BadLine(source, number, shown(line), why))


def shown(text: bytes | str) -> str:
    """The beginning of *text* in quotes, with whatever a terminal would obey or not show spelled out."""
    if isinstance(text, bytes):
        # Bytes enough for so many characters; a character that this cuts is one of those that are left out.
        text = text[: 4 * _SHOWN_CHARACTERS + 4].decode("utf-8", "surrogateescape")
    short = spelled(text[:_SHOWN_CHARACTERS])
    return f"'{short}…'" if len(text) > _SHOWN_CHARACTERS else f"'{short}'"


def ended(text: str) -> str:
    """*text* as the end of a sentence, which a question has already."""
    return text if text.endswith("?") else f"{text}."


def spelled(text: str) -> str:
    """All of *text*, with whatever a terminal would obey or not show spelled out."""
    return text if text.isprintable() else "".join(map(_character, text))


def _character(character: str) -> str:
    """A character as it is, or the escape for it."""
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that is no text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")

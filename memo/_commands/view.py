"""How the table is looked at: its order, its filter, where it is scrolled to; and what each key changes of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from memo._commands.columns import COLUMNS, DEFAULT_SORT
from memo._commands.rows import Row

__all__ = ("KEYS", "View")

KEYS: tuple[tuple[str, str, str], ...] = (
    ("r", "reverse", "turn the order round"),
    (
        "/",
        "filter",
        "show the functions that have a text in their name, or a pattern such as get*user; escape shows all",
    ),
    ("t", "since start", "calls and hit ratio since the processes began, or those of the last interval"),
    ("m", "by process", "a row for each process, or one for all of a name"),
    ("space", "pause", "leave the figures as they are, and ask the server for none"),
    ("?", "help", "this page"),
    ("q", "quit", "end; as Ctrl-C does"),
)
"""Keys other than those that sort: each with its word in the footer, and what it does."""

_BY_LETTER = {column.letter: column.key for column in COLUMNS}
_STEPS = {"up": -1, "down": 1}


@dataclass(slots=True)
class View:
    """What the user has chosen so far."""

    sort: str = DEFAULT_SORT
    reverse: bool = False
    filter: str = ""
    typing: bool = False
    """Whether keys are text for the filter now."""
    offset: int = 0
    """How many lines of the table, or of the help, are above those that are shown."""
    page: int = 1
    """How many are shown."""
    paused: bool = False
    helping: bool = False
    since_start: bool = False
    by_process: bool = False
    ended: bool = False

    def press(self, key: str) -> None:
        """Do what a key stands for; one that stands for nothing does nothing.

        Args:
            key: A character, or the name of a key such as "up" or "escape".
        """
        if self.typing:
            self._type(key)
        elif not self._scroll(key):
            self._choose(key)

    def _type(self, key: str) -> None:
        if key in ("enter", "escape"):
            self.typing = False
            if key == "escape":
                self.filter = ""
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif key == "space":
            self.filter += " "
        elif len(key) == 1 and key.isprintable():
            self.filter += key
        else:
            self._scroll(key)
            return
        self.offset = 0

    def _scroll(self, key: str) -> bool:
        """Move by a key that moves; whether it is one."""
        if key in _STEPS:
            self.offset += _STEPS[key]
        elif key in ("pageup", "pagedown"):
            self.offset += (-1 if key == "pageup" else 1) * max(1, self.page - 1)
        elif key == "home":
            self.offset = 0
        elif key == "end":
            self.offset = 1_000_000_000  # keep_in_sight() knows how many lines there are
        else:
            return False
        self.offset = max(0, self.offset)
        return True

    def _choose(self, key: str) -> None:
        if key in _BY_LETTER and not self.helping:
            self.sort, self.offset = _BY_LETTER[key], 0
        elif key == "r":
            self.reverse = not self.reverse
        elif key == "/":
            self.typing, self.helping, self.offset = True, False, 0
        elif key == "t":
            self.since_start = not self.since_start
        elif key == "m":
            self.by_process, self.offset = not self.by_process, 0
        elif key in ("space", "p"):
            self.paused = not self.paused
        elif key == "?":
            self.helping, self.offset = not self.helping, 0
        elif key == "escape":
            if not self.helping:
                self.filter = ""
            self.helping, self.offset = False, 0
        elif key == "q":
            self.helping, self.ended, self.offset = False, not self.helping, 0

    def keep_in_sight(self, lines: int, page: int) -> None:
        """Scroll back to where there is something to see."""
        self.page = page
        self.offset = max(0, min(self.offset, lines - page))

    def chosen(self, rows: Iterable[Row]) -> list[Row]:
        """The rows that the filter leaves."""
        wanted = self.filter.casefold()
        if not wanted:
            return list(rows)
        if any(one in wanted for one in "*?["):
            return [row for row in rows if fnmatchcase(row.label.casefold(), f"*{wanted}*")]
        return [row for row in rows if wanted in row.label.casefold()]

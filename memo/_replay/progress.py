"""A bar on the terminal for how far the work is, how fast it goes and how long it will take."""

import os
import sys
import time

from memo._base import format_seconds

__all__ = ("Progress",)

_EVERY_S = 0.1
_BAR = 20
_KNOWING_S = 1.0
"""Before that nothing is said of the time that is left."""


class Progress:
    """Shows the bar on standard error if that is a terminal; else nothing at all."""

    def __init__(self) -> None:
        self._shows = bool(sys.stderr and sys.stderr.isatty())
        self._next_s = 0.0
        self._drawn = False
        self.begin("", "", None)

    def begin(self, title: str, unit: str, total: int | None) -> None:
        """Begin with a part of the work.

        Args:
            title: What is done.
            unit: What is counted while it is done, such as "lines".
            total: How far there is to go, in whatever ``move`` is told; None: not known.
        """
        self._title, self._unit, self._total = title, unit, total
        self._done = self._counted = 0
        self._began_s = time.monotonic()

    def move(self, done: int) -> None:
        """So much further."""
        self._done += done

    def count(self, things: int) -> None:
        """So many more of what is counted; shows the bar if that is due."""
        self._counted += things
        if self._shows and (now_s := time.monotonic()) >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._draw(now_s - self._began_s)

    def _draw(self, elapsed_s: float) -> None:
        rate = self._counted / elapsed_s if elapsed_s > 0 else 0.0
        words = [self._title]
        if self._total:
            share = min(1.0, self._done / self._total)
            full = round(_BAR * share)
            words.append(f"[{'#' * full}{'.' * (_BAR - full)}] {share:4.0%}")
        words.append(f"{rate:,.0f} {self._unit}/s")
        if self._total and self._done and elapsed_s >= _KNOWING_S:
            left_s = max(0, self._total - self._done) * elapsed_s / self._done
            words.append(f"{format_seconds(max(1, round(left_s)))} left")
        self._write("\r" + "  ".join(words)[: self._columns() - 1] + "\x1b[K")
        self._drawn = True

    @staticmethod
    def _columns() -> int:
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except OSError:
            return 80

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:  # the terminal went away, and the work is to go on
            self._shows = False

    def end(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._drawn = False
            self._write("\r\x1b[K")

"""Commands in a pseudo-terminal, and what they show there."""

import os
import re
import sys
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import pexpect
import pyte

from kit.places import ROOT

__all__ = ("LIMIT_S", "OnTerminal")

LIMIT_S = 20.0
"""Seconds until a wait has failed; nothing waits so long unless it fails."""
_LEFT = b"\x1b[?1049l"


class OnTerminal:
    """A command that runs in a pseudo-terminal, and a screen that is drawn as a terminal draws it.

    Args:
        command: Arguments for the interpreter.
        width: Cells of a line.
        height: Lines.
        environment: More of it, or other.
    """

    def __init__(self, *command: str, width: int = 80, height: int = 24, **environment: str) -> None:
        kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self.sent = b""
        """Everything that was sent to the terminal."""
        self._child: Any = pexpect.spawn(
            sys.executable,
            list(command),
            env={
                **kept,
                "PYTHONPATH": str(ROOT),
                "TERM": "xterm-256color",
                "PYTHONUTF8": "1",
                "PYTHON_COLORS": "0",
                **environment,
            },
            cwd=str(ROOT),
            dimensions=(height, width),
            timeout=LIMIT_S,
        )
        self._settings = self._line_settings()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._child.close(force=True)

    @property
    def lines(self) -> list[str]:
        """The screen, line by line."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.lines)

    def press(self, keys: str) -> None:
        """Press keys."""
        self._child.send(keys)

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._child.kill(number)

    def resize(self, width: int, height: int) -> None:
        """Have the terminal another size; whoever runs in it is told."""
        self._screen.resize(height, width)
        self._child.setwinsize(height, width)

    def hang_up(self) -> int:
        """Take the terminal away; the exit status, which is negative for a signal."""
        self._child.ptyproc.fileobj.close()
        return self._ended()

    def shows(self, wanted: str | Callable[[str], object]) -> re.Match[str] | None:
        """Wait until the screen has a text that matches, or is as a function says; and is drawn to its end."""
        until_s = time.monotonic() + LIMIT_S
        while True:
            found = re.search(wanted, self.text, re.MULTILINE) if isinstance(wanted, str) else wanted(self.text)
            if found and self._is_whole():
                return found if isinstance(found, re.Match) else None
            if time.monotonic() > until_s or not self._read():
                raise AssertionError(f"{wanted!r} never came; the terminal shows:\n{self.text}")

    def _is_whole(self) -> bool:
        """Whether the cursor stands where it does when all lines are drawn: what comes may come in parts."""
        cursor = self._screen.cursor
        return (cursor.y, cursor.x) == (self._screen.lines - 1, self._screen.columns)

    def status(self) -> int:
        """Wait for the end; the exit status, which is negative for a signal."""
        while self._read():
            pass
        return self._ended()

    def _ended(self) -> int:
        self._child.wait()
        return -self._child.signalstatus if self._child.exitstatus is None else self._child.exitstatus

    def is_as_before(self) -> bool:
        """Whether the terminal's own screen, its cursor and the settings of its line are what they were."""
        shown = self.sent.rfind(b"\x1b[?25h") > self.sent.rfind(b"\x1b[?25l")
        left = self.sent.rfind(_LEFT) > self.sent.rfind(b"\x1b[?1049h")
        return shown and left and self._line_settings() == self._settings

    @property
    def after(self) -> str:
        """What was written after the whole screen was given back."""
        return self.sent.rpartition(_LEFT)[2].decode()

    def _line_settings(self) -> list[Any]:
        return termios.tcgetattr(self._child.fileno())

    def _read(self) -> bool:
        """Take in what was sent, if something comes within a moment; false once the command has ended."""
        try:
            sent = self._child.read_nonblocking(65_536, timeout=0.2)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.sent += sent
        self._stream.feed(sent)
        return True

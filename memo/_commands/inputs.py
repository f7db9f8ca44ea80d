"""Waiting for keys, and for whoever has news, on POSIX and on Windows."""

import os
import select
import signal
import sys
import time
from types import FrameType
from typing import Any, Protocol

from memo._commands.keyboard import Keys, windows_key

__all__ = ("Input", "LostTerminal", "open_input")

_ESCAPE_S = 0.05
"""Within that the rest of a sequence comes; what comes alone is the escape key."""
_CAUGHT = ("SIGINT", "SIGTERM", "SIGHUP", "SIGWINCH", "SIGTSTP", "SIGCONT")


class LostTerminal(Exception):
    """The terminal is there no more."""


class Input(Protocol):
    """Where keys come from, while signals are kept for whoever waits for keys."""

    def open(self) -> None:
        """Have keys come one by one, unseen."""
        ...

    def close(self) -> None:
        """Have everything as it was."""
        ...

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed; none if the time is up, a signal came, or ``wake()`` was called before.

        Raises:
            LostTerminal: There will be none any more.
        """
        ...

    def wake(self) -> None:
        """Have ``wait()`` end; from any thread."""
        ...

    def signals(self) -> set[int]:
        """The signals that came since this was last asked for."""
        ...


class _Signals:
    """Signals that do nothing but be noted: so everything ends in order, wherever it was."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._before: dict[int, Any] = {}

    def catch(self) -> None:
        for name in _CAUGHT:
            number = getattr(signal, name, None)
            if number is not None and number not in self._before:
                self._before[number] = signal.signal(number, self._note)

    def give_back(self) -> None:
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before if before is not None else signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.append(number)

    def any(self) -> bool:
        return bool(self._came)

    def take(self) -> set[int]:
        came, self._came = self._came, []
        return set(came)


class _PosixInput:
    """Keys of the terminal that standard input is, by ``termios``."""

    def __init__(self) -> None:
        self._terminal = sys.stdin.fileno()
        self._signals = _Signals()
        self._keys = Keys()
        self._attributes: list[Any] | None = None
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)

    def open(self) -> None:
        import termios

        if sys.platform != "win32":
            self._attributes = termios.tcgetattr(self._terminal)
            quiet = termios.tcgetattr(self._terminal)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)  # ISIG stays: Ctrl-C and Ctrl-Z are signals
            quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
            self._signals.catch()
            signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, quiet)

    def close(self) -> None:
        import termios

        if sys.platform != "win32" and self._attributes is not None:
            try:
                termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._attributes)
            except (OSError, termios.error):  # it is gone
                pass
            self._attributes = None
            signal.set_wakeup_fd(-1)
            self._signals.give_back()

    def wait(self, seconds: float) -> list[str]:
        patience_s = min(seconds, _ESCAPE_S) if self._keys.begun else seconds
        try:
            ready, _, _ = select.select([self._terminal, self._woken], [], [], patience_s)
            if self._woken in ready:
                os.read(self._woken, 4096)
            if self._terminal not in ready:
                return self._keys.flush() if not ready else []
            sent = os.read(self._terminal, 4096)
        except OSError as error:
            raise LostTerminal from error
        if not sent:
            raise LostTerminal
        return self._keys.feed(sent)

    def wake(self) -> None:
        try:
            os.write(self._waker, b"\0")
        except OSError:  # it is full, and so will wake
            pass

    def signals(self) -> set[int]:
        return self._signals.take()


class _WindowsInput:
    """Keys of the console, by ``msvcrt``, which can be asked but not waited for."""

    _EVERY_S = 0.05

    def __init__(self) -> None:
        self._signals = _Signals()
        self._woken = False

    def open(self) -> None:
        self._signals.catch()

    def close(self) -> None:
        self._signals.give_back()

    def wait(self, seconds: float) -> list[str]:
        import msvcrt

        console: Any = msvcrt  # to type checkers it is empty elsewhere
        until_s = time.monotonic() + seconds
        keys: list[str] = []
        while not (keys or self._woken or self._signals.any()) and time.monotonic() < until_s:
            while console.kbhit():
                first = console.getwch()
                keys.append(windows_key(first, console.getwch() if first in ("\x00", "\xe0") else ""))
            if not keys:
                time.sleep(self._EVERY_S)
        self._woken = False
        return [key for key in keys if key]

    def wake(self) -> None:
        self._woken = True

    def signals(self) -> set[int]:
        return self._signals.take()


def open_input() -> Input:
    """The input of this system."""
    return _WindowsInput() if sys.platform == "win32" else _PosixInput()

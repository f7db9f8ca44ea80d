"""The terminal as a whole screen: taken, drawn on, and given back as it was, whatever happens."""

import os
import signal
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from memo._commands.failures import INTERRUPTED, WRONG, Failed
from memo._commands.inputs import LostTerminal, open_input
from memo._commands.text import Line
from memo.errors import MissingExtra

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ("Ended", "Terminal")

_STYLES = {
    "": "",
    "title": "bold",
    "head": "bold",
    "sorted": "bold reverse",
    "name": "",
    "dim": "dim",
    "key": "bold cyan",
    "alert": "bold yellow",
    "good": "green",
    "fair": "yellow",
    "bad": "red",
    "cursor": "reverse",
}
_SIZE = (80, 24)
"""Of a terminal that does not know its own."""


class Ended(Exception):
    """A signal, or the loss of the terminal, ends the command.

    Args:
        status: The exit status: 128 and the number of the signal.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Terminal:
    """A context manager: inside it the screen is ours, and keys come one by one.

    Signals end nothing by themselves: ``keys()`` tells of them, so that every way out is the same one.

    Raises:
        Failed: Standard input or output is no terminal, or one that knows no positions.
        MissingExtra: rich is not installed.
    """

    def __init__(self) -> None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise Failed(
                "a live view needs a terminal; write --once for one table, or --json for lines of JSON.", WRONG
            )
        self._console = _console()
        if self._console.is_dumb_terminal:
            raise Failed(
                f"a live view needs a terminal that knows positions, and TERM={os.environ.get('TERM')!r} does not; "
                f"write --once for one table.",
                WRONG,
            )
        self._input = open_input()
        self._drawn: tuple[object, ...] = ()

    @property
    def ascii_only(self) -> bool:
        """Whether it shows ASCII alone."""
        return not self._console.encoding.startswith("utf")

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height now."""
        try:
            width, height = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return _SIZE
        return (width or _SIZE[0], height or _SIZE[1])

    def __enter__(self) -> Self:
        try:
            self._take()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()

    def _take(self) -> None:
        self._input.open()
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._drawn = ()

    def _give_back(self) -> None:
        try:
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)
        except OSError:  # the terminal has gone
            _forget_output()
        finally:
            self._input.close()

    def wake(self) -> None:
        """Have ``keys()`` end; from any thread."""
        self._input.wake()

    def keys(self, seconds: float) -> list[str]:
        """The keys that were pressed, waited for so long; none if there is something else to look at.

        Raises:
            Ended: By a signal, or the loss of the terminal.
        """
        try:
            keys = self._input.wait(seconds)
        except LostTerminal:
            raise Ended(128 + getattr(signal, "SIGHUP", 1)) from None
        came = self._input.signals()
        for name, status in (("SIGHUP", None), ("SIGTERM", None), ("SIGINT", INTERRUPTED)):
            number = getattr(signal, name, None)
            if number in came:
                raise Ended(status or 128 + number)
        stops = getattr(signal, "SIGTSTP", None) in came
        if stops or getattr(signal, "SIGCONT", None) in came:
            self._give_back()
            if stops:
                os.kill(os.getpid(), signal.SIGTSTP)  # now with what it does by itself
            self._take()  # a shell has had it meanwhile
        return keys

    def show(self, lines: Sequence[Line]) -> None:
        """Show so many lines from the top; what is as it was is not sent again.

        Raises:
            Ended: The terminal is gone.
        """
        size = self.size
        drawn = (size, *map(tuple, lines))
        if drawn == self._drawn:
            return
        from rich.console import Group

        self._console.size = size
        try:
            self._console.update_screen(Group(*map(_rich, lines)))
        except OSError:
            raise Ended(128 + getattr(signal, "SIGHUP", 1)) from None
        self._drawn = drawn


def _console() -> "Console":
    try:
        from rich.console import Console
    except ImportError as error:
        raise MissingExtra(
            f"memo top: the package 'rich' cannot be imported ({error}); run: pip install \"memo-toolkit[top]\", or "
            f"write --once"
        ) from error
    output: Any = sys.stdout
    if hasattr(output, "reconfigure"):
        output.reconfigure(errors="replace")  # of a name that this terminal has no letters for
    return Console(file=output, highlight=False, markup=False, emoji=False)


def _rich(line: Line) -> "Text":
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop")
    for piece, style in line:
        text.append(piece, _STYLES[style])
    return text


def _forget_output() -> None:
    """Have what is still in the buffer go nowhere: it would fail again when the interpreter ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        pass

"""What ends a command with a sentence for the user."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memo.exporters import SourceError

__all__ = ("FAILED", "INTERRUPTED", "WRONG", "Failed", "reason")

FAILED = 1
"""Exit status: nobody serves there, or the server refuses."""
WRONG = 2
"""Exit status: the command line is wrong, a package is missing, or the terminal will not do."""
INTERRUPTED = 130
"""Exit status: what shells report of a command that Ctrl-C ended."""


class Failed(Exception):
    """The command cannot do what it was asked to; its text says what happened and what to do.

    Args:
        sentence: That.
        status: The exit status of the command.
    """

    def __init__(self, sentence: str, status: int = FAILED) -> None:
        super().__init__(sentence)
        self.status = status


def reason(error: "SourceError") -> str:
    """What a server that cannot be asked is said to have, and what to do about it on a command line."""
    if error.status == 401:
        return f"{error} Put it into MEMO_TOKEN, or into a file for --token-file."
    return str(error)

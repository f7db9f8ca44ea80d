"""What ends a command with a sentence for the user."""

__all__ = ("FAILED", "INTERRUPTED", "WRONG", "Failed")

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

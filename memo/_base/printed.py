"""What a command prints: text in one go, to a reader who may go away."""

import io
import os
import sys

__all__ = ("print_text",)

_FAILED = 2
_CLOSED_PIPE = 141  # what shells report of a command whose reader went away


def print_text(text: str, command: str) -> int:
    """Write *text* to standard output.

    Args:
        text: What to write; characters that the output has no code for are written as escapes.
        command: Which command says so if that fails.

    Returns:
        0, or the exit status of the command: 141 if nobody reads any more, 2 if the output cannot be written.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _CLOSED_PIPE
        sys.stderr.write(f"memo {command}: the output cannot be written ({error.strerror}); make room for it.\n")
        return _FAILED
    return 0

"""``python -m memo clear``: drop every entry of one function, in all processes of a service."""

import argparse
import sys
from typing import Any

from memo._base import counted, print_text
from memo._commands.failures import FAILED, Failed, reason
from memo._commands.targets import named, source
from memo._commands.text import plain
from memo.exporters import SourceError

__all__ = ("clear",)


def clear(given: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        The exit status.

    Raises:
        Failed: Nobody serves there, there is no such function, or the server does not let figures be changed.
    """
    try:
        with source(named(given.target), given) as asked:
            told: dict[str, Any] = asked.post("/actions/clear", {"function": given.function})
        entries = told["done"].get("entries", 0)
        missed = [one for one in told.get("processes") or () if one["error"] is not None]
    except SourceError as error:
        raise Failed(reason(error)) from error
    except (AttributeError, KeyError, TypeError) as error:
        raise Failed(f"the answer is not that of a memo server ({type(error).__name__}: {error})") from error
    for one in missed:
        print(f"memo clear: process {one['pid']} did not: {plain(str(one['error']))}", file=sys.stderr)
    printed = print_text(f"cleared {plain(given.function)}: {counted(entries, 'entry', 'entries')}\n", "clear")
    return FAILED if missed else printed

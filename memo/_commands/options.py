"""The command lines of what looks at other processes."""

import argparse

from memo._base import seconds
from memo._commands.columns import COLUMNS, DEFAULT_SORT

__all__ = ("add_commands",)

_TARGET = (
    "the name that a service was given, the identifier of one of its processes, the path of a socket, or a URL: "
    "whichever is asked tells of all processes of that name"
)
_STATUS = """
exit status:
  0    the user ended it, or it has shown what there was to show
  1    nobody serves there, it went away, or it refuses
  2    the command line is wrong, a package is missing, or the terminal will not do
  130  Ctrl-C; 143 SIGTERM; 129 the terminal went away; 141 nobody reads the output
"""
_TOKEN = """
A server that wants a token is given that of --token-file, or of MEMO_TOKEN in the
environment; a socket of this user needs none.
"""
_SHORTEST_S = 0.1


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Give each command its parser."""
    top = _add(commands, "top", "watch the functions of a running process, live in the terminal")
    _add_target(top)
    top.add_argument(
        "--sort",
        choices=[column.key for column in COLUMNS],
        default=DEFAULT_SORT,
        metavar="COLUMN",
        help=f"{', '.join(column.key for column in COLUMNS)} (default: {DEFAULT_SORT})",
    )
    top.add_argument(
        "--every", type=_duration, default=1.0, metavar="TIME", help="how often to ask, such as 500ms (default: 1s)"
    )
    top.add_argument(
        "--once", action="store_true", help="print the table of one interval, as wide as COLUMNS says, and end"
    )
    top.add_argument("--json", action="store_true", help="print an object a line, or with --once one")

    ps = _add(commands, "ps", "list the processes of this user that serve their figures")
    ps.add_argument("--json", action="store_true", help="print a list of objects")

    stats = _add(commands, "stats", "print what a running process counts, of one function or of all")
    _add_target(stats)
    stats.add_argument("function", nargs="?", metavar="FUNCTION", help="its name, or a pattern such as 'bot.*'")
    stats.add_argument(
        "--json", action="store_true", help="print an object: a function's figures, or those of all by name"
    )

    clear = _add(commands, "clear", "drop every entry of a function of a running process that serves with actions=True")
    _add_target(clear, needed=True)
    clear.add_argument("function", metavar="FUNCTION", help="its name")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    epilog = _STATUS if name == "ps" else _TOKEN + _STATUS
    return commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # --token would be --token-file
    )


def _add_target(parser: argparse.ArgumentParser, *, needed: bool = False) -> None:
    if needed:
        parser.add_argument("target", metavar="TARGET", help=_TARGET)
    else:
        alone = f"{_TARGET} (default: the only service of this user)"
        parser.add_argument("target", nargs="?", metavar="TARGET", help=alone)
    parser.add_argument("--token-file", metavar="FILE", help="a file with the server's token in it")


def _duration(text: str) -> float:
    try:
        found = seconds(text, where="memo top", option="--every")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found < _SHORTEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is shorter than 100ms; servers take figures once a second.")
    return found

"""The command: its options, its order of work, its exit status."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from memo._base import RECORDING_MAGIC, counted, print_text
from memo._replay.advice import STEPS, advise
from memo._replay.curves import Curves, default_sizes
from memo._replay.errors import Errors
from memo._replay.faults import BadInputError, BadLines, ended
from memo._replay.formats import COLUMNED, FORMATS, format_of, keys_of
from memo._replay.inputs import Input
from memo._replay.plot import check_plot, plot
from memo._replay.progress import Progress
from memo._replay.recorded import Recorded
from memo._replay.report import Findings
from memo._replay.sampled import Sampled

__all__ = ("add_options", "replay")

_FAILED = 2
_INTERRUPTED = 130
_MOST_REPLAYED = 1_000_000
_LESSON = """
what a line is:
  the key itself              python -m memo replay keys.txt more.txt.gz
  a row with the key in it    python -m memo replay --column user calls.csv
                              (.tsv and JSON lines, too; or its number from 1)
  a request in a web log      python -m memo replay --format combined access.log
                              (the key: the method, and the path with its query)
  a recorded request          python -m memo replay traffic.keys
                              (what f.cache.record("traffic.keys") wrote)
  whatever comes from a pipe  cut -d' ' -f7 access.log | python -m memo replay -

The table shows the share of requests that a cache of each size would have
answered under each policy, and under the best that could be, with the future
known (Belady). Then it advises a value for max=. Above --sample requests only
those of a sample of the keys are replayed, in caches as much smaller (SHARDS,
FAST 2015); the output then tells the error.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the command's options to its parser."""
    parser.description = (
        "Replay a recorded stream of keys and show which share of it a cache would have\nanswered, by size and policy."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _LESSON
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="plain or packed by gzip or zstd, read in this order; - is standard input",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="what a line is (default: lines; with --column by the file's name and beginning)",
    )
    parser.add_argument(
        "--column", metavar="C", help="the column with the key: its name in the first line, or its number from 1"
    )
    parser.add_argument("--sizes", type=_sizes, metavar="N,N", help="values of max to compare (default: by the keys)")
    parser.add_argument(
        "--sample",
        type=_count,
        default=_MOST_REPLAYED,
        metavar="N",
        help="most requests to replay; of more, a sample is taken by key (default: 1000000)",
    )
    parser.add_argument(
        "--exact", action="store_true", help="replay all requests, however long it takes and whatever memory"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", metavar="FILE", help="draw the curves, too: a .svg or .png")


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1; write for example 1000.")
    return number


def _sizes(text: str) -> list[int]:
    """Several sizes, ascending, each once."""
    return sorted({_count(part.strip()) for part in text.split(",")})


def replay(given: argparse.Namespace) -> int:
    """Run the command.

    Args:
        given: What ``add_options`` asked for.

    Returns:
        The exit status: 0; 2 if an input is of no use, or what is found cannot be written; 130 after Ctrl-C; 141 if
        nobody reads the output.

    Raises:
        MissingExtra: A package that an input needs is not installed.
    """
    findings = Findings(BadLines(), Sampled(None if given.exact else given.sample))
    progress = Progress()
    try:
        try:
            _work(given, findings, progress)
            findings.complete = True
        finally:
            progress.end()
    except BadInputError as error:
        print(f"memo replay: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        pass
    printed = print_text(findings.as_json() if given.json else findings.text(), "replay")
    if given.plot is not None and findings.curves is not None:
        try:
            plot(given.plot, findings.curves, findings.advice)
        except BadInputError as error:
            print(f"memo replay: {error}", file=sys.stderr)
            return _FAILED
    return printed or (0 if findings.complete else _INTERRUPTED)


def _work(given: argparse.Namespace, findings: Findings, progress: Progress) -> None:
    """Read the files, replay their keys, and take down what is found as soon as it is."""
    _check(given)
    progress.begin("reading", "lines", _total_bytes(given.files))
    began_s = time.monotonic()
    try:
        for path in given.files:
            _read(path, given, findings, progress)
    finally:
        findings.reading_s = time.monotonic() - began_s
    requests = findings.read.finish()

    def moved(number: int) -> None:
        findings.replayed += number
        progress.move(number)
        progress.count(number)

    findings.curves = curves = Curves(requests, given.sizes or default_sizes(requests), moved)
    findings.errors = errors = Errors(curves, moved)
    progress.begin("replaying", "requests", curves.work + errors.work + STEPS * len(requests.order))
    began_s = time.monotonic()
    try:
        for size in curves.sizes:
            for name in curves.names:
                curves.measure(name, size)
                errors.measure(name, size)
        findings.advice = advise(curves)
    finally:
        findings.replaying_s = time.monotonic() - began_s


def _check(given: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if given.format in COLUMNED and given.column is None:
        raise BadInputError(
            f"--format {given.format} needs --column: which column has the key? Its name, or its number."
        )
    if given.format is not None and given.format not in COLUMNED and given.column is not None:
        raise BadInputError(f"--format {given.format} has no columns; leave out --column, or the format.")
    if given.plot is not None:
        check_plot(given.plot)


def _total_bytes(paths: Sequence[str]) -> int | None:
    """The bytes of all files together; None where that cannot be known."""
    try:
        return sum(os.stat(path).st_size for path in paths)
    except (OSError, ValueError):  # standard input is no path; what cannot be read will be told when it is
        return None


def _read(path: str, given: argparse.Namespace, findings: Findings, progress: Progress) -> None:
    """Take in one file."""
    with closing(Input(path, progress.move)) as source:
        findings.names.append(source.name)
        if source.head.startswith(RECORDING_MAGIC):
            _read_recording(source, findings, progress)
        else:
            _read_lines(source, given, findings, progress)


def _read_recording(source: Input, findings: Findings, progress: Progress) -> None:
    """Take in what a live function was asked for."""
    recorded = Recorded(source)
    findings.notes.append(str(recorded))
    for keys in recorded:
        findings.read.add(keys)
        findings.lines += len(keys)
        progress.move(len(keys) * len(keys[0]))
        progress.count(len(keys))


def _read_lines(source: Input, given: argparse.Namespace, findings: Findings, progress: Progress) -> None:
    """Take in what a file of text asks for."""
    read, bad = findings.read, findings.bad
    requests_before, lines_before, bad_before = read.requests, findings.lines, bad.count

    def counted_lines() -> Iterator[tuple[int, list[bytes]]]:
        for number, several in source.lines(bad):
            findings.lines += len(several)
            progress.count(len(several))
            yield number, several

    kind = given.format or format_of(source.path, source.head, given.column)
    for keys in keys_of(counted_lines(), source.name, kind, given.column, bad):
        read.add(keys)
    if read.requests == requests_before:
        lines = counted(findings.lines - lines_before, "line")
        raise BadInputError(ended(f"{source.name} has {lines} and no key{_reason(bad, bad_before)}"))


def _reason(bad: BadLines, before: int) -> str:
    """Why, if the first line that was left out is known."""
    if before >= len(bad.first):
        return ""
    line = bad.first[before]
    return f": line {line.number:,}, {line.text}, {line.why}"

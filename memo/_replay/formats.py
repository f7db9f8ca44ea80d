"""What a line says: the whole of it is the key, or a column of it, or the request that a web server logged."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

from memo._base import did_you_mean
from memo._replay.faults import BadInputError, BadLines, ended, shown

__all__ = ("COLUMNED", "FORMATS", "Keys", "Lines", "format_of", "keys_of")

Lines: TypeAlias = Iterable[tuple[int, list[bytes]]]
"""Lines, many at a time, each time with the number of the first; an empty one is passed over."""
Keys: TypeAlias = Iterator[list[bytes]]
"""Keys in their order, many at a time."""

COLUMNED = ("csv", "tsv", "jsonl")
FORMATS = ("lines", *COLUMNED, "combined")
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
_PACKED_SUFFIXES = (".gz", ".zst")
_NAMES_SHOWN = 8
_DIGITS = 9
"""A number of more digits is the name of a column."""
_MANY = 1 << 13
"""Keys of cells that are handed on at once."""

# Host, identity, user (which may hold blanks), time, the request in quotes, the status; what follows is of no interest.
# The time is of bounded length, or a long line full of brackets would take the square of its length.
_COMBINED = re.compile(
    rb'\S+ \S+ .*?\[[^\]]{1,64}\] "([A-Za-z][A-Za-z_-]*) ([^\s"](?:[^\s"\\]|\\.)*)(?: [^"]*)?" \d{3}(?: |$)'
)


def format_of(path: str, head: bytes, column: str | None) -> str:
    """The format to read a file in where none is given: by its name, else by how its first line begins."""
    if column is None:
        return "lines"
    name = path.casefold()
    for packed in _PACKED_SUFFIXES:
        name = name.removesuffix(packed)
    for suffix, known in _SUFFIXES.items():
        if name.endswith(suffix):
            return known
    first = head.lstrip().partition(b"\n")[0]
    if first.startswith((b"{", b"[")):
        return "jsonl"
    return "tsv" if b"\t" in first else "csv"


def keys_of(lines: Lines, name: str, kind: str, column: str | None, bad: BadLines) -> Keys:
    """The keys that the lines of a file ask for.

    Args:
        lines: The file's.
        name: The file's, for messages.
        kind: One of ``FORMATS``.
        column: For those that have columns, which: its name, or its number from 1.
        bad: Gathers the lines that name no key.

    Raises:
        BadInputError: There is no such column.
    """
    if kind == "lines":
        return _whole(lines, name, bad)
    if kind == "combined":
        return _requests(lines, name, bad)
    if kind == "jsonl":
        return _values(lines, name, column, bad)
    return _cells(lines, name, "\t" if kind == "tsv" else ",", column, bad)


def _whole(lines: Lines, name: str, bad: BadLines) -> Keys:
    for number, several in lines:
        keys = [line for line in several if line and not line.isspace()]
        if len(keys) < len(several):
            for place, line in enumerate(several):
                if line.isspace():
                    bad.add(name, number + place, line, "is blank")
        yield keys


def _each(lines: Lines, name: str, key_of: Callable[[bytes], bytes | str], bad: BadLines) -> Keys:
    """The keys that *key_of* takes from the lines; it raises ValueError with words that follow "which"."""
    for number, several in lines:
        keys = []
        for place, line in enumerate(several):
            if line:
                try:
                    key = key_of(line)
                except ValueError as error:
                    bad.add(name, number + place, line, str(error))
                else:
                    keys.append(key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass"))
        yield keys


def _requests(lines: Lines, name: str, bad: BadLines) -> Keys:
    match = _COMBINED.match

    def key_of(line: bytes) -> bytes:
        found = match(line)
        if found is None:
            raise ValueError("is no request as the combined log format has it")
        return b" ".join(found.groups())

    return _each(lines, name, key_of, bad)


def _values(lines: Lines, name: str, column: str | None, bad: BadLines) -> Keys:
    place = _number(column)

    def key_of(line: bytes) -> str:
        try:
            item = json.loads(line.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            raise ValueError("is no JSON") from None
        if isinstance(item, dict):
            if column is None or column not in item:
                detail = f"; {_has(item, column)}" if bad.shows_more else ""
                raise ValueError(f"has no {_wanted(column)}{detail}")
            value = item[column]
        elif isinstance(item, list) and place is not None:
            if place > len(item):
                raise ValueError(f"has no column {place}, but {len(item)}")
            value = item[place - 1]
        else:
            raise ValueError("is no JSON object")
        try:
            return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        except RecursionError:
            raise ValueError("is nested too deep") from None

    return _each(lines, name, key_of, bad)


def _cells(lines: Lines, name: str, delimiter: str, column: str | None, bad: BadLines) -> Keys:
    """The cells of one column; where it is given by its name, the first line names the columns.

    A first line with semicolons and no comma has semicolons between its cells, as spreadsheets write where numbers
    have a comma in them.
    Text is read as Latin-1, in which each byte is a character, and made the same bytes again.
    """
    at = 1
    line = b""

    def texts() -> Iterator[str]:
        nonlocal at, line
        for number, several in lines:
            for place, line in enumerate(several):
                if line:
                    at = number + place
                    yield line.decode("latin-1") + "\n"

    rest = texts()
    first = next(rest, "")
    if delimiter == "," and delimiter not in first and ";" in first:
        delimiter = ";"
    rows = csv.reader(chain((first,), rest), delimiter=delimiter)
    place = _number(column)
    keys: list[bytes] = []
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            bad.add(name, at, line, f"is no row ({error})")
            continue
        if place is None:
            place = _place(row, column, name)
            continue
        cell = row[place - 1] if place <= len(row) else ""
        if cell:
            keys.append(cell.encode("latin-1"))
        else:
            bad.add(name, at, line, "has no such column" if place > len(row) else "has nothing in that column")
        if len(keys) == _MANY:
            yield keys
            keys = []
    yield keys


def _number(column: str | None) -> int | None:
    """The number of the column, from 1, if a number is given."""
    if column is None or not (column.isascii() and column.isdigit()) or len(column) > _DIGITS:
        return None
    if not int(column):
        raise BadInputError("--column 0 is none: columns are counted from 1.")
    return int(column)


def _place(row: list[str], column: str | None, name: str) -> int:
    """The number of the column that has this name in the first line."""
    names = [cell.encode("latin-1").decode("utf-8", "surrogateescape").strip() for cell in row]
    if column in names:
        return names.index(column) + 1
    raise BadInputError(
        f"{name} has no {_wanted(column)} in its first line; {ended(_has(names, column))} A column "
        f"without a name is given by its number: --column 1."
    )


def _wanted(column: str | None) -> str:
    return "column" if column is None else f"column {shown(column)}"


def _has(names: Iterable[Any], column: str | None) -> str:
    """What columns there are instead, and which was probably meant."""
    known = [str(name) for name in names]
    there = ", ".join(shown(name) for name in known[:_NAMES_SHOWN]) or "none"
    more = ", …" if len(known) > _NAMES_SHOWN else ""
    meant = did_you_mean(column, [name for name in known if name.isprintable()]) if column else ""
    return f"it has {there}{more}{meant}"

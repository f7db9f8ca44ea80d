"""Files of rows of plain values: how a dump is written, verified and read.

A dump is UTF-8 text of JSON (RFC 8259), one line each:

- the header, an object: ``"format"`` and ``"version"``, which are checked here, and what the caller adds;
- the rows, arrays of values;
- the seal, an object: how many rows, how many bytes before the seal, and their SHA-256.

What stands for a value is told in ``dump_values``.

A file may be forged, seal and all.  Reading one takes time and memory in proportion to the rows that are kept:
nesting is limited before a line is parsed, numbers have a longest form, and a line has a longest size.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import IO, Any, NoReturn

from memo._base import Pace, Path, WholeFile
from memo._cache.dump_values import DEPTH
from memo.errors import DumpError

__all__ = ("VERSION", "parsed", "read_lines", "write_rows")

VERSION = 1
"""Raised with every change after which older releases would misread a file."""

_FORMAT = "memo dump"
_BRACKETS = 3 * DEPTH + 1  # a dict is an object that holds an array of arrays; a row is an array
_LONGEST_HEADER = 1 << 16  # bytes
_LONGEST_ROW = 1 << 26  # bytes
_DIGITS = 40  # of a number that stands for itself

_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKET = bytes(set(range(256)) - set(_STEP))


def write_rows(path: Path, header: Mapping[str, Any], rows: Iterable[list[Any]]) -> int:
    """Write a dump so that *path* holds either all of it or what it held before.

    What is there already keeps its permissions; a new file is readable by its owner alone.  A symbolic link is
    followed.  If *rows* raises, so does this, and nothing is left behind.

    Args:
        path: Where to; its directory must exist.
        header: JSON to put in the header.
        rows: The rows as JSON, drawn one at a time.

    Returns:
        Number of rows.

    Raises:
        OSError: The file cannot be written.
        ValueError: A row takes more than 64 MiB.
    """
    whole = WholeFile(path, "dump")
    try:
        whole.open()
        count = _write(whole.file, header, rows)
        whole.finish()
    except BaseException:
        whole.abandon()
        raise
    return count


def _write(file: IO[bytes], header: Mapping[str, Any], rows: Iterable[list[Any]]) -> int:
    digest = hashlib.sha256()
    count = size = 0

    def write(line: bytes) -> None:
        nonlocal size
        file.write(line)
        digest.update(line)
        size += len(line)

    # as ASCII, since names may hold lone surrogates
    write(_line({"format": _FORMAT, "version": VERSION, **header}, _ASCII_ENCODER))
    for row in rows:
        line = _line(row)
        if len(line) > _LONGEST_ROW:
            raise ValueError(
                f"dump: row {count + 1} takes {len(line)} bytes, and {_LONGEST_ROW} is the most that "
                f"load() reads; let encode= return less."
            )
        write(line)
        count += 1
    file.write(_seal(count, size, digest.hexdigest()))
    return count


def _line(content: Any, encoder: json.JSONEncoder | None = None) -> bytes:
    return (encoder or _ENCODER).encode(content).encode() + b"\n"


def _seal(count: int, size: int, digest: str) -> bytes:
    return _line({"rows": count, "bytes": size, "sha256": digest})


_SEAL_START = b'{"rows":'


def read_lines(path: Path, most: int | None) -> tuple[dict[str, Any], deque[tuple[int, bytes]]]:
    """The header of a dump and the lines of its last rows, once all of the file is verified.

    Args:
        path: Where from.
        most: How many rows to keep, from the end; None: all.

    Returns:
        The header as JSON, and the rows' numbers and lines, for ``parsed()``.

    Raises:
        OSError: The file cannot be read.
        DumpError: It is no dump, of another version, or was cut short or altered.
    """
    shown = repr(os.fsdecode(path))
    with open(path, "rb") as file:
        line = file.readline(_LONGEST_HEADER)
        header = _header(line, shown)
        digest = hashlib.sha256()
        kept: deque[tuple[int, bytes]] = deque(maxlen=most)
        number = size = 0
        pace = Pace()
        while following := file.readline(_LONGEST_ROW + 1):  # the last line of all is the seal
            digest.update(line)
            size += len(line)
            if number:
                kept.append((number, line))
            number += 1
            line = following
            pace.rest()
    if number == 0 or not (line.startswith(_SEAL_START) and line.endswith(b"\n")):
        raise DumpError(f"load: {shown} is cut short: it does not end as a dump does; write it again with dump().")
    if line != _seal(number - 1, size, digest.hexdigest()):
        raise DumpError(
            f"load: {shown} was altered after it was written: its contents do not match the checksum in its "
            f"last line; write it again with dump()."
        )
    return header, kept


def _header(line: bytes, shown: str) -> dict[str, Any]:
    try:
        header = parsed(line)
    except (ValueError, RecursionError):
        header = None
    if type(header) is not dict or header.get("format") != _FORMAT:
        raise DumpError(
            f"load: {shown} is no dump (it begins with {line[:40]!r}); give a file that dump() has written."
        )
    version = header.get("version")
    if version != VERSION or type(version) is not int:
        raise DumpError(
            f"load: {shown} has format version {str(version)[:40]}, but this release reads version {VERSION}; "
            f"write it again with this release's dump()."
        )
    return header


def parsed(line: bytes) -> Any:
    """The JSON of one line.

    Raises:
        ValueError, RecursionError: It is none that a dump holds.
    """
    # escaped backslashes first: then each quote with a backslash before it is part of a string
    outside = b"".join(line.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(None, _NO_BRACKET)
    # before parsing: the parser recurses, as deep as the program allows, which may be more than the stack bears
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > _BRACKETS:
        raise ValueError("its arrays and objects are nested too deeply")
    return _DECODER.decode(line.decode())


def _integer(text: str) -> int:
    return int(text) if len(text) <= _DIGITS else _refuse(text)


def _float(text: str) -> float:
    return float(text) if len(text) <= _DIGITS else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"it contains the number {text[:_DIGITS]!r}, which a dump writes in another way")


# made once: each takes longer to make than to use
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ASCII_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_refuse)

"""Files of rows of plain values: how a dump is written, verified and read.

A dump is UTF-8 text of JSON (RFC 8259), one line each:

- the header, an object: ``"format"`` and ``"version"``, which are checked here, and what the caller adds;
- the rows, arrays of values;
- the seal, an object: how many rows, how many bytes before the seal, and their SHA-256.

Null, booleans, text, arrays (lists), integers of up to 2**53 and finite floats stand for themselves.  Everything
else is an object with one member, whose name tells the type: ``{"tuple": [1, 2]}``, ``{"bytes": "aGk="}``.
So the types that a file can bring to life are those of the tables below, and no code is loaded.

A file may be forged, seal and all.  Reading one takes time and memory in proportion to the rows that are kept:
nesting is limited before a line is parsed, long integers are hexadecimal (decimal ones take quadratic time), a
line has a longest size, and a container whose members all hash alike is refused.
"""

import binascii
import errno
import hashlib
import json
import math
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import suppress
from datetime import time, timedelta, timezone
from decimal import Decimal
from itertools import accumulate
from types import NoneType
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

from memo._base import real
from memo.errors import DumpError

__all__ = (
    "VERSION", "Path", "Unsupported", "decoded", "encoded", "parsed", "read_lines", "refuse_colliding", "write_rows"
)  # fmt: skip

Path: TypeAlias = str | os.PathLike[str]
"""Where a file is."""

VERSION = 1
"""Raised with every change after which older releases would misread a file."""

_FORMAT = "memo dump"
_DEPTH = 100  # containers within each other
_BRACKETS = 3 * _DEPTH + 1  # a dict is an object that holds an array of arrays; a row is an array
_LONGEST_HEADER = 1 << 16  # bytes
_LONGEST_ROW = 1 << 26  # bytes
_EXACT = 1 << 53  # integers beyond it are changed by JSON readers that know floats alone
_DIGITS = 40  # of a number that stands for itself
_ALIKE = 1000  # members of one container that may have the same hash

_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKET = bytes(set(range(256)) - set(_STEP))
_MICROSECOND = timedelta(microseconds=1)


class Unsupported(Exception):
    """A value cannot be written; the text says what it contains, in words that follow "contains"."""


# -- values to JSON


def encoded(value: Any, room: int = _DEPTH) -> Any:
    """The JSON that stands for *value*.

    Exact types alone: an instance of a subclass would come back as something else.

    Raises:
        Unsupported: The value, or one within it, is of no type that a dump can hold, or nested too deeply.
    """
    kind = type(value)
    if kind is str:
        return value if _is_text(value) else {"str": value.encode("utf-8", "surrogatepass").hex()}
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_EXACT <= value <= _EXACT else {"int": format(value, "x")}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if room == 0:
        raise Unsupported(f"containers nested more than {_DEPTH} deep, or itself")
    # copies in one step each, so that no other thread can change the container meanwhile
    if kind is list:
        return [encoded(item, room - 1) for item in value.copy()]
    if kind is dict:
        items = list(value.items())
        if all(type(key) is str and _is_text(key) for key, _ in items):
            return {"dict": {key: encoded(item, room - 1) for key, item in items}}
        return {"dict": [[encoded(key, room - 1), encoded(item, room - 1)] for key, item in items]}
    if kind is tuple or kind is set or kind is frozenset:
        return {kind.__name__: [encoded(item, room - 1) for item in tuple(value)]}
    write = _WRITERS.get(kind)
    if write is None:
        raise Unsupported(f"an instance of {kind.__qualname__!r}")
    return {kind.__name__: write(value)}


def _is_text(value: str) -> bool:
    """Whether UTF-8 can hold it: text with lone surrogates is none, and two of them would become one character."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write_base64(value: bytes | bytearray) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _write_date(value: Any) -> list[int]:
    return [value.year, value.month, value.day]


def _write_time(value: Any) -> list[Any]:
    return [value.hour, value.minute, value.second, value.microsecond, value.fold, _write_zone(value.tzinfo)]


def _write_zone(zone: Any) -> list[Any] | None:
    """An offset in microseconds, with the name if it was given one."""
    if zone is None:
        return None
    if type(zone) is not timezone:
        raise Unsupported(f"a time zone of type {type(zone).__qualname__!r} (those of a fixed offset can be held)")
    offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # pickle's way, and the only one to the name
    return [offset // _MICROSECOND, *map(encoded, name)]


def _write_type(value: type) -> str:
    if _TYPES.get(value.__name__) is not value:
        raise Unsupported(f"the class {value.__qualname__!r}")
    return value.__name__


_WRITERS: dict[type, Callable[[Any], Any]] = {
    complex: lambda value: [encoded(value.real), encoded(value.imag)],
    bytes: _write_base64,
    bytearray: _write_base64,
    real.date: _write_date,
    real.datetime: lambda value: [*_write_date(value), *_write_time(value)],
    time: _write_time,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    timezone: _write_zone,
    Decimal: str,
    UUID: lambda value: value.hex,
    type: _write_type,
}
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (NoneType, bool, int, float, str, list, dict, tuple, set, frozenset, *_WRITERS)
    if kind is not type
}
"""Types that may be written as such: keys of ``typed=True`` hold them."""


# -- JSON to values


def decoded(tree: Any) -> Any:
    """The value that JSON stands for.

    Raises:
        ValueError, TypeError, ArithmeticError, LookupError, AttributeError: It stands for none.
    """
    kind = type(tree)
    if kind is list:
        return [decoded(item) for item in tree]
    if kind is not dict:
        return tree
    ((name, content),) = tree.items()
    return _READERS[name](content)


def refuse_colliding(members: Collection[Hashable]) -> None:
    """Raise ValueError if so many members hash alike that a table of them would take quadratic time."""
    if len(members) > _ALIKE and max(Counter(map(hash, members)).values()) > _ALIKE:
        raise ValueError(f"more than {_ALIKE} members of one container have the same hash")


def _read_members(content: Any) -> list[Any]:
    members = decoded(_listed(content))
    refuse_colliding(members)
    return members  # type: ignore[no-any-return]


def _read_dict(content: Any) -> dict[Any, Any]:
    if type(content) is dict:  # keys are text, whose hashes nobody can foresee
        return {key: decoded(item) for key, item in content.items()}
    items = [(decoded(key), decoded(item)) for key, item in _listed(content)]
    refuse_colliding([key for key, _ in items])
    return dict(items)


def _listed(content: Any) -> list[Any]:
    if type(content) is not list:
        raise TypeError(f"{type(content).__name__} where an array is to be")
    return content


def _read_integer(content: str) -> int:
    return int(content, 16)


def _read_float(content: str) -> float:
    return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content]


def _read_base64(content: str) -> bytes:
    return binascii.a2b_base64(content, strict_mode=True)


def _read_zone(content: Any) -> timezone | None:
    if content is None:
        return None
    offset, *name = _listed(content)
    return timezone(timedelta(microseconds=offset), *map(decoded, name))


def _read_time(content: Any) -> time:
    hour, minute, second, microsecond, fold, zone = _listed(content)
    return time(hour, minute, second, microsecond, _read_zone(zone), fold=fold)


def _read_datetime(content: Any) -> Any:
    year, month, day, *rest = _listed(content)
    return real.datetime.combine(real.date(year, month, day), _read_time(rest))


_READERS: dict[str, Callable[[Any], Any]] = {
    "str": lambda content: bytes.fromhex(content).decode("utf-8", "surrogatepass"),
    "int": _read_integer,
    "float": _read_float,
    "complex": lambda content: complex(*decoded(_listed(content))),
    "dict": _read_dict,
    "tuple": lambda content: tuple(decoded(_listed(content))),
    "set": lambda content: set(_read_members(content)),
    "frozenset": lambda content: frozenset(_read_members(content)),
    "bytes": _read_base64,
    "bytearray": lambda content: bytearray(_read_base64(content)),
    "date": lambda content: real.date(*_listed(content)),
    "datetime": _read_datetime,
    "time": _read_time,
    "timedelta": lambda content: timedelta(*_listed(content)),
    "timezone": _read_zone,
    "Decimal": Decimal,
    "UUID": lambda content: UUID(hex=content),
    "type": lambda content: _TYPES[content],
}


# -- files


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
    target = os.path.realpath(os.fsdecode(path))
    mode = _present_mode(target)
    directory, name = os.path.split(target)
    temporary = os.path.join(directory, f".{name[:100]}.{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with open(descriptor, "wb") as file:
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
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):  # an interrupt may strike after the replacement
            os.unlink(temporary)
        raise
    _sync_directory(directory)
    return count


def _present_mode(target: str) -> int | None:
    """Permissions of the file that is to be replaced; None if there is none."""
    try:
        found = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(found):  # a device, a pipe: replacing it would destroy it
        raise OSError(errno.EINVAL, "dump: not a regular file, so it cannot be replaced; give another path", target)
    return stat.S_IMODE(found)


def _sync_directory(directory: str) -> None:
    """Make the new name last beyond a power failure, where the system lets us."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows opens no directories
        return
    try:
        os.fsync(descriptor)
    except OSError:  # nor do all file systems sync them
        pass
    finally:
        os.close(descriptor)


def _line(content: Any, encoder: json.JSONEncoder | None = None) -> bytes:
    return (encoder or _ENCODER).encode(content).encode() + b"\n"


def _seal(count: int, size: int, digest: str) -> bytes:
    return _line({"rows": count, "bytes": size, "sha256": digest})


_SEAL_START = b'{"rows":'


def read_lines(path: Path, most: int | None) -> tuple[dict[str, Any], list[tuple[int, bytes]]]:
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
        while following := file.readline(_LONGEST_ROW + 1):  # the last line of all is the seal
            digest.update(line)
            size += len(line)
            if number:
                kept.append((number, line))
            number += 1
            line = following
    if number == 0 or not (line.startswith(_SEAL_START) and line.endswith(b"\n")):
        raise DumpError(f"load: {shown} is cut short: it does not end as a dump does; write it again with dump().")
    if line != _seal(number - 1, size, digest.hexdigest()):
        raise DumpError(
            f"load: {shown} was altered after it was written: its contents do not match the checksum in its "
            f"last line; write it again with dump()."
        )
    return header, list(kept)


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

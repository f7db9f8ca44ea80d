"""The values that a dump can hold, as JSON (RFC 8259) and back.

Null, booleans, text, arrays (lists), integers of up to 2**53 and finite floats stand for themselves.  Everything
else is an object with one member, whose name tells the type: ``{"tuple": [1, 2]}``, ``{"bytes": "aGk="}``.
So the types that a file can bring to life are those of the tables below, and no code is loaded.

What is read may be forged: long integers are hexadecimal (decimal ones take quadratic time), and a container whose
members all hash alike is refused.
"""

import binascii
import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from datetime import time, timedelta, timezone
from decimal import Decimal
from types import NoneType
from typing import Any, NoReturn
from uuid import UUID

from memo._base import real
from memo._store import LargeTable, taken

__all__ = ("DEPTH", "Hashes", "Unsupported", "decoded", "encoded", "refuse_colliding")

DEPTH = 100
"""Containers within each other, at most."""

_EXACT = 1 << 53  # integers beyond it are changed by JSON readers that know floats alone
_ALIKE = 1000  # members of one container that may have the same hash
_MICROSECOND = timedelta(microseconds=1)


class Unsupported(Exception):
    """A value cannot be written; the text says what it contains, in words that follow "contains"."""


# -- values to JSON


def encoded(value: Any, room: int = DEPTH) -> Any:
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
        raise Unsupported(f"containers nested more than {DEPTH} deep, or itself")
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


def refuse_colliding(members: Collection[Hashable], most: int = _ALIKE) -> None:
    """Raise ValueError if so many members hash alike that a table of them would take quadratic time."""
    if len(members) > most and max(Counter(map(hash, members)).values()) > most:
        _refuse_alike(most)


class Hashes:
    """Those of many members of one table, added one at a time: it refuses what ``refuse_colliding()`` does."""

    def __init__(self) -> None:
        self._counts: LargeTable[int, int] = LargeTable({})

    def add(self, member: Hashable) -> None:
        """Add that of *member*.

        Raises:
            ValueError: So many have the same hash that a table of them would take quadratic time.
        """
        code = hash(member)
        count = self._counts[code] = self._counts.get(code, 0) + 1
        if count > _ALIKE:
            _refuse_alike(_ALIKE)

    def forget(self) -> Iterator[int]:
        """Let go of all of them, some at a time; how many."""
        for lot in taken(self._counts):
            yield len(lot)


def _refuse_alike(most: int) -> NoReturn:
    raise ValueError(f"more than {most} members of one container have the same hash")


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

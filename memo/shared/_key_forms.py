"""The one form of a key in every process: equal keys have equal forms, unequal ones unequal forms.

A form is text, the same whatever the hash seed, the process, the platform or the release of Python.

- What Python calls equal and hashes alike has one form: 1, 1.0, True, ``Decimal(1)`` and ``Fraction(1)``; a tuple and a
  NamedTuple; an instance of a subclass that compares as its base does, such as a member of an ``IntEnum``; an aware
  datetime in any zone.  Types are told apart where the key does it: it holds them then.
- Text stands in quotes, and what encloses something ends it.  So no form is the beginning of another, and those of
  members need no more than a comma between them.  Members of sets are sorted.
- What has no such form is refused, not guessed: an instance whose class decides what it equals; what equals nothing,
  as NaN; a class that others do not find by its name; a time that its zone's clocks show twice.

Forms are taken of keys as tables hold them: ``f(1)`` and ``f(True)`` differ where calls of them do.
"""

import functools
import math
import os
import sys
from collections.abc import Callable, Hashable, Iterable
from datetime import time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from json.encoder import encode_basestring as quoted
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NoReturn
from uuid import UUID

from memo._base import real
from memo._call import SPELLED, TOLD, plain_key
from memo._freeze import _LIST

__all__ = ("Formless", "form")

_DEPTH = 100
"""Tuples and sets within each other, at most; as in a dump."""

_LONGEST = 1 << 24
"""Characters of a form.  Frozen sets may hold each other so that few of them are many when written out."""

_SHORT = 10**18  # integers from here on are hexadecimal: decimal ones take quadratic time, or are refused
_DIGITS = (
    10_000  # before or behind the point of a Decimal: it equals an integer or a fraction, of which it has the form
)
_MICROSECOND = timedelta(microseconds=1)

_Writer = Callable[[Any, int], str]


class Formless(TypeError):
    """A key has no form that is the same in every process."""


def form(key: Hashable) -> bytes:
    """The form of *key*, as tables hold it.

    Raises:
        Formless: It has none.
    """
    try:
        text = _form(plain_key(key), _DEPTH)
    except RecursionError:
        _refuse("tuples or sets nested too deeply for what is left of the stack")
    if len(text) > _LONGEST:
        _refuse_length()
    return text.encode("utf-8", "surrogatepass")


def _form(value: Any, room: int) -> str:
    kind = type(value)
    return (_WRITERS.get(kind) or _writer_of(kind))(value, room)


def _writer_of(kind: type) -> _Writer:
    """What writes instances of *kind*, which is none of the types in the table."""
    for base in kind.__mro__:
        write = _WRITERS.get(base)
        if write is not None and kind.__eq__ is base.__eq__ and kind.__hash__ is base.__hash__:
            return functools.partial(_write_plain, write, _PLAIN[base]) if base in _PLAIN else write
    if issubclass(kind, Enum) and kind.__eq__ is object.__eq__ and kind.__hash__ is Enum.__hash__:
        return _write_member
    # what a program may have, and need not import for it
    if kind.__module__ in ("ipaddress", "zoneinfo") and _found(kind.__module__, kind.__qualname__) is kind:
        return _RARE_WRITERS.get(kind.__qualname__, _refuse_type)
    return _refuse_type


def _write_plain(write: _Writer, plain: Callable[[Any], Any], value: Any, room: int) -> str:
    return write(plain(value), room)


# -- what is refused


def _refuse(what: str) -> NoReturn:
    raise Formless(
        f"shared: the key holds {what}, so it cannot be shared with other processes; give the decorator a key= that "
        f"makes text, numbers, or tuples of these."
    )


def _refuse_type(value: Any, _: int) -> NoReturn:
    _refuse(f"an instance of {type(value).__qualname__!r}, which they may not know, or not by what it equals")


def _refuse_nan(value: Any) -> NoReturn:
    _refuse(f"a {type(value).__name__!r} that is not a number, which equals nothing")


def _refuse_length() -> NoReturn:
    _refuse(f"so much that it takes more than {_LONGEST} characters")


# -- numbers: of each the form of the integer or the fraction that it equals


def _write_int(value: int, _: int = 0) -> str:
    return str(value) if -_SHORT < value < _SHORT else format(value, "#x")


def _write_ratio(value: Any, _: int) -> str:
    ratio = numerator, denominator = value.as_integer_ratio()
    if denominator == 1:
        return _write_int(numerator)
    try:
        near = numerator / denominator
    except OverflowError:
        pass
    else:
        if near.as_integer_ratio() == ratio:
            return repr(near)
    return f"{_write_int(numerator)}/{_write_int(denominator)}"


def _write_float(value: float, _: int) -> str:
    if value.is_integer():
        return _write_int(int(value))
    return _refuse_nan(value) if math.isnan(value) else repr(value)


def _write_complex(value: complex, room: int) -> str:
    real_part = _write_float(value.real, room)
    return real_part if value.imag == 0 else f"complex({real_part},{_write_float(value.imag, room)})"


def _write_decimal(value: Decimal, room: int) -> str:
    if not value.is_finite():
        return _refuse_nan(value) if value.is_nan() else _write_float(float(value), room)
    if not value:
        return "0"
    if abs(value.adjusted()) > _DIGITS or len(value.as_tuple().digits) > _DIGITS:
        _refuse(f"a 'Decimal' of more than {_DIGITS} digits")
    return _write_ratio(value, room)


# -- text and bytes


def _write_text(value: str, _: int) -> str:
    return quoted(value)


def _write_bytes(value: bytes, _: int) -> str:
    return f"b{quoted(value.decode('ascii'))}" if value.isascii() else f"bytes({value.hex()})"


def _write_view(value: memoryview, room: int) -> str:
    if value.format != "B" or value.ndim != 1:
        _refuse("a 'memoryview' of something else than bytes in a row")
    return _write_bytes(value.tobytes(), room)


def _write_posix_path(value: PurePosixPath, _: int) -> str:
    return f"path({quoted(str(value))})"


def _write_windows_path(value: PureWindowsPath, _: int) -> str:
    return f"windows_path({quoted(str(value).lower())})"


# -- what holds others


def _members(values: Iterable[Any], room: int) -> list[str]:
    if room == 0:
        _refuse(f"tuples or sets nested more than {_DEPTH} deep")
    texts = []
    length = 0
    for value in values:
        kind = type(value)
        text = (_WRITERS.get(kind) or _writer_of(kind))(value, room - 1)
        length += len(text) + 1
        if length > _LONGEST:
            _refuse_length()
        texts.append(text)
    return texts


def _write_tuple(value: tuple[Any, ...], room: int) -> str:
    return f"({','.join(_members(value, room))})"


def _write_set(value: frozenset[Any], room: int) -> str:
    return f"set({','.join(sorted(_members(value, room)))})"


def _write_range(value: range, room: int) -> str:
    count = len(value)  # what it compares by: its length, and its first and its step where they matter
    return f"range{_write_tuple((count, *value[:1], *([value.step] if count > 1 else ())), room)}"


# -- dates and times


def _write_date(value: Any, _: int) -> str:
    return f"date({value.year},{value.month},{value.day})"


def _write_datetime(value: Any, room: int) -> str:
    day = value.year, value.month, value.day
    bare = real.datetime(*day, value.hour, value.minute, value.second, value.microsecond)
    if value.tzinfo is None:
        return f"datetime({bare.isoformat()})"
    offset, later = (bare.replace(tzinfo=value.tzinfo, fold=fold).utcoffset() for fold in (0, 1))
    if offset is None:
        return f"datetime({bare.isoformat()})"
    if offset != later:
        _refuse(
            "a 'datetime' that its zone's clocks show twice, or never, which equals the one of the other fold, "
            "and none of another zone"
        )
    try:
        return f"utc({(bare - offset).isoformat()})"
    except OverflowError:  # in UTC it is of a year before the first or after the last
        return f"utc({_write_int((bare - real.datetime(1, 1, 1) - offset) // _MICROSECOND)})"


def _write_time(value: time, _: int) -> str:
    offset = value.utcoffset()
    if offset is None:
        return f"time({value.replace(tzinfo=None, fold=0).isoformat()})"
    seconds = (value.hour * 60 + value.minute) * 60 + value.second - (offset.days * 86_400 + offset.seconds)
    return f"utc_time({seconds},{value.microsecond},{offset.microseconds})"


def _write_span(value: timedelta, _: int) -> str:
    return f"timedelta({value.days},{value.seconds},{value.microseconds})"


def _write_offset(value: timezone, _: int) -> str:
    return f"timezone({value.utcoffset(None) // _MICROSECOND})"


def _write_zone(value: Any, room: int) -> str:
    if value.key is None or type(value)(value.key) is not value:  # it equals itself alone
        _refuse("a 'ZoneInfo' that is not the one of its name")
    return f"zone({quoted(value.key)})"


# -- addresses; as numbers, since their text is another from release to release


def _write_address(value: Any, _: int) -> str:
    scope = getattr(value, "scope_id", None)
    return f"ip{value.version}({_write_int(int(value))}{'' if scope is None else f',{quoted(scope)}'})"


def _write_network(value: Any, room: int) -> str:
    return f"ip{value.version}_network({_write_address(value.network_address, room)},{value.prefixlen})"


# -- classes and their members


def _write_class(value: type, _: int) -> str:
    if value is TOLD:
        return "told"
    module, name = value.__module__, value.__qualname__
    if module == "builtins" and value in _NAMELESS:
        return f"class({quoted(module)},{quoted(name)})"
    if module in _MAINS:
        _check(_found(module, name) is value, name)
        return f"class({quoted(_main(module))},{quoted(name)})"
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names and _found(top, name) is value:
        module = top  # the modules below move from one release to the next
    else:
        _check(_found(module, name) is value, name)
    return f"class({quoted(module)},{quoted(name)})"


_NAMELESS = frozenset({type(None), type(...), type(NotImplemented)})


def _found(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _check(is_found: bool, name: str) -> None:
    if not is_found:
        _refuse(f"the class {name!r}, which its module does not have by this name")


_MAINS = ("__main__", "__mp_main__")  # the latter in a process that multiprocessing has started


def _main(module: str) -> str:
    """What runs as the program, so that its classes are not taken for those of another."""
    main = sys.modules[module]
    spec = getattr(main, "__spec__", None)
    return f"__main__ {os.path.basename(getattr(main, '__file__', None) or '') if spec is None else spec.name}"


def _write_member(value: Any, room: int) -> str:
    kind = _write_class(type(value), room)
    if isinstance(value, Flag):  # whose names of several at once are not the same in all releases of Python
        return f"flag({kind},{_write_int(value.value)})"
    return f"member({kind},{quoted(value.name)})"


_WRITERS: dict[type, _Writer] = {
    str: _write_text,
    int: _write_int,
    tuple: _write_tuple,
    type(None): lambda value, room: "None",
    bool: lambda value, room: "1" if value else "0",
    float: _write_float,
    complex: _write_complex,
    Decimal: _write_decimal,
    Fraction: _write_ratio,
    bytes: _write_bytes,
    memoryview: _write_view,
    frozenset: _write_set,
    real.date: _write_date,
    real.datetime: _write_datetime,
    time: _write_time,
    timedelta: _write_span,
    timezone: _write_offset,
    UUID: lambda value, room: f"uuid({value.hex})",
    PurePosixPath: _write_posix_path,
    PureWindowsPath: _write_windows_path,
    range: _write_range,
    type(...): lambda value, room: "...",
    type: _write_class,
    type(_LIST): lambda value, room: f"frozen{value.__reduce__()}",
    type(SPELLED): lambda value, room: "spelled",
}
_RARE_WRITERS: dict[str, _Writer] = {
    "ZoneInfo": _write_zone,
    "IPv4Address": _write_address,
    "IPv6Address": _write_address,
    "IPv4Network": _write_network,
    "IPv6Network": _write_network,
}
_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__index__,
    float: float.__float__,
    complex: complex.__complex__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    frozenset: frozenset.__iter__,
}
"""What makes an instance of the type of one of a subclass, whatever else that shows than it holds."""

"""Durations and byte sizes, as users write them and as tables show them."""

import math
import operator
import re
from datetime import timedelta
from typing import Any

__all__ = ("Duration", "byte_size", "format_bytes", "format_seconds", "positive_int", "seconds")

Duration = float | str | timedelta
"""Seconds, a timedelta, or text such as "24h", "1h30m", "500ms", "2 days"."""

_SECONDS = {
    1e-6: ("us", "µs", "microsecond", "microseconds"),
    1e-3: ("ms", "millisecond", "milliseconds"),
    1.0: ("s", "sec", "secs", "second", "seconds"),
    60.0: ("m", "min", "mins", "minute", "minutes"),
    3600.0: ("h", "hr", "hrs", "hour", "hours"),
    86400.0: ("d", "day", "days"),
    604800.0: ("w", "week", "weeks"),
}
_SECONDS_OF = {name: length for length, names in _SECONDS.items() for name in names}
_BYTES_OF = {
    name: 1000**power if name[-1:] != "i" else 1024**power
    for power, names in enumerate((("",), ("k", "ki"), ("m", "mi"), ("g", "gi"), ("t", "ti")))
    for name in names
}
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\W\d_]*)\s*")


def seconds(value: Any, *, where: str, option: str, zero_ok: bool = False) -> float:
    """A duration in seconds.

    Args:
        value: A number of seconds, a timedelta, or text: numbers with units (us, ms, s, m, h, d, w and
            their long names), for example "1h30m"; a number alone is seconds.
        where: Who was given it, for messages.
        option: Under which name, for messages.
        zero_ok: Whether 0 makes sense.

    Raises:
        TypeError: It is none of these.
        ValueError: It cannot be read, is negative, not finite, or 0 without zero_ok.
    """
    shown = f"{where}: {option}={value!r}"
    if isinstance(value, bool) or not isinstance(value, int | float | str | timedelta):
        raise TypeError(f"{shown} is no duration; give seconds, a timedelta, or text such as '24h'.")
    if isinstance(value, str):
        result = _read_duration(value, shown)
    elif isinstance(value, timedelta):
        result = value.total_seconds()
    else:
        try:
            result = float(value)
        except OverflowError:
            raise ValueError(f"{shown} is too large; give a finite number of seconds.") from None
    if not math.isfinite(result):
        raise ValueError(f"{shown} is not finite; give a finite number of seconds.")
    if result < 0:
        raise ValueError(f"{shown} is negative; give a positive duration.")
    if result == 0 and not zero_ok:
        raise ValueError(f"{shown} is zero; give a positive duration.")
    return result


def _read_duration(text: str, shown: str) -> float:
    if not text.strip():
        raise ValueError(f"{shown} is empty; write a duration such as '24h' or give seconds.")
    total, position, parts = 0.0, 0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise ValueError(f"{shown} cannot be read at {text[position:]!r}; write for example '1h30m'.")
        number, unit = part[1], part[2].lower()
        if not unit and part.end() == len(text) and parts:
            raise ValueError(f"{shown} ends in a number without a unit; write '{text.strip()}m' or give seconds.")
        if not unit and (part.end() < len(text) or parts):
            raise ValueError(f"{shown} has the number {number} without a unit; write for example '1h30m'.")
        length = _SECONDS_OF.get(unit or "s")
        if length is None:
            raise ValueError(f"{shown} has the unknown unit {part[2]!r}; use us, ms, s, m, h, d or w.")
        total += float(number) * length
        position, parts = part.end(), parts + 1
    return total


def byte_size(value: Any, *, where: str, option: str) -> int:
    """A number of bytes.

    Args:
        value: An int, or text such as "64MB" or "1.5 GiB": kB, MB, GB, TB are powers of 1000, KiB, MiB,
            GiB, TiB powers of 1024; the letter B may be left out.
        where: Who was given it, for messages.
        option: Under which name, for messages.

    Raises:
        TypeError: It is neither.
        ValueError: It cannot be read, or is less than one byte.
    """
    shown = f"{where}: {option}={value!r}"
    if isinstance(value, str):
        part = _PART.fullmatch(value)
        unit = "" if part is None else part[2].lower().removesuffix("b")
        if part is None or unit not in _BYTES_OF:
            raise ValueError(f"{shown} is no size; write for example '64MB' or '1GiB', or give an int.")
        size = int(float(part[1]) * _BYTES_OF[unit])
    elif isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{shown} is no size; give an int of bytes, or text such as '64MB'.")
    else:
        size = operator.index(value)
    if size < 1:
        raise ValueError(f"{shown} is less than one byte; give a positive size.")
    return size


def positive_int(value: Any, *, where: str, option: str) -> int:
    """A whole number of at least 1.

    Raises:
        TypeError: It is no whole number; True and False are none.
        ValueError: It is less than 1.
    """
    shown = f"{where}: {option}={value!r}"
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{shown} is no whole number; give an int of at least 1.")
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{shown} is less than 1; give an int of at least 1.")
    return number


def format_seconds(span: float) -> str:
    """A duration for people: "350us", "12.3ms", "4.5s", "1h 30m", "2d"."""
    if span < 0:
        return f"-{format_seconds(-span)}"
    if span < 1e-3:
        return f"{span * 1e6:.0f}us"
    if span < 1:
        return f"{span * 1e3:.3g}ms"
    if span < 60:
        return f"{span:.3g}s"
    left = round(span)
    parts = []
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def format_bytes(size: float) -> str:
    """A size for people, in powers of 1000: "512B", "1.5kB", "64MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}TB"

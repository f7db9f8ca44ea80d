"""Durations and byte sizes: what users may write for them, checked, and how tables show them."""

import functools
import math
import operator
import re
import sys
from datetime import timedelta
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex, TypeAlias

from memo._base.shortened import given_text

__all__ = (
    "Duration",
    "byte_size",
    "counted",
    "format_bytes",
    "format_seconds",
    "is_of",
    "positive_int",
    "real_number",
    "seconds",
    "seconds_in_words",
)

Duration: TypeAlias = int | float | str | timedelta | SupportsIndex | SupportsFloat
"""A length of time: seconds (any real number), a timedelta, or text such as "24h"."""

# Factor and divisor to seconds: 100 us is 100 / 1_000_000, where 100 * 1e-6 would round twice.
_DURATION_UNITS: dict[str, tuple[int, int]] = {
    "w": (604_800, 1),
    "d": (86_400, 1),
    "h": (3_600, 1),
    "m": (60, 1),
    "s": (1, 1),
    "ms": (1, 1_000),
    "us": (1, 1_000_000),
}
_DURATION_NAMES: dict[str, str] = {
    name: unit
    for unit, names in {
        "w": "w wk wks week weeks",
        "d": "d day days",
        "h": "h hr hrs hour hours",
        "m": "m min mins minute minutes",
        "s": "s sec secs second seconds",
        "ms": "ms msec msecs millisecond milliseconds",
        "us": "us usec usecs microsecond microseconds \u00b5s \u03bcs",  # micro sign, Greek mu
    }.items()
    for name in names.split()
}

_SIZE_UNITS: dict[str, int] = {"": 1, "b": 1, "byte": 1, "bytes": 1}
for _power, (_decimal, _binary) in enumerate(
    (("kilo", "kibi"), ("mega", "mebi"), ("giga", "gibi"), ("tera", "tebi"), ("peta", "pebi")), start=1
):
    _letter = _decimal[0]
    for _name in (_letter, f"{_letter}b", f"{_decimal}byte", f"{_decimal}bytes"):
        _SIZE_UNITS[_name] = 1000**_power
    for _name in (f"{_letter}i", f"{_letter}ib", f"{_binary}byte", f"{_binary}bytes"):
        _SIZE_UNITS[_name] = 1024**_power

# ASCII digits only: what \d takes beyond them is more often a slip of the keyboard than a number.
_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_TERM = rf"({_NUMBER})?\s*([^\W\d_]+)?\s*"
# So many digits that no real size is refused, so few that int() takes them.
_SIZE = r"([0-9]{0,30})(?:\.([0-9]{0,30}))?\s*([A-Za-z]*)"

_GIVE_DURATION = "give a positive number of seconds, a timedelta or text such as '24h'"
_GIVE_SIZE = "give a positive number of bytes or text such as '64MB'"
_GIVE_COUNT = "give a whole number of at least 1"


class _Given(NamedTuple):
    """The value of an option, and where it was given."""

    where: str
    option: str
    value: Any

    def message(self, wrong: str, remedy: str) -> str:
        return f"{self.where}: {self.option}={given_text(self.value)} {wrong}; {remedy}."

    def bad_value(self, wrong: str, remedy: str) -> ValueError:
        return ValueError(self.message(wrong, remedy))

    def bad_type(self, wanted: str, remedy: str) -> TypeError:
        kind = type(self.value)
        name = "None" if self.value is None else f"of type {kind.__qualname__!r}"
        return TypeError(self.message(f"is {name}, not {wanted}", remedy))


@functools.cache  # not above: most programs write no text of either kind
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def real_number(value: Any) -> int | float | None:
    """*value* as an int or a float, if it is a number: of ``numbers.Real``, a Decimal, or with ``__index__``.

    So what numpy and pandas compute is a number, and so is a fraction.  Booleans are none, numpy's neither.

    Returns:
        The number, infinite or NaN if a float cannot hold it; None if *value* is no number.
    """
    if type(value) is int or type(value) is float:
        return value
    if isinstance(value, bool) or is_of("numpy", "bool_", value) or is_of("numpy", "timedelta64", value):
        return None
    try:
        return operator.index(value)
    except Exception:  # whatever stands in for it there
        if not is_of("numbers", "Real", value) and not is_of("decimal", "Decimal", value):
            return None
    number: Any = value
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
    except ValueError:  # a signalling NaN
        return math.nan


def is_of(module: str, name: str, value: object) -> bool:
    """Whether *value* is of a class in a module that need not be imported for that.

    Of ``numbers``, too: what is a number there but no int, float or complex is so by a class that has imported it.
    """
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def seconds(value: object, *, where: str, option: str, zero_ok: bool = False, negative_ok: bool = False) -> float:
    """A duration in seconds.

    Text is numbers with units, blanks optional: ``"24h"``, ``"90s"``,
    ``"1h30m"``, ``"2 days"``, ``"2 h 30 min"``, ``"1.5h"``.  Units are w, d, h, m, s, ms and us and their
    English names, in upper or lower case; a lone ``M``, which elsewhere means months, is refused.
    Each unit may stand once.

    Args:
        value: Seconds (any real number), a ``timedelta`` (numpy's, too), or text.
        where: The decorator or function that the error message names, such as "bounded".
        option: The option that the error message names.
        zero_ok: Whether zero is a duration here.
        negative_ok: Whether what is below zero means zero here.

    Returns:
        Seconds: finite, and above zero unless zero_ok.

    Raises:
        TypeError: value is a bool, or neither number, timedelta nor text.
        ValueError: value is negative, not finite, zero without zero_ok, or text that is no duration.
    """
    given = _Given(where, option, value)
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, str):
        result = _parse_duration(value.strip(), given)
    elif is_of("numpy", "timedelta64", value):
        result = float(value / sys.modules["numpy"].timedelta64(1, "s"))
    else:
        number = real_number(value)
        if number is None:
            raise given.bad_type("a duration", _GIVE_DURATION)
        try:
            result = float(number)
        except OverflowError:
            result = math.inf if number > 0 else -math.inf
    if not math.isfinite(result):
        raise given.bad_value("is not finite", _GIVE_DURATION)
    if result < 0:
        if not negative_ok:
            raise given.bad_value("is negative", _GIVE_DURATION)
        result = 0.0
    if result == 0:
        if not zero_ok:
            raise given.bad_value("is zero", _GIVE_DURATION)
        return 0.0  # not -0.0
    return result


def _parse_duration(text: str, given: _Given) -> float:
    if not text:
        raise given.bad_value("is empty", _GIVE_DURATION)
    if text.lstrip("+-").lower() in ("inf", "infinity", "nan"):
        raise given.bad_value("is not finite", _GIVE_DURATION)
    if text.startswith("-"):
        raise given.bad_value("is negative", _GIVE_DURATION)
    terms: dict[str, float] = {}
    at = 0
    while at < len(text):
        term = _compiled(_TERM).match(text, at)
        assert term is not None  # all its parts are optional
        number, name = term.groups()
        if number is None and name is None:
            raise given.bad_value(f"is not a duration ({text[at]!r} is not understood)", _GIVE_DURATION)
        if number is None:
            raise given.bad_value(f"has {given_text(name)} without a number before it", _GIVE_DURATION)
        at = term.end()
        if name is None:
            if not terms and at == len(text):
                return _bare_number(number, given)
            raise _number_without_unit(number, text, at == len(text), terms, given)
        unit = None if name == "M" else _DURATION_NAMES.get(name.lower())
        if unit is None:
            raise given.bad_value(
                f"has the unknown unit {given_text(name)}", f"the units are {', '.join(_DURATION_UNITS)}"
            )
        if unit in terms:
            raise given.bad_value(f"has the unit {unit!r} twice", "add the two numbers")
        factor, divisor = _DURATION_UNITS[unit]
        terms[unit] = float(number) * factor / divisor
    return math.fsum(terms.values())


def _bare_number(number: str, given: _Given) -> float:
    """Text that is a number: zero, or an error, since some mean hours by "24" and others seconds."""
    value = float(number)
    if value == 0 or math.isinf(value):  # which needs no unit, or has an error of its own
        return value
    plain = f"{value:.15g}"
    raise given.bad_value(
        "is a number without a unit",
        f"write {given_text(number + 's')} or {plain} for seconds, {given_text(number + 'h')} for hours",
    )


def _number_without_unit(number: str, text: str, at_end: bool, terms: dict[str, float], given: _Given) -> ValueError:
    if not at_end or not terms:
        return given.bad_value(f"has the number {given_text(number)} without a unit", "write a unit after each number")
    units = list(_DURATION_UNITS)
    smaller = [unit for unit in units[units.index(list(terms)[-1]) + 1 :] if unit not in terms]
    remedy = f"write {given_text(text + smaller[0])} or give seconds" if smaller else "write a unit after each number"
    return given.bad_value("ends in a number without a unit", remedy)


def byte_size(value: object, *, where: str, option: str) -> int:
    """A size in bytes.

    Text is a number of bytes (``"100"``), or a number with a unit.  ``kB``, ``MB``, ``GB``, ``TB`` and
    ``PB`` are powers of 1000, as SI has them and disks are sold; ``KiB``, ``MiB``, ``GiB``, ``TiB`` and
    ``PiB`` are powers of 1024.  So ``"64MB"`` is 64,000,000 bytes, ``"64MiB"`` is 67,108,864.  A letter
    alone is decimal (``"512k"`` is 512,000).  Case does not matter: ``Mb`` means megabytes, too, for
    nothing here is counted in bits.  A fraction of a byte is dropped.

    Args:
        value: Bytes as an integer, or text.
        where: The decorator or function that the error message names, such as "bounded".
        option: The option that the error message names.

    Returns:
        Bytes, at least 1.

    Raises:
        TypeError: value is a bool, a float, or neither integer nor text.
        ValueError: value is below one byte, or text that is no size.
    """
    given = _Given(where, option, value)
    if isinstance(value, str):
        result = _parse_size(value.strip(), given)
    else:
        result = _index(given, "a number of bytes", _GIVE_SIZE)
    return _at_least_one(result, given, _GIVE_SIZE)


def _parse_size(text: str, given: _Given) -> int:
    if not text:
        raise given.bad_value("is empty", _GIVE_SIZE)
    match = _compiled(_SIZE).fullmatch(text.removeprefix("-"))
    if match is None:
        raise given.bad_value("is not a size in bytes", _GIVE_SIZE)
    whole, fraction, name = match[1], match[2] or "", match[3]
    if not whole and not fraction:
        raise given.bad_value("has no number", _GIVE_SIZE)
    unit = _SIZE_UNITS.get(name.lower())
    if unit is None:
        known = "the units are B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB"
        raise given.bad_value(f"has the unknown unit {given_text(name)}", known)
    if text.startswith("-"):
        raise given.bad_value("is negative", _GIVE_SIZE)
    digits = int(whole + fraction)
    result: int = digits * unit // 10 ** len(fraction)
    if digits and not result:
        raise given.bad_value("is less than one byte", _GIVE_SIZE)
    return result


def positive_int(value: object, *, where: str, option: str) -> int:
    """A whole number of at least 1.

    Args:
        value: An integer, or an object that ``operator.index`` takes.
        where: The decorator or function that the error message names, such as "bounded".
        option: The option that the error message names.

    Raises:
        TypeError: value is a bool or no integer.
        ValueError: value is below 1, or no float can hold it.
    """
    given = _Given(where, option, value)
    return _at_least_one(_index(given, "a whole number", _GIVE_COUNT), given, _GIVE_COUNT)


def _index(given: _Given, wanted: str, remedy: str) -> int:
    if isinstance(given.value, bool):
        raise given.bad_type(wanted, remedy)
    try:
        result: int = operator.index(given.value)
    except TypeError:
        raise given.bad_type(wanted, remedy) from None
    return result


def _at_least_one(result: int, given: _Given, remedy: str) -> int:
    if result < 1:
        raise given.bad_value("is negative" if result < 0 else "is zero", remedy)
    if result > sys.float_info.max:  # what is computed from it would fail, no sooner than it is wanted
        raise given.bad_value("is too large for a float", "give a smaller number")
    return result


def format_seconds(s: float) -> str:
    """A duration of *s* seconds in few characters: "24h", "1h 30m", "500ms", "3.2s".

    Three significant digits below a minute, two units above; days begin at 48 hours.  ``seconds``
    reads what this writes of a positive duration, unless that is below a nanosecond.
    """
    if not math.isfinite(s):
        return str(s)
    if s < 0:
        return f"-{format_seconds(-s)}"
    if s < 1e-9:
        return "0s"
    for per_second, below, unit in ((1e6, 1000, "us"), (1e3, 1000, "ms"), (1, 60, "s")):
        number = float(f"{s * per_second:.3g}")  # rounded first: 999.9 us is 1ms, 59.99 s is 1m
        if number < below:
            return f"{number:g}{unit}"
    # Rounded to the smaller of the two units before the larger is chosen: 3599.9 s is 1h, not 60m.
    if (count := round(s)) < 3600:
        return _two_units(count, 60, "m", "s")
    if (count := round(s / 60)) < 48 * 60:
        return _two_units(count, 60, "h", "m")
    return _two_units(round(s / 3600), 24, "d", "h")


def seconds_in_words(s: float) -> str:
    """A duration of *s* seconds within a sentence: "7 s", and from a minute on as ``format_seconds()`` has it."""
    return f"{s:g} s" if s < 60 else format_seconds(s)


def _two_units(count: int, per: int, large: str, small: str) -> str:
    whole, rest = divmod(count, per)
    return f"{whole}{large} {rest}{small}" if rest else f"{whole}{large}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 entry", "2 entries".

    Args:
        number: How many.
        one: The noun of one.
        many: That of several; None: with an s.
    """
    return f"{number:,} {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def format_bytes(n: int) -> str:
    """A size of *n* bytes in few characters: "999B", "1.5kB", "64MB".

    Powers of 1000, as ``byte_size`` reads them; three significant digits.
    """
    if n < 0:
        return f"-{format_bytes(-n)}"
    for power, unit in enumerate(("B", "kB", "MB", "GB", "TB")):
        number = float(f"{n / 1000**power:.3g}")  # rounded first: 999,999 bytes are 1MB
        if number < 1000:
            return f"{number:g}{unit}"
    return f"{float(f'{n / 1000**5:.3g}'):.15g}PB"

"""What users may write for durations and sizes, what is refused and how, and what tables show."""

import math
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memo._base.units import byte_size, format_bytes, format_seconds, positive_int, seconds


class Index:
    """An integer of another library."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"Index({self.value})"


class Text(str):
    """Text of another class."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (0.25, 0.25),
        (10**9, 1e9),
        (5e-324, 5e-324),
        (timedelta(minutes=1, microseconds=1), 60.000001),
        ("90s", 90.0),
        ("0.5s", 0.5),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("24h", 86_400.0),
        ("1h30m", 5_400.0),
        ("30m1h", 5_400.0),
        ("500ms", 0.5),
        ("100us", 0.0001),
        ("100\u00b5s", 0.0001),
        ("100\u03bcs", 0.0001),
        ("2 days", 172_800.0),
        ("1.5h", 5_400.0),
        ("2 h 30 min", 9_000.0),
        ("2h 30min", 9_000.0),
        ("  7d\n", 604_800.0),
        ("1w", 604_800.0),
        ("1 week 1 day 1 hour 1 minute 1 second 1 millisecond 1 microsecond", 694_861.001001),
        ("2 weeks 2 days 2 hours 2 minutes 2 seconds 2 milliseconds 2 microseconds", 1_389_722.002002),
        ("1 wk 2 hrs 3 mins 4 secs 5 msecs 6 usecs", 612_184.005006),
        ("24H", 86_400.0),
        ("2 Days", 172_800.0),
        ("3 SEC", 3.0),
        ("0h5m", 300.0),
        (Text("24h"), 86_400.0),
    ],
)
def test_durations(value: Any, expected: float) -> None:
    """Numbers are seconds; text adds up its terms, each with a unit."""
    result = seconds(value, where="bounded", option="ttl")
    assert result == expected
    assert type(result) is float


@pytest.mark.parametrize("value", [0, 0.0, -0.0, "0", "0s", "0h 0m", timedelta(0), "0." + "0" * 400 + "1s"])
def test_zero_durations_only_where_allowed(value: Any) -> None:
    """Zero is refused unless the option says otherwise, and then it is never minus zero."""
    result = seconds(value, where="bounded", option="ttl", zero_ok=True)
    assert math.copysign(1, result) == 1
    assert result == 0
    with pytest.raises(ValueError, match=r"ttl=.* is zero; give a positive") as caught:
        seconds(value, where="bounded", option="ttl")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (64_000_000, 64_000_000),
        (Index(7), 7),
        ("100", 100),
        ("100 B", 100),
        ("1 byte", 1),
        ("2 bytes", 2),
        ("512k", 512_000),
        ("512kB", 512_000),
        ("512 KB", 512_000),
        ("512KiB", 524_288),
        ("512Ki", 524_288),
        ("64MB", 64_000_000),
        ("64mb", 64_000_000),
        ("64MiB", 67_108_864),
        ("1.5 GiB", 1_610_612_736),
        ("1.5GB", 1_500_000_000),
        (".5 kB", 500),
        ("1.kB", 1_000),
        ("0.3 KiB", 307),
        ("1.0001kB", 1_000),
        ("2 megabytes", 2_000_000),
        ("1 mebibyte", 1_048_576),
        ("3 gibibytes", 3 * 1024**3),
        ("1TB", 10**12),
        ("1TiB", 1024**4),
        ("1PB", 10**15),
        ("1 pebibyte", 1024**5),
        (" 64 MB ", 64_000_000),
    ],
)
def test_sizes(value: Any, expected: int) -> None:
    """Decimal units are powers of 1000, binary ones of 1024, and fractions of a byte are dropped."""
    result = byte_size(value, where="bounded", option="max_bytes")
    assert result == expected
    assert type(result) is int


@pytest.mark.parametrize(("value", "expected"), [(1, 1), (500, 500), (Index(3), 3), (10**30, 10**30)])
def test_counts(value: Any, expected: int) -> None:
    """Integers and what the interpreter takes for one."""
    result = positive_int(value, where="bounded", option="max")
    assert result == expected
    assert type(result) is int


GIVE_DURATION = "give a positive number of seconds, a timedelta or text such as '24h'"
GIVE_SIZE = "give a positive number of bytes or text such as '64MB'"
GIVE_COUNT = "give a whole number of at least 1"
NO_TERM_UNIT = "write a unit after each number"

BAD: list[tuple[Callable[..., Any], Any, type[Exception], str, str]] = [
    (seconds, True, TypeError, "is of type 'bool', not a duration", GIVE_DURATION),
    (seconds, False, TypeError, "is of type 'bool', not a duration", GIVE_DURATION),
    (seconds, None, TypeError, "is None, not a duration", GIVE_DURATION),
    (seconds, b"24h", TypeError, "is of type 'bytes', not a duration", GIVE_DURATION),
    (seconds, [24], TypeError, "is of type 'list', not a duration", GIVE_DURATION),
    (seconds, 1j, TypeError, "is of type 'complex', not a duration", GIVE_DURATION),
    (seconds, "", ValueError, "is empty", GIVE_DURATION),
    (seconds, " \t", ValueError, "is empty", GIVE_DURATION),
    (seconds, 0, ValueError, "is zero", GIVE_DURATION),
    (seconds, "0h", ValueError, "is zero", GIVE_DURATION),
    (seconds, -1, ValueError, "is negative", GIVE_DURATION),
    (seconds, -0.5, ValueError, "is negative", GIVE_DURATION),
    (seconds, timedelta(seconds=-1), ValueError, "is negative", GIVE_DURATION),
    (seconds, "-5m", ValueError, "is negative", GIVE_DURATION),
    (seconds, "5m -3s", ValueError, "is not a duration ('-' is not understood)", GIVE_DURATION),
    (seconds, "+5m", ValueError, "is not a duration ('+' is not understood)", GIVE_DURATION),
    (seconds, math.inf, ValueError, "is not finite", GIVE_DURATION),
    (seconds, -math.inf, ValueError, "is not finite", GIVE_DURATION),
    (seconds, math.nan, ValueError, "is not finite", GIVE_DURATION),
    (seconds, "inf", ValueError, "is not finite", GIVE_DURATION),
    (seconds, "-Infinity", ValueError, "is not finite", GIVE_DURATION),
    (seconds, "nan", ValueError, "is not finite", GIVE_DURATION),
    (seconds, "9" * 400, ValueError, "is not finite", GIVE_DURATION),
    (seconds, "9" * 308 + "w", ValueError, "is not finite", GIVE_DURATION),
    (seconds, 10**400, ValueError, "is not finite", GIVE_DURATION),
    (seconds, "24", ValueError, "is a number without a unit", "write '24s' or 24 for seconds, '24h' for hours"),
    (seconds, "2h5", ValueError, "ends in a number without a unit", "write '2h5m' or give seconds"),
    (seconds, "1w 2", ValueError, "ends in a number without a unit", "write '1w 2d' or give seconds"),
    (seconds, "2d5", ValueError, "ends in a number without a unit", "write '2d5h' or give seconds"),
    (seconds, "2m5", ValueError, "ends in a number without a unit", "write '2m5s' or give seconds"),
    (seconds, "30m1h5", ValueError, "ends in a number without a unit", "write '30m1h5s' or give seconds"),
    (seconds, "2us5", ValueError, "ends in a number without a unit", NO_TERM_UNIT),
    (seconds, "5 5m", ValueError, "has the number '5' without a unit", NO_TERM_UNIT),
    (seconds, "5 5", ValueError, "has the number '5' without a unit", NO_TERM_UNIT),
    (seconds, "1.5.2h", ValueError, "has the number '1.5' without a unit", NO_TERM_UNIT),
    (seconds, "1:30", ValueError, "has the number '1' without a unit", NO_TERM_UNIT),
    (seconds, "h", ValueError, "has 'h' without a number before it", GIVE_DURATION),
    (seconds, "soon", ValueError, "has 'soon' without a number before it", GIVE_DURATION),
    (seconds, "1h m", ValueError, "has 'm' without a number before it", GIVE_DURATION),
    (seconds, "3 fortnights", ValueError, "has the unknown unit 'fortnights'", "the units are w, d, h, m, s, ms, us"),
    (seconds, "1 month", ValueError, "has the unknown unit 'month'", "the units are w, d, h, m, s, ms, us"),
    (seconds, "1M", ValueError, "has the unknown unit 'M'", "the units are w, d, h, m, s, ms, us"),
    (seconds, "1e3", ValueError, "has the unknown unit 'e'", "the units are w, d, h, m, s, ms, us"),
    (seconds, "1h1h", ValueError, "has the unit 'h' twice", "add the two numbers"),
    (seconds, "1 min 1 minute", ValueError, "has the unit 'm' twice", "add the two numbers"),
    (seconds, "5m!", ValueError, "is not a duration ('!' is not understood)", GIVE_DURATION),
    (seconds, "\u0665m", ValueError, "is not a duration ('\u0665' is not understood)", GIVE_DURATION),
    (byte_size, True, TypeError, "is of type 'bool', not a number of bytes", GIVE_SIZE),
    (byte_size, 1e6, TypeError, "is of type 'float', not a number of bytes", GIVE_SIZE),
    (byte_size, None, TypeError, "is None, not a number of bytes", GIVE_SIZE),
    (byte_size, b"64MB", TypeError, "is of type 'bytes', not a number of bytes", GIVE_SIZE),
    (byte_size, 0, ValueError, "is zero", GIVE_SIZE),
    (byte_size, -1, ValueError, "is negative", GIVE_SIZE),
    (byte_size, Index(-2), ValueError, "is negative", GIVE_SIZE),
    (byte_size, "", ValueError, "is empty", GIVE_SIZE),
    (byte_size, "0MB", ValueError, "is zero", GIVE_SIZE),
    (byte_size, "-64MB", ValueError, "is negative", GIVE_SIZE),
    (byte_size, "MB", ValueError, "has no number", GIVE_SIZE),
    (byte_size, ".", ValueError, "has no number", GIVE_SIZE),
    (byte_size, "0.5", ValueError, "is less than one byte", GIVE_SIZE),
    (byte_size, "1MB 5kB", ValueError, "is not a size in bytes", GIVE_SIZE),
    (byte_size, "1,5MB", ValueError, "is not a size in bytes", GIVE_SIZE),
    (byte_size, "9" * 5000, ValueError, "is not a size in bytes", GIVE_SIZE),
    (
        byte_size,
        "64 MX",
        ValueError,
        "has the unknown unit 'MX'",
        "the units are B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB",
    ),
    (positive_int, True, TypeError, "is of type 'bool', not a whole number", GIVE_COUNT),
    (positive_int, 500.0, TypeError, "is of type 'float', not a whole number", GIVE_COUNT),
    (positive_int, "500", TypeError, "is of type 'str', not a whole number", GIVE_COUNT),
    (positive_int, None, TypeError, "is None, not a whole number", GIVE_COUNT),
    (positive_int, 0, ValueError, "is zero", GIVE_COUNT),
    (positive_int, -5, ValueError, "is negative", GIVE_COUNT),
    (positive_int, Index(0), ValueError, "is zero", GIVE_COUNT),
]


@pytest.mark.parametrize(("read", "value", "kind", "wrong", "remedy"), BAD)
def test_bad_values(read: Callable[..., Any], value: Any, kind: type[Exception], wrong: str, remedy: str) -> None:
    """The message names the decorator, the option and the value, says what is wrong and what to do."""
    with pytest.raises((TypeError, ValueError)) as caught:
        read(value, where="bounded", option="some_option")
    assert type(caught.value) is kind
    shown = repr(value) if len(repr(value)) <= 1_000 else f"{repr(value)[:1_000]}..."
    assert str(caught.value) == f"bounded: some_option={shown} {wrong}; {remedy}."
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_value_that_cannot_be_shown() -> None:
    """A repr that raises does not hide what is wrong."""

    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    for read in (seconds, byte_size, positive_int):
        with pytest.raises(TypeError, match=r"^bounded: ttl=<.*Mute object at .*> is of type '.*Mute', not a "):
            read(Mute(), where="bounded", option="ttl")
    with pytest.raises(ValueError, match=r"^bounded: ttl=<int object at .*> is not finite; "):
        seconds(10**5000, where="bounded", option="ttl")


def test_a_failing_index_is_not_mistaken_for_a_wrong_type() -> None:
    """Only the error by which an object says that it is no integer is turned into ours."""

    class Failing:
        def __index__(self) -> int:
            raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        positive_int(Failing(), where="bounded", option="max")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0s"),
        (1e-12, "0s"),
        (5e-8, "0.05us"),
        (0.000_012_34, "12.3us"),
        (0.000_999_9, "1ms"),
        (0.5, "500ms"),
        (0.0123456, "12.3ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (3.2, "3.2s"),
        (59.9, "59.9s"),
        (59.99, "1m"),
        (60, "1m"),
        (90, "1m 30s"),
        (3599.4, "59m 59s"),
        (3599.9, "1h"),
        (5_400, "1h 30m"),
        (5_410, "1h 30m"),
        (86_400, "24h"),
        (129_600, "36h"),
        (172_799, "2d"),
        (172_800, "2d"),
        (180_000, "2d 2h"),
        (604_800, "7d"),
        (-90, "-1m 30s"),
        (math.inf, "inf"),
    ],
)
def test_shown_durations(value: float, expected: str) -> None:
    """Three digits below a minute, two units above it, rounded before the unit is chosen."""
    assert format_seconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0B"),
        (999, "999B"),
        (1_000, "1kB"),
        (1_500, "1.5kB"),
        (999_499, "999kB"),
        (999_999, "1MB"),
        (64_000_000, "64MB"),
        (1_610_612_736, "1.61GB"),
        (10**12, "1TB"),
        (10**15, "1PB"),
        (123_456 * 10**15, "123000PB"),
        (-1_500, "-1.5kB"),
    ],
)
def test_shown_sizes(value: int, expected: str) -> None:
    """Three digits and a decimal unit."""
    assert format_bytes(value) == expected


@settings(deadline=None)
@given(st.floats(min_value=1e-9, max_value=1e12))
def test_shown_durations_are_read_back(value: float) -> None:
    """What is shown means what was given: to half a percent below a minute, above to half the smaller unit."""
    smaller_unit = 1 if value < 3599.5 else 60 if value < 48 * 3600 - 30 else 3600
    allowed = value * 0.00501 if value < 59 else 0.51 * smaller_unit
    assert abs(seconds(format_seconds(value), where="x", option="y") - value) <= allowed


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=10**20))
def test_shown_sizes_are_read_back(value: int) -> None:
    """What is shown means what was given, to half a percent."""
    assert abs(byte_size(format_bytes(value), where="x", option="y") - value) <= value * 0.00501


UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": Fraction(1, 1000), "us": Fraction(1, 10**6)}


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(UNITS)), st.decimals(0, 10_000, places=3), min_size=1),
    st.sampled_from(["", " ", "  "]),
    st.sampled_from(["", " "]),
)
def test_duration_text_adds_up(terms: dict[str, Any], between: str, before_unit: str) -> None:
    """Any terms, in any order and spacing, mean their exact sum."""
    text = between.join(f"{number}{before_unit}{unit}" for unit, number in terms.items())
    exact = sum(Fraction(number) * UNITS[unit] for unit, number in terms.items())
    assert seconds(text, where="x", option="y", zero_ok=True) == pytest.approx(float(exact), rel=1e-14)


@settings(deadline=None)
@given(st.text(alphabet="0123456789.hmsdwuMkKGiBb+-e \u00b5", max_size=12) | st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text gets anything but a sound result or the documented error."""
    for read in (seconds, byte_size):
        try:
            result = read(text, where="bounded", option="ttl")
        except ValueError as error:
            assert str(error).startswith(f"bounded: ttl={text!r} ")
        else:
            assert result > 0
            assert math.isfinite(result)

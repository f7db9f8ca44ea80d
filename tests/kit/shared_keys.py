"""Keys of every kind that processes can share, many of them equal to others."""
# ruff: noqa: DTZ001, RUF032, UP042

import enum
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from memo import freeze, freeze_typed

__all__ = ("BERLIN", "SHARED_KEYS", "Colour", "Level", "Number", "Old", "Point", "Right", "Side", "Word")


class Point(NamedTuple):
    x: Any
    y: Any


class Word(str):
    """Compares as text does, and shows something else."""

    def __str__(self) -> str:
        return "something else"


class Number(int):
    def __repr__(self) -> str:
        return "something else"


class Colour(enum.Enum):
    RED = 1
    BLUE = 2
    SCARLET = RED


class Level(enum.IntEnum):
    ONE = 1


class Side(enum.StrEnum):
    LEFT = "a"


class Old(str, enum.Enum):  # as StrEnum was written before there was one
    LEFT = "a"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


EAST, WEST = timezone(timedelta(hours=1), "east"), timezone(timedelta(hours=-11, minutes=-30))
BERLIN = ZoneInfo("Europe/Berlin")
SHARED_KEYS: list[Any] = [
    None, ..., 0, 1, True, False, 2, -1, -2, 2**61 - 1, 2**64, -(10**30), 10**400, 0.0, -0.0, 1.0, 0.5, -0.5, 0.1,
    1e300, 5e-324, math.inf, -math.inf, 1j, 0j, 1 + 0j, complex(-0.0, 2), complex(math.inf, 1), Decimal(1),
    Decimal("1.00"), Decimal("0.1"), Decimal(0.1), Decimal("0.5"), Decimal("1E400"), Decimal("-0"), Decimal("inf"),
    Fraction(1), Fraction(1, 2), Fraction(1, 10), Fraction(0.1), Fraction(1, 3), Fraction(1, 2**2000),
    Fraction(10**400, 3), Number(1), Level.ONE, "", "a", "1", "None", '"', "\\", "a,b", "\n", "é", "e\u0301",
    "\U00010000", "\ud800\udc00", "\ud800", "\x00", Word("a"), Side.LEFT, Old.LEFT, b"", b"a", b"1", b"\xff", b'"',
    memoryview(b"a"), (), (1,), (1, 2), (True, 2.0), Point(1, 2), ("a",), ("a", "b"), ("a,b",), ('"a","b"',),
    ((1,), 2), (1, (2,)), ((),), frozenset(), frozenset({1, 2}), frozenset({2.0, True}),
    frozenset({"a", None, (1, 2)}), frozenset({frozenset()}), range(0), range(5, 5), range(1, 2), range(1, 3, 9),
    range(3), range(0, 3, 1), range(0, 4, 2), range(0, 3, 2), date(2026, 1, 2), datetime(2026, 1, 2),
    datetime(2026, 1, 2, 12), datetime(2026, 1, 2, 12, fold=1), datetime(2026, 1, 2, 12, tzinfo=UTC),
    datetime(2026, 1, 2, 13, tzinfo=EAST), datetime(2026, 1, 2, 13, tzinfo=BERLIN),
    datetime(2026, 1, 2, 0, 30, tzinfo=WEST), datetime.min.replace(tzinfo=EAST), datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=WEST), time(12), time(12, fold=1), time(12, 0, 0, 1), time(12, tzinfo=UTC),
    time(13, tzinfo=EAST), time(0, 30, tzinfo=WEST), time(12, tzinfo=BERLIN),
    time(0, 0, 0, 500_000, timezone(timedelta(microseconds=500_000))), time(0, tzinfo=UTC), timedelta(1),
    timedelta(hours=24), timedelta(microseconds=-1), UTC, timezone(timedelta(0), "zero"), EAST, BERLIN,
    ZoneInfo("Europe/Paris"), UUID(int=1), UUID(int=2), PurePath("a/b"), PurePosixPath("a//b/"), PurePosixPath("A/b"),
    PureWindowsPath("a/b"), PureWindowsPath("A\\B"), PureWindowsPath("c:/a"), Colour.RED, Colour.BLUE, Colour.SCARLET,
    Right.READ, Right.READ | Right.WRITE, Right(0), int, bool, str, type(None), type(...), Colour, Level, UUID,
    Decimal, type(PurePosixPath()), datetime, enum.Enum, freeze([1, 2]), freeze([True, 2.0]), freeze((1, 2)),
    freeze({"a": 1, "b": [2]}), freeze({"b": [2.0], "a": True}), freeze({1, 2}), freeze(1, a=2), freeze_typed([1]),
    freeze_typed([1.0]), freeze_typed({"b": 1, "a": 2}), freeze_typed({"a": 2, "b": 1}), freeze(bytearray(b"a")),
    freeze_typed({1: [2]}), IPv4Address("1.2.3.4"), IPv4Address(16909060), IPv6Address("::1.2.3.4"),
    IPv6Address("::ffff:1.2.3.4"), IPv6Address("::1%eth0"), IPv6Address("::1"), IPv6Address(1), IPv4Network("1.2.3.4"),
    IPv4Network("1.2.3.4/32"), IPv4Network("1.0.0.0/8"), IPv4Network("1.0.0.0/9"), IPv6Network("::/8"),
]  # fmt: skip

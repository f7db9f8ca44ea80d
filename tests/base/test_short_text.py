"""Any object as short text, without running any code of its class."""

import asyncio
import collections
import dataclasses
import decimal
import enum
import functools
import pathlib
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
import wrapt
from kit.short_texts import Ran, hostile, ran

from memo import sliding_window
from memo._base.key_text import failure_text
from memo._base.shortened import short_text


class HostileMeta(type):
    """A class of which nothing can be asked in the ordinary way."""

    __name__ = __mro__ = property(ran)  # type: ignore[assignment]
    __repr__ = __eq__ = __getattribute__ = __instancecheck__ = __subclasscheck__ = ran  # type: ignore[assignment]
    __hash__ = ran  # type: ignore[assignment]


@pytest.mark.parametrize(
    "make",
    [
        lambda: hostile()(),
        lambda: hostile(meta=HostileMeta),
        lambda: type.__call__(hostile(meta=HostileMeta)),
        lambda: hostile(str)("secret"),
        lambda: hostile(bytes)(b"secret"),
        lambda: hostile(int)(7),
        lambda: hostile(float)(7),
        lambda: hostile(list)(["secret"]),
        lambda: hostile(tuple)(["secret"]),
        lambda: hostile(dict)(secret="secret"),
        lambda: hostile(set)(["secret"]),
        lambda: hostile(frozenset)(["secret"]),
        lambda: hostile(collections.deque)(["secret"]),
        lambda: hostile(collections.OrderedDict)(secret="secret"),
        lambda: hostile(datetime)(2024, 1, 1),
        lambda: hostile(decimal.Decimal)(7),
        lambda: hostile(uuid.UUID)(int=7),
        lambda: hostile(Exception)("secret"),
        lambda: hostile(functools.partial)(print),
        lambda: hostile(type(ZoneInfo("UTC"))).__new__(hostile(ZoneInfo), "UTC"),
    ],
)
def test_no_code_of_a_stranger_runs(make: Callable[[], Any]) -> None:
    """Whatever a class derives from, none of its methods is called, and nothing of its content is shown."""
    value = make()
    for shown in (value, [value], (1, value), {"a": value}):
        text = short_text(shown)
        assert len(text) <= 200
        assert "Hostile" in text
        assert "secret" not in text


@pytest.mark.parametrize("place", ["function", "method", "classmethod", "staticmethod", "coroutine", "key"])
def test_a_window_runs_no_code_of_arguments(place: str) -> None:
    """A recorded call asks nothing of its arguments, wherever it is decorated."""
    value = hostile()()
    if place == "coroutine":

        @sliding_window("1h")
        async def later(value: object) -> None: ...

        asyncio.run(later(value))
        window = later.window
    elif place in ("function", "key"):

        @sliding_window("1h", key=(lambda value: value) if place == "key" else None)
        def work(value: object) -> None: ...

        work(value)
        window = work.window
    else:
        binding = {"method": lambda f: f, "classmethod": classmethod, "staticmethod": staticmethod}[place]

        class Service:
            @binding
            @sliding_window("1h")
            def work(*args: object) -> None: ...

        Service().work(value)
        window = Service.work.window  # type: ignore[attr-defined]
    (event,) = window.events()
    assert "<Hostile>" in event.key
    assert window.by_key(1) == [(event.key, 1)]


def test_proxies_and_mocks_stay_asleep() -> None:
    """What stands for something else is neither woken nor asked."""
    woken = []
    lazy = wrapt.LazyObjectProxy(lambda: woken.append(1))
    assert short_text(lazy) == "<LazyObjectProxy>"
    assert short_text([mock.MagicMock(), mock.Mock(spec=int)]) == "[<MagicMock>, <Mock>]"
    assert woken == []


# -- what reads as its repr


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    HELLO = "hello"


class Access(enum.Flag):
    R = 1
    W = 2


class Right(enum.IntFlag):
    R = 1
    W = 2


class Point(NamedTuple):
    x: int
    y: object


Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass(frozen=True)
class User:
    id: int
    name: str = "eve"


@dataclasses.dataclass(slots=True)
class Slotted:
    id: int
    friends: list[User] = dataclasses.field(default_factory=list)


class Plain(str):
    pass


class Number(int):
    pass


class Many(list):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, -1.5, 1j, ..., NotImplemented, "it's", b"b", bytearray(b"b"), range(3), range(1, 9, 2),
        slice(1, None), (), (1,), [], [1, [2, [3]]], {}, {"a": {1}}, set(), {1}, frozenset(), frozenset({1}),
        collections.deque([1, 2]), collections.deque([1], maxlen=3), collections.Counter("aab"),
        collections.defaultdict(list, a=[1]), collections.defaultdict(None, a=1),
        date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001
        datetime(2024, 1, 2, tzinfo=UTC), time(1, 2),
        datetime(2024, 1, 2, tzinfo=ZoneInfo("Europe/Paris")), timedelta(hours=1), timezone(timedelta(hours=1), "x"),
        uuid.UUID(int=7), decimal.Decimal("1.50"), pathlib.Path("/tmp/x"), pathlib.PureWindowsPath("c:/x"),
        ZoneInfo("Europe/Paris"), Colour.RED, Level.LOW, Word.HELLO, Access.R, Access.R | Access.W, Right.W, Access(0),
        Point(1, [2]), Pair("a", None), User(1), Slotted(2, [User(3, "x")]), Plain("w"), Number(7), int, User, Colour,
        ValueError("x", 1), print, User.__init__,
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)  # fmt: skip
def test_reads_as_its_repr(value: object) -> None:
    """What is known to be cheap and harmless is shown as it shows itself."""
    assert short_text(value) == repr(value)


def test_attrs_classes() -> None:
    """A class made by attrs is shown by its fields, if its repr is the generated one."""
    attrs = pytest.importorskip("attrs")

    @attrs.define
    class Slots:
        x: int
        hidden: str = attrs.field(default="secret", repr=False)

    @attrs.frozen(slots=False)
    class Names:
        _x: object

        @property
        def y(self) -> int:
            raise Ran

    @attrs.define
    class Own:
        x: str

        def __repr__(self) -> str:
            raise Ran

    assert short_text(Slots(1)).endswith("Slots(x=1)")
    assert short_text(Names([hostile()()])).endswith("Names(_x=[<Hostile>])")
    assert short_text(Own("secret")) == "<Own>"


def test_numpy() -> None:
    """A number is shown, an array is not."""
    numpy = pytest.importorskip("numpy")
    for value in (numpy.int64(5), numpy.float32(1.5), numpy.bool_(True)):
        assert short_text(value) == repr(value)
    assert short_text(numpy.zeros(10**6)) == "<ndarray>"
    objects = numpy.empty(1, dtype=object)
    objects[0] = type("Loud", (), {"__repr__": ran})()
    assert short_text(objects) == "<ndarray>"


def test_generated_reprs_are_followed() -> None:
    """A field that the generated repr leaves out, or that is computed, is not shown."""

    @dataclasses.dataclass
    class Account:
        name: str
        password: str = dataclasses.field(default="secret", repr=False)
        loaded: object = None

        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("__"):
                raise Ran
            return object.__getattribute__(self, name)

    account = Account.__new__(Account)
    vars(account).update(name="eve", password="secret", loaded=[hostile()()])
    assert short_text(account).endswith("Account(name='eve', loaded=[<Hostile>])")
    del vars(account)["loaded"]
    assert short_text(account).endswith("Account(name='eve', loaded=...)")

    @dataclasses.dataclass(repr=False)
    class Quiet:
        password: str = "secret"

    @dataclasses.dataclass
    class Own:
        password: str = "secret"

        def __repr__(self) -> str:
            raise Ran

    @dataclasses.dataclass
    class OwnBelow(Own):
        def __repr__(self) -> str:
            raise Ran

    assert [short_text(kind()) for kind in (Quiet, Own, OwnBelow)] == ["<Quiet>", "<Own>", "<OwnBelow>"]


def test_a_named_tuple_with_a_repr_of_its_own() -> None:
    """It is a stranger like any other."""

    class Secret(NamedTuple):
        password: str

        def __repr__(self) -> str:
            raise Ran

    assert short_text(Secret("secret")) == "<Secret>"


def test_large_things_are_not_walked_through() -> None:
    """Of a record or container of a million items the first ones are shown, at each level."""

    @dataclasses.dataclass
    class Large:
        items: list[Any]
        more: dict[int, Any]

    items = [hostile()()] * 1_000_000
    text = short_text(Large(items, {1: items}))
    assert text.count("<Hostile>") <= 16
    assert "..." in text
    assert len(text) <= 200
    assert short_text(decimal.Decimal("1" * 100_000)) == "<Decimal>"
    assert short_text(range(10**5000)).startswith("range(0, <int of ")
    assert short_text(Many(range(100))) == "Many([0, 1, 2, 3, 4, 5, 6, 7, ...])"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert short_text(deep) == "[[[...]]]"
    while deep:
        deep = deep[0]
    round_about: list[Any] = []
    round_about.append(round_about)
    assert short_text(round_about) == "[[[...]]]"


class Zone(tzinfo):
    utcoffset = dst = tzname = __repr__ = ran  # type: ignore[assignment]


@pytest.mark.parametrize("value", [datetime(2024, 1, 1, tzinfo=Zone()), time(1, tzinfo=Zone())])
def test_a_stranger_s_time_zone_is_not_asked(value: object) -> None:
    """A date that would ask it for its text is not shown."""
    assert short_text(value) == f"<{type(value).__name__}>"
    assert failure_text(ValueError(value))[1] == f"<{type(value).__name__}>"


def test_methods() -> None:
    """A bound method is shown without the object that it is bound to."""

    class Service:
        __repr__ = ran

        def work(self) -> None: ...

    assert short_text(Service().work) == f"<bound method {Service.work.__qualname__}>"


def test_what_looks_like_something_known() -> None:
    """A class that borrows a name or a method of a known one is a stranger, or harmlessly fails to be it."""
    fake = hostile(__module__="uuid")
    fake.__name__ = "UUID"
    borrowed = hostile(__repr__=list.__repr__)
    enumerated = hostile(__repr__=enum.Enum.__repr__)
    texts = [short_text(kind()) for kind in (fake, borrowed, enumerated)]
    assert texts == ["<UUID>", "<Hostile>", "<Hostile>"]

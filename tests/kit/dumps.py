"""What the tests of dumps share."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from memo import Registry, bounded
from memo._cache.dump_entries import restore, save
from memo.testing import FakeClock

__all__ = (
    "FOLDED",
    "Name",
    "Placed",
    "aged",
    "dump",
    "hashables",
    "load",
    "make",
    "nested",
    "offsets",
    "scalars",
    "several",
    "shown",
    "text",
    "values",
    "work",
    "zones",
)


def work(name: Any) -> Any:
    """One parameter, whose value is the key."""
    return f"result of {name}"


def make(function: Callable[..., Any] = work, **options: Any) -> Any:
    """A function as a new process would have it: decorated anew, under its old name."""
    options = {"max": 100, "registry": Registry(), "name": "profiles", "clock": FakeClock(), **options}
    return bounded(**options)(function)


def dump(function: Any, path: Any, wall: float = 0.0, encode: Any = None) -> int:
    handle = function.cache
    return save(handle._cache, handle._generated, handle._name(), path, encode, lambda: wall)


def load(function: Any, path: Any, wall: float = 0.0, decode: Any = None) -> int:
    handle = function.cache
    return restore(handle._cache, handle._generated, handle._name(), path, decode, lambda: wall)


def shown(value: Any) -> Any:
    """What tells two plain values apart, types, signs of zero and order of dicts included."""
    kind = type(value)
    if kind in (list, tuple):
        return (kind.__name__, *map(shown, value))
    if kind in (set, frozenset):
        return (kind.__name__, *sorted(map(repr, map(shown, value))))
    if kind is dict:
        return ("dict", *((shown(key), shown(item)) for key, item in value.items()))
    return kind.__name__, hex(value) if kind is int else repr(value)


offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23))

FOLDED = datetime.combine(date(2024, 10, 27), time(2, fold=1))

zones = st.builds(timezone, offsets) | st.builds(timezone, offsets, st.text())

text = st.text(st.characters(exclude_categories=()))

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 5).map(lambda n: (-1) ** n * 7 ** (3000 * n + 20))
    | st.floats()
    | st.complex_numbers()
    | text
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | zones, allow_imaginary=True)
    | st.times(timezones=st.none() | zones)
    | st.timedeltas()
    | zones
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.sampled_from([int, str, type(None), datetime, Decimal, time(2, fold=1), FOLDED])
)

hashables = st.recursive(
    scalars, lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner, max_size=4), max_leaves=8
)

values = st.recursive(
    hashables | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.dictionaries(text, inner, max_size=4)
        | st.sets(hashables, max_size=4)
    ),
    max_leaves=20,
)


class Name(str):
    """Text with a type of its own."""

    __slots__ = ()


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = {number: value}  # the form that takes most brackets
    return value


def several(name: str, /, lang: str = "en", *rest: int, flag: bool = False, **more: Any) -> Any:
    return name, lang, rest, flag, more


class Placed:
    """A class whose methods share entries, or do not."""

    def __init__(self) -> None:
        self.calls = 0

    @bounded(max=10, registry=Registry())
    def own(self, name: str) -> str:
        return name

    @bounded(max=10, registry=Registry())
    @classmethod
    def of_class(cls, name: str) -> str:
        return name

    @bounded(max=10, registry=Registry(), ignore=("self",))
    def shared(self, name: str) -> str:
        self.calls += 1
        return name

    @bounded(max=10, registry=Registry())
    @staticmethod
    def static(name: str) -> str:
        return name


def aged(names: str, **options: Any) -> tuple[Any, FakeClock]:
    """A function whose results were stored one second apart, in the order of their names."""
    clock = FakeClock()
    function = make(clock=clock, **options)
    for name in names:
        function(name)
        clock.advance(1)
    return function, clock

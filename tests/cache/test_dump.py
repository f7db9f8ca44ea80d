"""Results outlive the process: dumped, verified, restored with the life they had left; and many put at once."""

import asyncio
import enum
import hashlib
import itertools
import json
import os
import stat
import sys
import threading
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.threads import Gate, Running

from memo import DumpError, MemoError, Registry, bounded
from memo._cache.dump_entries import restore, save
from memo._cache.dump_files import parsed, read_lines, write_rows
from memo._cache.dump_values import Unsupported, decoded, encoded
from memo._store.weights import weight
from memo.testing import FakeClock


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


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where to dump; afterwards nothing but dumps is there."""
    yield tmp_path / "profiles.memo"
    assert [found.name for found in tmp_path.iterdir() if found.suffix == ".tmp"] == []


# -- values


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


@settings(deadline=None)
@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    """Any nesting of plain values comes back through JSON with its types, its order and its text unharmed."""
    line = json.dumps(encoded(value), ensure_ascii=False, allow_nan=False).encode()
    assert shown(decoded(json.loads(line))) == shown(value)


@settings(deadline=None)  # files are synced to the disk
@given(rows=st.lists(st.lists(values, max_size=3), max_size=4))
def test_rows_come_back_from_a_file(rows: list[list[Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows come back from a file as they were written, in their order."""
    path = tmp_path_factory.mktemp("rows") / "rows.memo"
    assert write_rows(path, {}, [list(map(encoded, row)) for row in rows]) == len(rows)
    _, lines = read_lines(path, None)
    back = [list(map(decoded, parsed(line))) for _, line in lines]
    assert shown(back) == shown(rows)


@pytest.mark.parametrize("value", ["\ud83d\ude00", "\ud800", "a\udcffb", "line\n\u2028", '"\\', "\U0001f600", ""])
def test_odd_text_comes_back(value: str) -> None:
    """Two lone surrogates do not become one character, and no text breaks a line."""
    line = json.dumps(encoded({value: value}), ensure_ascii=False)
    assert "\n" not in line
    assert decoded(json.loads(line.encode())) == {value: value}


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN12"), Decimal("-0.00"), Decimal("1E+999999")])
def test_odd_decimals_come_back(value: Decimal) -> None:
    """Decimals keep their sign, their exponent and what sort of NaN they are."""
    assert repr(decoded(encoded(value))) == repr(value)


class Name(str):
    """Text with a type of its own."""

    __slots__ = ()


class Colour(enum.IntEnum):
    RED = 1


class HourOff(tzinfo):
    """A zone whose rules are code."""


Point = namedtuple("Point", "x y")
REFUSED = [
    (Name("a"), "'Name'"), (Colour.RED, "'Colour'"), (Point(1, 2), "'Point'"), (OrderedDict(), "'OrderedDict'"),
    (object(), "'object'"), (Fraction(1, 2), "'Fraction'"), (print, "'builtin_function_or_method'"),
    (datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")), "time zone of type 'ZoneInfo'"), (Name, "class 'Name'"),
    (time(1, tzinfo=HourOff()), "time zone of type 'HourOff'"), (HourOff(), "'HourOff'"), (type, "class 'type'"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "named"), REFUSED, ids=[named for _, named in REFUSED])
def test_other_types_are_refused(value: Any, named: str, path: Path) -> None:
    """A value of another type, a subclass of a built-in one too, fails the dump and is named with the remedy."""
    with pytest.raises(Unsupported):
        encoded([{"a": (value,)}])
    function = make()
    function.cache.put([{"a": value}], "alice")
    with pytest.raises(TypeError, match=r"work\(\): the value of key 'alice' is or contains") as caught:
        dump(function, path)
    assert named in str(caught.value)
    assert "encode=" in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize("key", [Colour.RED, ("a", Name("b")), Name], ids=repr)
def test_keys_of_other_types_are_refused(key: Any, path: Path) -> None:
    """A key of another type fails the dump, and the message says to give key=."""
    function = make()
    function.cache.put(1, key)
    with pytest.raises(TypeError, match=r"work\(\): the key .* is or contains .* key= "):
        dump(function, path)
    assert not path.exists()


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = {number: value}  # the form that takes most brackets
    return value


def test_depth_is_limited(path: Path) -> None:
    """A hundred containers within each other come back; one more, or one that holds itself, is refused."""
    function = make()
    function.cache.put(nested(100), "deep")
    dump(function, path)
    again = make()
    assert load(again, path) == 1
    assert again.cache.entry("deep").value == nested(100)
    own: list[Any] = []
    own.append(own)
    for value in (nested(101), own):
        function.cache.put(value, "deep")
        with pytest.raises(TypeError, match="nested more than 100 deep, or itself"):
            dump(function, path)


# -- entries and their times


def test_results_come_back(path: Path) -> None:
    """What one process dumped is a hit in the next, without a call of the function."""
    function = make(ttl="1h")
    assert [function(name) for name in "abc"] == [work(name) for name in "abc"]
    assert function.cache.dump(path) == 3
    calls: list[str] = []
    again = make(lambda name: calls.append(name), ttl="1h")
    assert again.cache.load(path) == 3
    assert [again(name) for name in "abc"] == [work(name) for name in "abc"]
    assert calls == []
    assert again.cache.stats().hits == 3
    assert again.cache.stats().misses == again.cache.stats().loads == 0
    again.cache._check()


def test_an_empty_store_is_dumped(path: Path) -> None:
    """A dump of nothing loads as nothing."""
    assert dump(make(), path) == 0
    assert load(make(), path) == 0


def test_remaining_life_is_kept(path: Path) -> None:
    """An entry ages by the wall clock while no process runs, and lives on for what is left."""
    clock = FakeClock()
    function = make(ttl=60, clock=clock)
    function("a")
    clock.advance(20)
    dump(function, path, wall=5000.0)
    later = FakeClock(7.0)
    again = make(ttl=60, clock=later)
    assert load(again, path, wall=5030.0) == 1
    entry = again.cache.entry("a")
    assert (entry.age, entry.expires_in, entry.hits, entry.stale) == (50.0, 10.0, 0, False)
    later.advance(10)
    assert again.cache.entry("a") is None


@pytest.mark.parametrize(("passed", "count"), [(39.5, 1), (40.0, 0), (1e9, 0), (-1e9, 1)])
def test_what_expired_meanwhile_stays_away(path: Path, passed: float, count: int) -> None:
    """What expired between the processes is not restored; a wall clock that was put back expires nothing."""
    clock = FakeClock()
    function = make(ttl=60, clock=clock)
    function("a")
    clock.advance(20)
    dump(function, path, wall=5000.0)
    again = make(ttl=60)
    assert load(again, path, wall=5000.0 + passed) == count
    assert len(again.cache) == count
    if passed < 0:
        assert again.cache.entry("a").expires_in == 40.0


def test_expired_entries_are_not_dumped(path: Path) -> None:
    """What is past its life, though still in the store, is not written."""
    clock = FakeClock()
    function = make(ttl=60, clock=clock)
    function("a")
    clock.advance(30)
    function("b")
    clock.advance(30)
    assert dump(function, path) == 1
    again = make(ttl=60)
    load(again, path)
    assert list(again.cache) == ["b"]


def test_stale_entries_keep_their_window(path: Path) -> None:
    """An entry inside its stale window comes back stale, and not at all once the window is over."""
    clock = FakeClock()
    function = make(ttl=60, stale_if_error=100, clock=clock)
    function("a")
    clock.advance(80)
    assert dump(function, path, wall=0.0) == 1
    again = make(ttl=60, stale_if_error=100)
    assert load(again, path, wall=79.5) == 1
    entry = again.cache.entry("a")
    assert (entry.stale, entry.expires_in, entry.age) == (True, -99.5, 159.5)
    assert load(make(ttl=60, stale_if_error=100), path, wall=80.0) == 0
    assert load(make(ttl=60), path, wall=0.0) == 0


def test_idle_time_goes_on(path: Path) -> None:
    """The time since the last use counts on between the processes."""
    clock = FakeClock()
    function = make(idle=60, clock=clock)
    function("a")
    clock.advance(50)
    function("a")
    clock.advance(20)
    dump(function, path, wall=0.0)
    assert load(make(idle=60), path, wall=40.0) == 0
    later = FakeClock()
    again = make(idle=60, clock=later)
    assert load(again, path, wall=30.0) == 1
    later.advance(9)
    assert again.cache.entry("a") is not None
    later.advance(1)
    assert again.cache.entry("a") is None


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ({"ttl": 60}, {"ttl": 30}, 10.0),
        ({"ttl": 60}, {"ttl": 90}, 40.0),
        ({"ttl": 60}, {}, None),
        ({}, {"ttl": 60}, 40.0),
        ({"ttl": lambda value: 50}, {"ttl": lambda value: 60}, 30.0),
        ({"ttl": lambda value: 50}, {"ttl": lambda value: None}, None),
    ],
    ids=["shorter", "longer", "gone", "new", "by value", "by value, gone"],
)
def test_the_present_ttl_bounds(path: Path, before: Any, after: Any, left: float | None) -> None:
    """An entry lives for what it had left, but never longer than the present ttl allows."""
    clock = FakeClock()
    function = make(clock=clock, **before)
    function("a")
    clock.advance(20)
    dump(function, path)
    again = make(**after)
    assert load(again, path) == 1
    assert again.cache.entry("a").expires_in == left
    again("a")
    assert again.cache.stats().hits == 1


def test_jitter_shortens_once(path: Path) -> None:
    """A life that jitter has shortened is not shortened again by loading it."""
    function = make(ttl=100, jitter=0.5)
    function("a")
    left = function.cache.entry("a").expires_in
    dump(function, path)
    for _ in range(10):
        again = make(ttl=100, jitter=0.5)
        load(again, path)
        assert again.cache.entry("a").expires_in == pytest.approx(left)


def test_remembered_errors_are_not_dumped(path: Path) -> None:
    """A failure that is remembered stays in its process."""

    def fail(name: str) -> str:
        if name == "bad":
            raise KeyError(name)
        return name

    function = make(fail, cache_errors=(KeyError,), error_ttl=60)
    function("good")
    with pytest.raises(KeyError):
        function("bad")
    assert dump(function, path) == 1
    again = make(fail, cache_errors=(KeyError,), error_ttl=60)
    assert load(again, path) == 1
    assert list(again.cache) == ["good"]


def test_tags_come_back(path: Path) -> None:
    """Entries bear the tags of their calls again; without known tags, where a function gives them, none is stored."""
    registry = Registry()
    function = make(tags=lambda name: f"user:{name}")
    function("a")
    function("b")
    dump(function, path)
    again = make(tags=lambda name: f"user:{name}", registry=registry)
    assert load(again, path) == 2
    again.cache._check()
    registry.invalidate(tag="user:a")
    assert list(again.cache) == ["b"]
    assert load(make(), path) == 2

    untagged = make()
    untagged("a")
    dump(untagged, path)
    assert load(make(tags=lambda name: f"user:{name}"), path) == 0


# -- keys and placements


def several(name: str, /, lang: str = "en", *rest: int, flag: bool = False, **more: Any) -> Any:
    return name, lang, rest, flag, more


def test_keys_of_all_parameters_come_back(path: Path) -> None:
    """A key of many parameters means the same call again, however that is spelled."""
    function = make(several)
    function("a", "de", 1, 2, flag=True, b=2, a=1)
    dump(function, path)
    again = make(several)
    assert load(again, path) == 1
    again("a", "de", 1, 2, a=1, b=2, flag=True)
    assert again.cache.stats().hits == 1


def test_typed_keys_come_back(path: Path) -> None:
    """The types in the keys of typed=True come back, so that 1, 1.0 and True stay apart."""
    function = make(typed=True)
    for value in (1, 1.0, True, None, "a", b"a", (1,), date(2024, 1, 1), Decimal(1)):
        function(value)
    assert dump(function, path) == 9
    again = make(typed=True)
    assert load(again, path) == 9
    for value in (1, 1.0, True, None):
        again(value)
    assert again.cache.stats().hits == 4
    again.cache.put("own", Name("a"))
    with pytest.raises(TypeError, match="the key 'a' is or contains"):
        dump(again, path)


def test_made_keys_come_back(path: Path) -> None:
    """What key= returned is the key in the next process too."""

    def lower(name: str) -> str:
        return name.lower()

    function = make(key=lower)
    function("ALICE")
    dump(function, path)
    again = make(key=lower)
    assert load(again, path) == 1
    again("Alice")
    assert again.cache.stats().hits == 1


def test_coroutine_functions_are_dumped_too(path: Path) -> None:
    """The results of a coroutine function come back, dumped and loaded in another thread."""

    async def fetch(name: str) -> str:
        return f"fetched {name}"

    async def main() -> None:
        function = make(fetch)
        await function("a")
        assert await asyncio.to_thread(function.cache.dump, path) == 1
        again = make(fetch)
        assert await asyncio.to_thread(again.cache.load, path) == 1
        assert await again("a") == "fetched a"
        assert again.cache.stats().hits == 1

    asyncio.run(main())


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


@pytest.mark.parametrize("method", ["own", "of_class"])
def test_entries_of_instances_are_refused(method: str, path: Path) -> None:
    """Entries that belong to instances are neither dumped nor loaded, and the message names the remedy."""
    handle = getattr(Placed(), method).cache
    for call in (handle.dump, handle.load):
        with pytest.raises(TypeError, match=rf"{method}\(\) belong to instances.*ignore=\('self',\)"):
            call(path)
    assert not path.exists()


def test_shared_entries_are_dumped_through_an_instance(path: Path) -> None:
    """A method that shares its entries between instances is dumped whole, through any of them."""
    placed = Placed()
    placed.shared("a")
    Placed().shared("b")
    assert placed.shared.cache.dump(path) == 2
    placed.shared.cache.clear()
    assert Placed.shared.cache.load(path) == 2
    other = Placed()
    assert other.shared("a") == "a"
    assert other.calls == 0
    Placed.static("a")
    assert Placed.static.cache.dump(path) == 1
    Placed.static.cache.clear()
    assert placed.static.cache.load(path) == 1


# -- values of the user's own


@dataclass
class Profile:
    """A value of the user's own."""

    name: str
    age: int


def fetch_profile(name: str) -> Profile:
    return Profile(name, 30)


def test_encode_and_decode(path: Path) -> None:
    """Values of any type are dumped through functions that take them apart and put them together."""
    function = make(fetch_profile)
    function("alice")
    with pytest.raises(TypeError, match=r"an instance of 'Profile'.*give encode="):
        function.cache.dump(path)
    assert function.cache.dump(path, encode=asdict) == 1
    again = make(fetch_profile)
    assert again.cache.load(path, decode=lambda fields: Profile(**fields)) == 1
    assert again.cache.entry("alice").value == Profile("alice", 30)
    with pytest.raises(TypeError, match=r"what encode= returned .*'Profile'.*let it return"):
        function.cache.dump(path, encode=lambda profile: [profile])


def test_encode_gets_a_copy(path: Path) -> None:
    """With copy=, what encode= does to its argument does not reach the store."""

    def spoil(value: list[int]) -> list[int]:
        value.append(2)
        return value

    function = make(lambda name: [1], copy="shallow")
    function("a")
    dump(function, path, encode=spoil)
    assert function("a") == [1]


def test_a_raising_encode_leaves_the_old_file(path: Path) -> None:
    """If encode= raises in the middle, the file holds what it held, and nothing else is left behind."""
    function = make()
    for name in "abc":
        function(name)
    dump(function, path)
    before = path.read_bytes()
    seen = itertools.count()

    def fail_second(value: str) -> str:
        if next(seen) == 1:
            raise KeyError("no")
        return value

    with pytest.raises(KeyError) as caught:
        dump(function, path, encode=fail_second)
    assert "encode= was called with the value of key 'b'" in caught.value.__notes__[0]
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_raising_decode_stores_nothing(path: Path) -> None:
    """If decode= raises, its error reaches the caller, and no entry was stored."""
    function = make()
    function("a")
    function("b")
    dump(function, path)
    again = make()
    seen = itertools.count()

    def fail_second(value: str) -> str:
        if next(seen) == 1:
            raise KeyError("no")
        return value

    with pytest.raises(KeyError) as caught:
        load(again, path, decode=fail_second)
    assert "decode= was called for key 'b'" in caught.value.__notes__[0]
    assert len(again.cache) == 0


@pytest.mark.parametrize("call", ["dump", "load"])
def test_encode_must_be_callable(call: str, path: Path) -> None:
    """What cannot be called is refused before the file is touched."""
    option = {"dump": "encode", "load": "decode"}[call]
    with pytest.raises(TypeError, match=f"{call}: {option}=5 cannot be called"):
        getattr(make().cache, call)(path, **{option: 5})
    assert not path.exists()


def test_cache_if_decides_again(path: Path) -> None:
    """A value that cache_if declines is not restored and counts as rejected."""
    function = make()
    function("a")
    function("b")
    dump(function, path)
    again = make(cache_if=lambda value: value != "result of a")
    assert load(again, path) == 1
    assert list(again.cache) == ["b"]
    assert again.cache.stats().rejected == 1


# -- what is there already


def aged(names: str, **options: Any) -> tuple[Any, FakeClock]:
    """A function whose results were stored one second apart, in the order of their names."""
    clock = FakeClock()
    function = make(clock=clock, **options)
    for name in names:
        function(name)
        clock.advance(1)
    return function, clock


@pytest.mark.parametrize("policy", ["s3fifo", "lru", "lfu", "fifo", "random"])
def test_a_smaller_store_keeps_the_newest(path: Path, policy: str) -> None:
    """A store with less room than the file has rows takes the newest."""
    function, _ = aged("abcdef", policy=policy)
    dump(function, path)
    again = make(max=2, policy=policy)
    assert load(again, path) == 2
    assert sorted(again.cache) == ["e", "f"]
    again.cache._check()


def test_a_store_of_few_bytes_keeps_the_newest(path: Path) -> None:
    """A store bounded by bytes takes the newest values that fit."""
    function, _ = aged("abcdef")
    dump(function, path)
    again = make(max=None, max_bytes=3 * (weight("a", ()) + len(work("a"))) + 1, sizeof=len)
    assert load(again, path) == 3
    assert list(again.cache) == ["d", "e", "f"]
    again.cache._check()
    strict = make(max=None, max_bytes=10_000, sizeof=lambda value: None)
    assert load(strict, path) == 0


def test_loading_evicts_nothing(path: Path) -> None:
    """Restored entries take the room that is free, or taken by what is past its life, and evict nothing that lives."""
    function, _ = aged("abcdef")
    dump(function, path)
    gone: list[Any] = []
    clock = FakeClock()
    again = make(max=4, ttl=60, clock=clock, on_evict=lambda key, value, reason: gone.append((key, reason)))
    again("old")
    clock.advance(60)
    again("x")
    again("y")
    assert load(again, path) == 2
    assert sorted(again.cache) == ["e", "f", "x", "y"]
    assert gone == [("old", "expired")]


def test_the_newer_of_two_stays(path: Path) -> None:
    """An entry that is there is replaced by a newer one of the file, not by an older one."""
    function, _ = aged("ab")  # stored 2 s and 1 s before the dump
    dump(function, path, wall=0.0)
    clock = FakeClock()
    again = make(clock=clock)
    again.cache.put("mine", "a")
    again.cache.put("mine", "b")
    assert load(again, path, wall=0.0) == 0
    clock.advance(2)
    assert load(again, path, wall=0.5) == 1
    assert again.cache.entry("a").value == "mine"  # 2 s old, that of the file 2.5 s
    assert again.cache.entry("b").value == work("b")  # 1.5 s
    again.cache.put("again", "b")
    assert again.cache.entry("b").value == "again"


def test_a_running_load_replaces_what_was_restored(path: Path) -> None:
    """A load that runs while load() restores is newer than the file, and its result is stored."""
    function, _ = aged("a")
    dump(function, path)
    gate = Gate()

    def slow(name: str) -> str:
        gate.wait()
        return "slow"

    again = make(slow)
    leader = Running(lambda: again("a"))
    gate.reached()
    assert load(again, path) == 1
    gate.open()
    assert leader.result() == "slow"
    assert again("a") == "slow"


def test_dump_while_calls_run(path: Path) -> None:
    """Dumps taken while other threads call, evict and expire are whole and can be loaded."""
    clock = FakeClock()
    function = make(max=50, ttl=60, clock=clock)
    stop = threading.Event()
    failures: list[BaseException] = []

    def call(start: int) -> None:
        try:
            for number in itertools.count(start, 2):
                if stop.is_set():
                    return
                function(str(number % 200))
                if number % 97 == 0:
                    clock.advance(1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(start,)) for start in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            count = function.cache.dump(path)
            again = make(max=50)
            assert again.cache.load(path) == count <= 50
            assert all(value == work(key) for key, value in again.cache.items())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    function.cache._check()


# -- the file


def some_dump(path: Path) -> bytes:
    function, _ = aged("ab", ttl=60)
    dump(function, path)
    return path.read_bytes()


def assert_refused(path: Path, match: str) -> None:
    function = make(ttl=60)
    function.cache.put("mine", "x")
    with pytest.raises(DumpError, match=match):
        load(function, path)
    assert function.cache.items() == [("x", "mine")]


def test_the_error_is_a_value_error() -> None:
    """DumpError can be caught as the package's own error and as a ValueError."""
    assert issubclass(DumpError, MemoError)
    assert issubclass(DumpError, ValueError)


def test_a_file_cut_short_is_refused(path: Path) -> None:
    """A file cut at any byte is refused, and nothing of it stored."""
    whole = some_dump(path)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert_refused(path, "is cut short|is no dump|was altered")
    path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    assert_refused(path, "is cut short")


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_an_altered_file_is_refused(path: Path, bit: int) -> None:
    """A file with any byte changed is refused, and nothing of it stored."""
    whole = some_dump(path)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        assert_refused(path, "load: .*profiles.memo")


def test_a_file_with_lines_moved_is_refused(path: Path) -> None:
    """Lines added, doubled, left out or exchanged are noticed."""
    whole = some_dump(path)
    header, first, second, seal = whole.splitlines(keepends=True)
    for lines in (
        [header, second, first, seal],
        [header, first, seal],
        [header, first, first, second, seal],
        [header, first, second, seal, seal],
        [header, first, second, seal, b"\n"],
        [header, first, second, seal, header, first, second, seal],
        [header, seal],
        [seal],
    ):
        path.write_bytes(b"".join(lines))
        assert_refused(path, "is cut short|was altered|is no dump")
    path.write_bytes(whole)
    assert load(make(ttl=60), path) == 2


def forge(path: Path, *lines: bytes, header: dict[str, Any] | None = None) -> None:
    """Write a file whose seal is right, whatever its lines are."""
    plain = {
        "format": "memo dump", "version": 1, "function": "profiles", "key": "(name)", "written": 0.0
    }  # fmt: skip
    body = b"\n".join([json.dumps(plain | (header or {})).encode(), *lines]) + b"\n"
    digest = hashlib.sha256(body).hexdigest()
    seal = json.dumps({"rows": len(lines), "bytes": len(body), "sha256": digest}, separators=(",", ":"))
    path.write_bytes(body + seal.encode() + b"\n")


def test_a_forged_file_would_load(path: Path) -> None:
    """The forger of these tests can write a file that passes, so that its others fail for what is wrong in them."""
    forge(path, b'["a",1,null,0.0,null,null]')
    function = make()
    assert load(function, path) == 1
    assert function.cache.items() == [("a", 1)]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({"version": 2}, "has format version 2, but this release reads version 1"),
        ({"version": "1"}, "has format version 1"),
        ({"version": True}, "has format version True"),
        ({"version": None}, "has format version None"),
        ({"format": "shopping list"}, "is no dump"),
        ({"function": "other"}, r"holds results of 'other' .*, not of 'profiles'.*name="),
        ({"function": None}, "holds results of None"),
        ({"key": "(name, lang)"}, r"with keys of '\(name, lang\)', not of .*'\(name\)'"),
        ({"key": "(name), typed"}, r"typed"),
        ({"written": None}, "the header of .* cannot be read"),
        ({"written": True}, "the header of .* cannot be read"),
        ({"written": "today"}, "the header of .* cannot be read"),
    ],
    ids=repr,
)
def test_another_header_is_refused(path: Path, header: dict[str, Any], match: str) -> None:
    """A dump of another function, of other keys or of another version is refused, and the message says which."""
    forge(path, b'["a",1,null,0.0,null,null]', header=header)
    assert_refused(path, match)


def test_dumps_of_others_are_refused(path: Path) -> None:
    """What a function with another name, other parameters or other key options dumped is refused."""
    function = make()
    function("a")
    dump(function, path)
    others = [
        make(name="other"), make(several), make(typed=True), make(key=str), make(lambda other: other),
        make(lambda name, lang="en": name),
    ]  # fmt: skip
    for other in others:
        with pytest.raises(DumpError, match="holds results of 'profiles'"):
            load(other, path)
    for alike in (make(lambda name, log=None: name, ignore=("log",)), make(max=5, ttl=9, policy="lru")):
        assert load(alike, path) == 1


DEEP = b"[" * 100_000 + b"]" * 100_000
BIG = b"9" * 100_000
ALIKE = b",".join(b"%d" % (number * (2**61 - 1)) for number in range(1, 4))
FORGED = [
    (b"", "cannot be read"),
    (b"{}", "cannot be read"),
    (b"[]", "cannot be read"),
    (b'["a",1,null,0.0,null]', "cannot be read"),
    (b'["a",1,null,0.0,null,null,null]', "cannot be read"),
    (b'["a",%s,null,0.0,null,null]' % DEEP, "nested too deeply"),
    (b'["a",%s,null,0.0,null,null]' % DEEP.replace(b"[", b'{"tuple":[').replace(b"]", b"]}"), "nested too deeply"),
    (b'["\\"",%s,null,0.0,null,null]' % DEEP, "nested too deeply"),
    (b'["\\\\",%s,null,0.0,null,null]' % DEEP, "nested too deeply"),
    (b'["a",\\"%s,null,0.0,null,null]' % DEEP, "cannot be read"),
    (f'["a",{"[" * 1000}'.encode("utf-16-le"), "cannot be read"),
    (b'["a",%s,null,0.0,null,null]' % BIG, "contains the number '9999"),
    (b'["a",0.%s,null,0.0,null,null]' % BIG, "contains the number '0.999"),
    (b'["a",1e%s,null,0.0,null,null]' % BIG, "contains the number '1e999"),
    (b'["a",NaN,null,0.0,null,null]', "contains the number 'NaN'"),
    (b'["a",Infinity,null,0.0,null,null]', "contains the number 'Infinity'"),
    (b'["\xff",1,null,0.0,null,null]', "cannot be read"),
    (b'["a",{"os.system":["true"]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"type":"HourOff"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"tuple":[],"list":[]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"tuple":"abc"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"int":12},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"int":"wxyz"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"float":"1"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"str":"ff"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"bytes":"a"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"date":[2024,13,1]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"datetime":[2024]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"timedelta":[1e300]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"timezone":[999999999999999]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"Decimal":"ten"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"UUID":"ten"},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"set":[[]]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"dict":[[[],1]]},null,0.0,null,null]', "cannot be read"),
    (b'["a",{"dict":[[1]]},null,0.0,null,null]', "cannot be read"),
    (b'[[],1,null,0.0,null,null]', "cannot be read"),
    (b'["a",1,"long",0.0,null,null]', "no number of seconds"),
    (b'["a",1,true,0.0,null,null]', "no number of seconds"),
    (b'["a",1,1e999,0.0,null,null]', "no number of seconds"),
    (b'["a",1,null,-1.0,null,null]', "age below zero"),
    (b'["a",1,null,0.0,-1.0,null]', "age below zero"),
    (b'["a",1,null,null,null,null]', "no number of seconds"),
    (b'["a",1,null,0.0,null,5]', "cannot be read"),
    (b'["a",1,null,0.0,null,[5]]', "are no tags"),
    (b'["a",1,null,0.0,null,[""]]', "are no tags"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "match"), FORGED, ids=[str(line[:50]) for line, _ in FORGED])
def test_a_forged_row_is_refused(path: Path, line: bytes, match: str) -> None:
    """A row that no dump writes is refused, though the checksum is right, and nothing of the file is stored."""
    forge(path, b'["good",1,null,0.0,null,null]', line)
    assert_refused(path, f"(?s){match}")


def test_depth_is_checked_before_parsing(path: Path) -> None:
    """Nesting is refused before the parser recurses, whatever the program's recursion limit is."""
    forge(path, b'["a",%s,null,0.0,null,null]' % DEEP)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        assert_refused(path, "nested too deeply")
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("form", [b'{"set":[%s]}', b'{"frozenset":[%s]}', b'{"dict":[%s]}'])
def test_colliding_members_are_refused(path: Path, form: bytes) -> None:
    """A container whose members were chosen to hash alike, so that building it takes quadratic time, is refused."""
    numbers = [b'{"int":"%x"}' % (number * (2**61 - 1)) for number in range(1, 1102)]
    members = [b"[%s,1]" % number for number in numbers] if b"dict" in form else numbers
    forge(path, b'["a",%s,null,0.0,null,null]' % (form % b",".join(members)))
    assert_refused(path, "same hash")
    forge(path, b'["a",%s,null,0.0,null,null]' % (form % b",".join(members[:1000])))
    assert load(make(), path) == 1


def test_colliding_keys_are_refused(path: Path) -> None:
    """So are keys of entries."""
    forge(path, *(b'[{"int":"%x"},1,null,0.0,null,null]' % (number * (2**61 - 1)) for number in range(1, 1102)))
    with pytest.raises(DumpError, match="same hash"):
        load(make(max=2000), path)


@pytest.mark.parametrize("key", [b'"a"', b'["a","en"]', b'{"tuple":["a"]}', b'{"tuple":["a","en",1]}'])
def test_keys_of_another_shape_are_refused(path: Path, key: bytes) -> None:
    """A forged key that is no tuple of as many values as the function's keys is refused."""
    forge(path, b"[%s,1,null,0.0,null,null]" % key, header={"key": "(name, lang)"})
    function = make(lambda name, lang="en": name)
    with pytest.raises(DumpError, match="cannot be read"):
        load(function, path)
    assert len(function.cache) == 0


def test_rows_beyond_the_bound_are_not_kept(path: Path) -> None:
    """Only as many rows as the store can hold are parsed at all."""
    forge(path, b"this is not parsed", b'["a",1,null,0.0,null,null]')
    assert load(make(max=1), path) == 1
    with pytest.raises(DumpError, match="row 1 of"):
        load(make(max=2), path)


def test_a_row_has_a_longest_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row longer than load() would read is refused by dump(), and by load()."""
    function = make()
    function.cache.put("x" * 1000, "a")
    dump(function, path)
    before = path.read_bytes()
    monkeypatch.setattr("memo._cache.dump_files._LONGEST_ROW", 500)
    with pytest.raises(ValueError, match=r"row 1 takes .* bytes, and 500 is the most"):
        dump(function, path)
    assert path.read_bytes() == before
    assert_refused(path, "cut short|altered|cannot be read")


# -- writing


def test_paths(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may be text, bytes or a path object, absolute or relative."""
    function = make()
    function("a")
    monkeypatch.chdir(path.parent)
    for form in (path, str(path), os.fsencode(path), path.name):
        assert function.cache.dump(form) == 1
        assert make().cache.load(form) == 1
        path.unlink()


def test_what_is_not_there(path: Path) -> None:
    """A directory or a file that does not exist is the OSError that open() would raise."""
    function = make()
    for call in (function.cache.dump, function.cache.load):
        with pytest.raises(FileNotFoundError):
            call(path.parent / "missing" / "file")
        with pytest.raises(IsADirectoryError):
            call(path.parent)
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions, links and pipes are those of POSIX")
def test_permissions_and_links(path: Path) -> None:
    """A new file is its owner's alone, an old one keeps its permissions, a link is followed, a pipe refused."""
    function = make()
    function.cache.dump(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    inode = path.stat().st_ino
    function("a")
    function.cache.dump(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != inode
    link = path.parent / "link"
    link.symlink_to(path.name)
    function("b")
    function.cache.dump(link)
    assert link.is_symlink()
    assert make().cache.load(path) == 2
    pipe = path.parent / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        function.cache.dump(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failing_step_leaves_the_old_file(path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system fails at any step, the file holds what it held, and nothing else is left behind."""
    before = some_dump(path)

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        dump(make(), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_synced_before_it_takes_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contents reach the disk before the name does, and the name before dump() returns."""
    steps: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (steps.append(name), real(*args))[1])
    dump(make(), path)
    assert steps[:2] == ["fsync", "replace"]
    assert os.name != "posix" or steps == ["fsync", "replace", "fsync"]


# -- put_many


def test_put_many_of_one_parameter() -> None:
    """A mapping, or pairs, from the one argument to its result; a tuple is the argument itself."""
    function = make()
    assert function.cache.put_many({"alice": 1, ("a", "b"): 2, None: 3}) == 3
    assert function.cache.put_many((name, len(name)) for name in ("x", "yy")) == 2
    assert [function(name) for name in ("alice", ("a", "b"), None, "x", "yy")] == [1, 2, 3, 1, 2]
    stats = function.cache.stats()
    assert (stats.hits, stats.misses, stats.loads) == (5, 0, 0)
    assert function.cache.put_many({}) == function.cache.put_many([]) == 0


def test_put_many_of_several_parameters() -> None:
    """A tuple is spread over the parameters; any other key is the first argument, and defaults fill in the rest."""
    function = make(lambda name, lang="en": (name, lang))
    assert function.cache.put_many({("alice", "de"): 1, "bob": 2, (("a", "b"),): 3, ("carol",): 4}) == 4
    assert function("alice", lang="de") == 1
    assert function("bob", "en") == 2
    assert function(("a", "b")) == 3
    assert function(name="carol") == 4
    assert make(several).cache.put_many({("a", "de", 1, 2): 1, "b": 2}) == 2
    nothing = make(lambda: 0)
    assert nothing.cache.put_many({(): 7}) == 1
    assert nothing() == 7
    keyword = make(lambda point, *, scale=1: 0)
    assert keyword.cache.put_many({(1, 2): 8}) == 1
    assert keyword((1, 2)) == 8


def test_put_many_through_instances() -> None:
    """Through an instance the arguments are those without self; through the class the instance is the first."""
    placed, other = Placed(), Placed()
    assert placed.own.cache.put_many({"a": "put", ("t", "u"): "tuple"}) == 2
    assert (placed.own("a"), placed.own(("t", "u")), other.own("a")) == ("put", "tuple", "a")
    assert Placed.own.cache.put_many({(other, "b"): "put"}) == 1
    assert other.own("b") == "put"
    assert Placed.of_class.cache.put_many({"a": "put"}) == 1
    assert Placed.of_class("a") == "put"
    assert Placed.static.cache.put_many({"z": "put"}) == 1
    assert Placed.static("z") == "put"
    for handle in (Placed.own.cache, Placed.of_class.cache, Placed.static.cache):
        handle.clear()


def test_put_many_stays_within_the_bounds() -> None:
    """More results than the store can hold evict each other; what is rejected is not counted."""
    function = make(max=3)
    assert function.cache.put_many((number, number) for number in range(10)) == 10
    assert len(function.cache) == 3
    bounded_by_bytes = make(max=None, max_bytes=5 + 2 * weight("a", ()), sizeof=lambda value: len(value) ** 3)
    assert bounded_by_bytes.cache.put_many({"a": "x", "b": "much too long", "c": "x"}) == 2
    assert bounded_by_bytes.cache.stats().rejected == 1
    choosy = make(cache_if=bool)
    assert choosy.cache.put_many({"a": 0, "b": 1}) == 1


def test_put_many_refuses_what_is_no_pair() -> None:
    """An item that is no pair, or does not fit the function, is refused; those before it are stored."""
    function = make()
    for wrong in (["ab"], [("a",)], [("a", 1, 2)], [5], "ab", {"a", "b"}):
        with pytest.raises(TypeError, match=r"put_many: .* is no pair"):
            function.cache.put_many(wrong)
    with pytest.raises(TypeError, match="cannot be hashed"):
        function.cache.put_many([("a", 1), ([], 2), ("c", 3)])
    assert function.cache.items() == [("a", 1)]
    with pytest.raises(TypeError, match="argument"):
        make(lambda name, lang: 0).cache.put_many({("a", "b", "c"): 1})


def test_put_many_wins_over_a_running_load() -> None:
    """A load that began before put_many() does not replace what was put."""
    gate = Gate()

    def slow(name: str) -> str:
        gate.wait()
        return "slow"

    function = make(slow)
    leader = Running(lambda: function("a"))
    gate.reached()
    function.cache.put_many({"a": "put"})
    gate.open()
    assert leader.result() == "slow"
    assert function("a") == "put"


def test_put_many_bears_the_tags_of_each_call() -> None:
    """Each result bears the tags that its call has, as after put()."""
    registry = Registry()
    function = make(tags=lambda name: f"user:{name}", registry=registry)
    function.cache.put_many({"a": 1, "b": 2})
    registry.invalidate(tag="user:a")
    assert function.cache.items() == [("b", 2)]

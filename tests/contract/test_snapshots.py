"""Records copy, pickle, hash, subtract and turn into JSON, in this process and in others."""

import asyncio
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import json
import math
import multiprocessing
import pickle
import pickletools
import subprocess
import sys
import typing
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cachetools
import pytest

import memo
from memo import (
    AdoptedStats,
    Bucket,
    CacheEvent,
    CacheInfo,
    CacheStats,
    CleanupReport,
    EntryInfo,
    Event,
    EvictionReason,
    Finding,
    Flight,
    FunctionStats,
    InflightStats,
    KeyCount,
    LeakReport,
    LimitStats,
    Registry,
    StoreReport,
    WindowStats,
    bounded,
    dedupe_inflight,
    limit,
    sliding_window,
)
from memo._base.snapshots import FrozenDict, plain
from memo.testing import FakeClock

RECORDS = (
    AdoptedStats, Bucket, CacheEvent, CacheInfo, CacheStats, CleanupReport, EntryInfo, Event, Finding, Flight,
    FunctionStats, InflightStats, KeyCount, LeakReport, LimitStats, StoreReport, WindowStats,
)  # fmt: skip
DERIVED = {
    AdoptedStats: {"requests", "hit_ratio"},
    CacheStats: {"requests", "hit_ratio", "served_ratio", "load_mean"},
    CleanupReport: {"total"},
    KeyCount: {"exact"},
    LeakReport: {"findings", "bytes"},
    StoreReport: {"key_bytes", "sampled", "severity"},
}


def live_records() -> dict[str, Any]:
    """One of each kind, as the package makes them."""
    own, clock = Registry(), FakeClock()
    flights: list[Flight] = []

    @limit("100/1m", clock=clock)
    @sliding_window("1h", registry=own, name="fetch", clock=clock)
    @bounded(max=3, ttl="1m", max_bytes="1MB", tags=("t",), policy="fifo", clock=clock)
    def fetch(name: str) -> dict[str, list[str]]:
        clock.advance(1)
        flights.extend(fetch.inflight.pending())
        if name == "bad":
            raise ValueError(name)
        return {name: [name]}

    for name in ("a", "b", "c", "d", "a", "d"):
        fetch(name)
    told: list[CacheEvent] = []
    with own.subscribe(told.append, kinds="error"), pytest.raises(ValueError, match="bad"):
        fetch("bad")
    cached = functools.lru_cache(maxsize=None)(abs)
    cached(-1)
    own.adopt(cached, "adopted")
    entry, stats = fetch.cache.entry("d"), own.stats()
    report = own.report()
    clock.advance("10m")
    assert entry is not None
    return {
        "AdoptedStats": stats["adopted"].adopted,
        "Bucket": fetch.window.series(2)[-1],
        "CacheEvent": told[0],
        "CacheInfo": fetch.cache_info(),
        "CacheStats": stats["fetch"].cache,
        "CleanupReport": own.cleanup(),
        "EntryInfo": entry,
        "Event": fetch.window.errors()[0],
        "Finding": report.findings[0],
        "Flight": flights[0],
        "FunctionStats": stats["fetch"],
        "InflightStats": stats["fetch"].inflight,
        "KeyCount": fetch.window.of_key("a"),
        "LeakReport": report,
        "LimitStats": fetch.limit.stats(),
        "StoreReport": report.stores[0],
        "WindowStats": stats["fetch"].window,
    }


LIVE = live_records()
every_record = pytest.mark.parametrize("record", LIVE.values(), ids=LIVE)


def test_every_kind_of_record_is_tried() -> None:
    """Each public dataclass or named tuple of the package is among those that the tests below try."""
    public = [getattr(memo, name) for name in memo.__all__ if isinstance(getattr(memo, name), type)]
    found = {one for one in public if dataclasses.is_dataclass(one) or issubclass(one, tuple)}
    assert found == set(RECORDS)
    assert {name: type(record).__name__ for name, record in LIVE.items()} == {name: name for name in LIVE}
    assert {type(record) for record in LIVE.values()} == set(RECORDS)


WAYS: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)),
    lambda x: pickle.loads(pickle._dumps(x)),  # type: ignore[attr-defined]  # the one that is written in Python
]


@every_record
@pytest.mark.parametrize("way", WAYS)
def test_a_record_survives_every_way_of_copying(record: Any, way: Callable[[Any], Any]) -> None:
    """What copying and pickling make equals the record, hashes, shows and subtracts as it does."""
    again = way(record)
    assert type(again) is type(record)
    assert again == record
    assert hash(again) == hash(record)
    assert (repr(again), str(again)) == (repr(record), str(record))
    if hasattr(record, "__sub__"):
        assert again - record == record - again
        assert hash(again - record) == hash(record - again)


@every_record
def test_a_record_made_from_another_is_one_in_full(record: Any) -> None:
    """What ``replace()`` and the fields of ``asdict()`` make is frozen, hashes, pickles and goes into JSON as well."""
    if isinstance(record, CacheInfo):
        return
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    thawed = {name: dict(value) if isinstance(value, FrozenDict) else value for name, value in fields.items()}
    for made in (dataclasses.replace(record), type(record)(**thawed)):
        assert made == record
        assert hash(made) == hash(record)
        assert pickle.loads(pickle.dumps(made)) == record
        assert made.as_dict() == record.as_dict()
    told = dataclasses.asdict(record)
    assert pickle.loads(pickle.dumps(told)) == told
    assert copy.deepcopy(told) == told
    assert set(told) == set(fields)
    if not any(dataclasses.is_dataclass(value) or isinstance(value, tuple) for value in fields.values()):
        assert hash(type(record)(**told)) == hash(record)


@every_record
def test_a_record_is_json(record: Any) -> None:
    """``as_dict()`` has every field and derived figure, and JSON in which no number is missing says the same."""
    told = record.as_dict()
    fields = record._fields if isinstance(record, CacheInfo) else [f.name for f in dataclasses.fields(record)]
    assert set(told) == {*fields, *DERIVED.get(type(record), ())}
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    for name in DERIVED.get(type(record), ()):
        if name != "findings":
            assert told[name] == getattr(record, name)


@every_record
def test_asdict_is_json_but_for_times(record: Any) -> None:
    """``dataclasses.asdict`` works, and what it makes needs help with datetimes at most."""
    if not isinstance(record, CacheInfo):
        assert json.loads(json.dumps(dataclasses.asdict(record), default=str)).keys() == {
            f.name for f in dataclasses.fields(record)
        }


@every_record
def test_pickles_name_public_paths(record: Any) -> None:
    """No pickle names a private module, so that it can be read when the class has moved."""
    told = [arg for _, arg, _ in pickletools.genops(pickle.dumps(record)) if isinstance(arg, str)]
    assert not [arg for arg in told if arg.startswith("memo._")]
    assert {arg for arg in told if arg.partition(".")[0] == "memo"} == {"memo"}


def test_exported_classes_say_that_they_are_public() -> None:
    """Each class that ``memo`` exports names a public module as its home, and is found there by its name."""
    for name in memo.__all__:
        found = getattr(memo, name)
        if isinstance(found, type):
            assert found.__module__ in ("memo", "memo.errors"), name
            assert getattr(sys.modules[found.__module__], found.__qualname__) is found


def test_type_hints_of_records_can_be_read() -> None:
    """Whoever builds a schema of a record (as web frameworks do) can resolve its annotations."""
    for record in RECORDS:
        assert typing.get_type_hints(record)


def test_old_pickles_lack_new_fields() -> None:
    """A record is rebuilt from its fields in order, so that later ones may be missing."""
    assert CacheStats("f").__reduce__()[0] is CacheStats
    kind, fields = LIVE["CacheStats"].__reduce__()
    assert kind(*fields[:3]) == CacheStats("fetch", *fields[1:3])


def double(record: Any) -> tuple[Any, int]:
    """Runs in another process."""
    return record, hash(record)


def test_records_travel_between_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records go to a process that was started afresh and come back equal."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)  # that of xdist's workers has none
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for record in LIVE.values():
            if not isinstance(record, EntryInfo):
                assert pool.apply(double, (record,))[0] == record


def test_a_process_that_imports_nothing_reads_a_pickle(tmp_path: Path) -> None:
    """Loading a pickle imports what it needs by itself."""
    path = tmp_path / "pickled"
    path.write_bytes(pickle.dumps(LIVE["FunctionStats"]))
    script = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).cache.evictions['size'])"
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=True,
        cwd=Path(memo.__file__).parent.parent,
    )  # fmt: skip
    assert int(ran.stdout) == LIVE["CacheStats"].evictions[EvictionReason.SIZE]


# -- what is in them


def test_mappings_in_records_are_frozen_dictionaries() -> None:
    """No way of changing a dictionary changes one that belongs to a record, and it shows like any other."""
    evictions = LIVE["CacheStats"].evictions
    before = dict(evictions)
    changes: list[Callable[[Any], Any]] = [
        lambda d: d.__setitem__("size", 9),
        lambda d: d.__delitem__("size"),
        lambda d: d.clear(),
        lambda d: d.pop("size"),
        lambda d: d.popitem(),
        lambda d: d.setdefault("new", 1),
        lambda d: d.update(size=9),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="frozen snapshot"):
            change(evictions)
    other = evictions
    other |= {"size": 9}
    assert (other["size"], evictions) == (9, before)
    assert repr(evictions) == repr(before)
    assert evictions == before
    assert isinstance(evictions, dict)
    assert evictions[EvictionReason.SIZE] == evictions["size"] == 2
    assert copy.copy(evictions) is evictions
    assert json.loads(json.dumps(evictions)) == before
    assert hash(FrozenDict(a=1, b=2)) == hash(FrozenDict(b=2, a=1))


def test_a_given_mapping_is_copied() -> None:
    """Who made a record of a dictionary may go on changing that."""
    given = {"f": 1}
    report = CleanupReport(functions=given)
    given["f"] = 2
    assert report.functions == {"f": 1}
    assert CacheStats("f", evictions={EvictionReason.SIZE: 2}) - CacheStats("f") == CacheStats(
        "f", evictions={EvictionReason.SIZE: 2}
    )


def test_an_entry_hashes_whatever_its_value() -> None:
    """Entries with values that cannot be hashed do so themselves, and differ by their values nevertheless."""
    one, two = EntryInfo([1], 1.0, None, 0, None), EntryInfo([2], 1.0, None, 0, None)
    assert one != two
    assert len({one, two, EntryInfo([1], 1.0, None, 0, None)}) == 2


class Strange:
    """Raises at whatever is done with it."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class StrangeList(list[int]):
    """Cannot be walked through."""

    def __iter__(self) -> Any:
        raise RuntimeError("no items")


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


circle: list[Any] = [1]
circle.append(circle)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        (math.inf, None),
        (math.nan, None),
        ("text", "text"),
        ("\udc80 \u00e9", "\\udc80 \u00e9"),
        (EvictionReason.SIZE, "size"),
        (Colour.RED, 1),
        (Level.HIGH, 3),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (dt.timedelta(minutes=1), 60.0),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (fractions.Fraction(1, 2), 0.5),
        (10**1000, "<int of 3322 bits>"),
        (b"bytes", "b'bytes'"),
        ((1, [2, {3}], frozenset()), [1, [2, [3]], []]),
        ({"a": {1: (2,)}, None: 1, (1, 2): 3}, {"a": {"1": [2]}, "None": 1, "(1, 2)": 3}),
        ({Colour.RED: 4, EvictionReason.SIZE: 5}, {"1": 4, "size": 5}),
        (CacheInfo(1, 2, None, 3), [1, 2, None, 3]),
        (CleanupReport(expired=2).total, 2),
        (Strange(), "<Strange>"),
        ({"a": Strange()}, {"a": "<Strange>"}),
    ],
)  # fmt: skip
def test_what_becomes_of_values(value: Any, expected: Any) -> None:
    """Scalars and containers become what they are in JSON, all else text; nothing raises."""
    told = plain(value)
    assert told == expected
    json.dumps(told, allow_nan=False).encode()
    json.dumps(told, ensure_ascii=False).encode()
    entry = EntryInfo(value, 1.0, None, 0, None)
    assert json.loads(json.dumps(entry.as_dict()))["value"] == json.loads(json.dumps(plain(value)))


def test_what_lies_within_itself_or_very_deep_becomes_text() -> None:
    """Circles and depths end in text instead of a RecursionError, and iterating that raises does so too."""
    first, second = plain(circle)
    assert first == 1
    assert isinstance(second, str)
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert len(json.dumps(plain(deep))) < 1_000
    assert isinstance(plain(StrangeList([1])), str)
    shared = [1]
    assert plain([shared, shared]) == [[1], [1]]


# -- registries and views


def test_a_registry_and_its_views_turn_into_json() -> None:
    """``as_dict()`` of a registry or selection has the figures of ``stats()``, by name, with ratios."""
    own = Registry()
    functions = [bounded(max=3, registry=own, name=name)(abs) for name in ("a.f", "a.g", "b.f")]
    functions.append(dedupe_inflight(registry=own, name="b.g")(abs))
    for function in functions:
        function(-1), function(-1)
    cache: cachetools.LRUCache[Any, Any] = cachetools.LRUCache(5)
    own.adopt(cache, "c")
    told = own.as_dict()
    assert list(told) == ["a.f", "a.g", "b.f", "b.g", "c"]
    assert told == {name: stats.as_dict() for name, stats in own.stats().items()}
    assert told["a.f"]["cache"]["hit_ratio"] == 0.5
    assert told["a.f"]["cache"]["evictions"] == dict.fromkeys(map(str, EvictionReason), 0)
    assert told["b.g"]["cache"] is None
    assert told["c"]["adopted"]["hit_ratio"] is None
    assert own.select("a.*").as_dict() == {name: told[name] for name in ("a.f", "a.g")}
    assert json.loads(json.dumps(told, allow_nan=False)) == told


async def get(app: Any, path: str) -> tuple[int, bytes]:
    """Asks an ASGI application as a server would."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": [], "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body


def test_a_fastapi_route_may_return_any_record() -> None:
    """Routes that return statistics, bare or declared as such, answer 200 with JSON."""
    fastapi = pytest.importorskip("fastapi")
    own = Registry()
    fetch = sliding_window("1h", registry=own, name="f")(bounded(max=3, max_bytes="1MB")(abs))
    fetch(-1), fetch(-1)
    app = fastapi.FastAPI()

    def told() -> Any:
        return own.as_dict()

    def bare() -> Any:
        return own.stats()

    def declared() -> dict[str, FunctionStats]:
        return own.stats()

    async def report() -> LeakReport:
        return own.report()

    async def events() -> list[Event]:
        return fetch.window.events()

    async def swept() -> CleanupReport:
        return own.cleanup()

    for route in (told, bare, declared, report, events, swept):
        app.get(f"/{route.__name__}")(route)
    for name, record in LIVE.items():
        app.get(f"/{name}")(lambda record=record: record)

    async def ask() -> dict[str, tuple[int, bytes]]:
        return {route.path: await get(app, route.path) for route in app.routes if route.name != "openapi"}

    answers = asyncio.run(ask())
    del answers["/docs"], answers["/docs/oauth2-redirect"], answers["/redoc"]
    assert {status for status, _ in answers.values()} == {200}
    assert len(answers) == 6 + len(LIVE)
    assert json.loads(answers["/told"][1])["f"]["cache"]["hit_ratio"] == 0.5
    for path in ("/bare", "/declared"):
        assert json.loads(answers[path][1])["f"]["cache"]["evictions"]["size"] == 0


# -- read by people


def test_printed_figures_stand_in_lines() -> None:
    """``print(stats)`` shows a title and an aligned line for each figure, and ``repr()`` stays one line."""
    stats = LIVE["CacheStats"]
    title, *lines = str(stats).splitlines()
    assert title == "CacheStats of fetch"
    rows = dict(line.split(None, 1) for line in lines)
    fields = [f.name for f in dataclasses.fields(stats)][1:]
    derived = ["requests", "hit_ratio", "served_ratio", "load_mean"]
    assert list(rows) == [*[name for name in fields if not name.startswith("l2_")], *derived]
    shared = dataclasses.replace(stats, **{name: 1 for name in fields if name.startswith("l2_")})
    assert [line.split()[0] for line in str(shared).splitlines()[1:]] == [*fields, *derived]
    assert rows["hits"] == str(stats.hits)
    assert rows["hit_ratio"] == f"{stats.hit_ratio:.1%}"
    assert rows["max_bytes"] == "1MB"
    assert rows["evictions"] == "2 size"
    empty = [line.split() for line in str(CacheStats("f")).splitlines()]
    assert ["evictions", "none"] in empty
    assert ["small_share", "-"] in empty
    assert len({len(line) - len(line.split(None, 1)[1]) for line in lines}) == 1, "not aligned"
    assert "\n" not in repr(stats)
    assert repr(stats).startswith("CacheStats(name='fetch', hits=")
    for name in ("InflightStats", "WindowStats", "AdoptedStats", "CleanupReport"):
        assert len(str(LIVE[name]).splitlines()) > 5
    nested = str(LIVE["FunctionStats"]).splitlines()
    assert nested[0] == "FunctionStats of fetch"
    assert "    hit_ratio     " + rows["hit_ratio"] in nested
    assert max(map(len, nested)) <= 80

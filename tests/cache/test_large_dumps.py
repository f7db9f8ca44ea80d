"""Dumps, reports, isolation and the end of large stores: bit by bit, and right."""

import ctypes
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.dumps import dump, load
from kit.large import all_large
from kit.own_policies import POLICIES
from kit.places import ROOT

from memo import Registry, bounded
from memo._base import pacing
from memo._cache import dump_entries
from memo._cache.dump_values import Hashes
from memo._registry import leak_search
from memo._store.owners import Owners
from memo.testing import FakeClock, isolated

__all__ = ()


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of more than four entries are large, and slices have four."""
    all_large(monkeypatch, 4)
    monkeypatch.setattr(dump_entries, "SLICE", 4)
    monkeypatch.setattr(dump_entries, "_RUN", 6)
    monkeypatch.setattr(dump_entries, "_GROUP", 2)


def make(clock: FakeClock | None = None, **options: Any) -> Any:
    @bounded(**{"max": 100, "ttl": 1_000, "clock": clock, "registry": Registry(), "name": "fetch", **options})
    def fetch(x: int) -> int:
        return -x

    return fetch


@pytest.mark.parametrize("policy", POLICIES)
def test_a_large_dump_is_oldest_first(policy: str, tmp_path: Path) -> None:
    """Runs that were sorted by themselves are merged: the file has all entries as they were stored."""
    clock = FakeClock()
    fetch = make(clock, policy=policy)
    order = [x * 37 % 50 for x in range(50)]
    for x in order:
        fetch(x)
        clock.advance(1)
    assert dump(fetch, tmp_path / "dump") == 50
    rows = (tmp_path / "dump").read_text().splitlines()[1:-1]
    assert [int(row[1:].split(",")[0]) for row in rows] == order


@pytest.mark.parametrize("cut", [False, True])
def test_few_entries_are_sorted_and_drawn_between_two_turns(
    cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No list of many is sorted, no merger begins with many runs, and few entries are let go of, in one go."""
    fetch = make(max=1_000)
    for x in range(400):
        fetch(x)
    looks = [0]

    def stored(entry: Any) -> float:
        looks[-1] += 1
        if cut and sum(looks) > 900:
            raise KeyboardInterrupt
        return float(entry.stored)

    monkeypatch.setattr(dump_entries, "_stored", stored)
    monkeypatch.setattr(pacing.Pace, "rest", lambda pace: looks.append(0))
    if cut:
        with pytest.raises(KeyboardInterrupt):
            dump(fetch, tmp_path / "dump")
    else:
        assert dump(fetch, tmp_path / "dump") == 400
    groups = 400 // 8 // 2  # of runs of two lots each
    assert sum(looks) > 900  # to sort, to merge those of a group, and groups
    assert max(looks) <= groups + 6


def test_what_merges_a_dump_ends_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where encode= cuts a dump short, few of what draws from the runs are closed between two turns of others."""
    fetch = make(max=1_000)
    for x in range(400):
        fetch(x)
    ends = [0]
    drawn = dump_entries._drawn

    def noted(run: list[Any]) -> Any:
        try:
            yield from drawn(run)
        finally:
            ends[-1] += 1

    def encode(value: Any) -> Any:
        raise LookupError(value)

    monkeypatch.setattr(dump_entries, "_drawn", noted)
    monkeypatch.setattr(pacing.Pace, "rest", lambda pace: ends.append(0))
    with pytest.raises(LookupError):
        fetch.cache.dump(tmp_path / "dump", encode=encode)
    assert sum(ends) > 400 // 8
    assert max(ends) <= 4


def test_the_newest_of_a_large_dump_fill_the_room_there_is(tmp_path: Path) -> None:
    """load() keeps what is there, leaves out what is older, and takes the newest that fit."""
    clock = FakeClock()
    fetch = make(clock)
    for x in range(60):
        fetch(x)
        clock.advance(1)
    dump(fetch, tmp_path / "dump")
    smaller = make(clock, max=40)
    for x in range(5, 15):
        smaller(x)
    assert load(smaller, tmp_path / "dump") == 30
    assert sorted(smaller.cache) == [*range(5, 15), *range(30, 60)]
    smaller.cache._check()


def test_calls_change_the_store_while_it_is_dumped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries come and leave between two lots: the dump is whole, and has what was there all the time."""
    fetch = make(FakeClock())
    for x in range(60):
        fetch(x)
    came: list[int] = []

    def rest(*pace: object) -> None:
        came.append(1_000 + len(came))
        fetch(came[-1])
        fetch.cache.invalidate(59 - len(came) % 30)

    with monkeypatch.context() as patch:
        patch.setattr(pacing.Pace, "rest", rest)
        count = dump(fetch, tmp_path / "dump")
    other = make(FakeClock(), max=1_000)
    assert load(other, tmp_path / "dump") == count
    assert set(range(30)) <= set(other.cache)


def test_a_dump_that_fails_lets_go_of_few_entries_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was still to write is let go of slice by slice, others getting their turn in between."""
    deaths = [0]

    class Value:
        def __del__(self) -> None:
            deaths[-1] += 1

    @bounded(max=100, registry=Registry())
    def fetch(x: int) -> Value:
        return Value()

    for x in range(60):
        fetch(x)

    def encode(value: Value) -> int:
        fetch.cache.clear()  # so that the dump alone holds them
        deaths.append(0)
        raise ValueError("no")

    with monkeypatch.context() as patch:
        patch.setattr(pacing.Pace, "rest", lambda pace: deaths.append(0))
        with pytest.raises(ValueError, match="no"):
            fetch.cache.dump(tmp_path / "dump", encode=encode)
    assert sum(deaths) >= 55
    assert max(deaths) <= 10  # a slice, and what the merging of runs was about to hand out


def test_keys_of_a_file_that_hash_alike_are_refused() -> None:
    """One at a time as all at once: more than a thousand with the same hash are too many."""
    hashes = Hashes()
    for n in range(1_000):
        hashes.add(n * (2**61 - 1))
    hashes.add(1)
    hashes.add(2)
    with pytest.raises(ValueError, match="more than 1000 members"):
        hashes.add(1_000 * (2**61 - 1))
    assert sum(hashes.forget()) == 3


@pytest.mark.parametrize("count", [0, 1, 7, 20, 21, 50, 99])
def test_a_sample_is_spread_however_the_lots_are_cut(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same items are chosen from lots of any size as from one list."""
    monkeypatch.setattr(leak_search, "SAMPLE", 20)
    items = list(range(count))
    whole = leak_search._sample(items)
    assert whole == (items if count <= 20 else [i * count // 20 for i in range(20)])
    for size in (1, 3, 8, 100):
        spread = leak_search._Spread(count)
        assert [item for begin in range(0, count, size) for item in spread.of(items[begin : begin + size])] == whole


def test_a_report_on_a_large_store_counts_all() -> None:
    """Entries, those never hit, those past their life, the oldest, and bytes where the store counts them."""
    clock = FakeClock()
    fetch = make(clock, max_bytes=1_000_000)
    for x in range(30):
        fetch(x)
    clock.advance(999)
    for x in range(20):
        fetch(x)
    clock.advance(1)
    for x in range(50, 60):
        fetch(x)
    store = fetch.__memo_record__.registry.report().stores[0]
    assert (store.entries, store.never_hit, store.expired, store.oldest) == (40, 20, 30, 1_000)
    assert (store.measured, store.bytes) == (40, fetch.cache.stats().bytes)
    assert sum(store.arguments.values()) > 0


# -- another clock, and set aside


def test_a_clock_that_is_put_back_makes_no_entry_older_than_it_is() -> None:
    """Entries of a large store that were stored in a test's future count as stored now, all of them."""
    fetch = make()
    with FakeClock() as clock:
        clock.advance("10h")
        for x in range(50):
            fetch(x)
    now = fetch.cache._cache.clock.read()
    entries = [entry for lot in fetch.cache._cache.store.lots() for entry in lot]
    assert len(entries) == 50
    assert all(entry.stored <= now and entry.deadline <= now + 1_000 for entry in entries)


@pytest.mark.parametrize("inside", [0, 30])
def test_what_was_set_aside_is_rewound_as_it_comes_back(inside: int) -> None:
    """The clock goes back within isolated(): what is put back, much or little, was stored no later than it shows."""
    fetch = make()
    isolation = isolated(fetch)
    with FakeClock() as clock:
        clock.advance("10h")
        for x in range(50):
            fetch(x)
        isolation.__enter__()
        for x in range(inside):
            fetch(x)
    isolation.__exit__(None, None, None)
    now = fetch.cache._cache.clock.read()
    assert len(fetch.cache) == 50
    assert all(entry.stored <= now for lot in fetch.cache._cache.store.lots() for entry in lot)


def test_setting_aside_looks_at_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """isolated() exchanges a store of plain functions whatever it holds: hits of others wait for nothing."""
    fetch = make()
    for x in range(50):
        fetch(x)
    monkeypatch.setattr(Owners, "remove", None)  # would be called for each
    with isolated(fetch):
        assert len(fetch.cache) == 0
    assert len(fetch.cache) == 50


# -- the end of a function


class Value:
    """May be weakly referenced."""


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("placed", ["function", "method"])
def test_a_function_that_dies_lets_go_part_by_part(policy: str, placed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values are gone by reference counts alone, and others get their turn in between."""
    rests: list[object] = []
    monkeypatch.setattr(pacing.Pace, "rest", lambda pace: rests.append(pace))

    def decorated() -> Callable[..., Any]:
        @bounded(max=100, policy=policy, registry=Registry())
        def fetch(self: Any, x: int) -> Value:
            return Value()

        return fetch

    if placed == "method":
        kind = type("Service", (), {"fetch": decorated()})
        call = kind().fetch
        keep = [kind, call]
    else:
        call = decorated()
        keep = [call]
    refs = [weakref.ref(call(x) if placed == "method" else call(1, x)) for x in range(50)]
    rests.clear()
    del call
    if placed == "method":
        import gc

        del kind
        keep.clear()
        gc.collect()  # a class is a circle
    keep.clear()
    assert not [ref for ref in refs if ref() is not None]
    assert len(rests) >= 10


PROGRAM = """
import ctypes, gc, sys
from memo import bounded

class Info(ctypes.Structure):  # what mallinfo2() returns; ordblks, smblks: pieces that are free, and lie by themselves
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Info
gc.disable()
fetch = bounded(max=100_000)(lambda x: [x])
for x in range(100_000):
    fetch(x)
seen = []

def encode(value):
    if not value[0] % 500:
        info = library.mallinfo2()
        seen.append(info.ordblks + info.smblks)
    return value

fetch.cache.dump(sys.argv[1], encode=encode)
print(len(seen), max(seen) - seen[0])
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc since 2.33 counts its pieces")
def test_what_holds_the_entries_leaves_no_pieces_of_memory(tmp_path: Path) -> None:
    """The C library has none to put together, which keeps all threads up, as ever more entries have been written."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "dump")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    looks, pieces = map(int, ran.stdout.split())
    assert looks == 200
    assert pieces < 100  # of 100 lists that shrink several hundreds


def test_what_holds_the_entries_is_the_interpreter_s_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in blocks of at most 512 bytes: larger ones the C library would get back by the hundred thousand."""
    monkeypatch.setattr(dump_entries, "_RUN", 1_000)
    fetch = make(max=3_000)
    for x in range(3_000):
        fetch(x)
    runs: list[Any] = []
    _, _, entries = dump_entries._live(fetch.cache._cache, lambda: 0.0, runs)
    blocks = [*runs, *(piece for run in runs for piece in run)]
    assert sum(len(piece) for run in runs for piece in run) >= 2_900  # some are drawn already
    assert max(sys.getsizeof(block) - sys.getsizeof([]) for block in blocks) <= 512
    assert sorted(entry.key for entry in entries) == list(range(3_000))

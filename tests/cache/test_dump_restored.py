"""What ``load()`` does with values of the user's own, and with what is there already."""

import itertools
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.dumps import aged, dump, load, make, work
from kit.threads import Gate, Running

from memo._store.weights import weight
from memo.testing import FakeClock

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


@dataclass(frozen=True)
class Frozen(Exception):
    """Takes no notes: none of its attributes can be set."""

    code: int


def test_an_error_that_takes_no_notes_reaches_the_caller(path: Path) -> None:
    """If encode= or decode= raises what cannot have a note, that is raised as it is."""
    function = make()
    function("a")
    dump(function, path)

    def fail(value: str) -> str:
        raise Frozen(3)

    for step in (lambda: dump(function, path, encode=fail), lambda: load(make(), path, decode=fail)):
        with pytest.raises(Frozen) as caught:
            step()
        assert caught.value.code == 3


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


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random"])
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

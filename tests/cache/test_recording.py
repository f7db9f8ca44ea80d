"""What a recording holds: which calls, of what placement, told apart by what; and what it costs where there is none."""

import asyncio
import gc
import linecache
import random
import time
import weakref
from pathlib import Path
from typing import Any

import cachetools
import pytest
from kit.bounded import POLICIES
from kit.placed import Build, finished
from kit.placements import ALL, STACKS, over, placed, skip_inner_class_methods_that_python_binds
from kit.recordings import layer_of_store, recorded
from kit.threads import Gate, Running, until

from memo import Recording, Registry, bounded, dedupe_inflight, read_recording, sliding_window
from memo.testing import FakeClock, isolated


def make(function: Any = lambda x: x, **options: Any) -> Any:
    return bounded(**{"max": 100, "registry": Registry(), "name": "bot.load", **options})(function)


# -- what is in it


def test_equal_keys_have_equal_numbers(path: Path) -> None:
    """The file tells the order of the calls and which were alike, and when and of what it was taken."""
    f = make(max_bytes="1MB")
    before = time.time()
    with f.cache.record(path) as recording:
        for x in "abacab":
            f(x)
    assert recorded(path) == [0, 1, 0, 2, 0, 1]
    found = read_recording(path)
    assert (found.function, found.max, found.max_bytes, found.is_full) == ("bot.load", 100, 1_000_000, False)
    assert before <= found.started <= time.time()
    assert (recording.requests, recording.bytes, recording.error) == (6, path.stat().st_size, None)
    assert not recording.is_full


def test_calls_are_one_however_they_are_spelled(path: Path) -> None:
    """Arguments by position, by name and by default make one key, and so one number."""
    f = make(lambda name, lang="en", *rest, **more: name)
    with f.cache.record(path):
        f("a"), f(name="a"), f("a", lang="en"), f("a", "de"), f("a", "en", 1), f("a", x=1, y=2), f("a", y=2, x=1)
    assert recorded(path) == [0, 0, 0, 1, 2, 3, 3]


@pytest.mark.parametrize("options", [{}, {"typed": True}, {"key": lambda x: int(x) // 10}])
def test_what_the_store_tells_apart(options: Any, path: Path) -> None:
    """A call has a new number where the store has to load, and else an old one."""
    f = make(**options)
    new = []
    with f.cache.record(path):
        for x in [1, 1.0, True, 25, 21, 1, "1", 25.0]:
            before = f.cache.stats().misses
            f(x)
            new.append(f.cache.stats().misses > before)
    found = recorded(path)
    assert [number not in found[:at] for at, number in enumerate(found)] == new


@over(*ALL, *STACKS)
def test_every_placement(build: Build, path: Path) -> None:
    """Calls of functions and methods in any placement are recorded, as many keys as the store has to load."""
    skip_inner_class_methods_that_python_binds(build)
    subject = placed(build, registry=Registry())
    with subject.get().cache.record(path):
        subject("a"), subject("b"), subject(name="a"), subject("b", lang="en")
        if subject.another is not None:
            finished(subject.another()("a")), finished(subject.another()("a"))
    found = recorded(path)
    assert found[:4] == [0, 1, 0, 1]
    assert len(found) == (4 if subject.another is None else 6)
    assert len(set(found)) == subject.get().cache.stats().misses


def test_instances_are_told_apart_also_after_their_death(path: Path) -> None:
    """Each of many instances that live after each other, at the same address, has a number of its own."""

    class Client:
        @bounded(max=10, registry=Registry())
        def load(self, name: str) -> str:
            return name

    addresses = set()
    with Client.load.cache.record(path):
        for _ in range(50):
            client = Client()
            addresses.add(id(client))
            client.load("a"), client.load("a")
            del client
    assert len(addresses) < 50, "none came to live at the place of another"
    assert recorded(path) == [number for number in range(50) for _ in range(2)]


def test_an_instance_s_handle_records_the_whole_function(path: Path) -> None:
    """As stats() and resize(), record() is about the store, which all instances share."""

    class Client:
        @bounded(max=10, registry=Registry())
        def load(self, name: str) -> str:
            return name

    one, other = Client(), Client()
    with one.load.cache.record(path):
        one.load("a"), other.load("a"), Client.load(one, "a")
    assert recorded(path) == [0, 1, 0]


@pytest.mark.parametrize("policy", [*POLICIES, cachetools.LRUCache])
def test_every_policy(policy: Any, path: Path) -> None:
    """Hits, misses and evictions are requests alike, whatever the policy."""
    f = make(max=2, policy=policy)
    with f.cache.record(path):
        for x in [1, 1, 2, 3, 4, 1, 1]:
            f(x)
    assert recorded(path) == [0, 0, 1, 2, 3, 0, 0]


def test_what_is_a_request(path: Path) -> None:
    """Hits, misses, stale answers, failures and remembered failures are; also through the handle."""
    clock = FakeClock()

    def load(x: str) -> str:
        if x == "bad":
            raise LookupError(x)
        return x

    f = make(
        load, clock=clock, ttl=10, stale_if_error=100, stale_while_revalidate=5, cache_errors=LookupError, error_ttl=10
    )
    with f.cache.record(path) as recording:
        f("a"), f("a")
        for _ in range(2):
            with pytest.raises(LookupError):
                f("bad")
        clock.advance(12)
        f("a")  # stale
        until(lambda: f.cache.stats().loads == 2)
        f.cache.call("a"), f.cache.fresh("a"), f.cache.within(5).call("a"), f.cache.within(5).fresh("a")
        assert recording.requests == 9
    assert f.cache.stats().requests == 9
    assert recorded(path) == [0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_what_is_no_request(path: Path) -> None:
    """Changes and looks are none, nor are refreshes, calls of the function itself, and calls of those switched off."""
    own = Registry()
    f = make(registry=own)
    f("a")
    with f.cache.record(path) as recording:
        f.cache.put("x", "b"), f.cache.put_many({"c": "y"}), f.cache.refresh("a"), f.cache.invalidate("b")
        f.cache.entry("a"), f.cache.items(), f.cache.resize(50), f.cache.clear(), f.cache.cleanup(), f.__wrapped__("a")
        assert "a" not in f.cache
        with own.disabled():
            f("a"), f.cache.within(5).call("a"), f.cache.fresh("a")
        assert recording.requests == 0
        f("a")
    assert recorded(path) == [0]


def test_awaited_calls(path: Path) -> None:
    """Each call of a coroutine function is a request: of one that leads, of those that join, and of a hit."""

    async def main() -> None:
        go = asyncio.Event()

        @bounded(max=10, ttl=10, registry=Registry())
        async def f(x: int) -> int:
            await go.wait()
            return x

        with f.cache.record(path):
            tasks = [asyncio.create_task(f(1)) for _ in range(3)]  # type: ignore[arg-type]
            other = asyncio.create_task(f(2))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            go.set()
            await asyncio.gather(*tasks, other)
            await f(1)
            await f.cache.within(5).call(2)
            await f.cache.fresh(2)
        assert f.cache.stats().joins == 2

    asyncio.run(main())
    assert recorded(path) == [0, 0, 0, 1, 0, 1, 1]


def test_calls_that_join(path: Path) -> None:
    """A call in another thread that waits for a running load is recorded when it comes."""
    gate = Gate()

    def load(x: int) -> int:
        gate.wait()
        return x

    f = make(load)
    with f.cache.record(path) as recording:
        leader = Running(lambda: f(1))
        gate.reached()
        joiner = Running(lambda: f(1))
        until(lambda: recording.requests == 2)
        gate.open()
        assert leader.result() == joiner.result() == 1
    assert recorded(path) == [0, 0]


def test_stacks(path: Path) -> None:
    """What a layer around the store answers does not reach the store; f.cache is the outermost store."""
    own = Registry()
    outer = sliding_window("1h", registry=own)(dedupe_inflight(registry=own)(make(registry=own)))
    with outer.cache.record(path):
        outer(1), outer(2), outer(1)
    assert recorded(path) == [0, 1, 0]
    both = make(make(max=10, registry=own), max=1, registry=own)
    with both.cache.record(path):
        both(1), both(1), both(2), both(1)
    assert recorded(path) == [0, 0, 1, 0]


def test_a_recording_goes_on_where_stores_are_isolated(path: Path) -> None:
    """Calls within isolated() are calls as well, and one that begins there may end elsewhere."""
    own = Registry()
    f = make(registry=own)
    with f.cache.record(path):
        f(1)
        with isolated(own):
            f(2), f(1)
        f(2)
    assert recorded(path) == [0, 1, 0, 1]
    with isolated(own):
        begun = f.cache.record(path).__enter__()
        f(1)
    f(2)
    begun.stop()
    assert recorded(path) == [0, 1]


def test_a_method_that_was_a_plain_function_at_first(path: Path) -> None:
    """Calls through the instances of a class that refers to a function are recorded beside plain ones."""
    f = make(lambda x: x)

    class Refers:
        pass

    with f.cache.record(path):
        f(1)
        Refers.load = f  # type: ignore[attr-defined]
        one: Any = Refers()
        one.load(), f(one), one.load(), f(1)
    found = recorded(path)
    assert found[0] == found[4] == 0
    assert found[1] == found[3]
    assert len(set(found)) == 3


def test_the_store_s_own_figures_can_be_had_from_it(path: Path) -> None:
    """The same policy, fed with the numbers, hits and misses as the function did."""
    f = make(max=50, policy="lru")
    rng = random.Random(7)
    with f.cache.record(path):
        for _ in range(5_000):
            f(int(rng.paretovariate(0.5)))
    stats = f.cache.stats()
    like: cachetools.LRUCache[int, bool] = cachetools.LRUCache(50)
    hits = 0
    for number in read_recording(path):
        if like.get(number):
            hits += 1
        else:
            like[number] = True
    assert 500 < stats.misses < 4_500
    assert (hits, 5_000 - hits) == (stats.hits, stats.misses)


# -- what it tells of the keys


def test_the_file_tells_nothing_of_the_keys(path: Path, tmp_path: Path) -> None:
    """Neither keys nor their hashes are in it, and another recording of the same calls shares no number."""
    f = make(lambda name, number=0: name)
    for other in (path, tmp_path / "other"):
        with f.cache.record(other):
            for number in range(100):
                f("alice@example.org", number)
    raw = path.read_bytes()
    assert b"alice" not in raw
    for number in range(100):
        assert hash(("alice@example.org", number)).to_bytes(8, "little", signed=True) not in raw
    assert not set(read_recording(path)) & set(read_recording(tmp_path / "other"))
    assert recorded(path) == recorded(tmp_path / "other") == list(range(100))


class Key:
    """A key of the user's."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.asked = 0

    def __hash__(self) -> int:
        self.asked += 1
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.number == other.number

    def __repr__(self) -> str:
        return self.text


def test_keys_that_are_equal_and_look_otherwise(path: Path) -> None:
    """Objects that are equal have one number, however they show themselves."""
    f = make()
    with f.cache.record(path):
        f(Key(1, "one")), f(Key(2, "two")), f(Key(1, "uno"))
    assert recorded(path) == [0, 1, 0]


def test_what_a_key_is_asked(path: Path) -> None:
    """While it is recorded, a call hashes its key once more, and asks key= no more often."""
    f = make()
    key = Key(1, "one")
    f(key)
    key.asked = 0
    f(key)
    without = key.asked
    asked: list[int] = []
    g = make(key=lambda x: asked.append(x) or x)
    with f.cache.record(path), g.cache.record(path.parent / "other"):
        key.asked = 0
        f(key)
        g(1), g(1)
    assert key.asked == without + 1
    assert asked == [1, 1]


def test_keys_that_cannot_be_hashed(path: Path) -> None:
    """The call fails as ever, and is no request; what a hash raises reaches the caller."""

    class Bad:
        def __hash__(self) -> int:
            raise ZeroDivisionError

    f = make()
    with pytest.raises(TypeError) as before:
        f([])
    with f.cache.record(path) as recording:
        with pytest.raises(TypeError) as during:
            f([])
        with pytest.raises(ZeroDivisionError):
            f(Bad())
        with pytest.raises(TypeError, match="missing 1 required"):
            f()
        f(1)
        assert recording.requests == 1
    assert str(during.value) == str(before.value)


# -- what it costs where there is none


def lines_of(function: Any) -> tuple[bytes, list[str]]:
    code = layer_of_store(function).wrapper.__code__
    return code.co_code, linecache.getlines(code.co_filename)


@pytest.mark.parametrize("options", [{}, {"ttl": 10}, {"policy": "lru"}, {"policy": cachetools.LRUCache}])
def test_nothing_of_it_is_left_in_a_call(path: Path, options: Any) -> None:
    """Before a recording and after it the wrapper is the same, line for line; during it, it has one line more."""
    f = make(**options)
    f(1)
    before = lines_of(f)
    with f.cache.record(path):
        more = lines_of(f)[1]
        assert len(more) == len(before[1]) + 1
        key = "(x if x.__class__ in _memo_BARE else (x, x.__class__, _memo_TOLD))"
        assert [line.strip() for line in more if "_note" in line] == [f"_memo_note({key})"]
    assert lines_of(f) == before
    with f.cache.record(path):
        f(1)
    assert lines_of(f) == before


def test_nothing_of_it_is_kept(path: Path) -> None:
    """A recording that has ended, and what it noted, are gone when nobody holds them, though the function lives on."""
    f = make()
    with f.cache.record(path) as recording:
        f(1)
    gone = [weakref.ref(recording), weakref.ref(recording._notes.note)]
    del recording
    until(lambda: gc.collect() is not None and [ref() for ref in gone] == [None, None])
    assert f(1) == 1


def test_a_function_may_die_while_it_is_recorded(path: Path) -> None:
    """Its recording goes on, and ends as ever."""
    f = make()
    with f.cache.record(path) as recording:
        f(1), f(2)
        gone = weakref.ref(f)
        del f
        gc.collect()
        assert gone() is None
    assert recording.requests == 2
    assert recorded(path) == [0, 1]


def test_whoever_keeps_a_recording_keeps_no_results(path: Path) -> None:
    """A recording that is over holds neither the function nor what it has stored."""

    class Value:
        pass

    f = make(lambda x: Value())
    with f.cache.record(path) as recording:
        gone = weakref.ref(f(1))
    del f
    until(lambda: gc.collect() is not None and gone() is None)
    assert recording.requests == 1


def test_it_says_how_far_it_has_come(path: Path) -> None:
    """The repr tells the function, the file, the state and the size."""
    f = make()
    recording = f.cache.record(path)
    assert isinstance(recording, Recording)
    assert repr(recording).startswith(f"<recording of bot.load to {str(path)!r}: not begun, 0 requests, ")
    with recording as entered:
        assert entered is recording
        f(1)
        assert ": on, 1 request, " in repr(recording)
    assert ": ended, 1 request, " in repr(recording)

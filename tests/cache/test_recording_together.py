"""Recordings of functions that many threads and event loops call at once."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from kit.recordings import recorded
from kit.threads import Running, switching_often, until

from memo import Registry, bounded, read_recording

THREADS = 4
CALLS = 20_000


def make(**options: Any) -> Any:
    return bounded(**{"max": 100, "registry": Registry(), **options})(lambda x: x)


def test_no_call_is_lost_or_torn(path: Path) -> None:
    """Each call of each thread is there once, and those of one thread are in their order."""
    f = make()

    def work(me: int) -> None:
        for number in range(CALLS):
            f((me, number % 7))

    with switching_often(), f.cache.record(path) as recording:
        for thread in [Running(lambda me=me: work(me)) for me in range(THREADS)]:  # type: ignore[misc]
            thread.result()
    assert recording.requests == THREADS * CALLS
    found = list(read_recording(path))
    counts = Counter(found)
    assert len(counts) == THREADS * 7
    expected = Counter((me, number % 7) for me in range(THREADS) for number in range(CALLS))
    assert sorted(counts.values()) == sorted(expected.values())
    # of whatever seven numbers belong to a thread, one follows upon the other
    successors: dict[int, set[int]] = {}
    left = set(counts)
    while left:
        first = min(left)
        mine = _cycle_of(first, found, left)
        successors[first] = mine
        left -= mine
    assert [len(mine) for mine in successors.values()] == [7] * THREADS


def _cycle_of(first: int, found: list[int], left: set[int]) -> set[int]:
    """The seven numbers that come once each between any two of *first*."""
    candidates = set(left)
    at = [place for place, number in enumerate(found) if number == first]
    for begin, end in itertools.pairwise(at):
        candidates &= set(found[begin:end])
    return candidates


def test_more_calls_than_there_is_room_for(path: Path) -> None:
    """Of many threads that fill a recording, exactly as many calls are in it as fit."""
    f = make()
    with f.cache.record(path):
        pass
    most = 30_000
    with switching_often(), f.cache.record(path, max_bytes=path.stat().st_size + 8 * most) as recording:
        threads = [Running(lambda: [f(x % 50) for x in range(CALLS)]) for _ in range(THREADS)]
        for thread in threads:
            thread.result()
        until(lambda: recording._is_over)
    found = read_recording(path)
    assert (recording.requests, len(found), found.is_full, len(set(found))) == (most, most, True, 50)


def test_recordings_that_begin_and_end_under_way(path: Path) -> None:
    """While other threads call on, no call fails, whenever a recording comes or goes; each file is whole."""
    f = make()
    over: list[bool] = []

    def work() -> int:
        count = 0
        while not over:
            assert f(count % 10) == count % 10
            count += 1
        return count

    with switching_often():
        threads = [Running(work) for _ in range(THREADS)]
        try:
            for _ in range(20):
                with f.cache.record(path) as recording:
                    until(lambda r=recording: r.requests >= 100)  # type: ignore[misc]
                assert len(read_recording(path)) == recording.requests >= 100
                assert len(set(read_recording(path))) == 10
        finally:
            over.append(True)
        for thread in threads:
            assert thread.result() > 0


def test_only_one_of_many_begins(path: Path) -> None:
    """Of threads that begin to record one function at once, one does, and the others are refused."""
    f = make()
    begun: list[Any] = []
    refused: list[RuntimeError] = []

    def work(number: int) -> None:
        recording = f.cache.record(path.with_suffix(f".{number}"))
        try:
            begun.append(recording.__enter__())
        except RuntimeError as error:
            refused.append(error)

    with switching_often():
        for thread in [Running(lambda n=n: work(n)) for n in range(8)]:  # type: ignore[misc]
            thread.result()
    assert (len(begun), len(refused)) == (1, 7)
    f(1)
    begun[0].stop()
    assert [recorded(found) for found in path.parent.iterdir()] == [[0]]


def test_several_event_loops(path: Path) -> None:
    """Calls of a coroutine function in several loops, in threads of their own, are all there."""

    @bounded(max=10, registry=Registry())
    async def f(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> None:
        await asyncio.gather(*(f(x % 5) for x in range(200)))

    with f.cache.record(path):
        for thread in [Running(lambda: asyncio.run(main())) for _ in range(3)]:
            thread.result()
    assert sorted(Counter(read_recording(path)).values()) == [120] * 5

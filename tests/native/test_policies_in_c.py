"""What C decides of the adaptive policy and S3-FIFO is what Python decides: to the last mark, count and fingerprint."""

import copy
import ctypes
import pickle
import random
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from kit.entry_policies import make_entry
from kit.processes import counts_alone

from memo._native import speed
from memo._rings import BUCKETS, Ghost, Share
from memo._store.entry_adaptive import EntryAdaptive
from memo._store.entry_s3fifo import EntryS3FIFO

__all__ = ()

pytestmark = pytest.mark.skipif(speed is None, reason="these are about the policies in C")


class AdaptiveInPython(EntryAdaptive):  # type: ignore[type-arg]
    """The same policy, decided in Python."""

    _KIND = 0


class S3FIFOInPython(EntryS3FIFO):  # type: ignore[type-arg]
    """The same policy, decided in Python."""

    _KIND = 0


PAIRS: list[tuple[Any, Any]] = [(EntryAdaptive, AdaptiveInPython), (EntryS3FIFO, S3FIFOInPython)]
every_pair = pytest.mark.parametrize("pair", PAIRS, ids=["adaptive", "s3fifo"])

FIELDS = (
    "now", "tick", "_next", "_halve", "_since", "entries", "_at", "exits", "visits", "visited", "used", "gone", "back",
    "_misses", "soon", "_early", "late",
)  # fmt: skip


def table_of(buckets: int, segments: list[Any]) -> list[tuple[int, int, int, int]]:
    """Each fingerprint of a table in Python: bucket, age there (0: would be the first to go), fingerprint and stamp."""
    return [
        (number * BUCKETS + bucket, age, cells[at], 0 if stamps is None else stamps[at])
        for number, (_, cells, stamps, turns) in enumerate(segments)
        if cells is not None
        for bucket, turn in enumerate(turns)
        for age in range(8)
        if cells[at := 8 * bucket + (turn + age) % 8]
    ]


def contents(ghost: Any) -> Any:
    """All that a ghost remembers."""
    if not isinstance(ghost, Ghost):
        return ghost.contents()
    old = ghost.old or (0, [])
    return (ghost.table[0], table_of(*ghost.table), old[0], ghost._moved if ghost.old else 0, table_of(*old))


def state(cache: Any) -> dict[str, Any]:
    """All that the next decisions follow from."""
    queues = [[(n.key, n.hits, n.mark, getattr(n, "time", None)) for n in queue] for queue in cache.rings]
    found = {
        "queues": queues,
        "sizes": [queue.size for queue in cache.rings],
        "filled": cache._filled,
        "most": cache._small_most,
        "currsize": cache.currsize,
        "ghost": contents(cache._ghost),
    }
    share = getattr(cache, "_share", None)
    if share is not None:
        found["share"] = {name: getattr(share, name) for name in FIELDS}
        found["markers"] = [node.key for node in share.markers]
    return found


class Both:
    """A cache of which C decides, and one of which Python does, that are told the same."""

    def __init__(self, pair: tuple[Any, Any], maxsize: int) -> None:
        self.caches = [kind(maxsize) for kind in pair]
        assert [cache.kind > 0 for cache in self.caches] == [True, False]

    def put(self, key: Any) -> None:
        """As the store does on a miss, by the way for all or by the short one."""
        left = []
        for cache in self.caches:
            entry = make_entry(key)
            if key in cache.nodes or len(cache.nodes) < cache.maxsize:
                cache[key] = entry
                left.append(None)
            else:
                left.append(cache.exchange(key, entry).key)
                cache.leaving = None
        assert left[0] == left[1]

    def hit(self, key: Any) -> bool:
        for cache in self.caches:
            if key in cache.nodes:
                cache.nodes[key].hits += 1
        return key in self.caches[0].nodes

    def do(self, what: str, *args: Any) -> None:
        for cache in self.caches:
            getattr(cache, what)(*args)

    def resize(self, maxsize: int) -> None:
        for cache in self.caches:
            while cache.currsize > maxsize:
                cache.popitem()
            cache._Cache__maxsize = maxsize
            cache.set_targets()

    def compare(self) -> None:
        ours, theirs = map(state, self.caches)
        assert ours == theirs


def stream(rng: random.Random, maxsize: int) -> Any:
    """Keys, used by popularity, in loops, once each, and again after a while, in turns."""
    fresh = 10_000
    while True:
        mood, length = rng.randrange(4), rng.randrange(1, 4 * maxsize + 8)
        begin, loop = rng.randrange(500), rng.randrange(1, 3 * maxsize + 2)
        for step in range(length):
            if mood == 0:
                yield int(rng.paretovariate(0.6)) % (5 * maxsize + 3)
            elif mood == 1:
                yield begin + step % loop
            elif mood == 2:
                fresh += 1
                yield fresh
            else:
                yield f"key {rng.randrange(3 * maxsize + 2)}"


@every_pair
@pytest.mark.parametrize("maxsize", [1, 2, 7, 40, 200])
@pytest.mark.parametrize("seed", range(3))
def test_c_decides_as_python_does(pair: tuple[Any, Any], maxsize: int, seed: int) -> None:
    """Over random streams, with deletions, clearings, new bounds and mendings, all is the same at each step."""
    rng = random.Random(f"{seed} {maxsize}")
    both = Both(pair, maxsize)
    every = 1 + maxsize // 20
    for step, key in zip(range(2500), stream(rng, maxsize), strict=False):
        if not both.hit(key) or rng.random() < 0.01:
            both.put(key)
        chance = rng.random()
        if chance < 0.01 and (keys := list(both.caches[0].nodes)):
            both.do("__delitem__", rng.choice(keys))
        elif chance < 0.02 and both.caches[0].nodes:
            both.do("popitem")
        elif chance < 0.0205:
            both.do("clear")
        elif chance < 0.022:
            both.do("mend")
        elif chance < 0.024:
            both.resize(rng.randrange(1, 2 * maxsize + 1))
        if not step % every:
            both.compare()
    both.compare()
    both.do("_check")


@every_pair
def test_a_long_life_of_a_large_store(pair: tuple[Any, Any]) -> None:
    """Ghosts in several segments, exchanged for others of another size, and shares that change."""
    rng = random.Random(5)
    both = Both(pair, 3000)
    keys = stream(rng, 3000)
    for part in range(4):
        for key, _ in zip(keys, range(12_000), strict=False):
            if not both.hit(key):
                both.put(key)
        both.compare()
        both.resize((3000, 1200, 3500, 2800)[part])
        both.compare()


@every_pair
def test_copies_and_pickles_go_on_alike(pair: tuple[Any, Any]) -> None:
    """Copied or pickled, by C or by Python, a cache decides on as the other's copy does."""
    both = Both(pair, 30)
    rng = random.Random(3)
    keys = stream(rng, 30)
    for copied in (copy.copy, lambda cache: pickle.loads(pickle.dumps(cache))):
        for key, _ in zip(keys, range(700), strict=False):
            if not both.hit(key):
                both.put(key)
        both.compare()
        both.caches = [copied(cache) for cache in both.caches]
        both.compare()


def test_the_share_of_a_pickle_is_one_of_python() -> None:
    """So that whoever runs without C reads it."""
    cache: Any = EntryAdaptive(5)
    for x in range(20):
        cache[x] = make_entry(x)
    assert type(cache._state()["_share"]) is Share
    assert type(cache._share) is type(pickle.loads(pickle.dumps(cache))._share) is speed.Share


def test_weighed_entries_are_decided_in_python() -> None:
    """C leaves alone what does not weigh 1."""
    cache: Any = EntryAdaptive(50, getsizeof=lambda entry: entry.size)
    for x in range(200):
        cache[x] = make_entry(x, size=1 + x % 7)
    cache._check()
    assert (cache.kind, type(cache._share), type(cache._ghost)) == (0, Share, Ghost)


def test_what_a_ghost_forgets_is_handed_over() -> None:
    """Its memory can be freed bit by bit."""
    ghost = speed.Ghost(True)
    for x in range(100_000):
        ghost.add(x, 100_000, x)
    (segments,) = ghost.heaps()
    assert len(segments) > 10
    assert ghost.places == 8
    assert not any(ghost.take(x) for x in range(1000))
    while segments:
        segments.pop()


@pytest.mark.skipif(sys.platform != "linux", reason="the system's list of mappings is read")
@pytest.mark.parametrize("stamped", [False, True])
@counts_alone
def test_what_a_ghost_hands_over_goes_back_by_itself(stamped: bool) -> None:
    """It is not of the C library's heap, which gives back all that was freed at once; but for a last small part."""
    ghost = speed.Ghost(stamped)  # type: ignore[union-attr]
    for x in range(1_000_000):
        ghost.add(x, 1_000_000, x)
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype, address_of.argtypes = ctypes.c_size_t, [ctypes.py_object, ctypes.c_char_p]
    ((*full, _),) = ghost.heaps()
    addresses = [address_of(capsule, None) for capsule in full]
    assert len(addresses) > 100

    def mapped() -> list[int]:
        """Which of these addresses belong to a mapping that is not the heap."""
        found = []
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            found += [address for address in addresses if first <= address < last and not line.endswith("[heap]")]
        return sorted(found)

    assert mapped() == sorted(addresses)
    full.clear()
    assert len(mapped()) < 40  # some may be taken again by others: the interpreter maps a megabyte at once


@counts_alone
def test_memory_that_a_ghost_maps_is_seen() -> None:
    """Whoever looks for memory with tracemalloc finds it, and that it was given back."""
    had_traced = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        ghost = speed.Ghost(True)  # type: ignore[union-attr]
        before = tracemalloc.get_traced_memory()[0]
        for x in range(100_000):
            ghost.add(x, 100_000, x)
        held = sys.getsizeof(ghost)
        assert held >= 8 * 100_000
        assert tracemalloc.get_traced_memory()[0] - before >= held * 0.9
        ghost.clear()
        assert tracemalloc.get_traced_memory()[0] - before < held * 0.1
    finally:
        if not had_traced:
            tracemalloc.stop()


@pytest.mark.parametrize("stamped", [False, True])
def test_of_keys_that_share_a_fingerprint_the_last_is_recalled(stamped: bool) -> None:
    """Whichever places of the bucket they have: its ring went round between them."""
    rng = random.Random(3)
    ghosts = [speed.Ghost(stamped), Ghost(stamped)]  # type: ignore[union-attr]
    stamps: list[int] = []
    for stamp in range(1, 2_000):
        key = 7 if rng.random() < 0.4 else rng.randrange(100, 10_000)
        if rng.random() < 0.2:
            recalled = {ghost.recall(7) for ghost in ghosts}
            assert len(recalled) == 1
            stamps += recalled
        for ghost in ghosts:
            ghost.add(key, 40, stamp)
        assert contents(ghosts[0]) == contents(ghosts[1])
    assert len(set(stamps)) > (100 if stamped else 1)

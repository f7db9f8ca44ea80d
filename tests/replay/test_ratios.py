"""The figures: those of the real classes, and an optimum that nothing surpasses."""

from array import array
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.replays import numbers, replayed, write, zipf

from memo import bounded
from memo._replay.contestants import CONTESTANTS
from memo._replay.curves import OPTIMUM, Curves, default_sizes
from memo._replay.optimum import next_uses, replay_optimum
from memo._replay.sampled import Requests
from memo.policies import AdaptiveCache, S3FIFOCache

CLASSES: dict[str, Any] = {
    "adaptive": AdaptiveCache,
    "s3fifo": S3FIFOCache,
    "lru": cachetools.LRUCache,
    "lfu": cachetools.LFUCache,
}
SIZES = (1, 7, 50, 400)


def hits(keys: list[int], kept: Any) -> int:
    """The hits of a cachetools cache, asked and filled by hand."""
    count = 0
    for key in keys:
        try:
            kept[key]
        except KeyError:
            kept[key] = True
        else:
            count += 1
    return count


def fewest_misses(order: list[int], size: int) -> int:
    """The fewest misses that there can be, by trying every choice: what to drop for each key, or not to store it."""

    @cache
    def fewest(place: int, kept: frozenset[int]) -> int:
        if place == len(order):
            return 0
        key = order[place]
        if key in kept:
            return fewest(place + 1, kept)
        nexts = [kept, *([kept | {key}] if len(kept) < size else [kept - {gone} | {key} for gone in kept])]
        return 1 + min(fewest(place + 1, after) for after in nexts)

    return fewest(0, frozenset())


def optimal_misses(order: list[int], size: int, chunk: int) -> int:
    keys = max(order, default=-1) + 1
    misses = array("I", [0]) * keys
    moved: list[int] = []
    replay_optimum(order, next_uses(order, keys), size, misses, chunk, moved.append)
    assert sum(moved) == len(order)
    return sum(misses)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=14).map(numbers), st.integers(1, 4), st.integers(1, 5))
def test_optimum_is_what_trying_everything_finds(order: list[int], size: int, chunk: int) -> None:
    """No choice of what to keep has fewer misses than the optimum, and some choice has as few."""
    assert optimal_misses(order, size, chunk) == fewest_misses(order, size)


def test_optimum_keeps_its_places_few() -> None:
    """The optimum of a long stream is the same however often past places are cleared away."""
    order = numbers(zipf(20_000, 500))
    assert len({optimal_misses(order, 20, chunk) for chunk in (1, 64, 100_000)}) == 1


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[int], dict[str, Any]]:
    """A stream and what the command tells of it."""
    order = zipf(20_000, 1_000)
    path = write(tmp_path_factory.mktemp("trace") / "keys", order)
    return order, replayed("--sizes", ",".join(map(str, SIZES)), path)


def test_every_policy_is_told(trace: tuple[list[int], dict[str, Any]]) -> None:
    """The table has the policies that are compared, and the optimum."""
    assert set(trace[1]["hit_ratio"]) == {*CLASSES, OPTIMUM} == {*CONTESTANTS, OPTIMUM}


@pytest.mark.parametrize("name", CLASSES)
def test_figures_are_those_of_the_class(name: str, trace: tuple[list[int], dict[str, Any]]) -> None:
    """A hit ratio is the one that the class has when it is asked and filled by hand, with the keys by their numbers."""
    order, told = trace
    expected = [hits(numbers(order), CLASSES[name](size)) / len(order) for size in SIZES]
    assert told["hit_ratio"][name] == pytest.approx(expected, abs=1e-12)


def test_optimum_bounds_every_policy(trace: tuple[list[int], dict[str, Any]]) -> None:
    """No policy is above the optimum, and the optimum not above a cache without a bound."""
    order, told = trace
    assert told["requests"] == len(order)
    assert told["distinct"] == len(set(order))
    assert told["reachable"] == pytest.approx(1 - len(set(order)) / len(order))
    for name in CLASSES:
        assert all(a <= b for a, b in zip(told["hit_ratio"][name], told["hit_ratio"][OPTIMUM], strict=True))
    assert max(told["hit_ratio"][OPTIMUM]) <= told["reachable"]


@pytest.mark.parametrize(
    ("keys", "sizes"),
    [
        (1, [1]),
        (2, [1]),
        (3, [1, 2]),
        (100, [1, 2, 5, 10, 20, 50]),
        (44_178, [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000]),
    ],
)
def test_sizes_follow_the_keys(keys: int, sizes: list[int]) -> None:
    """Sizes that nobody gave are round, at most nine, and below the number of keys."""
    assert default_sizes(Requests([], keys, 0, 1.0)) == sizes


def test_advice_is_the_smallest_that_reaches_it(tmp_path: Path) -> None:
    """The advised size reaches 95 % of what is reachable, and one that is a little smaller does not."""
    order = zipf(20_000, 1_000, seed=2)
    told = replayed(write(tmp_path / "keys", order))
    advice = told["advice"]
    kind = CLASSES[advice["policy"]]
    wanted = 0.95 * told["reachable"]

    def ratio(size: int) -> float:
        return hits(numbers(order), kind(size)) / len(order)

    assert ratio(advice["max"]) >= wanted > ratio(int(advice["max"] * 0.97))
    for which in ("max", "half", "twice"):
        told_ratio = advice["hit_ratio" if which == "max" else f"{which}_hit_ratio"]
        assert told_ratio == pytest.approx(ratio(advice[which]), abs=1e-12)
    assert advice["half"] == advice["max"] // 2
    assert advice["twice"] == 2 * advice["max"]


@pytest.mark.parametrize("sizes", ["1", "3", "100,1", "1000"])
def test_advice_does_not_depend_on_the_sizes_given(sizes: str, tmp_path: Path) -> None:
    """In a loop over ten keys the smallest size is ten for the advised policy, whichever sizes the table has."""
    told = replayed("--sizes", sizes, write(tmp_path / "keys", [*range(10)] * 50))
    assert told["sizes"] == sorted(map(int, sizes.split(",")))
    assert told["advice"]["max"] == 10


def test_nothing_can_be_advised_where_no_key_comes_twice(tmp_path: Path) -> None:
    """A stream without a repetition has hit ratio 0 throughout, and no advice."""
    told = replayed(write(tmp_path / "keys", list(range(100))))
    assert told["advice"] is None
    assert {ratio for ratios in told["hit_ratio"].values() for ratio in ratios} == {0.0}


def test_curves_measure_once() -> None:
    """A size that is known is not replayed again."""
    order = numbers([Random(3).randrange(50) for _ in range(1000)])
    moved: list[int] = []
    curves = Curves(Requests(order, max(order) + 1, len(order), 1.0), [5, 10], moved.append)
    for _ in range(2):
        for name in curves.names:
            for size in curves.sizes:
                curves.measure(name, size)
        assert sum(moved) == curves.work


def test_traffic_of_a_live_function_is_replayed(tmp_path: Path) -> None:
    """What a function was asked for while it was recorded has the hit ratios of the same keys in a file of text."""

    @bounded(max=10)
    def fetch(number: int) -> int:
        return number

    numbers = [number * number % 97 for number in range(2000)]
    with fetch.cache.record(tmp_path / "traffic.keys"):
        for number in numbers:
            fetch(number)
    (tmp_path / "plain").write_text("".join(f"{number}\n" for number in numbers))
    told, expected = replayed(tmp_path / "traffic.keys"), replayed(tmp_path / "plain")
    assert told["requests"] == 2000
    assert told["hit_ratio"] == expected["hit_ratio"]
    assert told["advice"] == expected["advice"]

"""Streams that are too long: a sample of their keys, the error that is told, the memory that it takes."""

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import pytest
from kit.places import ROOT
from kit.replays import ENVIRONMENT, LIMIT_S, numbers, replay, replayed, write, zipf

from memo._replay.curves import Curves
from memo._replay.sampled import Requests, Sampled

SIZES = "100,250,500,1000,2500"
FIFTH = ("--sample", "20000")


def sample_of(keys: list[bytes], most: int | None, at_once: int = 1000) -> Any:
    sampled = Sampled(most)
    for start in range(0, len(keys), at_once):
        sampled.add(keys[start : start + at_once])
    return sampled.finish()


def exactly(order: Sequence[Hashable], policy: str, size: int) -> float:
    """The hit ratio of one policy at one size; the command would replay every policy, and a few sizes more."""
    found = numbers(order)
    requests = Requests(found, max(found) + 1, len(found), 1.0)
    return Curves(requests, [size], lambda _: None).measure(policy, size)


def key(number: int) -> bytes:
    return b"key-%d" % number


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A stream as words are used, what a fifth of it tells, and what all of it tells."""
    path = write(tmp_path_factory.mktemp("zipf") / "keys", zipf(100_000, 10_000, seed=7))
    return path, replayed("--sizes", SIZES, *FIFTH, path), replayed("--sizes", SIZES, "--exact", path)


def test_error_is_within_the_one_told(both: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    """The figures of the sample are as near to the true ones as the errors say, and the errors are small."""
    _, sampled, exact = both
    assert exact["sample"] is None
    errors = sampled["sample"]["standard_error"]
    off = []
    for name, ratios in exact["hit_ratio"].items():
        for place, ratio in enumerate(ratios):
            assert 0 < errors[name][place] < 0.08
            off.append(abs(sampled["hit_ratio"][name][place] - ratio) / errors[name][place])
    # The figures share the sample, so that they are off together.
    assert max(off) <= 3.5
    assert math.sqrt(sum(times * times for times in off) / len(off)) <= 2
    assert sampled["reachable"] == pytest.approx(exact["reachable"], abs=0.02)
    assert sampled["distinct"] == pytest.approx(exact["distinct"], rel=0.1)
    assert sampled["advice"]["max"] == pytest.approx(exact["advice"]["max"], rel=0.2)


def test_sample_is_told(both: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    """The output says that it is a sample, of what size, and has a row with the errors."""
    path, told, _ = both
    sample = told["sample"]
    assert sample["rate"] == pytest.approx(0.2)
    text = replay("--sizes", SIZES, *FIFTH, path).stdout.decode()
    words = " ".join(text.split())
    assert f"(SHARDS), 1 in 5.0: {sample['keys']:,} keys with {sample['requests']:,} requests were replayed" in words
    assert "100,000 requests for about " in words
    (row,) = [line.split() for line in text.splitlines() if line.lstrip().startswith("±")]
    assert row[1:] == [f"{2 * max(errors):.2%}" for errors in sample["standard_error"].values()]
    assert max(map(len, text.splitlines())) <= 80


def test_what_fits_is_not_sampled(tmp_path: Path) -> None:
    """A stream of as many requests as may be replayed is replayed as it is; one more makes it a sample."""
    path = write(tmp_path / "keys", list(range(100)) * 10)
    assert replayed("--sample", "1000", path)["sample"] is None
    assert replayed("--sample", "999", path)["sample"] is not None
    assert replayed("--sample", "1", "--exact", path)["sample"] is None


def test_error_of_a_policy_that_smaller_caches_change(tmp_path: Path) -> None:
    """Where LFU acts otherwise in a smaller cache, as its newcomers have only a place or two, the error tells so.

    Keys come three times, soon after each other, and never again.
    """
    order = [place // 3 * 40 + visit for place in range(3 * 1500) for visit in range(40)]
    path = write(tmp_path / "keys", order)
    sampled = replayed("--sizes", "100,300,1000", "--sample", "20000", path)
    for place, size in enumerate((100, 300, 1000)):
        error = sampled["sample"]["standard_error"]["lfu"][place]
        assert abs(sampled["hit_ratio"]["lfu"][place] - exactly(order, "lfu", size)) <= 2 * error


def test_sample_of_keys_that_come_once_has_no_hits(tmp_path: Path) -> None:
    """Where no key comes twice a sample says so, and where few do it is near to how few."""
    told = replayed("--sample", "2000", write(tmp_path / "once", list(range(40_000))))
    assert told["sample"] is not None
    assert told["reachable"] == 0
    assert told["advice"] is None
    told = replayed("--sample", "4000", write(tmp_path / "few", [*range(40_000), *range(2_000)]))
    assert told["reachable"] == pytest.approx(2_000 / 42_000, abs=0.012)
    assert max(told["hit_ratio"]["lru"]) <= max(told["hit_ratio"]["optimum"]) <= told["reachable"]


@pytest.mark.parametrize("at_once", [1, 7, 1000, 10**6])
def test_sample_has_all_requests_of_a_key_or_none(at_once: int) -> None:
    """The keys of a sample have all their requests in it, in their order, however they came in."""
    keys = [key(number) for number in zipf(20_000, 2_000, seed=8)]
    all_of_them = Counter(keys)
    requests = sample_of(keys, 3000, at_once)
    counts = Counter(requests.order)
    assert sorted(counts) == list(range(requests.keys))
    assert requests.total == len(keys)
    assert requests.rate == pytest.approx(0.15)
    firsts = list(dict.fromkeys(requests.order))
    assert firsts == sorted(firsts)
    # A key's number is the order of its first request: so the keys themselves can be told from the counts.
    available = Counter(all_of_them.values())
    assert not Counter(counts.values()) - available
    assert requests.keys == pytest.approx(len(all_of_them) * 0.15, abs=4 * math.sqrt(len(all_of_them) * 0.15))


def test_sample_does_not_depend_on_how_the_stream_came() -> None:
    """The sample of a stream is the same however much of it came at once."""
    keys = [key(number) for number in zipf(20_000, 2_000, seed=9)]
    samples = [sample_of(keys, 1000, at_once) for at_once in (1, 333, 10**6)]
    assert len({tuple(sample.order) for sample in samples}) == 1


@pytest.mark.parametrize("length", [1, 64, 65, 5000])
def test_keys_of_any_length_are_told_apart(length: int) -> None:
    """Keys that differ in one byte are different ones, and equal ones equal, also where a digest stands for them."""
    keys = [b"x" * (length - 1) + bytes([last]) for last in b"abcabca"]
    requests = sample_of(keys, None)
    assert list(requests.order) == [0, 1, 2, 0, 1, 2, 0]


def test_hottest_key_does_not_matter(tmp_path: Path) -> None:
    """Where one key has most of the requests the figures are right, whether it is in the sample or not."""
    others = zipf(30_000, 3_000, seed=10)
    for name in ("hot", "hotter", "hottest"):
        path = tmp_path / name
        order = [key for number in others for key in (name, name, f"key-{number}")]
        path.write_text("".join(f"{key}\n" for key in order))
        sampled = replayed("--sizes", "150,500", "--sample", "10000", path)
        for policy in ("lru", "s3fifo", "optimum"):
            exact = [exactly(order, policy, size) for size in (150, 500)]
            assert sampled["hit_ratio"][policy] == pytest.approx(exact, abs=0.04)


MEASURED = """
import resource, sys
from memo.__main__ import main
status = main(["replay", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform != "darwin" else 1 << 20))
sys.exit(status)
"""


def peak_mib(path: Path, *options: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *options, "--sizes", "100000", str(path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
        text=True,
    )
    return int(ran.stdout.split()[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the most memory that was used")
def test_memory_does_not_grow_with_the_stream(tmp_path: Path) -> None:
    """A million lines, most of them keys of their own, take less than a quarter of their text when they are sampled."""
    path = tmp_path / "keys"
    middle = "/that/is/as/long/as/many/are/and/says/nothing/of/interest/"
    lines = (f"{number * 7919 % 900_001}{middle}{number % 9}\n" for number in range(1_000_000))
    with open(path, "w") as file:
        file.writelines(lines)
    size = path.stat().st_size >> 20
    (tmp_path / "one").write_text("key\n")
    least = peak_mib(tmp_path / "one")
    assert peak_mib(path, "--sample", "20000") - least < size / 4

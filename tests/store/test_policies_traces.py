"""The hits of S3-FIFO and of the adaptive policy on recorded accesses, where those lie beside the checkout."""

import array
import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import cachetools
import pytest
from kit.places import ROOT

from memo.policies import AdaptiveCache, S3FIFOCache

__all__ = ()

TRACES = Path(os.environ.get("MEMO_TRACES") or ROOT.resolve().parent / "shared" / "traces")

pytestmark = pytest.mark.skipif(
    not (TRACES / "manifest.json").is_file(), reason=f"no recorded accesses: {TRACES} has no manifest.json"
)


def load(name: str) -> list[int]:
    facts = json.loads((TRACES / "manifest.json").read_text(encoding="utf-8"))["traces"][name]
    keys = array.array("I")
    keys.frombytes(gzip.decompress((TRACES / facts["file"]).read_bytes()))
    if sys.byteorder == "big":
        keys.byteswap()
    assert len(keys) == facts["requests"]
    return keys.tolist()


def hits(cache: Any, trace: list[int]) -> int:
    count = 0
    for key in trace:
        try:
            cache[key]
        except KeyError:
            cache[key] = key
        else:
            count += 1
        assert len(cache) <= cache.maxsize
    return count


# The bounds lie 2 % of the hits below what an exact ghost reaches: a table of fingerprints may cost that much,
# a mistake in the queues costs more.
@pytest.mark.parametrize(
    ("name", "size", "at_least"),
    [
        ("cdn-adaptsize", 74, 12166),
        ("cdn-adaptsize", 368, 17353),
        ("domains", 50, 65845),
        ("domains", 882, 78177),
        ("web12", 688, 60714),
    ],
)
def test_beats_lru(name: str, size: int, at_least: int) -> None:
    """It has more hits than LRU, and about as many as with a ghost that forgets nothing too early."""
    trace = load(name)
    cache: S3FIFOCache[int, int] = S3FIFOCache(size)
    found = hits(cache, trace)
    cache._check()
    assert found >= at_least
    assert found > hits(cachetools.LRUCache(size), trace)


@pytest.mark.parametrize(
    ("name", "size"), [("lirs-multi2", 57), ("web12", 138), ("cdn-adaptsize", 368), ("cp-vm", 2449)]
)
def test_adaptive_beats_both(name: str, size: int) -> None:
    """The adaptive policy has more hits than S3-FIFO, and than LRU."""
    trace = load(name)
    cache: AdaptiveCache[int, int] = AdaptiveCache(size)
    found = hits(cache, trace)
    cache._check()
    assert found > hits(S3FIFOCache(size), trace)
    assert found > hits(cachetools.LRUCache(size), trace)

"""Recorded accesses: where they lie, what is missing, and the most hits that any policy could have."""

from __future__ import annotations

import argparse
import array
import functools
import gzip
import heapq
import itertools
import json
import os
import random
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ("KNOWN", "VARIABLE", "Trace", "find", "folder", "made_up", "optimum", "options", "to_replay")

VARIABLE = "MEMO_TRACES"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "traces"
"""Where they are looked for if nothing else is said."""
SUFFIX = ".u32.gz"
SHARES = (0.01, 0.05, 0.2)
"""Sizes of the cache, as shares of the keys, where no manifest gives any."""

KNOWN = {
    "arc-oltp": "database pages (OLTP of the ARC paper); moka-rs/cache-trace",
    "arc-p3": "disk of a workstation (P3 of the ARC paper, its first million); moka-rs/cache-trace",
    "orm-busy": "objects of a web shop's database, its first million; cache2k in ben-manes/caffeine",
    "web12": "pages of a web shop; cache2k in ben-manes/caffeine",
    "cp-vm": "disk of a virtual machine; data/cloudPhysicsIO in 1a1a11a/libCacheSim",
    "domains": "names of mail servers; dgryski/go-clockpro",
    "cdn-adaptsize": "objects of a delivery network; adapt_size in ben-manes/caffeine",
    "lirs-sprite": "blocks of a file server; lirs in ben-manes/caffeine",
    "lirs-multi2": "three programs at once; lirs in ben-manes/caffeine",
    "lirs-2_pools": "index and records in turn; lirs in ben-manes/caffeine",
    "lirs-loop": "one loop over 1,011 blocks; lirs in ben-manes/caffeine",
    "addr-gcc": "memory addresses of a compiler; address in ben-manes/caffeine",
}
"""The traces of the table in docs/policies.md, and where each was published."""


@dataclass(frozen=True)
class Trace:
    """The keys of some program's accesses, in their order, and the sizes of the cache to try."""

    name: str
    keys: Sequence[int]
    sizes: list[int]
    known: dict[str, int] = field(default_factory=dict)
    """Hits of the optimum by size, as far as somebody has counted them."""

    def most_hits(self, size: int) -> int:
        """Hits of the optimum."""
        return self.known.get(str(size)) or optimum(self.keys, size)


def folder(given: Path | None) -> Path:
    """The folder to take traces from: the one given, else that of the environment, else the one beside the checkout.

    That last one may not be there.

    Raises:
        FileNotFoundError: A folder was asked for that is none.
    """
    asked = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if asked is None:
        return BESIDE
    if not asked.is_dir():
        source = "--traces" if given else VARIABLE
        raise FileNotFoundError(f"{source}: {asked} is no folder; give one with files NAME{SUFFIX}.")
    return asked


def find(directory: Path, only: list[str]) -> tuple[list[Callable[[], Trace]], list[str]]:
    """What reads each trace of a folder, and the names of those that should be there and are not."""
    manifest = directory / "manifest.json"
    named = json.loads(manifest.read_text(encoding="utf-8"))["traces"] if manifest.is_file() else {}
    files = {path.name.removesuffix(SUFFIX): path for path in sorted(directory.glob(f"*{SUFFIX}"))}
    files.update({name: directory / facts["file"] for name, facts in named.items()})
    wanted = only or list(dict.fromkeys([*files, *(name for name in KNOWN if named or not files)]))
    missing = [name for name in wanted if name not in files or not files[name].is_file()]
    there = [name for name in wanted if name not in missing]
    return [functools.partial(read, name, files[name], named.get(name, {})) for name in there], missing


def options(doc: str, accesses: int) -> argparse.ArgumentParser:
    """What a benchmark of policies takes: which traces, and how much of each (unless told, the first *accesses*)."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--traces", type=Path, metavar="DIR", help="as for hit_ratio.py")
    parser.add_argument("--only", action="append", default=[], metavar="TRACE", help="may be repeated")
    parser.add_argument("--accesses", type=int, default=accesses, metavar="N", help="of each trace, the first so many")
    return parser


def to_replay(parser: argparse.ArgumentParser, given: argparse.Namespace) -> list[Callable[[], Trace]]:
    """What reads each trace that was asked for, or makes one up where none is there.

    Raises:
        SystemExit: The folder is none, with status 2, or none of the traces named by --only is there, with status 1.
    """
    try:
        traces, _ = find(folder(given.traces), given.only)
    except FileNotFoundError as error:
        parser.error(str(error))
    if not traces and given.only:
        parser.exit(1, "none of these traces is there; hit_ratio.py says where to put them.\n")
    return traces or [made_up]


def read(name: str, path: Path, facts: dict[str, Any]) -> Trace:
    """A recorded trace, and what a manifest says of it."""
    keys = load(path)
    sizes = facts.get("sizes") or sorted({max(1, int(len(set(keys)) * share)) for share in SHARES})
    return Trace(name, keys, sizes, facts.get("opt_hits", {}))


def load(path: Path) -> Sequence[int]:
    """The keys of a recorded trace: little-endian 32-bit numbers, compressed.

    Raises:
        ValueError: It is something else, or was cut short.
    """
    keys = array.array("I")
    try:
        keys.frombytes(gzip.decompress(path.read_bytes()))
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(f"{path} is no trace ({error}); it must be gzip of little-endian 32-bit numbers.") from None
    if sys.byteorder == "big":
        keys.byteswap()
    return keys.tolist()


def made_up(accesses: int = 200_000, keys: int = 20_000) -> Trace:
    """Zipf with exponent 0.9, interrupted by scans of keys that never return."""
    rng = random.Random(2023)
    weights = list(itertools.accumulate(1 / rank**0.9 for rank in range(1, keys + 1)))
    popular = rng.choices(range(keys), cum_weights=weights, k=accesses)
    strangers = itertools.count(keys)
    trace: list[int] = []
    for start in range(0, accesses, 10_000):
        trace += popular[start : start + 10_000]
        trace += itertools.islice(strangers, 2_000)
    return Trace("zipf+scans", trace, [200, 1_000, 4_000])


def optimum(trace: Sequence[int], size: int) -> int:
    """Hits of a cache that keeps what is used again soonest, and declines what is used later than all it has."""
    never = len(trace)
    again = [never] * never
    last: dict[int, int] = {}
    for i in range(never - 1, -1, -1):
        again[i] = last.get(trace[i], never)
        last[trace[i]] = i
    due: set[int] = set()  # when each cached key is used next, which also identifies it
    latest: list[int] = []  # the same, negated, as a heap; what is past stays in and is never on top
    hits = 0
    for now, then in enumerate(again):
        if now in due:
            due.remove(now)
            hits += 1
        if then == never:
            continue
        if len(due) >= size:
            if -latest[0] < then:
                continue
            due.remove(-heapq.heappop(latest))
        due.add(then)
        heapq.heappush(latest, -then)
    return hits

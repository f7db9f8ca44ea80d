"""The libraries that the figures are compared with, each set up as its users would for the same end, in one table."""

import asyncio
import datetime as dt
import functools
import gc
import importlib
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command, which fills one store
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _batches import (
    SIZE,
    Batch,
    Decorate,
    awaits,
    calls_of_a_method,
    calls_on_eight_threads,
    keyword_calls,
    misses,
    of,
    plain_calls,
)
from _ratios import Timed, together

from memo import bounded, dedupe_inflight, sliding_window

__all__ = ("PEERS", "Peer", "peer_table", "undecorated")

TTL_S = 3600
BATCH = 20_000
FEW = 2_000
ENTRIES = 100_000
Make = Callable[[Any, int], Any]
"""Decorates a function, given a bound."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library, how it is set up, and what decorates with it; None where it has nothing to that end."""

    name: str
    settings: str
    plain: Make | None = None
    awaited: Make | None = None
    flight: Make | None = None
    flight_awaited: Make | None = None
    window: Make | None = None

    def decorates(self, word: str) -> Decorate | None:
        """What decorates a function to the end that *word* names, with a bound of SIZE."""
        make: Make | None = getattr(self, word)
        return None if make is None else lambda function: make(function, SIZE)


def undecorated(function: Any) -> Any:
    return function


def _memo(policy: str) -> Make:
    return lambda function, size: bounded(max=size, ttl=TTL_S, policy=policy)(function)


def _cachetools(cache: str, *args: Any, **options: Callable[[], Any]) -> Make:
    def make(function: Any, size: int) -> Any:
        library = importlib.import_module("cachetools")
        made = {option: new() for option, new in options.items()}
        return library.cached(getattr(library, cache)(size, *args), **made)(function)

    return make


def _cachebox(function: Any, size: int) -> Any:
    library = importlib.import_module("cachebox")
    return library.cached(library.TTLCache(size, TTL_S))(function)


def _moka(function: Any, size: int) -> Any:
    return importlib.import_module("moka_py").cached(maxsize=size, ttl=TTL_S)(function)


def _theine(function: Any, size: int) -> Any:
    return importlib.import_module("theine").Memoize(size, dt.timedelta(seconds=TTL_S))(function)


def _warp(function: Any, size: int) -> Any:
    return importlib.import_module("warp_cache").cache(max_size=size, ttl=TTL_S)(function)


def _async_lru(function: Any, size: int) -> Any:
    return importlib.import_module("async_lru").alru_cache(maxsize=size, ttl=TTL_S)(function)


def _coalescer(function: Any, size: int) -> Any:
    return importlib.import_module("coalescer").coalesce()(function)


def _aiocache(function: Any, size: int) -> Any:
    return importlib.import_module("aiocache").cached(ttl=TTL_S)(function)


def _cashews(function: Any, size: int) -> Any:
    cache = importlib.import_module("cashews").Cache()
    cache.setup("mem://", size=size)
    return cache(ttl=TTL_S, key="{x}")(function)


def _cachier(function: Any, size: int) -> Any:
    library = importlib.import_module("cachier")
    return library.cachier(backend="memory", stale_after=dt.timedelta(seconds=TTL_S))(function)


PEERS = (
    Peer(
        "memo", "ttl, hits counted, loads shared", _memo("adaptive"), _memo("adaptive"),
        lambda function, size: dedupe_inflight(function), lambda function, size: dedupe_inflight(function),
        lambda function, size: sliding_window("24h")(function),
    ),
    Peer("memo, s3fifo", 'the same with policy="s3fifo"', _memo("s3fifo")),
    Peer("functools", "lru_cache, no ttl", lambda function, size: functools.lru_cache(size)(function)),
    Peer("cachetools LRU", "lock, no ttl", _cachetools("LRUCache", lock=threading.Lock)),
    Peer("cachetools TTL", "lock", _cachetools("TTLCache", TTL_S, lock=threading.Lock)),
    Peer(
        "cachetools, condition", "TTLCache, condition=", _cachetools("TTLCache", TTL_S, condition=threading.Condition)
    ),
    Peer("cachebox", "TTLCache", _cachebox, _cachebox),
    Peer("moka-py", "ttl; loads not shared", _moka, _moka),
    Peer("theine", "ttl", _theine, _theine),
    Peer("warp-cache", "ttl; loads not shared", _warp, _warp),
    Peer("async-lru", "ttl", awaited=_async_lru),
    Peer("coalescer", "coalesce()", flight_awaited=_coalescer),
    Peer("aiocache", "memory, ttl, no bound; loads not shared", awaited=_aiocache),
    Peer("cashews", "memory, ttl", awaited=_cashews),
    Peer("cachier", "memory, stale_after, no bound", _cachier),
)  # fmt: skip


# -- the table


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    told: str
    word: str
    """Which of a peer's ways of decorating."""
    baseline: Decorate
    batch: Callable[[Decorate], Batch]
    count: int = BATCH
    added: bool = False
    """Whether what counts is what comes on top of the bare call."""

    def timed(self, decorate: Decorate) -> Timed:
        return of(self.batch(decorate), self.count)


def _lru(function: Any) -> Any:
    return functools.lru_cache(SIZE)(function)


def _in_a_task(function: Any) -> Any:
    return lambda x: asyncio.get_running_loop().create_task(function(x))


def _columns(runner: asyncio.Runner) -> tuple[_Column, ...]:
    def awaited(decorate: Decorate) -> Batch:
        return awaits(decorate, runner)

    return (
        _Column("hit", "to lru_cache", "plain", _lru, plain_calls),
        _Column("keyword", "to lru_cache", "plain", _lru, keyword_calls),
        _Column("method", "to lru_cache", "plain", _lru, calls_of_a_method),
        _Column("awaited", "to a bare coroutine", "awaited", undecorated, awaited),
        _Column("miss", "to lru_cache", "plain", _lru, misses, FEW),
        _Column("threads", "to lru_cache", "plain", _lru, calls_on_eight_threads),
        _Column("dedupe", "added, in hits of lru_cache", "flight", _lru, plain_calls, added=True),
        _Column("dedupe, awaited", "to a task", "flight_awaited", _in_a_task, awaited, FEW),
        _Column("window", "added, in hits of lru_cache", "window", _lru, plain_calls, added=True),
    )


def _measured(column: _Column, rounds: int, left_out: set[str]) -> dict[str, str]:
    """The figures of a column by the peers' names."""
    candidates: dict[str, Timed] = {}
    bare = column.timed(undecorated) if column.added else None
    for peer in PEERS:
        decorate = peer.decorates(column.word)
        if decorate is None:
            continue
        try:
            run = column.timed(decorate)
        except ImportError as error:
            left_out.add(f"{peer.name} is left out: {error}; pip install '.[bench]'")
        except Exception as error:  # it refuses such a function, or answers something else
            left_out.add(f"{peer.name} has no figure for {column.head!r}: {type(error).__name__}: {error}"[:100])
        else:
            candidates[peer.name] = run if bare is None else functools.partial(_difference, run, bare)
    baseline = column.timed(column.baseline)
    return {name: f"{ratio:.2f}" for name, ratio in together(baseline, candidates, rounds).items()}


def _difference(run: Timed, bare: Timed) -> float:
    return run() - bare()


def _bytes() -> dict[str, str]:
    """What each entry adds to the memory of a process that fills one store; whoever allocates it."""
    told = {}
    for peer in PEERS:
        if peer.plain is not None:
            command = [sys.executable, __file__, peer.name]
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if ran.returncode == 0:
                told[peer.name] = f"{float(ran.stdout):.0f}"
    return told


def _filled(name: str) -> float:
    (peer,) = (one for one in PEERS if one.name == name)
    keys = [f"user-{i}" for i in range(ENTRIES)]
    values = [object() for _ in keys]
    by_key = dict(zip(keys, values, strict=True))
    assert peer.plain is not None
    fetch = peer.plain(lambda x: by_key[x], ENTRIES)
    gc.collect()
    before = _resident()
    for key in keys:
        fetch(key)
    gc.collect()
    return (_resident() - before) / ENTRIES


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def peer_table(rounds: int) -> str:
    """One line for each installed peer, one column for each thing that is compared."""
    left_out: set[str] = set()
    warnings.simplefilter("ignore")  # some have their say about loops that come and go
    with asyncio.Runner() as runner:
        columns = {(one.head, one.told): _measured(one, rounds, left_out) for one in _columns(runner)}
    columns["bytes", f"an entry, of {ENTRIES:,}"] = _bytes()
    names = [peer.name for peer in PEERS if any(peer.name in figures for figures in columns.values())]
    settings = {peer.name: peer.settings for peer in PEERS}
    lines = [
        ["", *(head for head, _ in columns), ""],
        ["", *(told for _, told in columns), "settings"],
        *([name, *(figures.get(name, "-") for figures in columns.values()), settings[name]] for name in names),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*shown, *sorted(left_out)])


if __name__ == "__main__":
    print(_filled(sys.argv[1]))

"""The libraries that the figures are compared with, each set up as its users would for the same end, in one table."""

import asyncio
import datetime as dt
import functools
import gc
import importlib
import itertools
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

from _ratios import Timed, on_eight_threads, timed, together

from memo import bounded, dedupe_inflight, sliding_window

__all__ = ("PEERS", "Peer", "peer_table")

TTL_S = 3600
SIZE = 500
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


def _memo(policy: str) -> Make:
    return lambda function, size: bounded(max=size, ttl=TTL_S, policy=policy)(function)


def _cachetools(cache: str, *args: Any, **options: Callable[[], Any]) -> Make:
    def make(function: Any, size: int) -> Any:
        library = importlib.import_module("cachetools")
        made = {option: new() for option, new in options.items()}
        return library.cached(getattr(library, cache)(size, *args), **made)(function)

    return make


def _cachebox(seconds: float) -> Make:
    def make(function: Any, size: int) -> Any:
        library = importlib.import_module("cachebox")
        return library.cached(library.TTLCache(size, seconds))(function)

    return make


def _moka(function: Any, size: int) -> Any:
    return importlib.import_module("moka_py").cached(maxsize=size, ttl=TTL_S)(function)


def _theine(function: Any, size: int) -> Any:
    return importlib.import_module("theine").Memoize(size, dt.timedelta(seconds=TTL_S))(function)


def _warp(function: Any, size: int) -> Any:
    return importlib.import_module("warp_cache").cache(max_size=size, ttl=TTL_S)(function)


def _async_lru(size_of: Callable[[int], int], **options: Any) -> Make:
    def make(function: Any, size: int) -> Any:
        return importlib.import_module("async_lru").alru_cache(maxsize=size_of(size), **options)(function)

    return make


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
        "cachetools, condition", "TTLCache, condition=; flights: LRUCache(0)",
        _cachetools("TTLCache", TTL_S, condition=threading.Condition),
        flight=lambda function, size: _cachetools("LRUCache", condition=threading.Condition)(function, 0),
    ),
    Peer(
        "cachebox", "TTLCache; flights: stale at once", _cachebox(TTL_S), _cachebox(TTL_S), _cachebox(1e-9),
        _cachebox(1e-9),
    ),
    Peer("moka-py", "ttl", _moka, _moka),
    Peer("theine", "ttl", _theine, _theine),
    Peer("warp-cache", "ttl; loads not shared", _warp, _warp),
    Peer(
        "async-lru", "ttl; flights: maxsize=0", awaited=_async_lru(lambda size: size, ttl=TTL_S),
        flight_awaited=_async_lru(lambda size: 0),
    ),
    Peer("coalescer", "coalesce()", flight_awaited=_coalescer),
    Peer("aiocache", "memory, ttl, no bound", awaited=_aiocache),
    Peer("cashews", "memory, ttl", awaited=_cashews),
    Peer("cachier", "memory, stale_after, no bound", _cachier),
)  # fmt: skip


# -- what is measured: a batch of calls of a decorated function


def _identity(x: Any) -> Any:
    return x


async def _bare(x: Any) -> Any:
    return x


def _positional(function: Any) -> Timed:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function(7)

    assert function(7) == 7
    return timed(run, BATCH)


def _keyword(function: Any) -> Timed:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function(x=7)

    assert function(x=7) == 7
    return timed(run, BATCH)


def _method(decorate: Callable[[Any], Any]) -> Timed:
    class Service:
        @decorate
        def fetch(self, x: int) -> int:
            return x

    service: Any = Service()

    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            service.fetch(7)

    assert service.fetch(7) == 7
    return timed(run, BATCH)


def _awaits(function: Any, count: int = BATCH) -> Timed:
    def run(count: int) -> None:
        async def loop() -> None:
            for _ in itertools.repeat(None, count):
                assert await function(7) == 7

        asyncio.run(loop())

    run(1)
    return timed(run, count)


def _misses(function: Any) -> Timed:
    fresh = itertools.count()
    for _ in range(2 * SIZE):
        key = next(fresh)
        assert function(key) == key

    def run(count: int) -> None:
        for key in itertools.islice(fresh, count):
            function(key)

    return timed(run, FEW)


def _eight_threads(function: Any) -> Timed:
    return on_eight_threads(function, BATCH)


def _tasks() -> Timed:
    def run(count: int) -> None:
        async def loop() -> None:
            create_task = asyncio.get_running_loop().create_task
            for _ in itertools.repeat(None, count):
                await create_task(_bare(7))

        asyncio.run(loop())

    return timed(run, FEW)


# -- the table


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    told: str
    baseline: Callable[[], Timed]
    measure: Callable[[Peer], Timed | None]
    added: Callable[[], Timed] | None = None
    """What the bare call takes, where the ratio is of what comes on top."""


def _of(word: str, bare: Any, batch: Callable[[Any], Timed]) -> Callable[[Peer], Timed | None]:
    def measure(peer: Peer) -> Timed | None:
        make: Make | None = getattr(peer, word)
        return None if make is None else batch(make(bare, SIZE))

    return measure


def _of_method(peer: Peer) -> Timed | None:
    make = peer.plain
    return None if make is None else _method(lambda function: make(function, SIZE))


def _lru(function: Any) -> Any:
    return functools.lru_cache(SIZE)(function)


COLUMNS = (
    _Column("hit", "to lru_cache", lambda: _positional(_lru(_identity)), _of("plain", _identity, _positional)),
    _Column("keyword", "to lru_cache", lambda: _keyword(_lru(_identity)), _of("plain", _identity, _keyword)),
    _Column("method", "to lru_cache", lambda: _method(_lru), _of_method),
    _Column("awaited", "to a bare coroutine", lambda: _awaits(_bare), _of("awaited", _bare, _awaits)),
    _Column("miss", "to lru_cache", lambda: _misses(_lru(_identity)), _of("plain", _identity, _misses)),
    _Column(
        "threads", "to lru_cache", lambda: _eight_threads(_lru(_identity)), _of("plain", _identity, _eight_threads)
    ),
    _Column(
        "dedupe", "added, in hits of lru_cache", lambda: _positional(_lru(_identity)),
        _of("flight", _identity, _positional), lambda: _positional(_identity),
    ),
    _Column(
        "dedupe, awaited", "to a task", _tasks, _of("flight_awaited", _bare, lambda function: _awaits(function, FEW))
    ),
    _Column(
        "window", "added, in hits of lru_cache", lambda: _positional(_lru(_identity)),
        _of("window", _identity, _positional), lambda: _positional(_identity),
    ),
)  # fmt: skip


def _measured(column: _Column, rounds: int, left_out: set[str]) -> dict[str, str]:
    """The figures of a column by the peers' names."""
    candidates: dict[str, Timed] = {}
    bare = None if column.added is None else column.added()
    for peer in PEERS:
        try:
            run = column.measure(peer)
        except ImportError as error:
            left_out.add(f"{peer.name} is left out: {error}; pip install '.[bench]'")
            continue
        except Exception as error:  # it refuses such a function, or answers something else
            left_out.add(f"{peer.name} has no figure for {column.head!r}: {type(error).__name__}: {error}"[:100])
            continue
        if run is not None:
            candidates[peer.name] = run if bare is None else functools.partial(_difference, run, bare)
    return {name: f"{ratio:.2f}" for name, ratio in together(column.baseline(), candidates, rounds).items()}


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
    columns = {(one.head, one.told): _measured(one, rounds, left_out) for one in COLUMNS}
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

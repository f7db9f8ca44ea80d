"""What ``f.cache.record()`` costs: calls while a recording runs, to the same calls without one.

    python benchmarks/recording.py [--rounds 9] [--gate]

"caller" is the processor time of the calling thread; "process" has that of the thread that writes as well, and the end
of the recording.  With --gate the exit status is 1 if a hit's caller takes more than 4 times as long.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _ratios import Ratio, headline, interleaved, table

from memo import Registry, bounded, read_recording

__all__ = ("main", "measured")

BOUND = 4.0
CALLS = 100_000
KEYS = [f"user:{number}" for number in range(1_000)]


@bounded(max=2_000, registry=Registry())
def load(name: str) -> str:
    return name


@bounded(max=2_000, ttl="1h", registry=Registry())
def load_pair(name: str, lang: str = "en") -> str:
    return name + lang


@bounded(max=2_000, registry=Registry())
async def load_awaited(name: str) -> str:
    return name


@bounded(max=2_000, registry=Registry())
def load_once(number: int) -> int:
    return number


class Client:
    """With a method."""

    @bounded(max=2_000, registry=Registry())
    def load(self, name: str) -> str:
        return name


client = Client()
_numbers = itertools.count()


def hits(function: Any) -> Callable[[], None]:
    def run() -> None:
        for _ in range(CALLS // len(KEYS)):
            for key in KEYS:
                function(key)

    return run


def awaited_hits() -> None:
    async def run() -> None:
        for _ in range(CALLS // len(KEYS)):
            for key in KEYS:
                await load_awaited(key)

    asyncio.run(run())


def misses() -> None:
    for number in itertools.islice(_numbers, CALLS):
        load_once(number)


CASES: list[tuple[str, Any, Callable[[], None]]] = [
    ("hit, one argument", load, hits(load)),
    ("hit, two arguments, ttl", load_pair, hits(load_pair)),
    ("hit, method", Client.load, hits(client.load)),
    ("awaited hit", load_awaited, awaited_hits),
    ("miss that evicts", load_once, misses),
]


def measured(rounds: int, path: Path) -> list[Ratio]:
    """The ratios of each case: for the caller, and for the process."""
    rows = []
    for case, function, run in CASES:
        for clock, read in (("caller", time.thread_time), ("process", time.process_time)):

            def plain(read: Any = read, run: Any = run) -> float:
                began = read()
                run()
                return float(read() - began)

            def recorded(read: Any = read, run: Any = run, function: Any = function, clock: str = clock) -> float:
                with function.cache.record(path) as recording:
                    began = read()
                    run()
                    ended = read()
                if clock == "process":
                    ended = read()
                assert recording.error is None
                assert len(read_recording(path)) == recording.requests == CALLS
                return float(ended - began)

            bound = BOUND if clock == "caller" and "hit" in case else None
            rows.append(interleaved(case, clock, plain, recorded, rounds, bound))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a case is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    with tempfile.TemporaryDirectory() as directory:
        rows = measured(options.rounds, Path(directory) / "traffic.keys")
    print(table(rows))
    return int(options.gate and not all(row.within for row in rows))


if __name__ == "__main__":
    sys.exit(main())

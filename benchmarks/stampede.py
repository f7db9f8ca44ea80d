"""What many who want one cold key at the same time cost: threads, coroutines, event loops.

    python benchmarks/stampede.py [--threads 1000] [--loops 100] [--coroutines 100000] [--gate]

Of each crowd it is told how often the function ran, what one who waits takes of memory, and how long one takes to come
and, once there is a result, to get it; beside it what as many take that wait for an event of the standard library.
With --gate the exit status is 1 if a function ran more than once, or one who waits takes more than its bound.
"""

import argparse
import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _ratios import headline

from memo import Registry, bounded, dedupe_inflight

__all__ = ("Crowd", "main")

STACK = 256 * 1024
PAGE = 4096
DECORATORS: dict[str, Callable[..., Any]] = {
    "bounded": bounded(max=10, registry=Registry()),
    "dedupe_inflight": dedupe_inflight(timeout=600, registry=Registry()),
}


@dataclass(frozen=True, slots=True)
class Crowd:
    """What a crowd cost."""

    case: str
    waiters: int
    executions: int
    bytes: float | None
    """Of each who waits; None where the system does not tell."""
    coming_us: float
    going_us: float
    bound: int | None = None
    """Most bytes."""

    @property
    def within(self) -> bool:
        """Whether the function ran once, and the bound is kept."""
        if self.bound is None:
            return True
        return self.executions == 1 and (self.bytes is None or self.bytes <= self.bound)


def _resident() -> int | None:
    """Bytes of memory that this process has; None: unknown."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        return None


def _each(before: int | None, after: int | None, number: int) -> float | None:
    return None if before is None or after is None else (after - before) / number


def coroutines(number: int, name: str) -> Crowd:
    """So many coroutines of one loop, by processor time."""
    ran: list[int] = []

    async def crowd() -> Crowd:
        ready = asyncio.Event()

        async def load(x: int) -> int:
            ran.append(x)
            await ready.wait()
            return x

        function = DECORATORS[name](load) if name in DECORATORS else load
        gc.collect()
        before, begin = _resident(), time.thread_time()
        tasks = [asyncio.ensure_future(function(7)) for _ in range(number)]
        for _ in range(3):
            await asyncio.sleep(0)
        there, came = _resident(), time.thread_time()
        ready.set()
        assert await asyncio.gather(*tasks) == [7] * number
        gone = time.thread_time()
        per_us = 1e6 / number
        bound = 2_500 if name in DECORATORS else None
        return Crowd(
            f"coroutines, {name}", number, len(ran), _each(before, there, number),
            (came - begin) * per_us, (gone - came) * per_us, bound,
        )  # fmt: skip

    return asyncio.run(crowd())


def _together(case: str, number: int, bound: int, function: Any, bodies: list[Callable[[], object]], ran: list[int],
              ready: threading.Event, waiting: Callable[[], int]) -> Crowd:  # fmt: skip
    """A thread for each of *bodies*, by the clock on the wall."""
    stack = threading.stack_size(STACK)
    threads = [threading.Thread(target=body) for body in bodies]
    gc.collect()
    before, begin = _resident(), time.perf_counter()
    for thread in threads:
        thread.start()
    while waiting() < number - (function is not None):
        time.sleep(0.01)
    there, came = _resident(), time.perf_counter()
    ready.set()
    for thread in threads:
        thread.join()
    gone = time.perf_counter()
    threading.stack_size(stack)
    per_us = 1e6 / number
    return Crowd(
        case, number, len(ran), _each(before, there, number), (came - begin) * per_us, (gone - came) * per_us,
        None if function is None else bound,
    )  # fmt: skip


def threads(number: int, name: str) -> Crowd:
    """So many threads."""
    ran: list[int] = []
    ready = threading.Event()
    results: list[int] = []
    arrived: list[None] = []

    def load(x: int) -> int:
        ran.append(x)
        arrived.append(None)
        ready.wait()
        return x

    decorated = DECORATORS[name](load) if name in DECORATORS else None
    function = load if decorated is None else decorated
    waiting = (lambda: len(arrived)) if decorated is None else (lambda: _joined(decorated))
    bodies = [lambda: results.append(function(7))] * number
    found = _together(f"threads, {name}", number, 40_000, decorated, bodies, ran, ready, waiting)
    assert results == [7] * number
    return found


def loops(number: int, coroutines: int, name: str) -> Crowd:
    """So many event loops, each in a thread of its own, that have so many coroutines together."""
    ran: list[int] = []
    ready = threading.Event()
    results: list[int] = []

    async def load(x: int) -> int:
        ran.append(x)
        await asyncio.get_running_loop().run_in_executor(None, ready.wait)
        return x

    function = DECORATORS[name](load)
    each = max(1, coroutines // number)

    def body() -> None:
        async def crowd() -> None:
            results.extend(await asyncio.gather(*[function(7) for _ in range(each)]))

        asyncio.run(crowd())

    case = f"{number} loops, {name}"
    bodies: list[Callable[[], object]] = [body] * number
    found = _together(
        case, number * each, 40_000 if each == 1 else 10_000, function, bodies, ran, ready, lambda: _joined(function)
    )
    assert results == [7] * (number * each)
    return found


def _joined(function: Any) -> int:
    return sum(flight.waiters for flight in function.inflight.pending())


def _table(crowds: list[Crowd]) -> str:
    lines = [["case", "waiters", "executions", "bytes each", "coming, us", "going, us", ""]]
    for crowd in crowds:
        size = "-" if crowd.bytes is None else f"{crowd.bytes:,.0f}"
        verdict = "" if crowd.bound is None else "within" if crowd.within else "OVER"
        lines.append([
            crowd.case, f"{crowd.waiters:,}", f"{crowd.executions:,}", size,
            f"{crowd.coming_us:.1f}", f"{crowd.going_us:.1f}", verdict,
        ])  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=1_000)
    parser.add_argument("--loops", type=int, default=100)
    parser.add_argument("--coroutines", type=int, default=100_000)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if something is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    crowds = [coroutines(options.coroutines, name) for name in ("an event", *DECORATORS)]
    crowds += [threads(options.threads, name) for name in ("an event", *DECORATORS)]
    crowds += [loops(options.loops, size, "bounded") for size in (options.loops, options.coroutines)]
    print(_table(crowds))
    return int(options.gate and not all(crowd.within for crowd in crowds))


if __name__ == "__main__":
    sys.exit(main())

"""How long does one `Intake.note()` ever take, and how much memory does the window hold?

    python benchmarks/window_pause.py [--records 1000000] [--max 10000] [--span 86400] [--runs 3]

Records events under a clock that moves, in three shapes: steady (the run covers two and a half spans), bursts
(10,000 at one moment, then a gap of a third of the span) and sparse (each event in a slice of its own, so that every
one turns the rings). Prints, per shape, the mean cost of a record, the longest single one in wall time and in the
thread's own processor time, how long `stats()` took at its worst, while all events passed the window's edge and with
a batch of events waiting to be entered, and, from a traced run, the heap held by the window. A busy machine lengthens
processor time too: of several runs' longest times, the least counts. Exits with status 1 if a record took more than
5 ms of processor time, `stats()` more than 1 ms, or if the totals, measured with one event kept, exceed 200 kB.
"""

from __future__ import annotations

import argparse
import gc
import math
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

from memo._window.events import BATCH
from memo._window.intake import Intake
from memo._window.recorder import Recorder

__all__ = ("main",)


class Clock:
    """Shows what the run sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def steady(records: int, span_s: float) -> Iterator[float]:
    step = 2.5 * span_s / records
    for _ in range(records):
        yield step


def bursts(records: int, span_s: float) -> Iterator[float]:
    for i in range(records):
        yield 0.0 if i % 10_000 else span_s / 3


def sparse(records: int, span_s: float) -> Iterator[float]:
    for _ in range(records):
        yield span_s / 30


def run(
    steps: Iterator[float], span_s: float, max_events: int, timer: Callable[[], float]
) -> tuple[Recorder, Clock, float, float]:
    """Returns the recorder, its clock, the mean and the longest time of one record."""
    clock = Clock()
    intake = Intake(span_s=span_s, max_events=max_events, only=None, clock=clock)
    recorder, note = Recorder(intake), intake.note
    longest = total = 0.0
    number = 0
    for step in steps:
        number += 1
        clock.now = ended = clock.now + step
        started = ended - (number % 1000) / 1000
        before = timer()
        note(started, ended, "ok", "key")
        took = timer() - before
        total += took
        if took > longest:
            longest = took
    recorder._check()
    return recorder, clock, total / number, longest


def worst_stats(recorder: Recorder, clock: Clock, span_s: float) -> float:
    """Longest of many `stats()` while the whole content passes the edge of the window, in processor seconds."""
    worst = 0.0
    for _ in range(200):
        clock.now += span_s / 180
        before = time.thread_time()
        recorder.stats("f")
        worst = max(worst, time.thread_time() - before)
    return worst


def stats_after_burst(recorder: Recorder, clock: Clock) -> float:
    """Longest of many `stats()` that find a batch of events waiting, less one."""
    worst = 0.0
    for _ in range(200):
        clock.now += 1.0
        for i in range(BATCH - 1):
            recorder.intake.note(clock.now - i / 1000, clock.now, "ok", "key")
        before = time.thread_time()
        recorder.stats("f")
        worst = max(worst, time.thread_time() - before)
    return worst


def held(steps: Iterator[float], span_s: float, max_events: int) -> int:
    """Bytes that a window holds after a run."""
    gc.collect()
    tracemalloc.start()
    try:
        recorder, *_ = run(steps, span_s, max_events, time.perf_counter)
        recorder.count()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 1 if a limit was exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--max", type=int, default=10_000)
    parser.add_argument("--span", type=float, default=86_400.0)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args(argv)
    print(f"{platform.python_implementation()} {platform.python_version()}, {args.records:,} records, max={args.max:,}")
    failed = False
    for shape in (steady, bursts, sparse):
        _, _, mean, wall = run(shape(args.records, args.span), args.span, args.max, time.perf_counter)
        own = stats = math.inf
        for _ in range(args.runs):
            recorder, clock, _, longest = run(shape(args.records, args.span), args.span, args.max, time.thread_time)
            own = min(own, longest)
            stats = min(stats, max(worst_stats(recorder, clock, args.span), stats_after_burst(recorder, clock)))
        traced = min(args.records, 100_000)
        kept = held(shape(traced, args.span), args.span, args.max)
        totals = held(shape(traced, args.span), args.span, 1)
        print(
            f"{shape.__name__:7} mean {mean * 1e9:5.0f} ns with its timer; longest {wall * 1e3:.2f} ms, "
            f"of the thread's own {own * 1e3:.2f} ms; stats() {stats * 1e3:.2f} ms; "
            f"heap {kept / 1e3:,.0f} kB, of which totals {totals / 1e3:,.0f} kB"
        )
        failed |= own > 0.005 or stats > 0.001 or totals > 200_000
    print("limit exceeded" if failed else "within limits: 5 ms a record, 1 ms for stats(), 200 kB of totals")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""What ``memo.exporters.opentelemetry.instrument()`` costs: a hit, a load, and a collection of many functions.

    python benchmarks/telemetry.py [--rounds 21] [--functions 1000] [--gate]

A call of an instrumented function and one of another take turns in each round: the ratio, and the microseconds that it
takes more, both as medians of processor time.  With --gate the exit status is 1 if a hit takes more than 1.1 times as
long, or a load without a span that records more than 5 microseconds longer.  Needs ``opentelemetry-sdk``.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _ratios import headline, spread
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from memo import Registry, bounded
from memo.exporters.opentelemetry import instrument
from memo.testing import FakeClock

__all__ = ("collected", "main", "measured")

SIZE = 500
LOADS = 3_000
HIT_BOUND = 1.1
LOAD_BOUND_US = 5.0

Timed = Callable[[Any], float]


def hits(function: Any) -> float:
    function(0)
    began = time.thread_time()
    for _ in range(10 * LOADS):
        function(0)
    return (time.thread_time() - began) / (10 * LOADS)


def loads(function: Any) -> float:
    function.cache.clear()
    began = time.thread_time()
    for x in range(LOADS):
        function(x)
    return (time.thread_time() - began) / LOADS


def awaited_loads(function: Any) -> float:
    async def main() -> float:
        began = time.thread_time()
        for x in range(LOADS):
            await function(x)
        return (time.thread_time() - began) / LOADS

    function.cache.clear()
    return asyncio.run(main())


def plain(x: int) -> int:
    return x


async def awaited(x: int) -> int:
    return x


CASES: list[tuple[str, Timed, Any, dict[str, Any], str]] = [
    ("hit", hits, plain, {}, ""),
    ("hit, in a span that records", hits, plain, {}, "recorded"),
    ("load", loads, plain, {}, ""),
    ("load, in a span that is not sampled", loads, plain, {}, "unsampled"),
    ("awaited load", awaited_loads, awaited, {}, ""),
    ("awaited load, work='caller'", awaited_loads, awaited, {"work": "caller"}, ""),
    ("load with a span", loads, plain, {}, "recorded"),
]


def measured(rounds: int) -> list[tuple[str, float, float, bool]]:
    """Of each case the ratio, the microseconds more, and whether it is within its bound."""
    providers = {"recorded": TracerProvider(), "unsampled": TracerProvider(sampler=ALWAYS_OFF)}
    told, untold = Registry(), Registry()
    reader = InMemoryMetricReader()
    instrument(told, MeterProvider([reader]), providers["recorded"])
    rows = []
    for case, time_of, function, options, around in CASES:
        ours, bare = (bounded(max=SIZE, registry=one, **options)(function) for one in (told, untold))
        provider = providers.get(around)
        with provider.get_tracer("benchmark").start_as_current_span("caller") if provider else nullcontext():
            ratio, more = compared(time_of, bare, ours, rounds)
        reader.get_metrics_data()  # as often as loads are many: what waits for that is bounded
        within = ratio <= HIT_BOUND if time_of is hits else around == "recorded" or more <= LOAD_BOUND_US
        rows.append((case, ratio, more, within))
    return rows


def compared(time_of: Timed, bare: Any, ours: Any, rounds: int) -> tuple[float, float]:
    """The medians of the ratios and of the differences in microseconds."""
    time_of(bare), time_of(ours)
    ratios, differences = [], []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        before, after = time_of(bare), time_of(ours)
        gc.enable()
        ratios.append(after / before)
        differences.append((after - before) * 1e6)
    return spread(ratios).median, spread(differences).median


def collected(functions: int, rounds: int) -> tuple[float, float, int]:
    """Microseconds a function of the figures and of a whole collection, and how many series it has."""
    registry = Registry()
    reader = InMemoryMetricReader()
    instrument(registry, MeterProvider([reader]))
    kept = [bounded(max=SIZE, registry=registry, name=f"f{number}")(plain) for number in range(functions)]
    for function in kept:
        for x in (1, 1, 2):
            function(x)
    figures, whole = [], []
    with FakeClock() as clock:
        for _ in range(rounds):
            clock.advance(2)  # a snapshot serves for a second
            began = time.process_time()
            registry.stats()
            figures.append(time.process_time() - began)
            began = time.process_time()
            data: Any = reader.get_metrics_data()
            whole.append(time.process_time() - began)
    metrics = [one for of in data.resource_metrics for scope in of.scope_metrics for one in scope.metrics]
    series = sum(len(one.data.data_points) for one in metrics)
    return spread(figures).median / functions * 1e6, spread(whole).median / functions * 1e6, series


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--functions", type=int, default=1_000)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a case is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    rows = measured(options.rounds)
    for case, ratio, more, within in rows:
        print(f"{case:<36}{ratio:6.2f} times, {more:+6.2f} us  {'' if within else 'OVER'}".rstrip())
    figures, whole, series = collected(options.functions, min(options.rounds, 9))
    print(
        f"a collection of {options.functions:,} functions, {series:,} series: {whole:.0f} us a function, "
        f"of which {figures:.0f} are registry.stats()"
    )
    return int(options.gate and not all(within for *_, within in rows))


if __name__ == "__main__":
    sys.exit(main())

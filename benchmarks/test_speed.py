"""What common calls take, in one table: this package beside the standard library and the libraries that are installed.

    python -m pip install ".[bench]" && pytest benchmarks

Each test is a row.  In each of its rounds all libraries run in turn, and what counts is the median of the rounds'
ratios to what the row is compared with; nothing here asserts a time.  The ordinary test command does not collect it.
pytest-benchmark is handed this package's batches, of ``calls`` calls each, with the ratios of all beside them: its
options work, and its files (``--benchmark-json``, ``--benchmark-save``) have both.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if "pytest_benchmark.plugin" not in sys.modules:
    raise pytest.Collector.CollectError(
        "The benchmarks need the plugin pytest-benchmark, which is not here: python -m pip install '.[bench]'"
    )

from _batches import (
    SIZE,
    Batch,
    Decorate,
    awaited_misses,
    awaits,
    calls_of_a_method,
    calls_on_eight_threads,
    keyword_calls,
    misses,
    of,
    plain_calls,
)  # fmt: skip
from _peers import PEERS, undecorated
from _proofs import (
    proves_awaited_hits,
    proves_awaited_misses,
    proves_hits,
    proves_keyword_hits,
    proves_method_hits,
    proves_misses,
    proves_runs,
    proves_shared_flights,
)  # fmt: skip
from _ratios import Timed
from _shown import COLUMNS, Measured

ROUNDS = 51
BATCH_S = 0.005
THREADS_S = 0.02
"""Threads take turns of 5 ms each."""


def _lru(function: Any) -> Any:
    return functools.lru_cache(SIZE)(function)


def _in_a_task(function: Any) -> Any:
    return lambda x: asyncio.get_running_loop().create_task(function(x))


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What is done with a function that *word* of a peer has decorated, and with what is compared."""

    name: str
    word: str
    batch: Callable[..., Batch]
    proves: Callable[..., None]
    baseline: Decorate
    one: str
    awaited: bool = False
    added: bool = False
    batch_s: float = BATCH_S


SAME = "what functools.lru_cache takes for the same ({} for a hit)"
ADDED = "a hit of functools.lru_cache ({}); told is what each adds"
BARE = "awaiting the bare coroutine ({})"
TASK = "a task of the bare coroutine, awaited ({})"
ROWS = (
    Row("hit", "plain", plain_calls, proves_hits, _lru, SAME),
    Row("keyword hit", "plain", keyword_calls, proves_keyword_hits, _lru, SAME),
    Row("method hit", "plain", calls_of_a_method, proves_method_hits, _lru, SAME),
    Row("8 threads' hits", "plain", calls_on_eight_threads, proves_hits, _lru, SAME, batch_s=THREADS_S),
    Row("miss, evicting", "plain", misses, proves_misses, _lru, SAME),
    Row("dedupe_inflight", "flight", plain_calls, proves_runs, _lru, ADDED, added=True),
    Row("sliding_window", "window", plain_calls, proves_runs, _lru, ADDED, added=True),
    Row("awaited hit", "awaited", awaits, proves_awaited_hits, undecorated, BARE, True),
    Row("awaited miss", "awaited", awaited_misses, proves_awaited_misses, _in_a_task, TASK, True),
    Row("awaited dedupe", "flight_awaited", awaits, proves_shared_flights, _in_a_task, TASK, True),
)  # fmt: skip


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.filterwarnings("ignore")  # of the peers
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace("'", "").replace(",", "").replace(" ", "_"))
def test_speed(
    row: Row, benchmark: Any, runner: asyncio.Runner, pytestconfig: pytest.Config, request: pytest.FixtureRequest
) -> None:
    of_loops = (runner,) if row.awaited else ()
    batches: dict[str, Batch] = {}
    for column in COLUMNS:
        (peer,) = (peer for peer in PEERS if peer.name == column.peer)
        decorate = peer.decorates(row.word)
        if decorate is None:
            continue
        try:
            row.proves(decorate, *of_loops)
            batches[peer.name] = row.batch(decorate, *of_loops)
        except Exception:  # it is not installed, refuses such a function, or does something else
            if peer.name == "memo":
                raise
    ours = _calibrated(batches.pop("memo"), row.batch_s)
    others = {name: _calibrated(batch, row.batch_s)[0] for name, batch in batches.items()}
    rounds = Rounds(
        _calibrated(row.batch(row.baseline, *of_loops), row.batch_s)[0],
        _calibrated(row.batch(undecorated, *of_loops), row.batch_s)[0] if row.added else lambda: 0.0,
        ours[0],
        others,
    )
    began = time.perf_counter()
    rounds.others_run()
    rounds.ours_run()
    taken = time.perf_counter() - began
    rounds.taken.clear()
    option = pytestconfig.getoption
    fit = int(float(option("benchmark_max_time")) * (len(others) + 2) / taken)
    enabled = gc.isenabled()
    try:
        benchmark.pedantic(
            rounds.ours_run, setup=rounds.others_run, rounds=max(option("benchmark_min_rounds"), min(ROUNDS, fit))
        )
    finally:
        if enabled:
            gc.enable()
    measured = Measured(row.name, row.one, statistics.median(rounds.ones()), rounds.ratios())
    benchmark.extra_info.update(
        calls=ours[1], ratios={name: statistics.median(r) for name, r in measured.ratios.items()}
    )
    request.node.user_properties.append(("row", dataclasses.asdict(measured)))


def _calibrated(batch: Batch, seconds: float) -> tuple[Timed, int]:
    """A batch of so many calls that it takes about so long, and how many these are; it is warm by then."""
    count = 8
    while (took := batch(count)) < seconds / 4 and count < 1 << 20:
        count *= 2
    count = max(1, round(count * seconds / max(took, 1e-9)))
    return of(batch, count), count


class Rounds:
    """What each batch took in each round: what is 1; the others, in an order that turns; what is 1 again; ours."""

    def __init__(self, one: Timed, bare: Timed, ours: Timed, others: dict[str, Timed]) -> None:
        self._one, self._bare, self._ours, self._others = one, bare, ours, others
        self.taken: list[dict[str, float]] = []

    def others_run(self) -> None:
        gc.collect()
        gc.disable()
        first = self._one()
        names = [*self._others]
        turn = len(self.taken) % max(1, len(names))
        found = {name: self._others[name]() for name in names[turn:] + names[:turn]}
        found["bare"] = self._bare()
        found["one"] = (first + self._one()) / 2
        self.taken.append(found)

    def ours_run(self) -> None:
        self.taken[-1]["memo"] = self._ours()

    def ones(self) -> list[float]:
        return [found["one"] for found in self.taken]

    def ratios(self) -> dict[str, list[float]]:
        return {
            name: [(found[name] - found["bare"]) / found["one"] for found in self.taken]
            for name in ("memo", *self._others)
        }

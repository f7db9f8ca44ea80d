"""The fixture ``memo_benchmark``: what it measures of a function with a cache, what it tells, and what it refuses."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.places import ROOT

from memo import bounded, bounded_many, dedupe_inflight, lru_cache
from memo._benchmark import Part, worth
from memo.testing import MemoBenchmark

ROUNDS = 4


class Runner:
    """What is used of pytest-benchmark's fixture: it runs everything four times, and says that each took a second."""

    class _Stats:
        median = 1.0

    class _Metadata:
        pass

    def __init__(self, *, disabled: bool = False) -> None:
        self.stats: Any = None if disabled else self._Metadata()
        if not disabled:
            self.stats.stats = self._Stats()
        self.asked_for = 0

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return [function(*args, **kwargs) for _ in range(ROUNDS)][-1]

    def pedantic(self, target: Any, args: Any, kwargs: Any, setup: Callable[[], None], rounds: int) -> Any:
        self.asked_for = rounds
        results = []
        for _ in range(ROUNDS):
            setup()
            results.append(target(*args, **kwargs))
        return results[-1]


def measure(
    part: Part, function: Any, *args: Any, runner: Runner | None = None, **kwargs: Any
) -> tuple[Any, list[Any]]:
    """What a measurement of *part* returns, and what it tells."""
    told: list[Any] = []
    options = {"max_time": 1e-9, "min_rounds": 3}
    with MemoBenchmark(part, runner or Runner(), options, lambda *one: told.append(one)) as benchmark:
        return benchmark(function, *args, **kwargs), told


RUNS: dict[Part, int] = {"bare": ROUNDS, "miss": ROUNDS + 2, "hit": 1}
"""How often the function itself runs: before misses twice, to see how long one takes."""


@pytest.mark.parametrize("part", RUNS)
def test_functions(part: Part) -> None:
    """The function runs for each bare call and for each miss, and once for all hits; the result comes back."""
    calls: list[int] = []

    @bounded(max=10)
    def fetch(x: int, y: int = 0) -> int:
        calls.append(x)
        return x + y

    assert measure(part, fetch, 1, y=2) == (3, [(part, 1.0)])
    assert calls == [1] * RUNS[part]


@pytest.mark.parametrize("part", RUNS)
def test_coroutine_functions(part: Part) -> None:
    """Those that wait for the event loop are run on one, and what comes back has been awaited."""
    calls: list[int] = []

    @bounded(max=10)
    async def fetch(x: int, y: int = 0) -> int:
        calls.append(x)
        await asyncio.sleep(0)
        return x + y

    assert measure(part, fetch, 1, y=2) == (3, [(part, 1.0)])
    assert calls == [1] * RUNS[part]


@pytest.mark.parametrize("part", RUNS)
def test_methods_and_others(part: Part) -> None:
    """A method of an instance, a function of many keys and one of ``memo.lru_cache`` are measured likewise."""
    calls: list[int] = []

    class Service:
        @bounded(max=10)
        def fetch(self, x: int) -> int:
            calls.append(x)
            return x

        @bounded(max=10)
        async def ask(self, x: int) -> int:
            calls.append(x)
            return x

    @bounded_many(max=10)
    def many(xs: list[int]) -> dict[int, int]:
        calls.extend(xs)
        return {x: x for x in xs}

    @lru_cache(maxsize=10)
    def cached(x: int) -> int:
        calls.append(x)
        return x

    for function in (Service().fetch, Service().ask, cached):
        calls.clear()
        assert measure(part, function, 7)[0] == 7
        assert calls == [7] * RUNS[part]
    calls.clear()
    assert measure(part, many, [7])[0] == {7: 7}
    assert calls == [7] * RUNS[part]


def test_at_least_so_many_rounds() -> None:
    """So many misses are asked for as fit into the time, no fewer than the least number of rounds."""
    runner = Runner()
    measure("miss", bounded(max=10)(abs), -1, runner=runner)
    assert runner.asked_for == 3


def test_disabled() -> None:
    """Where pytest-benchmark measures nothing, nothing is told, and the result comes back."""
    assert measure("hit", bounded(max=10)(abs), -1, runner=Runner(disabled=True)) == (1, [])


def test_what_has_no_cache_is_refused() -> None:
    """A function that keeps no results is named, and what to do with it."""
    for function in (abs, dedupe_inflight(abs)):
        with pytest.raises(TypeError, match=r"abs.* keeps no results; give a function decorated with bounded"):
            measure("hit", function, -1)


def test_what_is_no_hit_is_refused() -> None:
    """No figure is told of a hit of what is never stored, and the message says where to look."""

    @bounded(max=10, cache_if=lambda result: False)
    def fetch(x: int) -> int:
        return x

    @bounded(max=10, cache_if=lambda result: False)
    async def ask(x: int) -> int:
        await asyncio.sleep(0)
        return x

    with pytest.raises(RuntimeError, match=r"a hit of .*fetch.* ran the function; see whether cache_if"):
        measure("hit", fetch, 1)
    with pytest.raises(RuntimeError, match=r"a hit of .*ask.* waited for something; see whether cache_if"):
        measure("hit", ask, 1)


@pytest.mark.parametrize(
    ("bare", "miss", "hit", "told"),
    [
        (1e-3, 1.25e-3, 5e-8, "bare 1ms, miss 1.25ms, hit 50ns: a hit saves 100.0%; the cache saves time from 20.0%"),
        (1e-6, 9e-7, 5e-7, "bare 1us, miss 900ns, hit 500ns: a hit saves 50.0%; the cache saves time from 0.0%"),
        (1e-7, 1e-6, 1e-7, "bare 100ns, miss 1us, hit 100ns: the cache saves no time, whatever the share"),
        (1.0, 0.5, 0.5, "bare 1s, miss 500ms, hit 500ms: a hit saves 50.0%; the cache saves time from 0.0%"),
    ],
)  # fmt: skip
def test_worth(bare: float, miss: float, hit: float, told: str) -> None:
    """The least share of hits is the one at which hits and misses take together what bare calls take."""
    assert worth(bare=bare, miss=miss, hit=hit) in (f"{told} hits on", f"{told} of hits")


# -- with pytest, and with pytest-benchmark where that is installed


PLUGINS = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "memo.pytest_plugin")


def run_pytest(folder: Path, *options: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGINS, *options],
        cwd=folder, env={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PATH": "", "COLUMNS": "100"},
        capture_output=True, text=True, timeout=100, check=False,
    ).stdout  # fmt: skip


FAST = ("--benchmark-max-time=0.001", "-q", "-W", "error")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of tests, and the block of the documentation that shows how to benchmark a function."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8").partition("## With pytest-benchmark")[2]
    (tmp_path / "test_page.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    return tmp_path


def test_it_is_told_where_pytest_benchmark_is_missing(project: Path) -> None:
    """Where that plugin is not loaded, each test that asks for the fixture ends with an error that names it."""
    told = run_pytest(project, "-q", "-p", "no:benchmark")
    assert "memo_benchmark needs pytest-benchmark, which is not loaded; python -m pip install" in told
    assert "2 errors" in told


def test_the_page_is_true(project: Path) -> None:
    """The tests on the page pass, three for each function, with a table and a sentence about each."""
    pytest.importorskip("pytest_benchmark")
    told = run_pytest(project, *FAST)
    assert "6 passed" in told
    assert "benchmark 'test_page.py::test_slug': 3 tests" in told
    assert all(f"test_slug[{part}]" in told for part in RUNS)
    assert "\ntest_slug: bare " in told
    assert "\ntest_profile: bare " in told


def test_parts_can_be_chosen(project: Path) -> None:
    """``-k hit`` and ``--benchmark-disable`` have their way, and nothing is concluded of what was not measured."""
    pytest.importorskip("pytest_benchmark")
    told = run_pytest(project, *FAST, "-k", "hit")
    assert "2 passed, 4 deselected" in told
    assert "- memo_benchmark -" not in told
    told = run_pytest(project, *FAST, "--benchmark-disable")
    assert "6 passed" in told
    assert "- memo_benchmark -" not in told
    assert "6 skipped" in run_pytest(project, *FAST, "--benchmark-skip")


def test_stores_and_marks(project: Path) -> None:
    """What a program stored is there after the test and not within it; marks and parameters count."""
    pytest.importorskip("pytest_benchmark")
    (project / "test_page.py").write_text(
        """
import pytest
from memo import bounded

@bounded(max=10)
def fetch(x, y):
    return x + y

def test_before():
    fetch(0, 0)

@pytest.mark.benchmark(group="mine", min_rounds=3, max_time=1e-9)
@pytest.mark.parametrize("y", [5, 6])
def test_it(memo_benchmark, benchmark, y):
    assert len(fetch.cache) == 0
    assert memo_benchmark(fetch, 1, y=y) == 1 + y
    assert benchmark.stats.stats.rounds == 3 or memo_benchmark.part != "miss"

def test_after():
    assert [args for args, _ in fetch.cache.items()] == [(0, 0)]
    assert fetch.cache_info() == (0, 1, 10, 1)
"""
    )
    told = run_pytest(project, *FAST)
    assert "8 passed" in told, told
    assert "benchmark 'mine': 6 tests" in told
    assert "\ntest_it[5]: bare " in told
    assert "\ntest_it[6]: bare " in told

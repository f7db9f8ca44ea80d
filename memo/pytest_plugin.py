"""The pytest plugin of ``memo``: ``memo_clock``, ``memo_isolated``, ``memo_benchmark``, the option ``memo_isolate``.

pytest loads it by itself where ``memo`` is installed; ``-p memo.pytest_plugin`` loads it where plugins are not loaded
by themselves, and ``-p no:memo`` switches it off.  Every run of every project that has ``memo`` installed imports this
module, so it imports nothing: what a fixture needs is imported when a test asks for it.

pytest would rewrite assertions here, and warn if it comes too late: PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pytest

if TYPE_CHECKING:
    from memo.testing import FakeClock, MemoBenchmark

    class _Parser(Protocol):
        """What is asked of a ``pytest.Parser``, whose own types are not all known."""

        def addini(self, name: str, help: str, type: Literal["bool"], default: bool) -> None: ...  # noqa: A002

    class _Config(Protocol):
        """What is asked of a ``pytest.Config``."""

        @property
        def pluginmanager(self) -> Any: ...
        @property
        def option(self) -> Any: ...
        def getini(self, name: str) -> Any: ...


__all__ = ("pytest_addoption", "pytest_configure")

_NAMES = ("memo", "memo_toolkit", "memo-toolkit", "pytest-memo", "memo.testing")
"""What somebody may write after ``-p no:``, beside the module's own name, by which pytest never loads it at all, and
``pytest_memo``, under which the fixtures are registered."""


def pytest_addoption(parser: _Parser) -> None:
    """Add the option ``memo_isolate``, which stays known where the plugin is switched off."""
    parser.addini(
        "memo_isolate",
        "Let the stores of all functions decorated with memo start empty in each test, and put them back after it.",
        type="bool",
        default=False,
    )


def pytest_configure(config: _Config) -> None:
    """Offer the fixtures, unless that is switched off, and isolate every test if that is asked for."""
    manager = config.pluginmanager
    if any(manager.is_blocked(name) for name in _NAMES):
        return
    if manager.register(_Fixtures(), "pytest_memo") is None:
        return
    if config.getini("memo_isolate"):
        manager.register(_EveryTest(), "memo_isolate")
    measures = hasattr(config.option, "benchmark_min_rounds")  # pytest-benchmark is there, under whatever name
    manager.register(_Benchmarks() if measures else _NoBenchmarks(), "memo_benchmark")


class _Fixtures:
    """What a test may ask for.  Not in the module itself, where pytest would find it in spite of ``-p no:memo``."""

    @pytest.fixture
    def memo_clock(self) -> Iterator[FakeClock]:
        """A clock that drives all functions decorated with memo, but those given a clock, by advance()."""
        from memo.testing import FakeClock

        with FakeClock() as clock:
            yield clock

    @pytest.fixture
    def memo_isolated(self) -> Iterator[None]:
        """The stores of all functions decorated with memo start empty, and are put back after the test as they were."""
        from memo.testing import isolated

        with isolated():
            yield


class _EveryTest:
    """Has every test use ``memo_isolated``.

    A plugin's fixture of function scope that every test uses is set up before those of the user, and put back after
    them; fixtures of wider scope are set up before it.  So what a session's fixture stored is set aside during each
    test, and is there again when that fixture is torn down.
    """

    @pytest.fixture(autouse=True)
    def _memo_isolate(self, memo_isolated: None) -> None:
        pass


class _Benchmarks:
    """What a test may ask for where pytest-benchmark is."""

    @pytest.fixture(params=["bare", "miss", "hit"])
    def memo_benchmark(self, request: Any, benchmark: Any, memo_isolated: None) -> Iterator[MemoBenchmark]:
        """Measures a cached function, memo_benchmark(f, 1), as three tests: bare, a miss, a hit (pytest-benchmark)."""
        from memo.testing import MemoBenchmark

        node = request.node
        name, _, parts = node.nodeid.partition("[")
        others = parts.removesuffix("]").split("-")
        others.remove(request.param)
        test = f"{name}[{'-'.join(others)}]" if others else name
        if benchmark.group is None:
            benchmark.group = test
        options = {"max_time": _number(node, "max_time"), "min_rounds": _number(node, "min_rounds")}

        def told(part: str, median_s: float) -> None:
            node.user_properties.append(("memo_benchmark", [test, part, median_s]))

        with MemoBenchmark(request.param, benchmark, options, told) as measure:
            yield measure

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say of each function that was measured from which share of hits on its cache saves time."""
        tests: dict[str, dict[str, float]] = {}
        for report in terminalreporter.getreports("passed"):
            for name, value in report.user_properties:
                if name == "memo_benchmark":
                    tests.setdefault(value[0], {})[value[1]] = value[2]
        whole = {test: medians for test, medians in tests.items() if len(medians) == 3}
        if whole:
            from memo._benchmark import worth

            terminalreporter.section("memo_benchmark", sep="-")
            for test, medians in whole.items():
                terminalreporter.write_line(f"{test.rpartition('::')[2]}: {worth(**medians)}")


def _number(node: Any, option: str) -> float:
    """An option of pytest-benchmark, of the test's mark or of the command line."""
    mark = node.get_closest_marker("benchmark")
    return float((mark.kwargs if mark else {}).get(option, node.config.getoption(f"benchmark_{option}")))


class _NoBenchmarks:
    """What a test may ask for where pytest-benchmark is not."""

    @pytest.fixture
    def memo_benchmark(self) -> None:
        """Measures a cached function, where pytest-benchmark is installed."""
        pytest.fail(
            "memo_benchmark needs pytest-benchmark, which is not loaded; python -m pip install pytest-benchmark"
            " (memo-toolkit[bench] has it, and the libraries that memo is compared with).",
            pytrace=False,
        )

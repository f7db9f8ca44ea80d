"""The pytest plugin: its fixtures, isolation of every test, and that it costs nothing where it is not used."""

import gc
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from kit.places import ROOT

import memo._base.clock
import memo.testing
from memo import bounded, dedupe_inflight, pytest_plugin, sliding_window

# What a test within a test imports for the first time is taken out of sys.modules after it, and a second copy would
# come in: so all of it is imported before.
IMPORTED = (bounded, dedupe_inflight, sliding_window, memo.testing.FakeClock)
pytest_plugins = ["pytester"]

PROGRAM = """
    from memo import bounded, registry, sliding_window

    CALLS = []

    @bounded(max=10, ttl="1h")
    @sliding_window("1h")
    def load(x):
        CALLS.append(x)
        return x
"""


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a program, whose tests know no plugin but this one."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p memo.pytest_plugin -p no:cacheprovider")
    pytester.makepyfile(program=PROGRAM)
    return pytester


def run(inner: pytest.Pytester, **outcomes: int) -> None:
    inner.runpytest_inprocess().assert_outcomes(**outcomes)
    gc.collect()  # the program's functions, with it


def test_clock(inner: pytest.Pytester) -> None:
    """The fixture's clock drives functions decorated before and within the test, and is gone after it."""
    inner.makepyfile(
        """
        import time
        import memo._base.clock
        from program import CALLS, load
        from memo import bounded

        def test_it(memo_clock):
            load(1)
            memo_clock.advance("59m")
            load(1)
            assert CALLS == [1]
            memo_clock.advance("1m")
            load(1)
            assert CALLS == [1, 1]

        def test_real_time_is_back():
            assert memo._base.clock.default_clock() is time.monotonic

        def test_that_uninstalls_it_itself(memo_clock):
            memo_clock.uninstall()
            assert memo._base.clock.default_clock() is time.monotonic
        """
    )
    run(inner, passed=3)


def test_clock_is_gone_after_a_failure(inner: pytest.Pytester) -> None:
    """A test that fails leaves no clock installed."""
    before = memo._base.clock.default_clock()
    inner.makepyfile("def test_it(memo_clock): assert memo_clock is None")
    run(inner, failed=1)
    assert memo._base.clock.default_clock() is before


def test_isolated(inner: pytest.Pytester) -> None:
    """Stores start empty in a test that asks for it, and are put back after it; other tests share them."""
    inner.makepyfile(
        """
        from program import CALLS, load

        def test_first():
            load(1)

        def test_second(memo_isolated):
            assert len(load.cache) == load.window.count() == 0
            load(1)
            load(2)

        def test_third():
            assert [key for key, _ in load.cache.items()] == [1]
            assert load.cache_info().misses == load.window.count() == 1
            assert CALLS == [1, 1, 2]
        """
    )
    run(inner, passed=3)


EVERY = """
    import asyncio
    import unittest

    import pytest
    from program import CALLS, load

    @pytest.fixture(scope="session")
    def warmed():
        load("session")
        yield
        assert [key for key, _ in load.cache.items()] == ["session", "module"]

    @pytest.fixture(scope="module", autouse=True)
    def module(warmed):
        load("module")
        yield
        assert len(load.cache) == 2

    @pytest.fixture(autouse=True)
    def own():
        assert len(load.cache) == 0
        load("own")
        yield
        assert len(load.cache) == 2

    @pytest.mark.parametrize("x", [1, 2])
    def test_plain(x):
        assert [key for key, _ in load.cache.items()] == ["own"]
        assert load.cache_info() == (0, 1, 10, 1)
        load(x)

    def test_with_wider_fixture(warmed):
        assert len(load.cache) == 1
        load(1)

    async def test_async():
        assert len(load.cache) == 1
        await asyncio.sleep(0)
        load(1)

    def test_asks_for_it_as_well(memo_isolated, memo_clock):
        assert len(load.cache) == 1
        memo_clock.advance("1h")
        assert load.cache.items() == []
        load(1)

    class TestClass:
        def setup_method(self):
            assert len(load.cache) == 1
            load(1)

        def test_method(self):
            assert len(load.cache) == 2

    class TestUnit(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            assert len(load.cache) == 2

        def setUp(self):
            assert len(load.cache) == 1
            load(1)

        def test_one(self):
            assert len(load.cache) == 2

        def test_two(self):
            assert len(load.cache) == 2

    class TestAsyncUnit(unittest.IsolatedAsyncioTestCase):
        async def test_one(self):
            assert len(load.cache) == 1
            load(1)
"""
CONFTEST = """
    import asyncio
    import inspect
    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(pyfuncitem):  # what plugins for coroutines do
        if inspect.iscoroutinefunction(pyfuncitem.obj):
            asyncio.run(pyfuncitem.obj())
            return True
"""


def test_every_test(inner: pytest.Pytester) -> None:
    """With memo_isolate = true each test starts empty, of whatever style; after it wider fixtures' entries are back."""
    inner.makeini("[pytest]\nmemo_isolate = true\n")
    inner.makeconftest(CONFTEST)
    inner.makepyfile(EVERY)
    run(inner, passed=9)


def test_not_every_test(inner: pytest.Pytester) -> None:
    """Without the option no test is isolated and none uses a fixture of the plugin."""
    inner.makepyfile(
        """
        from program import load

        def test_first(request):
            assert request.fixturenames == ["request"]
            load(1)

        def test_second():
            assert len(load.cache) == 1
        """
    )
    run(inner, passed=2)


def test_doctests(inner: pytest.Pytester) -> None:
    """Doctests are isolated like other tests."""
    inner.makeini("[pytest]\nmemo_isolate = true\naddopts = --doctest-modules\n")
    inner.makepyfile(
        """
        def first():
            '''
            >>> from program import load
            >>> load(1), len(load.cache)
            (1, 1)
            '''

        def second():
            '''
            >>> from program import load
            >>> load(2), len(load.cache)
            (2, 1)
            '''
        """
    )
    run(inner, passed=2)


def test_fixtures_are_listed(inner: pytest.Pytester) -> None:
    """pytest --fixtures tells what the fixtures are for."""
    shown = inner.runpytest_inprocess("--fixtures")
    shown.stdout.fnmatch_lines(["memo_clock -- *", "    A clock that drives all functions*", "memo_isolated -- *"])


def test_costs_nothing_where_unused(inner: pytest.Pytester) -> None:
    """A run that uses nothing of it imports nothing of the package, and starts no thread."""
    inner.makepyfile(
        """
        import sys, threading

        def test_it():
            loaded = {name for name in sys.modules if name.partition(".")[0] in ("memo", "wrapt", "cachetools")}
            assert loaded == {"memo", "memo._late", "memo.errors", "memo.pytest_plugin"}
            assert threading.active_count() == 1
        """
    )
    inner.runpytest_subprocess().assert_outcomes(passed=1)


def test_plugin_imports_next_to_nothing() -> None:
    """Beside pytest, which is there already, the plugin imports nothing but the standard library's light modules."""
    script = "import pytest, sys; old = set(sys.modules); import memo.pytest_plugin; print(*(set(sys.modules) - old))"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert set(ran.stdout.split()) == {"memo", "memo._late", "memo.errors", "memo.pytest_plugin"}


def test_entry_point_names_the_module() -> None:
    """pytest finds the plugin by the entry point, whose name is the module's, so that -p does not load it twice."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["pytest11"] == {pytest_plugin.__name__: pytest_plugin.__name__}

"""The pytest plugin of ``memo``: the fixtures ``memo_clock`` and ``memo_isolated``, and the option ``memo_isolate``.

pytest loads it by itself where ``memo`` is installed; ``-p memo.pytest_plugin`` loads it where plugins are not loaded
by themselves.  Every run of every project that has ``memo`` installed imports this module, so it imports nothing:
what a fixture needs is imported when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from memo.testing import FakeClock

__all__ = ("memo_clock", "memo_isolated", "pytest_addoption", "pytest_configure")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``memo_isolate``."""
    parser.addini(
        "memo_isolate",
        "Let the stores of all functions decorated with memo start empty in each test, and put them back after it.",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Isolate every test if that is asked for; otherwise there is nothing that a test would run through."""
    if config.getini("memo_isolate"):
        config.pluginmanager.register(_EveryTest(), "memo_isolate")


@pytest.fixture
def memo_clock() -> Iterator[FakeClock]:
    """A clock that drives all functions decorated with memo (but those given a clock= of their own) by advance()."""
    from memo.testing import FakeClock

    with FakeClock() as clock:
        yield clock


@pytest.fixture
def memo_isolated() -> Iterator[None]:
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

"""The pytest plugin of ``memo``: the fixtures ``memo_clock`` and ``memo_isolated``, and the option ``memo_isolate``.

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
    from memo.testing import FakeClock

    class _Parser(Protocol):
        """What is asked of a ``pytest.Parser``, whose own types are not all known."""

        def addini(self, name: str, help: str, type: Literal["bool"], default: bool) -> None: ...  # noqa: A002

    class _Config(Protocol):
        """What is asked of a ``pytest.Config``."""

        @property
        def pluginmanager(self) -> Any: ...
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
    if manager.register(_Fixtures(), "pytest_memo") is not None and config.getini("memo_isolate"):
        manager.register(_EveryTest(), "memo_isolate")


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

"""Fixtures that several tests of exporters share."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from kit.browsers import WIDE, Begin, Visit, browser
from kit.processes import HANG_S

from memo.testing import FakeClock

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from memo import Registry


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """The clock by which snapshots get old, and functions that were given none."""
    with FakeClock() as clock:
        yield clock


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Siblings are waited for as long as they take, since how long that is depends on the machine."""
    monkeypatch.setattr("memo.exporters._workers._PATIENCE_S", HANG_S)
    monkeypatch.setattr("memo.exporters._workers._ROUND_S", HANG_S)


@pytest.fixture(scope="module")
def chrome() -> "Iterator[Browser]":
    """The one browser of this module."""
    with browser() as found:
        yield found


@pytest.fixture
def visit(chrome: "Browser") -> Iterator[Begin]:
    """Serves a registry and visits its page; at the end, whatever a visit complained of fails the test."""
    with ExitStack() as ends:  # each page before its server: one that still looks on would complain of its going

        def begin(registry: "Registry", size: tuple[int, int] = WIDE, scheme: str = "light", **options: Any) -> Visit:
            server = ends.enter_context(registry.serve(**{"http": 0, "socket": False, **options}))
            visited = Visit(chrome, server.url or "", size, scheme)
            ends.callback(visited.close)
            return visited

        yield begin

"""Fixtures that several tests of exporters share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from kit.browsers import WIDE, Begin, Visit, browser

from memo.testing import FakeClock

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from memo import Registry


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """The clock by which snapshots get old, and functions that were given none."""
    with FakeClock() as clock:
        yield clock


@pytest.fixture(scope="module")
def chrome() -> "Iterator[Browser]":
    """The one browser of this module."""
    with browser() as found:
        yield found


@pytest.fixture
def visit(chrome: "Browser") -> Iterator[Begin]:
    """Serves a registry and visits its page; at the end, whatever a visit complained of fails the test."""
    visits: list[Visit] = []
    servers: list[Any] = []

    def begin(registry: "Registry", size: tuple[int, int] = WIDE, scheme: str = "light", **options: Any) -> Visit:
        server = registry.serve(**{"http": 0, "socket": False, **options})
        servers.append(server)
        visits.append(Visit(chrome, server.url, size, scheme))
        return visits[-1]

    yield begin
    for server in servers:
        server.close()
    for one in visits:
        one.close()

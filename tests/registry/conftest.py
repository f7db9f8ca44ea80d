"""Fixtures that several tests of registry share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.reloading import Module

from memo import Registry
from memo.testing import FakeClock


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def own() -> Iterator[Registry]:
    """A registry whose janitor and subscriptions end with the test."""
    registry = Registry()
    yield registry
    for seat in registry._audiences.audience.hearers:
        seat.who.close()  # type: ignore[attr-defined]
    if registry._janitor is not None:
        registry._janitor.stop()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """A module of a name of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Module(tmp_path, "memo_reloaded_module")
    sys.modules.pop("memo_reloaded_module", None)

"""Fixtures that several tests of exporters share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from memo.testing import FakeClock


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """The clock by which snapshots get old, and functions that were given none."""
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sockets are put, and nowhere else: a folder of the test's own, with a path as short as theirs must be."""
    folder = Path(tempfile.mkdtemp(prefix="memo-", dir="/tmp"))
    monkeypatch.setattr("memo.exporters._sockets._candidates", lambda: iter([folder / "memo"]))
    yield folder
    shutil.rmtree(folder)

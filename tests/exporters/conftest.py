"""Fixtures that several tests of exporters share."""

from collections.abc import Iterator

import pytest

from memo.testing import FakeClock


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """The clock by which snapshots get old, and functions that were given none."""
    with FakeClock() as clock:
        yield clock

"""Fixtures that several tests of window share."""

import pytest

from memo.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()

"""Fixtures that several tests of limits share."""

import pytest

from memo.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()

"""Fixtures that several tests of testing share."""

import time
from collections.abc import Iterator

import pytest

import memo._base.clock
import memo._window.intake


@pytest.fixture
def _real_time_before_and_after() -> Iterator[None]:
    """No test leaves a clock installed."""
    assert memo._base.clock.default_clock() is time.monotonic
    yield
    assert memo._base.clock.default_clock() is time.monotonic

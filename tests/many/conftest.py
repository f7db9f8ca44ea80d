"""Fixtures that the tests of functions of many keys share."""

from collections.abc import Callable

import pytest
from kit.batches import COLOURS, Source

from memo import Registry


@pytest.fixture(params=COLOURS)
def make(request: pytest.FixtureRequest, own: Registry) -> Callable[..., Source]:
    """Makes a plain function of many keys, or a coroutine function."""
    return lambda **options: Source(request.param, **{"registry": own, **options})

"""Fixtures that several tests of store share."""

from collections.abc import Iterator

import pytest
from kit.entry_policies import Sly


@pytest.fixture
def meek() -> Iterator[None]:
    """No key is left with something to do."""
    yield
    Sly.asked = None

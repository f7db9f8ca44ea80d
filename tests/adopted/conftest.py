"""Fixtures that several tests of adopted share."""

from collections.abc import Iterator

import pytest
from kit.adopted import Service


@pytest.fixture
def empty_methods() -> Iterator[None]:
    """The functions of ``Service`` are left without entries or figures."""
    yield
    for function in (Service.c_method, Service.__dict__["async_method"], Service.c_property.fget, Service.c_static):
        function.cache_clear()

"""Fixtures that several tests of decorated share."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from kit.tools import DECORATORS, load

from memo import registry


@pytest.fixture
def _nothing_left_running() -> Iterator[None]:
    yield
    assert all((handle := record.inflight) is None or len(handle) == 0 for record in registry)


@pytest.fixture(scope="module")
def plain() -> Any:
    return load(lambda function: function)


@pytest.fixture(params=DECORATORS)
def decorated(request: pytest.FixtureRequest, plain: Any) -> Iterator[Any]:
    yield load(DECORATORS[request.param])
    sys.modules["subject_of_tools"] = plain

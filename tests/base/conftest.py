"""Fixtures that several tests of base share."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from kit.freezes import FREEZES


@pytest.fixture(params=FREEZES)
def freeze(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[object]]:
    """Each way to freeze time."""
    library = request.param.partition(",")[0].replace("-", "_")
    if library in ("freezegun", "time_machine"):
        pytest.importorskip(library)
    return FREEZES[request.param]

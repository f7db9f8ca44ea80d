"""Fixtures that several tests of contract share."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from kit.held import run_uvloop


@pytest.fixture
def without_collector(nothing_collected: None) -> Iterator[None]:
    """Only reference counts free anything."""
    log = logging.getLogger("memo")
    log.disabled = True  # pytest keeps what is logged, with the frames of logged exceptions
    yield
    log.disabled = False


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in a loop of each kind."""
    if request.param == "asyncio":
        return asyncio.run
    pytest.importorskip("uvloop")
    return run_uvloop


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Strikes of code whose exceptions are logged are no news."""
    with caplog.at_level(logging.CRITICAL + 1):
        yield

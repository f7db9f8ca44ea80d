"""What several tests of the path in C ask for."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memo._base import thread_ident, who
from memo._flight.task_work import current_work


@pytest.fixture
def in_loop() -> Any:
    """A running loop for coroutines that are stepped by hand."""

    def run(steps: Callable[[], object]) -> None:
        async def main() -> None:
            steps()
            assert current_work.get() is None

        asyncio.run(main())

    return run


@pytest.fixture
def without_greenlets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a program that has not imported greenlet, as other tests of this process may have: with it Python leads."""
    monkeypatch.delitem(sys.modules, "greenlet", raising=False)
    asked = who[0]
    who[0] = thread_ident
    yield
    who[0] = asked

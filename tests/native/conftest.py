"""What several tests of the path in C ask for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

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

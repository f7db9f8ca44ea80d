"""A decorated coroutine function, the coroutine of a common one, and what is warned of."""

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from memo import Registry, bounded

__all__ = ("make", "of_hit_and_miss", "real", "seen")

of_hit_and_miss = pytest.mark.parametrize("hit", [True, False], ids=["hit", "miss"])


def make(own: Registry, hit: bool, **options: Any) -> Any:
    """A decorated coroutine function that has been called with 0, and with 1 if that is to be a hit."""

    @bounded(max=10, ttl=60, registry=own, **options)
    async def load(x: Any, lang: str = "en") -> Any:
        await asyncio.sleep(0)
        return [x, lang]

    for x in (0, 1)[: 1 + hit]:
        asyncio.run(load(x))
    return load


async def real(x: Any, lang: str = "en") -> Any:
    await asyncio.sleep(0)
    return [x, lang]


def seen(action: Callable[[], object]) -> list[str]:
    """What is warned of while *action* runs and what it left is collected."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
        gc.collect()
    return [str(warning.message) for warning in caught]

"""What the tests of work in its caller's own task share."""

from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight

__all__ = ("deduped", "every_make", "remembered", "single_make", "stale")


def deduped(function: Any, **options: Any) -> Any:
    """Single flight by itself."""
    return dedupe_inflight(work="caller", registry=Registry(), **options)(function)


def remembered(function: Any, **options: Any) -> Any:
    """The loads of a cache, the lean way."""
    return bounded(max=100, work="caller", registry=Registry(), **options)(function)


def stale(function: Any, **options: Any) -> Any:
    """The loads of a cache that may answer stale, in whose place others may answer."""
    here = Registry()
    return bounded(max=100, work="caller", ttl=60, stale_if_error=60, registry=here, **options)(function)


every_make = pytest.mark.parametrize("make", [deduped, remembered, stale], ids=lambda make: make.__name__)
single_make = pytest.mark.parametrize("make", [deduped, remembered], ids=lambda make: make.__name__)

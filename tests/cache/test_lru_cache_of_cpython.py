"""``memo.lru_cache`` under CPython's own tests of ``functools.lru_cache``, where the interpreter has them installed."""

import functools
import types
import unittest
from typing import Any

import pytest

from memo import lru_cache

theirs: Any = pytest.importorskip("test.test_functools", reason="the interpreter came without its own tests")

EXCLUDED = {
    "test_kwargs_order": "calls that differ in the order of their keywords alone are one call",
    "test_lru_with_types": "f(3) and f(x=3) are one call, so that there are more hits",
    "test_lru_hash_only_once": "an argument is hashed once more in a miss",
    "test_lru_reentrancy_with_len": "memo is written in Python, and calls len()",
    "test_common_signatures": "cache_info() and cache_clear() have annotations, which the text of a signature shows",
}
"""Their tests that do not apply, and why."""


@lru_cache()
def cached(x: int, y: int) -> int:
    return 3 * x + y


class TestOfCPython(theirs.TestLRU, unittest.TestCase):  # type: ignore[misc]
    """Their tests, with our decorator in the place of theirs."""

    module = types.SimpleNamespace(
        lru_cache=lru_cache,
        partial=functools.partial,
        WRAPPER_ASSIGNMENTS=functools.WRAPPER_ASSIGNMENTS,
        _CacheInfo=functools._CacheInfo,  # type: ignore[attr-defined]
    )
    cached_func = (cached,)

    @lru_cache()
    def cached_meth(self, x: int, y: int) -> int:
        return 3 * x + y

    @staticmethod
    @lru_cache()
    def cached_staticmeth(x: int, y: int) -> int:
        return 3 * x + y


for _name in EXCLUDED:
    setattr(TestOfCPython, _name, None)


def test_what_is_excluded_is_there() -> None:
    """Each test that is left out is one of theirs; newer interpreters have more of them."""
    since = {"test_common_signatures": (3, 12)}
    for name in EXCLUDED:
        assert hasattr(theirs.TestLRU, name) or name in since

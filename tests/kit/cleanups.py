"""What the tests of clean-ups share."""

from collections.abc import Callable
from typing import Any

import cachetools
import pytest

from kit.own_policies import POLICIES
from memo._store.store import Store

__all__ = ("TTL", "Dropper", "Value", "every_policy", "store_of")

TTL = 10


class Dropper(cachetools.Cache[Any, Any]):
    """A policy of a user's own: what is oldest goes, and every seventh key is declined."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key[-1] % 7 if isinstance(key, tuple) else key % 7:
            super().__setitem__(key, value)

    def popitem(self) -> tuple[Any, Any]:
        key = next(iter(self))
        return key, self.pop(key)


every_policy = pytest.mark.parametrize("policy", [*POLICIES, Dropper])


class Value:
    """Something that can be watched, and that does something as it dies."""

    def __init__(self, dying: Callable[[], object] | None = None) -> None:
        self.dying = dying

    def __del__(self) -> None:
        if self.dying is not None:
            self.dying()


def store_of(function: Any) -> Store:
    return function.cache._cache.store  # type: ignore[no-any-return]

"""A policy and its plain, slow model doing the same."""

import copy
import pickle
from typing import Any, Protocol

from hypothesis import strategies as st

__all__ = ("STEPS", "Plain", "step")


class Plain(Protocol):
    """The algorithm of a paper on lists."""

    capacity: int

    def __init__(self, capacity: int) -> None: ...

    def access(self, key: int) -> bool:
        """Ask for *key*, which comes in if it is not there: whether it was."""

    def delete(self, key: int) -> None:
        """Take *key* out."""

    def evict(self) -> int:
        """Take out what is to go: its key."""

    def copied(self) -> None:
        """Be what a copy of the policy is."""


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["access"] * 8 + ["replace", "delete", "popitem", "copy", "deepcopy", "pickle", "clear"]),
        st.integers(0, 14) | st.integers(0, 400),
    ),
    max_size=300,
)


def step(cache: Any, plain: Plain, what: str, key: int) -> Any:
    """Do the same to both; the cache to go on with."""
    if what == "access":
        assert (cache.get(key) is not None) == plain.access(key)
        if key not in cache:
            cache[key] = (key,)
    elif what == "replace" and key in cache:  # keeps the place, and is no use
        cache[key] = (key,)
    elif what == "delete" and key in cache:
        del cache[key]
        plain.delete(key)
    elif what == "popitem" and cache:
        assert cache.popitem() == ((gone := plain.evict()), (gone,))
    elif what in ("copy", "deepcopy", "pickle"):
        plain.copied()
        if what == "pickle":
            return pickle.loads(pickle.dumps(cache))
        return getattr(copy, what)(cache)
    elif what == "clear" and key == 0:
        cache.clear()
        plain.__init__(plain.capacity)  # type: ignore[misc]
    return cache

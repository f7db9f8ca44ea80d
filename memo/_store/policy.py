"""What ``policy=`` names: a policy of our own, or a cachetools class of the user's."""

import functools
import math
from typing import Any

import cachetools

from memo._base import given_text
from memo._late import in_time
from memo._store.entry_adaptive import EntryAdaptive
from memo._store.entry_policy import EntryPolicy

__all__ = ("POLICIES", "AnyCache", "CacheClass", "check_policy", "first_share", "is_ours", "make_cache")

AnyCache = cachetools.Cache[Any, Any]
CacheClass = type[AnyCache]
"""A policy."""

POLICIES = ("adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random")
"""Policies of our own, made of entries."""
_AS_CLASSES = ("lirs",)
"""Those that are run like a class of the user's: a hit takes the lock."""
_NAMES = ", ".join(map(repr, (*POLICIES, *_AS_CLASSES)))


@functools.cache  # held, since nothing can be imported any more as the interpreter ends
def _named(policy: str) -> CacheClass:  # one for each
    """The class of a name: but for the default, imported by the first function that is decorated with it."""
    with in_time(f"policy={policy!r}"):
        if policy == "s3fifo":
            from memo._store.entry_s3fifo import EntryS3FIFO

            return EntryS3FIFO
        if policy == "sieve":
            from memo._store.entry_sieve import EntrySieve

            return EntrySieve
        if policy == "lfu":
            from memo._store.frequency import EntryLFU

            return EntryLFU
        if policy == "lirs":
            from memo.policies import LIRSCache

            return LIRSCache
        if policy in ("lru", "fifo", "random"):
            from memo._store.orders import EntryFIFO, EntryLRU, EntryRandom

            return {"lru": EntryLRU, "fifo": EntryFIFO, "random": EntryRandom}[policy]
    return EntryAdaptive


def is_ours(policy: CacheClass) -> bool:
    """Whether the class is one of our own, made of entries."""
    return issubclass(policy, EntryPolicy)


def check_policy(where: str, policy: Any) -> CacheClass:
    """The cache class that ``policy=`` names.

    Raises:
        ValueError: It is no known name.
        TypeError: It is neither a name nor a subclass of ``cachetools.Cache``.
    """
    if isinstance(policy, str):
        if policy not in (*POLICIES, *_AS_CLASSES):
            raise ValueError(
                f"{where}: policy={given_text(policy)} is unknown; choose one of {_NAMES}, "
                f"or give a subclass of cachetools.Cache."
            )
        return _named(str(policy))
    if not (isinstance(policy, type) and issubclass(policy, cachetools.Cache)):
        raise TypeError(
            f"{where}: policy={given_text(policy)} is neither a name nor a subclass of cachetools.Cache; choose one of "
            f"{_NAMES}."
        )
    return policy


def first_share(policy: CacheClass) -> float | None:
    """What ``Store.small_share`` is of an empty store of that policy."""
    return _share_of_ours(policy) if is_ours(policy) else None


@functools.cache  # never of a class of the user's, which it would keep alive
def _share_of_ours(policy: CacheClass) -> float | None:
    return getattr(policy(1), "small_share", None)


def make_cache(where: str, policy: CacheClass, max_entries: int | None, max_bytes: int | None) -> AnyCache:
    """A cache of that class, whose values are entries.

    Raises:
        TypeError: Its constructor wants more than a size.
    """
    try:
        if max_bytes is not None:
            return policy(max_bytes, getsizeof=_size_of)
        return policy(math.inf if max_entries is None else max_entries)
    except TypeError as error:
        raise TypeError(
            f"{where}: policy={given_text(policy)} cannot be made with a maxsize alone ({error}); give a class whose "
            f"constructor takes (maxsize, getsizeof=None), and ttl= to the decorator."
        ) from None


def _size_of(entry: Any) -> int:
    return entry.size  # type: ignore[no-any-return]

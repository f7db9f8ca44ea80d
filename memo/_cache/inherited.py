"""What a forked child inherited: entries whose values its parent owns, and calls ``on_evict`` for.

- In the child it is noted at the fork, with the locks held, when that was, and which entries were there where there is
  an ``on_evict``: by address, so that no entry is touched, and none kept.  An entry of that address that was stored
  since is another one.
- Who asked for it (``fork="drop"``) has them dropped after the locks are free again, since values may have finalizers.
"""

import os
import weakref
from collections.abc import Hashable

from memo._base import Clock, Stage, renew
from memo._cache.told_store import ToldStore
from memo._call import belongs_to
from memo._store import Failure

__all__ = ("Inherited",)


class Inherited:
    """What this process inherited of the results of one function.

    Args:
        told: The store.
        clock: Tells when the fork was.
        drop: Drop it at the fork.
    """

    def __init__(self, told: ToldStore, clock: Clock, drop: bool) -> None:
        self._told = told
        self._clock = clock
        self._forked: float | None = None
        """When; None in a process that inherited nothing, or has forgotten it."""
        self._ids: frozenset[int] | None = None
        """The addresses of the entries; None: all that are as old as the fork."""
        renew(Stage.FLIGHTS, self)
        if drop:
            _dropping.add(self)

    def renew(self) -> None:
        """Note, in a forked child, what is there."""
        self._forked = self._clock.read()
        self._ids = None
        if self._told.listener is not None:
            self._ids = frozenset(map(id, self._told.store.index.values()))

    def forget(self, scope: Hashable | None = None) -> int:
        """Drop what this process inherited, and tell nobody; how many values.

        Args:
            scope: The token of the one instance that it is about; None: all.
        """
        forked, ids = self._forked, self._ids
        if forked is None:
            return 0
        store = self._told.store
        entries = [
            entry for entry in store.snapshot()
            if entry.stored <= forked and (ids is None or id(entry) in ids) and belongs_to(entry.key, scope)
        ]  # fmt: skip
        if self._told.leases is not None and scope is None:
            self._told.leases.forget_inherited()
        self._told.alter(store.forget, entries)
        if scope is None:
            self._forked = self._ids = None
        return sum(type(entry.value) is not Failure for entry in entries)


_dropping: "weakref.WeakSet[Inherited]" = weakref.WeakSet()


def _drop_all() -> None:
    for inherited in list(_dropping):
        inherited.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_all)  # after the hooks of ``forks``, which are older

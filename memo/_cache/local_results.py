"""The results of one function in this process, as its tier sees them."""

from collections.abc import Callable, Hashable, Sequence

from memo._cache.cache import Cache
from memo._call import FenceOthers

__all__ = ("LocalResults",)


class LocalResults:
    """Drops what was changed elsewhere, and fences what runs; it does nothing as long as there are no results.

    While the results are set aside, what was changed elsewhere is noted, to be done to them when they are back.  It is
    noted first: should they come back in between, it is done once more.

    Args:
        cache: Gives the results; None: there are none yet, or no more.
        fence_others: Fences the running calls of the other layers of the stack, around a change.
        fixed_tags: The tags that all results bear.
    """

    __slots__ = ("_cache", "_fence_others", "_fixed_tags")

    def __init__(
        self,
        cache: Callable[[], Cache | None],
        fence_others: FenceOthers,
        fixed_tags: Callable[[], Sequence[str]],
    ) -> None:
        self._cache = cache
        self._fence_others = fence_others
        self._fixed_tags = fixed_tags

    def drop(self, keys: Sequence[Hashable]) -> None:
        """Drop these, which were changed elsewhere."""
        cache = self._cache()
        if cache is not None:
            self._do(cache, lambda: [cache.invalidate(key) for key in keys])

    def drop_tag(self, tag: str) -> None:
        """Drop what bears *tag*."""
        cache = self._cache()
        if cache is None:
            return
        if tag in self._fixed_tags():
            self._do(cache, cache.invalidate_all)
        elif cache.options.tags.function is not None:
            self._do(cache, lambda: cache.invalidate_tag(tag))

    def drop_all(self) -> None:
        """Drop everything."""
        cache = self._cache()
        if cache is not None:
            self._do(cache, cache.invalidate_all)

    def _do(self, cache: Cache, change: Callable[[], object]) -> None:
        missed = None if cache.shared is None else cache.shared.missed
        if missed is not None:
            missed.append(change)
        with self._fence_others(None):
            change()

    def holds(self, key: Hashable) -> bool:
        """Whether *key* has an entry, or a load of it runs; or may have one that is set aside, and comes back."""
        cache = self._cache()
        if cache is None:
            return False
        # looked at before and after: the results may be set aside, or come back, in between
        return _are_aside(cache) or key in cache.store.index or key in cache.table.by_key or _are_aside(cache)

    def tags(self) -> Sequence[str]:
        """Every tag that an entry or a running load bears, those of the function included."""
        cache = self._cache()
        fixed = self._fixed_tags()
        if cache is None or cache.options.tags.function is None:
            return tuple(fixed)
        return tuple({*fixed, *cache.store.tags(), *cache.table.tags()})


def _are_aside(cache: Cache) -> bool:
    return cache.shared is not None and cache.shared.missed is not None

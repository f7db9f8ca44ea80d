"""Which functions exporters tell of, and how they call them."""

from collections.abc import Iterable, Iterator

from memo import FunctionStats
from memo._base import LONGEST, cut

__all__ = ("is_shared", "labels_of", "was_used")


def is_shared(stats: FunctionStats) -> bool:
    """Whether it shares its results through a tier."""
    return stats.cache is not None and stats.cache.l2_hits is not None


def was_used(stats: FunctionStats) -> bool:
    """Whether there was a call, or something is there without one: from a dump, or put there."""
    cache, inflight, window, limit, adopted = stats.cache, stats.inflight, stats.window, stats.limit, stats.adopted
    return bool(
        (cache and (cache.requests or cache.size or cache.refreshes))
        or (inflight and (inflight.started or inflight.active))
        or (window and (window.count or window.dropped))
        or (limit and (limit.allowed or limit.refused or limit.waiting))
        or (adopted and (adopted.requests is None or adopted.requests or adopted.size))
    )


def labels_of(names: Iterable[str]) -> Iterator[str]:
    """The names as values of a label: at most 200 characters that can be written, of each name others.

    Two of one value would be one series twice, and then Prometheus takes nothing of the whole scrape.
    """
    taken: set[str] = set()
    for name in names:
        label, number = cut(name), 1
        while label in taken:
            number += 1
            label = f"{cut(name)[: LONGEST - 8]}#{number}"
        taken.add(label)
        yield label

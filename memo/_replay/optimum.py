"""What no policy can surpass: Belady, "A study of replacement algorithms for a virtual-storage computer", 1966.

It knows the future and keeps what is used again soonest; what would be used later than everything that is kept is not
stored at all, so that admission filters are surpassed, too.
"""

from array import array
from collections.abc import Callable, Sequence
from heapq import heapify, heappush, heapreplace

__all__ = ("next_uses", "replay_optimum")

_PASSED = 4
"""Past places are cleared from the heap when there are so many times as many as entries."""


def next_uses(order: Sequence[int], keys: int) -> "array[int]":
    """For each request the place of the next one of its key, or the number of requests."""
    requests = len(order)
    nearest = array("I", [requests]) * keys
    following = array("I", [0]) * requests
    for place in range(requests - 1, -1, -1):
        key = order[place]
        following[place] = nearest[key]
        nearest[key] = place
    return following


def replay_optimum(
    order: Sequence[int],
    following: Sequence[int],
    size: int,
    misses: "array[int]",
    chunk: int,
    moved: Callable[[int], None],
) -> None:
    """Replay the requests with the future known.

    Args:
        order: The key of each request, as a number.
        following: What ``next_uses`` tells of them.
        size: Entries that can be held.
        misses: Raised at each key that misses.
        chunk: After how many requests *moved* is called.
        moved: Told how many requests were replayed.
    """
    requests = len(order)
    # A kept key is known by the place of its next use, each of which belongs to one key.
    kept = bytearray(requests + 1)
    entries = 0
    soonest_last: list[int] = []  # those places, negative so that the heap begins with the latest; and past ones
    for start in range(0, requests, chunk):
        end = min(start + chunk, requests)
        for place in range(start, end):
            if kept[place]:
                entries -= 1
            else:
                misses[order[place]] += 1
            use = following[place]
            if use == requests:
                continue
            if entries < size:
                entries += 1
                kept[use] = 1
                heappush(soonest_last, -use)
            elif (latest := -soonest_last[0]) > use:
                kept[latest] = 0
                kept[use] = 1
                heapreplace(soonest_last, -use)
        if len(soonest_last) > _PASSED * size + chunk:
            soonest_last = [use for use in soonest_last if -use >= end]
            heapify(soonest_last)
        moved(end - start)

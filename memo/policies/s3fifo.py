"""S3-FIFO as a ``cachetools.Cache``.

S3-FIFO: Yang, Zhang, Qiu, Yue and Vigfusson, "FIFO queues are all you need for cache eviction",
SOSP 2023, https://doi.org/10.1145/3600006.3613147.  New keys enter a small queue, a tenth of the whole.  What was used
at least twice by the time it reaches the small queue's end moves to the main queue; the rest is evicted and leaves a
fingerprint in the ghost, and a key found there enters the main queue at once.  The main queue gives what was used
another round for each use, three at most.  Until the first eviction, what overflows the small queue enters the main
queue, as in the authors' simulator.

Invariants, checked by ``_check()``: those of ``TwoQueues``, and

- ``Node.mark`` is twice the count of hits up to which uses are spent, plus 1 in the main queue.

Complexity: a hit is one look-up and one addition and moves nothing; everything else takes constant time: an eviction
gives others their next round or promotes them, on average once for two hits, and 64 times at the most.  Beside an
entry's node the ghost takes 4 bytes.
"""

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from memo._rings import MOST_ROUNDS, MOST_STEPS, PROMOTED_FROM, TwoQueues, unlink

__all__ = ("S3FIFOCache",)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SMALL_SHARE = 10
"""The small queue is one part in so many."""


class S3FIFOCache(TwoQueues[K, V], Generic[K, V]):
    """A cache that evicts by S3-FIFO; usable wherever a ``cachetools.Cache`` is.

    ``cache[key]`` counts as a use and moves nothing.  Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one value; None: every value weighs 1.
    """

    __module__ = "memo.policies"

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.set_targets()

    def _divide(self) -> None:
        self._small_most = max(1, self.maxsize // _SMALL_SHARE)
        self._main_most = self.maxsize - self._small_most

    @property
    def small_share(self) -> float:
        """What part of the whole the small queue is to have: always a tenth."""
        return 1 / _SMALL_SHARE

    def _recall(self, key: K) -> int:
        return int(self._filled and self._ghost.take(key))

    def _remembered(self, entries: int) -> int:
        return max(1, entries * (_SMALL_SHARE - 1) // _SMALL_SHARE)

    def _inherit(self, old: Any, node: Any) -> None:
        uses = min(MOST_ROUNDS, old.hits - (old.mark >> 1))
        node.mark = (node.hits - uses << 1) | (old.mark & 1)

    def _victim(self) -> Any:
        self._filled = True
        small, main = self._small, self._main
        main_target = self._main_most
        steps = MOST_STEPS
        while True:
            if small.newer is small or (main.size > main_target and main.newer is not main):
                node: Any = main.newer
                uses = node.hits - (node.mark >> 1)
                if uses <= 0 or not steps:
                    return node
                unlink(node)  # another round
                main.append(node)
                node.mark = (node.hits - min(uses, MOST_ROUNDS) + 1) << 1 | 1
            else:
                node = small.newer
                if node.hits - (node.mark >> 1) < PROMOTED_FROM or not steps:
                    self._ghost.add(node.key, self._remembered(len(self.nodes)))
                    return node
                self._promote(node)
                node.mark = node.hits << 1 | 1
            steps -= 1

"""S3-FIFO whose small queue is as large as it pays, and whose main queue is for what returns in time.

Built on S3-FIFO (see ``s3fifo``), with three changes:

- *The gate.*  A key that returns from the ghost enters the main queue only if it was away for less than 0.6 of the time
  for which the main queue's oldest has been unused; else it enters the small queue with one use to its credit.  So a
  loop that is longer than the cache does not flush the main queue, and the ghost may be long: five times the number of
  entries.  This is the idea of LIRS: Jiang and Zhang, SIGMETRICS 2002, https://doi.org/10.1145/511334.511340.
- *The share.*  The small queue's part of the whole, 1 to 98 %, is computed from what misses tell: see ``Share``.
- *Filling up.*  While the small queue has more than its part and the main queue less, one entry for each eviction moves
  from the old end of the small queue to the main queue, unused as it is: else a share that shrinks would never hand
  its places over.

With ``getsizeof``, the queues and what they are to have are measured in weight; time and the ages of the candidates in
entries, of which the cache is taken to hold as many as it did of late.  The whole is then what the entries came to of
late, the small queue is to have the weight of four average entries at the least (or a tenth of the whole, if that is
less), and the main queue is filled up only if it lacks more than a tenth of the whole: entries of different weights
empty a smaller queue, or come and go between the two, with each new key.

Invariants, checked by ``_check()``: those of ``TwoQueues`` and of ``Share``, and

- ``Node.mark`` is eight times the count of hits that were seen at the last look, plus twice the credits (at most 3),
  plus 1 in the main queue.  ``Node.time`` is when the node came, or was last looked at and went on.
- Within the small queue times do not go back.

Complexity: a hit is one look-up and one addition and moves nothing; everything else takes constant time: an eviction
gives others their next round or promotes them, 64 times at the most; after every 16 to 64 new keys markers go on by as
many nodes, 1,792 at the most; and after a quarter as many as there are entries one of eight shares is chosen.
Beside an entry's node, and the number that is its time, the ghost takes 41 bytes.
"""

from bisect import bisect_left
from collections.abc import Hashable
from typing import Any, Generic, Self, TypeVar

from memo._rings import MOST_ROUNDS, MOST_STEPS, PROMOTED_FROM, REMEMBERED, Share, TwoQueues

__all__ = ("AdaptiveCache",)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_GATE = 0.6
_AT_LEAST, _A_TENTH = 4, 0.1
_SPAN = 0x7FFFFFFF
"""Times in the ghost have 31 bits."""
_INTO_MAIN = 1
_WITH_CREDIT = 2


class AdaptiveCache(TwoQueues[K, V], Generic[K, V]):
    """A cache that adapts to loops, scans, popularity and recency; usable wherever a ``cachetools.Cache`` is.

    ``cache[key]`` counts as a use and moves nothing.  Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one value; None: every value weighs 1.
    """

    __module__ = "memo.policies"

    _stamped = True
    _whole: float = 0
    """What weighed entries come to together, as it was of late."""

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._share = Share()
        self.set_targets()

    def _divide(self) -> None:
        self._small_most = self._small_part(self.maxsize)

    def _small_part(self, whole: float) -> float:
        """What the small queue is to have of *whole*."""
        most = self._share.most(whole)
        if (
            self._weighs
        ):  # a few entries at least, or a tenth: else one that is larger than most takes of the main queue
            most = max(most, min(_AT_LEAST / (len(self.nodes) or 1), _A_TENTH) * whole)
        return most

    @property
    def small_share(self) -> float:
        """What part of the whole the small queue is to have at present."""
        return self._share.part

    # -- a new key

    def _recall(self, key: K) -> int:
        share = self._share
        share.now = now = share.now + 1
        if now >= share.tick:
            self._go_on()
        stamp = self._ghost.recall(key) if self._filled else -1
        return 0 if stamp < 0 else self._returned(stamp)

    def _go_on(self) -> None:
        share = self._share
        if share.go_on(self._small, len(self.nodes)):
            self.set_targets()
            self._ghost.fit(REMEMBERED * share.entries)

    def _returned(self, stamp: int) -> int:
        """How the node of a key begins that the ghost had, with that stamp."""
        share = self._share
        now = share.now
        away = now - (stamp >> 1) & _SPAN
        share.late[bisect_left(share.ages, away)] += 1
        if stamp & 1 and away <= share.soon:
            share.back += 1
        main = self._main
        oldest: Any = main.newer
        if oldest is main:
            return _INTO_MAIN
        if oldest.mark & 6 or oldest.hits > oldest.mark >> 3:  # it is due another round
            self._visit(oldest, now)
            oldest = main.newer
            if oldest.mark & 6 or oldest.hits > oldest.mark >> 3:
                return _WITH_CREDIT
        return _INTO_MAIN if away <= _GATE * (now - oldest.time) else _WITH_CREDIT

    def _prepare(self, node: Any, recalled: int) -> int:
        node.time = self._share.now
        return super()._prepare(node, recalled)

    def _inherit(self, old: Any, node: Any) -> None:
        mark = old.mark
        uses = min(MOST_ROUNDS, (mark >> 1 & 3) + old.hits - (mark >> 3))
        node.mark = node.hits << 3 | uses << 1 | mark & 1
        node.time = old.time

    # -- eviction

    def _visit(self, node: Any, now: int) -> bool:
        """Look at the main queue's oldest, and give it another round if it has earned one: whether it has."""
        share = self._share
        hits, mark = node.hits, node.mark
        share.visits += 1
        share.visited += now - node.time or 1
        new = hits - (mark >> 3)
        credit = (mark >> 1 & 3) + new
        if not credit:
            return False
        if new:
            share.used += 1
            if credit > MOST_ROUNDS:
                credit = MOST_ROUNDS
        main = self._main
        newer = node.newer
        main.newer = newer
        newer.older = main
        newest = main.older
        node.older = newest
        node.newer = main
        newest.newer = main.older = node
        node.mark = hits << 3 | credit - 1 << 1 | 1
        node.time = now
        return True

    def _victim(self) -> Any:
        share = self._share
        if not self._filled:
            self._filled = True
            share.begin(len(self.nodes))
        small, main = self._small, self._main
        whole = small.size + main.size
        now, markers = share.now, share.markers
        if whole != self.maxsize:
            if self._weighs:  # what it comes to: at one moment it is less by the entry that there must be room for
                self._whole = whole = max(whole, self._whole * (1 - 2 / share.entries))
            small_most = self._small_part(whole)
        else:
            small_most = self._small_most
        main_most = whole - small_most
        filled_up = False
        steps = MOST_STEPS
        while True:
            if small.newer is small or (main.size > main_most and main.newer is not main):
                node: Any = main.newer
                if steps and self._visit(node, now):
                    steps -= 1
                    continue
                share.gone += 1
                self._ghost.add(node.key, REMEMBERED * share.entries, node.time << 1 | 1)
                return node
            node = small.newer
            if markers and markers[-1] is node:
                share.pass_by(node, small)
            hits, mark = node.hits, node.mark
            if hits:
                share.exits += 1
            if hits - (mark >> 3) + (mark >> 1 & 3) >= PROMOTED_FROM and steps:
                steps -= 1
            elif not filled_up and small.size > small_most and self._is_to_spare(node, small_most, main_most):
                filled_up = True
            else:
                self._ghost.add(node.key, REMEMBERED * share.entries, node.time << 1)
                return node
            self._promote(node)
            node.mark = hits << 3 | 1
            node.time = now

    def _is_to_spare(self, node: Any, small_most: float, main_most: float) -> bool:
        """Whether the small queue has enough without its oldest, and the main queue too little."""
        if node.newer is self._small:
            return False
        if self._weighs:  # a large entry often takes something of the main queue: that is no reason to fill it up
            main_most -= _A_TENTH * (main_most + small_most)
            size = node.size
        else:
            size = 1
        return bool(self._small.size - size >= small_most and self._main.size + size <= main_most)

    def _pass_by(self, node: Any) -> None:
        if self._share.markers and not node.mark & 1:
            self._share.pass_by(node, self._small)

    def _forget(self) -> None:
        super()._forget()
        self._share = Share()
        self.set_targets()

    # -- copies

    def __copy__(self) -> Self:
        copied: Any = super().__copy__()
        copied._share = share = Share()
        share.resume(self._share)
        return copied  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state["_share"] = share = Share()
        share.resume(self._share)
        return state

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        super()._check()
        self._share._check(self._small)
        times = [node.time for node in self._small]
        assert times == sorted(times), "the small queue's times go back"

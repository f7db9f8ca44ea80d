"""How large a part of the whole the small queue should be: computed from what misses tell, not searched for.

Time is counted in new keys.  For each candidate size x of the small queue two things are estimated, in hits a new key:

- What it would gain: a queue of length x turns into hits what is used again within x new keys.  Uses later than the
  small queue is long are returns from the ghost, whose distance the ghost knows.  For shorter queues *markers* stand in
  the small queue at the ages of the candidates, and see whether the node that grows past that age has been used.
- What the main queue would lose: its *density*, hits for each place and new key, is measured where the policy looks at
  a node's uses anyway, at the main queue's old end.  Half of it is the average over all its nodes, half what its last
  places are worth: how many of those that it evicts come back soon after.

The smallest candidate that is all but the best is taken.

Equal marginals: Stone, Turek and Wolf, "Optimal partitioning of cache memory", IEEE Transactions on Computers 41(9),
1992, https://doi.org/10.1109/12.165388.

Invariants, checked by ``_check()``:

- ``markers[j]`` is the youngest node of the small queue that has passed the age of candidate j, or, since markers move
  rarely and only so far at once, an older one.  Candidates beyond the list have no such node, or are not below the
  present share.  So markers stand in order, and where one stands on the oldest node, all that follow do.
- A marker's node hangs in the small queue: who takes one out calls ``pass_by()`` first.
"""

import math
from typing import Any

from memo._rings.ring import Node, Queue

__all__ = ("SHARES", "Share")

SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 0.98)
"""The candidates: what part of the whole the small queue may be."""
_START = 1
"""Which of them it is at first."""
_MEMORY = 8
"""After so many times the number of entries of new keys, what was counted so far counts half."""
_CARE = 0.85
"""Factor of the density: moving a border costs more than it seems."""
_NEARLY, _WORTH = 0.0005, 0.001
"""What is as good as the best, and what a change to a larger small queue must gain."""
_SOME, _SOON = 3, 0.02
"""The fewest evictions from the main queue, and the smallest part of the looks at its nodes, that tell what its last
places are worth.  In a loop nothing is evicted, and the average says it all."""
_BEATS, _LEAST_BEAT, _MOST_BEAT = 64, 16, 64
"""Markers move so often while as many new keys come as there are entries, but not after fewer or more than these."""
_MOST_MOVES = 4
"""A marker moves by no more than so many times the nodes that are due."""
_CHOICES, _LEAST_WAIT = 4, 100
"""The share is chosen so often while as many new keys come as there are entries, but not after fewer than these."""


class Share:
    """The controller of the small queue's size, and the clock of its policy.

    Its counts are raised by the policy, where it comes by what they count.
    """

    __slots__ = (
        "_at", "_beat", "_early", "_halve", "_logs", "_misses", "_next", "_since", "ages", "back", "entries", "exits",
        "gone", "late", "markers", "now", "soon", "tick", "used", "visited", "visits",
    )  # fmt: skip

    def __init__(self) -> None:
        self.now = 0
        """New keys so far."""
        self._at = _START
        self._next = self._halve = -1
        """When to choose again, and when to halve the counts; -1: not before the first eviction."""
        self.markers: list[Node] = []
        self._early = [0.0] * len(SHARES)
        """Nodes that were used when they had the age of candidate j."""
        self.late = [0.0] * (len(SHARES) + 1)
        """Keys that returned from the ghost at an age up to ``ages[j]``; the last: beyond all."""
        self.exits = 0.0
        """Nodes that were used when they came to the small queue's end."""
        self.visits = 0.0
        """Looks at the main queue's oldest, ..."""
        self.visited = 0.0
        """... the new keys from the last look at each of them to this one, ..."""
        self.used = 0.0
        """... and how many had been used since."""
        self.gone = 0.0
        """Evictions from the main queue."""
        self.back = 0.0
        """How many of these returned soon after."""
        self._misses = 0.0
        self._since = 0
        """New keys that the counts are about: those before this time, and those after it."""
        self.fit(0)

    # -- the present share

    @property
    def part(self) -> float:
        """What part of the whole the small queue is to be."""
        return SHARES[self._at]

    def most(self, whole: float) -> float:
        """What the small queue is to have of *whole*."""
        most = max(1, whole * SHARES[self._at])
        return int(most) if most < math.inf else most

    # -- time

    def fit(self, entries: int) -> None:
        """Have ages and intervals be those of a cache of so many entries."""
        self.entries = entries = max(1, entries)
        """The number of entries, as it was of late."""
        self.ages = [max(1, int(entries * share)) for share in SHARES]
        """The ages of the candidates."""
        self._logs = [math.log(max(1, entries - age)) for age in self.ages]
        self.soon: float = self.entries
        """How long a key is away at the most, of those that count as ``back``."""
        self._beat = min(_MOST_BEAT, max(_LEAST_BEAT, entries // _BEATS))
        self.tick = self.now + self._beat
        """When to call ``go_on()``."""

    def begin(self, entries: int) -> None:
        """The cache is full for the first time, with so many entries."""
        self.fit(entries)
        self._since = self.now
        self._next = self.now + self.entries
        self._halve = self.now + _MEMORY * self.entries

    def go_on(self, small: Queue, entries: int) -> bool:
        """Move the markers, and choose a share if it is time: whether that has been chosen."""
        now = self.now
        self.tick = now + self._beat
        if self._next < 0:
            return False
        self._move_markers(small)
        if now < self._next:
            return False
        if entries != self.entries:
            self.fit(entries)
        if now >= self._halve:
            self._halve_counts()
        self.soon = self.entries + self.visited / (self.visits or 1)
        self._next = now + max(_LEAST_WAIT, entries // _CHOICES)
        self._at = self._chosen()
        return True

    def resume(self, other: "Share") -> None:
        """Have the time and the share of *other*, but neither its counts nor its markers."""
        self.now = other.now
        self._at = other._at
        self.fit(other.entries)
        if other._next >= 0:
            self.begin(other.entries)

    # -- markers

    def _move_markers(self, small: Queue) -> None:
        markers, early, ages, now = self.markers, self._early, self.ages, self.now
        del markers[self._at :]  # of larger queues than the present one the policy tells itself
        most = _MOST_MOVES * self._beat
        for j in range(self._at):
            node: Any = markers[j] if j < len(markers) else small
            newer = node.newer
            born = now - ages[j]
            if newer.time > born:
                continue
            born = min(born, newer.time + most)  # a late marker catches up by and by
            used = 0
            while newer.time <= born:  # the ring itself comes never
                if newer.hits:
                    used += 1
                newer = newer.newer
            early[j] += used
            markers[j : j + 1] = (newer.older,)

    def forget_markers(self) -> None:
        """Have none; they come again as the small queue is gone through."""
        self.markers.clear()

    def pass_by(self, node: Node, small: Queue) -> None:
        """Have no marker stand on *node*, which is about to leave the small queue."""
        markers = self.markers
        older = node.older
        if older is small:
            while markers and markers[-1] is node:
                markers.pop()
        else:
            for j, marked in enumerate(markers):
                if marked is node:
                    markers[j] = older

    # -- the choice

    def _halve_counts(self) -> None:
        now = self.now
        self._halve = now + _MEMORY * self.entries
        self._misses = (self._misses + now - self._since) / 2
        self._since = now
        self._early = [count / 2 for count in self._early]
        self.late = [count / 2 for count in self.late]
        for name in ("exits", "used", "visited", "visits", "gone", "back"):
            setattr(self, name, getattr(self, name) / 2)

    def _density(self) -> float:
        """Hits of the main queue for each place and new key."""
        density = self.used / self.visited if self.visited else 0.0
        if self.gone >= _SOME and self.gone > _SOON * self.visits:
            density = (density + min(density, self.back / (self.gone * self.entries))) / 2
        return _CARE * density

    def _chosen(self) -> int:
        """Which candidate earns most."""
        at, ages, logs = self._at, self.ages, self._logs
        misses = self._misses + self.now - self._since
        density = self._density()
        rest = self.entries - ages[at]
        earned = []
        found = 0.0
        within = self.exits
        for j, age in enumerate(ages):
            within += self.late[j]
            used = self._early[j] if j < at else within
            if used > found:
                found = used
            # the main queue gives up places, the worst ones first; or it gets some, and fills them with keys that are
            # known to return
            loss = density * (rest * (logs[at] - logs[j]) if j > at else age - ages[at])
            earned.append(found / misses - loss)
        best = max(earned)
        first = next(j for j, earning in enumerate(earned) if earning >= best - _NEARLY)
        return first if first < at or best > earned[at] + _WORTH else at

    def _check(self, small: Queue) -> None:
        """Raise AssertionError unless the invariants hold."""
        places = {id(node): place for place, node in enumerate(small)}
        stands = [places.get(id(node), -1) for node in self.markers]
        assert -1 not in stands, "a marker stands on a node that left"
        assert len(stands) <= len(SHARES), "there are more markers than candidates"

"""What is asked of a limit: how much room there is, its figures, and to forget what began."""

from __future__ import annotations

from collections.abc import Hashable

from memo._base import Tracked, sizeof
from memo._call import belongs_to, comparing_outside
from memo._rate.followed import Followed
from memo._rate.limiter import Limiter
from memo._rate.stats import LimitStats

__all__ = ("LimitReader",)


class LimitReader:
    """Answers about one limit, from any thread.

    Args:
        limiter: What counts the calls.
    """

    __slots__ = ("_limiter",)

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def __str__(self) -> str:
        return str(self._limiter.rate)

    def remaining(self, key: Hashable) -> int:
        """How many calls of *key* may begin now."""
        return comparing_outside(self._limiter.lock, self._remaining, self._limiter.at_hand(key))

    def _remaining(self, key: Hashable) -> int:
        limiter = self._limiter
        with limiter.lock:
            now = limiter.clock.read()
            one = limiter.table.find(key)
            if one is None:
                return 0 if limiter.table.make_room(now) else limiter.rate.calls
            return max(0, limiter.rate.calls - one.starts.live(now) - len(one.queue))

    def retry_after(self, key: Hashable) -> float:
        """In how many seconds a call of *key* may begin; 0.0: now."""
        return comparing_outside(self._limiter.lock, self._retry_after, self._limiter.at_hand(key))

    def _retry_after(self, key: Hashable) -> float:
        limiter = self._limiter
        with limiter.lock:
            now = limiter.clock.read()
            one = limiter.table.find(key)
            if one is None:
                full = limiter.table.make_room(now)
                return 0.0 if full is None else full.after_s
            one.starts.live(now)
            return one.planned(now) - now

    def forget(self, key: Hashable) -> bool:
        """Have the calls of *key* that began count no more; whether there were any."""
        found = comparing_outside(self._limiter.lock, self._find, self._limiter.at_hand(key))
        return found is not None and self._let_go([found]) > 0

    def _find(self, key: Hashable) -> Followed | None:
        with self._limiter.lock:
            return self._limiter.table.find(key)

    def reset(self, scope: Hashable | None = None) -> int:
        """Have all calls that began count no more, or those of one instance; how many keys had some."""
        return self._let_go([one for one in self._all() if belongs_to(one.key, scope)])

    def _let_go(self, found: list[Followed]) -> int:
        limiter = self._limiter
        with limiter.lock:
            number, turns = limiter.table.let_go(found, limiter.clock.read())
        limiter.ring(turns)
        return number

    def followed(self, scope: Hashable | None = None) -> int:
        """How many keys are followed, or of those of one instance."""
        return sum([belongs_to(one.key, scope) for one in self._all()])

    def _all(self) -> list[Followed]:
        with self._limiter.lock:
            return list(self._limiter.table.by_key.values())

    def stats(self, name: str) -> LimitStats:
        """The figures now."""
        limiter = self._limiter
        with limiter.lock:
            counts = limiter.counts
            return LimitStats(
                name,
                limiter.rate.calls,
                limiter.rate.span_s,
                counts.allowed,
                counts.delayed,
                counts.refused,
                counts.crowded,
                counts.delay_s,
                len(limiter.waiting),
                len(limiter.table.by_key),
                limiter.table.most,
            )

    def tracked(self) -> Tracked:
        """The keys that are followed."""
        held = [(one.key, one.starts) for one in self._all()]
        return Tracked(len(held), self._limiter.table.most, sizeof(held))

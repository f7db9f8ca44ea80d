"""The serving rule: whether an entry may answer a call now, and as what.

Nobody else decides it; but the generated wrapper of a hit asks the same of ``deadline`` and ``used`` in its own text,
since a call would cost more than the answer.

- An entry without staleness of its own is *fresh* until its deadline, and *over* from then on.
- A ``RichEntry`` is *stale* from its deadline to its end.  How much of that counts for what
  (``stale_while_revalidate``, ``stale_if_error``) is told by who answers calls.
- A remembered failure is one until its end: fresh or stale it never is.
- Whatever was not used for ``idle`` is over.
"""

import enum
from collections.abc import Iterable
from typing import Any

__all__ = ("Serving", "Standing")


class Standing(enum.Enum):
    """What an entry is good for at one moment."""

    FRESH = "fresh"
    """It answers a call as a hit."""
    STALE = "stale"
    """Past its time to live, it may answer where the options allow that."""
    FAILURE = "failure"
    """It says that a load failed a moment ago, and with what."""
    OVER = "over"
    """Past its life, it answers nobody any more."""


_FRESH, _STALE, _FAILURE, _OVER = Standing


class Serving:
    """The rule as it is for the entries of one store.

    Args:
        idle_s: Seconds after its last use at which an entry is over; None: never.
        rich: Entries are ``RichEntry``.
    """

    __slots__ = ("_idle_s", "_plain", "_rich")

    def __init__(self, idle_s: float | None, rich: bool) -> None:
        self._idle_s = idle_s
        self._rich = rich
        self._plain = not rich and idle_s is None

    def standing(self, entry: Any, now: float) -> Standing:
        """What *entry* is good for now."""
        if self._plain:
            return _FRESH if now < entry.deadline else _OVER
        idle_s = self._idle_s
        if idle_s is not None and now >= entry.used + idle_s:
            return _OVER
        if not self._rich:
            return _FRESH if now < entry.deadline else _OVER
        if now >= entry.ends:
            return _OVER
        if entry.failure:
            return _FAILURE
        return _FRESH if now < entry.deadline else _STALE

    def past_life(self, entry: Any, now: float) -> bool:
        """Whether *entry* is over."""
        return self.standing(entry, now) is _OVER

    def over(self, entries: Iterable[Any], now: float) -> list[bool]:
        """Of each entry, whether it is over: in one go, since there may be a million of them."""
        if self._plain:
            return [now >= entry.deadline for entry in entries]
        return [self.standing(entry, now) is _OVER for entry in entries]

    def live(self, entries: Iterable[Any], now: float) -> list[Any]:
        """Those whose values may be shown: fresh or stale ones, and no failures."""
        if self._plain:
            return [entry for entry in entries if now < entry.deadline]
        good = (_FRESH, _STALE)
        return [entry for entry in entries if self.standing(entry, now) in good]

    def rewind(self, entries: Iterable[Any], now: float, pause_s: float) -> None:
        """Have what was stored or used later than *now* count as stored or used now; see ``Store.rewind()``."""
        for entry in entries:
            if entry.stored > now:
                entry.deadline = now + (entry.deadline - entry.stored)
                if self._rich:
                    entry.ends = now + (entry.ends - entry.stored)
                entry.stored = now
            if self._idle_s is not None and entry.used > now:
                entry.used = now
            if self._rich:
                entry.retry = min(entry.retry, now + pause_s)
                entry.paused = min(entry.paused, now + pause_s)

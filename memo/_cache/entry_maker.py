"""What is stored of a value or of a failure: an entry with its times, its size and its tags."""

import logging
import math
import random
from collections.abc import Hashable
from typing import Any

from memo._base import TaggedCall, frameless_copy, real_number, seconds, short_text, sizeof
from memo._cache.awaited_listener import loop_here
from memo._cache.options import CacheOptions
from memo._call import CallInfo, plain_key
from memo._store import Entry, Failure, IdleEntry, LoopEntry, RichEntry, TrackedEntry, WeighedEntry, weight

__all__ = ("EntryMaker",)

log = logging.getLogger("memo")

_NEVER = math.inf
"""The one object that stands for no deadline: each sum with it would be another, of 24 bytes an entry."""


class EntryMaker:
    """Makes the entries of one function.  Asks the user's ``ttl``, ``cache_if`` and ``sizeof``, so under no lock.

    Args:
        name: The function's qualified name, for messages.
        options: What ``bounded`` was told.
    """

    def __init__(self, name: str, options: CacheOptions) -> None:
        self.name = name
        self.options = options
        self.life_s: float = _NEVER if options.ttl_s is None else options.ttl_s
        """Seconds for which a value is fresh, where ``ttl`` is the same for all."""
        self.simple: bool = (
            not options.jitter
            and not options.rich
            and all(option is None for option in (options.cache_if, options.max_bytes, options.idle_s, options.ttl_of))
        )  # whether a function is true is its own affair
        """An entry needs nothing but a value and a deadline."""

    def make(
        self,
        key: Hashable,
        value: Any,
        now: float,
        tags: tuple[str, ...] | None = (),
        kind: type[Entry] = TrackedEntry,
        *,
        restored: bool = False,
    ) -> Any:
        """A new entry; None if the value is to be returned but not stored.

        Args:
            key: Its key.
            value: What is stored.
            now: The time.
            tags: Those of the call, a ``TaggedCall`` where that is asked about.
            kind: What to make where the options ask for no more; see ``Store.entry``.
            restored: It comes from a file, so that nobody knows the call: it was wanted once.
        """
        if self.simple:
            plain = kind()
            plain.value = value
            plain.hits = plain.counted = 0
            plain.stored = now
            plain.deadline = _after(now, self.life_s)
            return plain
        options = self.options
        call = None
        if type(tags) is TaggedCall:
            call, tags = tags.call, tuple(tags)
        assert call is not None or tags is None or restored or not options.asks_call, "nobody noted the call"
        life_s = self._life_of(value, call)
        if life_s is None or tags is None or not self._is_wanted(value, call):
            return None
        return self._new(key, value, now, life_s, tags, kind)

    def adopt(
        self, key: Hashable, value: Any, now: float, tags: tuple[str, ...] | None, kind: type[Entry] = TrackedEntry
    ) -> Any:
        """A new entry of a value that was wanted where it was loaded; ``date()`` gives it the life that it has left.

        Args:
            key: Its key.
            value: What is stored.
            now: The time.
            tags: Those of the call.
            kind: What to make where the options ask for no more; see ``Store.entry``.
        """
        return self._new(key, value, now, self.life_s, tuple(tags or ()), kind)

    def date(self, entry: Any, stored: float, deadline: float | None = None, used: float | None = None) -> None:
        """Give *entry*, which is new and in no store, another life than one that begins now, and lasts for all ``ttl``.

        Args:
            entry: The entry.
            stored: When its load ended.
            deadline: When it is stale; None: as it is.
            used: When it was last used, where that matters; None: as it is.
        """
        entry.stored = stored
        if deadline is not None:
            if self.options.rich:
                entry.ends = deadline + self.options.stale_s
            entry.deadline = deadline
        if used is not None and self.options.idle_s is not None:
            entry.used = used

    def _new(
        self, key: Hashable, value: Any, now: float, life_s: float, tags: tuple[str, ...], kind: type[Entry]
    ) -> Any:
        options = self.options
        deadline = _after(now, life_s)
        entry: Any
        if options.rich:
            if options.notes_loops:
                entry = LoopEntry()
                entry.loop = loop_here()
            else:
                entry = RichEntry()
            entry.used = now
            entry.ends = deadline + options.stale_s if options.stale_s else deadline
            entry.retry = entry.paused = -math.inf
            entry.stale_hits = entry.counted_stale = 0
            entry.failure = False
            entry.tags = tags
        elif options.idle_s is not None:
            entry = IdleEntry()
            entry.used = now
        else:
            entry = kind() if options.max_bytes is None else WeighedEntry()
        if options.max_bytes is not None:
            entry.size = self._measured(plain_key(key), value, tags)
        entry.value = value
        entry.hits = entry.counted = 0
        entry.stored = now
        entry.deadline = deadline
        return entry

    def _is_wanted(self, value: Any, call: CallInfo | None) -> bool:
        """Whether ``cache_if`` lets *value* be stored."""
        cache_if = self.options.cache_if
        try:
            if self.options.cache_if_asks and cache_if is not None:
                return call is None or bool(cache_if(value, call))
            return cache_if is None or bool(cache_if(value))
        except Exception:
            log.exception("%s: cache_if raised; the value is returned but not stored", self.name)
            return False

    def _life_of(self, value: Any, call: CallInfo | None) -> float | None:
        """Seconds for which *value* is fresh, infinite if there is no limit; None if it is not to be stored."""
        options = self.options
        life_s = self.life_s
        if options.ttl_of is not None and not (options.ttl_asks and call is None):
            try:
                ttl = options.ttl_of(value, call) if options.ttl_asks else options.ttl_of(value)
                if ttl is not None:
                    life_s = seconds(ttl, where=self.name, option="ttl(value)", zero_ok=True, negative_ok=True)
            except Exception:
                log.exception("%s: ttl(value) failed; the value is returned but not stored", self.name)
                return None
            if life_s == 0:
                return None
        return life_s * (1.0 - options.jitter * random.random()) if options.jitter else life_s

    def _measured(self, key: Hashable, value: Any, tags: tuple[str, ...]) -> int | None:
        """Bytes of an entry; None if ``sizeof`` cannot tell.  It prices the value, and never the key or the entry."""
        try:
            if self.options.sizeof is sizeof:
                return weight(key, tags, value)
            answer = self.options.sizeof(value)
            size = real_number(answer)
            if size is not None and 0 <= size < math.inf:
                return math.ceil(size) + weight(key, tags)
        except Exception:
            log.exception("%s: sizeof raised; the value is returned but not stored", self.name)
            return None
        shown = short_text(answer)
        log.error("%s: sizeof returned %s, not a number of bytes; the value is not stored", self.name, shown)
        return None

    def failure(self, key: Hashable, error: Exception, tags: tuple[str, ...] | None) -> RichEntry | None:
        """What to remember of a failure, but for its times; None: nothing."""
        if tags is None:
            return None
        remembered = frameless_copy(error)
        if remembered is None:
            log.warning("%s: %s cannot be copied, and so is not remembered", self.name, short_text(error))
            return None
        entry = RichEntry()
        entry.value = Failure(remembered)
        entry.failure = True
        entry.hits = entry.counted = entry.stale_hits = entry.counted_stale = 0
        entry.deadline = entry.retry = entry.paused = -math.inf
        entry.tags = tuple(tags)
        if self.options.max_bytes is not None:
            entry.size = weight(key, tags, remembered)
        return entry


def _after(now: float, life_s: float) -> float:
    """The time *life_s* from *now*."""
    return life_s if life_s is _NEVER else now + life_s

"""Loads of results that are shared through a tier: what their leaders do in place of running the function.

- What the tier has is adopted, with the life that is left of it.  Else it gives leave to load for all processes (a
  *grant*), which ends in one of two ways: the result is stored there, or the grant is released, whatever strikes.
- A result is stored here only if the tier has not refused it: then the key was changed meanwhile, here or elsewhere.
  What was fenced here is not stored there: the flight may have been forgotten, of which the tier knows nothing.
- Who loads apart from the table (a recursion, a call that must not wait) is outside of all this: it would wait for a
  grant that its own thread has, and what it returns is kept nowhere.
- Nothing here is done under a lock.
"""

import math
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any

from memo._base import Clock
from memo._cache.entry_maker import EntryMaker
from memo._cache.sharing import Sharing
from memo._cache.tier_link import Found, Link, LinkFigures
from memo._flight import CALL, REFRESH, FlightTable, InFlight, Role
from memo._store import Store

__all__ = ("Beside", "Came", "SharedLoads")


class Came:
    """How the result of a flight came."""

    __slots__ = ("asked", "entry", "found", "is_made", "left", "refused", "spent_s", "stored")

    def __init__(self) -> None:
        self.asked: Any = None
        """What the tier answered: the leave to load as long as it is held, or a ``Found``."""
        self.left: Found | None = None
        """What was stale in the tier, where the leave to load has been given back."""
        self.found: bool = False
        """The tier had it: the function did not run."""
        self.stored: float = -math.inf
        """When that was loaded, by the clock here."""
        self.is_made: bool = False
        """``entry`` is known."""
        self.entry: Any = None
        """What is to be stored here; None: nothing is."""
        self.refused: bool = False
        """The tier refused it, so that nothing is stored here either."""
        self.spent_s: float = 0.0
        """Seconds that the function took."""

    @property
    def stale(self) -> Found | None:
        """What the tier has for the case that the load fails."""
        asked = self.asked
        return self.left if asked is None or type(asked) is Found else asked.stale


class Beside:
    """What of ``SharedLoads`` is exchanged while the results are set aside.

    Args:
        link: The way to the tier.
        is_out: It is not made for that, but to be exchanged at the end: nothing was set aside.
    """

    NAMES = ("before", "missed")

    def __init__(self, link: Link, *, is_out: bool) -> None:
        self.before: LinkFigures = link.figures()
        self.missed: list[Callable[[], object]] | None = None if is_out else []


class SharedLoads:
    """Leads the loads of one function through its tier.

    Args:
        sharing: The tier.
        store: The results here.
        table: The running loads.
        maker: Makes entries.
    """

    def __init__(self, sharing: Sharing, store: Store, table: FlightTable, maker: EntryMaker) -> None:
        self.link: Link = sharing.link
        self.is_apart: Callable[[], bool] = sharing.is_apart
        self.fixed_tags: Callable[[], Sequence[str]] = sharing.fixed_tags
        self.missed: list[Callable[[], object]] | None = None
        """What was changed elsewhere while the results are set aside, to be done to them too; None: they are not."""
        self.before: LinkFigures = LinkFigures()
        """What the link has counted that counts here no more, or not now."""
        self._store = store
        self._by_key = table.by_key
        self._maker = maker
        self._copy = maker.options.copy
        self._clock: Clock = table.clock

    # -- leading

    def lead(self, flight: InFlight, run: Callable[[], Any], accept: Callable[[Any], Any], role: Role | None) -> Any:
        tags = self._tags_of(flight)
        if tags is None:
            return run()
        came = flight.came = Came()
        try:
            asked = came.asked = self.link.ask(flight.key, tags, newer=flight.purpose is REFRESH)
            if type(asked) is Found and self._is_too_old(flight, asked):
                asked = came.asked = self.link.ask(flight.key, tags, newer=True)
            if type(asked) is Found:
                return self._adopt(flight, came, asked, accept, role)
            began = self._clock.read()
            value = run()
            life_s = self._made(flight, came, value, began)
            if came.asked is None or life_s is None:
                self._say_alone(flight)
            else:
                came.refused = not self.link.store(came.asked, self._handed(value), life_s)
                came.asked = None
            return value
        finally:
            self._release(came)

    async def lead_awaited(
        self, flight: InFlight, run: Callable[[], Awaitable[Any]], accept: Callable[[Any], Any], role: Role | None
    ) -> Any:
        tags = self._tags_of(flight)
        if tags is None:
            return await run()
        came = flight.came = Came()
        try:
            asked = came.asked = await self.link.ask_awaited(flight.key, tags, newer=flight.purpose is REFRESH)
            if type(asked) is Found and self._is_too_old(flight, asked):
                asked = came.asked = await self.link.ask_awaited(flight.key, tags, newer=True)
            if type(asked) is Found:
                return self._adopt(flight, came, asked, accept, role)
            began = self._clock.read()
            value = await run()
            life_s = self._made(flight, came, value, began)
            if came.asked is None or life_s is None:
                self._say_alone(flight)
            else:
                came.refused = not await self.link.store_awaited(came.asked, self._handed(value), life_s)
                came.asked = None
            return value
        finally:
            self._release(came)

    def _tags_of(self, flight: InFlight) -> tuple[str, ...] | None:
        """All that the result of *flight* bears; None: the tier is not asked about it."""
        tags = flight.tags
        if tags is None or self._by_key.get(flight.key) is not flight or self.is_apart():
            return None
        return self.all_tags(tags)

    def all_tags(self, tags: Iterable[str]) -> tuple[str, ...]:
        """All that a result bears for whose call *tags* were computed."""
        return tuple(dict.fromkeys((*self.fixed_tags(), *tags)))

    def _is_too_old(self, flight: InFlight, found: Found) -> bool:
        """Whether what was *found* will not do for the leader of *flight*."""
        return flight.purpose is not CALL and self._clock.read() - found.age_s <= flight.after

    def _adopt(
        self, flight: InFlight, came: Came, found: Found, accept: Callable[[Any], Any], role: Role | None
    ) -> Any:
        """Make an entry of what the tier had; its value as it is kept and shared."""
        value = accept(found.value)
        now = self._clock.read()
        came.entry = self.entry(flight.key, found._replace(value=value), flight.tags, now)
        came.stored = now - found.age_s
        came.is_made = came.found = True
        if role is not None:
            role.found = True
        return value

    def _made(self, flight: InFlight, came: Came, value: Any, began: float) -> float | None:
        """Make an entry of what the function returned; for how many seconds it may be shared, None: not at all."""
        now = self._clock.read()
        came.spent_s = max(0.0, now - began)  # the clock may have been put back
        entry = self._maker.make(flight.key, value, now, flight.tags, self._store.entry)
        life_s = None if entry is None else self.shared_life(entry, now)
        came.entry = entry
        came.is_made = True
        # the same object, unless something fenced the flight: then no key is compared that differs
        return life_s if self._by_key.get(flight.key) is flight else None

    def shared_life(self, entry: Any, now: float) -> float | None:
        """For how many seconds *entry*, which is new, is shared, None: not at all; here it lives no longer than it may.

        What has no end stays here alone: on a server it would stay for ever.
        """
        life_s: float = entry.deadline - now
        deadline = self.local_deadline(entry.deadline, now)
        if deadline < entry.deadline:
            self._maker.date(entry, now, deadline)
        return life_s if 0 < life_s < math.inf else None

    def local_deadline(self, deadline: float, now: float) -> float:
        """When what is shared until *deadline* is stale here."""
        local_s = self.link.local_s
        return deadline if local_s is None else min(deadline, now + local_s)

    def know(self, key: Hashable, entry: Any) -> None:
        """Tell the tier of *entry*, which comes from a file."""
        self.link.know(key, self.all_tags(entry.tags if self._maker.options.rich else ()))

    def _say_alone(self, flight: InFlight) -> None:
        """Have what the tier and others hold dropped, where a refresh does not replace it, fenced or not."""
        if flight.purpose is REFRESH:
            self.link.invalidate((flight.key,))

    def _release(self, came: Came) -> None:
        """Give back a leave to load that has come to nothing; nothing more is held of what the tier answered."""
        asked = came.asked
        if asked is not None and type(asked) is not Found:
            came.left = asked.stale
            came.asked = None
            self.link.release(asked)
        came.asked = None

    def _handed(self, value: Any) -> Any:
        """*value* for whoever makes text of it, and may alter it."""
        copy = self._copy
        return value if copy is None else copy(value)

    # -- what the keeper asks

    def entry(self, key: Hashable, found: Found, tags: tuple[str, ...] | None, now: float) -> Any:
        """An entry of what the tier had, fresh or stale, as old as that is."""
        entry = self._maker.adopt(key, found.value, now, tags, self._store.entry)
        self._maker.date(entry, now - found.age_s, now + found.left_s)
        return entry

    # -- figures

    def figures(self) -> LinkFigures:
        """What came of its questions, as far as that counts here."""
        return self.link.figures().since(self.before)

    def forget_figures(self) -> None:
        """Count anew."""
        self.before = self.link.figures()

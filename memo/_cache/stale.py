"""What answers a call that found no fresh value.

What a call finds, and what it gets, is decided here and in ``stale_values``; the running of loads is the business of
``_flight``, and of ``background`` where no caller runs them.  A call that a stale value may answer in the end is
counted here, once it is known what it was.
"""

from collections.abc import Hashable
from typing import Any

from memo._cache.cache import Cache
from memo._cache.fallback import Fallback
from memo._cache.loads import log_failure
from memo._cache.stale_values import StaleValues
from memo._cache.terms import ANY, Terms
from memo._cache.waits import Waits
from memo._call import Call
from memo._flight import CALL, LATE_CALL, Role
from memo._store import RichEntry

__all__ = ("Stale",)


class Stale:
    """Answers calls of one function that found no fresh value, and that wait as long as the function says.

    Args:
        cache: Its results.
        stale: What stale values may do.
        waits: Wait for background loads.
        fallback: What stands in for the errors that this raises.
    """

    def __init__(self, cache: Cache, stale: StaleValues, waits: Waits, fallback: Fallback) -> None:
        self.name: str = cache.name
        self._flights: Any = cache.flights
        self._clock = cache.clock
        self._counts = cache.counts
        self._soft_s = cache.options.soft_s
        self._soft_first_s = self._soft_s if fallback.covers_slow_loads else None
        """How long to wait where nothing stale is there."""
        self._late = LATE_CALL if cache.options.if_error_s else CALL
        self._stale = stale
        self._waits = waits

    def answer(
        self,
        key: Hashable,
        now: float,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = ANY,
        role: Role | None = None,
    ) -> Any:
        """Answer a call of a plain function.

        Args:
            key: What it is about.
            now: The time.
            args: Its arguments.
            kwargs: Likewise.
            terms: What will do for the caller.
            role: Learns what the caller turned out to be.

        Raises:
            Exception: What the load raised, if nothing stale answers for it; or a remembered failure.
        """
        key = self._flights.hashed(key)
        after = terms.after(now)
        entry = self._stale.find(key, now, after)
        if entry is not None and terms.stale and self._stale.at_once(entry, key, now, Call(args, kwargs)):
            return self._stale.serve(entry, now)
        soft_s = self._soft_first_s if entry is None else self._soft_s
        if soft_s is not None and terms.stale:
            answer = self._waits.wait(key, Call(args, kwargs), soft_s, terms)
            if answer.found:
                return answer.value
            if self._soft_first_s is not None:
                raise self._waits.too_late(key, soft_s, answer.led)
            # what was stale may answer no more: from here as without it
        role = Role() if role is None else role
        role.after = after
        purpose = self._purpose(terms)
        try:
            return self._flights.lead(key, args, kwargs, purpose, role)
        except Exception as error:
            stale = self._stale.instead(key, error, terms)
            if stale is None:
                raise
            return self._serve_instead(stale, role, error)
        finally:
            self._count(purpose, role)

    async def answer_awaited(
        self,
        key: Hashable,
        now: float,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms = ANY,
        role: Role | None = None,
    ) -> Any:
        """Answer a call of a coroutine function; else as ``answer()`` does."""
        key = self._flights.hashed(key)
        after = terms.after(now)
        entry = self._stale.find(key, now, after)
        if entry is not None and terms.stale and self._stale.at_once(entry, key, now, Call(args, kwargs)):
            return self._stale.serve(entry, now)
        soft_s = self._soft_first_s if entry is None else self._soft_s
        if soft_s is not None and terms.stale:
            answer = await self._waits.wait_awaited(key, Call(args, kwargs), soft_s, terms)
            if answer.found:
                return answer.value
            if self._soft_first_s is not None:
                raise self._waits.too_late(key, soft_s, answer.led)
            # what was stale may answer no more: from here as without it
        role = Role() if role is None else role
        role.after = after
        purpose = self._purpose(terms)
        try:
            return await self._flights.run(key, args, kwargs, purpose, role)
        except Exception as error:
            stale = self._stale.instead(key, error, terms)
            if stale is None:
                raise
            return self._serve_instead(stale, role, error)
        finally:
            self._count(purpose, role)

    def _purpose(self, terms: Terms) -> str:
        """Of a call whose second look at the store takes what any call would take, and that the flights count, CALL."""
        return self._late if terms.max_age_s is None else LATE_CALL

    def _serve_instead(self, entry: RichEntry, role: Role, error: Exception) -> Any:
        """Answer a call stale whose load failed."""
        if role.led:
            log_failure(self.name, error)
        role.stale = True
        return self._stale.serve(entry, self._clock.read())

    def _count(self, purpose: str, role: Role) -> None:
        """Count a call, unless the flights do, or the entry that answered it."""
        if purpose is LATE_CALL and not role.stale:
            self._counts.misses += role.led
            self._counts.joins += role.joined

"""What answers a call that found no fresh value in its wrapper, and a caller with terms of its own.

What a call finds, and what it gets, is decided here and in ``stale_values``; the running of loads is the business of
``_flight``, and of ``background`` where no caller runs them.  A call that a stale value may answer in the end is
counted here, once it is known what it was.
"""

from collections.abc import Callable, Hashable
from typing import Any

from memo._cache.background import Background
from memo._cache.cache import Cache
from memo._cache.loads import log_failure
from memo._cache.refresh_pool import RefreshPool
from memo._cache.stale_values import StaleValues
from memo._cache.waits import Answer, Waits
from memo._call import Call
from memo._flight import CALL, LATE_CALL, Role
from memo._store import RichEntry

__all__ = ("Stale",)


class Stale:
    """Answers calls of one function.

    Args:
        cache: Its results.
        pool: Gives the threads for background loads of a plain function; None: it is a coroutine function.
    """

    def __init__(self, cache: Cache, pool: Callable[[], RefreshPool] | None) -> None:
        self.cache = cache
        self.name: str = cache.name
        background = Background(cache.flights, cache.jobs, pool)
        self._flights: Any = cache.flights
        self._clock = cache.clock
        self._counts = cache.counts
        self._soft_s = cache.options.soft_s
        self._purpose = LATE_CALL if cache.options.if_error_s else CALL
        self._is_off = cache.upwards.is_off
        self._stale = StaleValues(cache, background)
        self._waits = Waits(cache, background, self._stale)

    # -- calls that found no fresh value

    def answer(self, key: Hashable, now: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call of a plain function."""
        key = self._flights.hashed(key)
        entry = self._stale.find(key, now)
        if entry is not None:
            if self._stale.at_once(entry, key, now, Call(args, kwargs)):
                return self._stale.serve(entry, now)
            if self._soft_s is not None:
                answer = self._waits.wait(key, Call(args, kwargs), self._soft_s, stale=True)
                if answer.found:
                    return answer.value  # else its time was over meanwhile: from here as without it
        role = Role()
        try:
            return self._flights.lead(key, args, kwargs, self._purpose, role)
        except Exception as error:
            stale = self._stale.instead(key, error)
            if stale is None:
                raise
            return self._serve_instead(stale, role, error)
        finally:
            self._count(role)

    async def answer_awaited(self, key: Hashable, now: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call of a coroutine function."""
        key = self._flights.hashed(key)
        entry = self._stale.find(key, now)
        if entry is not None:
            if self._stale.at_once(entry, key, now, Call(args, kwargs)):
                return self._stale.serve(entry, now)
            if self._soft_s is not None:
                answer = await self._waits.wait_awaited(key, Call(args, kwargs), self._soft_s, stale=True)
                if answer.found:
                    return answer.value  # else its time was over meanwhile: from here as without it
        role = Role()
        try:
            return await self._flights.run(key, args, kwargs, self._purpose, role)
        except Exception as error:
            stale = self._stale.instead(key, error)
            if stale is None:
                raise
            return self._serve_instead(stale, role, error)
        finally:
            self._count(role)

    def _serve_instead(self, entry: RichEntry, role: Role, error: Exception) -> Any:
        """Answer a call stale whose load failed."""
        if role.led:
            log_failure(self.name, error)
        role.stale = True
        return self._stale.serve(entry, self._clock.read())

    def _count(self, role: Role) -> None:
        """Count a call, unless the flights do, or the entry that answered it."""
        if self._purpose is LATE_CALL and not role.stale:
            self._counts.misses += role.led
            self._counts.joins += role.joined

    # -- callers with terms of their own

    def call_within(self, key: Hashable, call: Call, seconds: float, stale: bool) -> Any:
        """Answer a call of a plain function within so many seconds.

        Args:
            key: What to load.
            call: Its arguments.
            seconds: How long to wait at most.
            stale: Whether a stale value will do.
        """
        if self._is_off():
            return self._flights.call(*call.args, **call.kwargs)
        self.cache.note(key)
        key = self._flights.hashed(key)
        answer = self._at_once(key, call, stale)
        if not answer.found:
            answer = self._waits.wait(key, call, seconds, stale)
            if not answer.found:
                raise self._waits.too_late(key, seconds, answer.began)
        return answer.value

    async def call_within_awaited(self, key: Hashable, call: Call, seconds: float, stale: bool) -> Any:
        """Answer a call of a coroutine function within so many seconds; else as ``call_within()`` does."""
        if self._is_off():
            return await self._flights.call(*call.args, **call.kwargs)
        self.cache.note(key)
        key = self._flights.hashed(key)
        answer = self._at_once(key, call, stale)
        if not answer.found:
            answer = await self._waits.wait_awaited(key, call, seconds, stale)
            if not answer.found:
                raise self._waits.too_late(key, seconds, answer.began)
        return answer.value

    def call_fresh(self, key: Hashable, call: Call) -> Any:
        """Answer a call of a plain function with a fresh value."""
        if self._is_off():
            return self._flights.call(*call.args, **call.kwargs)
        self.cache.note(key)
        key = self._flights.hashed(key)
        answer = self._at_once(key, call, stale=False)
        return answer.value if answer.found else self._flights.lead(key, *call)

    async def call_fresh_awaited(self, key: Hashable, call: Call) -> Any:
        """Answer a call of a coroutine function with a fresh value."""
        if self._is_off():
            return await self._flights.call(*call.args, **call.kwargs)
        self.cache.note(key)
        key = self._flights.hashed(key)
        answer = self._at_once(key, call, stale=False)
        return answer.value if answer.found else await self._flights.run(key, *call)

    def _at_once(self, key: Hashable, call: Call, stale: bool) -> Answer:
        """The answer of the store that needs no waiting, if it has one; raises a remembered failure."""
        now = self._clock.read()
        fresh = self.cache.store.use(key, now)
        if fresh is not None:
            return Answer(True, self.cache.handed(fresh.value))
        entry = self._stale.find(key, now)
        if entry is not None and stale and self._stale.at_once(entry, key, now, call):
            return Answer(True, self._stale.serve(entry, now))
        return Answer(False)

"""What answers the calls of one function that its wrapper does not answer alone, and callers with terms of their own.

Here is what stands in for an error in the end.  What the store, a load or a stale value answers is decided in
``stale`` and ``waits``.
"""

from collections.abc import Callable, Hashable
from typing import Any

from memo._cache.background import Background
from memo._cache.cache import Cache
from memo._cache.everywhere import Everywhere
from memo._cache.fallback import Fallback
from memo._cache.loads import log_failure
from memo._cache.refresh_pool import RefreshPool
from memo._cache.stale import Stale
from memo._cache.stale_values import StaleValues
from memo._cache.terms import ANY, NOT_GIVEN, Terms
from memo._cache.waits import Answer, Waits
from memo._call import Call
from memo._flight import Role, own_loop

__all__ = ("Answers",)


class Answers:
    """Answers calls of one function.

    Args:
        cache: Its results.
        pool: Gives the threads for background loads of a plain function; None: it is a coroutine function.
        ask: Asks the function that was given as ``fallback`` about a call; None: there is none.
    """

    def __init__(
        self, cache: Cache, pool: Callable[[], RefreshPool] | None, ask: Callable[..., Any] | None = None
    ) -> None:
        self.cache = cache
        self.everywhere: Everywhere = Everywhere(cache)
        """Changes its results, here and where they are shared."""
        self.name: str = cache.name
        background = Background(cache.flights, cache.jobs, pool, cache.options.foreseen)
        self._flights: Any = cache.flights
        self._clock = cache.clock
        self._is_off = cache.upwards.is_off
        self._fallback = Fallback(cache, ask)
        self._stale_values = StaleValues(cache, background)
        self._waits = Waits(cache, background, self._stale_values, self._fallback)
        self._stale = Stale(cache, self._stale_values, self._waits, self._fallback)

    # -- calls of a wrapper that found no fresh value

    @property
    def answer(self) -> Callable[..., Any]:
        """Answers a call of a plain function: of key, time, positional arguments and the others."""
        return self._stale.answer if self.cache.options.fallback is NOT_GIVEN else self._answer

    @property
    def answer_awaited(self) -> Callable[..., Any]:
        """Likewise of a coroutine function."""
        return self._stale.answer_awaited if self.cache.options.fallback is NOT_GIVEN else self._answer_awaited

    def _answer(self, key: Hashable, now: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        key = self._flights.hashed(key)  # what this raises is about the call
        role = Role()
        try:
            return self._stale.answer(key, now, args, kwargs, ANY, role)
        except Exception as error:
            if not self._stands_in(error, ANY, role):
                raise
            return self._fallback.answer(Call(args, kwargs), ANY)

    async def _answer_awaited(self, key: Hashable, now: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own_loop(self.name)  # what this raises is about the place of the call
        key = self._flights.hashed(key)
        role = Role()
        try:
            return await self._stale.answer_awaited(key, now, args, kwargs, ANY, role)
        except Exception as error:
            if not self._stands_in(error, ANY, role):
                raise
            return await self._fallback.answer_awaited(Call(args, kwargs), ANY)

    def _stands_in(self, error: Exception, terms: Terms, role: Role) -> bool:
        """Whether something stands in for *error*, which then is logged if the caller was to tell of it."""
        covers = self._fallback.covers(error, terms)
        if covers and role.led and not isinstance(error, self.cache.options.foreseen):
            log_failure(self.name, error, "a fallback answers")
        return covers

    # -- callers with terms of their own

    def call(self, key: Hashable, call: Call, terms: Terms) -> Any:
        """Answer a call of a plain function.

        Args:
            key: What it is about.
            call: Its arguments.
            terms: What will do for the caller.
        """
        if self._is_off():
            return self._flights.call(*call.args, **call.kwargs)
        self.cache.note(key)
        key = self._flights.hashed(key)
        now = self._clock.read()
        fresh = self.cache.store.use(key, now, terms.after(now))
        if fresh is not None:
            return self.cache.handed(fresh.value)
        role = Role()
        try:
            if terms.seconds is None:
                return self._stale.answer(key, now, *call, terms, role)
            answer = self._at_once(key, now, call, terms)
            if not answer.found:
                answer = self._waits.wait(key, call, terms.seconds, terms)
                if not answer.found:
                    raise self._waits.too_late(key, terms.seconds, answer.led)
            return answer.value
        except Exception as error:
            if not self._stands_in(error, terms, role):
                raise
            return self._fallback.answer(call, terms)

    async def call_awaited(self, key: Hashable, call: Call, terms: Terms) -> Any:
        """Answer a call of a coroutine function; else as ``call()`` does."""
        if self._is_off():
            return await self._flights.call(*call.args, **call.kwargs)
        own_loop(self.name)
        self.cache.note(key)
        key = self._flights.hashed(key)
        now = self._clock.read()
        fresh = self.cache.store.use(key, now, terms.after(now))
        if fresh is not None:
            return self.cache.handed(fresh.value)
        role = Role()
        try:
            if terms.seconds is None:
                return await self._stale.answer_awaited(key, now, *call, terms, role)
            answer = self._at_once(key, now, call, terms)
            if not answer.found:
                answer = await self._waits.wait_awaited(key, call, terms.seconds, terms)
                if not answer.found:
                    raise self._waits.too_late(key, terms.seconds, answer.led)
            return answer.value
        except Exception as error:
            if not self._stands_in(error, terms, role):
                raise
            return await self._fallback.answer_awaited(call, terms)

    def _at_once(self, key: Hashable, now: float, call: Call, terms: Terms) -> Answer:
        """The stale answer that needs no waiting, if there is one; raises a remembered failure."""
        entry = self._stale_values.find(key, now, terms.after(now))
        if entry is not None and terms.stale and self._stale_values.at_once(entry, key, now, call):
            return Answer(True, self._stale_values.serve(entry, now))
        return Answer(False)

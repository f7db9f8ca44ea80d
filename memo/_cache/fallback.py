"""What answers a call that would end in an error: the caller's own ``default``, or the ``fallback`` of the function.

It answers this call alone, is never stored, and is asked for by each caller anew, those who joined a load included.
Whatever is no ``Exception`` (a cancellation, Ctrl-C) is not for it.
"""

import inspect
from collections.abc import Callable
from typing import Any

from memo._cache.cache import Cache
from memo._cache.terms import NOT_GIVEN, Terms
from memo._call import Call
from memo.errors import InflightTimeout

__all__ = ("Fallback",)


class Fallback:
    """What stands in for an error.

    Args:
        cache: The results of the function.
        ask: Asks the function that was given as ``fallback`` about a call; None: it is a value, or none was given.
    """

    def __init__(self, cache: Cache, ask: Callable[..., Any] | None) -> None:
        self._cache = cache
        self._counts = cache.counts
        self._ask = ask
        self._value = cache.options.fallback
        self._errors = cache.options.fallback_on

    @property
    def covers_slow_loads(self) -> bool:
        """Whether the function's own answers for a load that takes too long."""
        return self._value is not NOT_GIVEN and issubclass(InflightTimeout, self._errors)

    def covers(self, error: BaseException, terms: Terms) -> bool:
        """Whether something answers in place of *error*."""
        if terms.default is not NOT_GIVEN:
            return isinstance(error, Exception)
        return terms.stale and self._value is not NOT_GIVEN and isinstance(error, self._errors)

    def answer(self, call: Call, terms: Terms) -> Any:
        """What does, for a call of a plain function, called while an error is handled that it ``covers()``."""
        value = self._answer(call, terms)
        self._counts.fallbacks += 1
        return value

    async def answer_awaited(self, call: Call, terms: Terms) -> Any:
        """What does, for a call of a coroutine function; what a fallback returns is awaited if it can be."""
        value = self._answer(call, terms)
        if self._ask is not None and terms.default is NOT_GIVEN and inspect.isawaitable(value):
            value = await value
        self._counts.fallbacks += 1
        return value

    def _answer(self, call: Call, terms: Terms) -> Any:
        if terms.default is not NOT_GIVEN:
            return terms.default
        if self._ask is None:
            return self._cache.handed(self._value)  # one value for all callers, as what is stored
        value = self._ask(*call.args, **call.kwargs)
        if value is NOT_GIVEN:  # only a handle is left of the function
            raise  # noqa: PLE0704  # what is being handled; no frame of ours is to hold it
        return value

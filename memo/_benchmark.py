"""What the fixture ``memo_benchmark`` hands to a test: a function with a cache, measured by pytest-benchmark."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, overload

from memo._base import format_seconds, real

__all__ = ("PARTS", "MemoBenchmark", "Part", "worth")

P = ParamSpec("P")
R = TypeVar("R")
Part = Literal["bare", "miss", "hit"]
PARTS: tuple[Part, ...] = ("bare", "miss", "hit")
_MOST_MISSES = 10_000


class MemoBenchmark:
    """Measures a call of a function with a cache; what the fixture ``memo_benchmark`` is.

    A test that asks for the fixture runs three times, and measures one thing each time, which ``part`` names and the
    test's name ends in: ``"bare"`` is the function without its cache, ``"miss"`` a call that runs it and stores the
    result, each on a cache that was cleared, and ``"hit"`` a call that is answered from the cache.  pytest-benchmark
    measures them as its options say, and shows them in one table; a line beside it says from which share of hits on the
    cache saves time.  The stores of all functions are isolated meanwhile.

    A coroutine function is measured on an event loop of its own, so that the test itself is a plain function.  The
    figures of its bare call and its miss contain the way into the loop, some 20 microseconds; hits are measured inside.

    Not measured: contention, memory, a tier that processes share.  That tier is not isolated either: clearing the
    cache clears it.
    """

    __module__ = "memo.testing"

    part: Part
    """Which of the three this run of the test measures."""

    def __init__(
        self, part: Part, benchmark: Any, options: Mapping[str, float], told: Callable[[str, float], object]
    ) -> None:
        self.part = part
        self._benchmark = benchmark  # pytest-benchmark's fixture, which has no types
        self._options = options
        self._told = told
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.close()

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Measure calls of *function* with these arguments, once in a test.

        Args:
            function: A function or method that keeps its results: decorated with ``bounded``, ``bounded_many``,
                ``memo.lru_cache``; a plain one or a coroutine function.
            *args: Passed on, as in ``memo_benchmark(fetch, 1)``.
            **kwargs: Likewise.

        Returns:
            What one of the calls has returned, awaited if it is a coroutine function's.

        Raises:
            TypeError: function keeps no results.
            RuntimeError: What should have been a hit ran the function, or what should have been a miss did not.
        """
        cache: Any = getattr(function, "cache", None)
        bare = getattr(function, "__wrapped__", None)
        if bare is None or not hasattr(cache, "clear"):
            raise TypeError(
                f"memo_benchmark: {function!r} keeps no results; give a function decorated with bounded, or measure"
                " others with the fixture benchmark."
            )
        awaited = inspect.iscoroutinefunction(function)
        before = cache.stats()
        if self.part == "bare":
            result = self._benchmark(self._entered(bare, args, kwargs) if awaited else bare, *args, **kwargs)
        elif self.part == "miss":
            result = self._misses(self._entered(function, args, kwargs) if awaited else function, cache, args, kwargs)
        elif awaited:
            result = self._runner.run(self._awaited_hits(function, args, kwargs))
        else:
            function(*args, **kwargs)
            result = self._benchmark(function, *args, **kwargs)
        self._check(function, before, cache.stats())
        if self._benchmark.stats is not None:  # it is under --benchmark-disable
            self._told(self.part, self._benchmark.stats.stats.median)
        return result

    def _entered(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Callable[..., Any]:
        until_complete = self._runner.get_loop().run_until_complete
        return lambda *_, **__: until_complete(function(*args, **kwargs))

    def _misses(self, call: Callable[..., Any], cache: Any, args: Any, kwargs: Any) -> Any:
        def clear() -> None:
            cache.clear()

        def one_s() -> float:
            clear()
            began = real.fine()
            call(*args, **kwargs)
            return real.fine() - began

        one_s()  # the first call of a function takes longer
        fit = self._options["max_time"] / max(one_s(), 1e-9)
        rounds = max(int(self._options["min_rounds"]), int(min(fit, _MOST_MISSES)))
        return self._benchmark.pedantic(call, args=args, kwargs=kwargs, setup=clear, rounds=rounds)

    async def _awaited_hits(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        await function(*args, **kwargs)

        def hit() -> Any:
            try:
                function(*args, **kwargs).send(None)
            except StopIteration as ended:  # as a coroutine says what it returns
                return ended.value
            raise _not_a(function, "hit", "waited for something")

        return self._benchmark(hit)

    def _check(self, function: Callable[..., Any], before: Any, after: Any) -> None:
        if self.part == "hit" and after.hits == before.hits:
            raise _not_a(function, "hit", "ran the function")
        if self.part == "miss" and after.loads - before.loads < 3:
            raise _not_a(function, "miss", "did not run the function")


def _not_a(function: Callable[..., Any], part: Part, did: str) -> RuntimeError:
    return RuntimeError(
        f"memo_benchmark: what should have been a {part} of {function!r} {did}; see whether cache_if, a short ttl,"
        " shared= or MEMO_DISABLE keeps the results elsewhere or not at all."
    )


def worth(bare: float, miss: float, hit: float) -> str:
    """Say from which share of hits on the cache saves time, given what the three calls take in seconds."""
    told = f"bare {_text(bare)}, miss {_text(miss)}, hit {_text(hit)}"
    if hit >= bare:
        return f"{told}: the cache saves no time, whatever the share of hits"
    share = max(0.0, (miss - bare) / (miss - hit)) if miss > hit else 0.0
    return f"{told}: a hit saves {1 - hit / bare:.1%}; the cache saves time from {share:.1%} hits on"


def _text(time_s: float) -> str:
    return f"{time_s * 1e9:.0f}ns" if time_s < 1e-6 else format_seconds(time_s)

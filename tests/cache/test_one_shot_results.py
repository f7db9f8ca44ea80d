"""Results that can be used only once are refused."""

import asyncio
import functools
import io
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from memo import bounded, dedupe_inflight, limit, sliding_window


class Once:
    def __iter__(self) -> "Once":
        return self

    def __next__(self) -> int:
        raise StopIteration


async def _coroutine() -> int:
    return 1


async def _agenerator() -> Any:
    yield 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: (x for x in "ab"),
        lambda: iter([1]),
        lambda: map(str, [1]),
        lambda: zip([1], strict=True),
        Once,
        _coroutine,
        _agenerator,
        itertools.count,
    ],
)
def test_a_result_that_can_be_used_once_is_refused(make: Callable[[], Any]) -> None:
    """A result that would be spent after its first use raises TypeError with advice, and counts as a load error."""

    @bounded(max=8)
    def fetch() -> Any:
        return make()

    @bounded(max=8)
    async def fetch_later() -> Any:
        return make()

    for _ in range(2):
        with pytest.raises(TypeError, match=r"fetch\(\) returned .*(return a list|async def)"):
            fetch()
        with pytest.raises(TypeError, match=r"fetch_later\(\) returned .*(return a list|async def)"):
            asyncio.run(fetch_later())
    assert len(fetch.cache) == len(fetch.inflight) == 0
    assert fetch.cache.stats().load_errors == 2
    assert fetch_later.cache.stats().load_errors == 2
    with pytest.raises(TypeError, match="returned"):
        fetch.cache.refresh()


def test_iterables_and_open_files_may_pass() -> None:
    """Open files, collections, views and awaitables that can be awaited again are stored as they are."""
    with open(__file__, encoding="utf-8") as file:
        for value in (file, io.BytesIO(b"x"), range(3), {"a": 1}.items(), [1], "text", Awaitable()):

            @bounded(max=8)
            def fetch() -> Any:
                return value  # noqa: B023  # called in this round

            assert fetch() is fetch() is value


class Awaitable:
    def __await__(self) -> Any:
        yield


def _generator() -> Any:
    yield 1


class Generating:
    """Its instances are called as generator functions are."""

    def __call__(self, *args: Any) -> Any:
        yield 1


class AsyncGenerating:
    """Its instances are called as async generator functions are."""

    async def __call__(self, *args: Any) -> Any:
        yield 1


class GeneratorMethod:
    @staticmethod
    def static() -> Any:
        yield 1

    @classmethod
    def of_class(cls) -> Any:
        yield 1


@pytest.mark.parametrize(
    "function",
    [
        _generator,
        _agenerator,
        staticmethod(_generator),
        classmethod(_generator),
        property(_generator),
        functools.partial(_generator),
        functools.partialmethod(_generator),
        functools.partialmethod(_agenerator),
        functools.singledispatch(_generator),
        functools.singledispatchmethod(_generator),
        Generating(),
        AsyncGenerating(),
        functools.partial(Generating()),
        Generating().__call__,
        GeneratorMethod.static,
        GeneratorMethod.of_class,
    ],
)
def test_a_generator_function_is_refused_at_decoration(function: Any) -> None:
    """Decorating a generator function raises TypeError, which says to return a list."""
    decorators = (bounded(max=8), dedupe_inflight, sliding_window("1h"), limit("9/s"))
    for decorate in decorators:
        with pytest.raises(TypeError, match=r"\w+: .*generator function.*return a list"):
            decorate(function)

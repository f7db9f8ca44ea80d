"""A decorated function that is garbage together with an object whose finalizer calls it answers there as ever.

The collector first makes all weak references go that lead to garbage, then calls all finalizers, then clears.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from kit.tools import stacked

from memo import bounded, bounded_many, cached_property, dedupe_inflight, limit, lru_cache, sliding_window

pytestmark = pytest.mark.usefixtures("nothing_collected")

Decorate = Callable[[Any], Any]

DECORATORS: dict[str, Decorate] = {
    "bounded": bounded(max=8),
    "lru": bounded(max=8, policy="lru"),
    "stale": bounded(max=8, ttl=60, stale_if_error=60, stale_while_revalidate=9, on_evict=lambda *what: None),
    "tags": bounded(max=8, tags=lambda *args: ["tag"]),
    "apart": bounded(max=8, typed=True, dedupe=False),
    "lru_cache": lru_cache,
    "dedupe": dedupe_inflight,
    "window": sliding_window("1h", keys=5),
    "limit": limit("1000/1h"),
    "stack": stacked,
}
over = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
colours = pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
PLACES = ("function", "method", "class method", "static method", "alias")
HANDLES = ("cache", "inflight", "window", "limit")


def finish(found: Any) -> Any:
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


def placed(decorate: Decorate, is_async: bool, place: str) -> Any:
    """Something decorated that is called with one argument, and that nobody else holds."""

    def load(x: Any) -> list[Any]:
        return [x]

    def load_of(owner: Any, x: Any) -> list[Any]:
        return [x]

    async def load_later(x: Any) -> list[Any]:
        return [x]

    async def load_later_of(owner: Any, x: Any) -> list[Any]:
        return [x]

    alone: Any = load_later if is_async else load
    owned: Any = load_later_of if is_async else load_of
    if place == "function":
        return decorate(alone)
    made = {
        "method": lambda: decorate(owned),
        "class method": lambda: decorate(classmethod(owned)),
        "static method": lambda: decorate(staticmethod(alone)),
        "alias": lambda: None,
    }[place]()
    kind: Any = type("Host", (), {"load": made})
    if place == "alias":
        kind.load = decorate(owned)
    return kind().load


def handles(function: Any) -> list[Any]:
    return [getattr(function, name) for name in HANDLES if hasattr(function, name)]


def use(handle: Any, name: str) -> None:
    """Use what a handle has."""
    handle.stats(), repr(handle)
    if name == "cache":
        handle.put([3], 3), handle.entry(3), handle.invalidate(3), handle.invalidate_where(lambda key, value: False)
        handle.items(), handle.cleanup(), handle.resize(max=3), finish(handle.refresh(1)), handle.lease(1)
        assert finish(handle.call(5)) == [5]
        assert finish(handle.fresh(6)) == [6]
        handle.clear()
    elif name == "inflight":
        handle.pending(), handle.forget(1), handle.cleanup()
    elif name == "window":
        handle.count(), handle.events(), handle.by_key(), handle.clear(), handle.cleanup()


def use_all(function: Any) -> None:
    for name in HANDLES:
        if hasattr(function, name):
            use(getattr(function, name), name)


BEFORE: dict[str, Callable[[Any], Any]] = {
    "untouched": lambda function: None,
    "figures": lambda function: [handle.stats() for handle in handles(function)],
    "handles": handles,
    "used handles": lambda function: [
        use(getattr(function, name), name) for name in HANDLES if hasattr(function, name)
    ],
    "called": lambda function: finish(function(9)),
}
before = pytest.mark.parametrize("first", BEFORE.values(), ids=BEFORE)


def in_finalizer(make: Callable[[], Any], first: Callable[[Any], Any], do: Callable[[Any, Any], Any]) -> Any:
    """What *do* returns in the finalizer of an object that is garbage with what *make* made, used by *first*."""
    done: list[Any] = []

    class Finalized:
        def __init__(self) -> None:
            self.circle = self
            self.function = make()
            self.kept = first(self.function)

        def __del__(self) -> None:
            try:
                done.append(do(self.function, self.kept))
            except BaseException as error:
                done.append(error)

    Finalized()
    assert not done
    gc.collect()
    (what,) = done
    if isinstance(what, BaseException):
        raise what
    return what


@over
@colours
@before
@pytest.mark.parametrize("place", PLACES)
def test_a_finalizer_calls_what_is_garbage_with_it(decorate: Decorate, is_async: bool, first: Any, place: str) -> None:
    """A call in a finalizer answers, a second one as the first, whether the function was used before or not."""

    def call(function: Any, kept: Any) -> Any:
        return [finish(function(x)) for x in (1, 1, 2)]

    assert in_finalizer(lambda: placed(decorate, is_async, place), first, call) == [[1], [1], [2]]


@over
@colours
@before
@pytest.mark.parametrize("place", PLACES)
def test_and_uses_its_handles(decorate: Decorate, is_async: bool, first: Any, place: str) -> None:
    """Handles do in a finalizer what they do elsewhere, those that were held before too."""

    def use_these_and_those(function: Any, kept: Any) -> None:
        use_all(function)
        if first is handles:
            for name, handle in zip([name for name in HANDLES if hasattr(function, name)], kept, strict=True):
                use(handle, name)

    in_finalizer(lambda: placed(decorate, is_async, place), first, use_these_and_those)


@colours
@before
def test_so_it_does_functions_of_many_keys(is_async: bool, first: Any) -> None:
    """A function of many keys, and that of one, answer in a finalizer."""

    def load(xs: Any) -> dict[Any, Any]:
        return {x: [x] for x in xs}

    async def load_later(xs: Any) -> dict[Any, Any]:
        return load(xs)

    def call(function: Any, kept: Any) -> Any:
        return [finish(function([1, 2])), finish(function([2, 3])), finish(function.one(3)), finish(function.one(4))]

    made = in_finalizer(
        lambda: bounded_many(max=8)(load_later if is_async else load),
        (lambda function: finish(function([9]))) if first is BEFORE["called"] else first,
        call,
    )
    assert made == [{1: [1], 2: [2]}, {2: [2], 3: [3]}, [3], [4]]


def test_and_reads_properties() -> None:
    """A property in garbage answers in a finalizer, read before or not."""

    class Host:
        def __init__(self) -> None:
            self.circle = self
            self.reads = 0

        @cached_property
        def early(self) -> int:
            self.reads += 1
            return 1

        @cached_property
        def late(self) -> int:
            self.reads += 1
            return 2

    def read(host: Any, kept: Any) -> Any:
        return host.early, host.late, host.late, host.reads

    assert in_finalizer(Host, lambda host: host.early, read) == (1, 2, 2, 2)

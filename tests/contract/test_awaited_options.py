"""An option that takes a plain function refuses whatever a call of returns a coroutine, however it hides that."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest

from memo import bounded, bounded_many, cached_property, dedupe_inflight, limit, registry, sliding_window


async def coroutine_function(*args: Any) -> Any:
    return 1


class Awaited:
    """Its instances are called as coroutine functions are."""

    async def __call__(self, *args: Any) -> Any:
        return 1

    async def method(self, *args: Any) -> Any:
        return 1


class Inherits(Awaited):
    """Inherits the call."""


class Delegates:
    """Its call is another object's."""

    __call__ = Awaited()


AWAITED: dict[str, Any] = {
    "function": coroutine_function,
    "partial": functools.partial(coroutine_function),
    "method": Awaited().method,
    "object": Awaited(),
    "heir": Inherits(),
    "delegate": Delegates(),
    "partial of an object": functools.partial(Awaited()),
}

DECORATORS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "bounded": (
        functools.partial(bounded, max=3, max_bytes=9_999),
        ("key", "tags", "ttl", "cache_if", "copy", "sizeof", "fallback", "clock"),
    ),
    "evict_loop": (functools.partial(bounded, max=3, on_evict=coroutine_function), ("evict_loop",)),
    "bounded_many": (
        functools.partial(bounded_many, max=3, max_bytes=9_999),
        ("key", "tags", "ttl", "cache_if", "copy", "sizeof", "clock"),
    ),
    "dedupe_inflight": (dedupe_inflight, ("key", "tags", "clock")),
    "sliding_window": (functools.partial(sliding_window, "1h"), ("key", "tags", "clock")),
    "limit": (functools.partial(limit, "9/h"), ("key", "tags", "clock")),
}
CASES = [(name, option) for name, (_, options) in DECORATORS.items() for option in options]


@pytest.mark.parametrize("what", AWAITED)
@pytest.mark.parametrize(("name", "option"), CASES)
def test_it_is_refused_at_decoration(name: str, option: str, what: str) -> None:
    """The error says that it is a coroutine function, and to give a plain one (or a loop)."""
    decorator, _ = DECORATORS[name]
    with pytest.raises(TypeError, match=rf"{option}=.* is a coroutine function.*; give a "):
        decorator(**{option: AWAITED[what]})(lambda *args: 1)


@pytest.mark.parametrize("what", AWAITED)
def test_so_is_a_callback_that_is_told_of_events(what: str) -> None:
    """A subscription refuses it, too, and begins no thread."""
    with pytest.raises(TypeError, match=r"callback=.* is a coroutine function.*; give a plain function"):
        registry.subscribe(AWAITED[what])


@pytest.mark.parametrize("what", AWAITED)
def test_on_evict_takes_it(what: str) -> None:
    """``on_evict`` of a coroutine function may be any of these: it is awaited."""
    decorated = bounded(max=1, on_evict=AWAITED[what])(coroutine_function)
    assert [asyncio.run(decorated(x)) for x in (1, 2)] == [1, 1]


def test_a_property_of_such_an_object_is_awaited() -> None:
    """What a property computes by an object whose call is a coroutine's is awaited, and computed once."""
    calls: list[Any] = []

    class Compute:
        __name__ = "late"

        async def __call__(self, host: Any) -> int:
            calls.append(host)
            return 1

    class Host:
        late: Any = cached_property(Compute())

    async def main(host: Host) -> None:
        assert (await host.late, await host.late, calls) == (1, 1, [host])

    asyncio.run(main(Host()))

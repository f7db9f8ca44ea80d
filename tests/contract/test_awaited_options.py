"""An option that takes a plain function refuses whatever returns a coroutine or a generator, however it hides that."""

import asyncio
import functools
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

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


def generator_function(*args: Any) -> Iterator[str]:
    yield "drawn"


async def asynchronous_generator_function(*args: Any) -> AsyncIterator[str]:
    yield "drawn"


class Generates:
    """Its instances are called as generator functions are."""

    __call__ = generator_function

    def method(self, *args: Any) -> Iterator[str]:
        yield "drawn"


class GeneratesLater:
    """Its instances are called as asynchronous generator functions are."""

    __call__ = asynchronous_generator_function


GENERATING: dict[str, Any] = {
    "function": generator_function,
    "partial": functools.partial(generator_function),
    "method": Generates().method,
    "object": Generates(),
    "asynchronous function": asynchronous_generator_function,
    "asynchronous object": GeneratesLater(),
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


@pytest.mark.parametrize("what", GENERATING)
@pytest.mark.parametrize(("name", "option"), [case for case in CASES if case[1] not in ("clock", "tags")])
def test_so_is_what_generates(name: str, option: str, what: str) -> None:
    """The error says that it is a generator function, and what to give; a clock is called to see whether it is one."""
    decorator, _ = DECORATORS[name]
    with pytest.raises(TypeError, match=rf"{option}=.* is a generator function.*; give "):
        decorator(**{option: GENERATING[what]})(lambda *args: 1)


@pytest.mark.parametrize("what", GENERATING)
@pytest.mark.parametrize("function", [generator_function, coroutine_function])
def test_so_is_on_evict_that_generates(function: Any, what: str) -> None:
    """``on_evict`` refuses it, whatever the loop, since its body would never run."""
    with pytest.raises(TypeError, match=r"bounded: on_evict=.* is a generator function.*; give a plain function"):
        bounded(max=1, on_evict=GENERATING[what])(function)


def test_on_evict_may_take_more_than_it_is_given() -> None:
    """What can be called with key, value and reason is taken, whatever else it takes, or does not tell."""
    takers = (print, dict, mock.Mock(), functools.partial(print, 1), lambda *args, **kwargs: 1, lambda a, b, c, d=1: 1)
    for on_evict in takers:
        assert bounded(max=1, on_evict=on_evict)(lambda x: x)(1) == 1  # type: ignore[arg-type]


def test_tags_may_be_drawn_from_a_generator() -> None:
    """Names that ``tags`` generates are the call's; those of an asynchronous generator nobody could draw."""
    decorated = bounded(max=3, tags=generator_function)(lambda x: x)
    assert [decorated(1), decorated(2), registry.invalidate(tag="drawn"), len(decorated.cache)] == [1, 2, 2, 0]
    with pytest.raises(TypeError, match=r"tags=.* is an asynchronous generator function; give a plain function"):
        bounded(max=3, tags=GeneratesLater())  # type: ignore[arg-type]


@pytest.mark.parametrize("what", [*AWAITED.items(), *GENERATING.items()], ids=operator.itemgetter(0))
def test_handles_refuse_it_before_they_do_anything(what: tuple[str, Any], tmp_path: Path) -> None:
    """``invalidate_where()`` drops nothing, ``dump()`` writes nothing, ``load()`` reads nothing."""
    decorated = bounded(max=3)(lambda x: x)
    decorated(1)
    with pytest.raises(TypeError, match=r"invalidate_where: .* function, .*; give a plain function of key and value"):
        decorated.cache.invalidate_where(what[1])
    with pytest.raises(TypeError, match=r"dump: encode=.* function, .*; give a plain function of a value"):
        decorated.cache.dump(tmp_path / "dump", encode=what[1])
    with pytest.raises(TypeError, match=r"load: decode=.* function, .*; give a plain function of a value"):
        decorated.cache.load(tmp_path / "dump", decode=what[1])
    assert (len(decorated.cache), list(tmp_path.iterdir())) == (1, [])


@pytest.mark.parametrize("what", GENERATING)
def test_a_property_refuses_what_generates(what: str) -> None:
    """``cached_property`` says to return a list: all who read it would draw from one generator."""
    with pytest.raises(TypeError, match=r"cached_property: .* is a generator function, .*; return a list instead"):
        cached_property(GENERATING[what])


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

"""Whether an object is true is its own affair: a false one is an option, a function, an instance like any other."""

import asyncio
import copy
import functools
from typing import Any

import pytest

import memo
from memo import Registry, bounded, dedupe_inflight, sliding_window
from memo.testing import FakeClock


class Empty:
    """A callable collection with nothing in it."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.calls: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(args)
        return self.function(*args, **kwargs)

    def __len__(self) -> int:
        return 0


class Untrue(Empty):
    def __bool__(self) -> bool:
        return False


class Undecided(Empty):
    """As numpy's arrays and pandas' frames: asked whether it is true, it raises."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


falsy = pytest.mark.parametrize("kind", [Empty, Untrue, Undecided])


class UntrueRegistry(Registry):
    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


class Untold(Exception):
    """An exception that is false."""

    def __bool__(self) -> bool:
        return False


@pytest.fixture(params=[False, True], ids=["def", "async def"])
def decorate(request: pytest.FixtureRequest, own: Registry) -> Any:
    """A plain function or a coroutine function, decorated with ``bounded``, and called in the same way."""

    def make(function: Any = lambda x: x, **options: Any) -> Any:
        if not request.param:
            return bounded(**options, registry=own)(lambda x: function(x))

        @bounded(**options, registry=own)
        async def awaited(x: Any) -> Any:
            return function(x)

        def call(x: Any) -> Any:
            return asyncio.run(awaited(x))

        call.cache = awaited.cache  # type: ignore[attr-defined]
        return call

    return make


@falsy
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
def test_cache_if(kind: Any, policy: str, decorate: Any) -> None:
    """``cache_if=`` is asked."""
    wanted = kind(lambda value: value > 1)
    f = decorate(max=5, cache_if=wanted, policy=policy)
    f(1), f(2)
    assert f.cache.items() == [(2, 2)]
    assert f.cache.stats().rejected == 1
    assert len(wanted.calls) == 2


@falsy
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
def test_ttl(kind: Any, policy: str, decorate: Any) -> None:
    """``ttl=`` is asked, and its answer holds."""
    clock = FakeClock()
    f = decorate(max=5, ttl=kind(lambda value: value), clock=clock, policy=policy)
    f(5), f(20)
    clock.advance(10)
    f(5), f(20)
    assert (f.cache.stats().hits, f.cache.stats().misses) == (1, 3)


@falsy
def test_sizeof(kind: Any, decorate: Any) -> None:
    """``sizeof=`` prices the value."""
    f = decorate(max_bytes=100_000, sizeof=kind(lambda value: 10_000))
    for x in range(20):
        f(x)
    assert 8 <= len(f.cache) <= 10


@falsy
def test_on_evict(kind: Any, decorate: Any) -> None:
    """``on_evict=`` is told."""
    told = kind(lambda *what: None)
    f = decorate(max=1, on_evict=told)
    f(1), f(2)
    f.cache.clear()
    assert len(told.calls) == 2


@falsy
def test_copy(kind: Any, decorate: Any) -> None:
    """``copy=`` copies what is handed out."""
    f = decorate(lambda x: [x], max=5, copy=kind(copy.copy))
    f(1).append(2)
    assert f(1) == f(1) == [1]
    assert f(1) is not f(1)


@falsy
def test_key_and_tags(kind: Any, decorate: Any, own: Registry) -> None:
    """``key=`` makes the keys, and ``tags=`` the tags."""
    f = decorate(max=5, key=kind(abs), tags=kind(lambda x: f"tag {abs(x)}"))
    f(1), f(-1), f(2)
    assert f.cache.stats().misses == 2
    assert own.invalidate(tag="tag 1") == 1


@falsy
@pytest.mark.parametrize(
    "decorator", [functools.partial(bounded, max=5, ttl=10), functools.partial(sliding_window, "1h")]
)
def test_clock(kind: Any, decorator: Any, own: Registry) -> None:
    """``clock=`` is read."""
    clock = kind(FakeClock(5.0))
    f = decorator(clock=clock, registry=own)(abs)
    f(1)
    assert clock.calls


@falsy
@pytest.mark.parametrize(
    "decorator",
    [functools.partial(bounded, max=5), functools.partial(dedupe_inflight), functools.partial(sliding_window, "1h")],
)
def test_functions(kind: Any, decorator: Any, own: Registry) -> None:
    """What is decorated may be false: it is called, found in its registry, and can be decorated again."""
    function = kind(lambda x: x)
    f = decorator(registry=own)(function)
    assert f(1) == 1
    assert f.__wrapped__ is function
    assert own[f] is own[functools.wraps(f)(lambda x: f(x))]
    again = sliding_window("1h")(f)
    assert again(1) == 1
    assert len(own) == 1


@falsy
def test_a_falsy_link_leads_to_the_record(kind: Any, own: Registry) -> None:
    """A decorator of others whose object is false does not hide the decorated function."""
    f = bounded(max=5, registry=own)(abs)
    outer = kind(f)
    outer.__wrapped__ = f
    assert own[outer] is own[f]
    assert own.select()[outer] is own[f]


def test_registries() -> None:
    """A registry that is false is the one that was given."""
    own = UntrueRegistry()
    f = bounded(max=5, registry=own, name="named")(abs)
    assert [record.name for record in own] == ["named"]
    assert f not in memo.registry
    g = sliding_window("1h", registry=own)(bounded(max=5)(abs))
    assert g in own
    assert g not in memo.registry


@falsy
def test_instances_arguments_and_results(kind: Any, own: Registry) -> None:
    """Instances, arguments and results may be false, or have no truth at all."""
    result = kind(abs)

    class Basket(kind):  # type: ignore[misc]
        @bounded(max=5, registry=own)
        @dedupe_inflight(registry=own)
        def total(self, x: Any) -> Any:
            return result

        @bounded(max=5, registry=own)
        async def awaited(self, x: Any) -> Any:
            return result

    basket, argument = Basket(abs), kind(abs)
    for _ in range(2):
        assert basket.total(argument) is result
        assert asyncio.run(basket.awaited(argument)) is result
    for method in (basket.total, basket.awaited):
        assert (method.cache.stats().hits, method.cache.stats().misses) == (1, 1)
        entry = method.cache.entry(argument)
        assert entry is not None
        assert entry.value is result
        assert [value for _, value in method.cache.items()] == [result]
        method.cache.put(result, None)
        assert method.cache.invalidate(argument)
        assert method.cache.clear() == 1


def test_exceptions(decorate: Any) -> None:
    """Failures that are false are remembered, alone and in groups."""

    def fail(x: Any) -> Any:
        raise Untold(x) if x < 5 else ExceptionGroup("both", [Untold(x), ValueError(x)])

    f = decorate(fail, max=5, cache_errors=(Untold, ExceptionGroup), error_ttl="1h")
    for _ in range(2):
        with pytest.raises(Untold):
            f(1)
        with pytest.raises(ExceptionGroup) as caught:
            f(5)
        assert [type(part) for part in caught.value.exceptions] == [Untold, ValueError]
    assert f.cache.stats().error_hits == 2

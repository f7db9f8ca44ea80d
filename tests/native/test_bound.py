"""Methods that are bound before they are called, and class methods: what calls them, and what they hold meanwhile."""

import asyncio
import functools
import gc
import types
import weakref
from typing import Any

import pytest
from kit.wrappers import wrappers_entered

from memo import Registry, bounded
from memo._native import speed, why

pytestmark = pytest.mark.skipif(speed is None, reason=why)


class Service:
    """Methods of all kinds that are bound."""

    registry = Registry()

    @bounded(max=99, ttl="1h", registry=registry)
    def fetch(self, *args: Any, **kwargs: Any) -> Any:
        return type(self), args, kwargs

    @bounded(max=99, ttl="1h", registry=registry)
    async def awaited(self, x: int) -> int:
        return x

    @classmethod
    @bounded(max=99, ttl="1h", registry=registry)
    def of_class(cls, x: int, y: int = 2) -> Any:
        return cls, x, y


class Derived(Service):
    """Has class methods of its own, as far as their results go."""


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 40])
def test_arguments_arrive(count: int) -> None:
    """However many they are and however they are handed over, the instance comes first, and all others as they came."""
    service = Service()
    kept: Any = service.fetch
    args = tuple(range(count))
    named = {f"n{i}": i for i in range(count)}
    for _ in range(2):  # a miss, a hit
        assert kept(*args) == (Service, args, {})
        assert kept(*args, **named) == (Service, args, named)
        assert functools.partial(kept, *args)() == (Service, args, {})
        assert functools.partial(kept, *args)(*args) == (Service, args + args, {})
        assert types.MethodType(kept, 0)(*args) == (Service, (0, *args), {})  # which hands over the place before it
        assert list(map(kept, args)) == [(Service, (x,), {}) for x in args]


def test_no_frame_lies_between() -> None:
    """A hit comes by no wrapper: of a bound method that is kept, of a class method, by whatever name it is called."""
    service = Service()
    kept: Any = service.fetch
    of_class: Any = Derived.of_class
    for first in (True, False):
        with wrappers_entered() as entered:
            assert kept(1) == (Service, (1,), {})
            assert service.fetch(1) == (Service, (1,), {})
            assert Derived.of_class(1) == Derived().of_class(x=1) == of_class(1, y=2) == (Derived, 1, 2)
            assert Service.of_class(1) == (Service, 1, 2)
        assert first or not entered


def test_one_that_awaits() -> None:
    """A bound coroutine method makes the coroutine that the method itself makes."""
    service = Service()
    kept: Any = service.awaited

    async def calls() -> list[int]:
        return [await kept(1), await kept(x=1), await service.awaited(1)]

    assert asyncio.run(calls()) == [1, 1, 1]
    assert kept.cache.stats().misses == 1


def test_exchanged_in_its_own_call() -> None:
    """What is bound may be exchanged while a call of it runs, which goes on with what it had."""
    service = Service()
    kept: Any = service.fetch

    class Evil:
        def __hash__(self) -> int:
            if kept.__self__ is not None:
                kept.__self__ = None
                kept.__func__ = None
                gc.collect()
            return 1

    seen = kept(Evil())
    assert seen[0] is Service
    assert (kept.__self__, kept.__func__) == (None, None)


def test_never_bound() -> None:
    """One that was made without either part says so when it is called, and when it is asked."""
    kind: Any = type(Service().fetch)
    made = kind.__new__(kind)
    with pytest.raises(AttributeError, match="never bound"):
        made(1)
    with pytest.raises(AttributeError, match="__func__"):
        made.__getattribute__("__func__")
    made.__func__ = print
    with pytest.raises(AttributeError, match="never bound"):
        made(1)


def test_what_it_holds(nothing_collected: None) -> None:
    """It holds the instance and the function for as long as it lives, and lets go of them by reference counts alone."""
    service = Service()
    gone = weakref.ref(service)
    kept: Any = service.fetch
    itself = weakref.ref(kept)
    del service
    assert kept() == (Service, (), {})
    assert gone() is kept.__self__
    del kept
    assert itself() is None
    assert gone() is None


def test_in_a_circle() -> None:
    """An instance that holds a bound method of its own is garbage once nobody else holds it."""
    service: Any = Service()
    service.kept = service.fetch
    service.kept(1)
    gone = weakref.ref(service)
    del service
    gc.collect()
    assert gone() is None


def test_an_error_in_the_call() -> None:
    """What a call raises comes out, and the next call finds everything as it was."""
    kept: Any = Service().of_class
    with pytest.raises(TypeError, match="of_class"):
        kept()
    with pytest.raises(TypeError, match="of_class"):
        kept(1, 2, 3)
    with pytest.raises(TypeError, match="unhashable"):
        kept([])
    assert kept(1) == (Service, 1, 2)

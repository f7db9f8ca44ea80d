"""A call of a method goes on to what binding gives, where a decorator of others stands below."""

import asyncio
import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import wrapt

from memo import bounded, dedupe_inflight, sliding_window

DECORATORS: dict[str, Callable[[Any], Any]] = {
    "bounded": bounded(max=8),
    "lru": bounded(max=8, policy="lru", ttl="1h"),
    "custom": bounded(max_bytes="1MB", idle="1h"),
    "dedupe_inflight": dedupe_inflight,
    "sliding_window": sliding_window("1h"),
    "stack": lambda f: bounded(max=8)(dedupe_inflight(sliding_window("1h")(f))),
}
over = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)


def noting(seen: list[Any]) -> Any:
    @wrapt.decorator
    def decorator(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append(instance)
        return wrapped(*args, **kwargs)

    return decorator


class Binding:
    """A descriptor that cannot be called unbound, and wants to be told its name."""

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        assert self.name, "was not told its name"
        return self if instance is None else functools.partial(self.__wrapped__, instance)  # type: ignore[attr-defined]

    def __call__(self) -> Any:
        raise TypeError("cannot be called unbound")


@over
@pytest.mark.parametrize("is_async", [False, True])
def test_a_wrapt_decorator_below_is_given_the_instance(decorate: Any, is_async: bool) -> None:
    """By whichever way the method is called, and without being there where it is not."""
    seen: list[Any] = []

    class Service:
        if is_async:

            @decorate
            @noting(seen)
            async def load(self, x: int) -> list[Any]:
                return [self, x]

        else:

            @decorate
            @noting(seen)
            def load(self, x: int) -> list[Any]:
                return [self, x]

    def finished(value: Any) -> Any:
        return asyncio.run(value) if inspect.iscoroutine(value) else value

    one, other = Service(), Service()
    assert finished(one.load(1)) == [one, 1]
    assert finished(other.load(x=1)) == [other, 1]
    assert finished(Service.load(one, 2)) == [one, 2]
    assert seen == [one, other, one]


@over
def test_class_and_static_methods_below_wrapt_keep_its_decorator(decorate: Any) -> None:
    """The decorator between is called, with the class that the call went through; ``None`` for a static method."""
    seen: list[Any] = []

    class Service:
        @decorate
        @noting(seen)
        @classmethod
        def of_class(cls, x: int) -> list[Any]:
            return [cls, x]

        @decorate
        @noting(seen)
        @staticmethod
        def static(x: int) -> list[Any]:
            return [x]

        @classmethod
        @decorate
        @noting(seen)
        def inner(cls, x: int) -> list[Any]:
            return [cls, x]

    class Other(Service):
        pass

    assert Service.of_class(1) == [Service, 1]
    assert Other().of_class(x=1) == [Other, 1]
    assert Service.static(1) == [1]
    assert Other.inner(1) == [Other, 1]
    assert seen == [Service, Other, None, Other]
    assert isinstance(Service.__dict__["of_class"], classmethod)
    assert isinstance(Service.__dict__["static"], staticmethod)


def test_coroutine_functions_of_classes_below_wrapt() -> None:
    """A class method that is a coroutine function is one below wrapt as well."""
    seen: list[Any] = []

    class Service:
        @bounded(max=8)
        @noting(seen)
        @classmethod
        async def load(cls, x: int) -> list[Any]:
            return [cls, x]

    async def twice() -> bool:
        return await Service.load(1) is await Service.load(x=1)

    assert inspect.iscoroutinefunction(Service.load)
    assert asyncio.run(twice())
    assert seen == [Service]


def test_a_property_below_wrapt() -> None:
    """The getter is given the instance."""
    seen: list[Any] = []

    class Service:
        @bounded(max=8)
        @property
        @noting(seen)
        def name(self) -> list[Any]:
            return [self]

    service = Service()
    assert service.name is service.name
    assert seen == [service]


@over
def test_what_cannot_be_called_unbound(decorate: Any) -> None:
    """It is told its name, and bound to each instance."""

    class Service:
        @decorate
        @Binding
        def load(self, x: int) -> list[Any]:
            return [self, x]

    one, other = Service(), Service()
    assert one.load(1) == [one, 1]
    assert other.load(1) == [other, 1]


def test_a_refresh_and_a_stale_answer_are_bound_too() -> None:
    """What loads in the background or for a handle takes the same way."""
    seen: list[Any] = []
    numbers = itertools.count()

    class Service:
        @bounded(max=8, ttl="1h", stale_while_revalidate="1h")
        @noting(seen)
        def load(self, x: int) -> int:
            return next(numbers)

    service = Service()
    assert service.load(1) == 0
    assert service.load.cache.refresh(1) == 1
    assert service.load(1) == 1
    assert seen == [service, service]


@over
def test_a_class_that_refers_to_such_a_function(decorate: Any) -> None:
    """A call through the instance is bound, and a plain call is not."""
    seen: list[Any] = []

    @decorate
    @noting(seen)
    def load(x: Any) -> list[Any]:
        return [x]

    class Service:
        attribute = load

    service = Service()
    assert load(1) == [1]
    assert service.attribute() == [service]
    assert load(2) == [2]
    assert seen == [None, service, None]


def test_a_single_dispatch_method_below() -> None:
    """It dispatches as before, also to what is registered later, and each instance has its own entries."""

    class Service:
        @bounded(max=8)
        @functools.singledispatchmethod
        def load(self, x: Any) -> list[Any]:
            return ["any", x]

        @load.register
        def _(self, x: int) -> list[Any]:
            return ["int", x]

        @bounded(max=8)
        @functools.singledispatchmethod
        async def later(self, x: Any) -> list[Any]:
            return ["any", x]

    service = Service()
    assert service.load(1) is service.load(1)
    assert service.load(1) == ["int", 1]
    assert service.load("a") == ["any", "a"]
    assert Service().load(1) is not service.load(1)
    assert service.load.cache.invalidate(1)
    assert inspect.iscoroutinefunction(service.later)
    assert asyncio.run(service.later(1)) == ["any", 1]


def test_what_stands_in_a_class_body_names_the_class_it_was() -> None:
    """Tools that go by ``__class__`` and its module (beartype, typeguard) find the built-in one."""

    class Service:
        @bounded(max=8)
        @classmethod
        def of_class(cls) -> None: ...

        @bounded(max=8)
        @staticmethod
        def static() -> None: ...

        @bounded(max=8)
        @property
        def name(self) -> None: ...

    for name, kind in {"of_class": classmethod, "static": staticmethod, "name": property}.items():
        assert Service.__dict__[name].__class__ is kind


@pytest.mark.parametrize("library", ["beartype", "typeguard"])
def test_classes_that_are_checked_as_a_whole(library: str) -> None:
    """A checker above the class goes through whatever is decorated in it."""
    module = pytest.importorskip(library)
    check = module.beartype if library == "beartype" else module.typechecked

    @check
    class Service:
        @bounded(max=8)
        def load(self, x: int) -> list[Any]:
            return [x]

        @bounded(max=8)
        @classmethod
        def of_class(cls, x: int) -> list[Any]:
            return [cls, x]

        @classmethod
        @bounded(max=8)
        def inner(cls, x: int) -> list[Any]:
            return [cls, x]

        @bounded(max=8)
        @staticmethod
        def static(x: int) -> list[Any]:
            return [x]

        @bounded(max=8)
        @property
        def name(self) -> list[Any]:
            return [self]

    service = Service()
    assert service.load(1) is service.load(1)
    assert Service.of_class(1) is service.of_class(1)
    assert Service.inner(1) is service.inner(1)
    assert Service.static(1) is service.static(1)
    assert service.name is service.name


@pytest.mark.parametrize("kind", [classmethod, staticmethod])
def test_a_method_that_dispatches_to_no_method_is_refused(kind: Any) -> None:
    """The message says where the decorator belongs, and there it works."""
    outer: Any = functools.singledispatchmethod(kind(lambda cls, x=None: [x]))
    with pytest.raises(TypeError, match=f"this singledispatchmethod is about a {kind.__name__}"):
        bounded(max=8)(outer)

    class Service:
        @functools.singledispatchmethod
        @classmethod
        @bounded(max=8)
        def load(cls, x: Any) -> list[Any]:
            return [cls, x]

    assert Service.load(1) is Service.load(1)

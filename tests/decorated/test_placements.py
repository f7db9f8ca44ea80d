"""One suite over every placement: whatever is decorated, and wherever it stands, behaves alike."""

import asyncio
import copy
import functools
import gc
import inspect
import operator
import pickle
import re
import sys
import types
import typing
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from memo import EvictionReason, bounded, registry

Decorate = Callable[[Any], Any]


class Log(list[Any]):
    """What was executed; makes the function fail while ``error`` is set."""

    error: BaseException | None = None

    def append(self, item: Any) -> None:
        super().append(item)
        if self.error is not None:
            raise self.error


@dataclass
class Placed:
    """Something decorated: how to reach it, and what its executions were.

    Args:
        calls: One item for each execution.
        get: Gives the callable anew, as ``obj.fetch`` would.
        another: The same of another instance; None where there is no instance.
        owner: The class in whose body it stands, if ``owner.fetch`` takes the instance first.
        instance: The instance that ``get`` binds.
    """

    calls: Log
    get: Callable[[], Any]
    another: Callable[[], Any] | None = None
    owner: Any = None
    instance: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return finished(self.get()(*args, **kwargs))


def finished(value: Any) -> Any:
    """The value itself, or what awaiting it gives."""
    if inspect.isawaitable(value):

        async def wait() -> Any:
            return await value

        return asyncio.run(wait())
    return value


def on_function(decorate: Decorate) -> Placed:
    calls = Log()

    @decorate
    def fetch(name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    return Placed(calls, lambda: fetch)


def on_coroutine(decorate: Decorate) -> Placed:
    calls = Log()

    @decorate
    async def fetch(name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    return Placed(calls, lambda: fetch)


def of(kind: Any, calls: Log, make: Callable[[], Any] | None = None) -> Placed:
    """A placement whose function is the method ``fetch`` of *kind*."""
    make = make or kind
    instance, other = make(), make()
    return Placed(calls, lambda: instance.fetch, lambda: other.fetch, kind, instance)


def on_method(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_async_method(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        async def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_method_of_odd_self(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        def fetch(me, name: str, lang: str = "en") -> list[str]:  # noqa: N805  # that is the case
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_method_of_positional_self(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        def fetch(self, /, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_class_method_inner(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @classmethod
        @decorate
        def fetch(cls, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    class Other(Service):
        pass

    return Placed(calls, lambda: Service.fetch, lambda: Other.fetch)


def on_class_method_outer(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @classmethod
        def fetch(cls, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    class Other(Service):
        pass

    return Placed(calls, lambda: Service().fetch, lambda: Other().fetch)


def on_async_class_method_outer(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @classmethod
        async def fetch(cls, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service.fetch)


def on_static_method_inner(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @staticmethod
        @decorate
        def fetch(name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service().fetch)


def on_static_method_outer(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @staticmethod
        def fetch(name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service.fetch)


def on_async_static_method_inner(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @staticmethod
        @decorate
        async def fetch(name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return Placed(calls, lambda: Service.fetch)


def on_slots(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        __slots__ = ("__weakref__", "unused")

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_slots_without_weakref(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        __slots__ = ("unused",)

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_frozen_dataclass(decorate: Decorate) -> Placed:
    calls = Log()

    @dataclass(frozen=True)
    class Service:
        number: int = 0

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_frozen_dataclass_with_slots(decorate: Decorate) -> Placed:
    calls = Log()

    @dataclass(frozen=True, slots=True)
    class Service:
        number: int = 0

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    numbers = iter(range(10))
    return of(Service, calls, lambda: Service(next(numbers)))


def on_unhashable(decorate: Decorate) -> Placed:
    calls = Log()

    @dataclass
    class Service:
        names: list[str] = field(default_factory=list)

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    assert Service.__hash__ is None
    return of(Service, calls)


def on_named_tuple(decorate: Decorate) -> Placed:
    calls = Log()

    class Service(NamedTuple):
        number: int = 0

        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    numbers = iter(range(10))
    return of(Service, calls, lambda: Service(next(numbers)))


def on_override(decorate: Decorate) -> Placed:
    calls = Log()

    class Base:
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            return [name, lang]

    class Service(Base):
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return list(super().fetch(name, lang))

    return of(Service, calls)


def on_inherited(decorate: Decorate) -> Placed:
    calls = Log()

    class Base:
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    class Service(Base):
        pass

    return of(Service, calls)


def on_alias_in_class_body(decorate: Decorate) -> Placed:
    calls = Log()

    def outside(owner: Any, name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    class Service:
        load = decorate(outside)
        fetch = load

    return of(Service, calls)


def on_function_set_on_class(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        pass

    @decorate
    def outside(owner: Any, name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        calls.append((name, lang))
        return [name, lang]

    Service.fetch = outside  # type: ignore[attr-defined]
    return of(Service, calls)


def on_partial(decorate: Decorate) -> Placed:
    calls = Log()

    def base(log: list[Any], name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        log.append((name, lang))
        return [name, lang]

    fetch = decorate(functools.partial(base, calls))
    return Placed(calls, lambda: fetch)


def on_async_partial(decorate: Decorate) -> Placed:
    calls = Log()

    async def base(log: list[Any], name: str, lang: str = "en") -> list[str]:
        """Fetch a profile."""
        log.append((name, lang))
        return [name, lang]

    fetch = decorate(functools.partial(base, calls))
    return Placed(calls, lambda: fetch)


def on_partialmethod(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        def _fetch(self, log: list[Any], name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            log.append((name, lang))
            return [name, lang]

        fetch = decorate(functools.partialmethod(_fetch, calls))

    return of(Service, calls)


def on_bound_method(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    fetch = decorate(Service().fetch)
    return Placed(calls, lambda: fetch)


def on_callable_object(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        """Fetches."""

        def __call__(self, name: str, lang: str = "en") -> list[str]:
            calls.append((name, lang))
            return [name, lang]

    fetch = decorate(Service())
    return Placed(calls, lambda: fetch)


def on_async_callable_object(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        """Fetches."""

        async def __call__(self, name: str, lang: str = "en") -> list[str]:
            calls.append((name, lang))
            return [name, lang]

    fetch = decorate(Service())
    return Placed(calls, lambda: fetch)


def on_wrapped(decorate: Decorate) -> Placed:
    calls = Log()

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    class Service:
        @decorate
        @passing
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


def on_stack(decorate: Decorate) -> Placed:
    calls = Log()

    class Service:
        @decorate
        @decorate
        def fetch(self, name: str, lang: str = "en") -> list[str]:
            """Fetch a profile."""
            calls.append((name, lang))
            return [name, lang]

    return of(Service, calls)


FUNCTIONS = (on_function, on_coroutine, on_static_method_inner, on_static_method_outer, on_async_static_method_inner)
CLASS_METHODS = (on_class_method_inner, on_class_method_outer, on_async_class_method_outer)
METHODS = (
    on_method,
    on_async_method,
    on_method_of_odd_self,
    on_method_of_positional_self,
    on_slots,
    on_slots_without_weakref,
    on_frozen_dataclass,
    on_frozen_dataclass_with_slots,
    on_unhashable,
    on_named_tuple,
    on_override,
    on_inherited,
    on_alias_in_class_body,
    on_function_set_on_class,
    on_wrapped,
)
STACKS = (on_stack,)
OTHERS = (
    on_partial,
    on_async_partial,
    on_partialmethod,
    on_bound_method,
    on_callable_object,
    on_async_callable_object,
)
HELD_BY_KEY = (on_slots_without_weakref, on_frozen_dataclass_with_slots, on_named_tuple)
ALL = FUNCTIONS + CLASS_METHODS + METHODS + OTHERS
LIKE_FUNCTIONS = FUNCTIONS + CLASS_METHODS + METHODS + STACKS
WEAKLY_HELD = tuple(build for build in METHODS if build not in HELD_BY_KEY)

Build = Callable[[Decorate], Placed]


def over(*builds: Build) -> Any:
    return pytest.mark.parametrize("build", builds, ids=[build.__name__.removeprefix("on_") for build in builds])


def plain(function: Any) -> Any:
    return function


def placed(build: Build, **options: Any) -> Placed:
    return build(bounded(**{"max": 8, **options}))


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    assert all((handle := record.inflight) is None or len(handle) == 0 for record in registry)


# -- calls


@over(*ALL, *STACKS)
def test_every_spelling_of_a_call_is_one_key(build: Build) -> None:
    fetch = placed(build)
    first = fetch("a")
    assert fetch(name="a") is first
    assert fetch("a", "en") is first
    assert fetch("a", lang="en") is first
    assert fetch(lang="en", name="a") is first
    assert fetch.calls == [("a", "en")]
    assert fetch("a", "de") is not first
    assert fetch("b") is not first
    assert fetch.calls == [("a", "en"), ("a", "de"), ("b", "en")]
    assert fetch.get().cache_info() == (4, 3, 8, 3)


@over(*ALL, *STACKS)
def test_results_are_those_of_the_plain_callable(build: Build) -> None:
    decorated, undecorated = placed(build), build(plain)
    for _ in range(2):
        result, expected = decorated("a", lang="de"), undecorated("a", lang="de")
        assert type(result).__name__ == type(expected).__name__
        if isinstance(expected, list):
            assert result == expected


BAD_CALLS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((), {}),
    ((), {"lang": "en"}),
    (("a", "b", "c", "d"), {}),
    (("a",), {"nome": 1}),
    (("a",), {"name": "a"}),
)


@over(*LIKE_FUNCTIONS)
@pytest.mark.parametrize(("args", "kwargs"), BAD_CALLS)
def test_errors_in_a_call_read_as_if_not_decorated(build: Build, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    decorated, undecorated = placed(build), build(plain)
    with pytest.raises(TypeError) as expected:
        undecorated(*args, **kwargs)
    with pytest.raises(TypeError) as raised:
        decorated(*args, **kwargs)
    assert str(raised.value) == str(expected.value)
    assert len(decorated.get().cache) == 0
    assert len(decorated.get().inflight) == 0


@over(*OTHERS)
@pytest.mark.parametrize(("args", "kwargs"), BAD_CALLS)
def test_errors_in_a_call_of_a_callable_name_the_same_arguments(
    build: Build, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    decorated, undecorated = placed(build), build(plain)
    with pytest.raises(TypeError) as expected:
        undecorated(*args, **kwargs)
    with pytest.raises(TypeError) as raised:
        decorated(*args, **kwargs)
    assert quoted(raised.value) == quoted(expected.value)
    assert len(decorated.get().cache) == 0


def quoted(error: BaseException) -> list[str]:
    """The arguments that a message names; before them stands a name that not every callable has."""
    return re.findall(r"'(\w+)'", str(error))


@over(*ALL)
def test_what_the_function_raises_passes_and_is_not_remembered(build: Build) -> None:
    fetch = placed(build)
    fetch.calls.error = LookupError("no such profile")
    for _ in range(2):
        with pytest.raises(LookupError, match=r"^no such profile$"):
            fetch("a")
    fetch.calls.error = None
    fetch("a")
    fetch("a")
    assert len(fetch.calls) == 3
    stats = fetch.get().cache.stats()
    assert (stats.hits, stats.misses, stats.load_errors, stats.loads) == (1, 3, 2, 1)
    assert len(fetch.get().inflight) == 0


@over(*LIKE_FUNCTIONS, on_bound_method)
def test_looks_like_the_plain_callable(build: Build) -> None:
    decorated, undecorated = placed(build).get(), build(plain).get()
    assert inspect.signature(decorated) == inspect.signature(undecorated)
    assert inspect.iscoroutinefunction(decorated) is inspect.iscoroutinefunction(undecorated)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(decorated, attribute) == getattr(undecorated, attribute), attribute
    assert inspect.getdoc(decorated) == "Fetch a profile."
    assert typing.get_type_hints(decorated) == typing.get_type_hints(undecorated)
    assert inspect.isfunction(decorated) is inspect.isfunction(undecorated)
    assert inspect.ismethod(decorated) is inspect.ismethod(undecorated)
    assert inspect.isroutine(decorated) is inspect.isroutine(undecorated)
    assert callable(decorated)


@over(*OTHERS)
def test_signature_of_any_callable_stays(build: Build) -> None:
    decorated, undecorated = placed(build).get(), build(plain).get()
    assert str(inspect.signature(decorated)) == str(inspect.signature(undecorated))
    is_async = build in (on_async_partial, on_async_callable_object)
    assert inspect.iscoroutinefunction(decorated) is is_async


def skip_inner_class_methods_that_python_binds(build: Build) -> None:
    """From 3.13 on, ``@classmethod`` above ``@bounded`` binds by itself: a limit that README names."""
    if build is on_class_method_inner and sys.version_info >= (3, 13):
        pytest.skip("classmethod binds without asking what it wraps from Python 3.13 on")


@over(*(build for build in ALL if build is not on_wrapped), *STACKS)
def test_the_original_is_called_past_the_store(build: Build) -> None:
    skip_inner_class_methods_that_python_binds(build)
    fetch = placed(build)
    stored = fetch("a")
    fresh = finished(inspect.unwrap(fetch.get())("a"))
    assert fresh is not stored
    assert len(fetch.calls) == 2
    assert fetch("a") is stored


def test_unwrap_ends_at_the_original_object() -> None:
    def function(name: str) -> str:
        return name

    class Service:
        def fetch(self, name: str) -> str:
            return name

        decorated = bounded(max=8)(fetch)
        of_class = bounded(max=8)(classmethod(fetch))
        static = bounded(max=8)(staticmethod(function))

    service = Service()
    assert inspect.unwrap(bounded(max=8)(function)) is function
    assert inspect.unwrap(bounded(max=8)(bounded(max=4)(function))) is function
    assert inspect.unwrap(Service.decorated) is Service.fetch
    assert service.decorated.__wrapped__ == service.fetch
    assert service.decorated.__self__ is service
    assert Service.of_class.__wrapped__ == types.MethodType(Service.fetch, Service)
    assert inspect.unwrap(Service.static) is function
    stacked = bounded(max=8)(bounded(max=4)(function))
    assert stacked.__wrapped__.cache_parameters()["maxsize"] == 4
    for kind in (functools.partial(function), len, service.fetch, int):
        assert bounded(max=8)(kind).__wrapped__ is kind or bounded(max=8)(kind).__wrapped__ == kind


# -- the handle


@over(*ALL)
def test_the_handle_takes_the_arguments_of_the_call(build: Build) -> None:
    skip_inner_class_methods_that_python_binds(build)
    fetch = placed(build)
    first = fetch("a")
    cache = fetch.get().cache
    entry = cache.entry(name="a")
    assert entry is not None
    assert entry.value is first
    assert entry.hits == 0
    assert cache.entry("b") is None
    assert len(cache) == 1
    assert cache
    assert [value for _, value in cache.items()] == [first]
    assert cache.invalidate("a", lang="en") is True
    assert cache.invalidate("a") is False
    assert len(cache) == 0
    assert cache
    assert fetch("a") is not first
    cache.put("other", "a")
    assert fetch("a") == "other"
    refreshed = finished(cache.refresh("a"))
    assert fetch("a") is refreshed
    assert refreshed != "other"
    assert cache.invalidate_where(lambda key, value: value is refreshed) == 1
    assert cache.clear() == 0
    fetch("a")
    fetch("b")
    assert fetch.get().cache.clear() == 2
    assert len(fetch.get().cache) == 0


@over(*(build for build in ALL if build is not on_wrapped))
def test_the_handle_refuses_what_the_call_would(build: Build) -> None:
    fetch = placed(build)
    for operation in (fetch.get().cache.invalidate, fetch.get().cache.entry, fetch.get().inflight.forget):
        with pytest.raises(TypeError):
            operation("a", "b", "c", "d")
        with pytest.raises(TypeError):
            operation()


@over(*ALL)
def test_keys_that_users_see_have_no_instance(build: Build) -> None:
    gone: list[tuple[Any, Any]] = []
    fetch = placed(build, on_evict=lambda key, value, reason: gone.append((key, reason)))
    fetch("a")
    assert [key for key, _ in fetch.get().cache.items()] == [("a", "en")]
    assert list(fetch.get().cache) == [("a", "en")]
    keys: list[Any] = []
    fetch.get().cache.invalidate_where(lambda key, value: keys.append(key))
    assert keys == [("a", "en")]
    fetch.get().cache.invalidate("a")
    assert gone == [(("a", "en"), EvictionReason.INVALIDATED)]


@over(*METHODS, *CLASS_METHODS[:2], on_partialmethod)
def test_the_handle_of_an_instance_acts_on_its_entries_alone(build: Build) -> None:
    skip_inner_class_methods_that_python_binds(build)
    fetch = placed(build)
    assert fetch.another is not None
    other = Placed(fetch.calls, fetch.another)
    mine, theirs = fetch("a"), other("a")
    fetch("b")
    assert mine is not theirs
    assert fetch("a") is mine
    assert other("a") is theirs
    assert (len(fetch.get().cache), len(other.get().cache)) == (2, 1)
    assert [value for _, value in other.get().cache.items()] == [theirs]
    assert fetch.get().cache.clear() == 2
    assert (len(fetch.get().cache), len(other.get().cache)) == (0, 1)
    assert other("a") is theirs
    fetch("a")
    assert other.get().cache.invalidate_where(lambda key, value: True) == 1
    assert (len(fetch.get().cache), len(other.get().cache)) == (1, 0)
    assert fetch.get().cache.invalidate("a") is True
    stats = fetch.get().cache.stats()
    assert stats == other.get().cache.stats()
    assert stats.requests == 7


@over(*METHODS)
def test_the_bound_is_that_of_all_instances_together(build: Build) -> None:
    fetch = placed(build, max=3)
    assert fetch.another is not None
    other = Placed(fetch.calls, fetch.another)
    for name in "abcd":
        fetch(name)
        other(name)
        assert len(fetch.get().cache) + len(other.get().cache) <= 3
        assert len(fetch.get().cache.store) <= 3
    assert fetch.get().cache.stats().size == 3


@over(*(build for build in METHODS if build not in (on_alias_in_class_body, on_function_set_on_class)))
def test_a_call_through_the_class_has_the_key_of_the_bound_one(build: Build) -> None:
    fetch = placed(build)
    bound = fetch("a")
    assert finished(fetch.owner.fetch(fetch.instance, "a")) is bound
    assert fetch.owner.fetch.cache.entry(fetch.instance, "a").value is bound
    assert len(fetch.owner.fetch.cache) == 1
    assert fetch.owner.fetch.cache.invalidate(fetch.instance, "a")
    assert fetch("a") is not bound


@over(*METHODS)
def test_nothing_is_written_into_an_instance(build: Build) -> None:
    fetch = placed(build)
    instance = fetch.instance
    before = dict(getattr(instance, "__dict__", {}))
    fetch("a")
    fetch("a")
    fetch.get().cache.invalidate("a")
    assert getattr(instance, "__dict__", {}) == before


@over(*(build for build in METHODS if build not in HELD_BY_KEY))
def test_copies_of_an_instance_have_entries_of_their_own(build: Build) -> None:
    fetch = placed(build)
    first = fetch("a")
    for duplicate in (copy.copy(fetch.instance), copy.deepcopy(fetch.instance)):
        assert type(duplicate) is type(fetch.instance)
        assert finished(duplicate.fetch("a")) is not first
        assert finished(duplicate.fetch("a")) == first
    assert fetch("a") is first
    assert len(fetch.calls) == 3


@over(*WEAKLY_HELD, *STACKS)
def test_an_instance_is_not_kept_alive_and_its_entries_go_with_it(build: Build) -> None:
    gone: list[Any] = []
    fetch = placed(build, on_evict=lambda key, value, reason: gone.append((key, value, reason)))
    value = fetch("a")
    fetch("a")
    owner = fetch.owner
    fetch.calls.error = ValueError("no")
    with pytest.raises(ValueError, match=r"^no$"):
        fetch("b")
    fetch.calls.error = None  # its traceback holds the instance
    assert len(owner.fetch.cache) == 1
    alive = weakref.ref(fetch.instance)
    fetch.get = fetch.instance = None  # type: ignore[assignment]
    gc.collect()
    assert alive() is None
    assert len(owner.fetch.cache) == 0
    assert gone == [(("a", "en"), value, EvictionReason.COLLECTED)] * (2 if build in (on_override, on_stack) else 1)
    assert owner.fetch.cache.stats().evictions[EvictionReason.COLLECTED] == 1
    owner.fetch.cache._check()


@over(*HELD_BY_KEY)
def test_an_instance_without_weak_references_is_part_of_the_key_by_its_equality(build: Build) -> None:
    fetch = placed(build)
    first = fetch("a")
    if build is on_slots_without_weakref:
        assert finished(fetch.owner().fetch("a")) is not first
    else:
        twin = fetch.owner(0)
        assert twin == fetch.instance
        assert finished(twin.fetch("a")) is first
    fetch.get().cache.invalidate("a")
    assert fetch("a") is not first


def test_an_instance_that_dies_at_once_leaves_nothing() -> None:
    class Service:
        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return [name]

        @bounded(max=8)
        async def fetch_later(self, name: str) -> list[str]:
            return [name]

    assert Service().fetch("a") == ["a"]
    assert finished(Service().fetch_later("a")) == ["a"]
    gc.collect()
    assert len(Service.fetch.cache) == 0
    assert len(Service.fetch_later.cache) == 0
    assert Service.fetch.cache.stats().size == 0


def test_an_instance_that_dies_during_its_load_leaves_nothing() -> None:
    gone: list[EvictionReason] = []

    class Service:
        @bounded(max=8, on_evict=lambda key, value, reason: gone.append(reason))
        def fetch(*args: Any) -> str:  # type: ignore[misc]  # only so can a method let go of its instance
            holder.clear()
            return "value"

    holder = [Service()]
    alive = weakref.ref(holder[0])
    assert Service.fetch(holder[0]) == "value"
    gc.collect()
    assert alive() is None
    assert len(Service.fetch.cache) == 0
    assert gone == [EvictionReason.COLLECTED]


def test_a_later_instance_at_the_same_address_sees_nothing_of_an_earlier_one() -> None:
    class Service:
        __slots__ = ("__weakref__", "number")

        def __init__(self, number: int) -> None:
            self.number = number

        @bounded(max=64, key=lambda name: name)
        def keyed(self, name: str) -> int:
            return self.number

        @bounded(max=64)
        def fetch(self, name: str) -> int:
            return self.number

        @bounded(max=64)
        async def fetch_later(self, name: str) -> int:
            return self.number

        @property
        @bounded(max=64)
        def same(self) -> int:
            return self.number

    async def use(count: int) -> set[int]:
        addresses = set()
        for number in range(count):
            service = Service(number)
            for _ in range(2):
                assert service.fetch("a") == number
                assert service.keyed("a") == number
                assert service.same == number
                assert await service.fetch_later("a") == number
            addresses.add(id(service))
            del service
        return addresses

    addresses = asyncio.run(use(300))
    assert len(addresses) < 300, "no address was used again, so nothing was shown"
    gc.collect()
    assert len(Service.fetch.cache) == 0
    assert not Service.fetch.cache._cache.store.index


def test_instances_in_a_reference_cycle_are_collected_with_their_entries() -> None:
    gone: list[EvictionReason] = []

    class Service:
        me: "Service"

        @bounded(max=8, on_evict=lambda key, value, reason: gone.append(reason))
        def fetch(self, name: str) -> "Service | None":
            return None

    for _ in range(5):
        service = Service()
        service.me = service
        service.fetch("a")
    del service
    gc.collect()
    assert len(Service.fetch.cache) == 0
    assert gone == [EvictionReason.COLLECTED] * 5


def test_equal_instances_have_entries_of_their_own() -> None:
    class Service:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Service)

        def __hash__(self) -> int:
            return 1

        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return [name]

    one, two = Service(), Service()
    assert one.fetch("a") is not two.fetch("a")
    assert one.fetch("a") is one.fetch("a")
    assert one.fetch != two.fetch
    assert one.fetch == one.fetch


def test_an_instance_neither_hashable_nor_weakly_referable_is_refused_with_the_remedy() -> None:
    class Service:
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return self is other

        __hash__ = None  # type: ignore[assignment]

        @bounded(max=8)
        def fetch(self, name: str) -> str:
            return name

        @bounded(max=8, ignore=("self",))
        def shared(self, name: str) -> list[str]:
            return [name]

    service = Service()
    with pytest.raises(TypeError, match=r"^unhashable type: 'Service': .*Service.*__weakref__.*ignore=\('self',\)"):
        service.fetch("a")
    assert len(Service.fetch.cache) == 0
    assert len(Service.fetch.inflight) == 0
    assert service.shared("a") is Service().shared("a")


def test_instances_may_share_entries() -> None:
    class Service:
        @bounded(max=8, ignore=("self",))
        def fetch(self, name: str) -> list[str]:
            return [name]

    one, two = Service(), Service()
    assert one.fetch("a") is two.fetch("a")
    assert two.fetch.cache.invalidate("a")
    assert len(one.fetch.cache) == 0
    alive = weakref.ref(one)
    one.fetch("b")
    del one
    gc.collect()
    assert alive() is None
    assert len(two.fetch.cache) == 1


def test_subclass_and_base_do_not_share_what_super_returns() -> None:
    class Base:
        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return ["base", name]

        @bounded(max=8)
        @classmethod
        def of_class(cls, name: str) -> list[str]:
            return [cls.__name__, name]

    class Service(Base):
        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return ["service", *super().fetch(name)]

        @bounded(max=8)
        @classmethod
        def of_class(cls, name: str) -> list[str]:
            return ["below", *super().of_class(name)]

    service = Service()
    assert service.fetch("a") == ["service", "base", "a"]
    assert Base.fetch(service, "a") == ["base", "a"]
    assert super(Service, service).fetch.cache.entry("a").value == ["base", "a"]  # type: ignore[union-attr]
    assert service.fetch("a") is service.fetch(name="a")
    assert Service.of_class("a") == ["below", "Service", "a"]
    assert Base.of_class("a") == ["Base", "a"]
    assert len(Base.of_class.cache) == 1
    assert len(super(Service, Service).of_class.cache) == 1


# -- properties


def property_inner(decorate: Decorate, calls: Log) -> Any:
    class Service:
        @property
        @decorate
        def size(self) -> list[int]:
            """How much."""
            calls.append(())
            return [1]

    return Service


def property_outer(decorate: Decorate, calls: Log) -> Any:
    class Service:
        @decorate
        @property
        def size(self) -> list[int]:
            """How much."""
            calls.append(())
            return [1]

        @size.setter
        def size(self, value: int) -> None:
            type(self).size.fget.cache.put([value], self)

    return Service


@pytest.mark.parametrize("make", [property_inner, property_outer])
def test_a_property_is_remembered_by_instance(make: Any) -> None:
    calls = Log()
    kind = make(bounded(max=8), calls)
    one, two = kind(), kind()
    assert one.size is one.size
    assert one.size is not two.size
    assert len(calls) == 2
    assert vars(one) == {}
    assert isinstance(kind.size, property)
    assert kind.size.__doc__ == make(plain, calls).size.__doc__ == "How much."
    assert inspect.isdatadescriptor(kind.size)
    cache = kind.size.fget.cache
    assert len(cache) == 2
    assert cache.invalidate(one)
    assert not cache.invalidate(one)
    assert one.size is one.size
    assert len(calls) == 3
    del one
    gc.collect()
    assert len(cache) == 1
    assert registry[kind.size.fget].cache.stats().misses == 3


def test_a_property_carries_the_handle_through_the_class() -> None:
    calls = Log()
    kind = property_outer(bounded(max=8), calls)
    one = kind()
    first = one.size
    assert kind.size.cache.entry(one).value is first
    assert kind.size.cache_info() == (0, 1, 8, 1)
    assert kind.size.cache.invalidate(one)
    assert one.size is not first
    kind.size.cache_clear()
    assert kind.size.cache_info() == (0, 0, 8, 0)
    one.size = 7
    assert one.size == [7]
    with pytest.raises(AttributeError, match="nothing"):
        _ = kind.size.nothing
    assert not hasattr(one.size, "cache")


def test_a_property_without_getter_is_refused() -> None:
    with pytest.raises(TypeError, match="no getter"):
        bounded(max=8)(property())


def test_a_cached_property_is_refused() -> None:
    def size(self: Any) -> int:
        return 1

    with pytest.raises(TypeError, match=r"size.*cached_property.*property"):
        bounded(max=8)(functools.cached_property(size))


# -- equality, pickling, copies


@bounded(max=8)
def at_top(name: str) -> list[str]:
    """A function that can be pickled."""
    return [name]


@bounded(max=8)
@bounded(max=4)
def stacked_at_top(name: str) -> list[str]:
    """A stack that can be pickled."""
    return [name]


class AtTop:
    """A class whose instances can be pickled."""

    @bounded(max=8)
    def fetch(self, name: str) -> list[str]:
        return [name]

    @bounded(max=8)
    @classmethod
    def of_class(cls, name: str) -> list[str]:
        return [name]

    @bounded(max=8)
    @staticmethod
    def static(name: str) -> list[str]:
        return [name]

    @classmethod
    @bounded(max=8)
    def of_class_inner(cls, name: str) -> list[str]:
        return [name]

    class Within:
        @bounded(max=8)
        def fetch(self, name: str) -> list[str]:
            return [name]


def by_reference() -> list[Any]:
    return [at_top, stacked_at_top, AtTop.fetch, AtTop.static, AtTop.Within.fetch]


@pytest.mark.parametrize("function", by_reference())
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_by_reference(function: Any, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(function, protocol)) is function


@pytest.mark.parametrize("function", by_reference())
def test_copies_are_the_same_object(function: Any) -> None:
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function
    assert copy.deepcopy([function])[0] is function


@pytest.mark.parametrize("function", by_reference())
def test_equal_to_the_original_and_hashes_like_it(function: Any) -> None:
    original = inspect.unwrap(function)
    assert function == original
    assert original == function
    assert not function != original  # noqa: SIM202  # both operators are written by hand
    assert hash(function) == hash(original)
    assert {function: 1}[original] == 1
    assert function != at_top.__wrapped__.__call__
    assert function != 3


def test_bound_methods_pickle_compare_and_hash_like_bound_methods() -> None:
    service = AtTop()
    bound = service.fetch
    assert bound == service.fetch
    assert hash(bound) == hash(service.fetch)
    assert bound != AtTop().fetch
    assert len({service.fetch, service.fetch}) == 1
    thawed = pickle.loads(pickle.dumps(bound))
    assert thawed("a") == ["a"]
    assert type(thawed.__self__) is AtTop
    assert pickle.loads(pickle.dumps(AtTop.of_class)) == AtTop.of_class
    assert pickle.loads(pickle.dumps(AtTop.of_class_inner)) == AtTop.of_class_inner
    assert copy.copy(bound) == bound
    assert copy.deepcopy(bound).__self__ is not service
    assert isinstance(bound, types.MethodType)
    assert bound.__func__ is AtTop.fetch
    assert bound.__self__ is service
    assert bound.__name__ == "fetch"
    assert "AtTop.fetch" in repr(bound)


def test_a_pickled_instance_has_entries_of_its_own() -> None:
    service = AtTop()
    first = service.fetch("a")
    thawed = pickle.loads(pickle.dumps(service))
    assert thawed.fetch("a") is not first
    assert thawed.fetch("a") == first
    assert service.fetch("a") is first
    assert vars(thawed) == {}


def test_attributes_set_on_a_decorated_function_are_those_of_the_original() -> None:
    def fetch(name: str) -> str:
        return name

    fetch.version = 1  # type: ignore[attr-defined]
    decorated: Any = bounded(max=8)(fetch)
    assert decorated.version == 1
    decorated.version = 2
    assert fetch.version == 2  # type: ignore[attr-defined]
    del decorated.version
    assert not hasattr(fetch, "version")
    with pytest.raises(AttributeError):
        _ = decorated.version
    assert decorated.__defaults__ is None
    assert decorated.__code__.co_varnames == fetch.__code__.co_varnames
    assert decorated.__globals__ is globals()
    assert isinstance(decorated, types.FunctionType)
    assert "fetch" in repr(decorated)


def test_names_the_missing_decorator_of_a_missing_handle() -> None:
    with pytest.raises(AttributeError, match=r"window"):
        _ = at_top.window  # type: ignore[attr-defined]


# -- other decorators


def test_works_below_and_above_other_decorators() -> None:
    calls = Log()

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    class Service:
        @passing
        @bounded(max=8)
        def below(self, name: str) -> list[str]:
            calls.append(name)
            return [name]

    service = Service()
    assert service.below("a") is service.below(name="a")
    assert len(calls) == 1
    assert len(registry[Service.below].cache) == 1


def test_decorates_builtins() -> None:
    power = bounded(max=8)(pow)
    assert power(2, 5) == power(2, exp=5) == power(base=2, exp=5, mod=None) == 32
    assert power.cache_info() == (2, 1, 8, 1)
    assert inspect.signature(power) == inspect.signature(pow)
    largest = bounded(max=8)(max)  # has no signature
    assert largest(1, 3) == largest(1, 3) == 3
    assert largest(-4, 3, key=abs) == -4
    assert largest.cache_info() == (1, 2, 8, 2)
    assert largest.__name__ == "max"
    length = bounded(max=8)(len)
    assert length("abc") == 3
    with pytest.raises(TypeError, match="'int' has no len"):
        length(3)
    getter = bounded(max=8)(operator.itemgetter(1))
    assert getter((1, 2)) == 2
    assert getter.cache_info().misses == 1


def test_decorates_builtin_methods_and_types() -> None:
    upper = bounded(max=8)(str.upper)
    assert upper("a") == "A"
    joined = bounded(max=8)("-".join)
    assert joined(("a", "b")) == "a-b"
    number = bounded(max=8)(int)
    assert number("12") == 12
    assert number("12", base=8) == 10
    assert number.cache_info().misses == 2


def test_a_function_of_variable_arguments_becomes_a_method() -> None:
    class Service:
        @bounded(max=8)
        def fetch(*args: Any, **kwargs: Any) -> list[Any]:  # type: ignore[misc]
            return [len(args), kwargs]

    one, two = Service(), Service()
    assert one.fetch("a") == [2, {}]
    assert one.fetch("a") is one.fetch("a")
    assert one.fetch("a") is not two.fetch("a")
    assert [key for key, _ in one.fetch.cache.items()] == [(("a",), ())]
    alive = weakref.ref(one)
    del one
    gc.collect()
    assert alive() is None


def test_a_method_used_before_its_class_knew_its_name_keeps_no_instance() -> None:
    @bounded(max=8)
    def fetch(owner: Any, name: str) -> list[str]:
        return [name]

    class Service:
        pass

    service = Service()
    bound = types.MethodType(fetch, service)
    assert bound("a") is bound("a")
    Service.fetch = fetch  # type: ignore[attr-defined]
    assert Service().fetch("a") is not service.fetch("a")  # type: ignore[attr-defined]


def test_errors_in_a_call_of_a_builtin_read_as_if_not_decorated() -> None:
    for function in (len, pow, int):
        with pytest.raises(TypeError) as expected:
            function(*range(5))  # type: ignore[arg-type, call-overload, operator]
        with pytest.raises(TypeError) as raised:
            bounded(max=8)(function)(*range(5))  # type: ignore[call-arg, arg-type]
        assert str(raised.value) == str(expected.value)

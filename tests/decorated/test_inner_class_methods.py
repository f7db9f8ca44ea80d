"""Class methods whose ``@classmethod`` stands above the decorator: never a handle on the wrong class."""

import copy
import functools
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import finished

from memo import bounded, bounded_many, dedupe_inflight, limit, sliding_window
from memo._decorated.every_class import CacheOfEveryClass, InflightOfEveryClass
from memo._decorated.limit_of_every_class import LimitOfEveryClass

BINDS_BY_ITSELF = sys.version_info >= (3, 13)
Decorate = Callable[[Any], Any]


def stacked(function: Any) -> Any:
    return dedupe_inflight(sliding_window("1h")(bounded(max=8)(function)))


class Kinds:
    """A class method, and two classes that inherit it."""

    def __init__(self, decorate: Decorate, *, is_async: bool) -> None:
        calls: list[Any] = []

        class Base:
            if is_async:

                @classmethod
                @decorate
                async def load(cls, x: int, y: int = 1) -> list[Any]:
                    calls.append((cls, x))
                    return [cls, x, y]
            else:

                @classmethod
                @decorate
                def load(cls, x: int, y: int = 1) -> list[Any]:
                    calls.append((cls, x))
                    return [cls, x, y]

        class One(Base):
            pass

        class Two(Base):
            pass

        self.calls = calls
        self.all: tuple[Any, ...] = (Base, One, Two)


@pytest.fixture(params=[bounded(max=8), bounded(max=8, policy="lru"), stacked], ids=["bounded", "lru", "stack"])
def decorate(request: pytest.FixtureRequest) -> Decorate:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[False, True], ids=["plain", "async"])
def kinds(request: pytest.FixtureRequest, decorate: Decorate) -> Kinds:
    return Kinds(decorate, is_async=request.param)


def test_each_class_has_its_own_entries(kinds: Kinds) -> None:
    """Each class runs the method once for its own result, called through class or instance."""
    for kind in (*kinds.all, *kinds.all):
        assert finished(kind.load(1)) == [kind, 1, 1]
        assert finished(kind().load(x=1, y=1)) == [kind, 1, 1]
    assert kinds.calls == [(kind, 1) for kind in kinds.all]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_is_invalidated_is_loaded_anew_for_the_class_that_was_named(kinds: Kinds, which: int) -> None:
    """The class named loads anew; others keep theirs, unless Python hides which one it was."""
    named = kinds.all[which]
    assert not named.load.cache.invalidate(1)
    before = {kind: finished(kind.load(1)) for kind in kinds.all}
    assert not named.load.cache.invalidate(2)
    assert named.load.cache.invalidate(x=1)
    assert finished(named.load(1)) is not before[named]
    for kind in kinds.all:
        if kind is not named:
            assert (finished(kind.load(1)) is before[kind]) is not BINDS_BY_ITSELF


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_entry_of_the_class_leaves(kinds: Kinds, which: int) -> None:
    """clear(), invalidate_where() and cache_clear() reach the class named, or all where Python hides which."""
    named = kinds.all[which]
    shared = 3 if BINDS_BY_ITSELF else 1
    for act in (
        lambda: named.load.cache.clear(),
        lambda: named.load.cache.invalidate_where(lambda key, value: key == (1, 1)),
    ):
        before = {kind: finished(kind.load(1)) for kind in kinds.all}
        assert len(named.load.cache) == len(named.load.cache.items()) == shared
        assert act() == shared
        assert finished(named.load(1)) is not before[named]
    named.load.cache_clear()
    assert named.load.cache_info().currsize == 0


@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_is_about_one_class_is_that_class_s_or_refused(kinds: Kinds, which: int) -> None:
    """What reads or stores acts for the class named, or raises TypeError with advice, and leaves others alone."""
    named = kinds.all[which]
    before = {kind: finished(kind.load(1)) for kind in kinds.all}
    cache = named.load.cache

    def leased() -> Any:
        lease = cache.lease(1)
        value = finished(lease.__aenter__()) if hasattr(lease, "__aenter__") else lease.__enter__()
        del lease  # which ends it
        return value

    operations: dict[str, Callable[[], Any]] = {
        "entry": lambda: cache.entry(1).value is before[named],
        "in": lambda: (1, 1) in cache,
        "call": lambda: finished(cache.call(1)) is before[named],
        "fresh": lambda: finished(cache.fresh(1)) is before[named],
        "within": lambda: finished(cache.within("1h").call(1)) is before[named],
        "lease": lambda: leased() is before[named],
        "put": lambda: cache.put([named], 2) is None and finished(named.load(2)) == [named],
        "put_many": lambda: cache.put_many({(3, 1): [named]}) == 1 and finished(named.load(3)) == [named],
        "refresh": lambda: finished(cache.refresh(1)) is finished(named.load(1)),
    }
    for name, operation in operations.items():
        if BINDS_BY_ITSELF:
            with pytest.raises(TypeError, match=f"{name}.*write @bounded above @classmethod"):
                operation()
        else:
            assert operation(), name
    others = [kind for kind in kinds.all if kind is not named]
    assert all(finished(kind.load(1)) is before[kind] for kind in others)
    assert all(kind not in others for kind, x in kinds.calls if x != 1)


def test_running_calls_of_every_class_are_forgotten() -> None:
    """forget() through a class detaches its running call, whose callers get its result."""
    begun = {"Base": threading.Event(), "One": threading.Event()}
    go_on = threading.Event()
    again = threading.Event()
    results: list[Any] = []

    class Base:
        @classmethod
        @dedupe_inflight
        def load(cls, x: int) -> str:
            if again.is_set():
                return "new"
            begun[cls.__name__].set()
            go_on.wait()
            return "old"

    class One(Base):
        pass

    threads = [threading.Thread(target=lambda kind=kind: results.append(kind.load(1))) for kind in (Base, One)]
    for thread in threads:
        thread.start()
    for event in begun.values():
        event.wait()
    again.set()
    assert len(One.load.inflight) == (2 if BINDS_BY_ITSELF else 1)
    assert One.load.inflight.forget(1)
    assert One.load(1) == "new"
    assert not One.load.inflight.forget(1)
    go_on.set()
    for thread in threads:
        thread.join()
    assert results == ["old", "old"]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_limits_are_those_of_the_class_named_or_refused(which: int, is_async: bool) -> None:
    """remaining() and retry_after() tell of the class named, or raise TypeError with advice; forget() reaches it."""
    kinds = Kinds(limit("2/1h", key=lambda cls, x, y: x), is_async=is_async)
    named = kinds.all[which]
    for kind in kinds.all:
        finished(kind.load(1))
    told: dict[str, Callable[[], Any]] = {
        "remaining": lambda: named.load.limit.remaining(1),
        "retry_after": lambda: named.load.limit.retry_after(1),
    }
    for name, tell in told.items():
        if BINDS_BY_ITSELF:
            with pytest.raises(TypeError, match=rf"limit\.{name}\(\) is about one class.*; write @limit above @class"):
                tell()
        else:
            assert tell() == (1 if name == "remaining" else 0.0)
    assert not named.load.limit.forget(2)
    assert named.load.limit.forget(1)
    assert not named.load.limit.forget(1)
    finished(named.load(1))
    finished(named.load(1))
    assert len(named.load.limit) == 1
    assert named.load.limit.reset() == 1


@pytest.mark.parametrize("handle", [CacheOfEveryClass, InflightOfEveryClass, LimitOfEveryClass])
def test_no_argument_of_a_call_is_taken_for_the_class(handle: type) -> None:
    """Whatever takes the arguments of a call is written anew for the handles of every class."""
    inherited = handle.__mro__[1]
    takes_a_call = [
        name
        for name, method in vars(inherited).items()
        if not name.startswith("_") and callable(method) and "P.kwargs" in map(str, method.__annotations__.values())
    ]
    assert takes_a_call
    assert [name for name in takes_a_call if name not in vars(handle)] == []


class OddlyNamed:
    @classmethod
    @bounded(max=8)
    def load(klass, x: int = 1) -> list[Any]:  # noqa: N804  # that is the case
        return [klass, x]


class HeirOfOddlyNamed(OddlyNamed):
    pass


def test_the_first_parameter_may_be_called_otherwise() -> None:
    """A class method whose first parameter is not `cls` is invalidated for the class named."""
    before = OddlyNamed.load(1), HeirOfOddlyNamed.load(1)
    assert HeirOfOddlyNamed.load.cache.invalidate(1)
    assert HeirOfOddlyNamed.load(1) is not before[1]
    assert (OddlyNamed.load(1) is before[0]) is not BINDS_BY_ITSELF
    assert not OddlyNamed.load.cache.invalidate(2)
    assert [key for key, _ in OddlyNamed.load.cache.items()][:1] == [1]


class Alone:
    @classmethod
    @bounded(max=8)
    def load(cls, x: int) -> list[int]:
        return [x]


def test_a_class_without_subclasses_is_the_one_that_is_meant() -> None:
    """Looks, puts, refreshes and invalidations through a class without heirs act on its entries."""
    first = Alone.load(1)
    entry = Alone.load.cache.entry(1)
    assert entry is not None
    assert entry.value is first
    Alone.load.cache.put([7], 2)
    assert Alone.load(2) == [7]
    assert Alone.load.cache.refresh(1) is Alone.load(1)
    assert Alone.load.cache.invalidate(1)
    assert not Alone.load.cache.invalidate(1)


class Many:
    @classmethod
    @bounded_many(max=8)
    def load(cls, names: list[int], y: int = 1) -> dict[int, list[Any]]:
        return {name: [cls, name, y] for name in names}

    @classmethod
    @bounded_many(max=8)
    async def load_async(cls, names: list[int], y: int = 1) -> dict[int, list[Any]]:
        return {name: [cls, name, y] for name in names}


class HeirOfMany(Many):
    pass


class AloneOfMany:
    @classmethod
    @bounded_many(max=8)
    def load(cls, names: list[int]) -> dict[int, list[Any]]:
        return {name: [cls, name] for name in names}


@pytest.mark.parametrize("kind", [Many, HeirOfMany])
@pytest.mark.parametrize("name", ["load", "load_async"])
def test_one_key_is_loaded_for_the_class_named_or_refused(kind: Any, name: str) -> None:
    """No argument of ``f.one()`` is taken for the class: where Python hides that, the error says what to write."""
    function = getattr(kind, name)
    many = finished(function([1]))
    for call in (lambda: function.one(1), lambda: function.one(1, 1), lambda: function.one(names=1, y=1)):
        if BINDS_BY_ITSELF:
            with pytest.raises(
                TypeError, match=r"one\(\) is about one class.*; write @bounded_many above @classmethod"
            ):
                call()
        else:
            assert finished(call()) is many[1]
    if BINDS_BY_ITSELF:
        with pytest.raises(TypeError, match=r"cache\.entry\(\) is about one class.*; write @bounded_many above"):
            function.one.cache.entry(1)
        assert repr(copy.deepcopy(function.one)) == repr(function.one)
    assert (function.one.inflight.pending(), function.one.__name__) == ([], "one")
    assert function.one.cache.invalidate(1)
    assert finished(function([1]))[1] is not many[1]


def test_one_key_is_loaded_for_a_class_without_subclasses() -> None:
    """``f.one()`` through such a class is a call on it."""
    assert AloneOfMany.load.one(1) is AloneOfMany.load([1])[1]
    assert AloneOfMany.load.one.cache.invalidate(1)


def test_a_method_of_a_metaclass_is_one() -> None:
    """A metaclass's method has entries for each class, which go one by one."""

    class Meta(type):
        @bounded(max=8)
        def load(cls, x: int) -> list[Any]:
            return [cls, x]

    class One(metaclass=Meta):
        pass

    class Two(One):
        pass

    before = One.load(1), Two.load(1)
    assert before == ([One, 1], [Two, 1])
    assert Two.load.cache.invalidate(1)
    assert One.load(1) is before[0]
    assert Two.load(1) is not before[1]
    assert Meta.load.cache.invalidate(One, 1)
    assert One.load.cache.entry(1) is None


def test_class_methods_without_a_decorator_of_their_own_are_class_methods() -> None:
    """`__class_getitem__` and `__new__` have entries for each class."""
    made: list[Any] = []

    class Generic:
        @bounded(max=8)
        def __class_getitem__(cls, item: Any) -> list[Any]:
            made.append((cls, item))
            return [cls, item]

        @bounded(max=8)
        def __new__(cls, number: int = 0) -> Any:
            instance = super().__new__(cls)
            made.append(instance)
            return instance

    class Heir(Generic):
        pass

    assert Generic[int] is Generic[int]
    assert Heir[int] == [Heir, int]
    assert Heir[int] is not Generic[int]
    assert len(made) == 2
    assert Generic(1) is Generic(1)
    assert Heir(1) is Heir(1)
    assert type(Heir(1)) is Heir
    assert Generic.__class_getitem__.cache.invalidate(int)
    assert Heir.__class_getitem__.cache.entry(int) is not None


# -- above decorators of others that are objects


class Passing:
    """An object that stands for a function and, as functions are, is bound."""

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)


class Unbindable:
    """An object that stands for a function and cannot be bound, so that only ``classmethod`` binds it."""

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]


def renamed(function: Any) -> Any:
    """A wrapper that does not say where the function was defined, as those of makers of wrappers do not."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    wrapper.__qualname__ = function.__name__
    return wrapper


@pytest.mark.parametrize("other", [Passing, Unbindable, renamed], ids=lambda other: other.__name__)
@pytest.mark.parametrize("make", [lambda f: bounded(max=8)(f), stacked], ids=["bounded", "stack"])
def test_objects_below_are_class_methods_too(other: Any, make: Decorate) -> None:
    """No handle drops or answers for the wrong class, whatever stands between the two decorators."""

    class Base:
        @classmethod
        @make
        @other
        def load(cls, x: int = 1) -> list[Any]:
            return [cls, x]

    class One(Base):
        pass

    class Two(Base):
        pass

    base, one, two = Base.load(5), One.load(5), Two.load(5)
    assert (base, one, two) == ([Base, 5], [One, 5], [Two, 5])
    assert One.load(x=5) is one
    cache: Any = One.load.cache  # type: ignore[attr-defined]
    of_each_class = BINDS_BY_ITSELF or other is Unbindable
    if of_each_class:
        with pytest.raises(TypeError, match="is about one class"):
            cache.entry(5)
    else:
        assert cache.entry(5).value is one
    assert cache.invalidate(5)
    assert One.load(5) is not one
    assert (Two.load(5) is two) is not of_each_class


@pytest.mark.parametrize("other", [functools.lru_cache, Passing, Unbindable, renamed], ids=lambda one: one.__name__)
def test_key_and_tags_are_not_given_the_class(other: Any) -> None:
    """What ``key=`` and ``tags=`` do not name first they are not given, whichever way the class arrives."""

    class Base:
        @classmethod
        @bounded(max=8, key=lambda x, y: (x, y), tags=lambda x, y: [f"x:{x}"])
        @other
        def load(cls, x: int, y: int = 1) -> list[Any]:
            return [cls, x, y]

    class One(Base):
        pass

    assert Base.load(1) is Base.load(x=1, y=1)
    assert One.load(1)[0] is One
    assert sorted(key for key, _ in Base.__dict__["load"].__func__.cache.items()) == [(1, 1), (1, 1)]


@pytest.mark.parametrize("make", [bounded(max=8), bounded(max=8, ttl=60, stale_if_error=60), dedupe_inflight])
@pytest.mark.parametrize("other", [functools.lru_cache, Passing, functools.singledispatch], ids=["lru", "object", "sd"])
def test_methods_that_are_called_through_their_class(make: Decorate, other: Any) -> None:
    """A call through the class may give the instance by position or, where the undecorated may, by its name."""

    class Service:
        @make
        @other
        def load(self, x: int = 1) -> list[Any]:
            return [self, x]

    service = Service()
    assert Service.load(service, 2) == Service.load(service, x=2) == service.load(2) == [service, 2]
    if other is not functools.singledispatch:  # which looks at the first argument by position
        assert Service.load(self=service, x=2) == [service, 2]


def test_builtins_with_a_self_are_functions() -> None:
    """A method of a builtin type documents a ``self`` and a place in a class, and is called as it stands."""
    for function in (str.upper, bounded(max=8)(str.upper)):
        assert function("a") == "A"
    assert len(bounded(max=8)(str.upper).cache) == 0
    upper = bounded(max=8)(str.upper)
    assert upper("b") == upper("".join(["b"])) == "B"
    assert upper.cache.stats().misses == 1


@pytest.mark.parametrize("decorate", [bounded(max=8), bounded(max=8, policy="lru"), dedupe_inflight])
def test_partials_that_bear_the_name_of_a_method_are_functions(decorate: Decorate) -> None:
    """What frameworks make of a method before they decorate it (``method_decorator``) has its instance already."""

    class View:
        def get(self, number: int = 1) -> list[Any]:
            return [self, number]

    view = View()
    bound = functools.update_wrapper(functools.partial(View.get, view), View.get)
    call = decorate(bound)
    assert call(5) == call(number=5) == [view, 5]
    assert call() == [view, 1]

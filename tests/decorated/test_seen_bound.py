"""To every tool a bound method is one, a coroutine function one, and what runs has its name."""

import abc
import asyncio
import copy
import cProfile
import functools
import inspect
import pickle
import pstats
import sys
import traceback
import types
import typing
import unittest.mock
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.tools import ABSTRACT, DECORATORS

from memo import bounded, dedupe_inflight

# -- bound methods


def test_a_bound_method_is_one(decorated: Any) -> None:
    """A bound method compares, hashes, binds and refuses attributes as Python's own does."""
    instance = decorated.C()
    method = instance.m
    assert not isinstance(method, functools.partial)
    assert not inspect.ismethoddescriptor(method)
    assert method.__self__ is instance
    assert method.__func__ is decorated.C.m
    assert method == instance.m
    assert method != decorated.C().m
    assert len({method, instance.m, decorated.C().m}) == 2
    assert method == types.MethodType(decorated.C.m, instance)
    assert types.MethodType(decorated.C.m, instance) == method
    assert method.__get__(decorated.C(), decorated.C) is method
    assert type(method)(method.__func__, instance) == method
    with pytest.raises(AttributeError):
        method.attribute = 1
    decorated.C.m.attribute = 1
    assert method.attribute == 1
    assert "attribute" in dir(method)


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_weak_methods_live_as_long_as_the_instance(decorated: Any, calls: int) -> None:
    """A WeakMethod gives the method while its instance lives, called before or not."""
    instance = decorated.C()
    weak = weakref.WeakMethod(instance.m)
    for _ in range(calls):
        assert instance.m(1) == 3
        assert weak()(1) == 3  # type: ignore[misc]
    again = weakref.WeakMethod(instance.m)
    assert weak() == again() == instance.m
    assert again()(2) == 4  # type: ignore[misc]
    assert weak == again
    assert hash(weak) == hash(again)
    del instance
    assert weak() is again() is None


def test_methods_copy_and_pickle_with_their_instance(decorated: Any) -> None:
    """A copied method equals it, an unpickled one works, and a deep copy has an instance of its own."""
    instance = decorated.C(7)
    for method in (instance.m, decorated.C.c_below, decorated.C.s_below):
        assert copy.copy(method) == method
        assert pickle.loads(pickle.dumps(method))(1) == 3
    other = copy.deepcopy(instance.m)
    assert other.__self__ is not instance
    assert other.__self__ == instance
    assert other(1) == 3


def test_handles_of_a_method_taken_before_the_first_call_are_its_instance_s() -> None:
    """A method held since before any call shares its instance's entries, and invalidates those alone."""

    class C:
        @bounded(max=8)
        def m(self, x: int) -> list[int]:
            return [x]

    one, two = C(), C()
    held = one.m
    first = held(1)
    assert type(held) is type(one.m)
    assert held(1) is one.m(1) is first
    two.m(1)
    assert held.cache.invalidate(1)
    assert [len(one.m.cache), len(two.m.cache)] == [0, 1]
    assert held(1) is not first


class Taking:
    """Methods of all sorts of parameters."""

    @bounded(max=99)
    def anything(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
        return args[0], args[1:], kwargs

    @bounded(max=99)
    def positional(self, a: int, /, b: int = 2) -> Any:
        return self, a, b

    @bounded(max=99)
    def keywords(self, *, a: int, b: int = 2, **rest: Any) -> Any:
        return self, a, b, rest

    @bounded(max=99)
    def itself(self: Any = None, a: int = 1) -> Any:
        return self, a

    @bounded(max=99)
    def bound(self, _memo_bound: int, bound: int = 1) -> Any:
        return self, _memo_bound, bound

    @bounded(max=99)
    def nothing() -> Any: ...  # type: ignore[misc]

    @bounded(max=99)
    def only_keywords(*, a: int) -> Any: ...  # type: ignore[misc]

    @bounded(max=99)
    @functools.lru_cache(maxsize=3)  # noqa: B019  # one of the shapes
    def cached(self, a: int) -> Any:
        return self, a


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("anything", (1, 2), {"a": 1}), ("anything", (), {}), ("anything", (), {"self": 1}),
        ("positional", (1,), {"b": 3}), ("positional", (1, 2), {}), ("positional", (), {}),
        ("positional", (1, 2, 3), {}), ("positional", (), {"a": 1}),
        ("keywords", (), {"a": 1, "c": 3}), ("keywords", (), {}), ("keywords", (1,), {}),
        ("keywords", (), {"self": 1, "a": 1}),
        ("itself", (), {}), ("itself", (2,), {}), ("itself", (), {"a": 3}),
        ("bound", (1,), {}), ("bound", (), {"_memo_bound": 1, "bound": 2}),
        ("nothing", (), {}), ("nothing", (1,), {}), ("only_keywords", (), {"a": 1}),
        ("cached", (1,), {}), ("cached", (), {"a": 1}), ("cached", (), {}),
    ],
)  # fmt: skip
def test_calls_of_bound_methods_are_bound_as_ever(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Before and after the call that makes the method's own wrapper, results and errors are the original's."""
    instance = Taking()
    original = vars(Taking)[name].__wrapped__.__get__(instance)

    def outcome(call: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except TypeError as error:
            return str(error).replace("multiple values for argument 'self'", "an unexpected keyword argument 'self'")

    expected = outcome(original)
    for _ in range(3):
        assert outcome(getattr(instance, name)) == expected


# -- coroutine functions


class Asynchronous:
    """An object whose calls give coroutines."""

    async def __call__(self, a: int, b: int = 2) -> list[int]:
        return [a, b]

    async def method(self, a: int, b: int = 2) -> list[int]:
        return [a, b]


class Inherits(Asynchronous):
    pass


class Returns:
    """Its ``__call__`` is itself an object that is called."""

    __call__ = Asynchronous()  # type: ignore[assignment]


class Partly:
    async def _call(self, b: int, a: int) -> list[int]:
        return [a, b]

    __call__ = functools.partialmethod(_call, 2)


class Static:
    @staticmethod
    async def __call__(a: int, b: int = 2) -> list[int]:
        return [a, b]


class Decorated:
    @bounded(max=3)
    async def __call__(self, a: int, b: int = 2) -> list[int]:
        return [a, b]


async def coroutine_function(a: int, b: int = 2) -> list[int]:
    return [a, b]


def marked() -> Any:
    def pretends(a: int, b: int = 2) -> Any:
        return coroutine_function(a, b)

    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(pretends)
    pretends._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return pretends


AWAITED: dict[str, Callable[[], Any]] = {
    "partial": lambda: functools.partial(coroutine_function, b=2),
    "partial of an object": lambda: functools.partial(Asynchronous(), b=2),
    "partial of a partial of an object": lambda: functools.partial(functools.partial(Asynchronous(), b=2), b=2),
    "partial of an object that inherits": lambda: functools.partial(Inherits(), b=2),
    "partial of a bound method": lambda: functools.partial(Asynchronous().method, b=2),
    "object": Asynchronous,
    "object that inherits": Inherits,
    "object of an object": Returns,
    "object of a partialmethod": Partly,
    "object of a static method": Static,
    "object of a decorated method": Decorated,
    "bound __call__": lambda: Asynchronous().__call__,
    "bound method of an object": lambda: types.MethodType(functools.partial(Asynchronous()), 1),
    "marked": marked,
    "partial of marked": lambda: functools.partial(marked(), b=2),
    "decorated object": lambda: dedupe_inflight(Asynchronous()),
    "partial of a decorated object": lambda: functools.partial(dedupe_inflight(Asynchronous()), b=2),
    "mock": lambda: unittest.mock.AsyncMock(return_value=[1, 2]),
}


@pytest.mark.parametrize("kind", AWAITED)
@pytest.mark.parametrize("decorator", DECORATORS)
def test_what_gives_coroutines_is_awaited(kind: str, decorator: str) -> None:
    """Whatever callable gives coroutines, its decorated calls are awaited, and a cache hits the second."""
    fetch = DECORATORS[decorator](AWAITED[kind]())
    args = () if kind == "bound method of an object" else (1,)

    async def calls() -> list[Any]:
        return [await fetch(*args), await fetch(*args)]

    assert asyncio.run(calls()) == [[1, 2], [1, 2]]
    if hasattr(fetch, "cache"):
        assert fetch.cache_info().hits == 1


def test_a_partialmethod_of_a_coroutine_function_is_awaited() -> None:
    """A decorated partialmethod of a coroutine function is a coroutine function whose second await is a hit."""

    class C:
        async def _load(self, b: int, a: int) -> list[int]:
            return [a, b]

        load = bounded(max=3)(functools.partialmethod(_load, 2))
        whole = bounded(max=3)(functools.partialmethod(Asynchronous(), b=2))

    instance = C()
    for method in (instance.load,):
        assert inspect.iscoroutinefunction(method)

        async def calls(method: Any = method) -> bool:
            return await method(1) is await method(1)

        assert asyncio.run(calls())


@pytest.mark.parametrize("kind", [int, len, str.upper, functools.partial(int, base=2), print, dict])
def test_what_gives_no_coroutine_is_not(kind: Any) -> None:
    """A callable that gives no coroutines is no coroutine function when decorated."""
    assert not inspect.iscoroutinefunction(bounded(max=3)(kind))


# -- what runs is named as ever


def test_profilers_and_tracebacks_name_the_function() -> None:
    """The frame that runs a decorated function has that function's name."""

    @bounded(max=8)
    def failing(x: int) -> int:
        raise LookupError

    class C:
        @bounded(max=8)
        def method(self, x: int) -> int:
            raise LookupError

    for call, name in ((failing, "failing"), (C().method, "method"), (C().method, "method")):
        profile = cProfile.Profile()
        with pytest.raises(LookupError) as raised, profile:
            call(1)
        assert [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)][1] == name
        assert name in {function for _, _, function in pstats.Stats(profile).stats}  # type: ignore[attr-defined]


def test_functools_takes_decorated_functions(decorated: Any) -> None:
    """singledispatch, partialmethod and cached_property work with decorated functions."""
    dispatch = functools.singledispatch(decorated.f)
    dispatch.register(str)(decorated.inner)
    assert [dispatch(1), dispatch("b")] == ["1a", "b"]

    class C:
        part = functools.partialmethod(decorated.C.m, 1)
        kept = functools.cached_property(vars(decorated.C)["p_above"].fget)

    assert C().part() == 3
    assert C().kept == 3


def test_protocols_are_met_as_ever(decorated: Any) -> None:
    """Runtime protocols are met by decorated methods and objects, and not by what lacks the method."""

    @typing.runtime_checkable
    class Adds(typing.Protocol):
        def m(self, a: int, b: int = 2) -> int: ...

    @typing.runtime_checkable
    class Measured(typing.Protocol):
        def __len__(self) -> int: ...

    assert isinstance(decorated.C(), Adds)
    assert not isinstance(decorated.f, Measured)
    assert isinstance(decorated.caller, Measured)


def test_abstract_classes_stay_abstract(decorated: Any) -> None:
    """A class with decorated abstract methods cannot be made, and one that defines them can."""
    with pytest.raises(TypeError, match="abstract"):
        decorated.A()
    made: Any = abc.ABCMeta("Made", (decorated.A,), dict.fromkeys(ABSTRACT))
    assert made()

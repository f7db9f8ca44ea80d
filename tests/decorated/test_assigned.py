"""What is assigned to a decorated function reaches the original, and the decorators follow."""

import functools
import inspect
import pickle
import pydoc
import sys
import threading
import types
import unittest.mock
from collections.abc import Callable
from typing import Any

import pytest
from kit.coroutines import finished
from kit.tools import stacked

from memo import EvictionReason, bounded, dedupe_inflight, sliding_window

Decorate = Callable[[Any], Any]


def twice(function: Any) -> Any:
    return bounded(max=8)(bounded(max=8)(function))


DECORATORS: dict[str, Decorate] = {
    "bounded": bounded(max=8),
    "lru": bounded(max=8, policy="lru"),
    "lfu": bounded(max=8, policy="lfu"),
    "fifo": bounded(max=8, policy="fifo"),
    "bytes": bounded(max_bytes="1MB"),
    "stale": bounded(max=8, ttl="1h", stale_while_revalidate="1h"),
    "dedupe_inflight": dedupe_inflight,
    "sliding_window": sliding_window("1h"),
    "stack": stacked,
    "twice": twice,
}


@pytest.fixture(params=DECORATORS)
def decorate(request: pytest.FixtureRequest) -> Decorate:
    return DECORATORS[request.param]


def old(x: int, y: int = 1) -> tuple[Any, ...]:
    return "old", x, y


def new(x: int, y: int = 1) -> tuple[Any, ...]:
    return "new", x, y


async def old_async(x: int, y: int = 1) -> tuple[Any, ...]:
    return "old", x, y


async def new_async(x: int, y: int = 1) -> tuple[Any, ...]:
    return "new", x, y


def wider(a: int, /, *rest: int, y: int = 5, **more: int) -> tuple[Any, ...]:
    return "wider", a, rest, y, more


def none() -> tuple[Any, ...]:
    return ("none",)


def prefixed(_memo_x: int, y: int = 2) -> tuple[Any, ...]:
    return "prefixed", _memo_x, y


def copied(function: Any) -> Any:
    """A function of its own with the same code."""
    made = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__, made.__annotations__ = function.__kwdefaults__, dict(function.__annotations__)
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    return made


def reload(function: Any, source: Any) -> None:
    """Assign as reloaders do."""
    for name in (
        "__code__",
        "__defaults__",
        "__doc__",
        "__closure__",
        "__globals__",
        "__dict__",
        "__kwdefaults__",
        "__annotations__",
    ):
        try:
            setattr(function, name, getattr(source, name))
        except (AttributeError, TypeError):
            pass


# -- code and defaults


@pytest.mark.parametrize(("before", "after"), [(old, new), (old_async, new_async)])
def test_new_code_is_what_runs(decorate: Decorate, before: Any, after: Any) -> None:
    """After `f.__code__ = ...` the new code answers the arguments that the old code had answered."""
    f = decorate(copied(before))
    assert finished(f(1)) == ("old", 1, 1)
    f.__code__ = after.__code__
    assert f.__code__ is f.__wrapped__.__code__ is after.__code__
    assert [finished(f(1)), finished(f(x=1, y=1)), finished(f(1, 2))] == [("new", 1, 1), ("new", 1, 1), ("new", 1, 2)]


@pytest.mark.parametrize("after", [wider, none, prefixed])
def test_parameters_are_read_anew(decorate: Decorate, after: Any) -> None:
    """After a reload with other parameters, calls bind, fail and share as the new signature says."""
    f = decorate(copied(old))
    assert f(1) == ("old", 1, 1)
    reload(f, decorate(copied(after)))
    assert inspect.signature(f) == inspect.signature(after)
    for args, kwargs in [((1,), {}), ((1, 2, 3), {"y": 7, "z": 8}), ((), {}), ((), {"_memo_x": 1}), ((1, 2), {})]:
        outcomes = []
        for function in (after, f, f):
            try:
                outcomes.append(function(*args, **kwargs))
            except TypeError as error:
                outcomes.append(str(error).replace(f.__qualname__, after.__qualname__))
        assert outcomes[0] == outcomes[1] == outcomes[2]
    if hasattr(f, "cache") and after is wider:
        f.cache.clear()
        assert f(1, y=5) is f(1)
        assert f(1, b=1, a=2) is f(1, a=2, b=1)
        assert f.cache.invalidate(1)


def test_new_defaults_are_those_of_calls(decorate: Decorate) -> None:
    """Assigned or deleted `__defaults__` hold from the next call on, and for its key."""
    f = decorate(copied(old))
    assert f(1) == ("old", 1, 1)
    f.__defaults__ = (2,)
    assert f(1) == f(1, 2) == ("old", 1, 2)
    if hasattr(f, "cache"):
        assert f(1) is f(1, y=2)
    f.__defaults__ = (3, 4)
    assert f() == ("old", 3, 4)
    del f.__defaults__
    assert f.__defaults__ is None
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        f(1)


def test_new_keyword_defaults_are_those_of_calls(decorate: Decorate) -> None:
    """Assigned `__kwdefaults__` hold from the next call on, and None takes them away."""
    f = decorate(copied(wider))
    assert f(1) == ("wider", 1, (), 5, {})
    f.__kwdefaults__ = {"y": 6}
    assert f(1) == f(1, y=6) == ("wider", 1, (), 6, {})
    f.__kwdefaults__ = None
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'y'"):
        f(1)


def test_patched_defaults_are_put_back(decorate: Decorate) -> None:
    """mock.patch.object() replaces defaults or docstring for its block and restores them after it."""
    f = decorate(copied(old))
    with unittest.mock.patch.object(f, "__defaults__", (7,)):
        assert f(1) == ("old", 1, 7)
    assert f(1) == ("old", 1, 1)
    with unittest.mock.patch.object(f, "__doc__", "patched"):
        assert f.__doc__ == f.__wrapped__.__doc__ == "patched"
    assert f.__doc__ is None


def test_entries_of_old_code_leave_as_invalidated() -> None:
    """New code drops each entry as INVALIDATED, while a new name, docstring or attribute drops none."""
    gone: list[Any] = []
    f = bounded(max=8, on_evict=lambda *what: gone.append(what))(copied(old))
    f(1)
    f(2)
    f.__code__ = new.__code__
    assert gone == [
        ((1, 1), ("old", 1, 1), EvictionReason.INVALIDATED),
        ((2, 1), ("old", 2, 1), EvictionReason.INVALIDATED),
    ]
    assert len(f.cache) == 0
    f.cache._check()
    f(1)
    f.__doc__ = f.__name__ = "other"
    f.attribute = 1
    assert len(f.cache) == 1


def test_a_call_that_runs_meanwhile_stores_nothing() -> None:
    """A call of the old code that ends after the assignment returns its result, which is not stored."""
    begun, go_on = threading.Event(), threading.Event()
    results: list[Any] = []

    @bounded(max=8)
    def f(x: int) -> Any:
        begun.set()
        go_on.wait()
        return "old"

    thread = threading.Thread(target=lambda: results.append(f(1)))
    thread.start()
    begun.wait()
    f.__code__ = (lambda x: "new").__code__.replace(co_freevars=("begun", "go_on"))
    assert f(1) == "new"
    go_on.set()
    thread.join()
    assert results == ["old"]
    assert f(1) == "new"


@pytest.mark.filterwarnings("ignore:Assigning a code object:DeprecationWarning")
def test_what_can_not_be_followed_changes_nothing() -> None:
    """A refused assignment raises with its reason, and code and entries stay."""
    f = bounded(max=8, ignore=("y",))(copied(old))
    first = f(1)
    for wrong, error, told in [
        (new_async.__code__, ValueError, "bounded: old was a plain function when it was decorated and would"),
        ((lambda: (yield)).__code__, TypeError, "generator"),
        (none.__code__, ValueError, "ignore contains 'y'"),
        (1, TypeError, "__code__ must be set to a code object"),
    ]:  # fmt: skip
        with pytest.raises(error, match=told):
            f.__code__ = wrong
        assert f.__code__ is old.__code__
        assert f(1) is f(1, 2) is first
    with pytest.raises(TypeError):
        f.__defaults__ = 1
    with pytest.raises(TypeError):
        del f.__code__
    with pytest.raises(AttributeError):
        f.__globals__ = {}
    with pytest.raises(TypeError):
        f.__dict__ = 1
    assert f(1) is first


@pytest.mark.filterwarnings("ignore:Assigning a code object:DeprecationWarning")
def test_a_coroutine_function_stays_one() -> None:
    """Code of a plain function is refused for a coroutine function, which works as before."""
    f = bounded(max=8)(copied(old_async))
    with pytest.raises(ValueError, match="was a coroutine function when it was decorated and would now be a plain"):
        f.__code__ = new.__code__
    assert finished(f(1)) == ("old", 1, 1)


def test_methods_follow(decorate: Decorate) -> None:
    """Code and defaults assigned through a class hold in every placement, for bound methods already taken too."""

    class C:
        @decorate
        def m(self, x: int, y: int = 1) -> tuple[Any, ...]:
            return "old", x, y

        @decorate
        async def a(self, x: int, y: int = 1) -> tuple[Any, ...]:
            return "old", x, y

        @decorate
        @classmethod
        def c(cls, x: int, y: int = 1) -> tuple[Any, ...]:
            return "old", x, y

        @decorate
        @staticmethod
        def s(x: int, y: int = 1) -> tuple[Any, ...]:
            return "old", x, y

        @decorate
        @property
        def p(self) -> str:
            return "old"

    instance = C()
    held = instance.m
    assert held(1) == instance.c(1) == instance.s(1) == ("old", 1, 1)
    assert finished(instance.a(1)) == ("old", 1, 1)
    assert instance.p == "old"
    C.m.__code__ = (lambda self, x, z, y: ("new", x, z, y)).__code__
    C.m.__defaults__ = (3, 4)
    assert held(1) == instance.m(1) == C.m(instance, 1) == ("new", 1, 3, 4)
    assert instance.m(1, z=2) == held(1, 2) == ("new", 1, 2, 4)
    C.c.__func__.__defaults__ = C.s.__defaults__ = (2,)
    assert instance.c(1) == instance.s(1) == C.s(1) == ("old", 1, 2)
    C.a.__defaults__ = (2,)
    assert finished(instance.a(1)) == ("old", 1, 2)
    C.p.fget.__code__ = (lambda self: "new").__code__
    assert instance.p == "new"


def test_what_merely_refers_to_a_function_follows(decorate: Decorate) -> None:
    """A method that is a function decorated outside its class takes over new code and defaults."""
    f = decorate(copied(old))

    class C:
        m = f

    instance = C()
    held = instance.m
    assert held() == ("old", instance, 1)
    f.__code__ = new.__code__
    f.__defaults__ = (2,)
    assert held() == instance.m() == ("new", instance, 2)


# -- names and other attributes


def test_every_attribute_reaches_the_original(decorate: Decorate) -> None:
    """What is set or deleted on a decorated function is set or deleted on the original, and is shown by tools."""
    original = copied(old)
    f = decorate(original)
    values = {
        "__name__": "other",
        "__qualname__": "Some.other",
        "__module__": "elsewhere",
        "__doc__": "Documented.",
        "__annotations__": {"x": str},
        "attribute": 1,
    }
    if sys.version_info >= (3, 12):
        values["__type_params__"] = ()
    for name, value in values.items():
        setattr(f, name, value)
        assert getattr(original, name) is getattr(f, name) is value
    assert f(1) == ("old", 1, 1)
    assert inspect.getdoc(f) == "Documented."
    assert "Documented." in pydoc.render_doc(f)
    assert "elsewhere.Some.other" in repr(f)
    with pytest.raises(TypeError, match=r"Some\.other\(\) missing"):
        f()
    del f.attribute
    assert not hasattr(f, "attribute")
    assert not hasattr(original, "attribute")
    with pytest.raises(AttributeError, match="attribute"):
        del f.attribute
    del f.__doc__
    assert f.__doc__ is original.__doc__ is None
    f.__dict__ = {"one": 1}
    assert f.one == original.one == 1
    f.two = 2
    assert f.__dict__ == original.__dict__ == vars(f) == {"one": 1, "two": 2}


def test_the_handles_stay() -> None:
    """Assigning to a handle raises AttributeError; a method in the style of functools can be patched for a while."""
    f = bounded(max=8)(copied(old))
    for name in ("cache", "inflight"):
        with pytest.raises(AttributeError):
            setattr(f, name, 1)
    with unittest.mock.patch.object(f, "cache_info", return_value="double"):
        assert f.cache_info() == "double"
    assert f.cache_info().hits == 0


def test_update_wrapper_of_others_leaves_the_decorator_in_place(decorate: Decorate) -> None:
    """After functools.wraps() a decorated function has the name, unwraps to the original, and stays decorated."""
    original = copied(old)
    calls: list[int] = []

    def counting(x: int, y: int = 1) -> Any:
        calls.append(x)
        return original(x, y)

    f = functools.wraps(original)(decorate(counting))
    assert f.__name__ == "old"
    assert f(1) == f(1, 1) == f(x=1) == ("old", 1, 1)
    assert inspect.unwrap(f) is original
    if hasattr(f, "cache"):
        assert calls == [1]
        assert f(1) is f(x=1, y=1)
        assert f.cache.invalidate(1, y=1)
    again = functools.wraps(original)(decorate(original))
    assert again(1) == ("old", 1, 1)
    assert inspect.unwrap(again) is original
    assert not hasattr(original, "__wrapped__")


def renamed(x: int) -> list[int]:
    return [x]


other_name = bounded(max=3)(renamed)
other_name.__qualname__ = other_name.__name__ = "other_name"


def test_pickles_go_by_the_new_name() -> None:
    """A function whose name was assigned is pickled under that name."""
    assert pickle.loads(pickle.dumps(other_name)) is other_name


def test_what_is_no_function_takes_what_it_took() -> None:
    """Attributes set on a decorated partial are the partial's, and a builtin refuses code."""
    partial = functools.partial(old, y=3)
    f = bounded(max=8)(partial)
    f.attribute = 1
    assert partial.attribute == 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        bounded(max=8)(len).__code__ = old.__code__


# -- above decorators of others


def passing(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_code_of_what_another_decorator_wraps_is_refused(decorate: Decorate) -> None:
    """The wrapper in between has free variables, which the code of a bare function has not; nothing is changed."""
    f = decorate(passing(copied(old)))
    wrapper = f.__code__
    first = f(1)
    with pytest.raises(RuntimeError, match=r"is the wrapper of another decorator.*decorate the new function anew"):
        f.__code__ = new.__code__
    assert f.__code__ is wrapper
    assert f(1) == first
    g = decorate(copied(old))
    with pytest.raises(ValueError, match="free vars"):
        g.__code__ = wrapper
    assert g(1) == first

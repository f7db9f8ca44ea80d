"""Equality, pickles and copies of decorated things; decorators of others."""

import copy
import functools
import gc
import inspect
import operator
import pickle
import types
import weakref
from typing import Any

import pytest
from kit.placed import Log

from memo import bounded, registry

pytestmark = pytest.mark.usefixtures("_nothing_left_running")


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
    """A function that can be imported unpickles, under every protocol, as itself."""
    assert pickle.loads(pickle.dumps(function, protocol)) is function


@pytest.mark.parametrize("function", by_reference())
def test_copies_are_the_same_object(function: Any) -> None:
    """copy() and deepcopy() of a decorated function return that function."""
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function
    assert copy.deepcopy([function])[0] is function


@pytest.mark.parametrize("function", by_reference())
def test_equal_to_the_original_and_hashes_like_it(function: Any) -> None:
    """A decorated function and its original are equal both ways and find each other in a dict."""
    original = inspect.unwrap(function)
    assert function == original
    assert original == function
    assert not function != original  # noqa: SIM202  # both operators are written by hand
    assert hash(function) == hash(original)
    assert {function: 1}[original] == 1
    assert function != at_top.__wrapped__.__call__
    assert function != 3


def test_bound_methods_pickle_compare_and_hash_like_bound_methods() -> None:
    """Bound methods are equal for one instance, and are copied and pickled with it."""
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
    """An unpickled instance loads for itself, and no instance carries anything of the cache."""
    service = AtTop()
    first = service.fetch("a")
    thawed = pickle.loads(pickle.dumps(service))
    assert thawed.fetch("a") is not first
    assert thawed.fetch("a") == first
    assert service.fetch("a") is first
    assert vars(thawed) == {}


def test_attributes_set_on_a_decorated_function_are_those_of_the_original() -> None:
    """Attributes are read from, set on and deleted from the original, and code and globals are its own."""

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
    """Asking a function for a handle that none of its decorators gives raises AttributeError that names it."""
    with pytest.raises(AttributeError, match=r"window"):
        _ = at_top.window  # type: ignore[attr-defined]


# -- other decorators


def test_works_below_and_above_other_decorators() -> None:
    """A method below another's decorator shares its results, and the registry finds it through that decorator."""
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
    """Builtins are stored with or without a signature, and keep signature, name and errors."""
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
    """Methods of builtin types, bound or not, and types give their results decorated."""
    upper = bounded(max=8)(str.upper)
    assert upper("a") == "A"
    joined = bounded(max=8)("-".join)
    assert joined(("a", "b")) == "a-b"
    number = bounded(max=8)(int)
    assert number("12") == 12
    assert number("12", base=8) == 10
    assert number.cache_info().misses == 2


def test_a_function_of_variable_arguments_becomes_a_method() -> None:
    """A method of `*args` alone has entries for each instance, and keeps none alive."""

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
    """A function bound before it was set on a class shares no results between instances after."""

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
    """Wrong arguments of a builtin raise the very TypeError that it raises undecorated."""
    for function in (len, pow, int):
        with pytest.raises(TypeError) as expected:
            function(*range(5))  # type: ignore[arg-type, call-overload, operator]
        with pytest.raises(TypeError) as raised:
            bounded(max=8)(function)(*range(5))  # type: ignore[call-arg, arg-type]
        assert str(raised.value) == str(expected.value)

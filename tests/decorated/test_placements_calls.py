"""Calls in every placement share what they should."""

import functools
import inspect
import re
import types
import typing
from typing import Any

import pytest
from kit.placed import Build, finished
from kit.placements import (
    ALL,
    CLASS_METHODS,
    FUNCTIONS,
    METHODS,
    OTHERS,
    STACKS,
    on_async_callable_object,
    on_async_partial,
    on_bound_method,
    on_wrapped,
    over,
    placed,
    plain,
    skip_inner_class_methods_that_python_binds,
)

from memo import bounded

pytestmark = pytest.mark.usefixtures("_nothing_left_running")


LIKE_FUNCTIONS = FUNCTIONS + CLASS_METHODS + METHODS + STACKS


@over(*ALL, *STACKS)
def test_every_spelling_of_a_call_is_one_key(build: Build) -> None:
    """In every placement, positions, keywords and defaults spelled out make one call."""
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
    """In every placement, first and repeated calls give what the undecorated callable gives."""
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
    """Wrong arguments raise the TypeError that Python would write, and leave no entry or flight."""
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
    """Wrong arguments of other callables raise a TypeError that quotes the names Python would."""
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
    """In every placement an error reaches the caller, counts, and the function runs again."""
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
    """Names, docstring, annotations, signature and kind are those of the undecorated."""
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
    """Partials, objects and other callables keep signature and whether they are awaited."""
    decorated, undecorated = placed(build).get(), build(plain).get()
    assert str(inspect.signature(decorated)) == str(inspect.signature(undecorated))
    is_async = build in (on_async_partial, on_async_callable_object)
    assert inspect.iscoroutinefunction(decorated) is is_async


@over(*(build for build in ALL if build is not on_wrapped), *STACKS)
def test_the_original_is_called_past_the_store(build: Build) -> None:
    """What inspect.unwrap() gives runs the function, and leaves the stored result."""
    skip_inner_class_methods_that_python_binds(build)
    fetch = placed(build)
    stored = fetch("a")
    fresh = finished(inspect.unwrap(fetch.get())("a"))
    assert fresh is not stored
    assert len(fetch.calls) == 2
    assert fetch("a") is stored


def test_unwrap_ends_at_the_original_object() -> None:
    """inspect.unwrap() leads through any stack, bound methods too, to the very object that was decorated."""

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

"""What a decorated callable has under the name of a handle stays visible, where no decorator adds that handle."""

import functools
import unittest.mock
from collections.abc import Callable
from typing import Any

import cachetools
import pytest
import wrapt

from memo import Registry, bounded, dedupe_inflight, limit, sliding_window

OTHERS: dict[str, Callable[[Registry], Any]] = {
    "dedupe_inflight": lambda own: dedupe_inflight(timeout=30, registry=own),
    "sliding_window": lambda own: sliding_window("1h", registry=own),
    "limit": lambda own: limit("100/1h", registry=own),
}
"""The decorators that add no cache."""

PASSED_ON = ("cache", "cache_clear", "cache_info", "cache_parameters")


@pytest.fixture(params=OTHERS)
def decorate(request: pytest.FixtureRequest, own: Registry) -> Any:
    return OTHERS[request.param](own)


def test_what_lru_cache_adds_is_seen(decorate: Any) -> None:
    """Above ``functools.lru_cache`` its figures are told and it is cleared; it has no ``cache``."""

    @decorate  # type: ignore[untyped-decorator]
    @functools.lru_cache(maxsize=5)
    def load(x: int) -> int:
        return x

    assert [load(1), load(1), load(2)] == [1, 1, 2]
    assert (load.cache_info().hits, load.cache_parameters()) == (1, {"maxsize": 5, "typed": False})
    load.cache_clear()
    assert load.cache_info().misses == 0
    assert not hasattr(load, "cache")
    assert [name for name in PASSED_ON if name in dir(load)] == list(PASSED_ON[1:])


def test_what_cachetools_adds_is_seen(decorate: Any) -> None:
    """Above ``cachetools.cached`` its cache and figures are told."""
    theirs: Any = cachetools.LRUCache(5)

    @decorate  # type: ignore[untyped-decorator]
    @cachetools.cached(theirs, info=True)
    def load(x: int) -> int:
        return x

    assert [load(1), load(1)] == [1, 1]
    assert load.cache is theirs
    assert load.cache_info().hits == 1
    assert "cache" in dir(load)


def test_what_is_below_decorators_of_others_is_seen(decorate: Any) -> None:
    """A decorator in between, a function or a proxy, hides a cache as little as it hides a handle."""

    @wrapt.decorator  # type: ignore[arg-type]
    def proxied(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    def wrapping(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    cached = functools.lru_cache(maxsize=5)(lambda x: x)
    for between in (proxied, wrapping):
        load = decorate(between(cached))
        assert load(1) == 1
        assert load.cache_info() == cached.cache_info()


@pytest.mark.parametrize("placed", [lambda f: f, staticmethod, classmethod])
def test_methods_show_what_they_are_made_of(placed: Any, decorate: Any) -> None:
    """Through instance and class, a decorated method of any kind shows the figures of what it was made of."""

    class Client:
        @decorate  # type: ignore[untyped-decorator]
        @placed  # type: ignore[untyped-decorator]
        @functools.lru_cache(maxsize=5)  # noqa: B019  # the class goes with the test
        def load(*args: Any) -> int:
            return len(args)

    client: Any = Client()
    client.load(1)
    client.load(1)
    assert client.load.cache_info().hits == 1
    assert Client.load.cache_info().hits == 1
    assert "cache_info" in dir(client.load)


def test_attributes_of_objects_and_functions_are_seen(decorate: Any) -> None:
    """A callable object and a function that have such an attribute show it."""

    class Loader:
        def __init__(self) -> None:
            self.cache = {"alice": 1}

        def __call__(self) -> str:
            return "alice"

    def load() -> None: ...

    load.cache = {"bob": 2}  # type: ignore[attr-defined]
    assert [decorate(one).cache for one in (Loader(), load)] == [{"alice": 1}, {"bob": 2}]


def test_ours_goes_before_theirs(own: Registry) -> None:
    """Where a decorator adds a handle, that is what is found, whatever else the callable has."""

    @sliding_window("1h", registry=own)
    @bounded(max=8, registry=own)
    @functools.lru_cache(maxsize=5)
    def load(x: int) -> int:
        return x

    load(1)
    assert (load.cache_info().maxsize, load.cache_parameters()["maxsize"]) == (8, 8)
    assert "alice" not in load.cache
    load.cache_clear()
    assert load.cache_info().currsize == 0


@pytest.mark.parametrize("make", [unittest.mock.Mock, unittest.mock.AsyncMock, unittest.mock.MagicMock])
def test_what_answers_to_every_name_has_none_of_them(make: Any, decorate: Any) -> None:
    """A mock, which makes up whatever it is asked for, has no cache; one that was given to it is seen."""
    load = decorate(make())
    assert not [name for name in PASSED_ON if hasattr(load, name)]
    configured = make()
    configured.cache_info = lambda: "told"
    assert decorate(configured).cache_info() == "told"


@pytest.mark.parametrize("name", PASSED_ON)
def test_who_lacks_a_cache_is_told_what_adds_one(name: str, decorate: Any) -> None:
    """Without a cache of anybody's, the error names what was looked for and the decorator that adds it."""

    @decorate  # type: ignore[untyped-decorator]
    def load(x: int) -> int:
        return x

    class Client:
        load = decorate(lambda self: self)

    for one in (load, Client().load):
        assert not hasattr(one, name)
        assert name not in dir(one)
        with pytest.raises(AttributeError, match=rf"has no '{name}'; decorate it with @bounded as well\.$"):
            getattr(one, name)

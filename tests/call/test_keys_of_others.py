"""Keys of functions that others wrapped, of what cannot be hashed, of frozen arguments."""

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from kit.keys import Awkward

from memo import bounded, freeze

# -- wrappers of others


def test_a_wrapper_that_takes_anything_has_the_keys_of_what_it_documents() -> None:
    """A wrapper of `*args, **kwargs` is keyed by the signature it shows, and called as the user spelled it."""
    calls = []

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            calls.append((args, kwargs))
            return function(*args, **kwargs)

        return wrapper

    @bounded(max=8, ttl=60)
    @passing
    def fetch(name: str, /, lang: str = "en", *, deep: bool = False) -> list[str]:
        return [name, lang]

    assert fetch("a") is fetch("a", "en")
    assert fetch("a") is fetch("a", deep=False, lang="en")
    assert calls == [(("a",), {})]
    assert [key for key, _ in fetch.cache.items()] == [("a", "en", False)]
    with pytest.raises(TypeError) as raised:
        fetch()
    assert "missing 1 required positional argument: 'name'" in str(raised.value)
    with pytest.raises(TypeError, match=r"'lang'.*'list'"):
        fetch("a", [])
    assert len(fetch.inflight) == 0


def test_a_wrapper_may_take_what_it_does_not_document() -> None:
    """An argument that a wrapper takes beyond the signature it shows is passed, and counts."""

    def with_retries(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, retries: int = 3, **kwargs: Any) -> Any:
            return [function(*args, **kwargs), retries]

        return wrapper

    def passing_all(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            retries = kwargs.pop("retries", 3)
            return [function(*args, **kwargs), retries]

        return wrapper

    for passing in (with_retries, passing_all):

        @bounded(max=8)
        @passing
        def fetch(name: str, lang: str = "en") -> str:
            return name

        assert fetch("a") == ["a", 3]
        assert fetch("a", retries=5) == ["a", 5]
        assert fetch("a", retries=5) is fetch("a", retries=5)
        assert fetch("a") == ["a", 3]
        assert fetch.cache.invalidate("a", retries=5)
        assert fetch.cache.entry("a") is not None
        assert len(fetch.cache) == 1


def test_a_coroutine_wrapper_has_the_keys_of_what_it_documents() -> None:
    """Methods behind a coroutine wrapper share by the signature shown, for each instance."""

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return wrapper

    class Service:
        @bounded(max=8)
        @passing
        async def fetch(self, name: str, lang: str = "en") -> list[str]:
            return [name, lang]

    async def use() -> None:
        service = Service()
        assert await service.fetch("a") is await service.fetch(lang="en", name="a")
        assert await service.fetch("a") is not await Service().fetch("a")

    asyncio.run(use())


# -- what cannot be hashed


def test_an_unhashable_argument_is_named_with_the_remedies() -> None:
    """A TypeError names parameter and type in any depth, lists three remedies, and leaves nothing behind."""

    @bounded(max=8)
    def fetch(name: str, tags: Any, *rest: Any, **named: Any) -> str:
        return name

    cases: list[tuple[Callable[[Any], Any], str, str]] = [
        (lambda f: f("a", ["x"]), "tags", "list"),
        (lambda f: f("a", tags={}), "tags", "dict"),
        (lambda f: f("a", (1, (2, {3}))), "tags", "set"),
        (lambda f: f("a", 1, 2, [3]), "rest", "list"),
        (lambda f: f("a", 1, x=bytearray()), "named", "bytearray"),
    ]
    for call, parameter, kind in cases:
        for target in (fetch, fetch.cache.invalidate, fetch.cache.entry, fetch.cache.refresh, fetch.inflight.forget):
            with pytest.raises(TypeError) as raised:
                call(target)
            message = str(raised.value)
            assert message.startswith(f"unhashable type: {kind!r}: {fetch.__qualname__}():")
            assert f"'{parameter}'" in message
            assert f"'{kind}'" in message
            for remedy in ("key=memo.freeze", "key=", f"ignore=('{parameter}',)"):
                assert remedy in message
    with pytest.raises(TypeError, match="'list'"):
        fetch.cache.put("value", "a", [])
    assert len(fetch.inflight) == 0
    assert fetch.cache_info() == (0, 0, 8, 0)


def test_an_unhashable_argument_of_a_coroutine_or_method_is_named() -> None:
    """Methods, typed coroutines and other policies name the method, parameter and type too."""

    class Service:
        @bounded(max=8)
        def fetch(self, tags: Any) -> int:
            return 1

        @bounded(max=8, typed=True)
        async def fetch_later(self, tags: Any) -> int:
            return 1

        @bounded(max=8, policy="lru")
        def fetch_lru(self, tags: Any) -> int:
            return 1

    service = Service()
    with pytest.raises(TypeError, match=r"Service\.fetch\(\).*'tags'.*'list'"):
        service.fetch([])
    with pytest.raises(TypeError, match=r"Service\.fetch_later\(\).*'tags'.*'list'"):
        asyncio.run(service.fetch_later([]))
    with pytest.raises(TypeError, match=r"Service\.fetch_lru\(\).*'tags'.*'list'"):
        service.fetch_lru([])
    assert len(service.fetch.inflight) == len(service.fetch_later.inflight) == len(service.fetch_lru.inflight) == 0


def test_an_unhashable_key_is_named() -> None:
    """An unhashable answer of the key function raises TypeError with that answer and advice."""

    @bounded(max=8, key=lambda name: [name])  # type: ignore[arg-type, return-value]
    def fetch(name: str) -> str:
        return name

    with pytest.raises(TypeError, match=r"fetch\(\): key= returned \['a'\] of type 'list'.*memo\.freeze"):
        fetch("a")


def test_a_type_error_of_the_function_itself_is_not_taken_for_a_key_error() -> None:
    """A TypeError of the function about hashing passes with its own message."""

    @bounded(max=8)
    def fetch(name: str) -> str:
        raise TypeError("unhashable type: 'list'")

    with pytest.raises(TypeError, match=r"^unhashable type: 'list'$"):
        fetch("a")


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError])
def test_an_argument_whose_hash_fails_leaves_nothing_behind(policy: str, error: type[Exception]) -> None:
    """An error of an argument's `__hash__` reaches the caller, and later calls are stored."""

    class Bad:
        def __hash__(self) -> int:
            raise error("no hash")

    @bounded(max=8, policy=policy)
    def fetch(thing: Any) -> int:
        return 1

    with pytest.raises(error):
        fetch(Bad())
    assert len(fetch.inflight) == 0
    assert fetch("a") == 1
    assert fetch.cache_info().currsize == 1


# -- freeze


def test_freeze_makes_nested_arguments_one_key() -> None:
    """With memo.freeze as key equal structures share a result, and lists and tuples, or other limits, do not."""
    calls = []

    @bounded(max=8, key=freeze)
    def search(query: dict[str, Any], *more: Any, limit: int = 10) -> list[Any]:
        calls.append(query)
        return [query]

    assert search({"a": [1, {2}], "b": {}}) is search(query={"b": {}, "a": [1, {2}]}, limit=10)
    assert search({"a": [1, {2}]}) is not search({"a": (1, frozenset({2}))})
    assert search({"a": 1}) is not search({"a": 1}, limit=11)
    assert len(calls) == 5
    with pytest.raises(TypeError, match="Awkward"):
        search({"a": Awkward()})


@dataclass
class Query:
    text: str
    tags: list[str]


def test_freeze_of_one_value_is_hashable_and_true_to_structure() -> None:
    """Frozen values of different structures differ, and those of equal ones are equal and hash alike."""
    values: list[Any] = [
        [1, [2]],
        (1, [2]),
        {"a": [1]},
        {"a": (1,)},
        {1, 2},
        bytearray(b"x"),
        deque([1]),
        Query("a", ["b"]),
        Query("a", ["c"]),
        [[1], 2],
        [1, 2],
        {},
        [],
        (),
        None,
        "text",
    ]
    keys = [freeze(value) for value in values]
    assert len(set(keys)) == len(values)
    assert freeze("text") == "text"
    assert freeze({"a": 1, "b": [2]}) == freeze({"b": [2], "a": 1})
    assert freeze(Query("a", ["b"])) == freeze(Query("a", ["b"]))
    assert hash(freeze({"a": [{1}]})) == hash(freeze({"a": [{1}]}))
    assert freeze(1, x=[2]) == freeze(1, x=[2])
    assert freeze(1, x=[2]) != freeze(1, y=[2])


def test_freeze_refuses_what_has_no_key() -> None:
    """A list within itself raises ValueError, an unhashable object TypeError; a list met twice is none of it."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match=r"'list' contains itself"):
        freeze(loop)
    with pytest.raises(TypeError, match=r"'Awkward'.*key=.*ignore="):
        freeze(Awkward())
    shared = [1]
    assert freeze([shared, shared]) == freeze([[1], [1]])

"""``key=`` and ``ignore=``: what a key consists of."""

import asyncio
import functools
from typing import Any

import pytest

from memo import bounded

# -- key=


def test_key_gets_the_call_with_its_defaults_and_without_the_instance() -> None:
    """The key function sees what the function would, defaults filled in, but neither instance nor class."""
    seen: list[Any] = []

    def key(*args: Any, **kwargs: Any) -> str:
        seen.append((args, kwargs))
        return "k"

    class Service:
        @bounded(max=8, key=key)
        def fetch(self, a: int, /, b: int = 2, *rest: int, c: int = 3, **more: int) -> list[int]:
            return [a, b, c]

        @bounded(max=8, key=key)
        @classmethod
        def of_class(cls, a: int = 1) -> list[int]:
            return [a]

        @bounded(max=8, key=key)
        @property
        def size(self) -> list[int]:
            return []

    service = Service()
    first = service.fetch(1)
    assert seen == [((1, 2), {"c": 3})]
    assert service.fetch(7, 8, 9, c=10, d=11) is first
    assert seen[1] == ((7, 8, 9), {"c": 10, "d": 11})
    assert Service().fetch(1) is not first
    assert [k for k, _ in service.fetch.cache.items()] == ["k"]
    seen.clear()
    assert Service.of_class() is Service.of_class(2)
    assert seen == [((1,), {}), ((2,), {})]
    seen.clear()
    assert service.size is service.size
    assert seen == [((), {})] * 2


def test_key_is_asked_once_a_call() -> None:
    """The key function runs once for each call, and its answer is the key that items() shows."""
    asked = []

    def key(name: str) -> str:
        asked.append(name)
        return name.lower()

    @bounded(max=8, key=key, ttl=60)
    def fetch(name: str) -> list[str]:
        return [name]

    @bounded(max=8, key=key)
    async def fetch_later(name: str) -> list[str]:
        return [name]

    assert fetch("A") is fetch("a")
    assert asked == ["A", "a"]
    assert [key for key, _ in fetch.cache.items()] == ["a"]
    assert fetch.cache.invalidate("A")
    asked.clear()

    async def use() -> None:
        assert await fetch_later("A") is await fetch_later("a")

    asyncio.run(use())
    assert asked == ["A", "a"]


def test_what_key_raises_reaches_the_caller_and_leaves_nothing() -> None:
    """An error of the key function reaches the caller of any operation, and nothing is counted."""

    def key(name: str) -> str:
        raise LookupError("no key")

    @bounded(max=8, key=key)
    def fetch(name: str) -> str:
        return name

    for operation in (fetch, fetch.cache.invalidate, fetch.cache.entry, fetch.cache.refresh):
        with pytest.raises(LookupError, match=r"^no key$"):
            operation("a")
    assert len(fetch.inflight) == 0
    assert fetch.cache_info() == (0, 0, 8, 0)


@pytest.mark.parametrize("error", [KeyError, TypeError])
def test_an_error_of_key_is_not_taken_for_a_missing_entry(error: type[Exception]) -> None:
    """An error of the key function reaches the caller whatever its type, and counts as no miss."""

    def key(name: str) -> str:
        raise error("no key")

    @bounded(max=8, key=key)
    def fetch(name: str) -> str:
        return name

    with pytest.raises(error, match="no key"):
        fetch("a")
    assert fetch.cache_info().misses == 0


def test_key_may_be_a_builtin_or_any_callable() -> None:
    """A method of a builtin type and a partial serve as key functions, also for keywords."""

    @bounded(max=8, key=str.lower)
    def fetch(name: str) -> list[str]:
        return [name]

    @bounded(max=8, key=functools.partial(pow, 2))
    def power(exponent: int) -> list[int]:
        return [exponent]

    assert fetch("A") is fetch(name="a")
    assert power(3) is power(3)
    assert [key for key, _ in power.cache.items()] == [8]


def test_a_tuple_from_key_is_one_key() -> None:
    """A tuple that the key function returns is the key as it stands."""

    class Service:
        @bounded(max=8, key=lambda a, b: (b, a))
        def fetch(self, a: int, b: int) -> list[int]:
            return [a, b]

    service = Service()
    service.fetch(1, 2)
    assert [key for key, _ in service.fetch.cache.items()] == [(2, 1)]


# -- ignore=


def test_ignored_parameters_are_passed_but_do_not_count() -> None:
    """Calls that differ in ignored parameters alone share a result, and the first one's values were passed."""
    seen = []

    @bounded(max=8, ignore=("session", "trace"))
    def fetch(session: Any, name: str, *rest: int, trace: str = "", **more: int) -> list[str]:
        seen.append((session, trace))
        return [name]

    assert fetch([], "a", trace="t") is fetch({}, "a", trace="u")
    assert seen == [([], "t")]
    assert fetch(None, "a", 1) is not fetch(None, "a")
    assert [key for key, _ in fetch.cache.items()] == [("a", (), ()), ("a", (1,), ())]


def test_ignored_keywords_among_others() -> None:
    """An ignored name among `**` arguments does not count, and the other names do."""

    @bounded(max=8, ignore={"trace"})
    def fetch(**named: Any) -> list[Any]:
        return [named]

    assert fetch(a=1, trace="x") is fetch(a=1, trace="y")
    assert fetch(a=1) is fetch(a=1, trace=[])
    assert fetch(a=1) is not fetch(a=2)


def test_ignored_star_parameters() -> None:
    """Ignoring `*` and `**` parameters leaves the key to the others, and their values may be unhashable."""

    @bounded(max=8, ignore=("rest", "named"))
    def fetch(a: int, *rest: Any, **named: Any) -> list[int]:
        return [a]

    assert fetch(1, [], x={}) is fetch(1)
    assert [key for key, _ in fetch.cache.items()] == [1]


def test_everything_ignored_is_one_key() -> None:
    """When each parameter is ignored, all calls share the key ()."""

    @bounded(max=8, ignore=("a",))
    def fetch(a: int) -> list[int]:
        return [a]

    assert fetch(1) is fetch(2)
    assert [key for key, _ in fetch.cache.items()] == [()]


def test_ignored_parameters_of_a_typed_key_have_no_type_in_it() -> None:
    """With `typed=True` the type of an ignored argument does not count, and that of another does."""

    @bounded(max=8, ignore=("a",), typed=True)
    def fetch(a: Any, b: Any) -> list[Any]:
        return [a, b]

    assert fetch(1, 1) is fetch(1.0, 1)
    assert fetch(1, 1) is not fetch(1, 1.0)

"""What ``key=`` returns must be found again: a generator, and what else equals nothing but itself, is refused."""

import collections
import itertools
import logging
from collections.abc import Callable, Iterable
from typing import Any

import cachetools
import pytest
from kit.coroutines import finished

from memo import bounded, bounded_many, dedupe_inflight, freeze, limit, sliding_window

MakeKey = Callable[..., Any]


async def _awaited(names: Iterable[str]) -> str:
    return "key"


DRAWN: dict[str, MakeKey] = {
    "generator": lambda names: (name for name in names),
    "map": lambda names: map(str.lower, names),
    "filter": lambda names: filter(None, names),
    "zip": lambda names: zip(names, names, strict=True),
    "iterator": lambda names: iter(names),
    "reversed": lambda names: reversed(names),
    "enumerate": lambda names: enumerate(names),
    "chain": lambda names: itertools.chain(names, names),
    "values": lambda names: dict.fromkeys(names).values(),
    "ordered values": lambda names: collections.OrderedDict.fromkeys(names).values(),
    "coroutine": lambda names: _awaited(names),
}

DECORATORS: dict[str, Callable[[MakeKey], Any]] = {
    "bounded": lambda key: bounded(max=3, key=key),
    "with all": lambda key: bounded(max=3, ttl="1h", stale_if_error="1h", fallback=None, key=key),
    "weak": lambda key: bounded(max=3, key=lambda names, other=None: key(names), weak=("other",)),
    "of the caller": lambda key: bounded(max=3, key=key, work="caller"),
    "policy": lambda key: bounded(max=3, key=key, policy=cachetools.LRUCache),
    "dedupe_inflight": lambda key: dedupe_inflight(key=key),
    "limit": lambda key: limit("9/1h", key=key),
}


def placed(decorate: Callable[[Any], Any], calls: list[Any], *, is_async: bool, is_method: bool) -> Any:
    """A decorated function, or a method of an instance."""

    def plain(names: Any, other: Any = None) -> int:
        calls.append(names)
        return len(calls)

    async def awaited(names: Any, other: Any = None) -> int:
        return plain(names)

    class Host:
        @decorate
        def plain(self, names: Any, other: Any = None) -> int:
            return plain(names)

        @decorate
        async def awaited(self, names: Any, other: Any = None) -> int:
            return plain(names)

    if is_method:
        host = Host()
        return host.awaited if is_async else host.plain
    return decorate(awaited if is_async else plain)


@pytest.mark.parametrize("what", DRAWN)
@pytest.mark.parametrize("is_method", [False, True], ids=["function", "method"])
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("name", DECORATORS)
def test_it_is_refused_at_the_call(name: str, is_async: bool, is_method: bool, what: str) -> None:
    """The error names the function, the type and what to do; nothing was called, and nothing is left running."""
    calls: list[Any] = []
    decorate = DECORATORS[name](lambda names, other=None: DRAWN[what](names))
    function = placed(decorate, calls, is_async=is_async, is_method=is_method)
    for _ in range(2):
        with pytest.raises(TypeError, match=r"\(\): key= returned .* of type '.*', which equals nothing but itself"):
            finished(function(["a"]))
    if hasattr(function, "cache"):
        with pytest.raises(TypeError, match=r"key= returned .*let it return a tuple, or use key=memo\.freeze"):
            function.cache.invalidate(["a"])
    assert (calls, len(getattr(function, "inflight", ()))) == ([], 0)


def test_a_function_of_many_keys_refuses_it() -> None:
    """What ``key=`` made of one of the keys is refused, before anything is loaded."""
    calls: list[Any] = []

    @bounded_many(max=9, key=lambda name: (letter for letter in name))
    def load(names: list[str]) -> dict[str, int]:
        calls.append(names)
        return dict.fromkeys(names, 1)

    for call in (lambda: load(["a", "b"]), lambda: load.one("a")):
        with pytest.raises(TypeError, match=r"key= returned <generator> of type 'generator'"):
            call()
    assert calls == []


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("what", DRAWN)
def test_a_window_records_the_call_without_it(what: str, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """As with a ``key=`` that raises, the call goes on and the log says why it has no key."""
    window = sliding_window("1h", key=lambda names, other=None: DRAWN[what](names))
    function = placed(window, [], is_async=is_async, is_method=False)
    with caplog.at_level(logging.ERROR, "memo"):
        assert finished(function(["a"])) == 1
    assert [count.key for count in function.window.top()] == ["<no key: TypeError>"]
    assert "key= returned" in caplog.text


def test_what_can_be_found_again_is_not_refused() -> None:
    """Tuples, ranges, frozen sets, plain objects, and what ``freeze`` makes are keys as before."""
    me = object()
    for make in (tuple, frozenset, freeze, lambda names: range(len(names)), lambda names: me):
        function = bounded(max=3, key=make)(lambda names: object())
        assert function(["a"]) is function(["a"])


def test_arguments_are_keys_as_they_are() -> None:
    """Without ``key=`` an iterator counts as the object that it is, as with ``functools.lru_cache``."""
    function = bounded(max=3)(lambda drawn: object())
    first = iter([1])
    assert function(first) is function(first)
    assert function(iter([1])) is not function(first)


class Key:
    """A key whose ``__class__`` is code."""

    @property
    def __class__(self) -> Any:
        raise AssertionError("a key was asked for its class")

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return self is other


@pytest.mark.parametrize("name", [*DECORATORS, "sliding_window"])
@pytest.mark.parametrize("is_method", [False, True], ids=["function", "method"])
@pytest.mark.parametrize("is_async", [False, True], ids=["called", "awaited"])
def test_a_look_at_a_key_runs_no_code_of_it(name: str, is_method: bool, is_async: bool) -> None:
    """What key= made is looked at without asking it for its class, wherever the decorator is used."""
    key: Any = Key()
    calls: list[Any] = []
    makers = {**DECORATORS, "sliding_window": lambda key: sliding_window("1h", key=key)}
    work = placed(makers[name](lambda names, other=None: key), calls, is_async=is_async, is_method=is_method)
    found = [finished(work("a")) if is_async else work("a") for _ in range(2)]
    assert found == ([1, 1] if name.startswith(("bounded", "with", "weak", "of", "policy")) else [1, 2])

"""``memo.lru_cache``: a drop-in for that of ``functools``; see ``test_lru_cache_of_cpython`` for the tests of that."""

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.threads import LIMIT_S, Running

import memo
from memo import lru_cache, registry


@lru_cache
def importable(x: int) -> list[int]:
    return [x]


BOUNDS: tuple[int | None, ...] = (None, 0, 1, 3, -7, 128)


@settings(max_examples=60, deadline=None)
@given(
    bound=st.sampled_from(BOUNDS),
    typed=st.booleans(),
    trace=st.lists(st.integers(0, 6) | st.sampled_from(["a", "clear", "fail"]), max_size=80),
)
def test_it_answers_and_counts_as_functools(bound: int | None, typed: bool, trace: list[Any]) -> None:
    """For any bound and any trace, the function runs for the same calls as under functools, and is counted alike."""
    ran: dict[Any, list[Any]] = {lru_cache: [], functools.lru_cache: []}

    def make(decorator: Any) -> Any:
        @decorator(maxsize=bound, typed=typed)
        def load(x: Any) -> Any:
            ran[decorator].append(x)
            if x == "fail":
                raise LookupError(x)
            return (x, len(ran[decorator]))

        return load

    ours, theirs = map(make, ran)
    for step in trace:
        if step == "clear":
            ours.cache_clear(), theirs.cache_clear()
        elif step == "fail":
            for load in (ours, theirs):
                with pytest.raises(LookupError):
                    load(step)
        else:
            assert ours(step) == theirs(step)
        assert tuple(ours.cache_info()) == tuple(theirs.cache_info())
    assert ran[lru_cache] == ran[functools.lru_cache]
    assert ours.cache_parameters() == theirs.cache_parameters()
    ours.cache._check()


@pytest.mark.parametrize("decorate", [lru_cache, lru_cache(), lru_cache(128), lru_cache(maxsize=128, typed=False)])
def test_it_is_written_as_that_of_functools(decorate: Any) -> None:
    """With and without parentheses it makes the same decorated function."""

    @decorate
    def load(x: int) -> int:
        """Load it."""
        return x

    assert load(3) == load(3) == 3
    assert load.cache_info() == (1, 1, 128, 1)
    assert load.cache_parameters() == {"maxsize": 128, "typed": False}
    assert (load.__name__, load.__doc__, str(inspect.signature(load))) == ("load", "Load it.", "(x: int) -> int")
    assert load.__wrapped__(3) == 3
    assert repr(load).startswith("<lru_cache ")
    assert load.cache.invalidate(3)


def test_it_stands_below_and_above_other_decorators() -> None:
    """Methods have entries for each instance, and class methods, static methods and properties are served bare."""

    class Shop:
        def __init__(self) -> None:
            self.calls = 0

        __hash__ = None  # type: ignore[assignment]

        @lru_cache
        def price(self, item: str) -> int:
            self.calls += 1
            return self.calls

        @lru_cache
        @classmethod
        def of_class(cls, item: str) -> str:
            return cls.__name__ + item

        @lru_cache
        @staticmethod
        def of_nobody(item: str) -> str:
            return item

        @lru_cache
        @property
        def size(self) -> list[int]:
            return [1]

    one, other = Shop(), Shop()
    assert (one.price("tea"), one.price("tea"), one.price("nut"), other.price("tea")) == (1, 1, 2, 1)
    assert Shop.price.cache_info() == (1, 3, 128, 3)
    assert Shop.of_class("a") == Shop().of_class("a") == "Shopa"
    assert Shop.of_nobody("a") == Shop().of_nobody("a") == "a"
    assert one.size is one.size is not other.size
    watched = weakref.ref(one)
    del one
    gc.collect()
    assert watched() is None
    assert len(Shop.price.cache) == 1


def test_without_a_bound_it_says_so() -> None:
    """maxsize=None is accepted, shown as unbounded, and the first finding of the report."""
    own = registry.select("*test_without_a_bound_it_says_so*")

    @lru_cache(maxsize=None)
    def load(x: int) -> int:
        return x

    @lru_cache(maxsize=None)
    def constant() -> int:
        return 1

    assert [load(i) for i in range(1000)] == list(range(1000))
    assert constant() == 1
    assert len(load.cache) == 1000
    assert load.cache_info() == (0, 1000, None, 1000)
    assert "1000/unbounded" in str(own)
    assert "1000/unbounded" in str(own.report())
    first = own.report().findings[0]
    assert first.store.endswith(".load")
    assert (first.severity, first.what) == ("high", "it is unbounded: no entry ever leaves.")
    assert not any(finding.store.endswith(".constant") for finding in own.report().findings)
    load.cache.resize(max=10)
    assert sorted(load.cache) == list(range(990, 1000))
    assert "unbounded" not in "".join(finding.what for finding in own.report().findings if "load" in finding.store)


def test_of_size_zero_nothing_is_remembered() -> None:
    """maxsize=0 counts calls and remembers nothing, put values included."""

    @lru_cache(0)
    def load(x: int) -> list[int]:
        return [x]

    assert load(1) is not load(1)
    load.cache.put([2], 2)
    assert (load.cache_info(), len(load.cache)) == ((0, 2, 0, 0), 0)


def test_misses_at_the_same_time_do_not_wait_for_each_other() -> None:
    """Threads that miss one key each run the function, inside which they all are at once, as with functools."""
    together = threading.Barrier(3)

    @lru_cache
    def load(x: int) -> int:
        together.wait(LIMIT_S)
        return x

    calls = [Running(lambda: load(1)) for _ in range(3)]
    assert [call.result() for call in calls] == [1, 1, 1]
    assert load.cache_info() == (0, 3, 128, 1)


def test_results_that_can_be_used_once_are_handed_out() -> None:
    """An iterator is remembered and shared, as with functools."""

    @lru_cache
    def load() -> Iterator[int]:
        return iter([1, 2])

    assert next(load()) == 1
    assert list(load()) == [2]


def test_of_a_coroutine_function_the_awaited_result_is_remembered() -> None:
    """A coroutine function stays one, and each call can be awaited."""

    @lru_cache(maxsize=2)
    async def load(x: int) -> list[int]:
        return [x]

    async def twice() -> bool:
        return await load(1) is await load(1)

    assert inspect.iscoroutinefunction(load)
    assert asyncio.run(twice())
    assert load.cache_info() == (1, 1, 2, 1)


def test_it_travels_as_functions_do() -> None:
    """Decorated functions pickle and copy by reference, and the decorator pickles and copies by its options."""
    assert pickle.loads(pickle.dumps(importable)) is importable
    assert copy.deepcopy(importable) is copy.copy(importable) is importable
    decorator = pickle.loads(pickle.dumps(lru_cache(maxsize=7, typed=True)))
    assert repr(decorator) == "lru_cache(maxsize=7, typed=True)"
    assert decorator(abs).cache_parameters() == {"maxsize": 7, "typed": True}


def test_an_error_in_a_comparison_comes_through() -> None:
    """What the __eq__ of an argument raises reaches the caller, and the cache stays whole."""

    class Odd:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            raise LookupError("no")

    load = lru_cache(lambda x: 1)
    kept = Odd()
    assert load(kept) == load(kept) == 1
    with pytest.raises(LookupError, match="no"):
        load(Odd())
    assert load(kept) == 1
    load.cache._check()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lru_cache("x"), r"^lru_cache: maxsize='x' is no integer, and nothing that can be decorated; give a"),
        (lambda: lru_cache(1.5), r"^lru_cache: maxsize=1\.5 is no integer"),
        (lambda: lru_cache(True), r"^lru_cache: maxsize=True is no number of entries"),
        (lambda: lru_cache(5, typed=1), r"^lru_cache: typed=1 is not a bool"),
        (lambda: lru_cache(max=5), r"^lru_cache\(\) got an unexpected keyword argument 'max'; did you mean maxsize=\?"),
        (lambda: lru_cache(type("Some", (), {})), r"^lru_cache: Some is a class"),
    ],
)
def test_bad_options(make: Any, message: str) -> None:
    """What makes no sense is refused at decoration, with what to write."""
    with pytest.raises(TypeError, match=message):
        make()


def test_it_is_public() -> None:
    """It is a public name of the package."""
    assert memo.lru_cache is lru_cache
    assert "lru_cache" in memo.__all__

"""Calls within calls, directly and in circles, run straight through."""

import itertools
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.flights import (
    Make,
    assert_idle,
    check_circle,
    every_make,
    lead_and_join,
    single_make,
    tables,
)
from kit.threads import LIMIT_S, Gate, Running


@single_make
def test_recursion_with_the_same_key_runs_straight_through(make: Make) -> None:
    """Work that calls its own key runs the function again, and joiners get the outermost result."""
    gate = Gate()
    depth = 0

    def work(name: str) -> int:
        nonlocal depth
        depth += 1
        if depth < 5:
            return int(fetch(name)) + 1
        gate.wait()
        return 0

    fetch = make(work)
    leader, *joiners = lead_and_join(fetch, gate, 2, "a")
    gate.open()
    assert leader.result() == 4
    assert [joiner.result() for joiner in joiners] == [4, 4]
    assert depth == 5
    assert_idle(fetch)


@every_make
def test_two_functions_that_call_each_other(make: Make) -> None:
    """Functions that call each other with falling numbers end with the right answers in forty threads."""

    def even_work(n: int) -> bool:
        return n == 0 or bool(odd(n - 1))

    def odd_work(n: int) -> bool:
        return n != 0 and bool(even(n - 1))

    even, odd = make(even_work), make(odd_work)
    calls = [Running(lambda n=n: even(n)) for n in range(40)]
    assert [call.result() for call in calls] == [n % 2 == 0 for n in range(40)]
    assert_idle(even)
    assert_idle(odd)


@every_make
@pytest.mark.parametrize("size", [2, 3, 5])
def test_threads_that_would_wait_for_each_other_in_a_circle(make: Make, size: int) -> None:
    """In a circle of threads that each ask for the next one's key, all of them end."""
    entered = threading.Barrier(size)
    inside = threading.local()

    def work(number: int) -> int:
        if getattr(inside, "nested", False):
            return number
        inside.nested = True
        entered.wait(LIMIT_S)  # each leads its own key before any asks for the next one's
        return number + 10 * int(fetch(number % size + 1))

    fetch = make(work)
    calls = [Running(lambda number=number: fetch(number)) for number in range(1, size + 1)]
    check_circle([call.result() for call in calls])
    assert_idle(fetch)


@every_make
def test_two_functions_whose_threads_would_wait_for_each_other(make: Make) -> None:
    """Of two threads that lead one function and call the other's, one runs straight through."""
    entered = threading.Barrier(2)
    inside = threading.local()

    def guarded(name: str, other: Callable[[], Any]) -> list[str]:
        if getattr(inside, "nested", False):
            return [name]
        inside.nested = True
        entered.wait(LIMIT_S)
        return [name, *other()]

    f = make(lambda key: guarded("f", lambda: g(key)))
    g = make(lambda key: guarded("g", lambda: f(key)))
    calls = [Running(lambda: f("a")), Running(lambda: g("a"))]
    results = [call.result() for call in calls]
    assert results in ([["f", "g"], ["g", "f", "g"]], [["f", "g", "f"], ["g", "f"]])
    assert_idle(f)
    assert_idle(g)


@every_make
def test_a_chain_of_240_nested_decorated_calls(make: Make) -> None:
    """A chain of 240 nested calls, each layer counted, fits the default recursion limit."""

    def work(n: int) -> int:
        return 0 if n == 0 else int(fetch(n - 1)) + 1

    fetch = make(work)
    levels = 240 // len(tables(fetch))  # in a stack each level is as many decorated calls as there are layers
    assert sys.getrecursionlimit() == 1000
    assert Running(lambda: fetch(levels)).result() == levels
    assert_idle(fetch)


@pytest.mark.usefixtures("nothing_collected")
@every_make
def test_a_recursion_error_inside_leaves_nothing_stuck(make: Make) -> None:
    """Work that recurses over ever new keys raises RecursionError and leaves no flight."""
    numbers = itertools.count()

    def work(n: int) -> int:
        return int(fetch(next(numbers)))

    fetch = make(work)
    for _ in range(5):
        assert isinstance(Running(lambda: fetch(next(numbers))).error(), RecursionError)
        assert_idle(fetch)


@pytest.mark.usefixtures("nothing_collected")
@every_make
def test_the_recursion_limit_at_any_depth_leaves_nothing_stuck(make: Make) -> None:
    """Wherever in a call the recursion limit strikes, the next thread gets its result."""

    def work(name: str) -> str:
        return name

    fetch = make(work)

    def at(depth: int) -> Any:
        if depth:
            return at(depth - 1)
        return fetch("a")

    def probe() -> int:
        failures = 0
        for depth in range(sys.getrecursionlimit() - 60, sys.getrecursionlimit()):
            if hasattr(fetch, "cache"):
                fetch.cache.clear()
            try:
                assert at(depth) == "a"
            except RecursionError:
                failures += 1
            assert Running(lambda: fetch("a")).result() == "a", depth
            assert [len(table) for table in tables(fetch)] == [0] * len(tables(fetch)), depth
        return failures

    assert 0 < Running(probe).result() < 60
    assert fetch("a") == "a"

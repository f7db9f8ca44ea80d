"""Looking at thousands of functions: so many steps for each of them, and nobody is kept waiting."""

import gc
import math
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import memo
from memo import FunctionStats, Registry, bounded, dedupe_inflight, sliding_window
from memo._base import pacing
from memo._registry import tables

__all__ = ()

ROOM = str(Path(memo.__file__).parent)


def many(number: int) -> tuple[Registry, list[Any]]:
    own = Registry()
    kinds = bounded(max=3, registry=own), dedupe_inflight(registry=own), sliding_window("1h", registry=own)

    def make(place: int) -> Any:
        def function(x: int) -> int:
            return x

        function.__qualname__ = f"function_{place}"
        return kinds[place % 3](function)

    functions = [make(place) for place in range(number)]
    for function in functions:
        function(7)
    return own, functions


def steps(look: Callable[[], object]) -> int:
    """How many functions are called, of the package and of the interpreter by it."""
    count = 0

    def watch(frame: Any, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call") and frame.f_code.co_filename.startswith((ROOM, "<"))

    sys.setprofile(watch)
    try:
        look()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("look", "most"), [(Registry.stats, 75), (str, 125), (list, 8)], ids=["stats", "print", "list"]
)
def test_each_function_takes_a_fixed_number_of_steps(
    look: Callable[[Registry], object], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many functions take twice as many steps, and each no more than a bounded number."""
    monkeypatch.setattr(pacing, "_RUN_S", math.inf)  # a slow machine rests more often, which takes steps
    few, kept = many(90)
    more, kept_too = many(180)
    look(few), look(more)
    taken, taken_by_more = steps(lambda: look(few)), steps(lambda: look(more))
    assert len(kept_too) == 2 * len(kept)
    assert (taken_by_more - taken) / 90 <= most


@pytest.mark.parametrize("look", [Registry.stats, str], ids=["stats", "print"])
def test_the_registry_is_free_meanwhile(look: Callable[[Registry], object]) -> None:
    """While one function tells its figures, other threads may decorate, and look a name up."""
    own = Registry()
    found: list[object] = []

    def elsewhere() -> None:
        late = bounded(max=3, registry=own, name="late")(lambda x: x)
        found.append(own["late"] is own[late])

    def clock() -> float:
        if asked:
            asked.clear()
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
        return 1.0

    asked: list[bool] = []
    f = dedupe_inflight(registry=own, clock=clock)(lambda x: x)
    f(7)
    asked.append(True)
    look(own)
    assert found == [True]


@pytest.mark.parametrize("look", [str, Registry._repr_html_], ids=["print", "html"])
def test_figures_are_let_go_of_one_by_one(look: Callable[[Registry], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A table does not hold the figures of all functions together, which to free in one go would take long."""
    own, functions = many(30)
    alive: list[int] = []

    def cells(row: Any) -> Any:
        alive.append(sum(type(one) is FunctionStats for one in gc.get_objects()))
        return real(row)

    real = tables._cells
    before = sum(type(one) is FunctionStats for one in gc.get_objects())
    monkeypatch.setattr(tables, "_cells", cells)
    look(own)
    assert len(alive) == len(functions)
    assert max(alive) <= before + 2

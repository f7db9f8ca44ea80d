"""Looking at thousands of functions: so many steps for each of them, and nobody is kept waiting."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import memo
from memo import Registry, bounded, dedupe_inflight, sliding_window

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
    ("look", "most"), [(Registry.stats, 75), (str, 140), (list, 8)], ids=["stats", "print", "list"]
)
def test_each_function_takes_a_fixed_number_of_steps(look: Callable[[Registry], object], most: int) -> None:
    """Twice as many functions take twice as many steps, and each no more than a bounded number."""
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

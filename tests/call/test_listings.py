"""Listings share ``linecache`` with the standard library, which goes through it at its own moments."""

import gc
import itertools
import linecache
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.strikes import strike

from memo import Registry, bounded
from memo._call import listings
from memo._call.listings import listed

SOURCE = "def f():\n    pass\n"
ENOUGH = 300
"""So many names, whose listings have gone, that some of them are due to go."""


def names() -> set[str]:
    """Of all listings, also of those that have gone."""
    return {name for name in linecache.cache if name.startswith("<memo ")}


def lines(name: str) -> list[str]:
    """What is shown under a file name."""
    return linecache.getlines(f"<{name}>")


@pytest.fixture(autouse=True)
def with_few_entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that others listed decides when names go: they are put aside meanwhile."""
    gc.collect()
    others = dict(linecache.cache)
    linecache.cache.clear()
    monkeypatch.setattr(listings, "_free_names", listings._FreeNames())
    yield
    linecache.cache.clear()
    linecache.cache.update(others)


@pytest.fixture
def in_the_middle(tmp_path: Path) -> Callable[[Callable[[], object]], None]:
    """Has ``checkcache()`` come to a file in the middle of what it goes through, and something happen there."""
    file = str(tmp_path / "of_the_program.py")
    Path(file).write_text("x = 1\n")
    stat = os.stat

    def check(happens: Callable[[], object]) -> None:
        assert linecache.getline(file, 1) == "x = 1\n"
        last = listed("memo last", SOURCE)  # behind the file: asked for after what happens there

        def happening(path: Any, **options: Any) -> os.stat_result:
            if path == file:
                happens()
            return stat(path, **options)

        with pytest.MonkeyPatch.context() as patch:  # of its own: undoing leaves what the fixtures have set
            patch.setattr(os, "stat", happening)
            linecache.checkcache()
        assert lines("memo last")
        del last

    return check


def many() -> list[Any]:
    """Listings whose names differ."""
    return [listed(f"memo many {i}", SOURCE) for i in range(ENOUGH)]


@pytest.mark.parametrize("collected", [False, True])
def test_listings_may_end_while_names_are_gone_through(
    in_the_middle: Callable[[Callable[[], object]], None], collected: bool
) -> None:
    """Listings that end within ``checkcache()``, by their counts or by the collector, are no error there."""
    after: list[Any] = []

    def end() -> None:
        after[0].clear()
        gc.collect()

    def begin_and_end() -> None:
        after.append(many())
        after[0].append(after[0] if collected else None)
        end()

    in_the_middle(begin_and_end)
    assert not lines("memo many 1")

    after[:] = [many()]
    in_the_middle(end)  # those that it has found already
    assert not lines("memo many 1")


def test_functions_may_come_and_go_while_names_are_gone_through(
    in_the_middle: Callable[[Callable[[], object]], None], own: Registry
) -> None:
    """Whatever is decorated and let go within ``checkcache()`` takes no name out that is gone through."""
    first = many()

    def come_and_go() -> None:
        first.clear()
        for i in range(20):
            source: dict[str, Any] = {"__name__": "app"}
            exec(f"def load_{i}(name): return name", source)
            bounded(max=8, registry=own)(source[f"load_{i}"])("alice")

    in_the_middle(come_and_go)
    assert {"<memo many 1>", "<memo last>"} <= names()


def test_a_name_stays_while_another_thread_goes_through(
    in_the_middle: Callable[[Callable[[], object]], None],
) -> None:
    """A thread that lists takes no name out while another one is within ``checkcache()``, and does so afterwards."""
    inside, done = threading.Event(), threading.Event()
    first = many()

    def wait() -> None:
        inside.set()
        assert done.wait(60)

    checks = threading.Thread(target=in_the_middle, args=(wait,))
    raised: list[Any] = []
    hook, threading.excepthook = threading.excepthook, raised.append
    try:
        checks.start()
        assert inside.wait(60)
        first.clear()
        others = [listed(f"memo other {i}", SOURCE) for i in range(ENOUGH)]
        assert "<memo many 1>" in names()
    finally:
        done.set()
        checks.join()
        threading.excepthook = hook
    assert not raised
    listed("memo next", SOURCE)
    assert "<memo many 1>" not in names()
    assert len(others) < len(names())


def test_names_go_where_new_ones_come() -> None:
    """However many listings come and go under names of their own, few names are left; their lines go at once."""
    kept = [listed(f"memo kept {i}", SOURCE) for i in range(50)]
    for i in range(10 * ENOUGH):
        listed(f"memo brief {i}", SOURCE)
        assert not lines(f"memo brief {i}")
    assert len(names()) <= 2 * len(kept) + 128
    assert all(lines(f"memo kept {i}") for i in range(50))


def test_a_name_that_has_become_free_is_the_next_ones() -> None:
    """Listings of one name whose lines differ are numbered, by the first number that is free."""
    ones = {i: listed("memo app", SOURCE + "#" * i) for i in range(4)}
    assert [one.file for one in ones.values()] == ["<memo app>", *(f"<memo app #{i}>" for i in (2, 3, 4))]
    del ones[1]
    assert listed("memo app", "another").file == "<memo app #2>"  # and ends at once
    ones[1] = listed("memo app", "one more")
    assert (ones[1].file, lines("memo app #2")) == ("<memo app #2>", ["one more"])


def test_a_free_name_is_taken_once() -> None:
    """Who finds a name free, and is overtaken by another who does, has the next name."""
    listed("memo app", "gone")
    took = listings._took
    faster: list[Any] = []

    def overtaken(name: str, entry: Any) -> bool:
        patch.undo()
        faster.append(listed("memo app", "faster"))
        return took(name, entry)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listings, "_took", overtaken)
        slower = listed("memo app", "slower")
    assert (faster[0].file, slower.file) == ("<memo app>", "<memo app #2>")
    assert (lines("memo app"), lines("memo app #2")) == (["faster"], ["slower"])


def test_lines_of_others_are_left_alone() -> None:
    """Under a name that another library uses, nothing is listed and nothing is emptied."""
    linecache.cache["<memo app>"] = (6, None, ["theirs"], "<memo app>")
    ours = listed("memo app", "ours")
    assert ours.file == "<memo app #2>"
    del ours
    assert (lines("memo app"), lines("memo app #2")) == (["theirs"], [])


def test_names_and_lines_outlive_a_cleared_linecache() -> None:
    """After ``clearcache()`` a listing that ends leaves alone what has its name by then."""
    first = listed("memo app", "first")
    linecache.clearcache()
    second = listed("memo app", "second")
    assert first.file == second.file
    del first
    assert lines("memo app") == ["second"]


def test_lines_that_an_exception_struck_are_taken_out_again() -> None:
    """Struck at any of its points while it is listed, code leaves no lines behind, and not one name is used up."""
    listed("memo struck", SOURCE)
    before = set(linecache.cache)
    for at in itertools.count():
        where, raised = strike(lambda: listed("memo struck", SOURCE), at)
        del raised
        assert (set(linecache.cache), lines("memo struck")) == (before, [])
        if where is None:
            break
    assert at > 5

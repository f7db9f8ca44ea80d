"""The machine that the whole suite runs on, as far as its tests can tell."""

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from memo import Registry


def _shift_the_clock(uptime_s: float) -> None:
    """Have ``time.monotonic()`` begin at *uptime_s* now, before anything has taken it from there."""
    true, begun = time.monotonic, time.monotonic()
    time.monotonic = lambda: true() - begun + uptime_s


if uptime := os.environ.get("MEMO_TEST_UPTIME"):  # seconds, such as 0 for a machine that has just started
    _shift_the_clock(float(uptime))


pytest.register_assert_rewrite("kit")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage meanwhile: there is hardly any among the millions of objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def only_its_own_objects() -> None:
    """The garbage collector looks at what the tests of this file make alone, not at some millions of older objects.

    Hundreds of tests collect, each time in a process that holds all tests and every library that any of them needs.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def ends_what_it_began(only_its_own_objects: None) -> Iterator[None]:
    """No file leaves a thread of the library's to the next, which may count them: so it fails where the fault is."""
    from kit.threads import of_the_library, until

    before = of_the_library()
    yield
    if of_the_library() - before:
        gc.collect()  # some end with what they belong to
        until(lambda: not of_the_library() - before)


@pytest.fixture
def own() -> "Registry":
    """A registry of the test's own."""
    from memo import Registry  # not before the clock is shifted

    return Registry()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sockets are put, and nowhere else: a folder of the test's own.  Its path is short, as theirs must be."""
    folder = Path(tempfile.mkdtemp(prefix="memo-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))  # for other processes
    monkeypatch.setattr("memo.exporters._sockets._candidates", lambda: iter([folder / "memo"]))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nothing_collected() -> Iterator[None]:
    """What other tests left is collected before, and nothing there: what goes there goes by reference counts alone.

    Tests that reach the recursion limit need it, too: at the limit the interpreter can call no finalizer that is
    written in Python, and tells ``sys.unraisablehook`` so.
    """
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    yield
    if collects:
        gc.enable()


def pytest_report_header() -> str:
    """Which path is tested."""
    from memo import _native  # not before the clock is shifted

    return f"calls run in: {'Python' if _native.speed is None else 'C'}: {_native.why}"


def pytest_sessionfinish() -> None:
    """Let the plug-ins, which have the last word, find and collect everything (see ``only_its_own_objects()``)."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse what cannot be run everywhere, and skip on the path in C what is of the other one alone."""
    _refuse_places_in_memory(items)
    _refuse_what_would_never_run(items)
    _keep_to_the_pure_path(items)


def _refuse_places_in_memory(items: list[pytest.Item]) -> None:
    """A test whose name says where something lies in memory has another one in each process of xdist."""
    named = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if named:
        raise pytest.UsageError(f"give ids= to these tests, or a __repr__ to their values: {', '.join(named)}")


def _refuse_what_would_never_run(items: list[pytest.Item]) -> None:
    """Where both paths can be had, ``.ci/run`` runs what it runs once on the one in C, which skips the other's own."""
    once = ("outside", "any_version")
    for item in items:
        if item.get_closest_marker("pure_path") and any(map(item.get_closest_marker, once)):
            raise pytest.UsageError(f"{item.nodeid}: no path of .ci/run runs it; take one of its markers away")


def _keep_to_the_pure_path(items: list[pytest.Item]) -> None:
    """A test of what the path in C does not have, such as the wrapper's instructions, runs where MEMO_PURE=1 is set."""
    from memo import _native  # not before the clock is shifted

    for item in items:
        for mark in item.iter_markers("pure_path"):
            if len(mark.args) != 1 or not isinstance(mark.args[0], str) or mark.kwargs:
                raise pytest.UsageError(f'{item.nodeid}: give the reason, as in pure_path("stops within the wrapper")')
            if _native.speed is not None:
                item.add_marker(pytest.mark.skip(reason=f"pure path alone (MEMO_PURE=1): {mark.args[0]}"))

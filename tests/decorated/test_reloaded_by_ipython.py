"""IPython's ``%autoreload`` and decorated functions: after a change of the source, the new one is what runs."""

import atexit
import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = """
import memo

def decorate(function):
    return {decorate}

@decorate
def f(x, y=1):
    return "{word}", x, y

@decorate
async def a(x):
    return "{word}"

class C:
    @decorate
    def m(self, x{more}):
        return "{word}", x

    @decorate
    @staticmethod
    def s(x):
        return "{word}"

    @decorate
    @classmethod
    def c(cls, x):
        return "{word}"

    @decorate
    @property
    def p(self):
        return "{word}"
"""
CALLS = "f(1), f(1, 2), instance.m(1), C().m(1), C.s(1), C.c(1), instance.p, asyncio.run(a(1))"


@pytest.fixture(autouse=True)
def own_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell puts a module of its own in the place of the main one, which new processes would look for."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.mark.parametrize(
    "decorate",
    [
        "function",
        "memo.bounded(max=8)(function)",
        "memo.dedupe_inflight(function)",
        "memo.bounded(max=8)(memo.sliding_window('1h')(function))",
    ],
)
@pytest.mark.filterwarnings("ignore")  # of IPython's own
def test_ipython_reloads_decorated_functions(decorate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was imported by its name is what the source says now."""
    with reloading(SOURCE, tmp_path, monkeypatch) as (write, run):
        write(decorate=decorate, word="old", more="")
        run("import asyncio, reloaded\nfrom reloaded import f, a, C\ninstance = C()")
        assert run(CALLS) == (("old", 1, 1), ("old", 1, 2), ("old", 1), ("old", 1), "old", "old", "old", "old")
        write(decorate=decorate, word="new", more=", z=3")
        assert run(CALLS) == (("new", 1, 1), ("new", 1, 2), ("new", 1), ("new", 1), "new", "new", "new", "new")
        assert run("instance.m(1, z=4)") == ("new", 1)
        write(decorate=decorate, word="newer", more="")
        assert run(CALLS)[0] == ("newer", 1, 1)


@pytest.mark.parametrize("decorate", ["memo.bounded(max=8)", "memo.dedupe_inflight"])
@pytest.mark.filterwarnings("ignore")  # of IPython's own
def test_ipython_reloads_modules_with_other_decorators(
    decorate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a decorator of others in between, the module runs again, as it does below ``functools.lru_cache``."""
    with reloading(WRAPPED, tmp_path, monkeypatch) as (write, run):
        write(decorate=decorate, word="old")
        run("import reloaded\nfrom reloaded import C\ninstance = C()")
        for word in ("old", "new", "newer"):
            write(decorate=decorate, word=word)
            assert run("reloaded.f(1), reloaded.C().m(1), instance.m(1)") == (word, word, word)


WRAPPED = """
import functools
import memo

def other(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

@{decorate}
@other
def f(x):
    return "{word}"

class C:
    @{decorate}
    @other
    def m(self, x):
        return "{word}"
"""


@contextlib.contextmanager
def reloading(source: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """How the module ``reloaded`` is written, and how a cell is run in a shell that reloads it."""
    interactiveshell = pytest.importorskip("IPython.core.interactiveshell")
    monkeypatch.setenv("IPYTHONDIR", str(place / "ipython"))
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "reloaded", raising=False)
    path = place / "reloaded.py"
    seconds = itertools.count(1_000_000_000, 100)

    def write(**words: str) -> None:
        path.write_text(source.format(**words))
        now = next(seconds)
        os.utime(path, (now, now))

    config = pytest.importorskip("traitlets.config").Config()
    config.HistoryManager.enabled = False
    shell = interactiveshell.InteractiveShell(config=config)

    def run(code: str) -> Any:
        ran = shell.run_cell(code, silent=False)
        ran.raise_error()
        return ran.result

    try:
        shell.run_line_magic("load_ext", "autoreload")
        shell.run_line_magic("autoreload", "2")
        yield write, run
    finally:
        atexit.unregister(shell.atexit_operations)  # which can be done once
        shell.atexit_operations()

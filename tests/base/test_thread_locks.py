"""Locks that hold between threads in every world."""

import ast
import threading
from _thread import RLock

import pytest
from kit.greenlets import WORLDS, play
from kit.places import ROOT

from memo._base import rlock

CONTENDED = """
import _thread
from memo._base import rlock

lock = rlock()
entered, leave = Native(), Native()

def hold():
    with lock:
        entered.set()
        assert leave.wait(20)

def take(times):
    for _ in range(times):
        with lock:
            pass
    return times

holder = in_thread(hold)
while not entered.is_set():
    pause()
waiting = in_thread(take, 1)
for _ in range(100):
    pause()
leave.set()
for each in (holder, waiting):
    each.get() if hasattr(each, "get") else value_of(each)

several = [in_thread(take, 2000) for _ in range(3)]
assert take(2000) == 2000
for each in several:
    assert (each.get() if hasattr(each, "get") else value_of(each)) == 2000
"""


@pytest.mark.parametrize("world", WORLDS)
def test_a_thread_that_waits_for_a_lock_gets_it(world: str) -> None:
    """Whoever waits in a thread, for another or for the thread of the greenlets, is woken."""
    play(world, CONTENDED)


def test_without_greenlets_it_is_the_interpreter_s_own() -> None:
    """In a program that patched nothing a lock costs what locks cost."""
    assert type(rlock()) is RLock is type(threading.RLock())


def test_all_locks_are_made_so() -> None:
    """No module makes a re-entrant lock of its own."""
    makers = {
        path.relative_to(ROOT / "memo").as_posix()
        for path in (ROOT / "memo").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "RLock"
    }
    assert makers == {"_base/thread_locks.py"}

"""What the tests of greenlets share: programs run in processes of their own, in each world."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest

from kit.interpreters import LIMIT_S, run_after
from kit.places import ROOT

__all__ = (
    "COMMON",
    "EVENTLET",
    "GEVENT",
    "PATCHES",
    "WORLDS",
    "need",
    "play",
    "run",
    "worlds",
)


def need(library: str) -> None:
    """Skip where *library* is missing, without importing it: eventlet would warn at each later fork of this process."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


GEVENT = """
from gevent import monkey
<patch>
import gevent, gevent.event, gevent.hub
spawn, pause = gevent.spawn, lambda: gevent.sleep(0)
Green = gevent.event.Event
def value_of(greenlet):
    return greenlet.get(timeout=20)
def kill(greenlet):
    greenlet.kill(block=False)
def in_thread(call, *args):
    return gevent.get_hub().threadpool.spawn(call, *args)
Native = monkey.get_original("threading", "Event")
Killed = gevent.GreenletExit
"""

EVENTLET = """
import eventlet, eventlet.tpool, eventlet.patcher, eventlet.event, greenlet
<patch>
spawn, pause = eventlet.spawn, lambda: eventlet.sleep(0)
Native = eventlet.patcher.original("threading").Event
class Green:
    def __init__(self):
        self._event = eventlet.event.Event()
    def set(self):
        if not self._event.ready():
            self._event.send(None)
    def wait(self, timeout):
        with eventlet.Timeout(timeout):
            self._event.wait()
        return True
def value_of(greenthread):
    with eventlet.Timeout(20):
        return greenthread.wait()
def kill(greenthread):
    greenthread.kill()
def in_thread(call, *args):
    return spawn(eventlet.tpool.execute, call, *args)
Killed = greenlet.GreenletExit
"""

COMMON = """
import threading
import memo
from memo import Registry, bounded, dedupe_inflight, InflightTimeout

begun = []

class Stage:
    '''Work that stands still until it is let go.'''
    def __init__(self, event=Green):
        self.entered, self.opened, self.count = event(), event(), 0
    def __call__(self, x=1):
        self.count += 1
        if self.count == 1:
            self.entered.set()
            assert self.opened.wait(20), "nobody let it go"
        return [x]

def joined(f, count):
    while f.inflight.stats().waiting < count:
        pause()

def idle(f):
    assert len(f.inflight) == 0 and f.inflight.stats().waiting == 0
    assert not memo._flight.circles.waiting
"""

PATCHES = {"gevent": "monkey.patch_all()", "eventlet": "eventlet.monkey_patch()"}

WORLDS = [f"{library}, {order}" for library in PATCHES for order in ("memo first", "memo last", "unpatched")]


def run(program: str, library: str | None = None) -> None:
    """Run *program* in an interpreter of its own; it fails if that does."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def play(world: str, program: str) -> None:
    """Run *program* where greenlets are those of one library, and memo is imported before or after it patches.

    The programs of one world run in one process, each with fresh names.
    """
    library, order = world.split(", ")
    need(library)
    head = GEVENT if library == "gevent" else EVENTLET
    first = "import memo\n" if order == "memo first" else ""
    patch = "" if order == "unpatched" else PATCHES[library]
    run_after(first + head.replace("<patch>", patch), COMMON + textwrap.dedent(program), "-W", "ignore")


worlds = pytest.mark.parametrize("world", WORLDS)

"""A subscription harms no call, whatever its callback does, and ends with whatever it belongs to."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from typing import Any

import pytest
from kit.greenlets import need
from kit.observers import observed
from kit.places import ROOT
from kit.processes import HANG_S, in_a_child
from kit.subscribers import Told
from kit.threads import Gate, until

from memo import CacheEvent, Registry, bounded


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "memo-events"]


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    """A run of the interpreter, and what it said."""
    command = [sys.executable, *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=HANG_S, cwd=ROOT)


def test_a_callback_that_raises(own: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """What a callback raises is counted, logged once, and keeps neither it nor others from being told."""
    seen: list[CacheEvent] = []

    def raising(event: CacheEvent) -> None:
        seen.append(event)
        raise SystemExit("of a callback")

    subscription, told = own.subscribe(raising), Told(own)
    f = bounded(max=9, registry=own)(lambda x: x)
    with caplog.at_level(logging.ERROR, "memo"):
        assert [f(x) for x in range(5)] == list(range(5))
        assert subscription.drain()
    assert told.kinds() == ["load"] * 5
    assert len(seen) == subscription.delivered == subscription.failed == 5
    assert len(caplog.records) == 1
    assert "of a callback" in caplog.text
    assert "raised 5 times" in str(subscription)
    assert str(subscription) in str(own)


def test_a_callback_that_does_not_return(own: Registry) -> None:
    """A callback that stands still holds up no call and no other subscriber; the oldest events are dropped for it."""
    gate = Gate()
    seen: list[str] = []

    def slow(event: CacheEvent) -> None:
        seen.append(event.key)
        gate.wait()

    subscription, told = own.subscribe(slow, limit=3), Told(own)
    f = bounded(max=99, registry=own)(lambda x: x)
    f(0)
    gate.reached()
    for x in range(1, 11):
        f(x)
    assert len(told.take()) == 11
    assert (subscription.pending, subscription.dropped) == (3, 7)
    assert not subscription.drain("1ms")
    assert "7 dropped" in repr(subscription)
    gate.open()
    assert subscription.drain()
    assert seen == ["0", "8", "9", "10"]
    assert (subscription.delivered, subscription.dropped, subscription.pending) == (4, 7, 0)


def test_a_callback_that_calls(own: Registry) -> None:
    """A callback may call decorated functions, of which it is told, and close its own subscription."""
    f = bounded(max=9, registry=own)(lambda x: x)
    seen: list[str] = []

    def callback(event: CacheEvent) -> None:
        seen.append(event.key)
        assert not subscription.drain()
        f("from the callback")
        if len(seen) == 2:
            subscription.close()

    subscription = own.subscribe(callback)
    f(1)
    until(lambda: threads() == [])
    f(2)
    assert seen == ["1", "'from the callback'"]
    assert not subscription.active


def test_the_end(own: Registry) -> None:
    """What happened before the end is told, nothing after it, and the thread ends; once more is no error."""
    f = bounded(max=9, registry=own)(lambda x: x)
    seen: list[str] = []
    with own.subscribe(lambda event: seen.append(event.key), kinds="load") as subscription:
        for x in range(100):
            f(x)
    assert seen == list(map(str, range(100)))
    until(lambda: threads() == [])  # it has said that it ends, and does so in its own time
    f(200)
    subscription.close()
    assert "200" not in seen
    assert repr(subscription).startswith("<closed subscription")
    assert "subscription" not in str(own)


def test_nobody_need_hold_it(own: Registry) -> None:
    """It goes on though nobody holds it, and ends with its registry, though the callback is held."""
    registry, seen = Registry(), list[CacheEvent]()
    registry.subscribe(seen.append)
    gc.collect()
    f = bounded(max=9, registry=registry)(lambda x: x)
    f(1)
    until(lambda: len(seen) == 1)
    gone = weakref.ref(registry)
    del registry, f
    gc.collect()
    assert gone() is None
    until(lambda: threads() == [])


def test_functions_that_move(own: Registry) -> None:
    """A function that joins a registry is heard there, and no more where it was."""
    other = Registry()
    here, there = Told(own), Told(other)

    @bounded(max=9, registry=other, name="f")
    @bounded(max=9, name="f")
    def f(x: int) -> int:
        return x

    f(1)
    assert [(e.function, e.kind) for e in there.take()] == [("f", "load")]
    assert here.kinds() == []
    there.subscription.close()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"callback": 3}, TypeError, "cannot be called"),
        ({"callback": None}, TypeError, "cannot be called"),
        ({"kinds": "evictions"}, ValueError, "did you mean 'eviction'"),
        ({"kinds": ()}, ValueError, "names nothing"),
        ({"kinds": 3}, TypeError, "no collection of text"),
        ({"kinds": (3,)}, TypeError, "no text"),
        ({"limit": 0}, ValueError, "limit=0"),
        ({"limit": True}, TypeError, "limit=True"),
    ],
)
def test_bad_options(own: Registry, options: dict[str, Any], error: type[Exception], said: str) -> None:
    """A subscription that makes no sense is refused, by name, and leaves nothing behind."""
    given = {"callback": print, **options}
    before = set(threads())  # of other tests, which end in their own time
    with pytest.raises(error, match=said):
        own.subscribe(given.pop("callback"), **given)
    assert not set(threads()) - before


def test_coroutine_functions_are_refused(own: Registry) -> None:
    """A callback that would have to be awaited is refused."""

    async def callback(event: CacheEvent) -> None: ...

    with pytest.raises(TypeError, match="nobody would await"):
        own.subscribe(callback)


def test_without_a_thread(own: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, nobody is subscribed."""

    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("memo._registry.subscriptions.start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        own.subscribe(print)
    assert "subscription" not in str(own)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_is_told_by_itself(own: Registry) -> None:
    """After a fork each process is told what happens in it, by a thread of its own, and nothing twice."""
    gate = Gate()
    f = bounded(max=9, registry=own)(lambda x: x)
    seen: list[str] = []

    def callback(event: CacheEvent) -> None:
        seen.append(event.key)
        if os.getpid() == here:
            gate.wait()

    here = os.getpid()
    subscription = own.subscribe(callback)
    f(1)
    gate.reached()
    f(2)

    def act() -> bool:
        f(3)
        drained = subscription.drain()
        subscription.close()
        until(lambda: threads() == [])
        return drained and seen == ["1", "3"] and subscription.dropped == 0

    assert in_a_child(act) == 0
    gate.open()
    assert subscription.drain()
    assert seen == ["1", "2"]
    subscription.close()


@pytest.mark.parametrize("hangs", [False, True])
def test_the_interpreters_end(hangs: bool) -> None:
    """At its end the interpreter has the rest told, and does not wait for ever for a callback that hangs."""
    program = f"""
import memo, threading
import memo._registry.subscriptions as subscriptions
subscriptions._PARTING_S = 0.2 if {hangs} else 20
f = memo.bounded(max=9)(lambda x: x)
begin = threading.Event()
def callback(event):
    begin.wait()
    print(event.kind, event.key, flush=True)
    if {hangs}:
        threading.Event().wait()
memo.registry.subscribe(callback)
for x in range(3):
    f(x)
begin.set()
"""
    done = run("-X", "dev", "-c", program)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:-1] == [f"load {x}" for x in range(1 if hangs else 3)]


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets(library: str) -> None:
    """In a program of greenlets that patched its threads the callback runs in one of them, beside the others."""
    need(library)
    patch = {
        "gevent": "from gevent import monkey; monkey.patch_all()\nfrom gevent import sleep, spawn",
        "eventlet": "import eventlet; eventlet.monkey_patch()\nfrom eventlet import sleep, spawn",
    }
    program = f"""
import warnings
warnings.simplefilter("ignore")
{patch[library]}
import memo
seen = []
subscription = memo.registry.subscribe(lambda event: seen.append((event.kind, event.key)))
def load(x):
    sleep(0)
    return x
f = memo.bounded(max=9)(load)
for x in (1, 1, 2):
    spawn(f, x)
while len(seen) < 2:
    sleep(0.001)
assert sorted(seen) == [("load", "1"), ("load", "2")], seen
assert subscription.drain()
subscription.close()
"""
    done = run("-c", program)
    assert (done.returncode, done.stderr) == (0, "")


class Page:
    """A value that can be referred to weakly."""


class NoPage(ValueError):
    """An error that can be, too."""


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_nothing_is_held(own: Registry, is_async: bool, fails: bool) -> None:
    """Of a call that was told, and whose value has left, nothing is alive, nor of the function: by reference counts."""
    made: list[weakref.ref[Any]] = []

    def load(x: int) -> Page:
        page = NoPage() if fails else Page()
        made.append(weakref.ref(page))
        if isinstance(page, NoPage):
            try:
                raise page
            finally:
                del page
        return page

    async def awaited(x: int) -> Page:
        return load(x)

    async def call(function: Any) -> None:
        try:
            await function(1) if is_async else function(1)
        except NoPage:
            pass

    told = Told(own)
    with observed(own):
        f = bounded(max=3, registry=own)(awaited if is_async else load)
        gc.disable()
        try:
            asyncio.run(call(f))
            f.cache.clear()
            assert len(told.take()) == (1 if fails else 2)
            gone = weakref.ref(f)
            del f
            assert [gone(), *(one() for one in made)] == [None, None]
        finally:
            gc.enable()

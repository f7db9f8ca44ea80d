"""Single flight between greenlets: of gevent, of eventlet, of SQLAlchemy, and bare ones.

Monkey-patching is for a whole process, so each test runs a program of its own.
"""

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest
from kit.places import ROOT

LIMIT_S = 60
"""Turns a hang into a failure."""


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
    """Run *program* where greenlets are those of one library, and memo is imported before or after it patches."""
    library, order = world.split(", ")
    need(library)
    head = GEVENT if library == "gevent" else EVENTLET
    first = "import memo\n" if order == "memo first" else ""
    patch = "" if order == "unpatched" else PATCHES[library]
    run(first + head.replace("<patch>", patch) + COMMON + textwrap.dedent(program))


worlds = pytest.mark.parametrize("world", WORLDS)


@worlds
def test_equal_calls_share_one_execution(world: str) -> None:
    """Greenlets of one thread share, whatever is decorated and however: one leads, and the others run meanwhile."""
    play(
        world,
        """
        def places(decorate, work):
            class Host:
                @decorate
                def method(self, x): return work(x)
                @classmethod
                @decorate
                def of_class(cls, x): return work(x)
                @staticmethod
                @decorate
                def static(x): return work(x)
                @property
                @decorate
                def prop(self): return work(1)
            host = Host()
            yield (function := decorate(lambda x: work(x))), function.inflight
            yield host.method, host.method.inflight
            yield host.of_class, host.of_class.inflight
            yield host.static, host.static.inflight
            yield (lambda x: host.prop), Host.__dict__["prop"].fget.inflight

        decorators = [dedupe_inflight, dedupe_inflight(timeout=60)]
        decorators += [bounded(max=9, policy=policy) for policy in ("s3fifo", "lru", "lfu", "fifo", "random")]
        decorators += [bounded(max=9, ttl=60, stale_if_error=60), bounded(max=9, timeout=60)]
        for decorate in decorators:
            stage = None
            for call, inflight in places(decorate, lambda x: stage(x)):
                stage = Stage()
                calls = [spawn(call, 1) for _ in range(20)]
                while inflight.stats().waiting < 19:
                    pause()
                assert len(inflight) == 1 and inflight.pending()[0].waiters == 19
                assert isinstance(inflight.pending()[0].leader, str)
                stage.opened.set()
                results = [value_of(it) for it in calls]
                assert stage.count == 1 and len({id(it) for it in results}) == 1, results
                assert len(inflight) == 0 and inflight.stats().waiting == 0
        assert not memo._flight.circles.waiting
        """,
    )


@worlds
def test_the_first_greenlet_of_a_thread_takes_part(world: str) -> None:
    """The main greenlet joins, leads, and is no ancestor of those that its hub runs."""
    play(
        world,
        """
        stage = Stage()
        f = dedupe_inflight(timeout=60)(stage)
        other = spawn(f, 1)
        stage.entered.wait(20)
        spawn(lambda: (joined(f, 1), stage.opened.set()))
        assert f(1) is value_of(other)
        stage = Stage()
        g = bounded(max=9)(lambda x: stage(x))
        others = [spawn(g, 1) for _ in range(3)]
        spawn(lambda: (joined(g, 3), stage.opened.set()))
        first = g(1)
        assert [value_of(it) is first for it in others] == [True] * 3 and stage.count == 1
        idle(f), idle(g)
        """,
    )


@worlds
def test_failures_are_shared(world: str) -> None:
    """Everyone who waited sees the failure of the one execution."""
    play(
        world,
        """
        stage = Stage()
        def work(x):
            stage(x)
            raise LookupError(x)
        f = bounded(max=9)(work)
        seen = []
        def call():
            try:
                f(1)
            except LookupError as error:
                seen.append(error.args)
        calls = [spawn(call) for _ in range(5)]
        joined(f, 4)
        stage.opened.set()
        [value_of(it) for it in calls]
        assert seen == [(1,)] * 5 and stage.count == 1
        idle(f)
        """,
    )


@worlds
def test_a_killed_leader_is_succeeded(world: str) -> None:
    """GreenletExit stays with the greenlet that it struck, and one of those who wait takes over."""
    play(
        world,
        """
        for decorate in (dedupe_inflight(timeout=60), bounded(max=9)):
            stage = Stage()
            f = decorate(stage)
            leader = spawn(f, 1)
            stage.entered.wait(20)
            calls = [spawn(f, 1) for _ in range(5)]
            joined(f, 5)
            kill(leader)
            assert [value_of(it) for it in calls] == [[1]] * 5
            assert stage.count == 2 and f.inflight.stats().cancelled == 1
            idle(f)
        """,
    )


@worlds
def test_a_killed_waiter_leaves_alone(world: str) -> None:
    """Who is killed while waiting, or has enough, ends nobody else's wait."""
    play(
        world,
        """
        stage = Stage()
        f = dedupe_inflight(timeout=60)(stage)
        calls = [spawn(f, 1) for _ in range(3)]
        joined(f, 2)
        kill(calls[1])
        while f.inflight.stats().waiting > 1:
            pause()
        stage.opened.set()
        assert value_of(calls[0]) is value_of(calls[2]) and stage.count == 1
        idle(f)
        """,
    )


@worlds
def test_timeouts_hold(world: str) -> None:
    """Who waits gets ``InflightTimeout`` at the deadline, real or of a clock advanced by hand."""
    play(
        world,
        """
        from memo.testing import FakeClock
        def outcome(call):
            try:
                return call(1)
            except InflightTimeout:
                return "too late"
        for clock, timeout in ((None, 0.05), (FakeClock(), 60)):
            stage = Stage()
            f = dedupe_inflight(timeout=timeout, clock=clock)(stage)
            leader = spawn(f, 1)
            stage.entered.wait(20)
            calls = [spawn(outcome, f) for _ in range(3)]
            if clock is not None:
                joined(f, 3)
                pause()
                clock.advance(61)
            assert [value_of(it) for it in calls] == ["too late"] * 3
            stage.opened.set()
            assert value_of(leader) == [1]
            idle(f)
        """,
    )


@worlds
def test_recursions_and_circles_run_straight_through(world: str) -> None:
    """A greenlet does not wait for itself, nor for one that waits for it."""
    play(
        world,
        """
        same = dedupe_inflight(timeout=60, key=lambda x: 0)(lambda x: 0 if not x else same(x - 1) + 1)
        assert value_of(spawn(same, 5)) == 5

        ready = [Green(), Green()]
        def work(which):
            ready[which].set()
            ready[1 - which].wait(20)
            return [one, two][1 - which](0) + 1 if begun.append(which) is None and len(begun) < 5 else 0
        one = dedupe_inflight(timeout=60)(lambda x: work(0))
        two = dedupe_inflight(timeout=60)(lambda x: work(1))
        calls = [spawn(one, 0), spawn(two, 0)]
        assert all(isinstance(value_of(it), int) for it in calls)
        idle(one), idle(two)
        """,
    )


@worlds
def test_bare_greenlets_within_a_leader_run_straight_through(world: str) -> None:
    """A greenlet whose parent leads does not wait for it: the parent goes on only when its child returns."""
    play(
        world,
        """
        import greenlet
        answers = []
        @dedupe_inflight(timeout=60)
        def f(x):
            begun.append(x)
            if len(begun) == 1:
                child = greenlet.greenlet(lambda: answers.append(f(x)))
                child.switch()
            return len(begun)
        assert value_of(spawn(f, 1)) == 2 and answers == [2]
        idle(f)
        """,
    )


@worlds
def test_threads_and_greenlets_share(world: str) -> None:
    """A greenlet that waits for another thread's execution lets others run, and a thread waits for a greenlet's."""
    play(
        world,
        """
        stage = Stage(Native)
        f = dedupe_inflight(timeout=60)(stage)
        leader = in_thread(f, 1)
        while not stage.entered.is_set():
            pause()
        call = spawn(f, 1)
        joined(f, 1)  # as this greenlet runs on, the hub's thread does not stand still
        stage.opened.set()
        assert value_of(call) is not None and stage.count == 1
        assert (leader.get() if hasattr(leader, "get") else value_of(leader)) == [1]

        stage = Stage()
        g = bounded(max=9)(lambda x: stage(x))
        leader = spawn(g, 1)
        stage.entered.wait(20)
        call = in_thread(g, 1)
        joined(g, 1)
        stage.opened.set()
        assert value_of(leader) == [1] and stage.count == 1
        assert (call.get() if hasattr(call, "get") else value_of(call)) == [1]
        idle(f), idle(g)
        """,
    )


def test_hubs_of_several_threads_share() -> None:
    """Greenlets of gevent in several threads wait for each other's executions, each in the hub of its thread."""
    play(
        "gevent, unpatched",
        """
        stage = Stage(Native)
        def work(x):
            stage.count += 1
            while not stage.opened.is_set():
                pause()
            return [x]
        f = dedupe_inflight(timeout=60)(work)
        results = []
        def of_thread():
            calls = [gevent.spawn(f, 1) for _ in range(10)]
            gevent.joinall(calls, timeout=20)
            results.extend(id(it.value) for it in calls)
        threads = [threading.Thread(target=of_thread) for _ in range(4)]
        [it.start() for it in threads]
        while f.inflight.stats().waiting < 39:
            pause()
        stage.opened.set()
        [it.join(20) for it in threads]
        assert len(results) == 40 and len(set(results)) == 1 and stage.count == 1
        idle(f)
        """,
    )


@worlds
def test_limited_waits_and_background_loads(world: str) -> None:
    """``within()`` and ``soft_timeout=`` let others run, and end by their limit; a stale value is loaded anew."""
    play(
        world,
        """
        from memo.testing import FakeClock
        clock = FakeClock()
        stage = Stage()
        stage.count = 1
        @bounded(max=9, ttl=10, stale_if_error=100, soft_timeout=0.05, clock=clock)
        def f(x):
            return stage(x)
        assert value_of(spawn(f, 1)) == [1]
        clock.advance(20)
        @bounded(max=9, ttl=10, stale_while_revalidate=100, clock=clock)
        def g(x):
            begun.append(x)
            return len(begun)
        assert value_of(spawn(g, 1)) == 1
        clock.advance(20)
        assert value_of(spawn(g, 1)) == 1
        while g.cache.stats().loads < 2:
            pause()
        assert g(1) == 2
        assert value_of(spawn(g.cache.within("10s").fresh, 7)) == 3
        assert value_of(spawn(f, 1)) == [1]
        while f.cache.inflight.pending():
            pause()
        """,
    )


def test_limited_waits_do_not_stop_the_hub() -> None:
    """While a greenlet waits within its own limit for a load in a real thread, others run."""
    play(
        "gevent, unpatched",
        """
        stage = Stage(Native)
        f = bounded(max=9)(stage)
        call = spawn(lambda: f.cache.within("20s").fresh(1))
        while not stage.entered.is_set():
            pause()
        stage.opened.set()
        assert value_of(call) == [1]
        """,
    )


def test_context_variables_are_the_leaders() -> None:
    """The work runs in the context of the greenlet that leads."""
    play(
        "gevent, memo first",
        """
        import contextvars
        who = contextvars.ContextVar("who", default=None)
        stage = Stage()
        f = dedupe_inflight(timeout=60)(lambda x: (stage(x), who.get())[1])
        def call(name):
            who.set(name)
            return f(1)
        calls = [spawn(call, name) for name in "abc"]
        joined(f, 2)
        stage.opened.set()
        assert [value_of(it) for it in calls] == ["a"] * 3
        """,
    )


def test_gevents_timeout_ends_a_wait() -> None:
    """``gevent.Timeout`` strikes a greenlet that waits, which leaves alone."""
    play(
        "gevent, memo first",
        """
        stage = Stage()
        f = dedupe_inflight(timeout=60)(stage)
        leader = spawn(f, 1)
        stage.entered.wait(20)
        def impatient():
            try:
                with gevent.Timeout(0.01):
                    f(1)
            except gevent.Timeout:
                return "enough"
        assert value_of(spawn(impatient)) == "enough"
        stage.opened.set()
        assert value_of(leader) == [1]
        idle(f)
        """,
    )


def test_the_hub_itself_never_waits() -> None:
    """A callback of the hub runs straight through where a greenlet would wait."""
    play(
        "gevent, memo first",
        """
        stage = Stage()
        f = dedupe_inflight(timeout=60)(stage)
        leader = spawn(f, 1)
        stage.entered.wait(20)
        answers = []
        gevent.get_hub().loop.run_callback(lambda: answers.append(f(1)))
        while not answers:
            pause()
        assert answers == [[1]] and stage.count == 2
        stage.opened.set()
        value_of(leader)
        idle(f)
        """,
    )


def test_eventlets_hub_on_asyncio() -> None:
    """Under eventlet's hub that is a loop of asyncio greenlets share as under its others."""
    need("eventlet")
    patch = "import eventlet.hubs; eventlet.hubs.use_hub('asyncio'); eventlet.monkey_patch()"
    head = EVENTLET.replace("<patch>", patch)
    run(
        head
        + COMMON
        + textwrap.dedent("""
        stage = Stage()
        f = dedupe_inflight(timeout=60)(stage)
        calls = [spawn(f, 1) for _ in range(5)]
        joined(f, 4)
        stage.opened.set()
        assert len({id(value_of(it)) for it in calls}) == 1 and stage.count == 1
        idle(f)
        """)
    )


def test_bare_greenlets_do_not_wait_in_their_own_thread() -> None:
    """Without a hub nobody would resume the leader: the others run straight through, and are no recursion of it."""
    need("greenlet")
    run(
        textwrap.dedent("""
        import greenlet, threading, memo
        from memo import bounded, dedupe_inflight
        begun, answers = [], []
        main = greenlet.getcurrent()
        @dedupe_inflight(timeout=60)
        def f(x):
            begun.append(x)
            if len(begun) == 1:
                main.switch()  # stands still
            return len(begun)
        leader = greenlet.greenlet(lambda: answers.append(f(1)))
        leader.switch()
        other = greenlet.greenlet(lambda: answers.append(f(1)))
        other.switch()
        assert f(1) == 3 and answers == [2]
        assert len(f.inflight) == 1
        seen = []
        waiter = threading.Thread(target=lambda: seen.append(f(1)))  # another thread can wait for it
        waiter.start()
        while not f.inflight.stats().waiting:
            pass
        leader.switch()
        waiter.join(20)
        assert seen == [3] and answers == [2, 3], (seen, answers)
        assert len(f.inflight) == 0 and not memo._flight.circles.waiting
        """)
    )


def test_a_leader_that_nobody_holds_any_more_releases_its_waiters() -> None:
    """A flight does not keep the greenlet that leads it alive: once it is dropped, one of those who wait takes over."""
    need("greenlet")
    run(
        textwrap.dedent("""
        import greenlet, threading, weakref, memo
        from memo import bounded, dedupe_inflight
        for decorate in (dedupe_inflight(timeout=60), bounded(max=9)):
            begun = []
            main = greenlet.getcurrent()
            def work(x):
                begun.append(x)
                if len(begun) == 1:
                    main.switch()
                return len(begun)
            f = decorate(work)
            leader = greenlet.greenlet(lambda: f(1))
            leader.switch()
            seen = []
            waiter = threading.Thread(target=lambda: seen.append(f(1)))
            waiter.start()
            while not f.inflight.stats().waiting:
                pass
            gone = weakref.ref(leader)
            del leader
            assert gone() is None
            waiter.join(20)
            assert seen == [2], seen
            assert len(f.inflight) == 0 and not memo._flight.circles.waiting
        """)
    )


def test_a_leader_whose_thread_ended_is_succeeded() -> None:
    """A greenlet that stood still in a thread that has ended leads nothing any more."""
    need("greenlet")
    run(
        textwrap.dedent("""
        import greenlet, threading, memo
        from memo import dedupe_inflight
        begun, kept = [], []
        @dedupe_inflight(timeout=60)
        def f(x):
            begun.append(x)
            if len(begun) == 1:
                greenlet.getcurrent().parent.switch()
            return len(begun)
        def of_thread():
            kept.append(greenlet.greenlet(lambda: f(1)))
            kept[0].switch()
        thread = threading.Thread(target=of_thread)
        thread.start()
        thread.join()
        assert f(1) == 2
        assert len(f.inflight) == 0
        """)
    )


def test_a_call_begun_before_greenlets_were_imported() -> None:
    """A thread that was in an execution before is its first greenlet afterwards."""
    need("greenlet")
    run(
        textwrap.dedent("""
        import sys, memo
        from memo import dedupe_inflight
        assert "greenlet" not in sys.modules
        begun, answers = [], []
        @dedupe_inflight(timeout=60)
        def f(x):
            begun.append(x)
            if len(begun) == 1:
                import greenlet
                answers.append(f(1))  # a recursion
                greenlet.greenlet(lambda: answers.append(f(1))).switch()  # its parent leads
            return len(begun)
        assert f(1) == 3 and answers == [2, 3]
        """)
    )


@pytest.mark.parametrize("library", PATCHES)
def test_functions_that_were_decorated_before_greenlets_were_imported(library: str) -> None:
    """They share as well, and their recursions and circles are seen, from the first call on."""
    need(library)
    decorated = """
import memo
from memo import dedupe_inflight
now = {}
f = dedupe_inflight(timeout=60)(lambda x: now["f"](x))
g = dedupe_inflight(timeout=60)(lambda x: now["g"](x))
h = dedupe_inflight(timeout=60)(lambda x: now["h"](x))
"""
    head = (GEVENT if library == "gevent" else EVENTLET).replace("<patch>", PATCHES[library])
    run(
        decorated
        + head
        + COMMON
        + textwrap.dedent("""
        ready = [Green(), Green()]
        def work(which):
            ready[which].set()
            ready[1 - which].wait(20)
            return [g, h][1 - which](0) + 1 if begun.append(which) is None and len(begun) < 5 else 0
        now["g"], now["h"] = (lambda x: work(0)), (lambda x: work(1))
        calls = [spawn(g, 0), spawn(h, 0)]
        assert all(isinstance(value_of(it), int) for it in calls)
        stage = now["f"] = Stage()
        calls = [spawn(f, 1) for _ in range(5)]
        joined(f, 4)
        stage.opened.set()
        assert len({id(value_of(it)) for it in calls}) == 1 and stage.count == 1
        idle(f), idle(g), idle(h)
        """)
    )
    run(
        decorated
        + head
        + COMMON
        + textwrap.dedent("""
        stage = now["f"] = Stage()
        calls = [spawn(f, 1) for _ in range(5)]
        joined(f, 4)
        stage.opened.set()
        assert len({id(value_of(it)) for it in calls}) == 1 and stage.count == 1
        idle(f)
        """)
    )
    run(
        decorated
        + head
        + COMMON
        + textwrap.dedent("""
        depth = []
        now["f"] = lambda x: f(x) if depth.append(x) is None and len(depth) < 5 else x
        assert value_of(spawn(f, 1)) == 1 and len(depth) == 5
        idle(f)
        """)
    )


def test_sqlalchemys_run_sync_runs_straight_through() -> None:
    """Greenlets on a loop of asyncio run straight through at once, and neither wait for each other nor are mistaken."""
    for name in ("greenlet", "sqlalchemy", "aiosqlite"):
        need(name)
    run(
        textwrap.dedent("""
        import asyncio, memo
        from memo import bounded, dedupe_inflight
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.util import await_only, greenlet_spawn

        for decorate in (dedupe_inflight(timeout=60), bounded(max=9)):
            begun = []
            async def main():
                opened = asyncio.Event()
                @decorate
                def f(x):
                    begun.append(x)
                    if len(begun) == 1:
                        await_only(opened.wait())
                    return len(begun)
                @decorate
                def count(session, table):
                    return session.execute(text("select 1")).scalar()
                first = asyncio.create_task(greenlet_spawn(f, 1))
                await asyncio.sleep(0)
                assert await greenlet_spawn(f, 1) == 2 and len(f.inflight) == 1
                assert f.inflight.pending()[0].waiters == 0
                opened.set()
                assert await first == 2
                assert len(f.inflight) == 0
                engine = create_async_engine("sqlite+aiosqlite://")
                async with engine.connect() as connection:
                    results = [await connection.run_sync(count, "t") for _ in range(3)]
                assert results == [1] * 3
                await engine.dispose()
            asyncio.run(main())
            assert not memo._flight.circles.waiting
        """)
    )


def test_programs_without_greenlets_import_none() -> None:
    """Neither importing nor calling imports greenlet, gevent or eventlet."""
    run(
        textwrap.dedent("""
        import sys, threading
        from memo import bounded, dedupe_inflight
        f = dedupe_inflight(lambda x: x)
        g = bounded(max=3)(lambda x: x)
        threads = [threading.Thread(target=lambda: (f(1), g(1))) for _ in range(4)]
        [it.start() for it in threads]
        [it.join() for it in threads]
        assert not {"greenlet", "gevent", "eventlet"} & sys.modules.keys()
        """)
    )

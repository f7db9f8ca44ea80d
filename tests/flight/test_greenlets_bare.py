"""Greenlets without a hub: those of SQLAlchemy, those that came late, those that died."""

import textwrap

import pytest
from kit.greenlets import COMMON, EVENTLET, GEVENT, PATCHES, need, run


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

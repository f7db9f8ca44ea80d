"""Greenlets beside threads, hubs and limits; what runs straight through."""

import textwrap

from kit.greenlets import COMMON, EVENTLET, need, play, run, worlds


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

"""Greenlets of gevent and eventlet share executions, and none takes another for dead."""

from kit.greenlets import play, worlds


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
        policies = "adaptive", "s3fifo", "lru", "lfu", "fifo", "random"
        decorators += [bounded(max=9, policy=policy) for policy in policies]
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
        def outcomes(clock, timeout):
            stage = Stage()
            f = dedupe_inflight(timeout=timeout, clock=clock)(stage)
            leader = spawn(f, 1)
            stage.entered.wait(20)
            calls = [spawn(outcome, f) for _ in range(3)]
            if clock is not None:
                joined(f, 3)
                pause()
                clock.advance(61)
            found = [value_of(it) for it in calls]
            stage.opened.set()
            assert value_of(leader) == [1]
            idle(f)
            return found if stage.count == 1 else None  # one came after the deadline, and led anew

        assert outcomes(FakeClock(), 60) == ["too late"] * 3
        while (found := outcomes(None, 0.05)) is None:
            pass  # on a busy machine
        assert found == ["too late"] * 3
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

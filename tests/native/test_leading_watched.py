"""What C tells those who watch of the calls that it leads."""

import gc
import math
import sys
import weakref
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest
from kit.observers import Noting
from kit.threads import Gate, Running, until

from memo import Registry, bounded, dedupe_inflight
from memo._base import Load, observe_loads
from memo._decorated.layer import layer_of
from memo._flight.watch import end_load
from memo._native import speed

pytestmark = [
    pytest.mark.skipif(speed is None, reason="nothing is led in C where there is none"),
    pytest.mark.usefixtures("without_greenlets"),
]


class Watched:
    """A function whose calls are led by C alone, and whoever watches it."""

    def __init__(self, decorate: Callable[..., Any], function: Callable[..., Any], observer: Any = None) -> None:
        self.registry = Registry()
        self.noting: Any = observer or Noting()
        self.stop = observe_loads(self.registry, self.noting)
        self.function = function
        self.decorated = decorate(registry=self.registry, name="f")(function)
        self.layer: Any = layer_of(self.decorated)
        self.leading: Any = self.layer.internals()["leading"]

    def __call__(self, key: Any) -> Any:
        result = self.leading.lead(self.function, key, math.nan, key)
        assert result is not self.leading, "C has declined"
        return result

    @property
    def counters(self) -> Any:
        return self.layer.flights.table.counters


def cached(**options: Any) -> Any:
    return bounded(max=8, **options)


both = pytest.mark.parametrize("kind", [dedupe_inflight, cached])


@both
def test_a_load_is_told_of_once_around_the_function(kind: Any) -> None:
    """It begins before the function, in whose context its mark is found, and ends after it."""
    watched = Watched(kind, lambda key: [key, *watched.noting.take()])
    assert watched("a") == ["a", ("begin", "f/1", "miss", "a", "none")]
    assert watched.noting.take() == [("end", "f/1", "ok", 0, "NoneType")]


@both
def test_calls_of_the_decorated_function_are_led_so(kind: Any) -> None:
    """They do not come into Python's own lead, while somebody watches or after."""
    here = sys._getframe()
    watched = Watched(kind, lambda key: sys._getframe(1) is here)
    watched.decorated("first")  # which makes what answers
    watched.noting.take()
    assert watched.decorated("a")
    assert [item[0] for item in watched.noting.take()] == ["begin", "end"]
    watched.stop()
    assert watched.decorated("b")
    assert watched.noting.take() == []


@both
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_the_function_raises_is_told_of_first(kind: Any, error: Any) -> None:
    """Those who watch handle it as they are told, while its flight runs; then that fails."""

    class Looking(Noting):
        def end(self, begun: Any, outcome: str, joined: int, error: BaseException | None) -> None:
            super().end(begun, outcome, joined, error)
            self.handled = sys.exc_info()[1]
            self.running = len(watched.layer.flights.table.by_key)

    def work(key: str) -> None:
        raise error(key)

    watched = Watched(kind, work, Looking())
    with pytest.raises(error, match="a") as raised:
        watched("a")
    outcome = "error" if error is KeyError else "cancelled"
    assert watched.noting.take()[1:] == [("end", "f/1", outcome, 0, error.__name__)]
    assert watched.noting.handled is raised.value
    assert watched.noting.running == 1
    assert len(watched.layer.flights.table.by_key) == 0
    assert (watched.counters.failed, watched.counters.cancelled) == ((1, 0) if error is KeyError else (0, 1))
    assert raised.traceback[-1].name == "work"


@both
def test_a_result_that_is_refused_is_an_error(kind: Any) -> None:
    """The function has returned, but its load has failed, once."""
    watched = Watched(kind, iter)
    with pytest.raises(TypeError, match="iterator"):
        watched("a")
    assert watched.noting.take()[1:] == [("end", "f/1", "error", 0, "TypeError")]
    assert (watched.counters.led, watched.counters.failed) == (1, 1)


class Struck(BaseException):
    pass


class Strikes(Noting):
    """An observer that something strikes in one step, for so many times."""

    def __init__(self, step: str, times: int = 1) -> None:
        super().__init__()
        self.step = step
        self.times = times

    def struck(self, step: str) -> None:
        if step == self.step and self.times:
            self.times -= 1
            raise Struck(step)

    def begin(self, load: Load) -> Any:
        self.struck("begin")
        return super().begin(load)

    def end(self, begun: Any, outcome: str, joined: int, error: BaseException | None) -> None:
        super().end(begun, outcome, joined, error)
        self.struck("end")


@both
@pytest.mark.parametrize("step", ["begin", "end"])
def test_what_strikes_an_observer_ends_the_load(kind: Any, step: str) -> None:
    """Its flight is at an end, nobody is told twice, and who has begun is told of the end."""
    watched = Watched(kind, str, Noting())
    second = Strikes(step)
    observe_loads(watched.registry, second)
    watched.leading = watched.layer.internals()["leading"]
    with pytest.raises(Struck) as raised:
        watched("a")
    seen = [item[0] for item in (*watched.noting.take(), *second.take())]
    assert sorted(seen) == sorted(["begin", "end"] if step == "begin" else ["begin", "end"] * 2)
    assert watched.counters.led == watched.counters.cancelled + watched.counters.completed == 1
    assert watched.counters.cancelled == (step == "begin")
    assert raised.value.__context__ is None
    assert len(watched.layer.flights.table.by_key) == 0
    assert watched("b") == "b"


@both
def test_what_strikes_the_end_of_a_failure_takes_its_place(kind: Any) -> None:
    """It has the failure for its context, and the flight is abandoned by it."""

    def work(key: str) -> None:
        raise KeyError(key)

    watched = Watched(kind, work, Strikes("end"))
    with pytest.raises(Struck) as raised:
        watched("a")
    assert isinstance(raised.value.__context__, KeyError)
    assert [item[0] for item in watched.noting.take()] == ["begin", "end"]
    assert watched.counters.cancelled == 1


@both
def test_what_is_cut_short_twice_is_told_of_the_rest(kind: Any) -> None:
    """An end that was cut short before it began is begun again; what strikes that as well is raised in its place."""
    times = [0]

    def ends(load: Any, error: BaseException | None) -> None:
        times[0] += 1
        if times[0] <= most:
            raise Struck(times[0])
        end_load(load, error)

    speed.know(end_load=ends)
    try:
        for most, told in ((1, ["begin", "end"]), (2, ["begin", "end"]), (3, ["begin"])):
            times[0] = 0
            watched = Watched(kind, str)
            with pytest.raises(Struck, match=str(most)) as raised:
                copy_context().run(watched, "a")  # where what is not ended stays bound
            assert [item[0] for item in watched.noting.take()] == told
            contexts = [raised.value.__context__]
            while contexts[-1] is not None:
                contexts.append(contexts[-1].__context__)
            assert len(contexts) == most
            assert watched.counters.completed == 1
    finally:
        speed.know(end_load=end_load)


@both
def test_who_joined_is_told_of_it_and_counted(kind: Any) -> None:
    """A caller that waits for a load that C leads is told as one that waits for any."""
    gate = Gate()

    def work(key: str) -> str:
        gate.wait()
        return key

    watched = Watched(kind, work)
    leader = Running(lambda: watched.decorated("a"))
    gate.reached()
    joiner = Running(lambda: watched.decorated("a"))
    until(lambda: watched.layer.flights.table.by_key["a"].joined == 1)
    gate.open()
    assert leader.result() == joiner.result() == "a"
    seen = watched.noting.take()
    assert ("end", "f/1", "ok", 1, "NoneType") in seen
    assert ("joined", "f/1", "none") in seen


@both
def test_those_who_watch_may_change_anything(kind: Any) -> None:
    """Who clears, fences or stops watching in the middle of a load hears of its end, and the caller gets its result."""

    class Busy(Noting):
        def begin(self, load: Load) -> Any:
            watched.layer.empty()
            watched.layer.fence(None)
            begun = super().begin(load)
            watched.stop()
            gc.collect()
            return begun

    watched = Watched(kind, str, Busy())
    assert watched("a") == "a"
    assert [item[0] for item in watched.noting.take()] == ["begin", "end"]
    assert len(watched.layer.flights.table.by_key) == 0


@both
def test_what_has_ended_keeps_nothing_of_what_was_told(kind: Any) -> None:
    """Neither the flight that serves again, nor what else C keeps, holds what an observer made for the load."""

    class Begun:
        pass

    class Making:
        def __init__(self) -> None:
            self.made: list[Any] = []

        def begin(self, load: Any) -> Any:
            begun = Begun()
            self.made.append(weakref.ref(begun))
            return begun

        def end(self, begun: Any, outcome: str, joined: int, error: BaseException | None) -> None: ...

    making = Making()
    watched = Watched(kind, str, making)
    for key in "abc":
        assert watched(key) == key
        assert making.made[-1]() is None
    assert len(making.made) == 3


def test_a_part_that_nobody_knows_is_refused() -> None:
    """Who watches is told by a function that C was told of before."""
    with pytest.raises(TypeError, match="Leading"):
        speed.Leading(begin=print)

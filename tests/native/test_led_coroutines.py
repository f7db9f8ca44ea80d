"""A coroutine whose miss is led in its caller's task: its steps, and whatever may end it in their midst.

Every test runs on both paths: where C leads, the coroutine goes through the load by itself, without a wrapper's frame.
"""

import asyncio
import contextvars
import gc
import inspect
import os
import subprocess
import sys
import types
import weakref
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest
from kit.places import ROOT

from memo import Registry, bounded
from memo._flight.circles import still_running
from memo._flight.task_work import current_work, work_mark
from memo._native import speed, why

built = pytest.mark.skipif(speed is None, reason=why)


@types.coroutine
def pause(value: object = None) -> Generator[object, Any, Any]:
    """Wait for whoever steps it."""
    return (yield value)


class Loads:
    """A decorated function that waits for its own steps, in a loop that runs nothing else."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[object] = []

        async def load(key: object, note: object = None) -> object:
            self.calls.append(key)
            try:
                return await self.work(key)
            finally:
                self.calls.append("left")

        async def work(key: object) -> object:
            return [key, await pause(key)]

        self.work: Callable[[Any], Any] = work
        self.home = Registry()
        options = {"ignore": ["note"], "max": 100, **options}
        self.load: Any = bounded(work="caller", registry=self.home, **options)(load)
        self.load("first").close()  # a call, after which C answers where it is there

    def kept(self, key: object) -> object:
        """The value that is stored under *key*; None: there is none."""
        entry = self.load.cache.entry(key)
        return None if entry is None else entry.value

    def figures(self) -> tuple[int, int, int, int, int]:
        """How many loads were begun, completed, failed, cancelled, and run now."""
        seen = self.load.cache.inflight.stats()
        return seen.started, seen.completed, seen.failed, seen.cancelled, seen.active


@pytest.fixture
def in_loop() -> Any:
    """A running loop for coroutines that are stepped by hand."""

    def run(steps: Callable[[], object]) -> None:
        async def main() -> None:
            steps()
            assert current_work.get() is None

        asyncio.run(main())

    return run


@built
def test_c_leads_what_these_tests_call(in_loop: Any) -> None:
    """The coroutines here have no frame of a wrapper's, nor has their traceback."""
    loads = Loads()

    def steps() -> None:
        coroutine = loads.load("a")
        coroutine.send(None)
        assert type(coroutine) is speed.Coroutine
        assert coroutine.cr_await.cr_code is loads.load.__wrapped__.__code__
        with pytest.raises(KeyError) as caught:
            coroutine.throw(KeyError("a"))
        assert [row.name for row in caught.traceback[1:]] == ["load", "work", "pause"]

    in_loop(steps)


# -- steps


def test_values_go_in_and_out(in_loop: Any) -> None:
    """What the function yields comes out, what is sent goes in, and its result is returned and kept."""
    loads = Loads()

    def steps() -> None:
        for step, last in ((lambda c: c.send(None), lambda c: c.send(7)), (next, lambda c: c.send(7))):
            coroutine = loads.load("a")
            stepped = coroutine if step is not next else coroutine.__await__()
            assert step(stepped) == "a"
            assert loads.figures()[-1] == 1
            with pytest.raises(StopIteration) as ended:
                last(stepped)
            assert ended.value.value == ["a", 7]
            with pytest.raises(StopIteration):
                loads.load("a").send(None)  # a hit
            loads.load.cache.clear()

    in_loop(steps)
    assert loads.figures() == (2, 2, 0, 0, 0)


def test_what_is_seen_of_one_that_waits(in_loop: Any) -> None:
    """It is suspended in what it awaits, has a frame, and no second can await it; while it runs it is running."""
    loads = Loads()
    seen: list[Any] = []

    async def work(key: object) -> object:
        seen.append((inspect.getcoroutinestate(coroutine), coroutine.cr_running, coroutine.cr_await))
        for use in (lambda: coroutine.send(None), coroutine.close, lambda: coroutine.throw(KeyError())):
            with pytest.raises(ValueError, match="coroutine already executing"):
                use()
        await pause()
        return key

    loads.work = work

    def steps() -> None:
        coroutine.send(None)
        assert inspect.getcoroutinestate(coroutine) == "CORO_SUSPENDED"
        assert not coroutine.cr_running
        assert inspect.iscoroutine(coroutine.cr_await)
        assert isinstance(coroutine.cr_frame, types.FrameType)
        assert (coroutine.__name__, coroutine.cr_code.co_name) == ("load", "load")
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            _awaits(coroutine).send(None)
        coroutine.__name__ = "other"
        assert coroutine.__name__ == "other"
        with pytest.raises(StopIteration):
            coroutine.send(None)
        assert inspect.getcoroutinestate(coroutine) == "CORO_CLOSED"
        assert (coroutine.cr_frame, coroutine.cr_await) == (None, None)
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            coroutine.send(None)

    coroutine = loads.load("a")
    in_loop(steps)
    assert seen == [("CORO_RUNNING", True, None)]


async def _awaits(coroutine: Any) -> Any:
    return await coroutine


def test_stacks_of_tasks(in_loop: Any) -> None:
    """A task that waits in a load has a stack, which shows where."""
    loads = Loads()
    loads.work = lambda key: asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(loads.load("a"))
        await asyncio.sleep(0)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["load"]
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


# -- thrown into


def _returns(error: type[BaseException]) -> Callable[[Any], Any]:
    async def work(key: object) -> object:
        try:
            await pause()
        except error:
            return "caught"
        return key

    return work


def test_a_load_that_catches_what_is_thrown(in_loop: Any) -> None:
    """What it returns then is its result, which is kept; what it waits for then goes out."""
    loads = Loads()
    loads.work = _returns(KeyError)

    async def goes_on(key: object) -> object:
        try:
            return await pause(1)
        except KeyError:
            return await pause(2)

    def steps() -> None:
        coroutine = loads.load("a")
        coroutine.send(None)
        with pytest.raises(StopIteration, match="caught"):
            coroutine.throw(KeyError("a"))
        assert loads.kept("a") == "caught"
        loads.work = goes_on
        coroutine = loads.load("b")
        assert [coroutine.send(None), coroutine.throw(KeyError)] == [1, 2]
        assert loads.figures()[-1] == 1
        with pytest.raises(StopIteration):
            coroutine.send(3)
        assert loads.kept("b") == 3

    in_loop(steps)
    assert loads.figures() == (2, 2, 0, 0, 0)


@pytest.mark.parametrize("value", [None, (), (1, 2), ValueError("x"), StopIteration(3)], ids=repr)
def test_any_value_is_returned(value: object, in_loop: Any) -> None:
    """Any result comes back as itself by a step, by an exception that was caught, and by an await."""
    loads = Loads()

    async def work(key: object) -> object:
        try:
            await pause()
        except KeyError:
            pass
        return value

    loads.work = work

    def steps() -> None:
        for key, step in enumerate((lambda c: c.send(None), lambda c: c.throw(KeyError()))):
            coroutine = loads.load(key)
            coroutine.send(None)
            with pytest.raises(StopIteration) as ended:
                step(coroutine)
            assert ended.value.value is value

    in_loop(steps)

    async def main() -> None:
        loads.work = lambda key: asyncio.sleep(0, value)
        assert await loads.load("awaited") is value
        assert await asyncio.create_task(loads.load("task")) is value

    asyncio.run(main())


THROWN: dict[str, tuple[Any, type[BaseException]]] = {
    "exception": ((KeyError("x"),), KeyError),
    "class": ((KeyError,), KeyError),
    "interrupt": ((KeyboardInterrupt(),), KeyboardInterrupt),
    "exit": ((GeneratorExit("x"),), GeneratorExit),
    "exit class": ((GeneratorExit,), GeneratorExit),
    "nothing to throw": ((5,), TypeError),
    "no arguments": ((), TypeError),
}


@pytest.mark.parametrize("case", THROWN.values(), ids=THROWN)
def test_what_is_thrown_comes_out(case: Any, in_loop: Any) -> None:
    """It ends the load where it waits, and is not changed by that; a call that does not fit ends nothing."""
    arguments, expected = case
    loads = Loads()

    def steps() -> None:
        coroutine = loads.load("a")
        coroutine.send(None)
        with pytest.raises(expected) as caught:
            coroutine.throw(*arguments)
        if arguments and isinstance(arguments[0], BaseException):
            assert caught.value is arguments[0]
        assert inspect.getcoroutinestate(coroutine) == ("CORO_CLOSED" if arguments else "CORO_SUSPENDED")
        coroutine.close()
        assert loads.figures()[-1] == 0

    in_loop(steps)
    assert loads.calls == ["a", "left"]
    assert len(loads.load.cache) == 0


@pytest.mark.filterwarnings("ignore:the .*signature of throw:DeprecationWarning")
def test_throwing_in_the_old_way(in_loop: Any) -> None:
    """Class, value and traceback given apart come out as one exception."""
    loads = Loads()
    try:
        raise OSError
    except OSError as error:
        traceback = error.__traceback__

    def steps() -> None:
        for kind in (KeyError, GeneratorExit):
            coroutine = loads.load(kind)
            coroutine.send(None)
            with pytest.raises(kind) as caught:
                coroutine.throw(kind, kind("x"), traceback)
            assert caught.value.args == ("x",)
            rows, here = [], caught.value.__traceback__
            while here is not None:
                rows.append(here.tb_lineno)
                here = here.tb_next
            assert traceback is not None
            assert traceback.tb_lineno in rows

    in_loop(steps)
    assert loads.figures()[-1] == 0


# -- closed, forgotten


def test_closed_in_its_midst(in_loop: Any) -> None:
    """Closing ends the load by GeneratorExit, at once, and counts it as cancelled; once more does nothing."""
    loads = Loads()

    def steps() -> None:
        coroutine = loads.load("a")
        coroutine.send(None)
        assert coroutine.close() is None
        assert loads.calls == ["a", "left"]
        assert loads.figures() == (1, 0, 0, 1, 0)
        coroutine.close()
        with pytest.raises(RuntimeError, match="cannot reuse"):
            coroutine.send(None)

    in_loop(steps)


def test_closed_and_raising(in_loop: Any) -> None:
    """What the function raises as it is closed comes out of the closing, and is how the load failed."""
    loads = Loads()

    async def work(key: object) -> None:
        try:
            await pause()
        finally:
            raise OSError(key)

    loads.work = work

    def steps() -> None:
        coroutine = loads.load("a")
        coroutine.send(None)
        with pytest.raises(OSError, match="a"):
            coroutine.close()

    in_loop(steps)
    assert loads.figures() == (1, 0, 1, 0, 0)


def test_one_that_will_not_be_closed(in_loop: Any) -> None:
    """A function that waits on as it is closed is refused that, and its load has failed."""
    loads = Loads()

    async def work(key: object) -> None:
        try:
            await pause()
        except GeneratorExit:
            await pause()

    loads.work = work

    def steps() -> None:
        coroutine = loads.load("a")
        coroutine.send(None)
        with pytest.raises(RuntimeError, match="coroutine ignored GeneratorExit"):
            coroutine.close()

    in_loop(steps)
    assert loads.figures() == (1, 0, 1, 0, 0)


@pytest.mark.parametrize("circular", [False, True], ids=["alone", "in a circle"])
def test_forgotten_in_its_midst(circular: bool, in_loop: Any) -> None:
    """One that nobody holds any more is closed, wherever it waits: its load is over, and so is whatever it held."""
    loads = Loads()

    class Note:
        coroutine: Any

    def steps() -> None:
        note = Note()
        held = weakref.ref(note)
        coroutine = loads.load("a", note)
        coroutine.send(None)
        seen = weakref.ref(coroutine)
        if circular:
            note.coroutine = coroutine
        del coroutine, note
        gc.collect()
        assert (seen(), held()) == (None, None)
        assert loads.calls == ["a", "left"]
        assert loads.figures() == (1, 0, 0, 1, 0)

    in_loop(steps)


def test_forgotten_and_raising(in_loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised as it goes is told to ``sys.unraisablehook``."""
    loads = Loads()
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told_of: told.append(told_of.exc_type))

    async def work(key: object) -> None:
        try:
            await pause()
        finally:
            raise OSError(key)

    loads.work = work

    def steps() -> None:
        coroutine = loads.load("a")
        coroutine.send(None)
        del coroutine
        gc.collect()

    in_loop(steps)
    assert told == [OSError]
    assert loads.figures() == (1, 0, 1, 0, 0)


# -- others meanwhile


def test_one_who_waits_takes_over(in_loop: Any) -> None:
    """Whatever ends the leader's load without a result, one who waits goes on, with its own arguments."""

    async def main() -> None:
        for key in ("cancelled", "closed"):
            loads = Loads()
            notes: list[object] = []

            async def work(key: object, notes: list[object] = notes) -> object:
                notes.append(asyncio.current_task())
                await asyncio.sleep(60 if len(notes) == 1 else 0)
                return key

            loads.work = work
            coroutine = loads.load(key)
            leader = asyncio.create_task(coroutine)
            others = [asyncio.create_task(loads.load(key)) for _ in range(3)]
            for _ in range(3):
                await asyncio.sleep(0)
            assert loads.load.cache.inflight.stats().waiting == 3
            if key == "closed":
                coroutine.close()  # by hand, while its task waits for the sleep
            else:
                leader.cancel()
            assert await asyncio.gather(*others) == [key] * 3
            assert len(notes) == 2
            assert notes[1] in others
            leader.cancel()
            await asyncio.wait([leader])

    asyncio.run(main())


@pytest.mark.parametrize("how", ["clear", "invalidate", "put", "tag", "refresh"])
def test_fenced_meanwhile(how: str) -> None:
    """What was dropped or replaced while it was loaded is not stored; its caller gets it all the same."""
    loads = Loads(tags=["t"])

    async def main() -> None:
        gate = asyncio.Event()

        async def work(key: object) -> object:
            await gate.wait()
            return "old"

        loads.work = work
        task = asyncio.create_task(loads.load("a"))
        await asyncio.sleep(0)
        cache = loads.load.cache
        if how == "clear":
            cache.clear()
        elif how == "invalidate":
            cache.invalidate("a")
        elif how == "put":
            cache.put("new", "a")
        elif how == "tag":
            loads.home.invalidate(tag="t")
        else:
            loads.work = lambda key: asyncio.sleep(0, "new")
            assert await cache.refresh("a") == "new"
        gate.set()
        assert await task == "old"
        assert loads.kept("a") == ("new" if how in ("put", "refresh") else None)

    asyncio.run(main())
    assert loads.figures()[-1] == 0


def test_its_context(in_loop: Any) -> None:
    """The load runs in its caller's task and context: what it binds its caller sees, what begins there is within it."""
    variable = contextvars.ContextVar("variable", default=0)
    works: list[Any] = []
    loads = Loads()

    async def child() -> None:
        works.append(current_work.get())

    async def work(key: Any) -> Any:
        variable.set(key)
        works.append(current_work.get())
        await asyncio.create_task(child())
        return asyncio.current_task()

    loads.work = work

    async def main() -> None:
        assert await loads.load(5) is asyncio.current_task()
        assert variable.get() == 5
        assert current_work.get() is None

    asyncio.run(main())
    assert works[0] is works[1] is not None
    assert works[0].over


def test_a_task_that_outlives_its_load() -> None:
    """A load that began it has ended, for good: what it calls later it shares with others who lead in the same task."""
    loads = Loads()

    async def main() -> None:
        gates = {key: asyncio.Event() for key in "ab"}
        children: list[asyncio.Task[Any]] = []

        async def child() -> Any:
            await gates["a"].wait()
            return await loads.load("b")

        async def work(key: str) -> Any:
            if key == "a":
                children.append(asyncio.create_task(child()))
            elif key == "b":
                gates["a"].set()
                await gates["b"].wait()
            return [key]

        loads.work = work
        assert await loads.load("a") == ["a"]
        leader = asyncio.create_task(_all_in_turn(loads.load, "cdb"))
        while loads.load.cache.inflight.stats().waiting == 0:
            assert not leader.done()
            await asyncio.sleep(0)
        gates["b"].set()
        assert (await leader)[-1] is await children[0]

    asyncio.run(main())
    assert [call for call in loads.calls if call != "left"] == ["a", "c", "d", "b"]


async def _all_in_turn(load: Any, keys: str) -> list[Any]:
    return [await load(key) for key in keys]


def test_many_at_once() -> None:
    """Hundreds of loads of one task group, in any order of their ends, each get and keep their own."""
    loads = Loads()

    async def main() -> None:
        gates = [asyncio.Event() for _ in range(80)]

        async def work(key: int) -> int:
            await gates[key % 80].wait()
            return -key

        loads.work = work
        tasks = [asyncio.create_task(loads.load(key)) for key in range(160)]
        await asyncio.sleep(0)
        assert loads.figures()[-1] == 160
        for number in [*range(1, 80, 2), *range(0, 80, 2)]:
            gates[number].set()
        assert await asyncio.gather(*tasks) == [-key for key in range(160)]

    asyncio.run(main())
    assert loads.figures() == (160, 160, 0, 0, 0)


def test_errors_at_any_point(in_loop: Any) -> None:
    """What the clock, the refusal of a result, or the function itself raises comes out, and no load runs on."""
    broken: list[str] = []

    def clock() -> float:
        if "clock" in broken:
            raise OSError("clock")
        return 0.0

    loads = Loads(clock=clock, ttl=60)

    async def generated() -> AsyncIterator[int]:
        yield 1

    def steps() -> None:
        broken.append("clock")
        with pytest.raises(OSError, match="clock"):
            loads.load("a").send(None)
        broken.clear()
        coroutine = loads.load("a")
        coroutine.send(None)
        broken.append("clock")
        with pytest.raises(OSError, match="clock"):
            coroutine.send(None)
        broken.clear()

        async def work(key: object) -> object:
            return generated()

        loads.work = work
        with pytest.raises(TypeError, match="generator"):
            loads.load("b").send(None)

    in_loop(steps)
    assert loads.figures()[-1] == 0
    assert len(loads.load.cache) == 0


# -- what marks a context


def test_whatever_a_task_has_bound_since() -> None:
    """A task that outlives its load is in no later one, however many variables there are and whichever it binds."""

    async def main(count: int, rebound: int) -> None:
        loads = Loads()
        variables = [contextvars.ContextVar(f"v{number}") for number in range(count)]
        for variable in variables:
            variable.set(0)
        begin, children = asyncio.Event(), []

        async def child() -> Any:
            for variable in variables[:rebound]:
                variable.set(1)
            await begin.wait()
            assert still_running(current_work.get()) is None  # though another load runs in the task that began this one
            return await loads.load("later")

        async def work(key: str) -> str:
            if key == "first":
                children.append(asyncio.create_task(child()))
                await asyncio.sleep(0)
            else:
                begin.set()
                while loads.load.cache.inflight.stats().waiting == 0:
                    assert not children[0].done()
                    await asyncio.sleep(0)
            return key

        loads.work = work
        for key in ("first", "later"):
            assert await loads.load(key) == key
        assert await children[0] == "later"
        assert [call for call in loads.calls if call != "left"] == ["first", "later"]

    for count, rebound in ((0, 0), (1, 1), (6, 6), (60, 1), (60, 60), *[(12, 1)] * 20):  # where each lies is chance
        asyncio.run(main(count, rebound))


def test_tasks_in_one_context() -> None:
    """Two tasks may take turns in one context: whoever leads there leaves it to the other as it was."""
    loads = Loads()

    async def main() -> None:
        gates = {key: asyncio.Event() for key in "abc"}

        async def work(key: str) -> str:
            await gates[key].wait()
            return key

        loads.work = work
        context = contextvars.copy_context()
        tasks = []
        for key in "abc":
            tasks.append(asyncio.get_running_loop().create_task(_all_in_turn(loads.load, key * 2), context=context))
            await asyncio.sleep(0)
        for key in "bca":
            gates[key].set()
            await asyncio.sleep(0)
        assert await asyncio.gather(*tasks) == [[key] * 2 for key in "abc"]
        assert still_running(context.run(current_work.get)) is None

    asyncio.run(main())
    assert loads.figures() == (3, 3, 0, 0, 0)


@built
def test_a_mark_serves_again() -> None:
    """Loads that follow each other in one task mark its context once, unless what began within one has it still."""
    loads = Loads()
    marks: list[Any] = []
    copies: list[contextvars.Context] = []

    async def work(key: int) -> int:
        marks.append(id(work_mark.get()))
        if key == 2:
            copies.append(contextvars.copy_context())
        return key

    loads.work = work

    async def main() -> None:
        for key in range(6):
            await loads.load(key)
            assert current_work.get() is None
            assert work_mark.get().over  # type: ignore[union-attr]

    asyncio.run(main())
    assert marks[:3] == marks[:1] * 3
    assert marks[3:] == marks[3:4] * 3
    assert marks[2] != marks[3]
    assert copies[0][work_mark] is not None


def test_nothing_is_held_after_a_loop(nothing_collected: None) -> None:
    """A loop and a task in which loads were led are held by nothing of theirs."""
    loads = Loads()
    loads.work = lambda key: asyncio.sleep(0, key)
    seen: list[weakref.ref[Any]] = []

    async def main() -> None:
        seen.extend((weakref.ref(asyncio.get_running_loop()), weakref.ref(asyncio.current_task())))
        assert await loads.load("a") == "a"

    asyncio.run(main())
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


FORKS = """
import asyncio, os, sys
from memo import bounded

@bounded(max=8, work="caller")
async def load(key):
    return key

def step(key):
    try:
        load(key).send(None)
    except StopIteration:
        return True
    except RuntimeError as error:
        assert "no running event loop" in str(error)
        return False

async def main():
    assert step("first") and step("parent")
    child = os.fork()
    if child == 0:
        os._exit(step("child") != (asyncio._get_running_loop() is not None))
    assert step("parent, later")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_in_a_forked_child() -> None:
    """A child that was forked within a loop is in none, if that is how asyncio has it, and its loads are refused."""
    ran = subprocess.run([sys.executable, "-c", FORKS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")

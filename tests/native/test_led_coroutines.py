"""A coroutine whose miss is led in its caller's task: its steps, and whatever may end it in their midst.

Every test runs on both paths: where C leads, the coroutine goes through the load by itself, without a wrapper's frame.
"""

import asyncio
import gc
import inspect
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.led_loads import Loads, pause

from memo._native import speed, why

built = pytest.mark.skipif(speed is None, reason=why)


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

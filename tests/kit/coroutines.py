"""Coroutines and event loops of every kind, and that nothing is complained of when they have run."""

import asyncio
import contextlib
import gc
import importlib.util
import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from kit.flights import (
    waiters,
)
from kit.threads import LIMIT_S

__all__ = (
    "Complaints",
    "a_loop",
    "calls_of",
    "every_loop",
    "finished",
    "play",
    "quietly",
    "some_turns",
    "until_async",
    "until_elsewhere",
)


async def until_async(condition: Callable[[], object]) -> None:
    """Give way to other tasks until they have made the condition true."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("the condition never came true")


async def some_turns() -> None:
    """Let the loop do what is due, and what follows from that."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until_elsewhere(condition: Callable[[], object]) -> None:
    """Give way to other tasks and threads until they have made the condition true."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.0005)


def a_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A new event loop of one kind."""
    if kind == "uvloop":
        if importlib.util.find_spec("uvloop") is None:
            pytest.skip("uvloop is not installed")
        import uvloop

        return uvloop.new_event_loop()
    loop = asyncio.new_event_loop()
    if kind == "eager":
        if sys.version_info < (3, 12):
            loop.close()
            pytest.skip("eager tasks came with Python 3.12")
        loop.set_task_factory(asyncio.eager_task_factory)
    if kind == "debug":
        loop.set_debug(True)
        loop.slow_callback_duration = LIMIT_S
    return loop


class Complaints(logging.Handler):
    """What asyncio and the interpreter say of errors that nobody saw and coroutines that nobody awaited."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.said.append(f"{context.get('message')}: {context.get('exception')!r}")


@contextlib.contextmanager
def quietly() -> Iterator[Complaints]:
    """Fail if anything is said of lost errors, tasks or coroutines, also by the garbage collector."""
    complaints = Complaints()
    logger = logging.getLogger("asyncio")
    logger.addHandler(complaints)
    hook = sys.unraisablehook
    gc.collect()  # what is said of what others left is not said here
    sys.unraisablehook = lambda unraisable: complaints.said.append(f"{unraisable.err_msg}: {unraisable.exc_value!r}")
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield complaints
            gc.collect()
            gc.collect()  # what the finalizers of the first left
    finally:
        sys.unraisablehook = hook
        logger.removeHandler(complaints)
    assert [str(warning.message) for warning in warned] == []
    assert complaints.said == []


def play(main: Callable[[], Coroutine[Any, Any, Any]], kind: str = "asyncio") -> Any:
    """Run *main* in a new loop: it must leave no task behind, and nothing may be complained of."""

    async def watched() -> Any:
        before = asyncio.all_tasks()
        result = await main()
        assert asyncio.all_tasks() == before, "main() left tasks behind"
        return result

    loop = a_loop(kind)
    with quietly() as complaints:
        loop.set_exception_handler(complaints.of_loop)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            result = runner.run(watched())
    return result


every_loop = pytest.mark.parametrize("kind", ["asyncio", "uvloop", "eager", "debug"])


async def calls_of(function: Any, number: int, *args: Any) -> list["asyncio.Task[Any]"]:
    """The tasks of *number* callers that share one flight."""
    tasks = [asyncio.create_task(function(*args), name=f"caller {index}") for index in range(number)]
    await until_async(lambda: waiters(function) == [number - 1])
    await some_turns()  # so that the work of every layer has begun
    return tasks


def finished(value: Any) -> Any:
    """The value itself, or what awaiting it gives."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value

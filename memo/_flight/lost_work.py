"""Tasks that nobody awaits any more: ended without a message, when their loop or the interpreter ends."""

import asyncio
import atexit
import weakref
from collections.abc import Coroutine
from typing import Any

__all__ = ("call_off", "keep_quiet", "lay_to_rest")


def lay_to_rest(task: Any) -> None:
    """End a task whose loop is closed, quietly: nobody can await it any more."""
    if task.done():
        return
    keep_quiet(task)
    try:
        task.get_coro().close()
    except (RuntimeError, ValueError):  # it ignored GeneratorExit, or is running: it is past our help
        pass


def call_off(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
    """See to it that *work* does not run, of which a task was to be made: it is not known whether there is one."""
    for task in asyncio.all_tasks(loop):
        if task.get_coro() is work:
            keep_quiet(task)
            task.cancel()
            return
    work.close()


def keep_quiet(task: Any) -> None:
    """Let the end of a loop, and of the interpreter, before that of *task* go without a message."""
    task._log_destroy_pending = False  # what asyncio.gather() does to tasks of its own
    _quiet.add(task)


_quiet: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()


def _end_quietly() -> None:
    """End the tasks that nobody asked for: a coroutine that never began would complain when it is torn down."""
    while True:
        try:
            tasks = list(_quiet)
            break
        except RuntimeError:  # another thread added one meanwhile
            pass
    for task in tasks:
        if not task.done() and not task.get_loop().is_running():
            lay_to_rest(task)


atexit.register(_end_quietly)

"""Work with a server as steps, which a thread takes as well as a coroutine.

A generator yields *steps*: commands, and tuples of a function that waits and its arguments.  It gets what they return,
or the ``Unreachable`` that they raise; whatever else strikes closes it, so that its ``finally`` leaves nothing behind.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from memo.shared._scripts import Command
from memo.shared._unreachable import Unreachable

__all__ = ("Steps", "taken", "taken_awaited")

Steps = Generator[Any, Any, Any]


def taken(steps: Steps, run: Callable[[Command[Any]], Any]) -> Any:
    """What comes of *steps*, taken by this thread.

    Args:
        steps: Waits block.
        run: Has the server do a command.
    """
    try:
        step = next(steps)
        while True:
            try:
                reply = run(step) if type(step) is Command else step[0](*step[1:])
            except Unreachable as error:
                step = steps.throw(error)
            else:
                step = steps.send(reply)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


async def taken_awaited(
    steps: Steps, run: Callable[[Command[Any], Callable[[], object]], Awaitable[Any]], late: Callable[[], object]
) -> Any:
    """What comes of *steps*, taken in the running loop.

    Args:
        steps: Waits are awaited.
        run: Has the server do a command, and calls the second once it has, if its caller has left before.
        late: That second.
    """
    try:
        step = next(steps)
        while True:
            try:
                reply = await (run(step, late) if type(step) is Command else step[0](*step[1:]))
            except Unreachable as error:
                step = steps.throw(error)
            else:
                step = steps.send(reply)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()

"""Who may wait for another's execution, and who must not.

A thread that runs an event loop does not wait for another's execution: it may need that loop, and then both would
wait for ever.  A plain function that is called there, within a coroutine or a callback, runs straight through
instead.  Waits that a caller has limited himself (``soft_timeout=``, ``within()``) end by their limit, there as
anywhere.  The loop is looked for when a wait is about to begin, and never before.
"""

import sys
from asyncio import _get_running_loop
from typing import Any

__all__ = ("runs_a_loop",)


def runs_a_loop() -> bool:
    """Whether the present thread is within a step of an event loop: asyncio's, uvloop's, trio's or curio's."""
    if _get_running_loop() is not None:
        return True
    trio: Any = sys.modules.get("trio.lowlevel")
    if trio is not None:
        try:
            trio.current_root_task()
        except (RuntimeError, AttributeError):  # not within a run, or trio is just being imported
            pass
        else:
            return True
    curio: Any = sys.modules.get("curio.meta")
    try:
        return curio is not None and bool(curio.curio_running())
    except AttributeError:
        return False

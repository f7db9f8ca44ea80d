"""What leads a call in C that finds nobody running: section 4 of ``memo/_native/_speed.c``."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from memo._base import PLAIN, Clock, Stage, renew, thread_ident, who
from memo._call import InstanceRef, Known
from memo._flight.caller_work import CallerFlights, come_out
from memo._flight.figures import Counters
from memo._flight.flight import ABANDONED, CALL, RETURNED, RUNNING, InFlight, TaskFlight, Work
from memo._flight.task_work import work_mark
from memo._flight.threads import ThreadFlights
from memo._flight.waiters import wake_all
from memo._flight.watch import end_load
from memo._native import speed

__all__ = ("leading", "leading_await")

_LONG_S = 10.0
"""Seconds.  Of a timeout as long as this a few hundredths are nothing: a coarse clock will do for the age of a running
call whose result nobody keeps."""


class _Forked:
    """What C is told of forks."""

    def renew(self) -> None:
        """Note that this process is a forked child."""
        speed.forked()


_forked = _Forked()
if speed is not None:
    speed.know(
        ABANDONED=ABANDONED,
        CALL=CALL,
        Clock=Clock,
        Counters=Counters,
        InFlight=InFlight,
        InstanceRef=InstanceRef,
        Known=Known,
        PLAIN=PLAIN,
        RETURNED=RETURNED,
        RUNNING=RUNNING,
        TaskFlight=TaskFlight,
        Work=Work,
        current_task=asyncio.current_task,
        current_tasks=getattr(asyncio.tasks, "_current_tasks", None),
        end_load=end_load,
        modules=sys.modules,
        running_loop=asyncio._get_running_loop,
        thread_ident=thread_ident,
        who=who,
        work_mark=work_mark,
    )
    renew(Stage.FLIGHTS, _forked)


def leading(
    flights: ThreadFlights | CallerFlights, finish: Callable[..., Any], refuse: Callable[[str, Any], None], **store: Any
) -> Any:
    """What leads calls of the function of *flights* in C; None: nothing does.

    Args:
        flights: Its running calls, which are shared, and tell nothing of a call but its key.
        finish: Ends a flight whose work has returned, where that is no case for C.
        refuse: Raises if a result, which is given with the function's name, cannot be shared.
        store: Where results are kept, if they are: the shelf, and what it takes to put something there in C.
    """
    if speed is None:
        return None
    table, watch = flights.table, flights.watch
    return speed.Leading(
        clock=flights.clock,
        table=table.by_key,
        known=table.known,
        counters=table.counters,
        lock=table.lock,
        finish=finish,
        failed=flights.failed,
        refuse=refuse,
        name=flights.name,
        wake_all=wake_all,
        begin=watch.begin if watch is not None and watch.audience.minds_loads else None,
        about=not store and flights.timeout_s is not None and flights.timeout_s >= _LONG_S,
        **store,
    )


def leading_await(flights: CallerFlights, led: Any) -> dict[str, Any]:
    """What words of ``led_await`` mean where C leads the calls of *flights*; nothing where there is no C.

    ``leading`` is what goes through a call in C as a whole, where the recipe of its function says that it may.

    Args:
        flights: Its running calls, led by the tasks that make them.
        led: What ``leading()`` returned for them.
    """
    if speed is None:
        return {}
    task = speed.TaskLeading(
        leading=led,
        born=flights.names()["born"],
        enter=flights.enter,
        come_out=come_out,
        rescue=flights.rescue,
        is_plain=flights.timeout_s is None,
        shares=flights.table.share,
    )
    return {"born": task.born, "enter": task.enter, "land": task.land, "leading": task}

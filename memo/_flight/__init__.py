"""One execution for many callers: equal calls that run at the same time share it.

Imports ``_call``, ``_base``, ``_native`` and ``memo.errors``.
"""

from memo._flight.caller_work import CallerFlights
from memo._flight.circles import depend, no_longer_depend
from memo._flight.figures import Counters
from memo._flight.flight import (
    ABANDONED,
    ANY_TIME,
    BACKGROUND,
    CALL,
    LATE_CALL,
    REFRESH,
    RETURNED,
    RUNNING,
    TIMED_OUT,
    InFlight,
    TaskFlight,
    Work,
    born,
    set_apart,
    task_flight,
)
from memo._flight.handle import InflightHandle
from memo._flight.keeper import KeepsNothing
from memo._flight.leading import leading, leading_await
from memo._flight.lost_work import call_off, keep_quiet, lay_to_rest
from memo._flight.role import Role
from memo._flight.setting_aside import fence_for, held, put_back, resume, set_aside
from memo._flight.stats import Flight, InflightStats
from memo._flight.table import Asked, FlightTable
from memo._flight.task_work import (
    cancelled_with,
    current_work,
    first_step,
    message_of,
    note_bound,
    outside_work,
    take_bound,
)
from memo._flight.tasks import TaskFlights, own_loop
from memo._flight.templates import BIRTH, FAILED, led_await, shared_await, shared_call, watched_call
from memo._flight.threads import ThreadFlights
from memo._flight.waiters import wake
from memo._flight.watch import GatheredLoads, Watch, outer_load
from memo._flight.work_options import WorkIn, WorkOptions, check_work

__all__ = (
    "ABANDONED",
    "ANY_TIME",
    "BACKGROUND",
    "BIRTH",
    "CALL",
    "FAILED",
    "LATE_CALL",
    "REFRESH",
    "RETURNED",
    "RUNNING",
    "TIMED_OUT",
    "Asked",
    "CallerFlights",
    "Counters",
    "Flight",
    "FlightTable",
    "GatheredLoads",
    "InFlight",
    "InflightHandle",
    "InflightStats",
    "KeepsNothing",
    "Role",
    "TaskFlight",
    "TaskFlights",
    "ThreadFlights",
    "Watch",
    "Work",
    "WorkIn",
    "WorkOptions",
    "born",
    "call_off",
    "cancelled_with",
    "check_work",
    "current_work",
    "depend",
    "fence_for",
    "first_step",
    "held",
    "keep_quiet",
    "lay_to_rest",
    "leading",
    "leading_await",
    "led_await",
    "message_of",
    "no_longer_depend",
    "note_bound",
    "outer_load",
    "outside_work",
    "own_loop",
    "put_back",
    "resume",
    "set_apart",
    "set_aside",
    "shared_await",
    "shared_call",
    "take_bound",
    "task_flight",
    "wake",
    "watched_call",
)

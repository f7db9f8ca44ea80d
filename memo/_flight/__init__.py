"""One execution for many callers: equal calls that run at the same time share it.

Imports ``_call``, ``_base`` and ``memo.errors``.
"""

from memo._flight.flight import RETURNED, RUNNING, TIMED_OUT, InFlight
from memo._flight.flights import Flights
from memo._flight.handle import InflightHandle
from memo._flight.lost_work import call_off, keep_quiet, lay_to_rest
from memo._flight.stats import Flight, InflightStats
from memo._flight.tasks import Role, outside_work, own_loop
from memo._flight.templates import FAILED, shared_await, shared_call
from memo._flight.waiters import wake

__all__ = (
    "FAILED",
    "RETURNED",
    "RUNNING",
    "TIMED_OUT",
    "Flight",
    "Flights",
    "InFlight",
    "InflightHandle",
    "InflightStats",
    "Role",
    "call_off",
    "keep_quiet",
    "lay_to_rest",
    "outside_work",
    "own_loop",
    "shared_await",
    "shared_call",
    "wake",
)

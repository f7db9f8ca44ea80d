"""Single flight: equal calls that run at the same time share one execution.

One engine for threads and for coroutines; no decorator in it.  ``_flight_table`` says what holds for
both, ``_flight_threads`` and ``_flight_tasks`` how each waits.
"""

from memo._flight_table import RETURNED, RUNNING, TIMED_OUT, Counters, InFlight, TaskFlight, wake, wake_all
from memo._flight_tasks import Role, TaskFlights, outside_work, own_loop
from memo._flight_threads import FAILED, ThreadFlights

__all__ = (
    "FAILED", "RETURNED", "RUNNING", "TIMED_OUT", "Counters", "Flights", "InFlight", "Role", "TaskFlight",
    "outside_work", "own_loop", "wake", "wake_all",
)  # fmt: skip


class Flights(ThreadFlights, TaskFlights):
    """The running calls of one function, of either colour."""

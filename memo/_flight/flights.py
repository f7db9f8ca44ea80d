"""Single flight: equal calls that run at the same time share one execution.

One engine for threads and for coroutines; no decorator in it.  ``table`` says what holds for both, ``threads`` and
``tasks`` how each waits.
"""

from memo._flight.tasks import TaskFlights
from memo._flight.threads import ThreadFlights

__all__ = ("Flights",)


class Flights(ThreadFlights, TaskFlights):
    """The running calls of one function, of either colour."""

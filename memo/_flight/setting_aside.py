"""The flights of a table, and its counts, set aside for a while: who needs a table that nobody used takes it so.

The work of flights that are set aside goes on; they are fenced, so that whoever calls meanwhile leads one of his own.
"""

from memo._base import Aside, Pair, set_at_once
from memo._call import comparing_outside
from memo._flight.figures import Counters
from memo._flight.flight import RUNNING
from memo._flight.table import FlightTable

__all__ = ("fence_for", "held", "put_back", "resume", "set_aside")


def set_aside(table: FlightTable, aside: Aside) -> None:
    """Fence every flight of *table* and count anew, until *aside* is put back."""
    with table.lock:
        fence_for(table, aside)
        aside.exchange(held(table, aside))


def put_back(table: FlightTable, aside: Aside) -> None:
    """Fence every flight of *table*, and go on with the counts set aside and the flights that run still.

    What was never set aside stays as it is; cut short, it can be done again.
    """
    comparing_outside(table.lock, _put_back, table, aside)


def _put_back(table: FlightTable, aside: Aside) -> None:
    with table.lock:
        if aside.is_out:
            table.detach_all()
            aside.exchange(held(table, aside))
        resume(table, aside)


# -- steps, with the lock held


def held(table: FlightTable, aside: Aside) -> list[Pair]:
    """What *table* exchanges with *aside*."""
    names = Counters.__slots__
    return [aside.pair(table.counters, names, Counters), aside.pair(table.earlier, names, Counters)]


def fence_for(table: FlightTable, aside: Aside) -> None:
    """Fence every flight, and have *aside* know it."""
    table.asked.forget_all()
    for key, flight in list(table.by_key.items()):
        aside.flights[key] = flight  # before it leaves
        if not table.take_out(flight):
            del aside.flights[key]


def resume(table: FlightTable, aside: Aside) -> None:
    """Go on with the flights that were set aside and run still."""
    for key, flight in aside.flights.items():
        runs = flight.state is RUNNING and not flight.over and flight.fenced
        if runs and table.by_key.setdefault(key, flight) is flight:
            # current last: from then on its leader ends it without the lock
            set_at_once([(flight, "fenced", False), (flight, "current", True)])
    aside.flights.clear()

"""What flights ask of whoever keeps results, and the one that keeps none."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from memo._base import PLAIN
from memo._flight.flight import RETURNED, InFlight
from memo._flight.table import FlightTable
from memo._flight.upstream import Upstream

__all__ = ("Keeper", "KeepsNothing", "Kept")


class Kept(Protocol):
    """Where results are."""

    @property
    def index(self) -> Mapping[Hashable, Any]:
        """By their keys; may be exchanged for another at any time."""
        ...


class Keeper(Protocol):
    """Decides what becomes of the result of a flight.  Called without the lock of the table."""

    @property
    def kept(self) -> Kept:
        """Where a second look may find a result."""
        ...

    @property
    def copies(self) -> bool:
        """``accept()`` has something to do for plain values, too, which need no look; without that ``hand_out()`` has
        nothing to do."""
        ...

    @property
    def upstream(self) -> Upstream | None:
        """What a leader asks before it runs the function; None: nothing."""
        ...

    def look_again(self, flight: InFlight) -> bool:
        """Whether another leader finished just before *flight* began; if so, sets ``flight.value``.

        Of a flight that is no ``CALL``, only what came later than ``flight.after`` counts.
        """
        ...

    def accept(self, value: Any) -> Any:
        """What is kept and shared of the result *value*; what this raises, the flight has raised."""
        ...

    def landed(self, flight: InFlight, value: Any) -> None:
        """End a flight whose work returned *value*; called once, in the thread of its leader."""
        ...

    def failed(self, flight: InFlight, error: Exception) -> None:
        """Learn that the work of *flight* raised *error*, before its end is told; or that it is too old, after."""
        ...

    def hand_out(self, value: Any) -> Any:
        """What a caller gets of a flight that returned *value*."""
        ...

    def is_new_enough(self, flight: InFlight, after: float) -> bool:
        """Whether what *flight*, which has returned, found upstream came later than *after*."""
        ...


class _Nothing:
    index: Mapping[Hashable, Any] = {}


_NOTHING = _Nothing()


class KeepsNothing:
    """Keeps no result: all who waited share it, and that is all.

    Args:
        name: The function's qualified name, for messages.
        table: Its running calls.
        refuse: Raises if a result, which is given with the function's name, cannot be shared.
    """

    def __init__(self, name: str, table: FlightTable, refuse: Callable[[str, Any], None]) -> None:
        self.kept: Kept = _NOTHING
        self.copies = False
        self.upstream: Upstream | None = None
        self._name = name
        self._table = table
        self._refuse = refuse

    def look_again(self, flight: InFlight) -> bool:
        return False

    def accept(self, value: Any) -> Any:
        if type(value) not in PLAIN:
            self._refuse(self._name, value)
        return value

    def landed(self, flight: InFlight, value: Any) -> None:
        if not self._table.settle(flight, RETURNED, value, count=True):
            self._table.counters.completed += 1  # too late for those who waited, but it has returned

    def failed(self, flight: InFlight, error: Exception) -> None:
        pass

    def hand_out(self, value: Any) -> Any:
        return value

    def is_new_enough(self, flight: InFlight, after: float) -> bool:
        return True

"""The handle ``f.inflight``: the running calls of a decorated function."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from memo._call import FenceOthers, Generated, Handle, belongs_to
from memo._flight.figures import shown
from memo._flight.flight import InFlight
from memo._flight.flights import Flights
from memo._flight.stats import Flight, InflightStats

__all__ = ("InflightHandle",)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class InflightHandle(Handle, Generic[P, R_co]):
    """The running calls of a decorated function: ``f.inflight``.

    Reached through an instance or a class, its methods take the arguments without ``self``, and
    ``pending()`` and ``len()`` are that instance's.  Every method may be called from any thread and
    none waits.  A handle is always true.
    """

    __slots__ = ("_flights",)

    def __init__(
        self,
        flights: Flights,
        generated: Generated,
        name: Callable[[], str],
        fence_others: FenceOthers,
        prefix: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(generated, name, fence_others, prefix)
        self._flights = flights

    def _running(self) -> dict[InFlight, int]:
        flights = self._flights.table.pending()
        token = self._scope()
        return flights if token is None else {f: n for f, n in flights.items() if belongs_to(f.key, token)}

    def pending(self) -> list[Flight]:
        """The running calls, longest running first, and the background loads that wait for a thread."""
        return shown(self._running(), self._generated.reveal, self._flights.clock.read())

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Detach a running call: who waits gets its result, the next equal call starts anew.

        Its result is not stored.  Returns whether there was one.
        """
        key = self._key(args, kwargs)
        with self._fencing(args, kwargs):
            return self._flights.table.detach(key)

    def cleanup(self) -> int:
        """Detach the calls that are older than the timeout, or whose thread or loop died; how many."""
        return self._flights.cleanup()

    def stats(self) -> InflightStats:
        """The figures of the whole function now."""
        return self._flights.table.stats(self._name())

    def __len__(self) -> int:
        return len(self._running())

    def __repr__(self) -> str:
        return f"<running calls of {self._name()}: {len(self)}>"

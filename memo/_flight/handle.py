"""The handle ``f.inflight``: the running calls of a decorated function."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, ParamSpec, TypeVar

from memo._call import Generated, belongs_to
from memo._flight.flight import InFlight
from memo._flight.flights import Flights
from memo._flight.stats import Flight, InflightStats

__all__ = ("FenceOthers", "InflightHandle")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
FenceOthers = Callable[[tuple[tuple[Any, ...], dict[str, Any]] | None], AbstractContextManager[None]]
"""Fences the running calls of the other layers of a stack while something is changed: those of one call, or
all (None)."""


class InflightHandle(Generic[P, R_co]):
    """The running calls of a decorated function: ``f.inflight``.

    Reached through an instance or a class, its methods take the arguments without ``self``, and
    ``pending()`` and ``len()`` are that instance's.  Every method may be called from any thread and
    none waits.  A handle is always true.
    """

    __slots__ = ("_fence_others", "_flights", "_generated", "_name", "_prefix")

    def __init__(
        self,
        flights: Flights,
        generated: Generated,
        name: Callable[[], str],
        fence_others: FenceOthers,
        prefix: tuple[Any, ...] = (),
    ) -> None:
        self._flights = flights
        self._generated = generated
        self._name = name
        self._fence_others = fence_others
        self._prefix = prefix

    def _running(self) -> list[InFlight]:
        flights = self._flights.running() + self._flights.asked_for()
        token = self._generated.keys.scope(self._prefix)
        return flights if token is None else [flight for flight in flights if belongs_to(flight.key, token)]

    def pending(self) -> list[Flight]:
        """The running calls, longest running first, and the background loads that wait for a thread."""
        return self._flights.pending(self._running(), self._generated.reveal)

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Detach a running call: who waits gets its result, the next equal call starts anew.

        Its result is not stored.  Returns whether there was one.
        """
        key = self._generated.checked_key_of(*self._prefix, *args, **kwargs)
        with self._fence_others(((*self._prefix, *args), kwargs)):
            return self._flights.detach(key)

    def cleanup(self) -> int:
        """Detach the calls that are older than the timeout, or whose thread or loop died; how many."""
        return self._flights.cleanup()

    def stats(self) -> InflightStats:
        """The figures of the whole function now."""
        return self._flights.stats(self._name())

    def __len__(self) -> int:
        return len(self._running())

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<running calls of {self._name()}: {len(self)}>"

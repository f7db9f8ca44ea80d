"""What a leader asks for a result before it runs the function."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from memo._flight.flight import InFlight
from memo._flight.role import Role

__all__ = ("Upstream",)


class Upstream(Protocol):
    """Has results of calls that were made elsewhere.

    A leader goes there in place of the function, whose run is a part of that: what is found upstream is no execution,
    so that nobody who watches executions is told of it.
    """

    def lead(self, flight: InFlight, run: Callable[[], Any], accept: Callable[[Any], Any], role: Role | None) -> Any:
        """The result of *flight*, found upstream or made here; its keeper learns from the flight how it came.

        Args:
            flight: What the caller leads.
            run: Runs the function, and returns what is accepted of its result.
            accept: Makes of a value that was found what is kept and shared.
            role: Learns whether it was found.
        """
        ...

    async def lead_awaited(
        self, flight: InFlight, run: Callable[[], Awaitable[Any]], accept: Callable[[Any], Any], role: Role | None
    ) -> Any:
        """The same of a coroutine function, in its task."""
        ...

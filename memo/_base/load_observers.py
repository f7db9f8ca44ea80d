"""Who watches executions from around them: what those who make spans of them ask for, and what they are told.

An observer is called in the very thread or task, and in the context, that runs the function: so what it binds in
context variables as the work begins, the function sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ("Load", "LoadObserver", "observe_loads")


class Load(Protocol):
    """One execution of a decorated function, as those who watch it see it."""

    @property
    def record(self) -> Any:
        """The function's record."""
        ...

    @property
    def trigger(self) -> str:
        """Why it runs: ``"miss"``, ``"refresh"``, ``"background"``, ``"takeover"`` (after a leader that was lost)."""
        ...

    def key(self) -> Any:
        """What it is about, as users see keys; of a function of many keys the list of those that it is asked for."""


class LoadObserver(Protocol):
    """Watches executions.  What it raises is logged and dropped."""

    def begin(self, load: Load, /) -> Any:
        """Called before the function, where it is about to run; None: the observer wants to hear no more of this.

        A load in the background runs in a copy of the context of whoever began it.
        """

    def end(self, begun: Any, outcome: str, joined: int, error: BaseException | None, /) -> None:
        """Called after the function, at the same place.

        Args:
            begun: What ``begin()`` returned.
            outcome: ``"ok"``, ``"error"``, ``"cancelled"`` (by whatever is no ``Exception``), or ``"timeout"``
                (cancelled since it was past its deadline).
            joined: How many callers wait for it beside its leader.
            error: What it raised, not to be kept; None: nothing.
        """

    def joined(self, begun: Any, /) -> None:
        """Called in a caller's own thread or task, and context, that gets what another's execution came to; also of a
        single call that was gathered into another's batch.

        Args:
            begun: What ``begin()`` returned.
        """


def observe_loads(view: Any, observer: LoadObserver) -> Callable[[], None]:
    """Have *observer* watch the executions of all functions of *view*, a registry or a selection, now and later.

    Hits cost what they did; whoever watches is told of loads in Python, also where C leads them.

    Returns:
        Ends that; called again, it does nothing.
    """
    return view.__memo_observe__(observer)  # type: ignore[no-any-return]

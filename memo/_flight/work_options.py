"""Where the work of a coroutine function runs, and for how long nobody need wait for it: ``work=`` and ``keep=``."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from memo._base import format_seconds, given_text, seconds
from memo._flight.caller_work import CallerFlights
from memo._flight.tasks import TaskFlights
from memo._flight.threads import ThreadFlights

__all__ = ("WorkIn", "WorkOptions", "check_work")

WorkIn = Literal["shared", "caller"]
"""Where the work runs: in a task of its own that all callers share, or in its first caller's."""


class WorkOptions(NamedTuple):
    """What a decorator was told of the work of its function, in plain units."""

    in_caller: bool = False
    """A coroutine function runs in its leader's own task."""
    keep_s: float | None = None
    """Seconds for which work goes on that its last caller has left; None: it is cancelled at once."""

    def kind(self, is_async: bool) -> Callable[..., ThreadFlights | TaskFlights]:
        """What makes the flights of a function of either colour."""
        if not is_async:
            return ThreadFlights
        return CallerFlights if self.in_caller else functools.partial(TaskFlights, keep_s=self.keep_s)

    def check_function(self, where: str, name: str, is_async: bool) -> None:
        """Check that the function called *name* is one for these.

        Raises:
            TypeError: One has no effect on it.
        """
        if self.keep_s is not None and not is_async:
            raise TypeError(
                f"{where}: keep={format_seconds(self.keep_s)!r} has no effect on {name}(), a plain function, "
                "whose work no caller leaves before it ends; leave keep= out, or decorate a coroutine function."
            )


def check_work(where: str, work: Any, keep: Any, dedupe: bool = True) -> WorkOptions:
    """The options ``work=`` and ``keep=``.

    Args:
        where: The decorator, for messages.
        work: The one.
        keep: The other.
        dedupe: Whether concurrent calls share work at all; without that each caller's runs in its own task.

    Raises:
        TypeError: One is of the wrong type, or has no effect with the others.
        ValueError: One makes no sense.
    """
    if not isinstance(work, str):
        raise TypeError(f"{where}: work={given_text(work)} is no text; write 'shared' or 'caller'.")
    if work not in ("shared", "caller"):
        raise ValueError(f"{where}: work={given_text(work)} is unknown; write 'shared' or 'caller'.")
    keep_s = None if keep is None else seconds(keep, where=where, option="keep")
    if keep_s is not None and (work == "caller" or not dedupe):
        other = "work='caller'" if work == "caller" else "dedupe=False"
        raise TypeError(
            f"{where}: keep={given_text(keep)} has no effect with {other}, by which the work is in its caller's own "
            "task and ends with that caller; leave out one of them."
        )
    return WorkOptions(work == "caller" or not dedupe, keep_s)

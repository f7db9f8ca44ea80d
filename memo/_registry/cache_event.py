"""What a subscriber is told of: one thing that happened in a decorated function."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, get_args

from memo._base import Frozen, did_you_mean, frozen_dataclass, given_text
from memo._store import EvictionReason

__all__ = ("CacheEvent", "EventKind", "checked_kinds")

EventKind = Literal["load", "error", "cancelled", "timeout", "stale", "eviction"]
"""What may happen, as ``CacheEvent.kind`` tells it."""


@frozen_dataclass
class CacheEvent(Frozen):
    """One thing that happened in a decorated function, as ``registry.subscribe()`` tells it.

    It holds no argument, value or exception: text and numbers.
    """

    __module__ = "memo"

    kind: EventKind
    """What happened.  Each execution of a function ends with one of "load" (it returned), "error" (it raised) and
    "cancelled" (it was cancelled, or struck by what is no ``Exception``).  "timeout": a running call was past its
    timeout and was detached; its execution may end later.  "stale": a call was answered with a stale value.
    "eviction": a value left the store, for whichever reason.  Hits and joins are none of these."""

    function: str
    """The function's name in its registry."""

    at: datetime
    """When it happened, in UTC (aware), by the wall clock."""

    key: str
    """The key as text: a shortened `repr` of at most 200 characters; of a batch of ``bounded_many`` the list of its
    keys."""

    seconds: float | None = None
    """By the function's clock: how long the execution took, joiners' waits not counted; of a timeout, how long it had
    been running; of a stale answer, how long the value had been stale.  None of an eviction."""

    trigger: Literal["miss", "refresh", "background", "takeover"] | None = None
    """Why the function was executed: for a call that found nothing, by ``refresh()``, in the background (a stale value
    was at hand, or a caller waits for a limited time), or by a caller who had joined one whose leader was lost.  None
    of what is no end of an execution."""

    joined: int | None = None
    """How many other calls waited for the execution when it ended, or ran into its timeout.  None of anything else."""

    reason: EvictionReason | None = None
    """Why the value left.  None of what is no eviction."""

    error: str | None = None
    """What ended the execution: the exception type's qualified name ("ValueError", "aiohttp.ClientError").  None where
    none did."""

    message: str | None = None
    """The exception's message, cut at 200 characters.  None where `error` is."""


_KINDS: tuple[str, ...] = get_args(EventKind)


def checked_kinds(where: str, kinds: Any) -> frozenset[str]:
    """The kinds that are named by *kinds*: one, several, or (None) all.

    Raises:
        TypeError: It is neither text nor a collection of text.
        ValueError: There is none, or one that is unknown.
    """
    if kinds is None:
        return frozenset(_KINDS)
    given = (kinds,) if isinstance(kinds, str) else kinds
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{where}: kinds={given_text(kinds)} is no collection of text; write for example kinds=('error',)."
        )
    found = list(given)
    if not found:
        raise ValueError(
            f"{where}: kinds={given_text(kinds)} names nothing; leave it out, or name some of {', '.join(_KINDS)}."
        )
    for kind in found:
        if not isinstance(kind, str):
            raise TypeError(
                f"{where}: kinds={given_text(kinds)} contains {given_text(kind)}, which is no text; write "
                "kinds=('error',)."
            )
        if kind not in _KINDS:
            hint = did_you_mean(kind, _KINDS) or f"; there are {', '.join(_KINDS)}."
            raise ValueError(f"{where}: kinds={given_text(kinds)} contains {given_text(kind)}, which is unknown{hint}")
    return frozenset(found)

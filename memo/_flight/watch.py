"""What is told of executions to those who watch them from around.

Only where somebody watches does a call come here; see ``_decorated.layer``.

- In a stack of decorators it is the innermost layer that runs the function, and the outermost that knows why.  So an
  outer layer marks the context of its work with its load (``_outer``), and tells nobody; the innermost tells of the
  execution, and takes over from the mark why it runs.  Whoever joined the outer one has joined that.
- What has begun is ended, once, for each observer, whatever strikes.
- A load refers to its flights only until its work has ended: flights refer to their load, and contexts to it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import starmap
from operator import call as call_it
from typing import Any

from memo._base import Audience, LoadObserver, Seldom
from memo._flight.flight import BACKGROUND, REFRESH, RETURNED, TIMED_OUT, InFlight

__all__ = ("Watch",)

log = logging.getLogger("memo")

_outer: ContextVar[_Load | None] = ContextVar("memo_load", default=None)
"""The load of a layer further out whose work the present context is."""
_complaints = Seldom()


class Watch:
    """Those who watch the executions of one layer of a function.

    Args:
        record: The function's record.
        audience: Who watches.
        depth: How many layers further out share executions, too.
        is_innermost: No layer below does.
        reveal: Makes of a key what users see.
    """

    def __init__(
        self, record: Any, audience: Audience, depth: int, is_innermost: bool, reveal: Callable[[Any], Any]
    ) -> None:
        self.record = record
        self.audience = audience
        self.depth = depth
        self.is_innermost = is_innermost
        self.reveal = reveal

    def lead(
        self,
        flight: InFlight,
        call: Callable[..., Any],
        finish: Callable[[Any, Any], Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run the work of *flight*, and end it with *finish*, which is given the flight and what *call* returned."""
        load = _Load(self, (flight,))
        try:
            load.begin()
            value = finish(flight, call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            load.end(error)
            raise

    async def lead_awaited(
        self,
        flight: InFlight,
        call: Callable[..., Any],
        finish: Callable[[Any, Any], Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """The same where *call* is a coroutine function."""
        load = _Load(self, (flight,))
        try:
            load.begin()
            value = finish(flight, await call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            load.end(error)
            raise

    def joined(self, flight: InFlight) -> None:
        """Tell that the present caller gets what *flight* came to."""
        load: _Load | None = getattr(flight, "load", None)
        if load is not None:
            outer = _outer.get()
            if outer is not None and outer.is_around(self):
                outer.inner = load
            load.tell_joined()


class _Load:
    """One execution.

    Args:
        watch: Who watches.
        flights: What waits for it.
    """

    __slots__ = ("_begun", "_ends", "_flights", "_key", "_mark", "_outcome", "_watch", "inner", "trigger")

    def __init__(self, watch: Watch, flights: tuple[InFlight, ...]) -> None:
        self.trigger: str = _trigger_of(flights[0])
        self.inner: _Load | None = None
        """The execution that this one's work, of a layer further out, has come to."""
        self._watch = watch
        self._key = flights[0].key
        self._flights: tuple[InFlight, ...] = flights
        self._mark: Any = None
        self._begun: list[tuple[LoadObserver, Any]] = []
        self._outcome = ""
        self._ends: Iterator[Any] | None = None
        for flight in flights:
            flight.load = self

    # -- what observers see

    @property
    def record(self) -> Any:
        """The function's record."""
        return self._watch.record

    def key(self) -> Any:
        """The key, as users see it."""
        return self._watch.reveal(self._key)

    # -- its life

    def begin(self) -> None:
        """Say that the work is about to begin, here."""
        outer = _outer.get()
        if outer is not None and outer.is_around(self._watch):
            self.trigger = outer.trigger
            outer.inner = self
            self._flights += outer._flights
        if not self._watch.is_innermost:
            self._mark = _outer.set(self)
            return
        record = self.record
        for seat in self._watch.audience.observers:
            try:
                if seat.view.covers(record) and (begun := seat.observer.begin(self)) is not None:
                    self._begun.append((seat.observer, begun))
            except Exception as error:
                _complain("begin", error)

    def is_around(self, watch: Watch) -> bool:
        """Whether this is of the layer next to that of *watch* in one stack, and its work goes on."""
        mine = self._watch
        return mine.record is watch.record and mine.depth == watch.depth - 1 and bool(self._flights)

    def end(self, error: BaseException | None) -> None:
        """Say that the work has ended, here; called once more, it goes on where it was cut short."""
        if self._ends is None:
            self._outcome = self._outcome or self._outcome_of(error)
            joined = sum([flight.joined for flight in self._flights])
            told = None if self._outcome == "ok" else error
            ends = [(observer.end, begun, self._outcome, joined, told) for observer, begun in reversed(self._begun)]
            self._ends = starmap(call_it, ends)
        self._flights = ()
        mark, self._mark = self._mark, None
        if mark is not None:
            _take_back(mark)
        while True:
            try:
                for _ in self._ends:
                    pass
                return
            except Exception as failure:
                _complain("end", failure)

    def _outcome_of(self, error: BaseException | None) -> str:
        state = self._flights[0].state if self._flights else RETURNED
        if error is None or state is RETURNED:
            return "ok"
        if isinstance(error, Exception):
            return "error"
        return "timeout" if state is TIMED_OUT and isinstance(error, asyncio.CancelledError) else "cancelled"

    def tell_joined(self) -> None:
        """Say that the present caller gets what it came to."""
        load = self
        while load.inner is not None:
            load = load.inner
        for observer, begun in load._begun:
            try:
                observer.joined(begun)
            except Exception as error:
                _complain("joined", error)


def _trigger_of(flight: InFlight) -> str:
    if flight.purpose is REFRESH:
        return "refresh"
    if flight.purpose is BACKGROUND:
        return "background"
    return "takeover" if hasattr(flight, "succeeds") else "miss"


def _take_back(mark: Any) -> None:
    """Have the present context be marked as it was before; what ends in another one leaves that as it is."""
    try:
        _outer.reset(mark)
    except ValueError:  # a coroutine that was collected
        pass


def _complain(step: str, error: Exception) -> None:
    if _complaints.is_due():
        log.error("an observer of loads raised in %s(); the call goes on without it", step, exc_info=error)

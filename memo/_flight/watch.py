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
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from itertools import starmap
from operator import call as call_it
from typing import Any

from memo._base import Audience, LoadObserver, Seldom
from memo._flight.flight import BACKGROUND, REFRESH, RETURNED, TIMED_OUT, InFlight

__all__ = ("GatheredLoads", "Watch", "outer_load")

Work = Callable[..., Any]
Named = dict[str, Any]

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
        self, flight: InFlight, call: Work, finish: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: Named
    ) -> Any:
        """Run the work of *flight*, and end it with *finish*, which is given the flight and what *call* returned."""
        load = _Load(self, (flight,), flight.key)
        try:
            load.begin()
            value = finish(flight, call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            load.end(error)
            raise

    async def lead_awaited(
        self, flight: InFlight, call: Work, finish: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: Named
    ) -> Any:
        """The same where *call* is a coroutine function."""
        load = _Load(self, (flight,), flight.key)
        try:
            load.begin()
            value = finish(flight, await call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            load.end(error)
            raise

    def ask(
        self, flights: Sequence[InFlight], keys: Any, call: Work, look: Work, args: tuple[Any, ...], kwargs: Named
    ) -> Any:
        """Call a function of many keys, for *flights* of single ones (where these are known here).

        Args:
            flights: What waits for it.
            keys: What it is asked for.
            call: The function.
            look: Looks at what it returned, and returns what is to become of that.
            args: The arguments.
            kwargs: Likewise.
        """
        load = _Load(self, tuple(flights), keys)
        try:
            load.begin()
            value = look(call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            load.end(error)
            raise

    async def ask_awaited(self, keys: Any, call: Work, look: Work, args: tuple[Any, ...], kwargs: Named) -> Any:
        """The same where *call* is a coroutine function, and its flights have marked the context."""
        load = _Load(self, (), keys)
        try:
            load.begin()
            value = look(await call(*args, **kwargs))
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
        flights: What waits for it, as far as that is known here.
        key: What it is about.
    """

    __slots__ = ("_begun", "_ends", "_key", "_mark", "_outcome", "flights", "inner", "trigger", "watch")

    def __init__(self, watch: Watch, flights: tuple[InFlight, ...], key: Any) -> None:
        self.trigger: str = _trigger_of(flights)
        self.inner: _Load | None = None
        """The execution that this one's work, of a layer further out, has come to."""
        self.watch = watch
        self._key = key
        self.flights: tuple[InFlight, ...] = flights
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
        return self.watch.record

    def key(self) -> Any:
        """The key, as users see it."""
        return self.watch.reveal(self._key)

    # -- its life

    def begin(self) -> None:
        """Say that the work is about to begin, here."""
        outer = _outer.get()
        if outer is not None and outer.is_around(self.watch):
            self.trigger = outer.trigger
            outer.inner = self
            self.flights += outer.flights
        if not self.watch.is_innermost:
            self._mark = _outer.set(self)
            return
        record = self.record
        for seat in self.watch.audience.observers:
            try:
                if seat.view.covers(record) and (begun := seat.observer.begin(self)) is not None:
                    self._begun.append((seat.observer, begun))
            except Exception as error:
                _complain("begin", error)

    def is_around(self, watch: Watch) -> bool:
        """Whether this is of the layer next to that of *watch* in one stack, and its work goes on."""
        mine = self.watch
        return mine.record is watch.record and mine.depth == watch.depth - 1 and bool(self.flights)

    def end(self, error: BaseException | None) -> None:
        """Say that the work has ended, here; called once more, it goes on where it was cut short."""
        if self._ends is None:
            self._outcome = self._outcome or self._outcome_of(error)
            joined = sum([flight.joined for flight in self.flights])
            told = None if self._outcome == "ok" else error
            ends = [(observer.end, begun, self._outcome, joined, told) for observer, begun in reversed(self._begun)]
            self._ends = starmap(call_it, ends)
        self.flights = ()
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
        state = self.flights[0].state if self.flights else RETURNED
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


def outer_load() -> _Load | None:
    """The load of a layer further out whose work the present context is."""
    return _outer.get()


class GatheredLoads:
    """Loads of single keys whose work is one batch.

    Args:
        loads: Those of the keys of which it consists.
    """

    def __init__(self, loads: list[_Load]) -> None:
        self._joint = joint = _Load(loads[0].watch, tuple([one for load in loads for one in load.flights]), None)
        joint.trigger = loads[0].trigger
        for load in loads:
            load.inner = joint
        joint.begin()

    def end(self) -> None:
        """Say that the batch has ended."""
        self._joint.end(None)


def _trigger_of(flights: tuple[InFlight, ...]) -> str:
    if not flights:
        return "miss"
    flight = flights[0]
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

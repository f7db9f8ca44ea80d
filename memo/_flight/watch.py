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
from operator import length_hint
from typing import Any

from memo._base import Audience, Clock, Hearer, LoadObserver, Seat, failure_text, real, stored_key
from memo._flight.flight import BACKGROUND, REFRESH, RETURNED, RUNNING, TIMED_OUT, InFlight

__all__ = ("GatheredLoads", "Watch", "end_cut_short", "end_load", "outer_load")

Work = Callable[..., Any]
Named = dict[str, Any]

log = logging.getLogger("memo")

_outer: ContextVar[_Load | None] = ContextVar("memo_load", default=None)
"""The load of a layer further out whose work the present context is."""


class Watch:
    """Those who watch the executions of one layer of a function.

    Args:
        record: The function's record.
        audience: Who watches.
        depth: How many layers further out share executions, too.
        is_innermost: No layer below does.
        reveal: Makes of a key what users see.
        clock: The function's.
    """

    def __init__(
        self,
        record: Any,
        audience: Audience,
        depth: int,
        is_innermost: bool,
        reveal: Callable[[Any], Any],
        clock: Clock,
    ) -> None:
        self.record = record
        self.audience = audience
        self.hearers: tuple[Seat[Hearer], ...] = audience.hearers if is_innermost else ()
        """Who may be told of executions afterwards: of those of the innermost layer."""
        self.depth = depth
        self.is_innermost = is_innermost
        self.reveal = reveal
        self.clock = clock

    def begin(self, flight: InFlight) -> _Load:
        """Say that the work of *flight* is about to begin, here: what ends that.

        Cut short, ``flight.load`` is what has begun; see ``end_cut_short()``.
        """
        load = _Load()  # as _new_load() makes it, and as it begins, without a call of either
        load.record = record = self.record
        load.watch = self
        load.flights = (flight,)
        load.inner = load._trigger = load._mark = load._ends = None
        load._key = flight.key
        if self.hearers:
            load._began = flight.started
        load._begun = ()
        load._outcome = ""
        flight.load = load
        if self.depth or not self.is_innermost:
            load.begin()
            return load
        for seat in self.audience.observers:
            try:
                if (seat.covers_all or seat.view.covers(record)) and (begun := seat.who.begin(load)) is not None:
                    load._begun += ((seat, begun),)
            except Exception as error:
                _complain(seat, "begin", error)
        return load

    def lead(
        self, flight: InFlight, call: Work, finish: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: Named
    ) -> Any:
        """Run the work of *flight*, and end it with *finish*, which is given the flight and what *call* returned."""
        load = None
        try:
            load = self.begin(flight)
            value = finish(flight, call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            try:
                end_cut_short(flight, load, error)
            except BaseException:
                end_cut_short(flight, load, error)  # it goes on where it was cut short
                raise
            raise

    async def lead_awaited(
        self, flight: InFlight, call: Work, finish: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: Named
    ) -> Any:
        """The same where *call* is a coroutine function."""
        load = None
        try:
            load = self.begin(flight)
            value = finish(flight, await call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            try:
                end_cut_short(flight, load, error)
            except BaseException:
                end_cut_short(flight, load, error)  # it goes on where it was cut short
                raise
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
        load = _new_load(self, tuple(flights), keys)
        try:
            load.begin()
            value = look(call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            try:
                load.end(error)
            except BaseException:
                load.end(error)  # it goes on where it was cut short
                raise
            raise

    async def ask_awaited(self, keys: Any, call: Work, look: Work, args: tuple[Any, ...], kwargs: Named) -> Any:
        """The same where *call* is a coroutine function, and its flights have marked the context."""
        load = _new_load(self, (), keys)
        try:
            load.begin()
            value = look(await call(*args, **kwargs))
            load.end(None)
            return value
        except BaseException as error:
            try:
                load.end(error)
            except BaseException:
                load.end(error)  # it goes on where it was cut short
                raise
            raise

    def steps(
        self, kind: str, key: Any, seconds: float | None, *more: Any, error: BaseException | None = None
    ) -> list[tuple[Any, ...]]:
        """The calls that tell of what has happened, to be made once each: see ``Hearer``.

        Args:
            kind: What.
            key: To what, as tables hold it.
            seconds: How long it took.
            more: Of its fields what follows, up to *error*.
            error: What ended it.
        """
        record = self.record
        hearers = [seat.who for seat in self.audience.hearers if kind in seat.who.kinds and seat.view.covers(record)]
        if not hearers:
            return []
        more += (None,) * (3 - len(more))
        item = (kind, record.name, real.wall(), stored_key(self.reveal(key)), seconds, *more, *failure_text(error))
        return [step for hearer in hearers for step in hearer.steps(item)]

    def steps_of_timeout(self, flight: InFlight, now: float) -> list[tuple[Any, ...]]:
        """The calls that tell that *flight* has timed out."""
        return self.steps("timeout", flight.key, now - flight.started, None, flight.joined)

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

    It is on the path of every load that is watched: ``_new_load()`` sets what each needs, and an ``__init__``, which is
    called by C, would take as long again.
    """

    __slots__ = (
        "_began", "_begun", "_ends", "_key", "_left", "_mark", "_number", "_outcome", "_trigger", "flights", "inner",
        "record", "watch",
    )  # fmt: skip

    record: Any
    """The function's record."""
    watch: Watch
    flights: tuple[InFlight, ...]
    """What waits for it, as far as that is known here."""
    inner: _Load | None
    """The execution that this one's work, of a layer further out, has come to."""
    _key: Any
    _trigger: str | None
    _mark: Any
    _began: float
    _begun: tuple[tuple[Seat[LoadObserver], Any], ...]
    _outcome: str
    _ends: Iterator[Any] | None
    """The calls that are to be made at its end: to draw one makes it, so that none is made twice.  A single one is made
    without this."""
    _number: int
    """How many they are."""
    _left: Iterator[Any]
    """Those that were not drawn."""

    # -- what observers see, until their end() has returned

    @property
    def trigger(self) -> str:
        """Why it runs."""
        if self._trigger is None:
            self._trigger = _trigger_of(self.flights)
        return self._trigger

    def key(self) -> Any:
        """The key, as users see it."""
        return self.watch.reveal(self._key)

    # -- its life

    def begin(self) -> None:
        """Say that the work is about to begin, here."""
        watch = self.watch
        if watch.depth:  # else no layer is further out
            outer = _outer.get()
            if outer is not None and outer.is_around(watch):
                self._trigger = outer.trigger
                outer.inner = self
                self.flights += outer.flights
        if not watch.is_innermost:
            self._mark = _outer.set(self)
            return
        record = self.record
        for seat in watch.audience.observers:
            try:
                if (seat.covers_all or seat.view.covers(record)) and (begun := seat.who.begin(self)) is not None:
                    self._begun += ((seat, begun),)
            except Exception as error:
                _complain(seat, "begin", error)

    def is_around(self, watch: Watch) -> bool:
        """Whether this is of the layer next to that of *watch* in one stack, and its work goes on."""
        mine = self.watch
        return mine.record is watch.record and mine.depth == watch.depth - 1 and bool(self.flights)

    def end(self, error: BaseException | None) -> None:
        """Say that the work has ended, here; called once more, it goes on where it was cut short."""
        if self._mark is not None:
            mark, self._mark = self._mark, None
            _take_back(mark)
        watch, begun = self.watch, self._begun
        if self._ends is None and (begun or watch.hearers):
            flights = self.flights
            outcome = self._outcome = self._outcome or ("ok" if error is None else self._outcome_of(error))
            joined = flights[0].joined if len(flights) == 1 else sum([flight.joined for flight in flights])
            told = None if outcome == "ok" else error
            if watch.hearers or len(begun) != 1:
                self._ends = self._all_ends(outcome, joined, told)
            else:  # as in most cases
                seat, what = begun[0]
                tell = seat.who.end
                self._ends = _NONE_LEFT  # nothing that could be cut short stands between this and the call
                try:
                    tell(what, outcome, joined, told)
                except Exception as failure:
                    _complain(seat, "end", failure)
                self.flights = ()
                return
        while self._ends is not None:
            try:
                for _ in self._ends:
                    pass
                break
            except Exception as failure:  # the rest of them are ours, and raise nothing
                _complain(begun[-min(self._drawn(), len(begun))][0], "end", failure)
        self.flights = ()

    def _all_ends(self, outcome: str, joined: int, error: BaseException | None) -> Iterator[Any]:
        """Whoever began last hears of its end first, and the hearers after all of them."""
        watch = self.watch
        ends = [(seat.who.end, begun, outcome, joined, error) for seat, begun in reversed(self._begun)]
        if watch.hearers:
            seconds = watch.clock.read() - self._began
            ends += watch.steps(_KINDS[outcome], self._key, seconds, self.trigger, joined, error=error)
        self._number, self._left = len(ends), iter(ends)
        return starmap(call_it, self._left)

    def _drawn(self) -> int:
        """How many of the calls that are to be made at its end have begun."""
        return self._number - length_hint(self._left)

    def _outcome_of(self, error: BaseException) -> str:
        state = self.flights[0].state if self.flights else RUNNING
        if state is RETURNED:
            return "ok"
        if isinstance(error, Exception):
            return "error"
        return "timeout" if state is TIMED_OUT and isinstance(error, asyncio.CancelledError) else "cancelled"

    def tell_joined(self) -> None:
        """Say that the present caller gets what it came to."""
        load = self
        while load.inner is not None:
            load = load.inner
        for seat, begun in load._begun:
            try:
                seat.who.joined(begun)
            except Exception as error:
                _complain(seat, "joined", error)


def _new_load(watch: Watch, flights: tuple[InFlight, ...], key: Any) -> _Load:
    """An execution that is about to begin.

    Args:
        watch: Who watches.
        flights: What waits for it, as far as that is known here.
        key: What it is about.
    """
    load = _Load()
    load.record = watch.record
    load.watch = watch
    load.flights = flights
    load.inner = load._trigger = load._mark = load._ends = None
    load._key = key
    if watch.hearers:  # nobody else asks
        load._began = flights[0].started if flights else watch.clock.read()
    load._begun = ()
    load._outcome = ""
    for flight in flights:
        flight.load = load
    return load


def outer_load() -> _Load | None:
    """The load of a layer further out whose work the present context is."""
    return _outer.get()


end_load = _Load.end


def end_cut_short(flight: InFlight, load: _Load | None, error: BaseException) -> None:
    """Say that *load* has ended by *error*, or (None) what of it has begun; called once more, it goes on with that."""
    if load is None:
        load = getattr(flight, "load", None)
    if load is not None:
        load.end(error)


class GatheredLoads:
    """Loads of single keys whose work is one batch.

    Args:
        loads: Those of the keys of which it consists.
    """

    def __init__(self, loads: list[_Load]) -> None:
        flights = tuple([one for load in loads for one in load.flights])
        self._joint = joint = _new_load(loads[0].watch, flights, None)
        joint._trigger = loads[0].trigger
        for load in loads:
            load.inner = joint
        joint.begin()

    def end(self) -> None:
        """Say that the batch has ended."""
        self._joint.end(None)


_NONE_LEFT: Iterator[Any] = iter(())
_KINDS = {"ok": "load", "error": "error", "cancelled": "cancelled", "timeout": "cancelled"}
"""What an outcome is called among what is told afterwards: of a timeout that is told where the flight is detached."""


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


def _complain(seat: Seat[LoadObserver], step: str, error: Exception) -> None:
    if seat.complaints.is_due():
        log.error("an observer of loads raised in %s(); the call goes on without it", step, exc_info=error)

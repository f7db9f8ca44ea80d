"""Single flight for batches of a plain function: its caller leads what nobody loads yet, and then waits for the rest.

Invariants:

- A batch leads all that it is going to lead before it waits for anything, and ends all of that before it waits: so two
  batches, each of which leads what the other needs, do not wait for each other.
- It is present in the flights of others from the moment it meets them, so that it has a claim to their errors.
- Whatever strikes, each flight that a batch has begun is ended, and it has left those that it had joined.
- What it may not wait for (its own flight further out, a circle, a loop that runs in its thread) it loads by itself,
  outside the table; what was abandoned by its leader, it takes over, in the next round and again as a batch.
"""

from collections.abc import Hashable, Iterator
from typing import Any

from memo._base import Caller, caller, claim, need_depth
from memo._call import Call
from memo._flight import ABANDONED, CALL, RETURNED, RUNNING, InFlight, ThreadFlights, born, set_apart
from memo._many.asked import Found, ManyFunction
from memo.errors import AbsentKey

__all__ = ("ThreadBatches",)


class _Round:
    """What a batch began and met in one round.

    Args:
        me: Who calls.
        now: The time.
    """

    __slots__ = ("begun", "me", "met", "now")

    def __init__(self, me: Caller, now: float) -> None:
        self.me = me
        self.now = now
        self.begun: dict[InFlight, None] = {}
        """The flights that it leads and has not ended."""
        self.met: list[tuple[InFlight, bool]] = []
        """Those of others in which it is present, and of each whether it is one that leaves the table just now, whose
        value is not for this call."""


class ThreadBatches(ThreadFlights):
    """The running loads of a plain function of many keys."""

    def lead_many(self, wanted: dict[Hashable, Call], found: Found, function: ManyFunction, most: int | None) -> None:
        """Answer one call with many keys.

        Args:
            wanted: The single call of each key; keys as tables hold them.
            found: Takes what comes.
            function: Is asked for what nobody else loads.
            most: The most keys for which it is asked at once; None: all.

        Raises:
            InflightTimeout: A flight that the caller had joined is older than the timeout.
            Exception: What the function, or the work of a flight that the caller had joined, raised.
        """
        me = caller()
        if type(me) is not int:
            claim(me, InFlight)
        apart: set[Hashable] = set()
        while wanted:
            need_depth()  # half-way nobody could tidy up
            part = _Round(me, self.clock.read())
            try:
                for key in wanted:
                    self._begin(key, part, found, key in apart)
                self._load(wanted, part, found, function, most)
                again = self._join(part, found, apart)
            except BaseException as error:
                try:
                    self._end(part, error)
                except BaseException:
                    self._end(part, error)  # it goes on where it was cut short
                    raise
                raise
            wanted = {key: call for key, call in wanted.items() if key in again}

    def _begin(self, key: Hashable, part: _Round, found: Found, apart: bool) -> None:
        """Begin a flight of *key*, which this caller is to lead, or find its value, or join that of another."""
        mine = born(InFlight(), CALL)
        mine.started = part.now
        mine.leader = part.me
        mine.key = key
        part.begun[mine] = None
        if apart:
            set_apart(mine)
        elif not self._takes_place(mine, part, found):
            del part.begun[mine]
            return
        mine.led = True
        self._counters.led += 1

    def _takes_place(self, mine: InFlight, part: _Round, found: Found) -> bool:
        """Whether *mine* is to be led: as the current flight of its key, or beside that."""
        while True:
            current = self.table.take_place(mine)
            if current is mine:
                if mine.key in self._kept.index and self.keeper.look_again(mine):
                    self.table.settle(mine, RETURNED, mine.value)  # for those who joined meanwhile
                    found[mine.key] = mine.value
                    return False
                return True
            if current.over and (current.leader == part.me or current.state is not RUNNING):
                self.abandon(current)  # its leader could not take it out
                continue
            if current.leader == part.me:
                set_apart(mine)  # a recursion: run straight through, outside the table
                return True
            leaving = not hasattr(current, "current") and not current.fenced
            if not leaving and self.is_stuck(current):
                self.expire(current)
                continue
            with self._lock:
                if current.state is RUNNING:
                    current.present += 1
                    current.joined += 1
                    part.met.append((current, leaving))
                    return False

    def _load(
        self, wanted: dict[Hashable, Call], part: _Round, found: Found, function: ManyFunction, most: int | None
    ) -> None:
        """Ask for the keys that this caller leads, and end their flights."""
        troubles: list[Exception] = []
        for flights in _chunks(list(part.begun), most):
            calls = [wanted[mine.key] for mine in flights]
            if self._tags_of is not None:
                for mine, call in zip(flights, calls, strict=True):
                    mine.tags = self._tags_of(*call.args, **call.kwargs)
            items = [call.args[function.at] for call in calls]
            if self.watch is not None:
                result = self.watch.ask(flights, None, function.ask, _as_it_is, (items, *calls[0]), {})
            else:
                result = function.ask(items, *calls[0])
            for mine, item in zip(flights, items, strict=True):
                try:
                    found[mine.key] = self.finish(mine, function.value_in(result, item))
                except AbsentKey as absent:
                    self._fail(mine, absent)
                    found.absent.add(mine.key)
                except Exception as error:  # a value that cannot be remembered: the others can
                    self._fail(mine, error)
                    troubles.append(error)
                del part.begun[mine]
        if troubles:
            try:
                raise troubles[0]
            finally:
                del troubles  # whose traceback holds this frame

    def _join(self, part: _Round, found: Found, apart: set[Hashable]) -> set[Hashable]:
        """Wait for the flights that were met; the keys that are to be tried once more."""
        again: set[Hashable] = set()
        part.met.reverse()
        while part.met:
            flight, leaving = part.met.pop()
            key = flight.key
            present = self._wait(flight, part.me, True)
            if present is None:
                apart.add(key)
                again.add(key)
            elif flight.state is ABANDONED or (leaving and flight.state is RETURNED):
                with self._lock:
                    self.table.withdraw(flight)
                again.add(key)
            else:
                try:
                    found[key] = self._share(flight, CALL, None)
                except AbsentKey:
                    found.absent.add(key)
        return again

    # -- ends

    def _fail(self, mine: InFlight, error: BaseException) -> None:
        """End a flight that this caller leads, as a call that is alone does: see ``FAILED``."""
        try:
            mine.over = True
            self.failed(mine, error)
        except BaseException:
            if mine.state is RUNNING:
                mine.was_current = False
                try:
                    del mine.current
                    if self._by_key.get(mine.key) is mine:
                        del self._by_key[mine.key]
                        mine.was_current = True
                except BaseException:
                    pass
                mine.heir = None
                mine.state = ABANDONED
                self._counters.cancelled += mine.led
            raise

    def _end(self, part: _Round, error: BaseException) -> None:
        """End what this caller leads still, as failed, and leave what it has joined; cut short, do it again."""
        for mine in part.begun:
            mine.over = True  # should this fail: whoever waits sees it at the next look
        for mine in list(part.begun):
            if mine.state is RUNNING:
                self._fail(mine, error)
            del part.begun[mine]
        with self._lock:
            self._withdraw_all(part)

    def _withdraw_all(self, part: _Round) -> None:
        """Leave what was joined; with the lock held, and a function of its own, since an exception strikes at jumps."""
        while part.met:
            self.table.withdraw(part.met.pop()[0])


def _as_it_is(result: Any) -> Any:
    return result


def _chunks(flights: list[InFlight], most: int | None) -> Iterator[list[InFlight]]:
    step = most or len(flights) or 1
    for start in range(0, len(flights), step):
        yield flights[start : start + step]

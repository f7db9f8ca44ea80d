"""How many calls of each key may begin: the table of keys, their starts, and who waits for a turn.

Invariants

- A call *begins* when its start is added to those of its key, by itself, under the lock, with the clock read under the
  lock; its function is called next.  Then fewer than ``rate.calls`` had begun within the last span.  So there are never
  more than that within any span.
- A key is *followed* as long as one of its calls began within the last span, or waits.  It is not forgotten before: who
  would make others forget it by many other keys would get around its limit.  So while ``most_keys`` are followed,
  calls of further keys are refused.
- ``by_key`` is ordered by the latest start: the key that may be forgotten first is the first.
- Who waits has a place in the queue of its key, in the order of coming.  Nobody begins before those who came earlier
  could: a newcomer, or who waits, begins if there is room for all that stand before it, and itself; and not before
  those of its own loop, in whichever order their timers ring: it has them look first.  Only who has had its turn for a
  second, and is not there (its thread or loop is stuck), holds up nobody.
- Whoever enters a queue leaves it, whatever strikes (the loops of waiting are functions of their own within the
  ``try``, see ``_base.gates``); who leaves it without having begun rings those behind.
- User code never runs under the lock, but for ``clock=``: keys are compared outside (``_call.stored_keys``), and before
  anything is changed, so that an operation that has to compare begins again as if it had not begun.
"""

from __future__ import annotations

import threading
from asyncio import _get_running_loop
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from types import SimpleNamespace
from typing import NamedTuple

from memo._base import (
    Aside,
    Clock,
    Stage,
    counted,
    format_seconds,
    hold,
    in_slices,
    renew,
    rlock,
    short_text,
)
from memo._call import PLAIN_KEYS, InstanceRef, Known, comparing_outside, plain_key, stored_key
from memo._rate.followed import Followed, Full, KeyTable
from memo._rate.rate import Rate
from memo._rate.turns import TaskTurn, ThreadTurn, Turn
from memo.errors import RateLimited

__all__ = ("Limiter", "Waits")

_SLICE = 1_000
"""Most keys that a clean-up drops in one go."""


class Waits(NamedTuple):
    """How long calls may wait that are not to be refused."""

    max_delay_s: float
    """Longest wait that a call begins; one that would be longer is refused at once."""
    most: int
    """Most calls that wait at a time."""


class _Counts:
    __slots__ = ("allowed", "crowded", "delay_s", "delayed", "refused")

    def __init__(self) -> None:
        self.allowed: int = 0
        self.delayed: int = 0
        self.refused: int = 0
        self.crowded: int = 0
        self.delay_s: float = 0.0


class Limiter:
    """Counts the starts of the calls of one function by key; from any thread and loop.

    Args:
        rate: How many calls of a key may begin within how long.
        most_keys: Most keys that are followed at a time, 1 or more.
        clock: Measures the span; read under the lock, and must not call the function.
        waits: How long calls may wait; None: they are refused.
        name: The function's, for messages.
        explain: Says why a key cannot be hashed; holds nothing of what lies above.
        reveal: The key as users see it; likewise.

    Attributes:
        table: The keys that are followed; guarded by ``lock``.
        counts: Guarded by ``lock``.
        waiting: Who waits, and for which key; guarded by ``lock``.
    """

    def __init__(
        self,
        rate: Rate,
        most_keys: int,
        clock: Clock,
        waits: Waits | None,
        name: str,
        explain: Callable[[Hashable], TypeError | None],
        reveal: Callable[[Hashable], object],
    ) -> None:
        self.rate: Rate = rate
        self.table: KeyTable = KeyTable(rate, most_keys)
        self.clock: Clock = clock
        self._waits = waits
        self._name = name
        self._explain = explain
        self._reveal = reveal
        self.lock: threading.RLock = rlock()
        self.known: Known = Known(self.lock)
        self.counts: _Counts = _Counts()
        self.waiting: dict[Turn, Followed] = {}
        hold(Stage.LIMITS, self, self.lock)
        renew(Stage.LIMITS, self)

    # -- calls

    def begin(self, key: Hashable) -> None:
        """Begin a call of a plain function, or refuse it.

        Raises:
            RateLimited: There is no room for it.
            TypeError: The key cannot be hashed.
        """
        key = self.at_hand(key)
        full = comparing_outside(self.lock, self._begin, key, True)
        if full is not None:
            raise self._refusal(key, full)

    def begin_in_turn(self, key: Hashable) -> None:
        """Begin a call of a plain function, if need be after a wait.  Raises what ``begin()`` does."""
        key = self.at_hand(key)
        if comparing_outside(self.lock, self._begin, key, False) is None:
            return
        turn = ThreadTurn()
        try:
            self._wait(key, turn)
        except BaseException:
            self._leave(turn)
            raise

    def _wait(self, key: Hashable, turn: ThreadTurn) -> None:
        while not self._take(key, turn):
            turn.wait(self.clock.read)

    def may_begin(self, key: Hashable) -> bool:
        """Begin a call of a coroutine function, if it need not wait."""
        return comparing_outside(self.lock, self._begin, self.at_hand(key), False) is None

    async def turn(self, key: Hashable) -> None:
        """Begin a call of a coroutine function after a wait.  Raises what ``begin()`` does."""
        key = self.at_hand(key)
        turn = TaskTurn()
        try:
            await self._wait_in_task(key, turn)
        except BaseException:
            self._leave(turn)
            raise

    async def _wait_in_task(self, key: Hashable, turn: TaskTurn) -> None:
        while not self._take(key, turn):
            await turn.wait(self.clock.read)

    def at_hand(self, key: Hashable) -> Hashable:
        """*key* as the table holds it.

        Raises:
            TypeError: It cannot be hashed.
        """
        if type(key) in PLAIN_KEYS:
            return key
        try:
            return stored_key(key, self.known)
        except TypeError:
            refusal = self._explain(key)
            if refusal is None:  # it was raised by a comparison
                raise
            raise refusal from None

    def _refusal(self, key: Hashable, full: Full) -> RateLimited:
        shown = self._reveal(plain_key(key))
        of_key = "" if shown is None else f" of {short_text(shown)}"
        what = (
            full.crowd
            or f"{counted(self.rate.calls, 'call')}{of_key} began within the last {format_seconds(self.rate.span_s)}"
        )
        return RateLimited(
            f"{self._name}(): {what} (limit {self.rate}); come again in {format_seconds(full.after_s)}.",
            shown,
            str(self.rate),
            full.after_s,
        )

    # -- under the lock

    def _begin(self, key: Hashable, refuses: bool) -> Full | None:
        """Begin a call that does not wait; why it cannot, if so."""
        with self.lock:
            now = self.clock.read()
            one = self.table.find(key)
            if one is None:
                full = self.table.make_room(now)
                if full is not None:
                    return self._refused(full) if refuses else full
                one = self.table.follow(key)
            elif one.room(now) > 0 and not (one.queue and one.earlier(None, _get_running_loop())):
                self.table.by_key.move_to_end(key)
            else:
                self.counts.refused += refuses
                return Full(one.planned(now) - now)
            one.starts.add(now)
            self.counts.allowed += 1
            return None

    def _take(self, key: Hashable, turn: Turn) -> bool:
        """Begin the call that waits for *turn*, or have it wait.

        Raises:
            RateLimited: It would have to wait too long.
        """
        done = comparing_outside(self.lock, self._take_or_plan, key, turn)
        rung, turn.rings = turn.rings, None
        if rung is not None:
            rung.ring()
        if isinstance(done, Full):
            raise self._refusal(key, done)
        return done

    def _take_or_plan(self, key: Hashable, turn: Turn) -> bool | Full:
        assert self._waits is not None
        with self.lock:
            now = self.clock.read()
            one = self.waiting.get(turn)
            comes = one is None
            if one is None:
                turn.came = now
                one = self.table.find(key)
            if one is None:
                full = self.table.make_room(now)
                if full is not None:
                    return self._refused(full)
                one = self.table.follow(key)
            has_room = one.room(now, turn) > 0
            turn.rings = one.earlier(turn, turn.loop) if has_room else None
            turn.held = turn.rings is not None
            if has_room and not turn.held:
                if self.table.by_key.get(key) is one:
                    self.table.by_key.move_to_end(key)
                one.starts.add(now)
                one.queue.pop(turn, None)
                self.waiting.pop(turn, None)
                after = one.earlier(None, turn.loop)
                turn.rings = after if after is not None and after.held else None
                self._count_begun(now - turn.came)
                return True
            turn.at, turn.due = one.planned(now, turn), None
            if comes:
                if turn.at - now > self._waits.max_delay_s:
                    self.counts.refused += 1
                    return Full(turn.at - now)
                if len(self.waiting) >= self._waits.most:
                    self._drop_lost()
                if len(self.waiting) >= self._waits.most:
                    crowd = counted(len(self.waiting), "call is", "calls are")
                    crowd = f"{crowd} waiting (max_waiting={self._waits.most})"
                    return self._refused(Full(turn.at - now, crowd))
                self.waiting[turn] = one
                one.queue[turn] = None
            return False

    def _count_begun(self, waited_s: float) -> None:
        counts = self.counts
        counts.allowed += 1
        if waited_s > 0:
            counts.delayed += 1
            counts.delay_s += waited_s

    def _refused(self, full: Full) -> Full:
        self.counts.refused += 1
        self.counts.crowded += 1
        return full

    # -- waiting

    def _leave(self, turn: Turn) -> None:
        """Take back the place of who did not begin; nothing if it did, or had none."""
        behind: list[Turn] = []
        with self.lock:
            one = self.waiting.get(turn)
            if one is not None:
                behind = list(one.queue)
                one.queue.pop(turn, None)
                self.waiting.pop(turn, None)
        self.ring(behind)

    def _drop_lost(self) -> None:
        """Take out who waits in a loop that is closed, and so never comes."""
        for turn, one in list(self.waiting.items()):
            if turn.is_lost:
                one.queue.pop(turn, None)
                self.waiting.pop(turn, None)

    def ring(self, turns: list[Turn]) -> None:
        """Have these look again whether it is their turn; called without the lock."""
        for turn in turns:
            turn.ring()

    def collected(self, token: InstanceRef) -> None:
        """Note that an instance died; takes no lock, and may be called in the middle of anything."""
        self.table.dead.append(token)

    def follow(self) -> None:
        """Have all who wait go by another clock."""
        self.ring(list(self.waiting))

    def renew(self) -> None:
        """In a forked child: nobody waits, since those threads are not there.  What began counts there, too."""
        for one in list(self.waiting.values()):
            one.queue.clear()
        self.waiting.clear()

    # -- upkeep

    def cleanup(self) -> int:
        """Forget the keys that need not be followed any more; how many."""
        return in_slices(self.sweep())

    def sweep(self) -> Iterator[int]:
        """Do that slice by slice, without the lock in between: how many, for each."""
        gone = _SLICE
        while gone >= _SLICE:
            with self.lock:
                before = len(self.table.by_key)
                self.table.drop_dead()
                self.table.drop_idle(self.clock.read(), _SLICE)
                gone = before - len(self.table.by_key)
            yield gone

    def _check(self) -> None:
        """Raise AssertionError if an invariant does not hold; for tests."""
        with self.lock:
            self.table.check(self.clock.read())
            queued = [turn for one in self.table.by_key.values() for turn in one.queue]
            assert set(queued) == set(self.waiting), "who waits is not in one queue each"

    def set_aside(self, aside: Aside) -> None:
        """Follow nothing and have counted nothing, until *aside* is put back.  Who waits goes on waiting."""
        with self.lock:
            self._exchange(aside)

    def put_back(self, aside: Aside) -> None:
        """Follow and count what was set aside.  Cut short, it can be done again."""
        if aside.is_out:
            with self.lock:
                self._exchange(aside)

    def _exchange(self, aside: Aside) -> None:
        keys = aside.pair(self.table, ("by_key",), lambda: SimpleNamespace(by_key=OrderedDict()))
        counts = aside.pair(self, ("counts",), lambda: SimpleNamespace(counts=_Counts()))
        aside.exchange([keys, counts])

"""Values in use: ``on_evict`` of one waits until its last lease has ended.

- A value is in use from the moment a lease has it until that lease ends, by its identity, under whichever keys.
- What leaves while it is in use is *untold*: those who have it in use hold it, and nobody else does.  So reference
  counts alone decide when it is due, once, whatever cuts an operation short; and a lease that nobody ends does end,
  with the last reference to it.  What nobody holds any more falls into ``due``; from there one thread takes it, and
  tells ``on_evict``.
- Which value a lease will have is known once it has loaded.  So it stands at its key first: what leaves under a key of
  that hash is held for it as well, until it has its value.  Whatever it finds, or waits for, has not been told before.
- A newcomer to a key where something is held stands behind that, and does not hold it: else, under many callers, it
  might never be told.
- Guarded by the store's lock, under which neither ``on_evict`` runs nor a hash or a comparison of the user's.
"""

import functools
import itertools
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from operator import call, itemgetter
from typing import Any

from memo._base import Clock, Stage, format_seconds, renew, thread_ident
from memo._cache.figures import Leased
from memo._cache.holding import Bell, Guard, Hold, Untold
from memo._cache.listener import Listener, Reveal
from memo._store import Departures, Gone, Store

__all__ = ("Leases",)

log = logging.getLogger("memo")


_numbers = itertools.count()
"""Of what left, in the order in which it did."""


class Leases:
    """The leases of one function.

    It does not keep the store: what is in there goes with the function, though a value be leased.

    Args:
        store: The store.
        clock: Tells the age of a lease.
        listener: Tells ``on_evict``; None if there is none.
        timeout_s: Seconds after which a lease does not keep ``on_evict`` waiting any more; None: never.
        reveal: Makes of keys what users see.
    """

    lock: threading.RLock

    def __init__(
        self, store: Store, clock: Clock, listener: Listener | None, timeout_s: float | None, reveal: Reveal
    ) -> None:
        self.lock = store.lock
        self.clock = clock
        self.listener = listener
        self.reveal: Reveal = reveal
        """The latest that was given, since the function may be gone when it is wanted."""
        self._timeout_s = timeout_s
        self._store = weakref.ref(store)
        self._holds: weakref.WeakSet[Hold] = weakref.WeakSet()
        self._by_value: weakref.WeakValueDictionary[int, Guard] = weakref.WeakValueDictionary()
        """By the address of the value, which the guard keeps."""
        self._by_hash: weakref.WeakValueDictionary[int, Guard] = weakref.WeakValueDictionary()
        """Those at which newcomers may stand."""
        self._inherited: weakref.WeakSet[Guard] = weakref.WeakSet()
        """Those of values that were in use at a fork, in the child."""
        self.due: deque[tuple[int, Gone]] = deque()
        """What is to be told, and its number."""
        renew(Stage.FLIGHTS, self)

    # -- the life of a lease

    def begin(self, key: Hashable) -> Hold:
        """Stand at *key*, before anything is looked up."""
        code = hash(key)
        with self.lock:
            guard = self._by_hash.get(code)
            if guard is None:
                guard = self._by_hash[code] = Guard()
            elif guard.untold:
                guard.newer = guard = self._by_hash[code] = Guard()
            hold = Hold(guard)
            self._holds.add(hold)
            return hold

    def held_at(self, hold: Hold) -> list[Gone]:
        """What left since *hold* stands at its key, the latest last."""
        with self.lock:
            return [] if hold.guard is None else [untold.item for untold in hold.guard.all_untold()]

    def lend(self, hold: Hold, value: Any) -> None:
        """Let *hold* have *value* in use, and tell what was held for it and is another."""
        now = self.clock.read()
        gone = Departures()
        try:
            self._lend(hold, value, now, gone)
            self._tell_due(gone)
        except BaseException:
            self._tell_due(gone)
            raise

    def _lend(self, hold: Hold, value: Any, now: float, gone: Departures) -> None:
        mine: list[Untold] = []
        guards: list[Guard] = []
        with self.lock:
            try:
                guards.append(self._by_value.get(id(value)) or self._by_value.setdefault(id(value), Guard(value)))
                if hold.guard is not None:
                    mine += _untold_of(hold.guard, value)
                _at_once(
                    (list.extend, guards[0].untold, mine),
                    (setattr, hold, "began", now),
                    (setattr, hold, "guard", guards[0]),
                )
            finally:  # a traceback is to hold none of them
                mine.clear()
                guards.clear()
            self._take_due(gone)

    def end(self, hold: Hold, gone: Departures) -> None:
        """End a lease, and tell what is due for that; goes on where it was interrupted if it is called again.

        Args:
            hold: The lease.
            gone: Gets what is told.
        """
        spared: list[Any] = []  # its value is let go of without the lock
        with self.lock:
            others_may_hold = hold.guard is not None and bool(hold.guard.untold)
            self._let_go(hold, spared)
            hold.began = None
            if not gone.is_ready:
                self._take_due(gone)
        self._tell_due(gone)
        if others_may_hold and self._timeout_s is not None:
            self.overrule()

    def _let_go(self, hold: Hold, spared: list[Any]) -> None:
        if hold.guard is not None:
            spared.append(hold.guard.value)
            hold.guard = None

    # -- what leaves

    def tell(self, gone: Departures, reveal: Reveal) -> None:
        """Tell what left, but for what is in use; it goes on where it was interrupted if it is called again."""
        listener = self.listener
        if listener is None:
            return
        if not gone.is_ready:
            items = [(item, shown) for item in gone for shown in listener.shown([item], reveal)]
            held = self._keep_back(gone, items, listener.hears)
            if held and self._timeout_s is not None:
                self.overrule()
        listener.tell(gone, list)  # it is settled what
        self.tell_due()

    def _keep_back(self, gone: Departures, items: list[tuple[Gone, Gone]], hears: Callable[..., object]) -> bool:
        """Settle what is told, and have the rest held by those who have it in use, in one step; whether any is."""
        steps: list[tuple[Any, ...]] = []
        with self.lock:
            try:
                # no loop here: 3.12 leaves some of its instructions outside of the with statement
                told = self._not_held_back(items, steps)
                gone.make_ready(hears, told, steps)
                return bool(steps)
            finally:  # a traceback is to hold none of it
                steps.clear()

    def _not_held_back(self, items: list[tuple[Gone, Gone]], steps: list[tuple[Any, ...]]) -> list[Gone]:
        """What is told now; for the rest, the steps to hold it."""
        return [shown for item, shown in items if not self._hold_back(item, steps)]

    def _hold_back(self, item: Gone, steps: list[tuple[Any, ...]]) -> bool:
        """Add the steps that have all hold *item* who may have its value in use; whether there are any."""
        guards = [self._by_value.get(id(item[1])), self._by_hash.get(hash(item[0]))]
        try:
            held_in = [guard.untold for guard in guards if guard is not None]
        finally:  # a traceback is to hold none of them
            guards.clear()
        if not held_in:
            return False
        steps += self._steps_to_hold(item, held_in)
        return True

    def _steps_to_hold(self, item: Gone, held_in: list[list[Untold]]) -> list[tuple[Any, ...]]:
        untold = Untold(item)
        fall = functools.partial(self.due.append, (next(_numbers), item))
        return [
            *((list.append, untolds, untold) for untolds in held_in),
            (setattr, untold, "fall", fall),
            (setattr, untold, "bell", Bell(self.tell_unasked)),
        ]

    def unstored(self, item: Gone) -> None:
        """Have those who stand at its key hold what was loaded and could not be stored; called under the lock.

        It is told at the end of the last lease of it.  Without a lease nobody is told, as ever.
        """
        guard = self._by_hash.get(hash(item[0]))
        if guard is not None and self.listener is not None:
            _at_once(*self._steps_to_hold(item, [guard.untold]))

    def tell_due(self) -> None:
        """Tell what is due."""
        if not self.due:
            return
        gone = Departures()
        try:
            with self.lock:
                self._take_due(gone)
            self._tell_due(gone)
        except BaseException:
            self._tell_due(gone)
            raise

    def tell_unasked(self) -> None:
        """Tell what is due, at any point of any thread: so not under the lock, and without waiting for it.

        Whatever comes next does it else.
        """
        if self.lock._is_owned():  # type: ignore[attr-defined]
            return
        took: list[bool] = []
        gone = Departures()
        try:
            try:
                took.extend(map(self.lock.acquire, (False,)))  # taken and noted in one step
                if True in took:
                    self._take_due(gone)
            finally:
                if True in took:
                    self.lock.release()
            self._tell_due(gone)
        except BaseException:
            self._tell_due(gone)
            raise

    def _take_due(self, gone: Departures) -> None:
        gone.extend(map(deque.popleft, itertools.repeat(self.due, len(self.due))))  # one step, which loses none

    def _tell_due(self, gone: Departures) -> None:
        if gone and self.listener is not None:
            self.listener.tell(gone, self._for_good)

    def _for_good(self, gone: list[Any]) -> list[Gone]:
        """Those that have not been put again meanwhile; of one that left twice since, the last departure."""
        last = {(id(item[1]), item[0]): item for _, item in sorted(gone, key=itemgetter(0))}
        left = [item for item in last.values() if not self._is_back(item)]
        return [] if self.listener is None else self.listener.shown(left, self.reveal)

    def _is_back(self, item: Gone) -> bool:
        store = self._store()
        try:
            entry = None if store is None else store.index.get(item[0])
        except Exception:  # a comparison of the user's: it keeps nothing from being told
            return False
        return entry is not None and entry.value is item[1]

    # -- leases without end

    def overrule(self) -> None:
        """Have ``on_evict`` told of what only leases older than the timeout keep back."""
        self.tell_due()
        if self._timeout_s is None:
            return
        oldest = self.clock.read() - self._timeout_s
        spared: list[Any] = []
        gone = Departures()
        try:
            with self.lock:
                self._let_go_of_overdue(oldest, spared)
                self._take_due(gone)
            self._warn(gone)
            self._tell_due(gone)
        except BaseException:
            self._tell_due(gone)
            raise

    def _let_go_of_overdue(self, oldest: float, spared: list[Any]) -> None:
        holds = [(hold, hold.guard) for hold in self._under_way() if hold.guard is not None and hold.guard.untold]
        young = {id(guard) for hold, guard in holds if hold.began is not None and hold.began > oldest}
        for hold, guard in holds:
            if id(guard) not in young:
                self._let_go(hold, spared)

    def _warn(self, gone: Departures) -> None:
        if gone and self.listener is not None:
            self.listener.counts.overruled += len(gone)
            log.warning(
                "%s: on_evict is called for %s still leased, since lease_timeout (%s) is over; end leases earlier, or "
                "allow more time",
                self.listener.name,
                "a value that is" if len(gone) == 1 else f"{len(gone)} values that are",
                format_seconds(self._timeout_s or 0.0),
            )

    # -- what is seen, and other clocks and processes

    def _under_way(self) -> list[Hold]:
        return [hold for hold in self._holds if hold.began is not None]

    def now(self, now: float) -> Leased:
        """What is leased now."""
        with self.lock:
            begun = self._begun()
        return Leased(len(begun), max(0.0, now - min(begun)) if begun else None)

    def _begun(self) -> list[float]:
        return [hold.began for hold in self._holds if hold.began is not None]

    def follow(self, now: float) -> None:
        """Go by another clock: what began later than it shows counts as begun now."""
        with self.lock:
            self._begin_by(now)

    def _begin_by(self, now: float) -> None:
        for hold in self._under_way():
            if hold.began is not None:
                hold.began = min(hold.began, now)

    def renew(self) -> None:
        """Forget, in a forked child, the leases of threads that are not there; what left is the parent's to tell."""
        me = thread_ident()
        for hold in list(self._holds):
            if hold.thread != me:
                hold.guard = hold.began = None
        for guard in (*self._by_value.values(), *self._by_hash.values()):
            guard.let_be()
        self.due.clear()
        self._inherited = weakref.WeakSet(self._by_value.values())

    def forget_inherited(self) -> None:
        """Tell nobody of what left in this child and is the parent's."""
        with self.lock:
            for guard in list(self._inherited):
                guard.let_be()


def _at_once(*steps: tuple[Any, ...]) -> None:
    """Call functions in C, each with its arguments; no exception strikes in between."""
    deque(itertools.starmap(call, steps), 0)


def _untold_of(guard: Guard, value: Any) -> list[Untold]:
    """What is not told yet of one value, among what the guard of its key has."""
    return [untold for untold in guard.all_untold() if untold.item[1] is value]

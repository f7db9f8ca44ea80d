"""What the line has read, and whom it concerns: functions that follow, and callers who wait for other processes.

Invariants

- ``place`` moves on when what was read up to it has been applied, and not before: whatever strikes, the next reader
  begins with the message that may not have been.
- It moves from the place that was known as a message was read; a reader that was given up moves nothing any more.
- What could not be applied, whatever that raised, is a gap; a gap drops everything.
- ``known`` is the latest message of which this process, or one that it was forked from, must not be told anything
  older.  It is noted before whoever said it goes on, and given up only once a server that does not have it hands out
  nothing that was stored before.  What was said of changes in an earlier era counts as not delivered.
- Nothing of others is called under the lock.
"""

import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

from memo._base import Seldom, rlock
from memo.shared._gaps import Place, is_after, is_known, missed, place_of
from memo.shared._messages import ALL, DONE, DROP, NOTHING, Known, Log, Said
from memo.shared._scripts import Where

__all__ = ("Follower", "Reader")

log = logging.getLogger("memo")


class Follower(Protocol):
    """The results of one function in this process.  Called by the tier's thread, under no lock."""

    def drop_digests(self, digests: Sequence[bytes]) -> None:
        """Drop the keys of these digests."""
        ...

    def drop_tag(self, digest: bytes) -> None:
        """Drop what bears the tag of this digest."""
        ...

    def drop_all(self) -> None:
        """Drop everything."""
        ...

    def tidy(self, steps: int) -> None:
        """Forget what is not needed any more, in so many small steps."""
        ...


_Followers = dict[bytes, tuple["weakref.ref[Follower]", ...]]


class Reader:
    """Applies messages, and finds out what is missing.

    Args:
        name: The tier's, for messages.
        sender: Tells the id under which this process speaks.
    """

    def __init__(self, name: str, sender: Callable[[], bytes]) -> None:
        self.place: Place | None = None
        """How far the log was read; None before the first look at it."""
        self.was_missed = False
        """Whether somebody went on without the tier before that: what he loaded may be kept, and is not heard of."""
        self.epochs = 0
        """How often another epoch was taken for the present one."""
        self.sent = 0
        self.received = 0
        self.gaps = 0
        self.name = name
        self._sender = sender
        self.known = NOTHING
        """The latest message that was read, or said by this process; guarded by ``_lock``."""
        self._warned = Seldom()
        self._lock = rlock()  # guards what follows, and the moves of ``place``
        self._told: tuple[bytes, bytes] | None = None
        """Position and sender of the latest message that this process said of a change, in this era."""
        self._followers: _Followers = {}
        """By their labels: several of one, if a function was decorated anew and the former one lives on."""
        self._expecting: dict[tuple[bytes, bytes], dict[object, Callable[[], object]]] = {}

    def renew(self) -> None:
        """In a forked child: those who waited are not there."""
        self._lock = rlock()
        self._expecting = {}

    # -- who is concerned

    def follow(self, function: bytes, follower: Follower) -> None:
        """Have *follower* told of what changes, too, for as long as it lives."""
        with self._lock:
            self._followers[function] = (*self._followers.get(function, ()), weakref.ref(follower))

    def functions(self) -> list[bytes]:
        """The labels of all that follow."""
        return list(self._followers)

    def followers(self) -> list[Follower]:
        """All that follow."""
        return [one for function in self.functions() for one in self._followers_of(function)]

    def forget_gone(self) -> None:
        """Forget followers that live no more."""
        with self._lock:
            self._followers = _living(self._followers)

    def _followers_of(self, function: bytes) -> list[Follower]:
        found = [ref() for ref in self._followers.get(function, ())]
        return [one for one in found if one is not None]

    def expect(self, function: bytes, digest: bytes, call: Callable[[], object]) -> Callable[[], None]:
        """Have *call* called once, as soon as a load of the key has ended elsewhere, or may have.

        It is called in the tier's thread, must not block, and raises nothing.  Returns what takes this back.
        """
        subject, mark = (function, digest), object()

        def cancel() -> None:
            try:
                self._expect_no_more(subject, mark)
            except BaseException:  # struck: it would be kept until something is said of the key
                self._expect_no_more(subject, mark)
                raise

        try:
            with self._lock:
                self._expecting.setdefault(subject, {})[mark] = call
        except BaseException:  # struck: nobody will have what takes it back
            self._expect_no_more(subject, mark)
            raise
        return cancel

    def _expect_no_more(self, subject: tuple[bytes, bytes], mark: object) -> None:
        with self._lock:
            waiting = self._expecting.get(subject)
            if waiting is not None:
                waiting.pop(mark, None)
                if not waiting:
                    del self._expecting[subject]

    def call_all(self) -> None:
        """Call all who wait: nothing will come for them, or it may have come unheard."""
        with self._lock:
            waiting, self._expecting = self._expecting, {}
        for calls in waiting.values():
            self._call(calls)

    # -- what this process said

    def told(self, log: Log, position: bytes) -> bool:
        """Note that a change was said, as a message at *position*.

        Returns:
            False: what was known as it was sent was lost since, and it may be, too.  It is to be said once more.
        """
        with self._lock:
            if log.known.era != self.known.era:
                return False
            if self._told is None or is_after(position, self._told[0]):
                self._told = (position, log.sender)
                self._know(self.known.era)
        return True

    def _know(self, era: int) -> None:
        """Lock held."""
        place, told = self.place, self._told
        latest = told
        if place is not None and place.sender and (told is None or is_after(place.at, told[0])):
            latest = (place.at, place.sender)
        self.known = Known(b"" if latest is None else b" ".join(latest), era, told is not None)

    # -- what was read

    def begin(self, there: Where) -> None:
        """Read the log from its present end on; what was kept unheard of what others said is dropped."""
        if self.was_missed:
            self.was_missed = False
            self.gap("it could not be read before", place_of(there))
            return
        self._move(None, place_of(there))

    def move(self, known: Place, there: Where) -> None:
        """Nothing lies between *known* and the end of the log, whose position may be another one nevertheless."""
        self._move(known, place_of(there))

    def take(self, message: Said) -> None:
        """Apply the next message; nothing, if a gap that was found meanwhile has dropped what it is about."""
        known = self.place
        if known is None or is_known(known, message):
            return
        why = missed(known, message)
        if why is not None:
            self.gap(why, place_of(message))
            return
        try:
            self._apply(message)
        except BaseException:  # SystemExit of a callback too: it would end the thread, and nothing else
            log.exception("tier %r: a message could not be applied", self.name)
            self.gap(f"message {message.n} could not be applied", place_of(message))
        else:
            self._move(known, place_of(message))

    def gap(self, why: str, place: Place, *, is_lost: bool = False) -> None:
        """Messages were lost: drop everything, and read on after *place*, which was known before this.

        Args:
            why: For the log.
            place: Where to read on.
            is_lost: The server has lost what was known, and all values.
        """
        known = self.place
        self.gaps += 1
        if self._warned.is_due():
            log.warning("tier %r: what was said in between is lost, all stores are emptied: %s", self.name, why)
        for follower in self.followers():
            try:
                follower.drop_all()
            except BaseException:
                log.exception("tier %r: a store could not be emptied", self.name)
        self._move(known, place, is_lost)
        self.call_all()

    def _move(self, known: Place | None, place: Place, is_lost: bool = False) -> None:
        with self._lock:
            if self.place is known:
                if known is not None and known.epoch != place.epoch:
                    self.epochs += 1
                self.place = place
                if is_lost:
                    self._told = None
                self._know(self.known.era + is_lost)

    def _apply(self, message: Said) -> None:
        is_own = message.sender == self._sender()
        if is_own:
            self.sent += 1
        else:
            self.received += 1
            self._drop(message)
        self._tell(message)

    def _drop(self, message: Said) -> None:
        if message.kind == DONE:
            return
        if message.function:
            for follower in self._followers_of(message.function):
                if message.kind == ALL:
                    follower.drop_all()
                else:
                    follower.drop_digests(message.digests)
            return
        for follower in self.followers():
            for digest in message.digests:
                follower.drop_tag(digest)

    def _tell(self, message: Said) -> None:
        if not self._expecting:
            return
        if message.kind not in (DONE, DROP):
            self.call_all()
            return
        for digest in message.digests:
            with self._lock:
                calls = self._expecting.pop((message.function, digest), None)
            if calls is not None:
                self._call(calls)

    def _call(self, calls: dict[object, Callable[[], object]]) -> None:
        for call in list(calls.values()):
            try:
                call()
            except Exception:
                log.exception("tier %r: a caller that waits could not be told", self.name)


def _living(followers: _Followers) -> _Followers:
    living = {function: tuple(filter(_lives, refs)) for function, refs in followers.items()}
    return {function: refs for function, refs in living.items() if refs}


def _lives(ref: "weakref.ref[Follower]") -> bool:
    return ref() is not None

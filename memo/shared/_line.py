"""The line of one tier: what this process hears from others, and what it tells them, through one thread.

A forked child speaks under an id of its own, has no leases, and reads the log on from where its parent stood: its
copies of the stores are as old.
"""

import atexit
import contextlib
import weakref
from collections.abc import Callable, Sequence
from multiprocessing import parent_process, util
from typing import Any, Literal

from memo._base import Bell, ReadClock, counted, real
from memo.errors import SharedTimeout
from memo.shared._breaker import Breaker
from memo.shared._gaps import Place, has_more
from memo.shared._held import Held, Lease
from memo.shared._line_thread import BEHIND_S, LineThread
from memo.shared._line_waits import wait, wait_awaited
from memo.shared._messages import Log
from memo.shared._names import Names
from memo.shared._pending import Change, Pending
from memo.shared._reader import Follower, Reader
from memo.shared._runner import LineCounts, Runner
from memo.shared._scripts import Where, new_id, where
from memo.shared._silent_forks import SilentForks
from memo.shared._unreachable import Unreachable
from memo.shared._wire import Wire

__all__ = ("Line",)


class Line:
    """What connects the functions of one tier in this process with those of others.  Safe from any thread.

    Args:
        owner: The tier; when it is collected, the thread ends.
        name: What it is called in messages.
        wire: The way to the server.
        breaker: Tells whether the tier is down.
        names: What things are called there.
        log_size: How many messages the server keeps, about.
        timeout_s: How long the server may take for an answer.
        clock: Tells the time.
    """

    def __init__(
        self,
        owner: object,
        name: str,
        wire: Wire,
        breaker: Breaker,
        names: Names,
        *,
        log_size: int,
        timeout_s: float,
        clock: ReadClock = real.monotonic,
    ) -> None:
        self.name = name
        self._forks = SilentForks()
        self._owner = weakref.ref(owner, _ringer(weakref.ref(self)))
        self._wire = wire
        self._breaker = breaker
        self._names = names
        self._log_size = log_size
        self._timeout_s = timeout_s
        self._clock = clock
        self._bell = Bell()
        """Rung at each change that callers may wait for."""
        self._log = Log(names.log, names.sequence, log_size, new_id())
        self._counts = LineCounts()
        self._thread = LineThread(name, self._runner, self._owner, self._changed, self._counts, timeout_s, clock)
        self._reader = Reader(name, lambda: self._log.sender)
        self._pending = Pending(self._reader.functions)
        self._held = Held(clock, self._thread.ring)
        breaker.on_open(self._thread.ring)
        _all.add(self)

    # -- the thread

    def begin(self) -> None:
        """Have the thread at work, if one can be started; cheap if it is."""
        self._forks.look(self.renew)
        self._thread.begin()

    def close(self) -> None:
        """End the thread, which gives leases back, and wait for that, not long.  Once more does no harm."""
        self._thread.close()
        self._bell.ring()

    def renew(self) -> None:
        """Go on in a forked child."""
        self._bell = Bell()
        self._counts.connected = 0
        self._log = self._log._replace(sender=new_id())
        self._held.forget_all()
        self._reader.renew()
        self._pending.put_no_more()
        self._thread.renew()
        self._forks.told()

    def _runner(self, is_wanted: Callable[[Runner], bool], begins_with_gap: str | None) -> Runner:
        return Runner(
            wire=self._wire,
            breaker=self._breaker,
            names=self._names,
            log_of=lambda: self.log,
            reader=self._reader,
            pending=self._pending,
            held=self._held,
            timeout_s=self._timeout_s,
            counts=self._counts,
            clock=self._clock,
            changed=self._changed,
            is_wanted=is_wanted,
            begins_with_gap=begins_with_gap,
        )

    def _changed(self) -> None:
        self._bell.ring()

    # -- what it hears

    def follow(self, function: bytes, follower: Follower) -> None:
        """Have *follower* told of what changes elsewhere, too, for as long as it lives."""
        self._reader.follow(function, follower)

    def expect(self, function: bytes, digest: bytes, call: Callable[[], object]) -> Callable[[], None]:
        """Have *call* called once, as soon as a load of the key has ended elsewhere, or may have.

        To be asked before the server is, since it may end before the server's answer is here.  *call* is called in the
        tier's thread under no lock, must not block, and raises nothing.  Returns what takes this back.
        """
        return self._reader.expect(function, digest, call)

    # -- what it tells

    @property
    def log(self) -> Log:
        """Where messages go, under which id, and what a server must have to be told or asked something."""
        log, known = self._log, self._reader.known
        return log if log.known is known else log._replace(known=known)

    def told(self, log: Log, position: bytes) -> bool:
        """Note that a change was said as *log* told, as a message at *position*; False: it is to be said once more."""
        return self._reader.told(log, position)

    def say(self, change: Change) -> None:
        """Have *change* sent by the thread, as soon as that can be; never waits for the server."""
        if self._thread.is_closed:
            return
        self._forks.look(self.renew)
        if change.put is not None and self._breaker.is_open:
            change = change._replace(put=None)
        self._pending.add(change)
        self.begin()
        self._thread.ring()

    def hold(self, lease: Lease) -> None:
        """Renew *lease*, which was granted, until it is let go or released."""
        self._held.hold(lease)

    def is_held(self, lease: Lease) -> bool:
        """Whether *lease* is renewed, which was to be held: it was not lost, and nobody has ended it."""
        return lease in self._held

    def let_go(self, lease: Lease) -> None:
        """Forget *lease*, which has ended on the server."""
        self._held.let_go(lease)

    def release(self, lease: Lease) -> None:
        """Give *lease* back, whether or not it was granted.  Takes no lock, never waits; once more does no harm."""
        self._held.release(lease)

    # -- waiting for it

    def settled(self, function: bytes, digest: bytes | None, tags: Sequence[bytes], timeout_s: float) -> bool:
        """Whether the server may be asked for a key: the line is at work, and has delivered what was said of it.

        Args:
            function: The label of the function.
            digest: Of the key; None: of no key of the function anything may be pending.
            tags: Their digests.
            timeout_s: How long to wait for that; 0, not at all, is for changes, which are said then.
        """
        self.begin()
        if self._is_settled(function, digest, tags):
            return True
        if wait(self._bell, lambda: self._is_settled(function, digest, tags), self._is_hopeless, timeout_s):
            return True
        self._went_on_without(timeout_s)
        return False

    async def settled_awaited(
        self, function: bytes, digest: bytes | None, tags: Sequence[bytes], timeout_s: float
    ) -> bool:
        """The same, in any event loop."""
        self.begin()
        if self._is_settled(function, digest, tags):
            return True
        is_settled = await wait_awaited(
            self._bell, lambda: self._is_settled(function, digest, tags), self._is_hopeless, timeout_s
        )
        if not is_settled:
            self._went_on_without(timeout_s)
        return is_settled

    def noticed(self, log: Log, timeout_s: float) -> bool:
        """Whether what a server lacks, which was asked as *log* tells, is dealt with: it may be asked once more."""
        self.begin()
        return wait(self._bell, lambda: self._reader.known.era != log.known.era, self._is_hopeless, timeout_s)

    async def noticed_awaited(self, log: Log, timeout_s: float) -> bool:
        """The same, in any event loop."""
        self.begin()
        return await wait_awaited(
            self._bell, lambda: self._reader.known.era != log.known.era, self._is_hopeless, timeout_s
        )

    def attend(self, timeout_s: float) -> None:
        """Be at work, since something is kept from now on that others may change, though the server is not asked.

        Args:
            timeout_s: How long to wait for that; what is kept before is dropped once the log is read.
        """
        self.begin()
        if not self._has_place() and not wait(self._bell, self._has_place, self._is_hopeless, timeout_s):
            self._reader.was_missed |= not self._has_place()

    async def attend_awaited(self, timeout_s: float) -> None:
        """The same, in any event loop."""
        self.begin()
        if not self._has_place() and not await wait_awaited(self._bell, self._has_place, self._is_hopeless, timeout_s):
            self._reader.was_missed |= not self._has_place()

    def _went_on_without(self, timeout_s: float) -> None:
        """Note that somebody, who would have waited so long, will load and keep what is not heard of yet."""
        if timeout_s > 0.0 and self._reader.place is None:
            self._reader.was_missed = True

    def _is_settled(self, function: bytes, digest: bytes | None, tags: Sequence[bytes]) -> bool:
        return (
            self._reader.place is not None
            and not self._thread.is_closed
            and self._pending.is_settled(function, digest, tags)
        )  # fmt: skip

    def _has_place(self) -> bool:
        return self._reader.place is not None

    def _is_hopeless(self) -> bool:
        """Whether a caller need not wait, since the tier is down."""
        runner = self._thread.runner
        is_failing = runner is None or (self._reader.place is None and runner.is_failing)
        return self._is_over() or self._breaker.is_open or is_failing

    def _is_over(self) -> bool:
        """Whether nobody need wait at all: nothing comes any more, or only once the caller has come to an end."""
        return self._thread.is_closed or self._thread.is_here()

    def catch_up(self, timeout_s: float) -> None:
        """Wait until everything has been read that was said until now.

        Raises:
            SharedTimeout: That took longer, or the server cannot be reached.
        """
        ends = real.monotonic() + timeout_s
        self.begin()
        while True:
            epochs = self._reader.epochs
            try:
                there = self._wire.run(where(self.log))
            except Unreachable as failure:
                raise SharedTimeout(
                    f"catch_up: {failure}; what others have said meanwhile is not known.", timeout_s
                ) from None

            def has_read(there: Where = there, epochs: int = epochs) -> bool:
                return self._has_read(there) or self._reader.epochs != epochs

            runner = self._thread.runner
            if runner is not None and not has_read():
                runner.is_asked = True
                self._thread.ring()
            if not wait(self._bell, has_read, self._is_over, ends - real.monotonic()):
                raise SharedTimeout(
                    f"catch_up: the log was not read to its end within timeout={timeout_s:g} seconds; "
                    f"the tier is {self.state!r}.",
                    timeout_s,
                )
            if self._has_read(there):
                return

    def _has_read(self, there: Where) -> bool:
        place = self._reader.place
        return place is not None and place.epoch == there.epoch and not has_more(place, there)

    def flush(self, timeout_s: float) -> None:
        """Wait until everything has been delivered that was said until now.

        Raises:
            SharedTimeout: That took longer.
        """
        number = self._pending.latest()
        if not self._pending:
            return
        self.begin()
        self._thread.ring()
        if not wait(self._bell, lambda: self._pending.is_settled_up_to(number), self._is_over, timeout_s):
            raise SharedTimeout(
                f"flush: {counted(len(self._pending), 'change')} of this process could not be delivered within "
                f"timeout={timeout_s:g} seconds; the tier is {self.state!r}. Delivery goes on.",
                timeout_s,
            )

    # -- what is shown of it

    @property
    def place(self) -> Place | None:
        """How far the log was read; None before the first look at it."""
        return self._reader.place

    @property
    def state(self) -> Literal["up", "behind", "down"]:
        """See ``Tier.state``."""
        if self._thread.is_closed or self._breaker.is_open:
            return "down"
        if not self._thread.has_begun:
            return "up"
        is_late = self._clock() - self._counts.answered_at > BEHIND_S
        return "behind" if self._thread.runner is None or self._reader.place is None or is_late else "up"

    def figures(self) -> dict[str, Any]:
        """What ``TierStats`` shows of it, by the names there."""
        counts, reader, runner = self._counts, self._reader, self._thread.runner
        return {
            "line_connections": int(runner is not None and runner.is_connected),
            "state": self.state,
            "sent": reader.sent,
            "received": reader.received,
            "lag": None if reader.place is None else max(0.0, self._clock() - counts.proved_at),
            "gaps": reader.gaps,
            "reconnects": max(0, counts.connected - 1),
            "opened": self._breaker.opened,
            "pending": len(self._pending),
            "replayed": counts.replayed,
            "overflowed": self._pending.overflowed,
            "leases": len(self._held),
            "lost_leases": self._held.lost,
        }


def _ringer(line: "weakref.ref[Line]") -> Callable[[object], None]:
    """The tier was collected, in whatever thread, which may hold any lock: wakes ours, which takes none."""

    def ring(_: object) -> None:
        here = line()
        if here is not None:
            here._thread.ring()

    return ring


_all: "weakref.WeakSet[Line]" = weakref.WeakSet()


def _at_exit() -> None:
    """Let no thread be frozen by the interpreter's end while it holds a lock, and give back what it holds."""
    for line in list(_all):
        with contextlib.suppress(Exception):
            line.close()


def _in_a_worker(_: object = None) -> None:
    """The same for a process of multiprocessing that was forked: it ends past ``atexit``, after its finalizers."""
    util.Finalize(None, _at_exit, exitpriority=0)


atexit.register(_at_exit)
util.register_after_fork(_at_exit, _in_a_worker)  # called after the child has forgotten the finalizers of its parent
if parent_process() is not None:
    _in_a_worker()

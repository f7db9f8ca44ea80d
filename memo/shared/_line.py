"""The line of one tier: what this process hears from others, and what it tells them, through one thread.

Invariants

- There is one ``Runner`` at most whose work counts, ``_runner``; one that finds another there ends.  A runner that
  ended against its will, or does not turn to its work for long, is replaced by whoever calls next; what was read counts
  as lost then.  While one hangs that was replaced (in a callback of a store, say), the next one is not.
- Callers wait at ``_bell``, each at a gate of its own, and hold no lock meanwhile.
- A forked child speaks under an id of its own, has no leases, and reads the log on from where its parent stood: its
  copies of the stores are as old.  Hits ask nobody, so its thread is started at once if its parent had one.
"""

import asyncio
import atexit
import contextlib
import logging
import math
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal

from memo._base import Bell, ReadClock, call_elsewhere, call_in, finish, real, rlock, start
from memo.errors import SharedTimeout
from memo.shared._breaker import Breaker
from memo.shared._gaps import Place, has_more
from memo.shared._held import Held, Lease
from memo.shared._messages import Log
from memo.shared._names import Names
from memo.shared._pending import Change, Pending
from memo.shared._reader import Follower, Reader
from memo.shared._runner import LineCounts, Runner
from memo.shared._scripts import Where, new_id, where
from memo.shared._unreachable import Unreachable
from memo.shared._wire import Wire

__all__ = ("Line",)

log = logging.getLogger("memo")

_BEHIND_S = 5.0
"""A line that had no answer for so long is behind; its thread, which turns every second, may hang."""
_PARTING = 3
"""How many answers of the server its end may take: one that is under way, what is pending, and what is held."""
_DOUBT_S = 1.0
"""For how long callers find it so before another thread takes over: a process that was paused reads on by itself."""


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
        self._owner = weakref.ref(owner, _ringer(weakref.ref(self)))
        self._wire = wire
        self._breaker = breaker
        self._names = names
        self._log_size = log_size
        self._timeout_s = timeout_s
        self._clock = clock
        self._bell = Bell()
        self._reader = Reader(name, lambda: self.log.sender)
        self._pending = Pending(self._reader.functions)
        self._held = Held(clock, self._ring)
        self._counts = LineCounts()
        self._is_closed = False
        self.log = Log(names.log, names.sequence, log_size, new_id())
        """Where messages go, and under which id."""
        self._lock = rlock()  # guards what follows
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None
        self._given_up: threading.Thread | None = None
        """A thread that was replaced while it hung."""
        self._doubted_at: float | None = None
        """When callers first found it behind."""
        self._has_begun = False
        breaker.on_open(self._ring)
        _all.add(self)

    # -- the thread

    def begin(self) -> None:
        """Have the thread at work; cheap if it is."""
        if self._runner is None or self._clock() - self._counts.turned_at > _BEHIND_S:
            self._begin()

    def _begin(self) -> None:
        if self._is_closed:
            return
        with self._lock:
            if self._runner is None:
                self._start("its thread had ended" if self._has_begun else None)
            elif self._is_hanging():
                self._given_up = self._thread
                self._start("its thread hung")

    def _start(self, begins_with_gap: str | None) -> None:
        """Start a thread, or leave things as they are.  Lock held."""
        runner = Runner(
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
            changed=self._bell.ring,
            is_wanted=self._is_wanted,
            begins_with_gap=begins_with_gap,
        )
        begun: list[int] = []
        thread = threading.Thread(target=self._run, args=(runner,), name="memo-shared", daemon=True)
        before = self._runner, self._thread
        try:
            self._counts.turned_at = self._counts.answered_at = self._clock()
            self._doubted_at = None
            self._runner, self._thread = runner, thread
            start(thread, begun)
        finally:
            if begun:
                self._has_begun = True
            else:
                self._runner, self._thread = before

    def _is_hanging(self) -> bool:
        """Whether callers have found for a while that it does not turn to its work.  Lock held."""
        now, turned_at = self._clock(), self._counts.turned_at
        if now - turned_at <= _BEHIND_S + 2 * self._timeout_s:  # within which it waits for answers
            self._doubted_at = None
            return False
        if self._doubted_at is None or turned_at > self._doubted_at:
            self._doubted_at = now
        hangs_already = self._given_up is not None and self._given_up.is_alive()
        return now - self._doubted_at >= _DOUBT_S and not hangs_already

    def _run(self, runner: Runner) -> None:
        try:
            runner.run()
            if self._runner is runner:
                runner.part()
        except BaseException:
            log.exception("tier %r: the thread that reads the log has ended; the next call begins another", self.name)
        finally:
            runner.leave()
            if self._runner is runner:
                self._runner = None
            self._bell.ring()

    def _is_wanted(self, runner: Runner) -> bool:
        return self._runner is runner and not self._is_closed and self._owner() is not None

    def _ring(self) -> None:
        """Wake the thread; takes no lock."""
        runner = self._runner
        if runner is not None:
            runner.ring()

    def close(self) -> None:
        """End the thread, which gives leases back, and wait for that, not long.  Once more does no harm."""
        self._is_closed = True
        thread = self._thread
        self._ring()
        self._bell.ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PARTING * self._timeout_s)

    def renew(self) -> None:
        """Go on in a forked child."""
        runner, self._runner, self._thread, self._given_up = self._runner, None, None, None
        self._lock = rlock()
        self._bell = Bell()
        self._doubted_at = None
        self._counts.connected = 0
        self.log = self.log._replace(sender=new_id())
        self._held.forget_all()
        self._reader.renew()
        self._pending.put_no_more()
        if runner is None:
            return
        runner.leave()
        self._has_begun = False  # nothing was lost: it reads on where its copy stood
        try:
            self.begin()
        except RuntimeError:
            log.exception(
                "tier %r: no thread can be started in the forked process; the next call tries again", self.name
            )

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

    def say(self, change: Change) -> None:
        """Have *change* sent by the thread, as soon as that can be; never waits for the server."""
        if self._is_closed:
            return
        if change.put is not None and self._breaker.is_open:
            change = change._replace(put=None)
        self._pending.add(change)
        self.begin()
        self._ring()

    def hold(self, lease: Lease) -> None:
        """Renew *lease*, which was granted, until it is let go or released."""
        self._held.hold(lease)

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
            timeout_s: How long to wait for that.
        """
        self.begin()
        if self._is_settled(function, digest, tags):
            return True
        return self._wait(lambda: self._is_settled(function, digest, tags), self._is_hopeless, timeout_s)

    async def settled_awaited(
        self, function: bytes, digest: bytes | None, tags: Sequence[bytes], timeout_s: float
    ) -> bool:
        """The same, in any event loop."""
        self.begin()
        if self._is_settled(function, digest, tags):
            return True
        return await self._wait_awaited(lambda: self._is_settled(function, digest, tags), timeout_s)

    def _is_settled(self, function: bytes, digest: bytes | None, tags: Sequence[bytes]) -> bool:
        return (
            self._reader.place is not None
            and not self._is_closed
            and self._pending.is_settled(function, digest, tags)
        )  # fmt: skip

    def _is_hopeless(self) -> bool:
        """Whether a caller need not wait, since the tier is down."""
        runner = self._runner
        is_failing = runner is None or (self._reader.place is None and runner.is_failing)
        return self._is_closed or self._breaker.is_open or is_failing

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

            runner = self._runner
            if runner is not None and not has_read():
                runner.is_asked = True
                self._ring()
            if not self._wait(has_read, lambda: self._is_closed, ends - real.monotonic()):
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
        self._ring()
        if not self._wait(lambda: self._pending.is_settled_up_to(number), lambda: self._is_closed, timeout_s):
            raise SharedTimeout(
                f"flush: {len(self._pending)} changes were not delivered within timeout={timeout_s:g} seconds; the "
                f"tier is {self.state!r}. They are sent as soon as it is up.",
                timeout_s,
            )

    def _wait(self, over: Callable[[], bool], hopeless: Callable[[], bool], seconds: float) -> bool:
        """Wait until *over*, so many seconds of real time at most; whether it is."""
        ends = real.monotonic() + seconds
        gate = self._bell.listen()
        while not over():
            left_s = ends - real.monotonic()
            if left_s <= 0 or hopeless():
                return False
            gate.wait(None if left_s == math.inf else left_s)
        return True

    async def _wait_awaited(self, over: Callable[[], bool], seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        ends = real.monotonic() + seconds
        while not over():
            future: asyncio.Future[None] = loop.create_future()
            gate = _LoopGate(loop, future)
            self._bell.tell(gate)
            left_s = ends - real.monotonic()
            if over():
                return True
            if left_s <= 0 or self._is_hopeless():
                return False
            timer = call_in(loop, left_s, finish, future)
            try:
                await future
            finally:
                timer.cancel()
        return True

    # -- what is shown of it

    @property
    def place(self) -> Place | None:
        """How far the log was read; None before the first look at it."""
        return self._reader.place

    @property
    def state(self) -> Literal["up", "behind", "down"]:
        """See ``Tier.state``."""
        if self._is_closed or self._breaker.is_open:
            return "down"
        if not self._has_begun:
            return "up"
        is_late = self._clock() - self._counts.answered_at > _BEHIND_S
        return "behind" if self._runner is None or self._reader.place is None or is_late else "up"

    def figures(self) -> dict[str, Any]:
        """What ``TierStats`` shows of it, by the names there."""
        counts, reader, runner = self._counts, self._reader, self._runner
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


class _LoopGate:
    """Where a coroutine waits until the line rings."""

    __slots__ = ("__weakref__", "_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
        self._loop = loop
        self._future = future

    def open(self) -> None:
        call_elsewhere(self._loop, finish, self._future)


def _ringer(line: "weakref.ref[Line]") -> Callable[[object], None]:
    """The tier was collected, in whatever thread, which may hold any lock: wakes ours, which takes none."""

    def ring(_: object) -> None:
        here = line()
        if here is not None:
            here._ring()

    return ring


_all: "weakref.WeakSet[Line]" = weakref.WeakSet()


def _at_exit() -> None:
    """Let no thread be frozen by the interpreter's end while it holds a lock, and give back what it holds."""
    for line in list(_all):
        with contextlib.suppress(Exception):
            line.close()


atexit.register(_at_exit)

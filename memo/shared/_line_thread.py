"""The thread of a line: started by whoever calls, and replaced where it died or hangs.

Invariants

- There is one ``Runner`` at most whose work counts, ``runner``; one that finds another there ends.
- A runner that ended against its will, or does not turn to its work for long, is replaced by whoever calls next; what
  was read counts as lost then.  While one hangs that was replaced (in a callback of a store, say), the next one is not.
- Starting is done whole or not at all.
"""

import logging
import threading
from collections.abc import Callable

from memo._base import ReadClock, Seldom, rlock, start
from memo.shared._runner import LineCounts, Runner

__all__ = ("BEHIND_S", "LineThread")

log = logging.getLogger("memo")

BEHIND_S = 5.0
"""A line that had no answer for so long is behind; its thread, which turns every second, may hang."""
_DOUBT_S = 1.0
"""For how long callers find it so before another thread takes over: a process that was paused reads on by itself."""
_PARTING = 3
"""How many answers of the server its end may take: one that is under way, what is pending, and what is held."""

MakeRunner = Callable[[Callable[[Runner], bool], str | None], Runner]
"""Makes a runner, of what tells whether it is wanted, and why it begins with a gap."""


class LineThread:
    """Keeps one thread at the work of a line.  Safe from any thread.

    Args:
        name: The tier's, for messages.
        make: Makes what the thread does.
        owner: Returns the tier; None: it was collected, and the thread ends.
        ended: Called when a thread has ended.
        counts: Tell when the thread last turned to its work.
        timeout_s: How long the server may take for an answer.
        clock: Tells the time.
    """

    def __init__(
        self,
        name: str,
        make: MakeRunner,
        owner: Callable[[], object],
        ended: Callable[[], object],
        counts: LineCounts,
        timeout_s: float,
        clock: ReadClock,
    ) -> None:
        self._name = name
        self._make = make
        self._owner = owner
        self._ended = ended
        self._counts = counts
        self._timeout_s = timeout_s
        self._clock = clock
        self._warned = Seldom()
        self.is_closed = False
        self.has_begun = False
        """Whether there ever was one, in this process."""
        self._lock = rlock()  # guards what follows
        self.runner: Runner | None = None
        """What the present one does; None: there is none."""
        self.thread: threading.Thread | None = None
        """The present one, or the last."""
        self.given_up: threading.Thread | None = None
        """One that was replaced while it hung."""
        self._doubted_at: float | None = None
        """When callers first found that it may hang."""

    def begin(self) -> None:
        """Have a thread at work, if one can be started; cheap if it is."""
        if self.runner is None or self._clock() - self._counts.turned_at > BEHIND_S:
            self._begin()

    def ring(self) -> None:
        """Wake it; takes no lock."""
        runner = self.runner
        if runner is not None:
            runner.ring()

    def is_here(self) -> bool:
        """Whether it is the one that asks."""
        return threading.current_thread() is self.thread

    def close(self) -> None:
        """End it, after it has given leases back, and wait for that, not long.  Once more does no harm."""
        self.is_closed = True
        thread = self.thread
        self.ring()
        if thread is not None and not self.is_here():
            thread.join(_PARTING * self._timeout_s)

    def renew(self) -> None:
        """Begin anew in a forked child, at once if there was a thread: hits, which ask nobody, rely on it."""
        runner, self.runner, self.thread, self.given_up = self.runner, None, None, None
        self._lock = rlock()
        self._doubted_at = None
        self.has_begun = False  # nothing was lost: the child reads on where its copy stood
        if runner is None:
            return
        runner.leave()
        try:
            self.begin()
        except RuntimeError:
            log.exception(
                "tier %r: no thread can be started in the forked process; the next call tries again", self._name
            )

    def _begin(self) -> None:
        if self.is_closed:
            return
        try:
            with self._lock:
                self._begin_anew()
        except RuntimeError as error:  # there are too many threads, or the interpreter is about to end
            if self._warned.is_due():
                log.warning("tier %r: its thread cannot be started, so it is not used: %s", self._name, error)

    def _begin_anew(self) -> None:
        """Lock held."""
        if self.runner is None:
            self._start("its thread had ended" if self.has_begun else None)
        elif self._is_hanging():
            self.given_up = self.thread
            self._start("its thread hung")

    def _start(self, begins_with_gap: str | None) -> None:
        """Start a thread, or leave things as they are.  Lock held."""
        runner = self._make(self._is_wanted, begins_with_gap)
        begun: list[int] = []
        thread = threading.Thread(target=self._run, args=(runner,), name="memo-shared", daemon=True)
        before = self.runner, self.thread
        try:
            self._counts.turned_at = self._counts.answered_at = self._clock()
            self._doubted_at = None
            self.runner, self.thread = runner, thread
            start(thread, begun)
        finally:
            if begun:
                self.has_begun = True
            else:
                self.runner, self.thread = before

    def _is_hanging(self) -> bool:
        """Whether callers have found for a while that it does not turn to its work.  Lock held."""
        now, turned_at = self._clock(), self._counts.turned_at
        if now - turned_at <= BEHIND_S + 2 * self._timeout_s:  # within which it waits for answers
            self._doubted_at = None
            return False
        if self._doubted_at is None or turned_at > self._doubted_at:
            self._doubted_at = now
        hangs_already = self.given_up is not None and self.given_up.is_alive()
        return now - self._doubted_at >= _DOUBT_S and not hangs_already

    def _run(self, runner: Runner) -> None:
        try:
            runner.run()
            if self.runner is runner:
                runner.part()
        except BaseException:
            log.exception("tier %r: the thread that reads the log has ended; the next call begins another", self._name)
        finally:
            runner.leave()
            if self.runner is runner:
                self.runner = None
            self._ended()

    def _is_wanted(self, runner: Runner) -> bool:
        return self.runner is runner and not self.is_closed and self._owner() is not None

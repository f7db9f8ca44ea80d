"""Threads for background loads of plain functions."""

import logging
import threading
from collections import deque
from collections.abc import Callable

from memo._base import Gate, Stage, real, renew, rlock, start

__all__ = ("RefreshPool", "is_ending")

log = logging.getLogger("memo")

_DEFAULT_THREADS = 4


_MOST_QUEUED = 1_000
"""Jobs that may wait for a thread; what comes then is refused, and its caller goes on without."""


_IDLE_S = 10.0
"""Seconds after which a thread without work ends."""


def is_ending() -> bool:
    """Whether the interpreter is about to end: whatever a load meets with now is no news."""
    main = threading.main_thread()
    # up to 3.12 is_alive(), struck by an exception, marks a thread as ended that goes on: the mark itself is read there
    ended = getattr(main, "_is_stopped", None)
    if ended is None:
        ended = not main.is_alive()
    return ended and all(thread.daemon or thread is main for thread in threading.enumerate())


class RefreshPool:
    """Daemon threads for background loads: started when there is work, ended when there is none.

    A thread whose load is past its timeout cannot be stopped; it no longer counts, so that a hung
    load keeps no other from running; nor does one that waits for another load.  At most as many
    threads again as the pool may have do not count at one time.  Safe from any thread; after
    ``os.fork()`` the child begins without threads.
    """

    configured: bool
    most: int

    def __init__(self) -> None:
        self.most = _DEFAULT_THREADS
        self.configured = False
        """Somebody said how many there may be."""
        self.renew()
        renew(Stage.POOLS, self)

    def renew(self) -> None:
        """Begin without threads and without jobs, as a forked child does: the lock is another one, too."""
        self._lock = rlock()
        self._queue: deque[_Item] = deque()  # guarded by _lock, as all below
        self._workers: set[threading.Thread] = set()
        self._idle: dict[Gate, None] = {}
        """Where threads wait that have nothing to do, and such as were just told."""
        self._until: dict[int, float] = {}
        """Of each thread that runs a job: when that is overdue, in real time."""

    @property
    def threads(self) -> int:
        """Threads there are now, those given up included."""
        return len(self._workers)

    @property
    def busy(self) -> int:
        """Threads that run a load now."""
        return len(self._until)

    @property
    def queued(self) -> int:
        """Loads that wait for a thread."""
        return len(self._queue)

    def resize(self, most: int) -> None:
        """Have at most so many threads from now on; surplus ones end after what they are doing."""
        with self._lock:
            self.most = most
            self.configured = True
            for gate in self._idle:
                gate.open()
        for _ in range(self.queued):
            self._grow()

    def submit(self, run: Callable[[], None], patience_s: float | None) -> bool:
        """Run *run*, which raises nothing, in a thread.

        Args:
            run: The work.  If this is interrupted, it is not run, unless a thread has begun already.
            patience_s: Seconds after which its thread counts as lost; None: never.

        Returns:
            Whether it will be run: not if too many wait already, or no thread can be started any more.
        """
        item = (run, patience_s)
        try:
            with self._lock:
                if len(self._queue) >= _MOST_QUEUED:
                    return False
                self._queue.append(item)
            self._grow()
            with self._lock:
                # without a thread, none could be started: the interpreter is about to end
                return bool(self._workers) or not self._withdraw(item)
        except BaseException:
            self._withdraw(item)
            raise

    def _withdraw(self, item: "_Item") -> bool:
        """Take *item* out of the queue; whether it was there still."""
        with self._lock:
            try:
                self._queue.remove(item)
            except ValueError:
                return False
            return True

    def stir(self) -> None:
        """Start a thread for a load that waits, if one that ran has become overdue meanwhile."""
        if self._queue:
            self._grow()

    def step_aside(self) -> float | None:
        """Have the present thread not count, while it waits for another load, which may need a thread itself.

        Returns:
            What ``come_back()`` is to be told; None: it is no thread of the pool.
        """
        me = threading.get_ident()
        with self._lock:
            until = self._until.get(me)
            if until is None:
                return None
            self._until[me] = -1.0
        self._grow()
        return until

    def come_back(self, until: float | None) -> None:
        """Have the present thread count again.  (It does so with its next load at the latest.)"""
        if until is not None:
            self._until[threading.get_ident()] = until

    def be_free(self) -> None:
        """Count the present thread as one whose job is over."""
        self._until.pop(threading.get_ident(), None)

    def _grow(self) -> None:
        """Start a thread if there is work that no other is free for."""
        with self._lock:
            for gate in list(self._idle)[: len(self._queue)]:
                gate.open()
            free = self.threads - self.busy  # those who have just begun, or just ended a job, come soon
            if len(self._queue) <= free or self.threads - self._lost() >= self.most:
                return
            worker = threading.Thread(target=self._serve, args=(self._lock,), name="memo-refresh", daemon=True)
            begun: list[int] = []
            try:
                self._workers.add(worker)
                start(worker, begun)
            except RuntimeError:
                pass
            finally:
                if not begun:
                    self._workers.discard(worker)

    def _lost(self) -> int:
        """How many threads do not count, since their load is overdue."""
        now = real.monotonic()
        return min(self.most, sum(until <= now for until in list(self._until.values())))

    def _serve(self, lock: threading.RLock) -> None:
        """Run jobs until there are none for a while."""
        me = threading.get_ident()
        gate = Gate()
        try:
            while (item := self._next(gate, me)) is not None:
                run = item[0]
                del item
                try:
                    run()
                except BaseException:
                    log.exception("a background load ended its thread's work")
                del run  # what it refers to must not live as long as an idle thread
                if lock is not self._lock:  # it forked, and this is the child: nothing here is about its threads
                    return
                self.be_free()
        finally:
            if lock is self._lock:
                self._forget(gate, me)

    def _next(self, gate: Gate, me: int) -> "_Item | None":
        """What to run next; None: the present thread, which waits at *gate*, has been forgotten and is to end."""
        told = True
        while True:
            with self._lock:
                self._idle.pop(gate, None)
                surplus = self.threads - self._lost() > self.most
                if surplus or not (told or self._queue):
                    self._forget(gate, me)
                    return None
                if self._queue:
                    item = self._queue.popleft()
                    self._until[me] = float("inf") if item[1] is None else real.monotonic() + item[1]
                    return item
                self._idle[gate] = None
            told = gate.wait(_IDLE_S)

    def _forget(self, gate: Gate, me: int) -> None:
        with self._lock:
            self._workers.discard(threading.current_thread())
            self._until.pop(me, None)
            self._idle.pop(gate, None)


_Item = tuple[Callable[[], None], float | None]

"""Waiting for others, and starting threads, so that an exception may strike anywhere.

A signal's exception, or one that another thread sets, strikes whenever a function written in Python begins, and after
each call of one written in C.  ``threading.Condition``, ``Event`` and ``Thread.start()`` are written in Python: cut
short, they leave a lock taken, or a thread that waits for ever for its beginning.  A gate is one lock that nobody but
its waiter waits for, so that whoever is struck here leaves nothing behind for others.

It strikes at jumps backward as well, and the compilers of 3.12 and 3.13 leave that of an ``if`` which ends a loop, or
stands in a comprehension, out of the ``with`` or ``try`` around it.  So under a lock such a loop is a function of its
own: what strikes there leaves by the call, which is within.
"""

import _thread
import sys
import threading
import weakref
from typing import Any

__all__ = ("Bell", "Gate", "Held", "start")


class Gate:
    """Where one thread waits until others let it through; closed again once it is through.  Open stays open."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # looked up now: where gevent patched it, a thread is a greenlet, too
        self._lock.acquire()

    def open(self) -> None:
        """Let the waiter through, now or as soon as it comes."""
        try:
            self._lock.release()
        except RuntimeError:  # it is open
            pass

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long at most, in real time; None: as long as it takes.  Whether the gate was open."""
        if seconds is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX)))


class Bell:
    """Tells several threads that something has changed.  It has no lock, and forgets who listens no more."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: set[weakref.ref[Any]] = set()

    def __len__(self) -> int:
        """How many listen."""
        return len(self._gates)

    def listen(self) -> Gate:
        """A gate that each ring opens, for as long as it is held.  Whether there is need to wait: look after this."""
        gate = Gate()
        self._gates.add(weakref.ref(gate, self._gates.discard))
        return gate

    def tell(self, gate: Any) -> None:
        """Have each ring open *gate*, one of another kind, for as long as it is held."""
        self._gates.add(weakref.ref(gate, self._gates.discard))

    def ring(self) -> None:
        """Open all gates: of those who have been listening until now."""
        for listener in list(self._gates):
            gate = listener()
            if gate is not None:
                gate.open()


class Held:
    """Locks that are taken one by one and given back together: what a fork does."""

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: list[Any] = []

    def take(self, lock: Any) -> None:
        """Take *lock*, in one step that also notes it."""
        self._locks.extend(zip((lock,), map(lock.acquire, (True,)), strict=True))

    def give_back(self) -> None:
        """Give all of them back; cut short, it can be done again."""
        while self._locks:
            lock = self._locks[-1][0]
            del self._locks[-1]
            lock.release()


def start(thread: threading.Thread, begun: list[int]) -> None:
    """Start *thread*, and return when it runs.

    Struck in the middle, it starts the thread all the same if *begun* has an item, and else not.

    Raises:
        RuntimeError: It cannot be started; *begun* is empty.
    """
    if sys.is_finalizing():  # 3.11 would make a thread that never runs, whose first step is waited for here
        raise RuntimeError("can't start a new thread: the interpreter is ending")
    gate = Gate()
    failed: list[RuntimeError] = []

    def begin() -> None:
        try:
            thread.start()
        except RuntimeError as error:
            failed.append(error)
        gate.open()

    # one call of C that starts a thread and notes it; in that thread no signal strikes
    begun.extend(map(_thread.start_new_thread, (begin,), ((),)))
    gate.wait()
    if failed:
        begun.clear()
        raise failed[0]

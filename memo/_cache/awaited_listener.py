"""``on_evict`` as a coroutine function: each call is a task of an event loop, and none is lost unheard of.

- The loop is the one that was named, else that on which the value was loaded, to which a client belongs.
- Calls are handed to their loop in the order in which the values left, and begin in that order.
- A call that its loop did not begin, or that was cancelled, is logged and counted.  A loop that is closed, or that
  dies, lets go of what it was handed: so the last reference to a call tells of it.
"""

import asyncio
import logging
import os
import weakref
from collections.abc import Callable
from typing import Any

from memo._base import short_text
from memo._cache.figures import CallCounts
from memo._cache.listener import Listener, Reveal
from memo._flight import outside_work
from memo._store import Departures, EvictionReason, Failure, Gone

__all__ = ("AwaitedListener", "EvictLoop", "loop_here")

log = logging.getLogger("memo")

EvictLoop = asyncio.AbstractEventLoop | Callable[[], asyncio.AbstractEventLoop] | None
"""What ``evict_loop=`` names: a loop, or a function that returns it when it is wanted."""


def loop_here() -> "weakref.ref[asyncio.AbstractEventLoop] | None":
    """The loop that runs in this thread, if one does."""
    try:
        return weakref.ref(asyncio.get_running_loop())
    except RuntimeError:
        return None


class _Errand:
    """One call of ``on_evict``."""

    __slots__ = ("_home", "_is_begun", "_key", "_listener", "_pid", "_reason", "_value", "is_sent")

    def __init__(self, listener: "AwaitedListener", key: Any, value: Any, reason: EvictionReason, home: Any) -> None:
        self._is_begun = self.is_sent = False
        self._pid = os.getpid()
        self._listener = listener
        self._key = key
        self._value = value
        self._reason = reason
        self._home = home

    def send(self) -> None:
        """Hand it to its loop; if it was handed over before and that is not known, it begins once all the same."""
        try:
            self._listener.loop_for(self._home).call_soon_threadsafe(self._begin)
        except Exception as error:
            self._is_begun = True
            self._listener.count_unheard(self._key, self._reason, str(error))
        self.is_sent = True

    def _begin(self) -> None:
        if self._is_begun:
            return
        self._is_begun = True
        try:
            self._listener.start(self._run())
        except BaseException:
            self._is_begun = False  # so that the end of it tells
            raise

    async def _run(self) -> None:
        listener, key, value, reason = self._listener, self._key, self._value, self._reason
        outside_work()
        try:
            await listener.on_evict(key, value, reason)
        except Exception as error:
            listener.log_failure(error, reason)

    def __del__(self) -> None:
        if getattr(self, "is_sent", False) and not self._is_begun and self._pid == os.getpid():
            self._listener.count_unheard(self._key, self._reason, "its event loop ended before")


class AwaitedListener(Listener):
    """``on_evict``, a coroutine function.

    Args:
        name: The function's qualified name, for messages.
        on_evict: Called with each key, value and reason, and awaited.
        counts: The counts of the function.
        evict_loop: The loop on which; None: that on which the value was loaded.
    """

    def __init__(
        self,
        name: str,
        on_evict: Callable[[Any, Any, EvictionReason], Any],
        counts: CallCounts,
        evict_loop: EvictLoop,
    ) -> None:
        super().__init__(name, on_evict, counts)
        self._evict_loop = evict_loop
        self._latest: Callable[[], asyncio.AbstractEventLoop | None] = _no_loop
        """The last loop on which a value was loaded, for those that were put where none ran."""
        self._tasks: set[asyncio.Task[None]] = set()
        """Those that run: the loop itself holds none."""

    @property
    def hears(self) -> Callable[..., object]:
        return _send

    def shown(self, gone: list[Gone], reveal: Reveal) -> list[Gone]:
        return [
            (_Errand(self, reveal(key), value, reason, home[0] if home else None), None, reason)
            for key, value, reason, *home in gone
            if type(value) is not Failure
        ]

    def tell(self, gone: Departures, prepared: Callable[[list[Gone]], list[Gone]]) -> None:
        gone.tell(_send, prepared, self.log_failure)
        for errand, *_ in gone.settled:
            if not errand.is_sent:  # it was struck
                errand.send()

    def loop_for(self, home: Any) -> asyncio.AbstractEventLoop:
        """The loop for a value that was loaded on that of *home*, a weak reference, or (None) where none ran.

        Raises:
            RuntimeError: There is none any more.
        """
        named = self._evict_loop
        if named is not None:
            return named if isinstance(named, asyncio.AbstractEventLoop) else named()
        for ref in (home,) if home is not None else (loop_here() or _no_loop, self._latest):
            loop: asyncio.AbstractEventLoop | None = ref()
            if loop is not None:
                return loop
        raise RuntimeError("the event loop that the value was loaded on is gone")

    def note_home(self, home: Any) -> None:
        """Note on which loop a value was just loaded."""
        if home is not None:
            self._latest = home

    def start(self, call: Any) -> None:
        """Run *call* in a task of the running loop."""
        try:
            task = asyncio.get_running_loop().create_task(call, name=f"on_evict of {self.name}")
        except BaseException:
            call.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self.counts.unheard += 1
            log.error("%s: on_evict was cancelled before it had ended; await f.cache.drain() before", self.name)

    def count_unheard(self, key: Any, reason: EvictionReason, why: str) -> None:
        """Count, and log, that ``on_evict`` cannot be called."""
        self.counts.unheard += 1
        log.error(
            "%s: on_evict was not called for the value of %s that left (%s): %s; before a loop ends, let its values "
            "leave (f.cache.clear()) and await f.cache.drain(), or name a loop that goes on with evict_loop=",
            self.name,
            short_text(key),
            reason,
            why,
        )

    async def drain(self) -> None:
        """Wait until no call of this loop is left."""
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        while True:
            await asyncio.sleep(0)  # what was handed over before this has begun then
            tasks = [task for task in list(self._tasks) if task.get_loop() is loop and task is not me]
            if not tasks:
                return
            await asyncio.wait(tasks)


def _send(errand: _Errand, _: object, reason: object) -> None:
    errand.send()


def _no_loop() -> None:
    return None

"""Those who wait for a flight, and how they are woken.

A waiter registers under the table's lock and then looks at ``state`` again before it waits; who ends a flight sets
``state`` and then looks at ``waiters``.  One of the two sees the other, so no wake-up is lost.
"""

import asyncio
import threading
from typing import Any

from memo._base import call_elsewhere, finish
from memo._flight.flight import InFlight

__all__ = ("add_waiter", "remove_waiter", "running_loop", "wake", "wake_all", "wake_ended")


def add_waiter(flight: InFlight, waiter: Any) -> None:
    """Have *waiter* woken when *flight* ends; called with the table's lock held."""
    if flight.waiters is None:
        flight.waiters = {}
    flight.waiters[waiter] = None


def remove_waiter(flight: InFlight, waiter: Any) -> None:
    """Take that back; called with the table's lock held."""
    if flight.waiters is not None:
        flight.waiters.pop(waiter, None)


def wake_all(flight: InFlight, lock: threading.RLock) -> None:
    """Wake whoever waits for *flight*, which has ended; who registers later sees that and does not wait."""
    with lock:  # whoever was registering has done so
        pass
    wake_ended(flight)


def wake_ended(flight: InFlight) -> None:
    """Wake whoever waited for *flight*, which has ended, so that nobody registers any more.

    They are forgotten last, so that a wake that was cut short can be done again.
    """
    waiters = flight.waiters
    if waiters:
        wake(waiters)
    flight.waiters = None


def wake(waiters: dict[Any, None]) -> None:
    """Wake whoever waited for a flight that has ended; called without the lock, in any thread."""
    here = running_loop()
    elsewhere: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        if not isinstance(waiter, tuple):
            waiter()
            continue
        loop, future = waiter
        if loop is here:
            finish(future)
        else:
            elsewhere.setdefault(loop, []).append(future)
    for loop, futures in elsewhere.items():
        call_elsewhere(loop, _finish_all, futures)  # once for each loop: it wakes up for that by a system call


def _finish_all(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        finish(future)


def running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

"""The clock of a decorated function, exchangeable while it runs.

The rule for one that a user gives: it is called without arguments and returns a finite number of seconds.  That is
looked at when decorating, by reading it once, so that no call is the first to learn of it.  One that only raises is
taken: it may need what is there in calls alone, such as a running event loop.
"""

import inspect
import math
import sys
import weakref
from collections.abc import Callable
from typing import Any

from memo._base.forks import Stage, hold
from memo._base.real_time import ReadClock, real
from memo._base.shortened import short_text
from memo._base.thread_locks import rlock
from memo._base.units import is_of
from memo._base.wrapping import is_awaited

__all__ = (
    "Clock", "ReadClock", "call_when", "check_clock", "default_clock", "exchange_default", "following_default",
    "is_advanced_by_hand",
)  # fmt: skip

following_default: "weakref.WeakSet[Clock]" = weakref.WeakSet()
"""The clocks of functions that were given none, so that a test's clock can stand in for all of them.
Guarded by ``_lock``."""

_REMEDY = "give a function that returns seconds, like time.monotonic"

_default = [real.monotonic]  # what they read, the only item; in a list, see real_time; guarded by _lock
# Makes a clock that is born while the default is exchanged read either the old one and be told, or the new one.
# Re-entrant, since whoever is told may decorate.
_lock = rlock()
hold(Stage.CLOCKS, sys.modules[__name__], _lock)


class Clock:
    """What time it is for one function: seconds that never go back, from an arbitrary start.

    ``read`` is called without arguments.  Whoever keeps a copy of it for speed (a generated
    wrapper's namespace) is told by ``on_exchange``, and not kept alive for that.
    """

    __slots__ = ("__weakref__", "_told", "read")

    def __init__(self, read: ReadClock | None = None) -> None:
        self._told: list[weakref.WeakMethod[Callable[[ReadClock], object]]] = []
        if read is not None:
            self.read: ReadClock = read
            return
        with _lock:
            self.read = _default[0]
            following_default.add(self)

    def on_exchange(self, tell: Callable[[ReadClock], object]) -> None:
        """Call *tell*, a bound method, with what reads the time, at each exchange for as long as its object lives."""
        with _lock:
            self._told.append(weakref.WeakMethod(tell))

    def exchange(self, read: ReadClock) -> None:
        """Read the time from *read* from now on."""
        with _lock:
            self.read = read
            self._tell(read)

    def _tell(self, read: ReadClock) -> None:
        for told in self._told:
            tell = told()
            if tell is not None:
                tell(read)


def default_clock() -> ReadClock:
    """What functions that were given no clock read the time from."""
    return _default[0]


def exchange_default(read: ReadClock | None) -> None:
    """Have functions that were given no clock, those decorated later too, read the time from *read*; None: really."""
    with _lock:
        _default[0] = current = real.monotonic if read is None else read
        for clock in list(following_default):
            clock.exchange(current)


def check_clock(where: str, clock: Any) -> None:
    """Check what is given as ``clock=``.

    Raises:
        TypeError: It cannot be called without arguments, or returns no number.
        ValueError: It returns a number that is not finite.
    """
    given = f"{where}: clock={short_text(clock)}"
    if not callable(clock):
        raise TypeError(f"{given} cannot be called; {_REMEDY}.")
    if is_awaited(clock):
        raise TypeError(f"{given} is a coroutine function, which nobody would await; {_REMEDY}.")
    try:
        now = clock()
    except TypeError as error:
        if _misfits(clock, error):
            raise TypeError(f"{given} cannot be called without arguments; {_REMEDY}.") from None
        return
    except Exception:
        return
    if inspect.iscoroutine(now):
        now.close()
    if isinstance(now, bool) or not (isinstance(now, int | float) or is_of("numbers", "Real", now)):
        raise TypeError(f"{given} returns {short_text(now)}, which is no number of seconds; {_REMEDY}.")
    if not _is_moment(now):
        raise ValueError(f"{given} returns {short_text(now)}, which is no moment; {_REMEDY}.")


def _is_moment(now: Any) -> bool:
    try:
        return math.isfinite(now)
    except OverflowError:  # more than a float can hold
        return False


def _misfits(clock: Any, error: TypeError) -> bool:
    """Whether *clock* raised this *error* since it lacks arguments, and not by what it does."""
    ran = error.__traceback__ is not None and error.__traceback__.tb_next is not None
    if not ran:
        return True
    try:
        inspect.signature(clock).bind()
    except TypeError:
        return True
    except Exception:  # it does not tell
        pass
    return False


def is_advanced_by_hand(read: ReadClock) -> bool:
    """Whether *read* is a clock that stands still until it is advanced."""
    return hasattr(read, "call_at")


def call_when(read: ReadClock, when: float, wake: Callable[[], object]) -> Callable[[], object] | None:
    """Have a clock that is advanced by hand call *wake* once it reaches *when*.

    Returns what takes that back; None for a clock that runs by itself, whose waits follow real time.
    """
    call_at: Any = getattr(read, "call_at", None)
    return None if call_at is None else call_at(when, wake)

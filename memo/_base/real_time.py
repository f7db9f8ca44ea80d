"""Time as the machine has it, whatever a test does to the module ``time`` meanwhile.

Ages, deadlines and waits of this package are real, and so are the dates that it shows: a test that freezes the time of
its program (freezegun, time-machine, ``unittest.mock.patch``) would otherwise leave entries that are fresh for decades,
and waits that never end or end at once.  `memo.testing.FakeClock` is how a test moves the time of this package.

Rules

- The functions are taken once, when this module is imported, and read as ``real.monotonic()``: attributes of a class,
  since freezegun exchanges what it finds in modules (so no module of this package may bind them to a name of its own).
- If ``time`` holds a test's stand-ins as this module is imported (freezegun's, a mock, anything that does not keep step
  with the machine), the functions come from a fresh copy of ``time``.  A stand-in that keeps step is the machine's
  clock, as somebody has arranged it.

Out of reach: time-machine 2 (2.13 and later; no more in 3) exchanged ``time.monotonic`` within the interpreter, where
no reference is safe.  Timers of an event loop follow the loop's own time.
"""

import datetime as dt
import time
from collections.abc import Callable
from importlib.machinery import BuiltinImporter
from types import BuiltinFunctionType, ModuleType
from typing import Any

__all__ = ("ReadClock", "real")

ReadClock = Callable[[], float]

_TICK_S = 0.05  # within which a clock that runs has moved, even one that ticks 64 times a second
_TESTERS = frozenset({"freezegun", "mock", "unittest"})  # top-level packages of stand-ins that come and go


def _pristine() -> ModuleType:
    """A copy of the module ``time`` that nobody has touched."""
    spec = BuiltinImporter.find_spec("time")
    module = None if spec is None else BuiltinImporter.create_module(spec)
    if module is None:
        return time
    BuiltinImporter.exec_module(module)
    return module


def _keeps_step(read: ReadClock) -> bool:
    own: ReadClock = _pristine().perf_counter
    try:
        begun, first = own(), read()
        while (passed := own() - begun) < _TICK_S:
            if (moved := read() - first) > 0.0:
                return moved < passed + _TICK_S
    except Exception:  # one that was told what to answer, and how often
        pass
    return False


def _is_frozen(read: ReadClock) -> bool:
    """Whether *read* is a test's stand-in for a while, rather than a clock."""
    if isinstance(read, BuiltinFunctionType):
        return False
    return str(getattr(read, "__module__", "")).partition(".")[0] in _TESTERS or not _keeps_step(read)


def _taken(name: str) -> ReadClock:
    present: ReadClock = getattr(time, name)
    return getattr(_pristine(), name) if _is_frozen(present) else present


def _own_sleep() -> Callable[[float], None]:
    sleep: Callable[[float], None] = time.sleep if isinstance(time.sleep, BuiltinFunctionType) else _pristine().sleep
    return sleep


def _library_s(kind: Any) -> Any:
    """A class of the module ``datetime``, of which freezegun's derive."""
    return next((base for base in kind.__mro__ if base.__module__ == "datetime"), kind)


class real:  # noqa: N801  # a drawer for functions, read as a module is
    """Where the time is read."""

    monotonic = staticmethod(_taken("monotonic"))
    """Seconds that never go back, from an arbitrary start: ``time.monotonic``."""

    fine = staticmethod(_taken("perf_counter"))
    """The same in the smallest steps that the machine has, from another start: ``time.perf_counter``."""

    wall = staticmethod(_taken("time"))
    """Seconds since the epoch: ``time.time``."""

    sleep = staticmethod(_own_sleep())
    """Wait for so many seconds, the thread and all of its greenlets: ``time.sleep`` of the interpreter."""

    date: type[dt.date] = _library_s(dt.date)
    datetime: type[dt.datetime] = _library_s(dt.datetime)

    @classmethod
    def utc(cls, epoch_s: float) -> dt.datetime:
        """The aware date of so many seconds since the epoch; the last or first one of the calendar of what is beyond.

        A clock that counts something else than seconds, or jumps, comes there fast.
        """
        try:
            return cls.datetime.fromtimestamp(epoch_s, dt.UTC)
        except (ValueError, OverflowError, OSError):
            return (cls.datetime.max if epoch_s > 0 else cls.datetime.min).replace(tzinfo=dt.UTC)

"""The fields of a window that a call looks at which records itself; of C where the package was built with it.

In C they are plain numbers, and a call that C answers enters its event without a step of Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memo._native import speed

__all__ = ("IntakeFields", "TimeFields")

if TYPE_CHECKING or speed is None:

    class IntakeFields:
        """Those of an intake; see there."""

        __slots__ = ("_batch", "_busy", "_last", "_pending", "_plan", "contents", "time")

        _batch: int
        _busy: int
        _last: float
        _pending: list[Any]
        _plan: Any
        contents: Any
        time: Any

        def enter(self, started: float, ended: float, detail: object, key: object) -> None:
            """Record what is ready to be kept, straight away if that can be, else through the queue."""
            self.queue(started, ended, detail, key)

        def queue(self, started: float, ended: float, detail: object, key: object) -> None:
            """Record what is ready to be kept through the queue."""
            raise NotImplementedError

    class TimeFields:
        """Those of a window's own time; see there."""

        __slots__ = ("anchor", "high", "offset")

        high: float
        offset: float
        anchor: float

else:
    IntakeFields, TimeFields = speed.IntakeFields, speed.TimeFields

"""What happened of late: events within a moving span of time, in bounded memory.

Imports ``_call`` (a recorded call is written in its words), ``_base``, ``_late`` and ``_native``.

The face imports none of its modules before another module names what is in it: the figures are a part of those of every
function, all else is of use to ``@sliding_window`` alone.
"""

from typing import TYPE_CHECKING

from memo._late import late

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo._window.by_key import KeyReader
    from memo._window.handle import WindowHandle
    from memo._window.intake import Intake
    from memo._window.recorder import Recorder, sparks
    from memo._window.stats import Bucket, Event, KeyCount, WindowStats
    from memo._window.templates import recorded_call

__all__ = (
    "Bucket",
    "Event",
    "Intake",
    "KeyCount",
    "KeyReader",
    "Recorder",
    "WindowHandle",
    "WindowStats",
    "recorded_call",
    "sparks",
)

if not TYPE_CHECKING:
    __getattr__ = late(
        globals(),
        {
            "Bucket": "stats",
            "Event": "stats",
            "Intake": "intake",
            "KeyCount": "stats",
            "KeyReader": "by_key",
            "Recorder": "recorder",
            "WindowHandle": "handle",
            "WindowStats": "stats",
            "recorded_call": "templates",
            "sparks": "recorder",
        },
    )

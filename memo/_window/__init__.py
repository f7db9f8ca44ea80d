"""What happened of late: events within a moving span of time, in bounded memory.

Imports ``_call`` (a recorded call is written in its words), ``_base`` and ``_native``.
"""

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

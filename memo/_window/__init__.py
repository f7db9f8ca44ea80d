"""What happened of late: events within a moving span of time, in bounded memory.

Imports ``_base``.
"""

from memo._window.handle import WindowHandle
from memo._window.intake import NOTE
from memo._window.recorder import Recorder
from memo._window.records import Bucket, Event, WindowStats

__all__ = ("NOTE", "Bucket", "Event", "Recorder", "WindowHandle", "WindowStats")

"""What happened of late: events within a moving span of time, in bounded memory.

Imports ``_call`` (a recorded call is written in its words), ``_base`` and ``_native``.

The face imports none of its modules before another module names what is in it: the figures are a part of those of every
function, all else is of use to ``@sliding_window`` alone.
"""

import importlib
from typing import TYPE_CHECKING, Any

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

_MODULES = {
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
}

if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Import a name from the module that has it."""
        if name in _MODULES:
            module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
            globals()[name] = value = getattr(module, name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

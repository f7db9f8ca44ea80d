"""Lines of logger "memo" on what leaves stores, written while it is enabled for DEBUG.

Whether it is, no call asks for itself: that would be as much as the rest of what a miss costs in C.  The logging
module has each logger forget what it knows of levels whenever a level is set anywhere, and so ours learns of it.
"""

import logging
from typing import Any

from memo._base import short_text
from memo._native import speed

__all__ = ("evictions_logged", "line_on")

log = logging.getLogger("memo")

evictions_logged = [False]
"""Whether what leaves is logged, as the one item."""


class _Levels(dict[int, bool]):
    """What a logger knows of levels, which is forgotten when one is set."""

    def clear(self) -> None:
        super().clear()
        _look()


def _look() -> None:
    """Find out whether the logger is enabled for DEBUG; called under the lock of the logging module, takes no other."""
    evictions_logged[0] = log.isEnabledFor(logging.DEBUG)
    if speed is not None:
        speed.tell_evictions(evictions_logged[0])


def line_on(name: str, key: Any, reason: Any) -> None:
    """Log that the value of *key* left a store; what a handler raises is dropped."""
    try:
        log.debug("%s: the value of %s left (%s)", name, short_text(key), reason)
    except Exception:  # its own business: calls go on
        pass


if type(getattr(log, "_cache", None)) is dict:  # else it is as it was at the beginning
    vars(log)["_cache"] = _Levels()
_look()

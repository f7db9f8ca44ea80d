"""How often something may begin: the latest starts of each key, and who waits for room.

Imports ``_call``, ``_base`` and ``errors``.

The face imports none of its modules before another module names what is in it: the figures are a part of those of every
function, all else is of use to ``@limit`` alone.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo._rate.handle import LimitHandle
    from memo._rate.limiter import Limiter, Waits
    from memo._rate.rate import Rate
    from memo._rate.reader import LimitReader
    from memo._rate.stats import LimitStats
    from memo._rate.templates import awaited_turn, counted_start

__all__ = ("LimitHandle", "LimitReader", "LimitStats", "Limiter", "Rate", "Waits", "awaited_turn", "counted_start")

_MODULES = {
    "LimitHandle": "handle",
    "LimitReader": "reader",
    "LimitStats": "stats",
    "Limiter": "limiter",
    "Rate": "rate",
    "Waits": "limiter",
    "awaited_turn": "templates",
    "counted_start": "templates",
}

if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Import a name from the module that has it."""
        if name in _MODULES:
            module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
            globals()[name] = value = getattr(module, name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""How often something may begin: the latest starts of each key, and who waits for room.

Imports ``_call``, ``_base``, ``_late`` and ``errors``.

The face imports none of its modules before another module names what is in it: the figures are a part of those of every
function, all else is of use to ``@limit`` alone.
"""

from typing import TYPE_CHECKING

from memo._late import late

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo._rate.handle import LimitHandle
    from memo._rate.limiter import Limiter, Waits
    from memo._rate.rate import Rate
    from memo._rate.reader import LimitReader
    from memo._rate.stats import LimitStats
    from memo._rate.templates import awaited_turn, counted_start

__all__ = ("LimitHandle", "LimitReader", "LimitStats", "Limiter", "Rate", "Waits", "awaited_turn", "counted_start")

if not TYPE_CHECKING:
    __getattr__ = late(
        globals(),
        {
            "LimitHandle": "handle",
            "LimitReader": "reader",
            "LimitStats": "stats",
            "Limiter": "limiter",
            "Rate": "rate",
            "Waits": "limiter",
            "awaited_turn": "templates",
            "counted_start": "templates",
        },
    )

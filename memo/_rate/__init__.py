"""How often something may begin: the latest starts of each key, and who waits for room.

Imports ``_call``, ``_base`` and ``errors``.
"""

from memo._rate.handle import LimitHandle
from memo._rate.limiter import Limiter, Waits
from memo._rate.rate import Rate
from memo._rate.reader import LimitReader
from memo._rate.stats import LimitStats
from memo._rate.templates import awaited_turn, counted_start

__all__ = ("LimitHandle", "LimitReader", "LimitStats", "Limiter", "Rate", "Waits", "awaited_turn", "counted_start")

"""Which results a miss in C stores itself: see sections 3 and 4 of ``memo/_native/_speed.c``."""

from typing import Any

from memo._cache.figures import CallCounts
from memo._cache.loads import Loads
from memo._cache.options import CacheOptions
from memo._flight import CallerFlights, ThreadFlights, leading, leading_await
from memo._native import speed

__all__ = ("can_lead", "leading_await_load", "leading_load")

if speed is not None:
    speed.know(CallCounts=CallCounts)


def can_lead(options: CacheOptions, *, is_async: bool) -> bool:
    """Whether a load is one that C may lead: nothing but its key is told of its call, and it is shared, or runs in the
    task of a coroutine's own caller."""
    runs_here = options.work.in_caller if is_async else options.dedupe
    return runs_here and not options.stands_in and not options.notes_calls and not options.is_shared


def leading_load(flights: ThreadFlights, loads: Loads, options: CacheOptions, finish: Any) -> Any:
    """What leads loads of a plain function in C; None: nothing does.

    Args:
        flights: The running calls.
        loads: What becomes of results.
        options: What ``bounded`` was told.
        finish: Ends a load that has returned, where that is no case for C.
    """
    if not can_lead(options, is_async=False):
        return None
    return _leading(flights, loads, options, finish)


def leading_await_load(flights: CallerFlights, loads: Loads, options: CacheOptions, finish: Any) -> dict[str, Any]:
    """What words of ``led_await`` mean where C leads the loads of a coroutine function in their callers' tasks.

    Args:
        flights: The running calls.
        loads: What becomes of results.
        options: What ``bounded`` was told.
        finish: Ends a load that has returned, where that is no case for C.
    """
    return leading_await(flights, _leading(flights, loads, options, finish))


def _leading(flights: ThreadFlights | CallerFlights, loads: Loads, options: CacheOptions, finish: Any) -> Any:
    changes, shelf, owners, figures = loads.store.parts
    store: dict[str, Any] = {"shelf": shelf}
    if loads.lean and options.copy is None and not loads.tells:
        store["lean"] = changes, owners, figures, loads.told.counts, loads.maker.life_s
    return leading(flights, finish, options.refuse, **store)

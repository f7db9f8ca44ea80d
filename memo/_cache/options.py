"""What ``bounded`` was told: checked, in plain units, in one place."""

import asyncio
import copy as copying
from collections.abc import Callable
from typing import Any, SupportsFloat, SupportsIndex

from memo._base import (
    Duration,
    Tags,
    byte_size,
    check_error_types,
    check_plain,
    frozen_dataclass,
    given_text,
    is_awaited,
    positive_int,
    real_number,
    seconds,
)
from memo._cache.awaited_listener import EvictLoop
from memo._cache.terms import NOT_GIVEN
from memo._call import CallInfo, check_takes
from memo._flight import WorkOptions
from memo._store import CacheClass, EvictionReason

__all__ = (
    "LEASE_S",
    "CacheIfOption",
    "CacheOptions",
    "TtlOption",
    "check_callback",
    "check_fork",
    "check_on_evict",
    "copier",
    "late_options",
    "new_bounds",
)

TtlOption = Duration | Callable[[Any], Duration | None] | Callable[[Any, CallInfo], Duration | None]
"""What ``ttl=`` takes."""
CacheIfOption = Callable[[Any], object] | Callable[[Any, CallInfo], object]
"""What ``cache_if=`` takes."""

_ERROR_TTL_S = 1.0
LEASE_S = 1.0
"""Seconds after which a call looks whether a background load still runs."""
_COPIERS: dict[str, Callable[[Any], Any]] = {"shallow": copying.copy, "deep": copying.deepcopy}


@frozen_dataclass
class CacheOptions:
    """What ``bounded`` was told, checked and in plain units."""

    max_entries: int | None
    max_bytes: int | None
    policy: CacheClass
    ttl_s: float | None
    """Seconds; None where ``ttl_of`` says, and where there is no limit."""
    ttl_of: Callable[..., Any] | None
    ttl_asks: bool
    """``ttl_of`` takes the call, too."""
    jitter: float
    idle_s: float | None
    sizeof: Callable[[Any], SupportsIndex | SupportsFloat]
    cache_if: Callable[..., object] | None
    cache_if_asks: bool
    """``cache_if`` takes the call, too."""
    copy: Callable[[Any], Any] | None
    on_evict: Callable[[Any, Any, EvictionReason], object] | None
    evicts_awaited: bool
    """``on_evict`` is a coroutine function."""
    evict_loop: EvictLoop
    """The loop on which that runs; None: the loop that the value was loaded on."""
    drops_inherited: bool
    """A forked child drops what it inherited, without ``on_evict``."""
    lease_timeout_s: float | None
    """Seconds after which a lease does not keep ``on_evict`` waiting any more; None: never."""
    typed: bool
    dedupe: bool
    timeout_s: float | None
    work: WorkOptions
    """Where loads of a coroutine function run, and how long those that their callers have left."""
    revalidate_s: float
    """Seconds past the deadline for which a stale value answers at once."""
    if_error_s: float
    """Seconds past the deadline for which a stale value answers for a load that fails."""
    soft_s: float | None
    cache_errors: tuple[type[Exception], ...]
    fallback: Any
    """What answers in place of an error: a value, or a function of the call; ``NOT_GIVEN``: nothing."""
    fallback_on: tuple[type[Exception], ...]
    """In place of which errors."""
    error_s: float
    """Seconds for which a failure is remembered, and between attempts while there is a stale value."""
    tags: Tags
    refuse: Callable[[str, Any], None]
    """Raises if a result cannot be remembered, given the function's name and the result."""
    foreseen: tuple[type[Exception], ...] = ()
    """Errors that are answers of the function, no failures: newer than what is stored, and not logged."""
    shared: Any = None
    """The tier that results are shared through; None: none."""

    @property
    def asks_call(self) -> bool:
        """Whether what is stored depends on the call: it must be known when its result is there."""
        return self.ttl_asks or self.cache_if_asks

    @property
    def is_shared(self) -> bool:
        """Whether a load asks a tier before it runs the function, so that none is led inline."""
        return self.shared is not None

    @property
    def notes_calls(self) -> bool:
        """Whether a load notes something of its call."""
        return self.tags.function is not None or self.asks_call

    @property
    def stale_s(self) -> float:
        """Seconds past its deadline for which a value may still serve."""
        return max(self.revalidate_s, self.if_error_s)

    @property
    def pause_s(self) -> float:
        """The most seconds for which an entry keeps others from beginning a load."""
        return max(self.error_s, LEASE_S)

    @property
    def serves_late(self) -> bool:
        """Something may answer a call that finds no fresh value: a stale one, or a remembered failure."""
        return self.stale_s > 0 or bool(self.cache_errors)

    @property
    def stands_in(self) -> bool:
        """Something may answer a call whose load fails: what serves late, or a fallback."""
        return self.serves_late or self.fallback is not NOT_GIVEN

    @property
    def asks_fallback(self) -> bool:
        """The fallback is a function of the call."""
        return callable(self.fallback)

    @property
    def ages(self) -> bool:
        """Time alone makes an entry unusable, or it may be a remembered failure."""
        return self.ttl_s is not None or self.ttl_of is not None or self.idle_s is not None or bool(self.cache_errors)

    @property
    def rich(self) -> bool:
        """Entries must know more than a value and its times."""
        return self.serves_late or self.tags.function is not None or self.notes_loops

    @property
    def notes_loops(self) -> bool:
        """Entries know the loop that their value was loaded on."""
        return self.evicts_awaited and self.evict_loop is None


def late_options(
    where: str,
    *,
    has_ttl: bool,
    has_fallback: bool,
    jitter: Any,
    stale_while_revalidate: Any,
    stale_if_error: Any,
    soft_timeout: Any,
    cache_errors: Any,
    error_ttl: Any,
) -> dict[str, Any]:
    """The options about staleness and failure, by their names in ``CacheOptions``.

    Raises:
        TypeError: One is of the wrong type, or has no effect without another.
        ValueError: A value makes no sense.
    """
    share = real_number(jitter)
    if share is None:
        raise TypeError(f"{where}: jitter={given_text(jitter)} is not a number; give a share such as 0.1.")
    if not 0 <= share < 1:
        raise ValueError(
            f"{where}: jitter={given_text(jitter)} is out of range; give a share from 0 to below 1, such as 0.1."
        )
    given = {
        "stale_while_revalidate": stale_while_revalidate,
        "stale_if_error": stale_if_error,
        "soft_timeout": soft_timeout,
        "error_ttl": error_ttl,
    }
    spans = {
        option: None if span is None else seconds(span, where=where, option=option) for option, span in given.items()
    }
    if not has_ttl:
        for option, value in (("jitter", jitter if share else None), *given.items()):
            if value is not None and option != "error_ttl" and not (option == "soft_timeout" and has_fallback):
                raise TypeError(f"{where}: {option}={given_text(value)} has no effect without ttl=; give ttl= as well.")
    stale = stale_while_revalidate is not None or stale_if_error is not None
    if soft_timeout is not None and not stale and not has_fallback:
        raise TypeError(
            f"{where}: soft_timeout={given_text(soft_timeout)} has no stale value to answer with; give "
            "stale_if_error=, or fallback=, as well."
        )
    errors = check_error_types(where, "cache_errors", cache_errors)
    if errors and error_ttl is None:
        raise TypeError(
            f"{where}: cache_errors={given_text(cache_errors)} would last for ever; give error_ttl= as well."
        )
    if error_ttl is not None and not errors and not stale:
        raise TypeError(
            f"{where}: error_ttl={given_text(error_ttl)} has no effect without cache_errors=, stale_if_error= or "
            f"stale_while_revalidate=; give one of them."
        )
    return {
        "jitter": float(share),
        "revalidate_s": spans["stale_while_revalidate"] or 0.0,
        "if_error_s": spans["stale_if_error"] or 0.0,
        "soft_s": spans["soft_timeout"],
        "cache_errors": errors,
        "error_s": spans["error_ttl"] or _ERROR_TTL_S,
    }


def new_bounds(where: str, most: Any, most_bytes: Any, *, weighed: bool) -> tuple[int | None, int | None]:
    """The bounds ``max=`` and ``max_bytes=`` that a store gets anew; None leaves one as it is.

    Args:
        where: The method, for messages.
        most: The one.
        most_bytes: The other.
        weighed: Whether the store counts bytes.

    Raises:
        TypeError: Neither is given, or max_bytes where the store does not count bytes; or one is no number.
        ValueError: One is no bound.
    """
    if most is None and most_bytes is None:
        raise TypeError(f"{where}: neither max= nor max_bytes= is given; give the bound to change.")
    if most_bytes is not None and not weighed:
        raise TypeError(
            f"{where}: max_bytes={given_text(most_bytes)}, but this store does not count bytes; "
            f"give max_bytes= to @bounded as well."
        )
    return (
        None if most is None else positive_int(most, where=where, option="max"),
        None if most_bytes is None else byte_size(most_bytes, where=where, option="max_bytes"),
    )


def check_callback(where: str, option: str, value: Any, *given: str) -> None:
    """Check an option that takes a plain function, or None, and that it can be called with what is *given* to it.

    Args:
        where: Whom the option was given to.
        option: Its name.
        value: What was given.
        given: Names for what it is called with, by position; none: that is checked elsewhere.

    Raises:
        TypeError: It is something else.
    """
    if value is None:
        return
    if not callable(value):
        raise TypeError(f"{where}: {option}={given_text(value)} cannot be called; give a function.")
    check_plain(where, option, value)
    if given:
        check_takes(where, option, value, *given)


def check_on_evict(where: str, on_evict: Any, evict_loop: Any) -> bool:
    """Check ``on_evict=``, and the loop that is named for it; whether it is a coroutine function.

    Raises:
        TypeError: It cannot be called, or the loop is none or has no effect.
    """
    if on_evict is not None and not callable(on_evict):
        raise TypeError(f"{where}: on_evict={given_text(on_evict)} cannot be called; give a function.")
    awaited = is_awaited(on_evict)
    if on_evict is not None:
        check_takes(where, "on_evict", on_evict, "key", "value", "reason")
    if not awaited:
        check_plain(where, "on_evict", on_evict)
    if evict_loop is None:
        return awaited
    if not (isinstance(evict_loop, asyncio.AbstractEventLoop) or callable(evict_loop)):
        raise TypeError(
            f"{where}: evict_loop={given_text(evict_loop)} is no event loop; give one, or a function that returns it."
        )
    check_plain(where, "evict_loop", evict_loop, "give a loop, or a plain function that returns it")
    if not isinstance(evict_loop, asyncio.AbstractEventLoop):
        check_takes(where, "evict_loop", evict_loop)
    if not awaited:
        raise TypeError(
            f"{where}: evict_loop={given_text(evict_loop)} has no effect unless on_evict is a coroutine function, and "
            f"on_evict={given_text(on_evict)} is none; leave it out."
        )
    return True


def check_fork(where: str, fork: Any) -> None:
    """Check ``fork=``.

    Raises:
        TypeError: It is no text.
        ValueError: The name is unknown.
    """
    if not isinstance(fork, str):
        raise TypeError(f"{where}: fork={given_text(fork)} is no text; write 'keep' or 'drop'.")
    if fork not in ("keep", "drop"):
        raise ValueError(f"{where}: fork={given_text(fork)} is unknown; write 'keep' or 'drop'.")


def copier(where: str, copy: Any) -> Callable[[Any], Any] | None:
    """What ``copy=`` applies to a value handed out; None: nothing.

    Raises:
        TypeError: It is neither a name nor a function.
        ValueError: The name is unknown.
    """
    if copy is None:
        return None
    if isinstance(copy, str):
        if copy not in _COPIERS:
            raise ValueError(
                f"{where}: copy={given_text(copy)} is unknown; write 'shallow', 'deep', or give a function."
            )
        return _COPIERS[copy]
    check_callback(where, "copy", copy, "value")
    return copy  # type: ignore[no-any-return]

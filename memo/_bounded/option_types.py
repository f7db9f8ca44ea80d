"""What type checkers know of the options that ``@bounded`` and its siblings share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypedDict

from memo._base import Duration, OneShot, TagsOption
from memo._cache import CacheIfOption, EvictLoop, TtlOption
from memo._call import Scope
from memo._registry import Registry
from memo._store import CacheClass, EvictionReason

__all__ = ("Policy", "SharedOptions")

Policy = Literal["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs"]


class SharedOptions(TypedDict, total=False):
    """The options of every decorator that remembers results, but for the bounds."""

    ttl: TtlOption | None
    """Age at which a result is stale, a duration; None: never."""
    sizeof: Callable[[Any], SupportsIndex | SupportsFloat] | None
    """Prices a value in bytes for max_bytes; None: ``memo.sizeof``."""
    idle: Duration | None
    """Time unused after which an entry goes, a duration; None: none."""
    jitter: float
    """Share by which each ttl is shortened at random; 0.1: by 10 %."""
    policy: Policy | CacheClass
    """Which entry goes when room is needed, a name or a cache class."""
    key: Callable[..., Hashable] | None
    """Makes the key of a call, a hashable; None: of its arguments."""
    ignore: Iterable[str]
    """Names of parameters to leave out of the key."""
    weak: Iterable[str]
    """Names of parameters that count by identity and are not kept alive."""
    scope: Scope | None
    """Which loops share entries: None: all; "loop": each has its own."""
    typed: bool
    """Whether all arguments of different types have different keys."""
    dedupe: bool
    """Whether concurrent misses of one key share one load."""
    timeout: Duration | None
    """Age at which a load is given up, a duration; None: never."""
    keep: Duration | None
    """How long a load goes on that all left, a duration; None: not."""
    cache_if: CacheIfOption | None
    """Called with each result; if false, not stored; None: all are."""
    copy: Literal["shallow", "deep"] | Callable[[Any], Any] | None
    """How values are copied: "shallow", "deep", a function; None: not."""
    on_evict: Callable[[Any, Any, EvictionReason], object] | None
    """Called with key, value, reason of each that left; None: not."""
    evict_loop: EvictLoop
    """Event loop of an awaited on_evict; None: the value's own."""
    lease_timeout: Duration | None
    """Duration after which a lease holds no more; None: none."""
    fork: Literal["keep", "drop"]
    """What a forked child does with its entries: "keep" or "drop" them."""
    tags: TagsOption
    """Names, or a function of the call, that entries are dropped by."""
    one_shot: OneShot
    """Results that can be used only once: "refuse" or "share"."""
    name: str | None
    """Name in the registry; None: ``module.qualname``."""
    registry: Registry | None
    """Where the function is listed; None: ``memo.registry``."""
    clock: Callable[[], float] | None
    """Returns seconds, never going back; None: ``time.monotonic``."""

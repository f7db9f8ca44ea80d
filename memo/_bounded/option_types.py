"""What type checkers know of the options that ``@bounded`` and its siblings share."""

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
    sizeof: Callable[[Any], SupportsIndex | SupportsFloat] | None
    idle: Duration | None
    jitter: float
    policy: Policy | CacheClass
    key: Callable[..., Hashable] | None
    ignore: Iterable[str]
    weak: Iterable[str]
    scope: Scope | None
    typed: bool
    dedupe: bool
    timeout: Duration | None
    keep: Duration | None
    cache_if: CacheIfOption | None
    copy: Literal["shallow", "deep"] | Callable[[Any], Any] | None
    on_evict: Callable[[Any, Any, EvictionReason], object] | None
    evict_loop: EvictLoop
    lease_timeout: Duration | None
    fork: Literal["keep", "drop"]
    tags: TagsOption
    one_shot: OneShot
    name: str | None
    registry: Registry | None
    clock: Callable[[], float] | None

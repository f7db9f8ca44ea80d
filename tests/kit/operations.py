"""Every decorator and every public operation, for tests that strike them."""

from collections.abc import Callable
from typing import Any

from kit.struck import Boom, Subject
from memo import bounded, dedupe_inflight, sliding_window

__all__ = (
    "DECORATORS",
    "OPERATIONS",
    "QUICK",
    "expired",
    "full",
    "full_and_failing",
    "nothing",
    "room",
    "stale_and_failing",
    "store",
    "suits",
)


def store(**options: Any) -> Callable[..., Any]:
    def decorate(function: Any, common: dict[str, Any], on_evict: Any) -> Any:
        return bounded(**{"max": 3, "on_evict": on_evict, **options, **common})(function)

    return decorate


DECORATORS: dict[str, Callable[..., Any]] = {
    "lean": store(),
    "ttl": store(ttl=60),
    "idle": store(idle=60),
    "lru": store(policy="lru"),
    "lfu": store(policy="lfu"),
    "fifo": store(policy="fifo"),
    "random": store(policy="random"),
    "adaptive": store(policy="adaptive"),
    "s3fifo": store(policy="s3fifo"),
    "bytes": store(max_bytes=10_000, sizeof=lambda value: 10),
    "ttl of a value": store(ttl=lambda value: 60),
    "cache_if": store(cache_if=lambda value: True),
    "copy": store(copy=lambda value: value),
    "tags": store(tags=lambda x: [str(x), "all"]),
    "stale": store(ttl=60, stale_if_error=600),
    "errors": store(cache_errors=(Boom,), error_ttl=60),
    "fallback": store(ttl=60, fallback=lambda x: x),
    "alone": store(dedupe=False),
    "timeout": store(timeout=30),
    "scope": store(scope="loop"),
    "dedupe": lambda f, common, on_evict: dedupe_inflight(timeout=30, **common)(f),
    "stack": lambda f, common, on_evict: store()(
        dedupe_inflight(timeout=30, **common)(sliding_window("1h", **common)(f)), common, on_evict
    ),
    "stack, upside down": lambda f, common, on_evict: sliding_window("1h", **common)(
        dedupe_inflight(timeout=30, **common)(store()(f, common, on_evict))
    ),
}

QUICK = ("lean", "lru", "errors", "stack")


def nothing(subject: Subject) -> None:
    pass


def full(subject: Subject) -> None:
    for x in (0, 1, 2):
        subject.call(x)


def room(subject: Subject) -> None:
    subject.call(0)


def full_and_failing(subject: Subject) -> None:
    full(subject)
    subject.failing.add("bad")


def expired(subject: Subject) -> None:
    full(subject)
    subject.clock.advance(100)


def stale_and_failing(subject: Subject) -> None:
    expired(subject)
    subject.failing.add(1)


OPERATIONS: dict[str, tuple[Callable[[Subject], object], Callable[[Subject], Any]]] = {
    "first call": (nothing, lambda s: s.function(1)),
    "hit": (full, lambda s: s.function(1)),
    "miss": (room, lambda s: s.function(7)),
    "miss that evicts": (full, lambda s: s.function(7)),
    "failure": (full_and_failing, lambda s: s.function("bad")),
    "expired": (expired, lambda s: s.function(1)),
    "stale": (stale_and_failing, lambda s: s.function(1)),
    "cache.call": (full, lambda s: s.function.cache.call(7)),
    "cache.fresh": (full, lambda s: s.function.cache.fresh(7)),
    "cache.within, old": (full, lambda s: s.function.cache.within(max_age=0).call(1)),
    "cache.within, failure": (full_and_failing, lambda s: s.function.cache.within(default=1).call("bad")),
    "cache.invalidate": (full, lambda s: s.function.cache.invalidate(1)),
    "cache.invalidate_where": (full, lambda s: s.function.cache.invalidate_where(lambda key, value: value.arg < 2)),
    "cache.refresh": (full, lambda s: s.function.cache.refresh(1)),
    "cache.put, old": (full, lambda s: s.function.cache.put(s.make(1), 1)),
    "cache.put, new": (full, lambda s: s.function.cache.put(s.make(8), 8)),
    "cache.put_many": (full, lambda s: s.function.cache.put_many({x: s.make(x) for x in (8, 9)})),
    "cache.entry": (full, lambda s: s.function.cache.entry(1)),
    "cache.clear": (full, lambda s: s.function.cache.clear()),
    "cache.cleanup": (expired, lambda s: s.function.cache.cleanup()),
    "cache.resize": (full, lambda s: s.function.cache.resize(max=1)),
    "cache.stats": (full, lambda s: s.function.cache.stats()),
    "cache.items": (full, lambda s: s.function.cache.items()),
    "cache.len": (full, lambda s: len(s.function.cache)),
    "cache.repr": (full, lambda s: repr(s.function.cache)),
    "cache_info": (full, lambda s: s.function.cache_info()),
    "cache_clear": (full, lambda s: s.cache_clear()),
    "inflight.pending": (full, lambda s: s.function.inflight.pending()),
    "inflight.forget": (full, lambda s: s.function.inflight.forget(1)),
    "inflight.cleanup": (full, lambda s: s.function.inflight.cleanup()),
    "inflight.stats": (full, lambda s: s.function.inflight.stats()),
    "registry.stats": (full, lambda s: s.registry.stats()),
    "registry.cleanup": (expired, lambda s: s.registry.cleanup()),
    "registry.clear": (full, lambda s: s.registry.clear()),
    "registry.invalidate": (full, lambda s: s.registry.invalidate(tag="all")),
    "registry.report": (full, lambda s: s.registry.report()),
    "print(registry)": (full, lambda s: str(s.registry)),
}


def suits(decorator: str, operation: str, is_async: bool = False) -> bool:
    """Whether a function so decorated can do that."""
    subject = Subject(DECORATORS[decorator], is_async)
    prepare, do = OPERATIONS[operation]
    try:
        prepare(subject)
        subject.run(do(subject))
    except AttributeError:
        return False
    except Boom:
        pass
    finally:
        subject.settle()
        subject.close()
    return True

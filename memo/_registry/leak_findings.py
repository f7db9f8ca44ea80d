"""What deserves a look in what one store holds, how much, and what to do about it."""

import functools
import inspect
from collections.abc import Iterable
from typing import Any

from memo._base import counted, format_bytes, format_seconds, way_to_weak_references
from memo._registry.kept_arguments import Arguments
from memo._registry.leak_report import SAMPLE, Finding, StoreReport, tally

__all__ = ("findings_of_adopted", "findings_of_bounded")

_FEW = 20
"""So few entries that how often they were hit tells nothing."""
_UNUSED_SHARE = 0.9
"""Share of the entries without a hit from which on a store does not pay."""
_LONG_S = 3600.0
"""Seconds from which on a lease is a long one, where ``lease_timeout=`` does not say."""
_LARGE = 100_000
"""Bytes of arguments from which on keys are worth a look, if they are as large as the values."""
_MOST_WAYS = 3
"""Kinds of instances for which an advice says what to write."""
_UNBOUNDED = "it is unbounded: no entry ever leaves."


def findings_of_bounded(
    store: StoreReport,
    arguments: Arguments,
    grows: bool,
    lease_timeout_s: float | None,
    in_keys: Iterable[type] = (),
) -> Iterable[Finding]:
    """What deserves a look in the store of a decorated function.

    Args:
        store: The store.
        arguments: What was found of arguments in its keys.
        grows: It may come to hold more than one entry.
        lease_timeout_s: Seconds from which on a lease is too old; None: that is for this to say.
        in_keys: The kinds of instances that its keys keep alive.
    """
    found = functools.partial(Finding, store.name)
    seen = _sample_note(store)
    if store.bounded is False and grows:
        yield found("high", _UNBOUNDED, "Give lru_cache a maxsize, or decorate the function with @bounded(max=...).")
    if store.value_instances:
        yield found(
            "medium",
            f"values keep {tally(store.value_instances)} alive{seen}, so that these outlive whoever else used them.",
            "Return plain data instead of the instance, or something that holds it only by weakref.",
        )
    if store.key_instances:
        yield found(
            "medium",
            f"keys keep {tally(store.key_instances)} alive, since these instances allow no weak reference.",
            _without_instances(in_keys),
        )
    if store.expired:
        yield found(
            "low",
            f"{_expired(store.expired)} past {'its' if store.expired == 1 else 'their'} life.",
            "Call registry.cleanup() from time to time, or start registry.janitor().",
        )
    if store.oldest_lease is not None and store.oldest_lease >= (lease_timeout_s or _LONG_S):
        yield found(
            "medium",
            f"its oldest lease began {format_seconds(store.oldest_lease)} ago, and may keep on_evict waiting.",
            "Take leases in a with statement, as short as possible, or give lease_timeout=.",
        )
    entries, unused = store.entries or 0, store.never_hit or 0
    if entries >= _FEW and unused >= entries * _UNUSED_SHARE:
        yield found(
            "low",
            f"{unused} of {entries} entries were never hit.",
            "Give a smaller max= or a shorter ttl=, or leave out of the key (ignore=, key=) what differs at each call.",
        )
    yield from _unmeasured(store)
    yield from _findings_of_arguments(store, arguments)


def _without_instances(kinds: Iterable[type]) -> str:
    ways = list(dict.fromkeys(filter(None, map(way_to_weak_references, kinds))))[:_MOST_WAYS]
    way = f"{'; '.join(ways)}; or leave" if ways else "leave"
    return (
        f"{way[0].upper()}{way[1:]} the instance out of the key with ignore=('self',), and give key= for what of it "
        f"counts."
    )


def _on_bounded(stiff: list[type]) -> str:
    """What to do where keys of others hold instances, of which those of the kinds *stiff* allow no weak reference."""
    instead = "Decorate the method with @bounded instead, whose keys hold instances weakly"
    return f"{instead} that allow it. {_without_instances(stiff)}" if stiff else f"{instead}."


def _findings_of_arguments(store: StoreReport, arguments: Arguments) -> Iterable[Finding]:
    for name, kinds, is_own in arguments.by_identity():
        yield Finding(
            store.name,
            "medium" if is_own else "low",
            f"keys keep {tally(kinds)} alive as {name!r} ({format_bytes(store.arguments[name])}), and serve no calls "
            f"but those with the very same {'objects' if kinds.total() > 1 else 'object'}.",
            "Leave it out of the key with ignore=, or give key= with what identifies it.",
        )
    held = store.key_bytes
    if held >= _LARGE and 2 * held >= (store.bytes or 0):
        of_each = ", ".join(f"{name!r} {format_bytes(size)}" for name, size in store.arguments.items() if size)
        yield Finding(
            store.name,
            "low",
            f"keys keep {format_bytes(held)} of arguments alive: {of_each}.",
            "Give key= with a digest of what is large, or leave it out of the key with ignore=.",
        )


def findings_of_adopted(
    store: StoreReport, expires: bool, cache: Any, in_keys: Iterable[type] = ()
) -> Iterable[Finding]:
    """What deserves a look in a cache that others made, and whose keys keep alive what is of the kinds *in_keys*.

    Of one that *expires*, entries leave by their age.
    """
    found = functools.partial(Finding, store.name)
    seen = _sample_note(store)
    if store.bounded is False and _grows(cache):
        if expires:
            yield found(
                "medium",
                "its number of entries is unbounded; only age removes them, and a burst of calls is kept whole.",
                "Give it a maxsize, or decorate the function with @bounded(max=..., ttl=...) instead.",
            )
        else:
            yield found(
                "high",
                _UNBOUNDED,
                "Give it a maxsize, or decorate the function with @bounded(max=...) instead.",
            )
    if store.key_instances:
        yield found(
            "high" if store.bounded is False else "medium",
            f"keys keep {tally(store.key_instances)} alive, since each instance is part of its keys.",
            _on_bounded([kind for kind in in_keys if not kind.__weakrefoffset__]),
        )
    if store.value_instances:
        yield found(
            "high" if store.bounded is False else "medium",
            f"values keep {tally(store.value_instances)} alive{seen}.",
            "Return plain data instead of the instance, or something that holds it only by weakref.",
        )
    yield from _unmeasured(store)


def _unmeasured(store: StoreReport) -> Iterable[Finding]:
    if store.unmeasured:
        yield Finding(
            store.name,
            "low",
            f"{store.unmeasured} of {counted(store.measured + store.unmeasured, 'value')} could not be measured.",
            "See the log of logger 'memo' for why, and take the bytes for a guess.",
        )


def _sample_note(store: StoreReport) -> str:
    return f" (seen in {SAMPLE:,} of its values)" if (store.entries or 0) > SAMPLE else ""


def _expired(count: int) -> str:
    return f"{counted(count, 'entry', 'entries')} {'is' if count == 1 else 'are'} kept"


def _grows(cache: Any) -> bool:
    """Whether it may come to hold more than one entry: not so that of a function without parameters."""
    try:
        return not callable(cache) or bool(inspect.signature(cache).parameters)
    except (ValueError, TypeError):  # a builtin that does not tell
        return True

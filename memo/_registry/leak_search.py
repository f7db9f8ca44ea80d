"""The search of the leak report through what stores hold: their keys, a sample of their values, their entries.

Nothing here counts as a use of a cache, and no lock is held but for the moment in which the entries of one store are
listed, if they are at most 10,000; a larger one is gone through bit by bit.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import BuiltinMethodType, MethodType, MethodWrapperType
from typing import Any

from memo._adopted import UNKNOWN, Adopted
from memo._base import FrozenDict, Pace, reachable, sizeof, unhurried
from memo._call import InstanceRef, plain_key
from memo._registry.kept_arguments import Arguments
from memo._registry.leak_findings import findings_of_adopted, findings_of_bounded
from memo._registry.leak_report import SAMPLE, LeakReport, StoreReport, order, urgency
from memo._registry.parts import HasParts, Part
from memo._registry.tiers import stats_of, tiers_of

__all__ = ("report_on",)

log = logging.getLogger("memo")

_STRIDE = 200
"""Entries that are gone through in one go before other threads may have their turn."""
_BOUND = (MethodType, BuiltinMethodType, MethodWrapperType)
"""What is bound to an instance, and keeps it alive."""


def report_on(records: Sequence[HasParts]) -> LeakReport:
    """Look at the stores of these functions and adopted caches.

    Measuring a value runs ``__sizeof__`` of what it holds, outside locks.  Other threads get their turn in between.
    """
    found: list[StoreReport] = []
    for record in records:
        layer = 0
        for part in record.parts:
            if part.kind not in ("cache", "adopted"):
                found += _of_keys(record.name, part)
                continue
            layer += 1
            name = record.name if layer == 1 else f"{record.name} (layer {layer})"
            try:
                store = _of_adopted(name, part) if isinstance(part, Adopted) else _of_bounded(name, part)
            except Exception:  # a clock of the user's own
                log.exception("%s: its store could not be looked at", name)
                continue
            found.append(replace(store, findings=tuple(sorted(store.findings, key=urgency))))
    return LeakReport(tuple(sorted(found, key=order)), stats_of(tiers_of(records)))


def _of_bounded(name: str, part: Part) -> StoreReport:
    if not part.is_made:
        stats = part.stats(name)
        bounds = {"max": stats.max, "max_bytes": stats.max_bytes, "small_share": stats.small_share}
        bounded = stats.max is not None or stats.max_bytes is not None
        return StoreReport(name, "bounded", entries=0, bounded=bounded, bytes=0, never_hit=0, expired=0, **bounds)
    handle = part.handle()
    cache, shape = handle._cache, handle._generated.shape
    store = cache.store
    now = oldest = cache.clock.read()
    leased = cache.leased(now)
    search = _Search(name, shape.qualname, shape.module)
    entries = expired = never_hit = weight = 0
    sample: list[Any] = []
    wanted = _Spread(len(store.index))
    for lot in unhurried(store.lots()):
        for entry in lot:
            expired += store.past_life(entry, now)
            never_hit += entry.hits == 0
            oldest = min(oldest, entry.stored)
            if store.weighed:
                weight += entry.size
            if store.instances:
                search.at_bounded_key(entry.key)
        sample += wanted.of(lot)
        entries += len(lot)
    search.at_values([entry.value for entry in sample], measure=not store.weighed)
    weak = handle._generated.keys.tokens.arguments
    if weak is not None:
        search.at_weak((entry.value, weak.held_weakly(entry.key)) for entry in sample)
    size, measured = (weight, entries) if store.weighed else (search.estimate(entries), search.measured)
    keys = [entry.key for entry in sample]
    arguments = Arguments(keys, handle._generated.keys.shown.arguments, entries, Pace())
    report = StoreReport(
        name,
        "bounded",
        entries=entries,
        max=store.max_entries,
        bounded=store.max_entries is not None or store.weighed,
        bytes=size,
        measured=measured,
        unmeasured=search.unmeasured,
        oldest=now - oldest if entries else None,
        never_hit=never_hit,
        expired=expired,
        arguments=arguments.bytes,
        max_bytes=store.max_bytes,
        small_share=store.small_share,
        leases=leased.number,
        oldest_lease=leased.oldest,
        **search.instances(),
    )
    plan = handle._generated.keys.plan
    grows = plan.count > 0 or plan.has_token
    lease_timeout_s = cache.options.lease_timeout_s
    found = findings_of_bounded(report, arguments, grows, lease_timeout_s, search.kinds_in_keys())
    return replace(report, findings=tuple(found))


def _of_keys(name: str, part: Part) -> list[StoreReport]:
    """What a part holds of keys whose calls it counts, which are no entries."""
    tracked = part.tracked()
    if tracked is None:
        return []
    return [StoreReport(name, part.kind, entries=tracked.keys, max=tracked.most, bytes=tracked.bytes)]


def _of_adopted(name: str, part: Adopted) -> StoreReport:
    stats = part.stats(name)
    contents = part.contents()
    cache = part.cache
    search = _Search(name, getattr(cache, "__qualname__", ""), getattr(cache, "__module__", ""))
    report = StoreReport(name, stats.library, stats.size, stats.max, stats.bounded)
    if contents is not None:
        for ((key, _),) in search.unhurried(contents):
            search.at_key(key)
        values = [value for _, value in contents if value is not UNKNOWN]
        search.at_values(_sample(values), measure=True)
        report = replace(
            report,
            entries=len(contents),
            bytes=search.estimate(len(contents)) if values or not contents else None,
            measured=search.measured,
            unmeasured=search.unmeasured,
            **search.instances(),
        )
    return replace(report, findings=tuple(findings_of_adopted(report, part.expires, cache, search.kinds_in_keys())))


class _Spread:
    """Chooses at most a thousand of items that come in lots, evenly spread, and the same ones each time.

    Args:
        count: How many are expected.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._passed = 0
        self._chosen = 0

    def of(self, lot: Sequence[Any]) -> list[Any]:
        """Those of the next *lot* that are chosen."""
        found = []
        while self._chosen < SAMPLE:
            at = self._chosen * self._count // SAMPLE if self._count > SAMPLE else self._chosen
            if at >= self._passed + len(lot):
                break
            found.append(lot[at - self._passed])
            self._chosen += 1
        self._passed += len(lot)
        return found


def _sample(items: list[Any]) -> list[Any]:
    """At most a thousand of *items*, evenly spread, and the same ones each time."""
    return _Spread(len(items)).of(items)


class _Search:
    """The search through the keys and values of one function.

    Args:
        name: The store's name, for the log.
        qualname: The function's, which names the class that it is a method of.
        module: The module of both.
    """

    def __init__(self, name: str, qualname: str, module: str) -> None:
        owner = qualname.rpartition(".")[0]
        self._owner = None if not owner or owner.endswith("<locals>") else (module, owner)
        self._name = name
        self._kinds: dict[int, tuple[type, bool]] = {}  # by address: to hash a class may be its metaclass's own
        # An instance by its address, so that each counts once; held for as long as the search takes.
        self.in_keys: dict[int, Any] = {}
        self._in_values: dict[int, Any] = {}
        self.measured = self.unmeasured = self._bytes = 0
        self._pace = Pace()

    def is_of_class(self, item: Any) -> bool:
        """Whether *item* is an instance of the class that the function is a method of."""
        if self._owner is None:
            return False
        kind = type(item)
        known = self._kinds.get(id(kind))
        if known is None:
            has_owner = any((base.__module__, base.__qualname__) == self._owner for base in kind.__mro__)
            known = self._kinds[id(kind)] = kind, has_owner
        return known[1]

    def unhurried(self, *lists: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """What stands side by side in lists of one length, while other threads get their turn in between."""
        for begin in range(0, len(lists[0]), _STRIDE):
            yield from zip(*(one[begin : begin + _STRIDE] for one in lists), strict=True)
            self._pace.rest()

    def at_key(self, key: Any) -> None:
        """Look for instances in a key as others make them."""
        if self._owner is not None:
            for item in key if isinstance(key, tuple | list) else (key,):
                if self.is_of_class(item):
                    self.in_keys[id(item)] = item

    def at_bounded_key(self, key: Any) -> None:
        """Note an instance that is part of a key of ours, itself."""
        if type(key) is tuple and key and type(key[0]) is not InstanceRef:
            instance = plain_key(key)[0]
            self.in_keys[id(instance)] = instance

    def at_values(self, values: list[Any], measure: bool) -> None:
        """Measure values, and look for instances in what they hold."""
        for value in values:
            try:
                self._at_value(value, measure)
            except Exception:
                self.unmeasured += 1
                log.exception("%s: a value could not be measured for the leak report", self._name)
            self._pace.rest()

    def at_weak(self, values: Iterable[tuple[Any, list[Any]]]) -> None:
        """Look in values for what their own keys hold weakly, which they keep alive."""
        for value, arguments in values:
            held = {id(argument): argument for argument in arguments}
            try:
                for item in reachable(value) if held else ():
                    if id(item) in held:
                        self._in_values[id(item)] = item
            except Exception:
                log.exception("%s: a value could not be looked into for the leak report", self._name)
            self._pace.rest()

    def _at_value(self, value: Any, measure: bool) -> None:
        if measure:
            self._bytes += sizeof(value)
            self.measured += 1
        if self._owner is None:
            return
        for item in reachable(value):
            if self.is_of_class(item):
                self._in_values[id(item)] = item
        if isinstance(value, _BOUND) and self.is_of_class(value.__self__):
            self._in_values[id(value.__self__)] = value.__self__

    def estimate(self, count: int) -> int | None:
        """Bytes of *count* values, going by those that were measured; None if none could be."""
        if self.measured == 0:
            return None if count else 0
        return round(self._bytes * count / self.measured)

    def kinds_in_keys(self) -> list[type]:
        """The kinds of instances that are part of keys themselves."""
        return list({id(kind): kind for kind in map(type, self.in_keys.values())}.values())

    def instances(self) -> dict[str, Any]:
        """What was found of instances, as the fields of a report."""
        return {
            "instances": _by_type({**self.in_keys, **self._in_values}),
            "key_instances": _by_type(self.in_keys),
            "value_instances": _by_type(self._in_values),
        }


def _by_type(found: dict[int, Any]) -> Mapping[str, int]:
    """How many of each type, the most first."""
    return FrozenDict(Counter(type(item).__qualname__ for item in found.values()).most_common())

"""The leak report: what each store holds and keeps alive, what to look at first, and what to do about it.

Nothing here counts as a use of a cache, and no lock is held but for the moment in which the entries of one store are
listed.  What a report says are numbers and text: it keeps no value and no instance alive.
"""

import functools
import html
import inspect
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import BuiltinMethodType, MethodType, MethodWrapperType
from typing import Any, Literal

from memo._adopted import UNKNOWN, Adopted
from memo._base import (
    Frozen,
    FrozenDict,
    Pace,
    aligned,
    counted,
    fitted,
    format_bytes,
    format_seconds,
    freeze_fields,
    html_rows,
    reachable,
    sizeof,
)
from memo._cache import CacheHandle
from memo._call import InstanceRef, plain_key
from memo._registry.kept_arguments import Arguments
from memo._registry.parts import HasParts

__all__ = ("Finding", "LeakReport", "Severity", "StoreReport", "report_on")

log = logging.getLogger("memo")

Severity = Literal["high", "medium", "low"]

_SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")
_SAMPLE = 1_000
"""Most values of one store that are measured."""
_STRIDE = 200
"""Entries that are looked at in one go before other threads may have their turn."""
_FEW = 20
"""So few entries that how often they were hit tells nothing."""
_UNUSED_SHARE = 0.9
"""Share of the entries without a hit from which on a store does not pay."""
_LARGE = 100_000
"""Bytes of arguments from which on keys are worth a look, if they are as large as the values."""
_NONE = "-"
_HEAD = ["store", "kind", "entries", "bytes", "oldest", "never hit", "expired", "instances"]
_SHORT = {"never hit": "unhit", "expired": "past", "instances": "keeps"}
_BOUND = (MethodType, BuiltinMethodType, MethodWrapperType)
"""What is bound to an instance, and keeps it alive."""


@dataclass(frozen=True, slots=True)
class Finding(Frozen):
    """Something about one store that deserves a look."""

    __module__ = "memo"

    store: str
    """Name of the store."""
    severity: Severity
    """"high": memory grows, or may, without end.  "medium": something lives longer than it should.  "low": waste."""
    what: str
    """What was found: one sentence."""
    advice: str
    """What to do about it: one sentence."""

    def __str__(self) -> str:
        return f"[{self.severity}] {self.store}: {self.what} {self.advice}"


@dataclass(frozen=True, slots=True)
class StoreReport(Frozen):
    """What one store holds.  What could not be learnt is None."""

    __module__ = "memo"

    name: str
    """Name of the function or adopted cache in the registry."""
    kind: str
    """"bounded", or the library of an adopted cache: "functools", "async_lru", "cachetools" or another."""
    entries: int | None = None
    """Entries, also those past their life that nothing has removed yet."""
    max: int | None = None
    """Most entries; None if there is no such bound, or none that is known."""
    bounded: bool | None = True
    """Whether there is a bound of any kind; None if an adopted cache does not tell."""
    bytes: int | None = None
    """Where the store has ``max_bytes=``: bytes of its entries together, as they count against that: keys, values as
    ``sizeof=`` priced them, and the entries themselves.  Else bytes of the values alone, by ``memo.sizeof`` (what two
    values share counts twice)."""
    measured: int = 0
    """Values that ``bytes`` rests on: at most 1,000 where they had to be measured, evenly spread over the store."""
    unmeasured: int = 0
    """Values whose measuring raised; logged to logger "memo", and taken to be as large as the others."""
    oldest: float | None = None
    """Seconds since the oldest entry was stored, by the function's clock; None for an empty store."""
    never_hit: int | None = None
    """Entries that have answered no call yet."""
    expired: int | None = None
    """Entries past their life that nothing has removed yet."""
    instances: Mapping[str, int] = field(default_factory=FrozenDict)
    """Distinct instances of the method's class that its entries keep alive, by type."""
    key_instances: Mapping[str, int] = field(default_factory=FrozenDict)
    """Those of them that keys keep alive."""
    value_instances: Mapping[str, int] = field(default_factory=FrozenDict)
    """Those of them that values keep alive, as far as the sample shows."""
    findings: tuple[Finding, ...] = ()
    """What deserves a look, most urgent first."""
    arguments: Mapping[str, int] = field(default_factory=FrozenDict)
    """Bytes of the arguments that its keys keep alive, by parameter, the most first: estimated from at most 1,000 keys.
    What ``key=`` returned goes by that name.  Empty for an adopted cache, whose keys do not name them."""

    max_bytes: int | None = None
    """Most bytes; None if there is no such bound."""

    def __post_init__(self) -> None:
        freeze_fields(self, "instances", "key_instances", "value_instances", "arguments")

    @property
    def sampled(self) -> bool:
        """Whether ``bytes`` is an estimate, and ``value_instances`` a part, since not every value was looked at."""
        return self.entries is not None and 0 < self.measured + self.unmeasured < self.entries

    @property
    def key_bytes(self) -> int:
        """Bytes of all arguments that its keys keep alive."""
        return sum(self.arguments.values())

    @property
    def severity(self) -> Severity | None:
        """That of its most urgent finding; None if it has none."""
        return self.findings[0].severity if self.findings else None


@dataclass(frozen=True, slots=True)
class LeakReport(Frozen):
    """What the stores of a registry hold, those to look at first on top: by severity, then by bytes.

    ``print(report)`` shows it as text, a notebook as a table.  It keeps nothing alive.
    """

    __module__ = "memo"

    stores: tuple[StoreReport, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that deserves a look, most urgent first."""
        return tuple(sorted((one for store in self.stores for one in store.findings), key=_urgency))

    @property
    def bytes(self) -> int:
        """Sum of the ``bytes`` of the stores, partly estimated."""
        return sum(store.bytes or 0 for store in self.stores)

    def _title(self) -> str:
        stores, findings = len(self.stores), len(self.findings)
        weighed = any(store.max_bytes is not None for store in self.stores)
        return (
            f"{counted(stores, 'store')}, {format_bytes(self.bytes)} in values"
            f"{' (with max_bytes=: in keys and entries, too)' if weighed else ''}, "
            f"{counted(findings, 'finding') if findings else 'no findings'}"
        )

    def _note(self) -> str:
        if not any(store.sampled for store in self.stores):
            return ""
        return f"~ estimated from {_SAMPLE:,} values, evenly spread over the store"

    def __str__(self) -> str:
        lines = [self._title()]
        if self.stores:
            lines.append(aligned(fitted([_HEAD, *map(_cells, self.stores)], _SHORT)))
        if note := self._note():
            lines.append(note)
        return "\n".join([*lines, *(f"{i}. {one}" for i, one in enumerate(self.findings, 1))])

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(self._title())}</p>", html_rows([_HEAD, *map(_cells, self.stores)])]
        if note := self._note():
            parts.append(f"<p>{html.escape(note)}</p>")
        if self.findings:
            parts += ["<ol>", *(f"<li>{html.escape(str(one))}</li>" for one in self.findings), "</ol>"]
        return "".join(parts)


def _urgency(finding: Finding) -> int:
    return _SEVERITIES.index(finding.severity)


def _order(store: StoreReport) -> tuple[int, int, str]:
    urgency = len(_SEVERITIES) if store.severity is None else _SEVERITIES.index(store.severity)
    return urgency, -(store.bytes or 0), store.name


def _cells(store: StoreReport) -> list[str]:
    entries = _NONE if store.entries is None else f"{store.entries}"
    if store.max is not None or store.bounded is False:
        entries += "/unbounded" if store.max is None else f"/{store.max}"
    return [
        store.name,
        store.kind,
        entries,
        _NONE if store.bytes is None else f"{'~' * store.sampled}{format_bytes(store.bytes)}",
        _NONE if store.oldest is None else format_seconds(store.oldest),
        *(_NONE if figure is None else str(figure) for figure in (store.never_hit, store.expired)),
        _counts(store.instances) or _NONE,
    ]


def _counts(instances: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in instances.items())


# -- looking


def report_on(records: Iterable[HasParts]) -> LeakReport:
    """Look at the stores of these functions and adopted caches.

    Measuring a value runs ``__sizeof__`` of what it holds, outside locks.  Other threads get their turn in between.
    """
    found = []
    for record in records:
        layer = 0
        for part in record.parts:
            if part.kind not in ("cache", "adopted"):
                continue
            layer += 1
            name = record.name if layer == 1 else f"{record.name} (layer {layer})"
            try:
                store = _of_adopted(name, part) if isinstance(part, Adopted) else _of_bounded(name, part.handle())
            except Exception:  # a clock of the user's own
                log.exception("%s: its store could not be looked at", name)
                continue
            found.append(replace(store, findings=tuple(sorted(store.findings, key=_urgency))))
    return LeakReport(tuple(sorted(found, key=_order)))


def _of_bounded(name: str, handle: CacheHandle[..., Any, Any]) -> StoreReport:
    loads, shape = handle._loads, handle._generated.shape
    store = loads.store
    with store.lock:  # two copies of pointers: pairs would take a hundred times as long
        keys, entries = list(store.index), list(store.index.values())
    now = oldest = loads.clock.read()
    look = _Look(name, shape.qualname, shape.module)
    expired = never_hit = 0
    for key, entry in look.unhurried(keys, entries):
        expired += store.past_life(entry, now)
        never_hit += entry.hits == 0
        oldest = min(oldest, entry.stored)
        if store.instances and type(key) is tuple and key and type(key[0]) is not InstanceRef:
            instance = plain_key(key)[0]
            look.in_keys[id(instance)] = instance
    look.at_values([entry.value for entry in _sample(entries)], measure=not store.weighed)
    if store.weighed:
        size, measured = sum(entry.size for entry in entries), len(entries)
    else:
        size, measured = look.estimate(len(entries)), look.measured
    arguments = Arguments(_sample(keys), handle._generated.keys.shown.arguments, len(keys), Pace())
    report = StoreReport(
        name,
        "bounded",
        entries=len(entries),
        max=store.max_entries,
        bytes=size,
        measured=measured,
        unmeasured=look.unmeasured,
        oldest=now - oldest if entries else None,
        never_hit=never_hit,
        expired=expired,
        arguments=arguments.bytes,
        max_bytes=store.max_bytes,
        **look.instances(),
    )
    return replace(report, findings=(*_findings_of_bounded(report), *_findings_of_arguments(report, arguments)))


def _of_adopted(name: str, part: Adopted) -> StoreReport:
    stats = part.stats(name)
    contents = part.contents()
    cache = part.cache
    look = _Look(name, getattr(cache, "__qualname__", ""), getattr(cache, "__module__", ""))
    report = StoreReport(name, stats.library, stats.size, stats.max, stats.bounded)
    if contents is not None:
        for ((key, _),) in look.unhurried(contents):
            look.at_key(key)
        values = [value for _, value in contents if value is not UNKNOWN]
        look.at_values(_sample(values), measure=True)
        report = replace(
            report,
            entries=len(contents),
            bytes=look.estimate(len(contents)) if values or not contents else None,
            measured=look.measured,
            unmeasured=look.unmeasured,
            **look.instances(),
        )
    return replace(report, findings=tuple(_findings_of_adopted(report, part.expires, cache)))


def _sample(items: list[Any]) -> list[Any]:
    """At most a thousand of *items*, evenly spread, and the same ones each time."""
    count = len(items)
    return items if count <= _SAMPLE else [items[i * count // _SAMPLE] for i in range(_SAMPLE)]


class _Look:
    """One look at the keys and values of one function.

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
        # An instance by its address, so that each counts once; held for as long as the look takes.
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

    def at_values(self, values: list[Any], measure: bool) -> None:
        """Measure values, and look for instances in what they hold."""
        for value in values:
            try:
                self._at_value(value, measure)
            except Exception:
                self.unmeasured += 1
                log.exception("%s: a value could not be measured for the leak report", self._name)
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


# -- judging


def _findings_of_bounded(store: StoreReport) -> Iterable[Finding]:
    found = functools.partial(Finding, store.name)
    seen = _sample_note(store)
    if store.value_instances:
        yield found(
            "medium",
            f"values keep {_counts(store.value_instances)} alive{seen}, so that these outlive whoever else used them.",
            "Return plain data instead of the instance, or something that holds it only by weakref.",
        )
    if store.key_instances:
        yield found(
            "medium",
            f"keys keep {_counts(store.key_instances)} alive, since these instances allow no weak reference.",
            "Add '__weakref__' to the __slots__ of the class, or give key= so that the key does not need the instance.",
        )
    if store.expired:
        yield found(
            "low",
            f"{_expired(store.expired)} past {'its' if store.expired == 1 else 'their'} life.",
            "Call registry.cleanup() from time to time, or start registry.janitor().",
        )
    entries, unused = store.entries or 0, store.never_hit or 0
    if entries >= _FEW and unused >= entries * _UNUSED_SHARE:
        yield found(
            "low",
            f"{unused} of {entries} entries were never hit.",
            "Give a smaller max= or a shorter ttl=, or leave out of the key (ignore=, key=) what differs at each call.",
        )
    yield from _unmeasured(store)


def _findings_of_arguments(store: StoreReport, arguments: Arguments) -> Iterable[Finding]:
    for name, kinds, is_own in arguments.by_identity():
        yield Finding(
            store.name,
            "medium" if is_own else "low",
            f"keys keep {_counts(kinds)} alive as {name!r} ({format_bytes(store.arguments[name])}), and serve no calls "
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


def _findings_of_adopted(store: StoreReport, expires: bool, cache: Any) -> Iterable[Finding]:
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
                "it is unbounded: no entry ever leaves.",
                "Give it a maxsize, or decorate the function with @bounded(max=...) instead.",
            )
    if store.key_instances:
        yield found(
            "high" if store.bounded is False else "medium",
            f"keys keep {_counts(store.key_instances)} alive, since each instance is part of its keys.",
            "Decorate the method with @bounded instead, whose keys hold instances weakly.",
        )
    if store.value_instances:
        yield found(
            "high" if store.bounded is False else "medium",
            f"values keep {_counts(store.value_instances)} alive{seen}.",
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
    return f" (seen in {_SAMPLE:,} of its values)" if (store.entries or 0) > _SAMPLE else ""


def _expired(count: int) -> str:
    return f"{counted(count, 'entry', 'entries')} {'is' if count == 1 else 'are'} kept"


def _grows(cache: Any) -> bool:
    """Whether it may come to hold more than one entry: not so that of a function without parameters."""
    try:
        return not callable(cache) or bool(inspect.signature(cache).parameters)
    except (ValueError, TypeError):  # a builtin that does not tell
        return True

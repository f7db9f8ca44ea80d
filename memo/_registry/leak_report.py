"""What the leak report says: what each store holds and keeps alive, and what deserves a look, as numbers and text.

It keeps no value and no instance alive.
"""

from collections.abc import Mapping
from typing import Any, Literal

from memo._base import (
    Frozen,
    FrozenDict,
    aligned,
    counted,
    escaped,
    fitted,
    format_bytes,
    format_seconds,
    freeze_fields,
    frozen_dataclass,
    html_rows,
)
from memo._registry.tiers import line_of

__all__ = ("SAMPLE", "Finding", "LeakReport", "Severity", "StoreReport", "order", "tally", "urgency")

_NO_COUNTS: Mapping[str, int] = FrozenDict()

Severity = Literal["high", "medium", "low"]

_SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")
SAMPLE = 1_000
"""Most values of one store that are measured."""

_NONE = "-"
_HEAD = ["store", "kind", "entries", "bytes", "oldest", "never hit", "expired", "small", "instances"]
_LEASES = "leases"
"""The column that is there as long as there is something in it."""
_SHORT = {"never hit": "unhit", "expired": "past", "instances": "keeps"}


@frozen_dataclass
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


@frozen_dataclass
class StoreReport(Frozen):
    """What one store holds.  What could not be learnt is None."""

    __module__ = "memo"

    name: str
    """Name of the function or adopted cache in the registry."""
    kind: str
    """"bounded" (``memo.lru_cache``, too), or the library of an adopted cache: "functools", "async_lru",
    "cachetools" or another; "window" for the keys whose calls a window with ``keys=`` counts, "limit" for those of a
    limit."""
    entries: int | None = None
    """Entries, also those past their life that nothing has removed yet; of a window or limit, keys."""
    max: int | None = None
    """Most entries; None if there is no such bound, or none that is known."""
    bounded: bool | None = True
    """Whether there is a bound of any kind; None if an adopted cache does not tell."""
    bytes: int | None = None
    """Where the store has ``max_bytes=``: bytes of its entries together, as they count against that: keys, values as
    ``sizeof=`` priced them, and the entries themselves.  Else bytes of the values alone, by ``memo.sizeof`` (what two
    values share counts twice); of a window or limit, of the keys and their counts."""
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
    instances: Mapping[str, int] = _NO_COUNTS
    """Distinct instances of the method's class that its entries keep alive, by type."""
    key_instances: Mapping[str, int] = _NO_COUNTS
    """Those of them that keys keep alive."""
    value_instances: Mapping[str, int] = _NO_COUNTS
    """Those of them that values keep alive, as far as the sample shows."""
    findings: tuple[Finding, ...] = ()
    """What deserves a look, most urgent first."""
    arguments: Mapping[str, int] = _NO_COUNTS
    """Bytes of the arguments that its keys keep alive, by parameter, the most first: estimated from at most 1,000 keys.
    What ``key=`` returned goes by that name.  Empty for an adopted cache, whose keys do not name them."""

    max_bytes: int | None = None
    """Most bytes; None if there is no such bound."""
    small_share: float | None = None
    """The part of the store that its policy means for new keys at present; see ``CacheStats.small_share``."""

    leases: int = 0
    """Leases of its values that are under way."""
    oldest_lease: float | None = None
    """Seconds since the oldest of them began, by the function's clock; None if there is none."""

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


@frozen_dataclass
class LeakReport(Frozen):
    """What the stores of a registry hold, those to look at first on top: by severity, then by bytes.

    ``print(report)`` shows it as text, a notebook as a table.  It keeps nothing alive.
    """

    __module__ = "memo"

    stores: tuple[StoreReport, ...] = ()
    tiers: tuple[Any, ...] = ()
    """The tiers that they share results through, each as its ``stats()``."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that deserves a look, most urgent first."""
        return tuple(sorted((one for store in self.stores for one in store.findings), key=urgency))

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
        return f"~ estimated from {SAMPLE:,} values, evenly spread over the store"

    def _rows(self) -> list[list[str]]:
        rows = [_HEAD, *map(_cells, self.stores)]
        if not any(store.leases for store in self.stores):
            return rows
        return [
            [*row[:-1], cell, row[-1]] for row, cell in zip(rows, [_LEASES, *map(_leases, self.stores)], strict=True)
        ]

    def __str__(self) -> str:
        lines = [self._title()]
        if self.stores:
            lines.append(aligned(fitted(self._rows(), _SHORT)))
        if note := self._note():
            lines.append(note)
        lines += map(line_of, self.tiers)
        return "\n".join([*lines, *(f"{i}. {one}" for i, one in enumerate(self.findings, 1))])

    def _repr_html_(self) -> str:
        parts = [f"<p>{escaped(self._title())}</p>", html_rows(self._rows())]
        if note := self._note():
            parts.append(f"<p>{escaped(note)}</p>")
        parts += [f"<p>{escaped(line_of(tier))}</p>" for tier in self.tiers]
        if self.findings:
            parts += ["<ol>", *(f"<li>{escaped(str(one))}</li>" for one in self.findings), "</ol>"]
        return "".join(parts)


def urgency(finding: Finding) -> int:
    """Its place among the findings: the most urgent ones first."""
    return _SEVERITIES.index(finding.severity)


def order(store: StoreReport) -> tuple[int, int, str]:
    """Its place among the stores: those to look at first."""
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
        _NONE if store.small_share is None else f"{store.small_share:.0%}",
        tally(store.instances) or _NONE,
    ]


def _leases(store: StoreReport) -> str:
    """How many leases, and how old the oldest is."""
    return _NONE if store.oldest_lease is None else f"{store.leases}, {format_seconds(store.oldest_lease)}"


def tally(instances: Mapping[str, int]) -> str:
    """How many instances of which types."""
    return ", ".join(f"{count} {name}" for name, count in instances.items())

"""What a meter is told of the figures of functions: the families that Prometheus is told of, as OpenTelemetry has them.

Names have dots, and no unit in them, since an instrument has one of its own.  What a function does not count has no
series, never a zero; a counter has one from its first event on, as those have that the SDK counts itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from opentelemetry.metrics import Observation

from memo.exporters._families import FAMILIES, Family, figure_of_tier
from memo.exporters._series import is_shared, labels_of, was_used
from memo.exporters._snapshot import Row, Tier

__all__ = ("FUNCTION", "INSTRUMENTS", "OUTCOME", "TIER", "Instrument", "Points", "points")

FUNCTION = "memo.function.name"
TIER = "memo.tier.name"
OUTCOME = "memo.load.outcome"

Kind = Literal["counter", "up_down_counter", "gauge"]

_TOO_LARGE = 2**63
"""Of an integer that is sent."""
_LEFT_OUT = ("memo_cache_load_seconds", "memo_scrape_seconds")  # of loads there is a histogram
_RENAMED = {
    "value_bytes": "size",
    "max_value_bytes": "max_size",
    "l2_seconds": "l2_time",
    "operation_seconds": "operation_time",
}
_ATTRIBUTES = {"outcome": OUTCOME, "reason": "memo.cache.eviction.reason"}
_UNITS = {
    "requests": "{request}",
    "loads": "{load}",
    "refreshes": "{load}",
    "evictions": "{entry}",
    "entries": "{entry}",
    "max_entries": "{entry}",
    "rejected": "{value}",
    "value_bytes": "By",
    "max_value_bytes": "By",
    "keys": "{key}",
    "weight": "1",
    "max_weight": "1",
    "functions": "{function}",
    **dict.fromkeys(("l2_hits", "l2_misses", "l2_waits", "l2_errors", "l2_skipped"), "{load}"),
    **dict.fromkeys(("l2_refused", "l2_rejected"), "{value}"),
    "state": "1",
    "waited": "{operation}",
    **dict.fromkeys(("connections", "reconnects"), "{connection}"),
    **dict.fromkeys(("sent", "received"), "{message}"),
    "gaps": "{gap}",
    "outages": "{outage}",
    **dict.fromkeys(("pending", "replayed", "overflowed"), "{change}"),
    **dict.fromkeys(("leases", "lost_leases"), "{lease}"),
}
"""Of seconds it is s, of what is not here calls."""

Points = Mapping[str, list[Observation]]
"""What there is to observe, by the name of the instrument."""


class Instrument(NamedTuple):
    """One observable instrument."""

    name: str
    kind: Kind
    unit: str
    about: str
    part: str
    """What it tells of, as ``Family.part`` says."""
    told: Callable[[Any], Iterable[tuple[Mapping[str, str], float | None]]]
    """Of that: attributes beside the function's name, and for each a figure; None: not counted."""


def _instrument(family: Family) -> Instrument:
    _, *area, what = family.name.split("_", 2)
    bare = _RENAMED.get(what, what.removesuffix("_seconds"))
    is_time = what.endswith("_seconds")
    kind: Kind = "counter" if family.kind == "counter" else "gauge" if is_time else "up_down_counter"
    unit = "s" if is_time else _UNITS.get(what, "{call}")
    return Instrument(".".join(("memo", *area, bare)), kind, unit, family.help, family.part, _told_of(family, area))


def _told_of(family: Family, area: list[str]) -> Callable[[Any], Iterable[tuple[Mapping[str, str], float | None]]]:
    def name(label: str) -> str:
        return _ATTRIBUTES.get(label) or ".".join(("memo", *area, label))

    if family.by:
        attribute, of = name(family.by), attrgetter(family.points[0].attribute)
        return lambda figures: [({attribute: str(key)}, count) for key, count in of(figures).items()]
    if family.part == "tier":
        of_tier = [(point, {name(label): value for label, value in point.labels.items()}) for point in family.points]
        return lambda tier: [(attributes, figure_of_tier(tier, point)) for point, attributes in of_tier]
    told = [
        (attrgetter(point.attribute), {name(label): value for label, value in point.labels.items()})
        for point in family.points
    ]
    return lambda figures: [(attributes, of(figures)) for of, attributes in told]


INSTRUMENTS = tuple(_instrument(family) for family in FAMILIES if family.name not in _LEFT_OUT)


_OF_FUNCTIONS = tuple(one for one in INSTRUMENTS if one.part not in ("", "l2", "tier"))
_OF_SHARED = tuple(one for one in INSTRUMENTS if one.part == "l2")
_OF_TIERS = tuple(one for one in INSTRUMENTS if one.part == "tier")


def points(rows: list[Row], tiers: list[Tier]) -> Points:
    """What these functions and tiers tell; functions without a call are counted, no more."""
    told: dict[str, list[Observation]] = {one.name: [] for one in INSTRUMENTS}
    told["memo.functions"] = [Observation(len(rows))]
    for label, row in zip(labels_of(row.name for row in rows), rows, strict=True):
        if not was_used(row.stats):
            continue
        function = {FUNCTION: label}
        for one in _OF_FUNCTIONS:
            figures = getattr(row.stats, one.part)
            if figures is not None:
                told[one.name] += _observations(one, function, figures)
        if is_shared(row.stats):
            for one in _OF_SHARED:
                told[one.name] += _observations(one, function, row.stats.cache)
    for label, tier in zip(labels_of(str(tier["name"]) for tier in tiers), tiers, strict=True):
        for one in _OF_TIERS:
            told[one.name] += _observations(one, {TIER: label}, tier)
    return told


def _observations(instrument: Instrument, whose: dict[str, str], figures: Any) -> Iterator[Observation]:
    counts = instrument.kind == "counter"
    for attributes, figure in instrument.told(figures):
        number = figure if type(figure) is int and -_TOO_LARGE < figure < _TOO_LARGE else _number(figure)
        if number or (number is not None and not counts):
            yield Observation(number, {**whose, **attributes})


def _number(figure: Any) -> float | None:
    """*figure* as a number that can be sent; None: not counted, or no number, as caches of others may have some."""
    try:
        number = float(figure)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if isfinite(number) else None

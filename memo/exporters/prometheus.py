"""Figures of a registry for Prometheus, collected when it scrapes: extra ``prometheus``.

Which figures, and under which names, is a table in ``_families``; a scrape goes through it for each function.  Nothing
happens at a call of a function, and nothing between scrapes.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from memo import FunctionStats, Registry
from memo._base import given_text, real
from memo.errors import MissingExtra
from memo.exporters._families import FAMILIES, Point, figure_of_tier
from memo.exporters._series import is_shared, labels_of, was_used
from memo.exporters._snapshot import Functions, Snapshots, Tier

if TYPE_CHECKING:
    from memo.exporters._others import Others

try:
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector
    from prometheus_client.samples import Sample
except ImportError as _error:
    raise MissingExtra(
        f"memo.exporters.prometheus: the package 'prometheus_client' cannot be imported ({_error}); "
        f'run: pip install "memo-toolkit[prometheus]"'
    ) from _error

__all__ = ("MemoCollector",)

_Rows = list[tuple[str, FunctionStats]]

_PLAIN: dict[str, list[tuple[str, Point]]] = {}
"""For each part of ``FunctionStats``, the points that are numbers, with the name of their family."""
_MAPPED: dict[str, list[tuple[str, Point, str]]] = {}
"""Those that are mappings, with the label for their keys."""
for _family in FAMILIES:
    for _point in _family.points:
        if _family.by:
            _MAPPED.setdefault(_family.part, []).append((_family.name, _point, _family.by))
        else:
            _PLAIN.setdefault(_family.part, []).append((_family.name, _point))

_OF_TIERS = _PLAIN.pop("tier")
_SHARED = _PLAIN.pop("l2")
"""Of functions that share their results: others are not even asked for these."""
_READ_SHARED = attrgetter(*(point.attribute for _, point in _SHARED))
_READERS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    part: attrgetter(*(point.attribute for _, point in points)) for part, points in _PLAIN.items()
}


class MemoCollector(Collector):
    """Tells Prometheus the figures of a registry's functions: ``REGISTRY.register(MemoCollector(memo.registry))``.

    Figures are those of a snapshot at most a second old, which all exporters of the registry share.  Names and labels
    are in docs/prometheus.md.  A function whose figures cannot be read is left out, and logged once a minute; one that
    has died takes its series along.  Collecting may be done in any thread, and blocks for some 0.1 ms a function.

    Args:
        registry: The registry, or a part of one that ``select()`` chose; kept alive.
        select: Which functions, a pattern as for ``registry.select()``; None: all of them.
        idle: Whether functions that were never called are told of, and reasons that nothing left for.
        per_process: Whether the other processes of this service are told of as well, each with its identifier as a
            label ``process``: of several workers a scrape reaches any one, which asks the others.  All of them must be
            served under one name, ``registry.serve(name=...)``.  None: this process alone, without that label.

    Raises:
        TypeError: registry is no registry, or with per_process a part of one; select is no text; idle or per_process
            is no bool.
        ValueError: select is empty.
    """

    def __init__(
        self, registry: Functions, select: str | None = None, idle: bool = False, per_process: bool | None = None
    ) -> None:
        if not callable(getattr(registry, "select", None)):
            raise TypeError(
                f"MemoCollector: registry={given_text(registry)} is no registry; give memo.registry, or a part that "
                "it selects."
            )
        if not isinstance(idle, bool):
            raise TypeError(f"MemoCollector: idle={given_text(idle)} is not a bool; write True or False.")
        if not isinstance(per_process, bool | None):
            raise TypeError(f"MemoCollector: per_process={given_text(per_process)} is not a bool; write True or False.")
        registry.select(select)  # which knows what a pattern may be
        self._registry = registry
        self._pattern = select
        self._idle = idle
        self._others = _others_of(registry) if per_process else None

    def describe(self) -> Iterable[Metric]:
        """The names alone, so that none is registered twice; no figure is collected for that."""
        return [Metric(family.name, family.help, family.kind) for family in FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """The figures of now."""
        begun = real.fine()
        families = {family.name: Metric(family.name, family.help, family.kind) for family in FAMILIES}
        # With sparklines where others are shown: these need a snapshot that has them.
        snapshot = Snapshots.of(self._registry).latest(sparks=self._others is not None)
        rows = [(row.name, row.stats) for row in snapshot.rows if self._wants(row.name)]
        if self._others is None:
            _fill(families, rows, {}, self._idle)
            _fill_tiers(families, snapshot.tiers, {})
        else:
            own = {"process": str(os.getpid())}
            _fill(families, rows, own, self._idle)
            _fill_tiers(families, snapshot.tiers, own)
            for process, theirs in self._others.told(self._wants).items():
                _fill(families, theirs.rows, {"process": str(process)}, self._idle)
                _fill_tiers(families, theirs.tiers, {"process": str(process)})
        families["memo_scrape_seconds"].samples.append(Sample("memo_scrape_seconds", {}, real.fine() - begun))
        return [family for family in families.values() if family.samples]

    def _wants(self, name: str) -> bool:
        return self._pattern is None or fnmatchcase(name, self._pattern)

    def __repr__(self) -> str:
        return f"<collector of {self._registry!r}>"


def _others_of(registry: Functions) -> "Others":
    # What talks to other processes is a lot to import for those who do not.
    from memo.exporters._others import Others

    if not isinstance(registry, Registry):
        raise TypeError(
            f"MemoCollector: per_process=True needs a whole registry, not {given_text(registry)}; choose by select=."
        )
    return Others(registry)


def _fill(families: Mapping[str, Metric], rows: _Rows, shared: Mapping[str, str], idle: bool) -> None:
    """Put the samples of one process's functions into *families*, with the labels that they share."""
    plain = {
        part: [(families[name].samples.append, name + point.suffix, point.labels) for name, point in points]
        for part, points in _PLAIN.items()
    }
    mapped = {
        part: [(families[name].samples.append, name + point.suffix, point.attribute, by) for name, point, by in points]
        for part, points in _MAPPED.items()
    }
    of_shared = [(families[name].samples.append, name + point.suffix) for name, point in _SHARED]
    families["memo_functions"].samples.append(Sample("memo_functions", dict(shared), len(rows)))
    for label, stats in zip(labels_of([name for name, _ in rows]), [stats for _, stats in rows], strict=True):
        if not idle and not was_used(stats):
            continue
        labels = {"function": label, **shared}
        for part, points in plain.items():
            figures = getattr(stats, part)
            if figures is None:
                continue
            for (add, name, extra), value in zip(points, _READERS[part](figures), strict=True):
                if value is None:
                    continue
                try:
                    number = float(value)
                except (OverflowError, TypeError, ValueError):  # what a cache of others takes for one
                    continue
                add(Sample(name, {**labels, **extra} if extra else labels, number))
            for add, name, attribute, by in mapped.get(part, ()):
                for key, count in getattr(figures, attribute).items():
                    if count or idle:
                        add(Sample(name, {**labels, by: str(key)}, count))
        if is_shared(stats):
            for (add, name), value in zip(of_shared, _READ_SHARED(stats.cache), strict=True):
                if value is not None:
                    add(Sample(name, labels, float(value)))


def _fill_tiers(families: Mapping[str, Metric], tiers: Sequence[Tier], shared: Mapping[str, str]) -> None:
    """Put the samples of one process's tiers into *families*."""
    for label, tier in zip(labels_of([str(tier["name"]) for tier in tiers]), tiers, strict=True):
        for name, point in _OF_TIERS:
            figure = figure_of_tier(tier, point)
            if figure is not None:
                labels = {"tier": label, **shared, **point.labels}
                families[name].samples.append(Sample(name + point.suffix, labels, float(figure)))

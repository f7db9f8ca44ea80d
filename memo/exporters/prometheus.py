"""Figures of a registry for Prometheus, collected when it scrapes: extra ``prometheus``.

Which figures, and under which names, is a table in ``_families``; a scrape goes through it for each function.  Nothing
happens at a call of a function, and nothing between scrapes.
"""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import Any

from memo import FunctionStats
from memo._base import real
from memo.errors import MissingExtra
from memo.exporters._families import FAMILIES, Point
from memo.exporters._series import labels_of, was_used
from memo.exporters._snapshot import Functions, Snapshots

try:
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector
    from prometheus_client.samples import Sample
except ImportError as error:
    raise MissingExtra(
        f"memo.exporters.prometheus: the package 'prometheus_client' cannot be imported ({error}); "
        f'run: pip install "memo-toolkit[prometheus]"'
    ) from error

__all__ = ("MemoCollector",)

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

    Raises:
        TypeError: registry is no registry, select is no text, idle is no bool.
        ValueError: select is empty.
    """

    def __init__(self, registry: Functions, select: str | None = None, idle: bool = False) -> None:
        if not callable(getattr(registry, "select", None)):
            raise TypeError(
                f"MemoCollector: registry={registry!r} is no registry; give memo.registry, or a part that it selects."
            )
        if not isinstance(idle, bool):
            raise TypeError(f"MemoCollector: idle={idle!r} is not a bool; write True or False.")
        registry.select(select)  # which knows what a pattern may be
        self._registry = registry
        self._pattern = select
        self._idle = idle

    def describe(self) -> Iterable[Metric]:
        """The names alone, so that none is registered twice; no figure is collected for that."""
        return [Metric(family.name, family.help, family.kind) for family in FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """The figures of now."""
        begun = real.fine()
        families = {family.name: Metric(family.name, family.help, family.kind) for family in FAMILIES}
        rows = [
            (row.name, row.stats)
            for row in Snapshots.of(self._registry).latest().rows
            if self._pattern is None or fnmatchcase(row.name, self._pattern)
        ]
        _fill(families, rows, {}, self._idle)
        families["memo_scrape_seconds"].samples.append(Sample("memo_scrape_seconds", {}, real.fine() - begun))
        return [family for family in families.values() if family.samples]

    def __repr__(self) -> str:
        return f"<collector of {self._registry!r}>"


def _fill(
    families: Mapping[str, Metric], rows: list[tuple[str, FunctionStats]], shared: Mapping[str, str], idle: bool
) -> None:
    """Put the samples of one process's functions into *families*, with the labels that they share."""
    plain = {
        part: [(families[name].samples.append, name + point.suffix, point.labels) for name, point in points]
        for part, points in _PLAIN.items()
    }
    mapped = {
        part: [(families[name].samples.append, name + point.suffix, point.attribute, by) for name, point, by in points]
        for part, points in _MAPPED.items()
    }
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
                if value is not None:
                    add(Sample(name, {**labels, **extra} if extra else labels, value))
            for add, name, attribute, by in mapped.get(part, ()):
                for key, count in getattr(figures, attribute).items():
                    if count or idle:
                        add(Sample(name, {**labels, by: str(key)}, count))

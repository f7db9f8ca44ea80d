"""The instruments of each meter provider, and what they observe.

A meter has one instrument of a name, with the callbacks that it was first made with, for as long as the provider lives.
So a provider has one set of them, which asks at each collection what is instrumented then.
"""

import logging
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter_provider

from memo import Registry, dedupe_inflight
from memo.exporters._otel_durations import Durations
from memo.exporters._otel_figures import INSTRUMENTS, Points, points
from memo.exporters._snapshot import Row, Snapshots, Tier

__all__ = ("Instruments", "instruments_of")

log = logging.getLogger("memo")

_apart = Registry()


class Instruments:
    """The instruments that this package has of one meter provider.

    Attributes:
        durations: How long loads take: the only instrument that is told of things when they happen.
    """

    def __init__(self, provider: MeterProvider) -> None:
        self.durations: Durations = Durations(provider.get_meter("memo"))
        self._registries: dict[int, weakref.ref[Registry]] = {}  # by address; each step is the interpreter's own
        self._collection: _Collection | None = None
        self.make(provider)

    def make(self, provider: MeterProvider) -> None:
        """Make them at *provider*, as far as it does not have them."""
        meter = provider.get_meter("memo")
        for one in INSTRUMENTS:
            self._make(meter, one.kind, one.name, one.unit, one.about)

    def _make(self, meter: Meter, kind: str, name: str, unit: str, about: str) -> None:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return self._observe(name)

        getattr(meter, f"create_observable_{kind}")(name, [observe], unit, about)

    def add(self, registry: Registry) -> None:
        """Tell of *registry*, which is not kept alive, from the next collection on."""
        self._registries[id(registry)] = weakref.ref(registry, self._remover(id(registry)))

    def _remover(self, address: int) -> Callable[[Any], object]:
        registries = self._registries
        return lambda _: registries.pop(address, None)

    def remove(self, registry: Registry) -> None:
        """Tell of it no more."""
        self._registries.pop(id(registry), None)

    def _observe(self, name: str) -> Iterable[Observation]:
        """What the instrument *name* observes; asked for each in turn, by what collects figures.

        An instrument that was asked already is asked for the next collection.
        """
        collection = self._collection
        if collection is None or name not in collection.left:
            self._collection = collection = _Collection(self._figures())
            self.durations.hand_over()
        collection.left.discard(name)
        if not collection.left:
            self._collection = None  # figures of a minute ago are of no use to the next
        return collection.figures.get(name, ())

    def _figures(self) -> Points:
        try:
            rows: list[Row] = []
            tiers: dict[tuple[str, str], list[Tier]] = {}
            for ref in list(self._registries.values()):
                registry = ref()
                if registry is not None:
                    snapshot = Snapshots.of(registry).latest()
                    rows += snapshot.rows
                    tiers = {**_by_place(snapshot.tiers), **tiers}  # two registries may share by one
            return points(rows, [tier for some in tiers.values() for tier in some]) if self._registries else {}
        except Exception:  # the snapshot took half a minute
            log.exception("the figures of this collection are left out")
            return {}


def _by_place(tiers: Iterable[Tier]) -> dict[tuple[str, str], list[Tier]]:
    """Tiers by their name and server; a registry may have several of one."""
    found: dict[tuple[str, str], list[Tier]] = {}
    for tier in tiers:
        found.setdefault((tier["name"], tier["server"]), []).append(tier)
    return found


class _Collection:
    """The figures of one collection, and the instruments that it has not asked yet."""

    __slots__ = ("figures", "left")

    def __init__(self, figures: Points) -> None:
        self.figures = figures
        self.left = {one.name for one in INSTRUMENTS}


def instruments_of(provider: MeterProvider | None) -> Instruments:
    """Those of *provider*, or (None) of the program's own, be that set before or later."""
    return _instruments_of(get_meter_provider() if provider is None else provider)


@dedupe_inflight(timeout=30, registry=_apart)  # two threads that come at once get the same
def _instruments_of(provider: MeterProvider) -> Instruments:
    found = _known.get(provider)
    if found is not None:
        return found
    if provider is not get_meter_provider():
        return _known.setdefault(provider, Instruments(provider))
    # What was asked for the program's provider before that was set made its instruments there as it was set.
    present = _default[0] if _default else None
    if present is None:
        present = Instruments(provider)
        _default.append(present)
    else:
        present.make(provider)
    return _known.setdefault(provider, present)


_known: "weakref.WeakKeyDictionary[MeterProvider, Instruments]" = weakref.WeakKeyDictionary()
_default: list[Instruments] = []
"""Those of the program's provider, once somebody asked for them."""

"""What a registry shows from outside, in one place for all who ask: figures, findings, and what belongs to them.

One view for each registry and process, however many servers show it: so the work is done once.
"""

import fnmatch
import os
import secrets
import sys
import weakref
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from memo import Registry, bounded
from memo._base import Stage, hold, real, rlock
from memo.exporters._changes import Changes
from memo.exporters._figures_json import PARTS
from memo.exporters._own import MOST_FLIGHTS, Own, flights_of
from memo.exporters._process import default_name, group_of, process_json
from memo.exporters._snapshot import Snapshots, Tier
from memo.exporters._sockets import Place
from memo.exporters._tiers import together
from memo.exporters._workers import Workers

__all__ = ("Asked", "View", "view_of")

_FORMAT = 1

_apart = Registry()
"""Where the functions of this package itself are, which nobody shows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know of the figures."""

    since: str = ""
    """What the last answer gave as its token; empty, or of long ago: everything."""
    select: str | None = None
    """A pattern of names, as for ``registry.select()``; None: all."""
    parts: Collection[str] = PARTS
    """Kinds of figures."""
    own: bool = False
    """Of this process alone."""
    by_process: bool = False
    """Each process for itself."""


class View:
    """The figures of one registry, and of its service's other processes.  Safe from any thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = weakref.ref(registry)
        self._place: Place | None = None
        self._name: str | None = None
        self._group = group_of(None)
        """What siblings have in common; of the moment when serving began: a program may go to another folder."""
        self.pid: int = os.getpid()
        """The process that it is of."""
        self._lock = rlock()  # guards what follows; nobody waits, and no code of users runs, under it
        self._boot = secrets.token_hex(4)
        self._own = Own()
        self._workers = Workers(self._own)
        self._had_siblings = False

    def serve_at(self, place: Place | None, name: str | None) -> None:
        """Note where this process serves, and the name that it was given, if any: by these siblings know each other."""
        self._place = place
        self._name = name
        self._group = group_of(name)

    def leave(self, place: Place) -> None:
        """Note that this process serves there no more, and so has no siblings."""
        if self._place is place:
            self._place = None
        with self._lock:
            self._workers.close()

    def find_siblings(self, *, now: bool = False) -> list[Place]:
        """Where the other processes of this service serve; if *now*, also those of the last second.  Blocking."""
        if now:
            self._ask_siblings.cache.refresh()
        else:
            self._ask_siblings()
        with self._lock:
            siblings = self._workers.siblings
        return [sibling.place for sibling in siblings if sibling.has_answered]

    def is_one_of_several(self) -> bool:
        """Whether other processes of this service serve, or have done so since this one began.  Blocking."""
        found = bool(self.find_siblings())
        with self._lock:
            self._had_siblings = self._had_siblings or found
            return self._had_siblings

    @bounded(max=1, ttl=1.0, timeout=30.0, registry=_apart)
    def _ask_siblings(self) -> None:
        """Take in what the siblings tell: at most once a second, and by one thread for all that wait for it."""
        told = self._workers.ask(self._place, self._group)
        with self._lock:
            self._workers.take(told)

    def stats(self, asked: Asked, *, show_keys: bool, actions: bool) -> dict[str, Any]:
        """The answer of ``/stats.json``: figures of a second ago at most.  From any thread, and blocking.

        Raises:
            InflightTimeout: The thread that collects the figures has been at it for half a minute.
        """
        registry = self._registry()
        if registry is None:
            registry = Registry()
        snapshot = Snapshots.of(registry).latest(sparks=True)
        flights, flying = flights_of(registry, snapshot, self.pid)
        with self._lock:
            self._own.take(snapshot)
        if not asked.own:
            self._ask_siblings()
        notes = registry.notes()
        with self._lock:
            siblings = [] if asked.own else self._workers.siblings
            tiers: list[Tier] = [{**tier, "process": self.pid} for tier in snapshot.tiers]
            mode, changes = self._table(asked, bool(siblings))
            context = zlib.crc32(repr((mode, asked.select, sorted(asked.parts))).encode())
            rows, gone, full = changes.since(self._number_in(asked.since, context))
            for sibling in siblings:
                flights = flights + sibling.flights
                flying += sibling.flying
                notes = notes + sibling.notes
                tiers = tiers + sibling.tiers
            answer = {
                "format": _FORMAT,
                "token": f"{self._boot}.{changes.number}.{context:08x}",
                "full": full,
                "process": process_json(self._name or default_name(), self._group),
                "processes": [self._process(), *(_told_of(sibling) for sibling in siblings)],
                "taken": snapshot.taken,
                "functions": len(changes),
            }
        if asked.by_process and not siblings:
            rows = {f"{name}@{self.pid}": {**row, "process": self.pid} for name, row in rows.items()}
            gone = [f"{name}@{self.pid}" for name in gone]
        wanted = _matcher(asked.select)
        return {
            **answer,
            "rows": {name: _only(row, asked.parts) for name, row in rows.items() if wanted(name)},
            "gone": [name for name in gone if wanted(name)],
            "flights": [_shown(one, show_keys) for one in _longest(flights) if wanted(one["function"])],
            "flying": flying,
            "actions": actions,
            "show_keys": show_keys,
            "notes": list(dict.fromkeys(notes)),
            **({"tiers": tiers if asked.own or asked.by_process else together(tiers)} if tiers else {}),
        }

    def _table(self, asked: Asked, has_siblings: bool) -> tuple[str, Changes]:
        if has_siblings:
            return ("each", self._workers.each) if asked.by_process else ("together", self._workers.together)
        return ("alone, each" if asked.by_process else "alone"), self._own.changes

    def _number_in(self, since: str, context: int) -> int | None:
        boot, _, rest = since.partition(".")
        number, _, told = rest.partition(".")
        if boot != self._boot or told != f"{context:08x}" or not number.isascii() or not number.isdecimal():
            return None
        return int(number) if len(number) < 20 else None

    def _process(self) -> dict[str, Any]:
        told = process_json("", "")
        return {"pid": self.pid, "uptime": told["uptime"], "functions": len(self._own.changes), "error": None}

    # -- the leak report

    @bounded(max=1, ttl=30.0, timeout=120.0, registry=_apart)
    def report(self) -> dict[str, Any]:
        """The answer of ``/report.json``: of this process, and at most half a minute old.  Blocking."""
        registry = self._registry() or Registry()
        taken = real.monotonic()
        report = registry.report()
        return {
            "taken": taken,
            "pid": self.pid,
            "bytes": report.bytes,
            "stores": [store.as_dict() for store in report.stores],
            "findings": [finding.as_dict() for finding in report.findings],
        }


def _told_of(sibling: Any) -> dict[str, Any]:
    return {
        "pid": sibling.place.pid,
        "uptime": sibling.process.get("uptime"),
        "functions": len(sibling.changes),
        "error": sibling.error,
    }


def _matcher(pattern: str | None) -> Callable[[str], bool]:
    if pattern is None:
        return lambda name: True
    return lambda name: fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.rpartition("@")[0], pattern)


def _only(row: dict[str, Any], parts: Collection[str]) -> dict[str, Any]:
    return row if len(parts) == len(PARTS) else {key: row[key] for key in row if key not in PARTS or key in parts}


def _longest(flights: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(flights, key=lambda one: one["age"], reverse=True)[:MOST_FLIGHTS]


def _shown(flight: dict[str, Any], show_keys: bool) -> dict[str, Any]:
    return flight if show_keys else {key: value for key, value in flight.items() if key != "key"}


_lock = rlock()
_views: "weakref.WeakKeyDictionary[Registry, View]" = weakref.WeakKeyDictionary()
"""Guarded by _lock."""
hold(Stage.SERVERS, sys.modules[__name__], _lock)


def view_of(registry: Registry) -> View:
    """The one view of *registry* in this process; another one in a forked child."""
    with _lock:
        view = _views.get(registry)
        if view is None or view.pid != os.getpid():
            fresh = View(registry)
            if view is not None:  # the parent's
                fresh.serve_at(None, view._name)
                view._workers.close()
            _views[registry] = view = fresh
        return view

"""Every decorated function in one place: look up, snapshot, clean up.

A registry holds its records weakly; a record lives as long as one of its function's layers.  A
function decorated several times over has one record, which its layers share.
"""

import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from memo._cache import CacheHandle
from memo._inflight_handle import InflightHandle
from memo._stats import CacheStats, CleanupReport, InflightStats
from memo._table import html_table, text_table
from memo._window_handle import WindowHandle
from memo._window_records import WindowStats

__all__ = ("FunctionStats", "Part", "Record", "Registry", "View", "record_of", "registry")


class Part(Protocol):
    """One layer of a decorated function, as the registry sees it."""

    kind: str

    def handle(self) -> Any:
        """The handle that this layer adds."""

    def sweep(self) -> tuple[int, int, int]:
        """Drop what is expired or stuck; how many entries, flights and window events went."""
        ...

    def empty(self) -> None:
        """Drop everything."""

    def fence(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """Let no running call of this layer serve newcomers any more: those of one call, or all (None)."""


_SPARKS = 12  # characters of a sparkline: half of what a window shows by itself, as tables are wide enough


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """The figures of one decorated function; a part that it does not have is None."""

    name: str
    tags: tuple[str, ...]
    cache: CacheStats | None = None
    inflight: InflightStats | None = None
    window: WindowStats | None = None

    def __sub__(self, earlier: Self) -> Self:
        """What happened between two snapshots of one function."""
        if type(earlier) is not type(self):
            return NotImplemented
        if self.name != earlier.name:
            raise ValueError(
                f"snapshots of {self.name!r} and {earlier.name!r} do not subtract; take both of one function."
            )
        return type(self)(
            self.name,
            self.tags,
            _minus(self.cache, earlier.cache),
            _minus(self.inflight, earlier.inflight),
            _minus(self.window, earlier.window),
        )


def _minus(later: Any, earlier: Any) -> Any:
    return later - earlier if later is not None and earlier is not None else later


class Record:
    """One decorated function in a registry.

    Attributes:
        name: ``module.qualname``, or the ``name=`` that it was given.
        tags: Its fixed tags.
    """

    __slots__ = ("__weakref__", "_parts", "explicit_name", "explicit_registry", "name", "registry", "tags", "top")

    def __init__(self, name: str, registry: "Registry") -> None:
        self.name = name
        self.registry = registry
        self.tags: tuple[str, ...] = ()
        self.explicit_name = False
        self.explicit_registry = False
        self.top: weakref.ref[Any] | None = None
        """The outermost decorated object."""
        self._parts: tuple[Part, ...] = ()

    def add(self, part: Part) -> None:
        """Put *part* around the layers so far."""
        self._parts = (part, *self._parts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The layers, outermost first."""
        return self._parts

    def _handle(self, kind: str) -> Any:
        for part in self._parts:
            if part.kind == kind:
                return part.handle()
        return None

    @property
    def cache(self) -> CacheHandle[..., Any] | None:
        """The handle on its store, or None."""
        return self._handle("cache")  # type: ignore[no-any-return]

    @property
    def inflight(self) -> InflightHandle[..., Any] | None:
        """The handle on its running calls, or None."""
        handle = self._handle("inflight")
        return handle if handle is not None else getattr(self.cache, "inflight", None)

    @property
    def window(self) -> WindowHandle[..., Any] | None:
        """The handle on its window, or None."""
        return self._handle("window")  # type: ignore[no-any-return]

    def stats(self) -> FunctionStats:
        """Its figures now."""
        cache, inflight, window = self.cache, self.inflight, self.window
        return FunctionStats(
            self.name,
            self.tags,
            None if cache is None else cache.stats(),
            None if inflight is None else inflight.stats(),
            None if window is None else window.stats(),
        )

    def cleanup(self) -> CleanupReport:
        """Drop what is expired or stuck in every layer."""
        return _sweep([self])

    def clear(self) -> None:
        """Drop every entry, in every layer."""
        for part in self._parts:
            part.empty()

    def __repr__(self) -> str:
        return f"<record of {self.name}>"


class View:
    """Some decorated functions, and what can be done with all of them."""

    def _records(self) -> list[Record]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records())

    def __len__(self) -> int:
        return len(self._records())

    def __bool__(self) -> bool:
        return True

    def __contains__(self, function: object) -> bool:
        return self._find(function) is not None

    def __getitem__(self, function: Any) -> Record:
        """The record of a decorated function, or of a name.

        Raises:
            KeyError: It is not here.
        """
        record = self._find(function)
        if record is None:
            raise KeyError(f"{function!r} is not in this registry; it has {len(self)} functions: list(registry)")
        return record

    def _find(self, function: object) -> Record | None:
        records = self._records()
        if isinstance(function, str):
            return next((record for record in records if record.name == function), None)
        found = record_of(function)
        return found if any(record is found for record in records) else None

    def stats(self) -> dict[str, FunctionStats]:
        """The figures of every function now, by name."""
        return {record.name: record.stats() for record in self._records()}

    def cleanup(self) -> CleanupReport:
        """Drop what is expired or stuck, everywhere."""
        return _sweep(self._records())

    def clear(self) -> None:
        """Drop every entry, everywhere; counters stay."""
        for record in self._records():
            record.clear()

    def __str__(self) -> str:
        return text_table(self.stats().values(), self._sparklines())

    def _repr_html_(self) -> str:
        return html_table(self.stats().values(), self._sparklines())

    def _sparklines(self) -> dict[str, str]:
        windows = {record.name: record.window for record in self._records()}
        return {name: window.sparkline(_SPARKS) for name, window in windows.items() if window is not None}


class Registry(View):
    """A place where decorated functions are seen together.  ``memo.registry`` is the default one.

    Safe from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _forkable.add(self)
        self._by_name: weakref.WeakValueDictionary[str, Record] = weakref.WeakValueDictionary()  # guarded by _lock

    def _records(self) -> list[Record]:
        with self._lock:
            return sorted(self._by_name.values(), key=lambda record: record.name)

    def _find(self, function: object) -> Record | None:
        if isinstance(function, str):
            with self._lock:
                return self._by_name.get(function)
        found = record_of(function)
        return found if found is not None and found.registry is self else None

    def enter(self, name: str) -> Record:
        """A new record under *name*, or under ``name#2`` and so on if that is taken."""
        with self._lock:
            record = Record(self._free(name), self)
            self._by_name[record.name] = record
            return record

    def rename(self, record: Record, name: str) -> None:
        """Give *record* another name."""
        with self._lock:
            if self._by_name.get(record.name) is record:
                del self._by_name[record.name]
            record.name = self._free(name)
            record.registry = self
            self._by_name[record.name] = record

    def leave(self, record: Record) -> None:
        """Forget *record*."""
        with self._lock:
            if self._by_name.get(record.name) is record:
                del self._by_name[record.name]

    def _free(self, name: str) -> str:
        if name not in self._by_name:
            return name
        number = 2
        while f"{name}#{number}" in self._by_name:
            number += 1
        return f"{name}#{number}"

    def __repr__(self) -> str:
        return f"<registry of {len(self)} functions>"


# A fork copies a lock that another thread holds, and nobody in the child would release it.  So the forking
# thread takes the lock of each registry first.

_forkable: "weakref.WeakSet[Registry]" = weakref.WeakSet()
_held: list[Any] = []


def _before_fork() -> None:
    for one in list(_forkable):
        one._lock.acquire()
        _held.append(one._lock)


def _after_fork() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)

registry = Registry()


def record_of(function: Any) -> Record | None:
    """The record of a decorated function, looked for through whatever wraps it."""
    seen = 0
    while function is not None and seen < 100:
        record = getattr(function, "__memo_record__", None)
        if isinstance(record, Record):
            return record
        function = getattr(function, "__wrapped__", None) or getattr(function, "fget", None)
        seen += 1
    return None


def _sweep(records: list[Record]) -> CleanupReport:
    began = time.perf_counter()
    went: Mapping[str, int] = {}
    expired = flights = events = 0
    for record in records:
        total = 0
        for part in record.parts:
            e, f, w = part.sweep()
            expired, flights, events = expired + e, flights + f, events + w
            total += e + f + w
        if total:
            went = {**went, record.name: total}
    return CleanupReport(expired, flights, events, time.perf_counter() - began, went)

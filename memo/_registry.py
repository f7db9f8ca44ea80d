"""Every decorated function in one place: look up, snapshot, clean up.

A registry holds its records weakly; a record lives as long as one of its function's layers.  A
function decorated several times over has one record, which its layers share.  That of an adopted cache
lives as long as the cache.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import add
from typing import Any, Protocol, Self

from memo._adopted import (
    Adopted,
    AdoptedHandle,
    AdoptedRef,
    AdoptedStats,
    adoptable,
    check_lock,
    find_adopted,
    name_of,
)
from memo._background import RefreshPool
from memo._cache import CacheHandle
from memo._inflight_handle import InflightHandle
from memo._janitor import Janitor
from memo._pace import Pace
from memo._report import LeakReport, report_on
from memo._stats import CacheStats, CleanupReport, InflightStats
from memo._switch import switched_off
from memo._table import html_table, text_table
from memo._tags import Tags, check_tag
from memo._units import Duration, positive_int, seconds
from memo._window_handle import WindowHandle
from memo._window_records import WindowStats

__all__ = ("FunctionStats", "Part", "Record", "Registry", "Selection", "View", "record_of", "registry")


log = logging.getLogger("memo")


class Part(Protocol):
    """One layer of a decorated function, as the registry sees it."""

    kind: str

    def handle(self) -> Any:
        """The handle that this layer adds."""

    def sweep(self) -> Iterator[tuple[int, int, int]]:
        """Drop what is expired or stuck, slice by slice; how many entries, flights and window events went in each."""
        ...

    def empty(self) -> None:
        """Drop everything."""

    def fence(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """Let no running call of this layer serve newcomers any more: those of one call, or all (None)."""

    def drop_tagged(self, tag: str) -> int:
        """Drop what bears *tag*, and fence what runs with it; how many entries went."""
        ...

    def watch_switch(self, on: bool) -> None:
        """Look at each call whether the function is switched off, or stop that."""

    @property
    def tags(self) -> Tags:
        """What the decorator was told about tags."""
        ...


_SPARKS = 12  # characters of a sparkline: half of what a window shows by itself, as tables are wide enough


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """The figures of one decorated function; a part that it does not have is None."""

    name: str
    tags: tuple[str, ...]
    cache: CacheStats | None = None
    inflight: InflightStats | None = None
    window: WindowStats | None = None
    adopted: AdoptedStats | None = None
    """Those of a cache that others made; it has no other part."""

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
            _minus(self.adopted, earlier.adopted),
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
        self.tags = tuple(dict.fromkeys((*part.tags.fixed, *self.tags)))
        self.registry.admit(part)

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

    @property
    def adopted(self) -> AdoptedHandle | None:
        """The handle on a cache that others made, or None."""
        return self._handle("adopted")  # type: ignore[no-any-return]

    def is_gone(self) -> bool:
        """Whether this is the record of an adopted cache that is no more, kept by somebody."""
        return any(isinstance(part, Adopted) and part.cache is None for part in self._parts)

    def stats(self) -> FunctionStats:
        """Its figures now."""
        cache, inflight, window, adopted = self.cache, self.inflight, self.window, self.adopted
        return FunctionStats(
            self.name,
            self.tags,
            None if cache is None else cache.stats(),
            None if inflight is None else inflight.stats(),
            None if window is None else window.stats(),
            None if adopted is None else adopted.stats(),
        )

    def cleanup(self) -> CleanupReport:
        """Drop what is expired or stuck in every layer."""
        return _sweep([self])

    def invalidate(self, tag: str) -> int:
        """Drop the entries that bear *tag*, and fence the running calls that may bear it; how many entries went."""
        parts = self._parts
        everything = tag in self.tags
        computed = any(part.tags.function is not None for part in parts)
        count = 0
        for part in reversed(parts):  # innermost first: what begins meanwhile above may be given what is still below
            # without a function it cannot tell which of its running calls the others' tags are about
            if everything or (computed and part.tags.function is None):
                part.fence(None)
            count += part.drop_tagged(tag)
        return count

    def clear(self) -> None:
        """Drop every entry, in every layer."""
        for part in reversed(self._parts):  # innermost first: what begins meanwhile above may be given what is below
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
        found = _adopted_among(records, function) or record_of(function)
        return found if any(record is found for record in records) else None

    def stats(self) -> dict[str, FunctionStats]:
        """The figures of every function now, by name."""
        return {record.name: record.stats() for record in self._records()}

    def cleanup(self) -> CleanupReport:
        """Drop what is expired or stuck, everywhere.

        Works in small slices and lets other threads run in between.  A function whose clock or policy raises is
        logged to logger "memo", and the others are cleaned up all the same.
        """
        return _sweep(self._records())

    def clear(self) -> None:
        """Drop every entry, everywhere; counters stay."""
        for record in self._records():
            record.clear()

    def report(self) -> LeakReport:
        """What the stores hold and keep alive, what to look at first, and what to do about it: ``print(x.report())``.

        Functions without a store are left out.  Where a store does not count bytes itself, up to 1,000 of its values,
        evenly spread, are measured by ``memo.sizeof``, which takes some microseconds for each; one that raises is
        logged to logger "memo".  Nothing counts as a hit, and no lock is held meanwhile; other threads run in between.
        """
        return report_on(self._records())

    def select(self, pattern: str | None = None, tag: str | None = None) -> "Selection":
        """A view of those of these functions whose name matches and that bear a tag, now and later.

        Args:
            pattern: What the name must match, in capitals and small letters: ``*`` stands for any text, ``?`` for
                one character, ``[ab]`` for one of these; None: every name.
            tag: One of the function's own tags (not those that ``tags=`` computes for each entry); None: any or none.

        Raises:
            TypeError: pattern or tag is no text.
            ValueError: pattern or tag is empty.
        """
        if pattern is not None and not isinstance(pattern, str):
            raise TypeError(f"select: pattern={pattern!r} is not text; give one such as 'bot.*'.")
        if pattern == "":
            raise ValueError("select: pattern='' matches nothing; give one such as 'bot.*', or leave it out.")
        if tag is not None:
            check_tag("select", tag)
        return Selection(self, pattern, tag)

    def invalidate(self, *, tag: str) -> int:
        """Drop every entry that bears *tag*, in every function, and let no load that runs now bring one back.

        Bears it: every entry of a function with that tag, and of a function whose ``tags=`` computes tags the
        entries for whose calls it returned this one.  Those are found by the tag, in time proportional to
        their number.  Callers who wait for a running load get its result; it is not stored.  Entries leave with the
        reason ``invalidated``.  What a sliding window recorded stays: it happened.

        Returns:
            Number of entries dropped.

        Raises:
            TypeError: tag is no text.
            ValueError: tag is empty.
        """
        check_tag("invalidate", tag)
        return sum(record.invalidate(tag) for record in self._records())

    def covers(self, record: Record) -> bool:
        """Whether *record* is one of these."""
        raise NotImplementedError

    def _home(self) -> "Registry":
        """The registry that this is, or is a part of."""
        raise NotImplementedError

    @contextmanager
    def disabled(self, pattern: str | None = None) -> Iterator[None]:
        """Have calls of these functions go straight to what they decorate, within a ``with`` block.

        Nothing is looked up, joined, stored, recorded or counted then; handles keep working.  This holds for the
        thread or task that enters the block and for tasks started in it, also for functions decorated in it; other
        threads and tasks go on as before.  (A context variable carries it.)  To switch everything off for
        good, set ``MEMO_DISABLE=1`` in the environment before decorating.

        Args:
            pattern: Which functions, as for ``select()``; None: all of these.

        Raises:
            TypeError: pattern is no text.
            ValueError: pattern is empty.
        """
        view = self if pattern is None else self.select(pattern)
        home = self._home()
        home.watch_switch(1)
        try:
            with switched_off(view):
                yield
        finally:
            home.watch_switch(-1)

    def __str__(self) -> str:
        return text_table(self.stats().values(), self._sparklines(), self._note())

    def _repr_html_(self) -> str:
        return html_table(self.stats().values(), self._sparklines(), self._note())

    def _note(self) -> str:
        """Lines below the table, or nothing."""
        return ""

    def _sparklines(self) -> dict[str, str]:
        windows = {record.name: record.window for record in self._records()}
        return {name: window.sparkline(_SPARKS) for name, window in windows.items() if window is not None}


class Selection(View):
    """Those functions of a view whose name matches a pattern and that bear a tag."""

    def __init__(self, of: View, pattern: str | None, tag: str | None) -> None:
        self._of = of
        self._pattern = pattern
        self._tag = tag

    def _matches(self, record: Record) -> bool:
        if self._pattern is not None and not fnmatchcase(record.name, self._pattern):
            return False
        return self._tag is None or self._tag in record.tags

    def _records(self) -> list[Record]:
        return [record for record in self._of._records() if self._matches(record)]

    def covers(self, record: Record) -> bool:
        return self._matches(record) and self._of.covers(record)

    def _home(self) -> "Registry":
        return self._of._home()

    def __repr__(self) -> str:
        asked = [f"{name}={value!r}" for name, value in (("pattern", self._pattern), ("tag", self._tag)) if value]
        return f"<{len(self)} functions of {self._of!r} with {', '.join(asked) or 'any name'}>"


class Registry(View):
    """A place where decorated functions are seen together.  ``memo.registry`` is the default one.

    Safe from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._janitor: Janitor | None = None  # guarded by _lock
        self._switches = 0  # disabled() blocks that are entered now; guarded by _lock
        self.pool = RefreshPool()
        """The threads that load in the background for plain functions."""
        _forkable.add(self)
        self._by_name: weakref.WeakValueDictionary[str, Record] = weakref.WeakValueDictionary()  # guarded by _lock
        # The records of adopted caches, by the cache's address.  Added to under _lock; the collector removes without.
        self._adopted: dict[int, tuple[AdoptedRef, Record]] = {}

    def _records(self) -> list[Record]:
        with self._lock:
            records = sorted(self._by_name.values(), key=lambda record: record.name)
        return [record for record in records if not record.is_gone()]

    def _find(self, function: object) -> Record | None:
        if isinstance(function, str):
            with self._lock:
                named = self._by_name.get(function)
            return None if named is None or named.is_gone() else named
        if self._adopted and (record := self._find_adopted(find_adopted(function))) is not None:
            return record
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
            for part in record.parts:
                self.admit(part)

    def leave(self, record: Record) -> None:
        """Forget *record*."""
        with self._lock:
            if self._by_name.get(record.name) is record:
                del self._by_name[record.name]

    def adopt(self, cache: Any, name: str | None = None, *, lock: AbstractContextManager[Any] | None = None) -> Record:
        """List a cache that others made: in the same table, with the figures that it has and dashes for the others.

        It is held weakly, and its record leaves with it; it stays as it is, and nothing is written into it.
        ``cleanup()`` has it expire what is old (``expire()`` of a cachetools cache with a ttl), ``clear()`` empties it,
        both under the cache's own lock.  What has no lock is expired by the thread that adopted it alone, so not by
        the janitor.  Options of this package (``disabled()``, tags) do not reach it.

        Args:
            cache: A function decorated with ``functools.lru_cache`` or ``functools.cache``, ``async_lru.alru_cache``,
                ``cachetools.cached`` (its ``cachedmethod`` as seen through an instance) or what behaves like these,
                also a method seen through its class; or a ``cachetools`` cache, or a mapping with ``maxsize``
                and ``currsize``.
            name: Its name here; default ``module.qualname`` of a function, the class's name of a cache object, with
                ``#2`` and so on if that is taken.
            lock: What guards a cache object that several threads use.

        Returns:
            Its record.  Adopting it again returns the same one, under the new name if one is given.

        Raises:
            TypeError: cache is none of these, is decorated by this package, or allows no weak reference; name is not
                text; lock is no lock, or given with a function, which knows its own.
            ValueError: name is empty.
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"adopt: name={name!r} is not text; give the name that the registry is to show.")
        if name == "":
            raise ValueError("adopt: name='' is empty; leave it out or give a name.")
        target = adoptable(cache, _refuse_own)
        check_lock(target, lock)
        if not callable(target) and any(r.cache is not None and r.cache.store is target for r in self._records()):
            raise TypeError("adopt: this is the store of a decorated function, which is in the registry already.")
        with self._lock:
            record = self._find_adopted(target)
            if record is not None:
                if name is not None and name != record.name:
                    self.rename(record, name)
                return record
            record = self.enter(name or name_of(target))
            record.add(Adopted(target, record, lock))
            ref = AdoptedRef(target, AdoptedRef.died)
            ref.address, ref.table = id(target), self._adopted
            self._adopted[ref.address] = ref, record
            return record

    def _find_adopted(self, target: Any) -> Record | None:
        ref, record = self._adopted.get(id(target), (None, None))
        return record if target is not None and ref is not None and ref() is target else None

    def janitor(self, every: Duration = "1h") -> Janitor:
        """Clean up in the background: a daemon thread, one for all functions, that calls ``cleanup()`` time and again.

        There is one janitor to a registry: a second call replaces the interval, which begins anew, and starts the
        thread again if it was stopped.  See ``Janitor`` for what it survives; ``print(registry)`` shows its last run.

        Args:
            every: Time from the end of one clean-up to the next: seconds, a timedelta, or text such as "1h30m".

        Raises:
            TypeError: every is no duration.
            ValueError: every is not above zero, not finite, or text that is no duration.
        """
        every_s = seconds(every, where="registry.janitor", option="every")
        janitor = self._janitor
        if janitor is None:
            new = Janitor(self, Registry._sweep_one_by_one)
            with self._lock:
                janitor = self._janitor = self._janitor or new
        janitor.start(every_s)
        return janitor

    def configure(self, *, refresh_threads: int) -> None:
        """Change what holds for all functions of this registry.

        Args:
            refresh_threads: Most threads that load in the background for plain functions; 4 at first.  They are
                daemons, started when there is work and ended when there is none.

        Raises:
            TypeError: refresh_threads is no whole number.
            ValueError: refresh_threads is below 1.
        """
        self.pool.resize(positive_int(refresh_threads, where="registry.configure", option="refresh_threads"))

    def covers(self, record: Record) -> bool:
        return record.registry is self

    def _home(self) -> "Registry":
        return self

    def watch_switch(self, change: int) -> None:
        """Count a ``disabled()`` block in (1) or out (-1): functions look at the switch while there is one."""
        with self._lock:
            self._switches += change
            on = self._switches > 0
            if self._switches == max(0, change):  # it was the first, or the last
                for record in self._records():
                    for part in record.parts:
                        part.watch_switch(on)

    def admit(self, part: Part) -> None:
        """Have *part*, of a function that joins, look at the switch if others do."""
        with self._lock:
            if self._switches:
                part.watch_switch(True)

    def _sweep_one_by_one(self, enough: Callable[[], bool]) -> CleanupReport:
        """Clean up, without keeping functions alive that die meanwhile."""
        return _sweep(_alive([weakref.ref(record) for record in self._records()]), enough)

    def _note(self) -> str:
        pool = self.pool
        threads = ""
        if pool.threads or pool.configured:
            threads = f"refresh threads: {pool.busy} busy, {pool.queued} loads waiting, at most {pool.most}"
        return "\n".join(filter(None, ("" if self._janitor is None else str(self._janitor), threads)))

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


def _refuse_own(given: Any) -> None:
    handle = isinstance(given, CacheHandle | InflightHandle | WindowHandle | Record | View | AdoptedHandle)
    if handle or isinstance(getattr(given, "__memo_record__", None), Record):
        raise TypeError(f"adopt: {given!r} belongs to this package and is in a registry; see list(registry).")


def _adopted_among(records: list[Record], function: object) -> Record | None:
    handles = [(record, record.adopted) for record in records]
    if all(handle is None for _, handle in handles):
        return None
    target = find_adopted(function)
    return next((r for r, handle in handles if handle and target is not None and handle.cache is target), None)


def _alive(refs: Iterable["weakref.ref[Record]"]) -> Iterator[Record]:
    for ref in refs:
        record = ref()
        if record is not None:
            yield record
        del record


def _never() -> bool:
    return False


def _sweep(records: Iterable[Record], enough: Callable[[], bool] = _never) -> CleanupReport:
    """Drop what is expired or stuck, slice by slice, until *enough* says so; other threads run in between."""
    began = time.perf_counter()
    went: dict[str, int] = {}
    counts = [0, 0, 0]
    pace = Pace()
    for record in records:
        before = sum(counts)
        for part in record.parts:
            _sweep_part(record, part, counts, pace, enough)
        if sum(counts) > before:
            went[record.name] = sum(counts) - before
        del record
        if enough():
            break
    expired, flights, events = counts
    return CleanupReport(expired, flights, events, time.perf_counter() - began, went)


def _sweep_part(record: Record, part: Part, counts: list[int], pace: Pace, enough: Callable[[], bool]) -> None:
    try:
        for slice_counts in part.sweep():
            counts[:] = map(add, counts, slice_counts)
            pace.rest()
            if enough():
                return
    except Exception:  # a clock or a policy of the user's own: the others are cleaned up all the same
        log.exception("%s: its clean-up was cut short", record.name)

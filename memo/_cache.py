"""What ``bounded`` adds to a function: its loads, its store, and the handle ``f.cache`` on both.

The store and the table of running loads share one lock, so that whoever takes an entry out also
fences the load that would bring it back.  User code (the function, ``sizeof``, ``cache_if``,
``copy``, ``on_evict``, predicates) runs outside that lock.
"""

import logging
import math
from collections.abc import Callable, Coroutine, Hashable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from memo._calls import Generated
from memo._clock import Clock
from memo._flights import RETURNED, RUNNING, Flights, InFlight, wake
from memo._inflight_handle import FenceOthers, InflightHandle
from memo._instances import InstanceRef, Instances, belongs_to
from memo._oneshot import PLAIN, refuse_one_shot
from memo._stats import CacheInfo, CacheStats, EntryInfo, EvictionReason
from memo._stores import AnyCache, CacheClass, Entry, Gone, IdleEntry, Store, WeighedEntry
from memo._units import byte_size, positive_int

__all__ = ("CacheHandle", "CacheOptions", "Loads")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
V = TypeVar("V")

log = logging.getLogger("memo")


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """What ``bounded`` was told, checked and in plain units."""

    max_entries: int | None
    max_bytes: int | None
    policy: CacheClass
    ttl_s: float | None
    idle_s: float | None
    sizeof: Callable[[Any], int]
    cache_if: Callable[[Any], object] | None
    copy: Callable[[Any], Any] | None
    on_evict: Callable[[Any, Any, EvictionReason], object] | None
    typed: bool
    dedupe: bool
    timeout_s: float | None


class Loads(Flights):
    """The loads of one function and the store that keeps their results."""

    def __init__(self, where: str, name: str, call: Callable[..., Any], clock: Clock, options: CacheOptions) -> None:
        self.store = Store(where, options.max_entries, options.max_bytes, options.policy, options.idle_s)
        super().__init__(name, call, clock, options.timeout_s, self.store.lock, options.dedupe)
        self.options = options
        self.index = self.store.index
        self._ttl_s = math.inf if options.ttl_s is None else options.ttl_s
        self._simple = options.cache_if is None and options.max_bytes is None and options.idle_s is None
        """An entry needs nothing but a value and a deadline."""
        self.lean = self._simple and self.store.lean
        """... and the store needs no more than to put it in: the common case, kept short."""
        self.rejected = 0
        self.load_seconds = 0.0
        self._before: CacheStats | None = None
        """The figures when ``cache_clear()`` set them to zero."""
        self.reveal: Callable[[Any], Any] = _as_is

    # -- what the engine asks

    def look_again(self, flight: InFlight) -> bool:
        entry = self.store.use(flight.key, flight.started)
        if entry is None:
            return False
        flight.value = self.handed(entry.value)
        return True

    def finish(self, mine: InFlight, value: Any) -> Any:
        if type(value) not in PLAIN:
            refuse_one_shot(self.name, value)
        self.landed(mine, value)
        copy = self.options.copy
        return value if copy is None else copy(value)

    def finish_lean(self, mine: InFlight, value: Any) -> Any:
        """``finish`` without detours, for a ``lean`` store: on the path of every miss."""
        if type(value) not in PLAIN:
            refuse_one_shot(self.name, value)
        now = self.clock.read()
        entry: Any = Entry()
        entry.value = value
        entry.hits = 0
        entry.stored = now
        entry.deadline = now + self._ttl_s
        key = mine.key
        store = self.store
        victim = gone = None
        try:
            # inside the try: an interrupt that strikes between the two would leave the lock held.  A
            # with statement takes three times as long
            self.lock.acquire()
            self.load_seconds += now - mine.started
            self.counters.completed += 1
            if self.table.get(key) is mine:
                del self.table[key]
                victim = store.put_lean(key, entry, now)
                if victim is None:
                    gone = store.change(store.put, key, entry, now)
            if mine.state is RUNNING:
                mine.value = value
                mine.state = RETURNED
        finally:
            self.lock.release()
        if mine.waiters is not None:  # nobody adds to them any more
            wake(mine.waiters)
        options = self.options
        if options.on_evict is not None:
            if victim is not None:
                reason = EvictionReason.SIZE if now < victim.deadline else EvictionReason.EXPIRED
                gone = [(victim.key, victim.value, reason)]
            if gone:
                self.report(gone)
        return value if options.copy is None else options.copy(value)

    def landed(self, flight: InFlight, value: Any) -> None:
        now = self.clock.read()
        if self._simple:
            entry: Any = Entry()
            entry.value = value
            entry.hits = 0
            entry.stored = now
            entry.deadline = now + self._ttl_s
        else:
            entry = self._entry_for(value, now)
        gone = self.store.change(self._land, flight, value, entry, now)
        if flight.waiters is not None:  # nobody adds to them any more
            wake(flight.waiters)
        if gone and self.options.on_evict is not None:
            self.report(gone)

    def hand_out(self, value: Any) -> Any:
        return self.handed(value)

    # -- storing

    def handed(self, value: Any) -> Any:
        """*value* as a caller gets it."""
        copy = self.options.copy
        return value if copy is None else copy(value)

    def _entry_for(self, value: Any, now: float) -> Any:
        """A new entry; None if the value is to be returned but not stored."""
        options = self.options
        deadline = math.inf if options.ttl_s is None else now + options.ttl_s
        try:
            if options.cache_if is not None and not options.cache_if(value):
                self.rejected += 1
                return None
        except Exception:
            log.exception("%s: cache_if raised; the value is returned but not stored", self.name)
            self.rejected += 1
            return None
        entry: Any
        if options.idle_s is not None:
            entry = IdleEntry()
            entry.used = now
        else:
            entry = Entry() if options.max_bytes is None else WeighedEntry()
        if options.max_bytes is not None:
            entry.size = self._measured(value)
        entry.value = value
        entry.hits = 0
        entry.stored = now
        entry.deadline = deadline
        return entry

    def _measured(self, value: Any) -> int | None:
        """Bytes of *value*; None if ``sizeof`` cannot tell."""
        try:
            size = self.options.sizeof(value)
        except Exception:
            log.exception("%s: sizeof raised; the value is returned but not stored", self.name)
            return None
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size < math.inf:
            log.error("%s: sizeof returned %r, not a number of bytes; the value is not stored", self.name, size)
            return None
        return math.ceil(size)

    def _land(self, gone: list[Gone], flight: InFlight, value: Any, entry: Any, now: float) -> None:
        """End a load, and store its result if its flight is still the current one."""
        key = flight.key
        self.load_seconds += now - flight.started
        self.counters.completed += 1
        if self.table.get(key) is flight:
            if entry is not None:
                if self._simple:
                    self.store.put(gone, key, entry, now)
                else:
                    self._keep(gone, key, entry, now)
            del self.table[key]
        if flight.state is RUNNING:
            flight.value = value
            flight.state = RETURNED

    def _keep(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        store = self.store
        if store.weighed and (entry.size is None or entry.size > (store.max_bytes or 0)):
            self.rejected += 1
            store.drop(gone, key, EvictionReason.REPLACED, now)  # an older value must not outlive a newer one
            return
        store.put(gone, key, entry, now)

    def _put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        self.table.pop(key, None)
        self._keep(gone, key, entry, now)

    def _invalidate(self, gone: list[Gone], key: Hashable, now: float) -> None:
        self.table.pop(key, None)
        self.store.drop(gone, key, EvictionReason.INVALIDATED, now)

    def _clear(self, gone: list[Gone], scope: Hashable | None, now: float) -> None:
        if scope is None:
            self.table.clear()
            self.store.clear(gone, now)
            return
        self._fence(scope)
        for key, _ in self.snapshot(scope):
            self.store.drop(gone, key, EvictionReason.CLEARED, now)

    def _fence(self, scope: Hashable | None) -> None:
        with self.lock:
            for key in [key for key in list(self.table) if belongs_to(key, scope)]:
                del self.table[key]

    # -- operations of the handle; *scope* is the token of the instance that it was reached through

    def put(self, key: Hashable, value: Any) -> None:
        now = self.clock.read()
        entry = self._entry_for(value, now)
        if entry is None:
            self.invalidate(key)
        else:
            self.report(self.store.change(self._put, key, entry, now))

    def invalidate(self, key: Hashable) -> bool:
        gone = self.store.change(self._invalidate, key, self.clock.read())
        self.report(gone)
        return any(reason is EvictionReason.INVALIDATED for _, _, reason in gone)

    def invalidate_where(self, predicate: Callable[[Any, Any], object], scope: Hashable | None) -> int:
        self._fence(scope)
        now = self.clock.read()
        chosen = [
            (key, entry)
            for key, entry in self.snapshot(scope)
            if not self.store.past_life(entry, now) and predicate(self.reveal(key), entry.value)
        ]
        gone = self.store.change(self.store.drop_all, chosen, EvictionReason.INVALIDATED, now)
        self.report(gone)
        return sum(reason is EvictionReason.INVALIDATED for _, _, reason in gone)

    def clear(self, scope: Hashable | None) -> int:
        gone = self.store.change(self._clear, scope, self.clock.read())
        self.report(gone)
        return sum(reason is EvictionReason.CLEARED for _, _, reason in gone)

    def expire_entries(self, scope: Hashable | None = None) -> int:
        now = self.clock.read()
        old = [(key, entry) for key, entry in self.snapshot(scope) if self.store.past_life(entry, now)]
        gone = self.store.change(self.store.drop_all, old, EvictionReason.EXPIRED, now)
        self.report(gone)
        return sum(reason is EvictionReason.EXPIRED for _, _, reason in gone)

    def resize(self, max_entries: int | None, max_bytes: int | None) -> None:
        self.report(self.store.change(self.store.resize, max_entries, max_bytes, self.clock.read()))

    def collected(self, owner: InstanceRef) -> None:
        """Drop the entries of an instance that died."""
        self.report(self.store.collected(owner, self.clock.read()))

    def snapshot(self, scope: Hashable | None) -> list[tuple[Hashable, Any]]:
        """Keys and entries within *scope*, at one moment."""
        if isinstance(scope, InstanceRef):
            with self.lock:
                return [(entry.key, entry) for entry in scope.table.values()]
        return [(key, entry) for key, entry in self.store.snapshot() if belongs_to(key, scope)]

    def live(self, scope: Hashable | None) -> list[tuple[Hashable, Any]]:
        """Those of the snapshot that may still serve."""
        now = self.clock.read()
        return [(key, entry) for key, entry in self.snapshot(scope) if not self.store.past_life(entry, now)]

    def info(self, key: Hashable) -> EntryInfo[Any] | None:
        """What is known of one entry, without counting a hit."""
        now = self.clock.read()
        entry = self.store.index.get(key)
        if entry is None or self.store.past_life(entry, now):
            return None
        return EntryInfo(
            value=self.handed(entry.value),
            age=now - entry.stored,
            expires_in=None if math.isinf(entry.deadline) else entry.deadline - now,
            hits=entry.hits,
            bytes=entry.size if self.store.weighed else None,
            stale=not now < entry.deadline,
        )

    def report(self, gone: list[Gone]) -> None:
        """Tell ``on_evict`` what left.  It never raises."""
        on_evict = self.options.on_evict
        if on_evict is None:
            return
        for key, value, reason in gone:
            try:
                on_evict(self.reveal(key), value, reason)
            except Exception:
                log.exception("%s: on_evict raised for a value that left (%s)", self.name, reason)

    # -- figures

    def cache_stats(self, name: str) -> CacheStats:
        with self.lock:
            now = self._all_time(name)
            return now if self._before is None else now - replace(self._before, name=name)

    def _all_time(self, name: str) -> CacheStats:
        store, counters = self.store, self.counters
        return CacheStats(
            name=name,
            hits=store.hits(),
            misses=counters.started - counters.refreshes,
            joins=counters.joined - counters.refreshes_joined,
            loads=counters.completed,
            load_errors=counters.failed + counters.cancelled,
            load_seconds=self.load_seconds,
            refreshes=counters.refreshes,
            rejected=self.rejected,
            size=len(store.index),
            max=store.max_entries,
            bytes=int(store.cache.currsize) if store.weighed else None,
            max_bytes=store.max_bytes,
            evictions=MappingProxyType(store.evictions()),
        )

    def cache_info(self) -> CacheInfo:
        stats = self.cache_stats("")
        return CacheInfo(stats.requests - stats.misses, stats.misses, stats.max, stats.size)

    def forget_counts(self) -> None:
        """Begin counting anew, as ``functools.lru_cache`` does in ``cache_clear()``."""
        with self.lock:
            self._before = self._all_time("")


def _as_is(key: Any) -> Any:
    return key


class CacheHandle(Generic[P, R_co]):
    """The store of a decorated function: ``f.cache``.

    Reached through an instance or a class (``obj.fetch.cache``), its methods take the arguments
    without ``self`` and act on that instance's entries; ``stats()`` and ``resize()`` are always the
    whole function's.  Every method may be called from any thread; none waits for a load but
    ``refresh()``.  A handle is always true.
    """

    __slots__ = ("_fence_others", "_generated", "_instances", "_loads", "_name", "_prefix")

    def __init__(
        self,
        loads: Loads,
        generated: Generated,
        instances: Instances,
        name: Callable[[], str],
        fence_others: FenceOthers,
        prefix: tuple[Any, ...] = (),
    ) -> None:
        self._loads = loads
        self._generated = generated
        self._instances = instances
        self._name = name
        self._fence_others = fence_others
        self._prefix = prefix

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        key = self._generated.key_of(*self._prefix, *args, **kwargs)
        refusal = self._generated.explain(key)
        if refusal is not None:
            raise refusal
        return key

    def _key_fenced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key, once no other layer of the stack lets newcomers join what is running."""
        key = self._key(args, kwargs)
        self._fence_others(((*self._prefix, *args), kwargs))
        return key

    def _scope(self) -> Hashable | None:
        if not self._prefix or not self._generated.keeps_apart:
            return None
        return self._instances.token(self._prefix[0])

    def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the entry of one call and fence the load of it that may be running.

        Returns:
            Whether there was a live entry.
        """
        key = self._key_fenced(args, kwargs)
        return self._loads.invalidate(key)

    def invalidate_where(self, predicate: Callable[[Any, Any], object]) -> int:
        """Drop every entry for which ``predicate(key, value)`` is true, and fence all running loads.

        The predicate runs outside locks; what it raises reaches the caller, and nothing is dropped.

        Returns:
            Number of entries dropped.
        """
        if not callable(predicate):
            raise TypeError(f"invalidate_where: {predicate!r} cannot be called; give a function of key and value.")
        self._fence_others(None)
        return self._loads.invalidate_where(predicate, self._scope())

    def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Load now, store, and return; for a coroutine function, awaitable.

        Supersedes a running load of the same call and shares with a running refresh.  If the load
        fails, its error is raised and the old value stays.
        """
        key = self._key_fenced(args, kwargs)
        whole = (*self._prefix, *args)
        loads = self._loads
        if self._generated.shape.is_async:
            return loads.run(key, whole, kwargs, refresh=True)  # type: ignore[return-value]
        return loads.lead(key, whole, kwargs, refresh=True)  # type: ignore[no-any-return]

    @overload
    def put(
        self: "CacheHandle[P, Coroutine[Any, Any, V]]", value: V, /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def put(self, value: Any, /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def put(self, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """Store *value* as the result of one call; a running load of it will not replace it."""
        self._loads.put(self._key_fenced(args, kwargs), value)

    @overload
    def entry(
        self: "CacheHandle[P, Coroutine[Any, Any, V]]", /, *args: P.args, **kwargs: P.kwargs
    ) -> EntryInfo[V] | None: ...
    @overload
    def entry(self, /, *args: P.args, **kwargs: P.kwargs) -> EntryInfo[R_co] | None: ...
    def entry(self, /, *args: Any, **kwargs: Any) -> EntryInfo[Any] | None:
        """The entry of one call, without counting as a hit; None if there is none alive."""
        return self._loads.info(self._key(args, kwargs))

    def clear(self) -> int:
        """Drop every entry and fence every running load; counters stay.  Returns how many entries."""
        self._fence_others(None)
        return self._loads.clear(self._scope())

    def cleanup(self) -> int:
        """Drop the entries that are past their life.  Returns how many."""
        return self._loads.expire_entries(self._scope())

    def resize(self, max: int | None = None, max_bytes: int | str | None = None) -> None:  # noqa: A002
        """Change the bounds, evicting at once what no longer fits.

        Args:
            max: Most entries; None leaves that bound as it is.
            max_bytes: Most bytes, as a number or as text such as "64MB"; None leaves it.

        Raises:
            TypeError: Neither is given, or max_bytes where the store was not made to count bytes.
        """
        if max is None and max_bytes is None:
            raise TypeError("resize: neither max= nor max_bytes= is given; give the bound to change.")
        if max_bytes is not None and not self._loads.store.weighed:
            raise TypeError(
                f"resize: max_bytes={max_bytes!r}, but this store does not count bytes; "
                f"give max_bytes= to @bounded as well."
            )
        self._loads.resize(
            None if max is None else positive_int(max, where="resize", option="max"),
            None if max_bytes is None else byte_size(max_bytes, where="resize", option="max_bytes"),
        )

    def stats(self) -> CacheStats:
        """The figures of the whole function now."""
        return self._loads.cache_stats(self._name())

    def items(self) -> list[tuple[Any, Any]]:
        """Keys and values of the live entries, at one moment; not hits."""
        loads = self._loads
        return [(loads.reveal(key), loads.handed(entry.value)) for key, entry in loads.live(self._scope())]

    @property
    def inflight(self) -> InflightHandle[P, R_co]:
        """The running loads."""
        return InflightHandle(
            self._loads, self._generated, self._instances, self._name, self._fence_others, self._prefix
        )

    @property
    def store(self) -> AnyCache:
        """The cachetools cache.  Read it only: its values are entries, and it is guarded by a lock."""
        return self._loads.store.cache

    def __len__(self) -> int:
        return len(self._loads.live(self._scope()))

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter([key for key, _ in self.items()])

    def __repr__(self) -> str:
        return f"<cache of {self._name()}: {len(self)} entries>"

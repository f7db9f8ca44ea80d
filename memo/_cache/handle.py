"""The handle ``f.cache``: the store of a decorated function."""

import functools
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from memo._base import Duration, Path, byte_size, check_plain, counted, given_text, in_slices, short_text
from memo._cache.answers import Answers
from memo._cache.lease import AwaitedLease, Lease
from memo._cache.options import new_bounds
from memo._cache.recording import Recording
from memo._cache.stats import CacheStats, EntryInfo
from memo._cache.terms import FRESH, NOT_GIVEN
from memo._cache.within import Within, missing, own_terms
from memo._call import FenceOthers, Generated, Handle, check_takes
from memo._flight import REFRESH, InflightHandle
from memo._late import in_time
from memo._store import WHOLE, AnyCache

__all__ = ("CacheHandle",)

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
V = TypeVar("V")
"""What is stored: the result, of a coroutine function the awaited one.  Invariant, so that put() refuses others."""
W = TypeVar("W")
D = TypeVar("D")


@functools.cache  # held, since nothing can be imported any more as the interpreter ends
def _dumps() -> tuple[Callable[..., int], Callable[..., int]]:
    """What writes entries, and what reads them: few programs do, and what that needs takes long to import."""
    with in_time("cache.dump(), or load(),"):
        from memo._cache.dump_entries import restore, save

    return save, restore


class CacheHandle(Handle, Generic[P, R_co, V]):
    """The store of a decorated function: ``f.cache``.

    Reached through an instance or a class (``obj.fetch.cache``), its methods take the arguments without ``self`` and
    act on that instance's entries; ``stats()`` and ``resize()`` are always the whole function's.  Every method may be
    called from any thread; those that load wait for it: ``refresh()``, ``call()``,
    ``fresh()``, and the calls of ``within()``.  A handle is always true.

    ``len()`` is what ``stats().size`` and ``cache_info().currsize`` say: all that is in the store and counts against
    ``max``, with remembered failures and with what is past its life and not removed yet.  ``items()``, iteration,
    ``entry()`` and ``in`` show live values alone.
    """

    __slots__ = ("_answer", "_answers", "_cache")

    def __init__(
        self,
        answers: Answers,
        answer: Callable[..., Any],
        generated: Generated,
        name: Callable[[], str],
        fence_others: FenceOthers,
        prefix: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(generated, name, fence_others, prefix)
        self._answer = answer
        """Answers a call as the decorated function does."""
        self._answers = answers
        self._cache = answers.cache

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Answer a call as the decorated function does, so load if need be: the counterpart of ``within()``."""
        return self._answer(*self._prefix, *args, **kwargs)  # type: ignore[no-any-return]

    def fresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Answer a call, but with no stale value: load rather, or wait for the load that runs.

        Raises:
            Exception: What the load raised, even where a stale value would stand in for it; or a remembered failure.
        """
        key = self._key(args, kwargs)
        answers = self._answers
        answer: Any = answers.call_awaited if self._generated.shape.is_async else answers.call
        return answer(key, self._with_prefix(args, kwargs), FRESH)  # type: ignore[no-any-return]

    @overload
    def within(self, span: Duration = ..., /, *, max_age: Duration | None = None) -> Within[P, R_co]: ...
    @overload
    def within(
        self: "CacheHandle[P, Coroutine[Any, Any, W], W]",
        span: Duration = ...,
        /,
        *,
        max_age: Duration | None = None,
        default: D,
    ) -> Within[P, Coroutine[Any, Any, W | D]]: ...
    @overload
    def within(
        self, span: Duration = ..., /, *, max_age: Duration | None = None, default: D
    ) -> Within[P, R_co | D]: ...
    def within(self, span: Any = NOT_GIVEN, /, *, max_age: Any = None, default: Any = NOT_GIVEN) -> Any:
        """Terms of this caller's own; ``f.cache.within("50ms", max_age="5m", default=None).call("alice")``.

        At least one is given.  They neither change what others get nor what is stored: a load that takes longer, or
        whose result comes too late for this caller, goes on and is stored.

        Args:
            span: The most to wait: seconds, a timedelta, or text such as "50ms".  Real time; a clock that is
                advanced by hand ends the wait as well.  Left out: as long as a plain call would, and where that
                would run the load of a plain function.
            max_age: Whatever is stored already, a value or a remembered failure, answers only if it is younger than
                this, counted from the end of its load.  What is older counts as not there: a load begins, or is joined,
                and the older value is not answered if that fails or takes longer, either; others still get it.  0:
                nothing that is there will do.  It only narrows: what is past its ttl answers where
                ``stale_while_revalidate`` and ``stale_if_error`` let it, and nowhere else.
            default: What to answer in place of an error: where there is nothing else and the load fails, takes longer
                than span or ``timeout``, or its failure is remembered.  May be any value, None too; it is not stored.
                The error is logged to logger "memo" where no other caller learns of it.  Not for what is no
                ``Exception`` (cancellation, Ctrl-C), nor for arguments that do not fit or cannot be hashed.

        Raises:
            TypeError: Nothing is given, or span or max_age is no duration.
            ValueError: span is not positive, max_age is negative, or one is text that is no duration.
        """
        return Within(self._answers, self._generated, self._prefix, own_terms(span, max_age, default))

    @overload
    def lease(  # type: ignore[overload-overlap]  # the more special one comes first
        self: "CacheHandle[P, Coroutine[Any, Any, Any], V]", /, *args: P.args, **kwargs: P.kwargs
    ) -> AwaitedLease[V]: ...
    @overload
    def lease(self, /, *args: P.args, **kwargs: P.kwargs) -> Lease[V]: ...
    def lease(self, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Answer a call as ``call()`` does, and keep ``on_evict`` waiting as long as its result is in use.

        ``with f.cache.lease("alice") as client:``, for a coroutine function ``async with``; see ``Lease``.  Entering it
        raises what the call raises.
        """
        key = self._cache.flights.hashed(self._key(args, kwargs))
        kind = AwaitedLease if self._generated.shape.is_async else Lease
        return kind(self._cache, key, functools.partial(self.call, *args, **kwargs))  # which holds the function

    def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the entry of one call and fence the load of it that may be running.

        Returns:
            Whether there was a live entry, or a failure that is remembered.
        """
        key = self._key(args, kwargs)
        with self._fencing(args, kwargs):
            return self._answers.everywhere.invalidate(key)

    def invalidate_where(self, predicate: Callable[[Any, Any], object]) -> int:
        """Drop every entry for which ``predicate(key, value)`` is true, and fence all running loads.

        The predicate runs outside locks; what it raises reaches the caller, and nothing is dropped.  It is asked about
        the entries that ``items()`` would show, the others getting their turn in between; then what it chose leaves, in
        slices of 100, unless it left by itself or was replaced meanwhile.  What is stored after the call began may stay
        unasked about.

        Returns:
            Number of entries dropped.
        """
        if not callable(predicate):
            raise TypeError(
                f"invalidate_where: {given_text(predicate)} cannot be called; give a function of key and value."
            )
        check_plain("invalidate_where", "", predicate, "give a plain function of key and value")
        check_takes("invalidate_where", "", predicate, "key", "value")
        with self._fence_others(None):
            return self._answers.everywhere.invalidate_where(predicate, self._scope())

    def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Load now, store, and return; for a coroutine function, awaitable.

        Supersedes a running load of the same call and shares with a running refresh.  If the load fails, its error is
        raised and the old value stays.  If its result is not to be stored (``cache_if``, a ``ttl(value)`` of 0, too
        large), the old value leaves all the same, as ``replaced``: what this returned is newer.  A load that a call
        begins, or that runs in the background for one, leaves it then, for as long as it may serve.
        """
        key = self._key(args, kwargs)
        if self._generated.shape.is_async:
            return self._refreshed(key, args, kwargs)  # type: ignore[return-value]
        flights: Any = self._cache.flights
        with self._fencing(args, kwargs):
            return flights.lead(key, *self._with_prefix(args, kwargs), purpose=REFRESH)  # type: ignore[no-any-return]

    async def _refreshed(self, key: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        flights: Any = self._cache.flights
        with self._fencing(args, kwargs):
            return await flights.run(key, *self._with_prefix(args, kwargs), purpose=REFRESH)

    def put(self, value: V, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Store *value* as the result of one call; a running load of it will not replace it.

        A value that is not to be stored (``cache_if``, a ``ttl(value)`` of 0, too large) drops the old one all the
        same, as ``refresh()`` does.
        """
        self._store(value, args, kwargs)

    def _store(self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        key = self._key(args, kwargs)
        tags_of = self._cache.upwards.tags_of
        tags = () if tags_of is None else tags_of(*self._prefix, *args, **kwargs)
        with self._fencing(args, kwargs):
            return self._answers.everywhere.put(key, value, tags)

    def put_many(self, results: Mapping[Any, V] | Iterable[tuple[Any, V]], /) -> int:
        """Store the results of several calls, each as ``put()`` does.

        Each is stored by itself: others may be seen, and evicted to keep the bounds, before the last is in; if an item
        is refused, those before it stay.  Drawn and stored one at a time, so that *results* may be a generator.

        Args:
            results: A mapping from arguments to value, or pairs of them.  The arguments are those that are given by
                position: ``{"alice": value}``.  If the function takes more than one such argument (or none), a tuple is
                spread over them: ``{("alice", "en"): value}``; a tuple that is to be the first of them is put in
                another: ``{((1, 2),): value}``.

        Returns:
            Number of results stored; those that ``cache_if``, ``sizeof`` or the bounds reject are none.

        Raises:
            TypeError: An item is no pair, or arguments do not fit the function or cannot be hashed.
        """
        spread = self._generated.keys.plan.spreads(len(self._prefix))
        count = 0
        for given, value in _pairs(results):
            args = given if spread and isinstance(given, tuple) else (given,)
            count += self._store(value, args, {})
        return count

    def dump(self, path: Path, *, encode: Callable[[V], object] | None = None) -> int:
        """Write the live entries to a file, for ``load()`` in another process.

        Written are keys, values, ages, remaining lives and tags, oldest first; not hits, and no remembered errors.  The
        file holds either the whole dump or what it held before, also if this raises or the process is killed.  A new
        file is readable by its owner alone.

        Keys, and values or what *encode* makes of them, must be of exactly these types: None, bool, int, float,
        complex, str, bytes, bytearray, tuple, list, dict, set, frozenset, the types of ``datetime`` (time zones: of
        fixed offset), Decimal, UUID; at most 100 within each other.  An object that occurs twice comes back as two.

        Blocks while it writes: in a coroutine, use ``asyncio.to_thread``.  Other threads run in between.  Up to 10,000
        entries are those of one moment; of more, those that are there from the beginning to the end, and perhaps what
        comes or leaves meanwhile (see ``items()``).  Values must not be altered meanwhile.

        Args:
            path: The file; its directory must exist.
            encode: Turns each value into one that can be written, such as ``dataclasses.asdict``.

        Returns:
            Number of entries written.

        Raises:
            TypeError: A key or a value is of another type, or entries belong to instances.
            OSError: The file cannot be written.
        """
        save, _ = _dumps()
        return save(self._cache, self._generated, self._name(), path, encode)

    def load(self, path: Path, *, decode: Callable[[Any], V] | None = None) -> int:
        """Store what ``dump()`` wrote to a file, as far as it is still alive.

        The time since the dump, by the wall clock, counts as passed (none, if that clock was put back); what expired
        meanwhile is not restored, and nothing lives longer than the present ``ttl`` allows.  Restored entries take the
        room there is, the newest first: no entry that is there is evicted, and none is replaced by an older one.  A
        load that runs meanwhile is newer than the file, and replaces what was restored.

        All of the file is verified before the first entry is stored.  It is read as data: no code runs but *decode*.
        Blocks while it reads: in a coroutine, use ``asyncio.to_thread``.

        Args:
            path: The file.
            decode: Makes a value of what ``encode`` had made of it, such as ``lambda d: Profile(**d)``.

        Returns:
            Number of entries restored.

        Raises:
            DumpError: It is no dump, was cut short or altered, or is of another function or format version.
            TypeError: Entries of this function belong to instances.
            OSError: The file cannot be read.
        """
        _, restore = _dumps()
        return restore(self._cache, self._generated, self._name(), path, decode)

    def record(self, path: Path, *, max_bytes: int | str = "64MB") -> Recording:
        """Record which keys the function is asked for, for ``python -m memo replay`` to say which ``max`` they need.

        ``with f.cache.record("traffic.keys") as recording:`` writes a number for each call that the store is to answer:
        hits, misses, and calls that join a load or are answered stale, also those of ``call()``, ``fresh()`` and
        ``within()``, of all instances together, also through an instance's handle.  No requests are ``put()``,
        ``refresh()``, loads in the background, calls that go straight to the function, and calls that another layer
        around this one has answered.

        The file holds neither keys nor values: equal keys have equal numbers, which are made with a secret that is
        thrown away.  What tells keys apart is their hash, which is asked for once more in each call.

        A function that is not recorded pays nothing for this.  While it is recorded, a hit takes two to three times as
        long, a miss a tenth more (``benchmarks/recording.py``), and a thread writes; no call waits for it, or for the
        disk.  What is not written yet takes 8 bytes a call, so at most *max_bytes* of memory.

        The file is in its place when the block has ended, however it did, or the interpreter has: until then there is
        what was there before, and beside it a hidden file, which a process that is killed leaves behind.  Leaving the
        block waits for the disk, in a coroutine too.  An error in between (no room) ends the recording: it is logged
        to logger "memo" and kept as ``recording.error``, and no file is left.  A forked child is not recorded.

        Args:
            path: The file; its directory must exist.
            max_bytes: The most that the file takes, a number or text such as "64MB", which is 8 million calls; then
                the recording ends early, and ``recording.is_full`` is true.

        Returns:
            A context manager, to be entered once; ``requests``, ``bytes``, ``is_full`` and ``error`` tell how far the
            recording has come.

        Raises:
            TypeError: max_bytes is neither number nor text.
            ValueError: max_bytes is no size, or leaves no room for a call.
            OSError: (as the block begins) The file cannot be made.
            RuntimeError: (as the block begins) The function is being recorded already.
        """
        most = byte_size(max_bytes, where="record", option="max_bytes")
        return Recording(self._cache, self._name(), path, most)

    def entry(self, /, *args: P.args, **kwargs: P.kwargs) -> EntryInfo[V] | None:
        """The entry of one call, without counting as a hit; None if there is none alive."""
        return self._cache.info(self._key(args, kwargs))

    def clear(self) -> int:
        """Drop every entry and fence every running load; counters stay.  Returns how many live values that were.

        All leave at one moment; what then is told to ``on_evict``, and freed, others getting their turn in between.
        Through an instance, and where a method (or ``weak=``, ``scope=``) has more than 10,000 entries, they leave in
        slices of 100: what is stored meanwhile may leave with them, and what was there at first is gone at the end.
        """
        with self._fence_others(None):
            return self._answers.everywhere.clear(self._scope())

    async def drain(self) -> None:
        """Wait until what ``on_evict``, a coroutine function, does on the running event loop has ended.

        To be awaited before a loop ends, after ``clear()`` for example: the end of a loop cancels what runs.  Waits for
        what was begun before, and for what that begins, on this loop alone; of a plain ``on_evict`` nothing runs.
        """
        listener = self._cache.told.listener
        if listener is not None:
            await listener.drain()

    def forget_inherited(self) -> int:
        """In a forked child, drop the entries that it inherited, without ``on_evict``: their values are the parent's.

        To be called first of all in the child: entries that were evicted there before have been told.  What the child
        stored itself stays.  Counters stay as they are; the entries count as no evictions.  In a process that
        inherited nothing, it does nothing.  ``fork="drop"`` does it by itself.

        Returns:
            Number of values dropped.
        """
        return self._cache.inherited.forget(self._scope())

    def cleanup(self) -> int:
        """Drop the entries that are past their life.  Returns how many.

        Works in small slices and lets other threads run in between.
        """
        return in_slices(self._cache.expire_entries(self._scope()))

    def resize(self, max: int | None = None, max_bytes: int | str | None = None) -> None:  # noqa: A002
        """Change the bounds, evicting at once what no longer fits.

        Evicts in slices of 100 entries, others getting their turn in between; until the last of them the bound is what
        is still there, and ``stats()`` shows that.  A later ``resize()`` that comes in between has the last word.  Cut
        short (Ctrl-C), it leaves the bounds of before.

        Args:
            max: Most entries; None leaves that bound as it is.
            max_bytes: Most bytes, as a number or as text such as "64MB"; None leaves it.

        Raises:
            TypeError: Neither is given, or max_bytes where the store was not made to count bytes.
        """
        self._cache.resize(*new_bounds("resize", max, max_bytes, weighed=self._cache.store.weighed))

    def stats(self) -> CacheStats:
        """The figures of the whole function now."""
        return self._cache.cache_stats(self._name())

    def items(self) -> list[tuple[Any, Any]]:
        """Keys and values of the live entries; not hits.

        Up to 10,000 entries are those of one moment.  Of more, other threads get their turn in between: what is there
        from the beginning to the end is in the list, once; what comes, leaves or is replaced meanwhile may be.  The
        caller lets go of the list in one go, which at ten million pairs keeps every thread waiting for a second;
        iterating over ``f.cache`` makes no such list.
        """
        found: list[tuple[Any, Any]] = []
        found += _Expected(self._cache.size(None), self._cache.items(self._scope()))
        return found

    @property
    def inflight(self) -> InflightHandle[P, R_co]:
        """The running loads."""
        return InflightHandle(self._cache.flights, self._generated, self._name, self._fence_others, self._prefix)

    @property
    def store(self) -> AnyCache:
        """The cachetools cache.  Read it only: its values are entries, and it is guarded by a lock."""
        cache: AnyCache = self._cache.store.cache
        return cache

    def __contains__(self, call: object) -> bool:
        """Whether ``entry()`` finds a live value for a call, told by its arguments as in ``put_many()``.

        ``"alice" in f.cache``; of a function that takes more than one argument by position (or none)
        ``("alice", "en") in f.cache``.  Where ``key=`` makes the keys, this asks it.

        Raises:
            TypeError: The arguments do not fit the function, or cannot be hashed.
        """
        spread = self._generated.keys.plan.spreads(len(self._prefix)) and isinstance(call, tuple)
        args: Any = call if spread else (call,)
        return self._cache.info(self._key(args, {})) is not None

    def __len__(self) -> int:
        """How many entries the store holds now; it looks at none, however many there are."""
        return self._cache.size(self._scope())

    def _check(self) -> None:
        """Raise AssertionError unless the store is whole."""
        self._cache.store._check()

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise missing(self, name)

    def __iter__(self) -> Iterator[Any]:
        """The keys of the live entries: up to 10,000 those of this moment; of more, found bit by bit, as the iterator
        comes to them, so that entries may come and leave meanwhile (see ``items()``)."""
        if self._cache.size(None) > WHOLE:
            return (key for pairs in self._cache.items(self._scope()) for key, _ in pairs)
        return iter([key for key, _ in self.items()])

    def __repr__(self) -> str:
        return f"<cache of {self._name()}: {counted(len(self), 'entry', 'entries')}>"


class _Expected:
    """The items of some lists, of which about so many are expected: a list that gets them has room from the start.

    Else it would grow step by step, and be copied in one go wherever its memory cannot grow: 20 ms for millions.
    """

    def __init__(self, number: int, lists: Iterator[list[Any]]) -> None:
        self._number = number
        self._lists = lists

    def __length_hint__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._lists)


def _pairs(results: Mapping[Any, V] | Iterable[tuple[Any, V]]) -> Iterator[tuple[Any, V]]:
    """The pairs of arguments and value that ``put_many()`` was given, drawn one at a time."""
    for pair in results.items() if isinstance(results, Mapping) else results:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"put_many: {short_text(pair)} is no pair; give a mapping from arguments to value, or pairs "
                f"(arguments, value)."
            )
        yield pair[0], pair[1]

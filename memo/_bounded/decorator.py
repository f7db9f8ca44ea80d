"""``@bounded``: results remembered within bounds of number, size and age."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, SupportsIndex, Unpack, overload

from memo._base import Duration, OneShot, TagsOption, given_text, knows_its_options, refuse_bare
from memo._bounded.layer import BoundedLayer
from memo._bounded.option_types import Policy, SharedOptions
from memo._bounded.options import checked_options
from memo._cache import NOT_GIVEN, CacheIfOption, EvictLoop, TtlOption
from memo._call import Scope
from memo._decorated import Decorator, Layer, Placement
from memo._flight import WorkIn
from memo._registry import Registry
from memo._store import CacheClass, EvictionReason

if TYPE_CHECKING:
    from memo.shared import Shared, Tier
else:
    Shared = Tier = Any  # what the annotations are evaluated to: few programs share

__all__ = ("bounded",)


class _Options(SharedOptions, total=False):
    """Every option but the bounds, for type checkers: of ``max`` and ``max_bytes`` one must be given."""

    work: WorkIn
    """Where a coroutine function's load runs: "shared" or "caller"."""
    stale_while_revalidate: Duration | None
    """Duration past ttl: stale answers; None: none."""
    stale_if_error: Duration | None
    """Duration past ttl: stale answers to errors; None: none."""
    soft_timeout: Duration | None
    """Duration to wait before a stale answer; None: no limit."""
    cache_errors: type[Exception] | Iterable[type[Exception]]
    """Type or types of exceptions to remember for error_ttl."""
    error_ttl: Duration | None
    """How long a failure counts, a duration; None: 1 second."""
    fallback: object
    """What to answer in place of an error, a value or a function."""
    fallback_on: type[Exception] | Iterable[type[Exception]]
    """Type or types of exceptions that fallback is answered for."""
    shared: Tier | Shared | None
    """A ``memo.shared.Tier``, or its ``using()``; None: this process."""


@overload
def bounded(*, max: int, max_bytes: int | str | None = None, **options: Unpack[_Options]) -> Decorator: ...
@overload
def bounded(*, max_bytes: int | str, max: int | None = None, **options: Unpack[_Options]) -> Decorator: ...
@knows_its_options
def bounded(
    function: Any = None,
    /,
    *,
    max: int | None = None,  # noqa: A002  # the field's term, and never needed as the builtin here
    ttl: TtlOption | None = None,
    max_bytes: int | str | None = None,
    sizeof: Callable[[Any], SupportsIndex | SupportsFloat] | None = None,
    idle: Duration | None = None,
    jitter: float = 0.0,
    policy: Policy | CacheClass = "adaptive",
    key: Callable[..., Hashable] | None = None,
    ignore: Iterable[str] = (),
    weak: Iterable[str] = (),
    scope: Scope | None = None,
    typed: bool = False,
    dedupe: bool = True,
    timeout: Duration | None = None,
    work: WorkIn = "shared",
    keep: Duration | None = None,
    stale_while_revalidate: Duration | None = None,
    stale_if_error: Duration | None = None,
    soft_timeout: Duration | None = None,
    cache_errors: type[Exception] | Iterable[type[Exception]] = (),
    error_ttl: Duration | None = None,
    fallback: object = NOT_GIVEN,
    fallback_on: type[Exception] | Iterable[type[Exception]] = Exception,
    cache_if: CacheIfOption | None = None,
    copy: Literal["shallow", "deep"] | Callable[[Any], Any] | None = None,
    on_evict: Callable[[Any, Any, EvictionReason], object] | None = None,
    evict_loop: EvictLoop = None,
    lease_timeout: Duration | None = None,
    fork: Literal["keep", "drop"] = "keep",
    tags: TagsOption = (),
    one_shot: OneShot = "refuse",
    shared: Tier | Shared | None = None,
    name: str | None = None,
    registry: Registry | None = None,
    clock: Callable[[], float] | None = None,
) -> Decorator:
    """Remember a function's results, bounded in number, size and age.

    ``@bounded(max=500, ttl="24h")`` goes on functions, coroutine functions,
    methods, class methods, static methods and properties, above or below their
    own decorators.  The decorated function stays what it was to ``inspect`` and
    to type checkers, and gains ``f.cache``, ``f.inflight``, ``cache_info()``,
    ``cache_clear()`` and ``cache_parameters()``.

    Options, by what they are about; each is told of below:

    - bounds: ``max`` or ``max_bytes``, ``sizeof``, ``policy``
    - age: ``ttl``, ``idle``, ``jitter``
    - keys: ``key``, ``ignore``, ``weak``, ``scope``, ``typed``
    - loads: ``dedupe``, ``timeout``, ``work``, ``keep``
    - old values: ``stale_while_revalidate``, ``stale_if_error``,
      ``soft_timeout``
    - failures: ``cache_errors``, ``error_ttl``, ``fallback``, ``fallback_on``
    - values: ``cache_if``, ``copy``, ``one_shot``
    - what leaves: ``on_evict``, ``evict_loop``, ``lease_timeout``, ``fork``
    - beyond: ``tags``, ``shared``, ``name``, ``registry``, ``clock``

    A duration is a number of seconds, a ``timedelta``, or text such as "90s",
    "24h" or "1h30m".

    One call has one key, however it is spelled: positional, by keyword, or by
    default.  ``self`` and ``cls`` count by identity; an instance is not kept
    alive by its entries, and they go when it goes.  The bounds hold over all
    instances together.

    Safe from any thread and any event loop.  A hit takes no lock
    (``policy="lirs"``, a policy of your own, and ``"lfu"`` where nothing else
    was used as often excepted).  Calls that miss at the same time share one
    load; user code never runs under a lock, but for a policy of your own (and
    for the ``__eq__`` of a key under ``"lirs"``).  A key is hashed once in a
    hit, and once more in a miss; in a store that has more than 500 entries, and
    may have more than 10,000, twice in a hit that runs in Python.  A result is
    stored only if nothing invalidated it while it loaded.  A plain function
    that is called in a thread that runs an event loop waits for no other
    thread's load, which may need that loop: it runs straight through, and only
    the load that it did not wait for is stored.  Where calls run in Python a
    recursion goes half as deep as without (``sys.setrecursionlimit()``): each
    call takes two levels of the interpreter's limit, three under Python 3.11,
    and four to six with an option about staleness or failures.  Where they run
    in C it goes about as deep as without, half as deep with ``dedupe=False`` or
    a function as ``tags``, and a quarter as deep with an option about staleness
    or failures; whoever raises the limit beyond ten thousand calls has to
    enlarge the stack as well, as with ``functools.lru_cache`` (under Python
    3.11, 8 MB last for some 11,000 calls, and for 16,000 of that one).

    What is *not* promised: that a result is stored at all (it may not fit),
    that expired entries leave by themselves (they do when they are evicted,
    loaded again, or cleaned up), or, without ``shared``, anything across
    processes.

    Args:
        max: Most entries at any moment; None: as many as max_bytes lets in.
            This or max_bytes is required.
        ttl: Age at which a result is stale, a duration; None: never.
            Counted from the end of the load.  Or a function that is called with
            each result and returns one of these; there 0 or less means that the
            result is returned but not stored.  One with a second parameter that
            has no default, or is named "call", is given the ``CallInfo`` of the
            call as well: ``ttl=lambda value, call: ...``.  By position: one
            that is taken by name alone (``*, call=None``) keeps its default.
        max_bytes: Most bytes of entries, an int or "64MB"; None: unbounded.
            An entry takes what its value, its key and its tags take, and 400
            bytes for itself.  A value that does not fit with that is returned,
            not stored, and counted as rejected.
        sizeof: Prices a value in bytes for max_bytes; None: ``memo.sizeof``.
            That follows containers and attributes.  The key and the entry count
            beside it, so that also values priced at 0 fill the store.
        idle: Time unused after which an entry goes, a duration; None: none.
        jitter: Share by which each ttl is shortened at random; 0.1: by 10 %.
            So that what was loaded together does not expire together; from 0 to
            below 1.
        policy: Which entry goes when room is needed, a name or a cache class.
            "adaptive" (see ``memo.policies.AdaptiveCache``), "s3fifo" (Yang et
            al., SOSP 2023), "sieve" (Zhang et al., NSDI 2024), "lirs" (Jiang
            and Zhang, SIGMETRICS 2002), "lru", "lfu", "fifo", "random", or a
            subclass of ``cachetools.Cache``, such as those of
            ``memo.policies``.
        key: Makes the key of a call, a hashable; None: of its arguments.
            Called as the function was, defaults filled in; with the instance
            only where one of its own parameters is named like that
            (``key=lambda self: ...``), or where the call has no other argument.
        ignore: Names of parameters to leave out of the key.
            "self" shares entries between instances.
        weak: Names of parameters that count by identity and are not kept alive.
            As ``self`` does: when such an argument goes, its entries go.  None
            stands for itself; an argument that cannot be weakly referenced is a
            TypeError.  ``key=`` makes the rest of the key.  Users see a weak
            reference in the argument's place.
        scope: Which loops share entries: None: all; "loop": each has its own.
            They go with the loop: for results that belong to one (a session, a
            lock).  Calls outside of a running loop have theirs, which stay.
            Entries of a loop that was closed go when the next loop calls, at a
            clean-up, or with the loop object.
        typed: Whether all arguments of different types have different keys.
            So 1, 1.0 and True; not only one that a call may consist of alone.
        dedupe: Whether concurrent misses of one key share one load.
        timeout: Age at which a load is given up, a duration; None: never.
            Those who wait for it get ``InflightTimeout``, and the next call
            starts a new one.
        work: Where a coroutine function's load runs: "shared" or "caller".
            "shared": in a task of its own, in a copy of its first caller's
            context (who sees afterwards what was bound there), so that a
            cancelled caller leaves alone; when the last one leaves, the task is
            cancelled and awaited.  "caller": in the first caller's own task,
            with its context, cancel scopes, timeouts and what belongs to that
            task; should that caller be cancelled, one of those who wait takes
            over, in its task and with its arguments.  With dedupe=False always
            there.  A plain function runs where it was called.
        keep: How long a load goes on that all left, a duration; None: not.
            Of a coroutine function, by the clock; newcomers join it, and its
            result is stored.  Then it is cancelled; None: at once.
        stale_while_revalidate: Duration past ttl: stale answers; None: none.
            (RFC 5861) A stale result is answered at once, while one load runs
            in the background: of a coroutine function in a task, of a plain one
            in one of the registry's ``refresh_threads``, both in the context of
            the caller that began it.  A background load that fails is logged to
            logger "memo"; the next begins error_ttl later.  One that has
            neither ended nor failed keeps others from beginning as long as it
            runs; should it be lost (its loop or its thread ended), the first
            call a second or more after it began starts another.  None: a call
            waits for the load.
        stale_if_error: Duration past ttl: stale answers to errors; None: none.
            (RFC 5861) A stale result is answered if the load fails or times
            out.  Then error_ttl passes before it is tried again.  None: errors
            are raised.
        soft_timeout: Duration to wait before a stale answer; None: no limit.
            Within stale_if_error (and beyond stale_while_revalidate), before it
            is answered stale; and with fallback also where nothing stale is
            there, before that answers.  The load, which runs in the background
            (of a plain function in one of the ``refresh_threads``), goes on and
            is stored.  None: as long as it takes.
        cache_errors: Type or types of exceptions to remember for error_ttl.
            Until then calls raise a copy of the exception, with a traceback of
            their own.  Nothing else that is raised is remembered.
        error_ttl: How long a failure counts, a duration; None: 1 second.
            How long it is remembered, and how long after a failed load there is
            no other as long as there is a stale result.  With cache_errors it
            has to be given.
        fallback: What to answer in place of an error, a value or a function.
            Where the load fails, times out or takes longer than soft_timeout,
            or its failure is remembered, and nothing stale answers.  A value
            (None, too; left out: errors are raised), or a function of the call,
            called as ``key`` is (with the instance of a method where it names
            it; without arguments if it has no parameter, or is a class; of a
            coroutine function, what it returns is awaited if it can be), once
            for each caller, outside the load, in the caller's thread or task.
            Never stored.  While it runs, ``sys.exception()`` is the error, and
            so the context of what it raises itself, which the caller gets.  The
            error of a load is logged to logger "memo", once.  Not for
            ``refresh()`` and ``fresh()``, nor where ``within(default=)`` says
            otherwise; nor for what is no ``Exception`` (cancellation, Ctrl-C),
            for arguments that cannot be hashed, or while the function is
            switched off.
        fallback_on: Type or types of exceptions that fallback is answered for.
            Others are raised.  Of a timeout that is ``InflightTimeout``, a
            ``TimeoutError``.  Default: every ``Exception``.
        cache_if: Called with each result; if false, not stored; None: all are.
            Or as ``cache_if(value, call)``, with the ``CallInfo`` of its call
            too.  What is not stored is returned all the same.  It drops what
            was stored before if it is put or comes of ``refresh()``; a stale
            value that a call, or a background load for one, meant to replace
            may serve on.
        copy: How values are copied: "shallow", "deep", a function; None: not.
            Applied once to each value that is loaded or put, and to each value
            handed out, so that nobody can alter the stored one: neither
            callers, nor who made it.
        on_evict: Called with key, value, reason of each that left; None: not.
            Once, after it left the store, in the thread whose operation removed
            it; the reason is an ``EvictionReason``.  What it raises is logged
            to logger "memo" and dropped.  A value that was never stored never
            reaches it, unless it is leased (``f.cache.lease()``); one that is
            leased is told at the end of its last lease.  May be a coroutine
            function, of a coroutine function, or where evict_loop is given:
            then each call is a task, on the loop on which the value was loaded;
            ``await f.cache.drain()`` waits for those of a loop.  A call that
            cannot be made, since that loop is closed or gone, or is cancelled,
            is logged and counted.
        evict_loop: Event loop of an awaited on_evict; None: the value's own.
            Or a function that returns it.  The value's own is the loop on which
            it was loaded.
        lease_timeout: Duration after which a lease holds no more; None: none.
            From then on a lease keeps ``on_evict`` waiting no more: it is
            called though the value is leased, which is logged to logger "memo"
            and counted.  None: it waits.
        fork: What a forked child does with its entries: "keep" or "drop" them.
            "keep": ``on_evict`` is called there too when they leave.  "drop":
            they go at once, without ``on_evict``, which closes what the parent
            has.
        tags: Names, or a function of the call, that entries are dropped by.
            ``registry.invalidate(tag=...)`` drops every entry that bears one.
            The function is called as ``key`` is, and returns names.  If it
            raises, that is logged to logger "memo", and the result is returned
            but not stored.
        one_shot: Results that can be used only once: "refuse" or "share".
            An iterator or generator, a coroutine object or what stands for one,
            a context manager of ``@contextmanager``.  "refuse": TypeError,
            nothing is stored.  "share": all callers get the same one, for
            example an ``itertools.cycle`` from which they draw in turn.
        shared: A ``memo.shared.Tier``, or its ``using()``; None: this process.
            Results are shared with other processes and machines through a
            Valkey or Redis server.  A hit is what it is without; a load asks
            the server first, all processes share one load, and what changes a
            result here changes it everywhere; see ``memo.shared``.  Needs ttl,
            and keys that other processes know; ``idle``, ``cache_errors``,
            ``max`` and ``max_bytes`` hold for the store of each process.  While
            the server cannot be reached, loads and calls go on as without it.
        name: Name in the registry; None: ``module.qualname``.
        registry: Where the function is listed; None: ``memo.registry``.
        clock: Returns seconds, never going back; None: ``time.monotonic``.
            Read once when decorating, so that what is none is refused.

    Raises:
        TypeError: At decoration: an option is of the wrong type, no bound is
            given, or it is a generator function.  At a call: an argument cannot
            be hashed, or the result can be used only once.
        ValueError: At decoration: an option's value makes no sense, or another
            function of this process shares its results under the same name.
        InflightTimeout: At a call: the load that it waited for took longer than
            timeout, and no stale result may stand in for it.
    """
    given = dict(locals())
    del given["function"]
    where = "bounded"
    if function is not None:
        refuse_bare(where, function, "a bound")
        raise TypeError(
            f"bounded: {given_text(function)} is given without a name; write bounded(max={given_text(function)})."
        )
    options, keys = checked_options(where, **given)

    def make(function: Callable[..., Any], takes_instance: bool | None) -> Layer:
        return BoundedLayer(function, options, keys, clock, takes_instance)

    return Decorator(Placement(where, make, name, registry), bounded, given)
